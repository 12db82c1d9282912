//! Views follow what they read: when a table or view gets another name or schema, the queries that
//! name it are written anew, as if they had its id.
//!
//! ```text
//!   RENAME orders TO old      SELECT id FROM shop.orders o  →  SELECT id FROM "shop"."old" o
//! ```
//! An unqualified name stays if a WITH query has it too: which is meant is not looked up.

use std::ops::ControlFlow;

use catalog::{Relation, State, StoredQuery, TableChange};
use datafusion::sql::sqlparser::ast::{ObjectName, Query, TableFactor, Visit, Visitor};

use super::{Context, drop};
use crate::error::Result;
use crate::features::{self, FeatureView, views};
use crate::names::folded;
use crate::parse;
use crate::plan::Place;
use crate::system::definitions::{self, quoted};

/// What has to be written anew, with the new name in it.
pub(super) struct Followers {
    views: Vec<Follower>,
    /// Feature views, whose versions are texts of their own: schema, name, definition.
    features: Vec<(String, String, FeatureView)>,
}

struct Follower {
    view: Place,
    sql: String,
}

/// The views that name `from`, as they read when it is at `to`.
pub(super) fn followers(state: &State, from: &Place, to: &Place) -> Followers {
    let mut found = Vec::new();
    for (_, view) in drop::dependents(state, from) {
        let relation = state.schemas.get(&view.schema).and_then(|s| s.relations.get(&view.name));
        let Some(query) = relation.and_then(definitions::query) else { continue };
        if let Some(sql) = rewritten(state, &query, from, to) {
            found.push(Follower { view, sql });
        }
    }
    Followers { views: found, features: versions(state, from, to) }
}

fn versions(state: &State, from: &Place, to: &Place) -> Vec<(String, String, FeatureView)> {
    let mut found = Vec::new();
    if from.temp {
        return found;
    }
    for (schema, view, mut kept) in views(state) {
        let mut changed = false;
        for version in &mut kept.versions {
            let query = definitions::Query { sql: &version.sql, search_path: &version.search_path };
            if let Some(sql) = rewritten(state, &query, from, to) {
                version.sql = sql;
                changed = true;
            }
        }
        if changed {
            found.push((schema.to_owned(), view.name.clone(), kept));
        }
    }
    found
}

/// Gives the views their queries.
pub(super) fn follow(context: &mut Context<'_>, followers: Followers) -> Result<()> {
    for (schema, name, kept) in followers.features {
        kept.keep(&mut context.lakes.main, &schema, &name)?;
    }
    for Follower { view, sql } in followers.views {
        let transaction = context.lakes.of(&view);
        let schema = transaction.state().schemas.get(&view.schema);
        match schema.and_then(|s| s.relations.get(&view.name)) {
            Some(Relation::Table(table)) => {
                let Some(stored) = table.query.clone() else { continue };
                let change = TableChange::SetQuery(StoredQuery { sql, ..stored });
                transaction.alter_table(&view.schema, &view.name, change)?;
            }
            Some(Relation::View(_)) => {
                transaction.set_view_query(&view.schema, &view.name, sql)?;
            }
            None => {}
        }
    }
    Ok(())
}

/// The text of a query with another name for a relation; None if it cannot be found in it.
fn rewritten(
    state: &State,
    query: &definitions::Query<'_>,
    from: &Place,
    to: &Place,
) -> Option<String> {
    let renamed = renamed(state, query, from, to);
    let Some((shown, beside)) = features::beside(state, from) else { return renamed };
    let query = definitions::Query {
        sql: renamed.as_deref().unwrap_or(query.sql),
        search_path: query.search_path,
    };
    let to = Place { name: features::online_name(&to.name), ..to.clone() };
    self::renamed(&shown, &query, &beside, &to).or_else(|| renamed.clone())
}

fn renamed(
    state: &State,
    query: &definitions::Query<'_>,
    from: &Place,
    to: &Place,
) -> Option<String> {
    let parsed = parse::parse_query(query.sql).ok()?;
    let mut names = Names::default();
    let _ = parsed.visit(&mut names);
    let new = format!("{}.{}", quoted(to.schema_name()), quoted(&to.name));
    let mut edits = Vec::new();
    for name in &names.found {
        let parts: Vec<String> =
            name.name.0.iter().filter_map(|part| part.as_ident()).map(folded).collect();
        let (table, schema) = match parts.as_slice() {
            [table] if names.with.contains(table) => continue,
            [table] => (table, None),
            [.., schema, table] => (table, Some(schema.as_str())),
            [] => continue,
        };
        if !drop::is_meant(state, query.search_path, schema, table, from) {
            continue;
        }
        let spans: Vec<_> = name.name.0.iter().filter_map(|part| part.as_ident()).collect();
        let (first, last) = (spans.first()?.span, spans.last()?.span);
        if first.start.line == 0 || last.end.line == 0 {
            return None;
        }
        let start = parse::byte_offset(query.sql, first.start);
        let end = parse::byte_offset(query.sql, last.end);
        let alias = if name.needs_alias { format!(" AS {}", quoted(table)) } else { String::new() };
        edits.push((start..end, format!("{new}{alias}")));
    }
    // From the end, so that the places before stay where they are.
    edits.sort_by_key(|(range, _)| std::cmp::Reverse(range.start));
    let mut sql = query.sql.to_owned();
    for (range, text) in &edits {
        sql.replace_range(range.clone(), text);
    }
    (!edits.is_empty()).then_some(sql)
}

/// Relations, and the names of WITH queries.
#[derive(Default)]
struct Names {
    found: Vec<Name>,
    with: Vec<String>,
}

struct Name {
    name: ObjectName,
    /// Columns may be qualified by it.
    needs_alias: bool,
}

impl Visitor for Names {
    type Break = ();

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<()> {
        let with = query.with.iter().flat_map(|with| &with.cte_tables);
        self.with.extend(with.map(|cte| folded(&cte.alias.name)));
        ControlFlow::Continue(())
    }

    fn pre_visit_table_factor(&mut self, factor: &TableFactor) -> ControlFlow<()> {
        if let TableFactor::Table { name, alias, args: None, version, .. } = factor {
            let needs_alias = alias.is_none() && version.is_none();
            self.found.push(Name { name: name.clone(), needs_alias });
        }
        ControlFlow::Continue(())
    }
}
