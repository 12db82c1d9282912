//! What EXPLAIN tells of indexes that are not used.

use datafusion::catalog::Session;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::logical_expr::{LogicalPlan, lit};

use super::node::Nearest;
use super::{physical, rule};

/// A line for each sort by distance over a column that has an index which does not serve it; of a
/// plan that the optimizer has seen.
pub async fn told(plan: &LogicalPlan, session: &dyn Session) -> Vec<String> {
    let (mut found, mut searches) = (Vec::new(), Vec::new());
    let _ = plan.apply_with_subqueries(|node| {
        match node {
            LogicalPlan::Sort(sort) => {
                found.extend(rule::sorted(sort, lit(1)).ok().and_then(Result::err));
            }
            LogicalPlan::Extension(extension) => {
                searches.extend(extension.node.as_any().downcast_ref::<Nearest>().cloned());
            }
            _ => {}
        }
        Ok(TreeNodeRecursion::Continue)
    });
    for search in &searches {
        if let Err(reason) = physical::way(session.config(), search).await {
            found.push(rule::unused(&search.index.0.name, &reason));
        }
    }
    let mut told: Vec<String> = Vec::new();
    for reason in found {
        if !reason.is_empty() && !told.contains(&reason) {
            told.push(reason);
        }
    }
    told
}
