//! Views where they are read: planned with the names and rights of those who made them; of feature
//! views the rows that REFRESH has kept, if they are the same.

use std::sync::Arc;

use catalog::{Relation, VIEW_COLUMN_OF, View};
use datafusion::catalog::view::ViewTable;
use datafusion::datasource::provider_as_source;
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder, TableSource};
use datafusion::sql::sqlparser::ast;

use super::{Environment, Lakes, Place, plan_at_depth};
use crate::access::{Object, owner_of};
use crate::error::{Error, Result};
use crate::features::kept::{self, Kept};
use crate::features::{self, FeatureView, FeatureViewTable, Rows, Version};
use crate::parse;

/// A view is planned where it is used, with the names that its creator saw.
pub(super) async fn source(
    environment: &Environment,
    lakes: &Lakes,
    view: &Arc<View>,
    place: &Place,
    depth: usize,
) -> Result<Arc<dyn TableSource>> {
    let sql = Some(view.sql.clone());
    let found = FeatureView::of(lakes.main.state(), &place.schema, view);
    let found = found.filter(|_| !place.temp);
    let Some((_, version)) = found.as_ref().and_then(FeatureView::current) else {
        let plan = stored(environment, lakes, view, place, depth).await?;
        return Ok(provider_as_source(Arc::new(ViewTable::new(plan, sql))));
    };
    if version.has_windows() {
        return windowed(environment, lakes, view, place, (version, depth)).await;
    }
    let reads_kept = environment.reads_kept && Kept::of(lakes.main.state(), view).is_some();
    let plan = match reads_kept {
        false => stored(environment, lakes, view, place, depth).await?,
        true => {
            // What the rows are compared with is the query down to its tables.
            let inner = Environment { reads_kept: false, ..environment.clone() };
            let plan = stored(&inner, lakes, view, place, depth).await?;
            let of_view = (view.as_ref(), place, version.timestamp.as_str());
            kept::read(environment, lakes, of_view, plan).await?
        }
    };
    let rows = Rows::Plain(plan.clone());
    let table = FeatureViewTable::new(ViewTable::new(plan, sql), version.clone(), rows);
    Ok(provider_as_source(Arc::new(table)))
}

/// A feature view whose windows are told at the label's time: as a relation, at each row's own.
async fn windowed(
    environment: &Environment,
    lakes: &Lakes,
    view: &Arc<View>,
    place: &Place,
    (version, depth): (&Version, usize),
) -> Result<Arc<dyn TableSource>> {
    let rows = windowed_rows(environment, lakes, view, place, (version, depth)).await?;
    let plan = rename_columns(rows.plan(version)?, view)?;
    let table = ViewTable::new(plan, Some(view.sql.clone()));
    let table = FeatureViewTable::new(table, version.clone(), rows);
    Ok(provider_as_source(Arc::new(table)))
}

/// The rows and windows of such a feature view, from where the rows are.
pub(crate) async fn windowed_rows(
    environment: &Environment,
    lakes: &Lakes,
    view: &Arc<View>,
    place: &Place,
    (version, depth): (&Version, usize),
) -> Result<Rows> {
    let reads_kept = environment.reads_kept && Kept::of(lakes.main.state(), view).is_some();
    let inner = Environment {
        reads_kept: environment.reads_kept && !reads_kept,
        ..of_owner(environment, lakes, view, place)
    };
    let query = parse::parse_query(&view.sql)?;
    let rows = features::rows(&inner, lakes, query, version, &view.columns, depth + 1).await?;
    match rows {
        Rows::Windowed(windowed) if reads_kept => {
            let of_view = (view.as_ref(), place, version.timestamp.as_str());
            let rows = kept::read(environment, lakes, of_view, windowed.needed()?).await?;
            Ok(Rows::Windowed(Arc::new(windowed.over_rows(rows)?)))
        }
        rows => Ok(rows),
    }
}

/// The plan of a view's query, under the names that its creator saw and the view's columns.
async fn stored(
    environment: &Environment,
    lakes: &Lakes,
    view: &Arc<View>,
    place: &Place,
    depth: usize,
) -> Result<LogicalPlan> {
    let query = parse::parse_query(&view.sql)?;
    let inner = of_owner(environment, lakes, view, place);
    let statement = ast::Statement::Query(Box::new(query));
    let plan = plan_at_depth(&inner, lakes, statement, &[], Vec::new(), depth + 1).await?;
    rename_columns(plan, view)
}

/// A view reads what its owner may, whoever reads the view, by the names that its creator saw.
fn of_owner(
    environment: &Environment,
    lakes: &Lakes,
    view: &Arc<View>,
    place: &Place,
) -> Environment {
    let search_path = view.search_path.clone();
    let state = lakes.main.state();
    let authority = match place.temp {
        true => Arc::clone(&environment.authority),
        false => Arc::new(owner_of(state, &Object::of(&Relation::View(Arc::clone(view))))),
    };
    Environment { search_path, authority, ..environment.clone() }
}

/// The plan of the rows of a feature view that can be kept: of one with windows, those below them.
pub(crate) async fn view_rows(
    environment: &Environment,
    lakes: &Lakes,
    view: &Arc<View>,
    place: &Place,
    version: &Version,
) -> Result<LogicalPlan> {
    if version.has_windows() {
        let rows = windowed_rows(environment, lakes, view, place, (version, 0));
        if let Rows::Windowed(windowed) = Box::pin(rows).await? {
            return windowed.needed();
        }
    }
    Box::pin(stored(environment, lakes, view, place, 0)).await
}

/// The view's columns under the names it declared.
fn rename_columns(plan: LogicalPlan, view: &View) -> Result<LogicalPlan> {
    let schema = Arc::clone(plan.schema());
    let names = view.columns.iter().map(|f| f.name());
    if view.columns.is_empty() || names.eq(schema.fields().iter().map(|f| f.name())) {
        return Ok(plan);
    }
    // By name and not by place: under `SELECT *` the table may have got other columns, or the same
    // in another order.
    let items = view.columns.iter().map(|field| {
        let of = field.metadata().get(VIEW_COLUMN_OF).unwrap_or(field.name());
        let column = schema.columns().into_iter().find(|column| column.name() == of);
        let column = column.ok_or_else(|| no_longer(view))?;
        Ok(Expr::Column(column).alias(field.name()))
    });
    let items = items.collect::<Result<Vec<_>>>()?;
    Ok(LogicalPlanBuilder::from(plan).project(items)?.build()?)
}

fn no_longer(view: &View) -> Error {
    let message = format!("view \"{}\" no longer has the columns it was made with", view.name);
    Error::new("42P10", message).with_hint("CREATE OR REPLACE VIEW makes it again.")
}
