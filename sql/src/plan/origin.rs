//! Which column of which table each column of a query is. Clients look there for what
//! RowDescription does not tell: whether it may be NULL, which key its rows have.
//!
//! Only a column that is taken as it is has an origin; what is computed has none, as in Postgres.

use catalog::{LakeTable, Table};
use datafusion::datasource::source_as_provider;
use datafusion::logical_expr::{Distinct, Expr, JoinType, LogicalPlan};

use super::Lakes;
use crate::system::oid;

/// A column of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Origin {
    /// The table's id in `pg_class`.
    pub table: u32,
    /// The column's number, from 1.
    pub column: i16,
}

/// The origins of a plan's columns, one each.
pub fn origins(plan: &LogicalPlan, lakes: &Lakes) -> Vec<Option<Origin>> {
    match plan {
        LogicalPlan::Projection(select) => {
            let below = origins(&select.input, lakes);
            select.expr.iter().map(|item| of(item, &select.input, &below)).collect()
        }
        LogicalPlan::Aggregate(aggregate) => {
            let below = origins(&aggregate.input, lakes);
            let keys = aggregate.group_expr.iter().map(|key| of(key, &aggregate.input, &below));
            filled(keys.collect(), plan)
        }
        LogicalPlan::Window(window) => filled(origins(&window.input, lakes), plan),
        LogicalPlan::Filter(filter) => origins(&filter.input, lakes),
        LogicalPlan::Sort(sort) => origins(&sort.input, lakes),
        LogicalPlan::Limit(limit) => origins(&limit.input, lakes),
        LogicalPlan::Distinct(Distinct::All(input)) => origins(input, lakes),
        LogicalPlan::SubqueryAlias(alias) => origins(&alias.input, lakes),
        LogicalPlan::Join(join) => {
            let (left, right) = (origins(&join.left, lakes), origins(&join.right, lakes));
            match join.join_type {
                JoinType::RightSemi | JoinType::RightAnti => right,
                JoinType::LeftSemi | JoinType::LeftAnti => left,
                _ => filled(left.into_iter().chain(right).collect(), plan),
            }
        }
        LogicalPlan::TableScan(scan) => {
            let provider = source_as_provider(&scan.source).ok();
            let table = provider.as_ref().and_then(|provider| provider.downcast_ref::<LakeTable>());
            let fields = scan.projected_schema.fields().iter();
            fields.map(|field| column(table?.table(), field.name(), lakes)).collect()
        }
        _ => filled(Vec::new(), plan),
    }
}

/// As many as the plan has columns.
fn filled(mut found: Vec<Option<Origin>>, plan: &LogicalPlan) -> Vec<Option<Origin>> {
    found.resize(plan.schema().fields().len(), None);
    found
}

/// The origin of an item over an input, whose columns have the origins `below`.
fn of(item: &Expr, input: &LogicalPlan, below: &[Option<Origin>]) -> Option<Origin> {
    match item {
        Expr::Alias(alias) => of(&alias.expr, input, below),
        Expr::Column(column) => {
            let place = input.schema().maybe_index_of_column(column)?;
            below.get(place).copied().flatten()
        }
        _ => None,
    }
}

fn column(table: &Table, name: &str, lakes: &Lakes) -> Option<Origin> {
    let temp = lakes.temp.as_ref().and_then(|temp| temp.state().table_by_id(table.id));
    let temp = temp.is_some_and(|(_, held)| held.uuid == table.uuid);
    let place = table.columns.iter().position(|column| column.field.name() == name)?;
    let table = u32::try_from(oid::of(table.id, temp)).ok()?;
    Some(Origin { table, column: i16::try_from(place + 1).ok()? })
}
