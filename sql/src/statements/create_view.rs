//! CREATE [OR REPLACE] VIEW: the query's text is kept as written, with the search path it was
//! written under, and planned where the view is used.

use std::ops::ControlFlow;
use std::sync::Arc;

use catalog::{NewView, Relation, VIEW_COLUMN_OF, View};
use datafusion::arrow::datatypes::{FieldRef, Fields};
use datafusion::logical_expr::LogicalPlan;
use datafusion::sql::sqlparser::ast::{
    CreateView, Expr, Query as Sql, SetExpr, Spanned, Value, visit_expressions,
};

use super::{Context, alter_table, drop, feature_view, materialized_view, storable};
use crate::error::{Error, Result};
use crate::names::{folded, shown};
use crate::plan::{Found, Place};
use crate::system::definitions::Query;
use crate::{Notice, features, parse, plan, types};

pub(super) async fn run(
    context: &mut Context<'_>,
    create: &CreateView,
    text: &str,
) -> Result<String> {
    let tag = "CREATE VIEW".to_string();
    check_parameters(&create.query)?;
    let sql = query_text(&create.query, text);
    let temporary = create.temporary || reads_temp(context, &sql)?;
    let place = context.environment.target(context.lakes, &create.name, temporary)?;
    if temporary && !create.temporary {
        let message = format!("view \"{}\" will be a temporary view", place.name);
        context.notices.push(Notice::notice(message));
    }
    let state = context.lakes.view(&place).state();
    let existing = state.schemas.get(&place.schema).and_then(|s| s.relations.get(&place.name));
    match existing {
        Some(Relation::View(_)) if create.or_replace => {}
        Some(Relation::Table(_)) if create.or_replace => {
            return Err(Error::new("42809", format!("\"{}\" is not a view", place.name)));
        }
        None if !features::is_taken(state, &place) => {}
        _ => {
            let message = format!("relation \"{}\" already exists", place.name);
            if !create.if_not_exists {
                return Err(Error::new("42P07", message));
            }
            context.notices.push(Notice::notice(format!("{message}, skipping")));
            return Ok(tag);
        }
    }
    let names: Vec<String> = create.columns.iter().map(|c| folded(&c.name)).collect();
    let replace = if create.or_replace { Replace::SameColumns } else { Replace::No };
    let fields = feature_view::fields(context, &place, &create.query).await?;
    store(context, &place, &fields, sql, &names, replace).await?;
    feature_view::revised(context, &place)?;
    Ok(tag)
}

/// A view has no parameters: 42P02 for one.
pub(super) fn check_parameters(query: &Sql) -> Result<()> {
    let found = visit_expressions(query, |expression: &Expr| match expression {
        Expr::Value(value) => match &value.value {
            Value::Placeholder(name) => ControlFlow::Break(name.clone()),
            _ => ControlFlow::Continue(()),
        },
        _ => ControlFlow::Continue(()),
    });
    match found {
        ControlFlow::Break(name) => {
            Err(Error::new("42P02", format!("there is no parameter {name}"))
                .with_hint("A view is kept for others: write the value itself."))
        }
        ControlFlow::Continue(()) => Ok(()),
    }
}

/// Whether a query reads what only this connection has: then so does the view.
pub(super) fn reads_temp(context: &Context<'_>, sql: &str) -> Result<bool> {
    if context.lakes.temp.is_none() {
        return Ok(false);
    }
    let search_path = &context.environment.search_path;
    for name in (Query { sql, search_path }).reads() {
        let parts: Vec<String> =
            name.schema().into_iter().chain([name.table()]).map(str::to_owned).collect();
        if let Some((place, _)) = context.environment.find(context.lakes, &parts)?
            && place.temp
        {
            return Ok(true);
        }
    }
    Ok(false)
}

/// What a view may take the place of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Replace {
    No,
    /// A view of the same columns, as Postgres has it.
    SameColumns,
    /// Any view that is read by none that would break.
    Any,
}

/// Keeps a query that gives `fields`.
pub(super) async fn store(
    context: &mut Context<'_>,
    place: &Place,
    fields: &Fields,
    sql: String,
    names: &[String],
    replace: Replace,
) -> Result<()> {
    if names.len() > fields.len() {
        return Err(Error::new("42601", "CREATE VIEW specifies more column names than columns"));
    }
    let mut columns: Vec<FieldRef> = Vec::with_capacity(fields.len());
    for (index, field) in fields.iter().enumerate() {
        let name = names.get(index).map_or_else(|| shown(field.name()), String::as_str);
        if columns.iter().any(|c| c.name() == name) {
            let message = format!("column \"{name}\" specified more than once");
            return Err(Error::new("42701", message));
        }
        let mut column = storable(field).with_name(name);
        if name != field.name() {
            // A view's columns are found by the names that its query gives them.
            let of = (VIEW_COLUMN_OF.to_owned(), field.name().clone());
            column.set_metadata(column.metadata().clone().into_iter().chain([of]).collect());
        }
        columns.push(Arc::new(column));
    }
    let state = context.lakes.view(place).state();
    let existing = state.schemas.get(&place.schema).and_then(|s| s.relations.get(&place.name));
    if let Some(Relation::View(old)) = existing {
        if replace == Replace::SameColumns {
            replaceable(old, &columns)?;
        }
        let found = Found::Relation(Relation::View(Arc::clone(old)));
        context.environment.must_own(context.lakes, place, &found)?;
    }
    let view = NewView {
        name: place.name.clone(),
        sql,
        search_path: context.environment.search_path.clone(),
        columns,
        comment: None,
    };
    let new = existing.is_none();
    context.lakes.of(place).create_view(&place.schema, view, replace != Replace::No)?;
    drop::keeps_query(context, place);
    if replace == Replace::Any && !new {
        alter_table::views_still_stand(context, place, "replace the view").await?;
    }
    match new {
        true => context.own_new(place),
        false => Ok(()),
    }
}

/// Plans the query of a view or materialized view that exists.
pub(super) async fn plan(context: &Context<'_>, view: &Place) -> Result<LogicalPlan> {
    let state = context.lakes.view(view).state();
    let found = state.schemas.get(&view.schema).and_then(|s| s.relations.get(&view.name));
    if let Some(stored) = found.and_then(|r| r.as_table()).and_then(|t| t.query.as_ref()) {
        return materialized_view::plan_stored(context.environment, context.lakes, stored).await;
    }
    let name = plan::object_name(&[view.schema.as_str(), view.name.as_str()]);
    let mut query = parse::parse_query("SELECT 1 FROM x")?;
    if let SetExpr::Select(select) = query.body.as_mut()
        && let Some(from) = select.from.first_mut()
    {
        from.relation = plan::table_factor(name, None);
    }
    plan::plan_query(context.environment, context.lakes, query, &[], Vec::new()).await
}

/// What CREATE OR REPLACE VIEW may not change: the columns that the view has.
fn replaceable(old: &View, columns: &[FieldRef]) -> Result<()> {
    if columns.len() < old.columns.len() {
        return Err(Error::new("42P16", "cannot drop columns from view"));
    }
    for (old, new) in old.columns.iter().zip(columns) {
        if old.name() != new.name() {
            let (old, new) = (old.name(), new.name());
            let message = format!("cannot change name of view column \"{old}\" to \"{new}\"");
            return Err(
                Error::new("42P16", message).with_hint("DROP VIEW and CREATE VIEW make it anew.")
            );
        }
        let (from, to) = (types::describe(old), types::describe(new));
        if from.udt_name != to.udt_name {
            let message = format!(
                "cannot change data type of view column \"{}\" from {} to {}",
                old.name(),
                from.data_type,
                to.data_type
            );
            return Err(Error::new("42P16", message));
        }
    }
    Ok(())
}

/// The query as the user wrote it; printed anew only if its place in the text is unknown.
pub(super) fn query_text(query: &Sql, text: &str) -> String {
    let span = query.span();
    let upper = text.to_uppercase();
    let body = query.to_string();
    if span.start.line == 0 {
        return body;
    }
    // The statement's own text starts anew, while spans count from the message: find AS instead.
    let mut from = 0;
    while let Some(at) = upper.get(from..).and_then(|rest| rest.find("AS")) {
        let start = from + at + 2;
        let rest = text.get(start..).unwrap_or("").trim();
        if let Ok(parsed) = parse::parse_query(rest)
            && parsed.to_string() == body
        {
            return rest.to_string();
        }
        from = start;
    }
    body
}
