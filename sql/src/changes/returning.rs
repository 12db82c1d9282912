//! RETURNING: a SELECT over the rows that a statement changed.

use std::sync::Arc;

use datafusion::arrow::array::{Int64Array, StringArray};
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::arrow::record_batch::RecordBatch;
use datafusion::datasource::{MemTable, provider_as_source};
use datafusion::logical_expr::LogicalPlan;
use datafusion::sql::sqlparser::ast::{self, SelectItem, TableWithJoins, VisitMut, VisitorMut};
use std::ops::ControlFlow;

use super::{Change, DELETE, INSERT, TARGET, quoted, select, target_factor};
use crate::error::{Error, Result};
use crate::plan::{self, Environment, Lakes};

/// Column that `merge_action()` reads.
const ACTION_NAME: &str = "__sextant_merge_action";

/// The columns that RETURNING gives.
pub(super) async fn schema(
    environment: &Environment,
    lakes: &Lakes,
    change: &Change,
) -> Result<SchemaRef> {
    let plan = rows(environment, lakes, change, Vec::new()).await?;
    Ok(Arc::clone(plan.schema().inner()))
}

/// The plan of RETURNING over changed rows: batches of the table's columns and the action's name.
pub(super) async fn rows(
    environment: &Environment,
    lakes: &Lakes,
    change: &Change,
    batches: Vec<RecordBatch>,
) -> Result<LogicalPlan> {
    let Some((items, alias)) = &change.returning_items else {
        return Err(Error::new("XX000", "a statement without RETURNING returns no rows"));
    };
    let items = items.iter().cloned().map(|item| expanded(item, change, alias)).collect::<Vec<_>>();
    let items = items.into_iter().flatten().collect();
    let from = TableWithJoins { relation: target_factor(alias), joins: Vec::new() };
    let query = select(items, vec![from], None)?;
    let table = MemTable::try_new(row_schema(change), vec![batches])?;
    let overrides = vec![(TARGET.to_string(), provider_as_source(Arc::new(table)))];
    plan::plan_query(environment, lakes, query, &[], overrides).await
}

/// The table's columns and the action's name.
fn row_schema(change: &Change) -> SchemaRef {
    let schema = super::apply::nullable(&change.table);
    let mut fields: Vec<_> = schema.fields().iter().cloned().collect();
    fields.push(Arc::new(Field::new(ACTION_NAME, DataType::Utf8, true)));
    Arc::new(Schema::new(fields))
}

/// New (or, for DELETE, old) rows with their action's name.
pub(super) fn batch(
    change: &Change,
    rows: &RecordBatch,
    actions: Option<&Int64Array>,
) -> Result<RecordBatch> {
    let name = |action: Option<i64>| match action {
        Some(INSERT) | None => "INSERT",
        Some(DELETE) => "DELETE",
        Some(_) => "UPDATE",
    };
    let names: StringArray = match actions {
        Some(actions) => actions.iter().map(|action| Some(name(action))).collect(),
        None => (0..rows.num_rows()).map(|_| Some("INSERT")).collect(),
    };
    let mut columns = rows.columns().to_vec();
    columns.push(Arc::new(names));
    let batch = RecordBatch::try_new(row_schema(change), columns);
    batch.map_err(|e| Error::Engine(e.into()))
}

/// `*` without the helper column; `merge_action()` as that column.
fn expanded(mut item: SelectItem, change: &Change, alias: &str) -> Vec<SelectItem> {
    let all = || {
        let column = |name: &str| SelectItem::UnnamedExpr(super::qualified(alias, name));
        change.table.columns.iter().map(|c| column(&c.name)).collect()
    };
    if matches!(item, SelectItem::Wildcard(_) | SelectItem::QualifiedWildcard(..)) {
        return all();
    }
    if let SelectItem::UnnamedExpr(ast::Expr::Function(function)) = &item
        && function.name.to_string().eq_ignore_ascii_case("merge_action")
    {
        let expr = ast::Expr::Identifier(quoted(ACTION_NAME));
        return vec![SelectItem::ExprWithAlias { expr, alias: quoted("merge_action") }];
    }
    let _ = item.visit(&mut MergeAction);
    vec![item]
}

struct MergeAction;

impl VisitorMut for MergeAction {
    type Break = ();

    fn pre_visit_expr(&mut self, expression: &mut ast::Expr) -> ControlFlow<()> {
        if let ast::Expr::Function(function) = expression
            && function.name.to_string().eq_ignore_ascii_case("merge_action")
        {
            *expression = ast::Expr::Identifier(quoted(ACTION_NAME));
        }
        ControlFlow::Continue(())
    }
}
