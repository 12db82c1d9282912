//! Views follow what they read: when a table or view gets another name or schema, the queries that
//! name it are written anew, as if they had its id.
//!
//! ```text
//!   RENAME orders TO old      SELECT id FROM shop.orders o  →  SELECT id FROM "shop"."old" o
//! ```
//! An unqualified name stays if a WITH query has it too: which is meant is not looked up.

use std::ops::ControlFlow;

use catalog::{Rewritten, State};
use datafusion::sql::sqlparser::ast::{ObjectName, Query, TableFactor, Visit, Visitor};

use super::{Context, drop};
use crate::error::Result;
use crate::features::{self, views};
use crate::names::folded;
use crate::parse;
use crate::plan::Place;
use crate::system::definitions::{self, quoted};

/// Writes anew what names the relation at `from`, which is about to go to `to`.
pub(super) fn follow(context: &mut Context<'_>, from: &Place, to: &Place) -> Result<()> {
    let followers = if from.temp { of_session } else { of_lake };
    let transaction = context.lakes.of(from);
    let (old, new) = ((&*from.schema, Some(&*from.name)), (&*to.schema, Some(&*to.name)));
    Ok(transaction.follow(old, new, followers)?)
}

/// Writes anew what names a relation of the schema, which is about to get another name.
pub(super) fn follow_schema(context: &mut Context<'_>, from: &str, to: &str) -> Result<()> {
    Ok(context.lakes.main.follow((from, None), (to, None), of_lake)?)
}

type Named<'a> = (&'a str, &'a str);

fn of_session(state: &State, from: Named<'_>, to: Named<'_>) -> Vec<Rewritten> {
    queries(state, &place(true, from), &place(true, to))
}

fn of_lake(state: &State, from: Named<'_>, to: Named<'_>) -> Vec<Rewritten> {
    let (from, to) = (place(false, from), place(false, to));
    let mut found = queries(state, &from, &to);
    found.extend(versions(state, &from, &to));
    found
}

fn place(temp: bool, (schema, name): Named<'_>) -> Place {
    Place { temp, schema: schema.to_owned(), name: name.to_owned() }
}

/// The views that name `from`, as they read when it is at `to`.
fn queries(state: &State, from: &Place, to: &Place) -> Vec<Rewritten> {
    let mut found = Vec::new();
    for (_, view) in drop::dependents(state, from) {
        let relation = state.schemas.get(&view.schema).and_then(|s| s.relations.get(&view.name));
        let Some(relation) = relation else { continue };
        let Some(query) = definitions::query(relation) else { continue };
        if let Some(sql) = rewritten(state, &query, from, to) {
            found.push(Rewritten::Query { id: relation.id(), sql });
        }
    }
    found
}

/// Feature views, whose versions are texts of their own.
fn versions(state: &State, from: &Place, to: &Place) -> Vec<Rewritten> {
    let mut found = Vec::new();
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
            found.extend(kept.rewritten(schema, &view.name));
        }
    }
    found
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
