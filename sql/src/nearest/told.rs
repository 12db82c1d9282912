//! What EXPLAIN tells of indexes that are not used.

use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::logical_expr::{LogicalPlan, lit};

use super::rule;

/// A line for each sort by distance over a column that has an index which does not serve it; of a
/// plan that the optimizer has seen.
pub fn told(plan: &LogicalPlan) -> Vec<String> {
    let mut found = Vec::new();
    let _ = plan.apply_with_subqueries(|node| {
        if let LogicalPlan::Sort(sort) = node
            && let Ok(Err(reason)) = rule::sorted(sort, lit(1))
            && !reason.is_empty()
            && !found.contains(&reason)
        {
            found.push(reason);
        }
        Ok(TreeNodeRecursion::Continue)
    });
    found
}
