//! EXCEPT ALL and INTERSECT ALL count: of rows that are the same, the first is the first of the
//! other side, the second its second. The engine's joins would take or leave all of them.

use datafusion::common::{Column, JoinType, NullEquality, Result as EngineResult};
use datafusion::functions_window::expr_fn::row_number;
use datafusion::logical_expr::{Expr, ExprFunctionExt, Join, LogicalPlan, LogicalPlanBuilder};

use crate::names::MARK;

/// The number of a row among those that are the same.
fn number() -> String {
    format!("{MARK}nth")
}

/// Counts the rows of both sides, if the join is one of these; of distinct rows there is one each.
pub(super) fn counted(node: LogicalPlan) -> EngineResult<LogicalPlan> {
    let LogicalPlan::Join(join) = &node else { return Ok(node) };
    if !is_set_operation(join) || matches!(join.left.as_ref(), LogicalPlan::Distinct(_)) {
        return Ok(node);
    }
    let columns = join.left.schema().columns();
    let (left, left_keys) = numbered(&join.left)?;
    let (right, right_keys) = numbered(&join.right)?;
    let keys = (left_keys, right_keys);
    let joined = LogicalPlanBuilder::from(left)
        .join_detailed(right, join.join_type, keys, None, join.null_equality)?
        .project(columns.into_iter().map(Expr::Column))?;
    joined.build()
}

/// A semi or anti join on all columns, place by place, in which NULL is NULL.
fn is_set_operation(join: &Join) -> bool {
    let (left, right) = (join.left.schema().columns(), join.right.schema().columns());
    let is_column = |side: &Expr, column: &Column| matches!(side, Expr::Column(c) if c == column);
    matches!(join.join_type, JoinType::LeftSemi | JoinType::LeftAnti)
        && join.null_equality == NullEquality::NullEqualsNull
        && join.filter.is_none()
        && join.on.len() == left.len()
        && left.len() == right.len()
        && !left.iter().any(|column| column.name == number())
        && join
            .on
            .iter()
            .zip(left.iter().zip(&right))
            .all(|((l, r), (left, right))| is_column(l, left) && is_column(r, right))
}

fn numbered(side: &LogicalPlan) -> EngineResult<(LogicalPlan, Vec<Column>)> {
    let columns = side.schema().columns();
    let all = columns.iter().cloned().map(Expr::Column).collect();
    let nth = row_number().partition_by(all).build()?.alias(number());
    let plan = LogicalPlanBuilder::from(side.clone()).window(vec![nth])?.build()?;
    let keys = columns.into_iter().chain([Column::new_unqualified(number())]).collect();
    Ok((plan, keys))
}
