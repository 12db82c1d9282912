//! Conditions over the outer side of a LATERAL join are asked before its subquery: of rows that do
//! not pass, it need not be answered.

use std::sync::Arc;

use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{JoinType, Result as EngineResult};
use datafusion::logical_expr::utils::{conjunction, split_conjunction_owned};
use datafusion::logical_expr::{Expr, Filter, Join, LogicalPlan};

/// Moves them down.
pub(in super::super) fn early(plan: LogicalPlan) -> EngineResult<LogicalPlan> {
    Ok(plan.transform_down_with_subqueries(moved)?.data)
}

fn moved(node: LogicalPlan) -> EngineResult<Transformed<LogicalPlan>> {
    let LogicalPlan::Filter(filter) = &node else { return Ok(Transformed::no(node)) };
    let LogicalPlan::Join(join) = filter.input.as_ref() else { return Ok(Transformed::no(node)) };
    let keeps_left = matches!(join.join_type, JoinType::Inner | JoinType::Left);
    if !keeps_left || !is_lateral(&join.right) {
        return Ok(Transformed::no(node));
    }
    let parts = split_conjunction_owned(filter.predicate.clone());
    let (below, above): (Vec<_>, Vec<_>) = parts.into_iter().partition(|e| is_of_left(e, join));
    let Some(below) = conjunction(below) else { return Ok(Transformed::no(node)) };
    let left = Filter::try_new(below, Arc::clone(&join.left))?;
    let join = Join { left: Arc::new(LogicalPlan::Filter(left)), ..join.clone() };
    let plan = LogicalPlan::Join(join);
    Ok(Transformed::yes(match conjunction(above) {
        Some(above) => LogicalPlan::Filter(Filter::try_new(above, Arc::new(plan))?),
        None => plan,
    }))
}

fn is_lateral(right: &LogicalPlan) -> bool {
    match right {
        LogicalPlan::Subquery(_) => true,
        LogicalPlan::SubqueryAlias(alias) => matches!(*alias.input, LogicalPlan::Subquery(_)),
        _ => false,
    }
}

/// Whether a condition is over nothing but columns of the left side.
fn is_of_left(condition: &Expr, join: &Join) -> bool {
    let has_subquery = condition.exists(|e| {
        Ok(matches!(e, Expr::ScalarSubquery(_) | Expr::InSubquery(_) | Expr::Exists(_)))
    });
    let columns = condition.column_refs();
    !columns.is_empty()
        && columns.iter().all(|column| join.left.schema().has_column(column))
        && !condition.is_volatile()
        && !condition.contains_outer()
        && !has_subquery.unwrap_or(true)
}
