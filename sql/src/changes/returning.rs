//! RETURNING: a SELECT over the rows that a statement changed, beside those that it joined.
//!
//! ```text
//!   column of the target …, column of the sources …, action      one row a changed row, `Held`
//!        t.a                     s.x                             as RETURNING names them
//! ```
//! It is planned with the statement, so its subqueries see what was there before.

use std::ops::ControlFlow;
use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, Int64Array, StringArray};
use datafusion::arrow::datatypes::{DataType, Field, FieldRef, Schema, SchemaRef};
use datafusion::arrow::record_batch::RecordBatch;
use datafusion::common::{Column, TableReference};
use datafusion::logical_expr::{Expr, LogicalPlan};
use datafusion::sql::sqlparser::ast::{
    self, ExcludeSelectItem, SelectItem, TableWithJoins, VisitMut, VisitorMut,
};

use super::held::Held;
use super::{Change, DELETE, INSERT, Planner, quoted, select};
use crate::error::{Error, Result};
use crate::plan::{self, Given};

/// The name under which the changed rows are planned.
const CHANGED: &str = "\u{3}changed";
/// Column that `merge_action()` reads.
const ACTION_NAME: &str = "__sextant_merge_action";

/// A planned RETURNING.
#[derive(Debug, Clone)]
pub struct Returning {
    /// Parameters may be open in it.
    pub plan: LogicalPlan,
    pub(super) rows: Arc<Held>,
}

impl Returning {
    /// The columns that it gives.
    pub fn schema(&self) -> SchemaRef {
        Arc::clone(self.plan.schema().inner())
    }
}

/// A column of a relation beside the target.
#[derive(Debug, Clone)]
pub(crate) struct SourceColumn {
    pub qualifier: Option<TableReference>,
    pub field: FieldRef,
}

impl Planner<'_> {
    /// Plans the RETURNING of a change whose target is called `alias` in it.
    pub(super) async fn returning(
        &self,
        change: &Change,
        items: Vec<SelectItem>,
        alias: &str,
    ) -> Result<Returning> {
        let rows = Held::new(row_schema(change));
        let changed = named(change, &rows, alias)?;
        let merges = change.tag == "MERGE";
        let items = items.into_iter().map(|item| if merges { with_action(item) } else { item });
        let relation = plan::table_factor(plan::object_name(&[CHANGED]), None);
        let from = TableWithJoins { relation, joins: Vec::new() };
        let query = self.under_with(select(items.collect(), vec![from], None)?);
        let given = [(CHANGED.to_string(), Given::Plan(changed))];
        let plan = self.plan_given(query, self.types, given).await?;
        refuse_aggregates(&plan)?;
        Ok(Returning { plan, rows })
    }
}

/// The changed rows under the names of the statement's relations. MERGE shows its source first.
fn named(change: &Change, rows: &Arc<Held>, alias: &str) -> Result<LogicalPlan> {
    let scan = rows.scan(CHANGED)?;
    let columns = scan.schema().columns();
    let target = TableReference::bare(alias);
    let own = change.table.columns.iter().zip(&columns);
    let own = own.map(|(c, at)| renamed(at, Some(&target), &c.name));
    let beside = change.sources.iter().zip(&columns[change.table.columns.len()..]);
    let beside = beside.map(|(c, at)| renamed(at, c.qualifier.as_ref(), c.field.name()));
    let items: Vec<Expr> = match change.tag {
        "MERGE" => {
            let action = columns.last().map(|at| renamed(at, None, ACTION_NAME));
            beside.chain(own).chain(action).collect()
        }
        _ => own.chain(beside).collect(),
    };
    Ok(scan.project(items)?.build()?)
}

fn renamed(column: &Column, qualifier: Option<&TableReference>, name: &str) -> Expr {
    Expr::Column(column.clone()).alias_qualified(qualifier.cloned(), name)
}

/// The changed rows as they are held: names are numbers, since two may be the same.
fn row_schema(change: &Change) -> SchemaRef {
    let own = change.table.columns.iter().map(|c| &c.field);
    let fields = own.chain(change.sources.iter().map(|source| &source.field)).enumerate();
    let field = |(index, field): (usize, &FieldRef)| {
        field.as_ref().clone().with_name(index.to_string()).with_nullable(true)
    };
    let action = Field::new(ACTION_NAME, DataType::Utf8, true);
    Arc::new(Schema::new(fields.map(field).chain([action]).collect::<Vec<_>>()))
}

/// New (or, for DELETE, old) rows, what stood beside them, and their action's name.
pub(super) fn batch(
    returning: &Returning,
    columns: impl Iterator<Item = ArrayRef>,
    rows: usize,
    actions: Option<&Int64Array>,
) -> Result<RecordBatch> {
    let name = |action: Option<i64>| match action {
        Some(INSERT) | None => "INSERT",
        Some(DELETE) => "DELETE",
        Some(_) => "UPDATE",
    };
    let names: StringArray = match actions {
        Some(actions) => actions.iter().map(|action| Some(name(action))).collect(),
        None => (0..rows).map(|_| Some("INSERT")).collect(),
    };
    let columns = columns.chain([Arc::new(names) as ArrayRef]).collect();
    let batch = RecordBatch::try_new(returning.rows.fields(), columns);
    batch.map_err(|e| Error::Engine(e.into()))
}

/// Postgres' words for what would make one row of many.
fn refuse_aggregates(plan: &LogicalPlan) -> Result<()> {
    match plan {
        LogicalPlan::Aggregate(_) => {
            Err(Error::new("42803", "aggregate functions are not allowed in RETURNING"))
        }
        LogicalPlan::Window(_) => {
            Err(Error::new("42P20", "window functions are not allowed in RETURNING"))
        }
        LogicalPlan::Projection(node) => refuse_aggregates(&node.input),
        _ => Ok(()),
    }
}

/// `*` without the helper column; `merge_action()` as that column.
fn with_action(mut item: SelectItem) -> SelectItem {
    if let SelectItem::Wildcard(options) = &mut item {
        let name = plan::object_name(&[ACTION_NAME]);
        options.opt_exclude = Some(ExcludeSelectItem::Multiple(vec![name]));
    }
    if let SelectItem::UnnamedExpr(ast::Expr::Function(function)) = &item
        && function.name.to_string().eq_ignore_ascii_case("merge_action")
    {
        let expr = ast::Expr::Identifier(quoted(ACTION_NAME));
        return SelectItem::ExprWithAlias { expr, alias: quoted("merge_action") };
    }
    let _ = item.visit(&mut MergeAction);
    item
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
