//! Predicates over labels are asked before the join: those that fail need no match. A join that
//! gives every label once, and of which nothing but labels is asked, is none.
//!
//! The engine would push what it may push below both inputs of a node, so that the node lets it
//! push nothing, and this does it. What is over the right side stays above: it filters matches.

use std::sync::Arc;

use datafusion::common::Result as EngineResult;
use datafusion::common::tree_node::Transformed;
use datafusion::logical_expr::utils::{conjunction, split_conjunction_owned};
use datafusion::logical_expr::{
    Extension, Filter, LogicalPlan, Projection, UserDefinedLogicalNodeCore,
};
use datafusion::optimizer::optimizer::ApplyOrder;
use datafusion::optimizer::{Optimizer, OptimizerConfig, OptimizerRule};

use super::node::{AsOf, Kind, Known};
use crate::plan::framed;

/// See the module.
#[derive(Debug)]
struct PushBelowAsOf;

/// The engine's rules and this one, after the rule that pushes filters down to the join: what comes
/// next may put a projection between.
pub fn optimizer_rules() -> Vec<Arc<dyn OptimizerRule + Send + Sync>> {
    let mut rules = framed(Optimizer::new().rules);
    let at = rules.iter().position(|rule| rule.name() == "push_down_filter");
    rules.insert(at.map_or(rules.len(), |at| at + 1), Arc::new(PushBelowAsOf));
    rules
}

impl OptimizerRule for PushBelowAsOf {
    fn name(&self) -> &str {
        "push_below_as_of"
    }

    fn apply_order(&self) -> Option<ApplyOrder> {
        Some(ApplyOrder::TopDown)
    }

    fn rewrite(
        &self,
        plan: LogicalPlan,
        _: &dyn OptimizerConfig,
    ) -> EngineResult<Transformed<LogicalPlan>> {
        let filter = match plan {
            LogicalPlan::Filter(filter) => filter,
            LogicalPlan::Projection(projection) => return without_join(projection),
            plan => return Ok(Transformed::no(plan)),
        };
        let LogicalPlan::Extension(Extension { node }) = filter.input.as_ref() else {
            return Ok(Transformed::no(LogicalPlan::Filter(filter)));
        };
        let Some(node) = node.as_any().downcast_ref::<AsOf>() else {
            return Ok(Transformed::no(LogicalPlan::Filter(filter)));
        };
        let labels = node.left.schema();
        let parts = split_conjunction_owned(filter.predicate.clone());
        let (below, above): (Vec<_>, Vec<_>) = parts.into_iter().partition(|part| {
            let columns = part.column_refs();
            !part.is_volatile() && columns.iter().all(|column| labels.has_column(column))
        });
        let Some(below) = conjunction(below) else {
            return Ok(Transformed::no(LogicalPlan::Filter(filter)));
        };
        let left = Filter::try_new(below, Arc::new(node.left.clone()))?;
        let inputs = vec![LogicalPlan::Filter(left), node.right.clone()];
        let node = node.with_exprs_and_inputs(node.expressions(), inputs)?;
        let plan = LogicalPlan::Extension(Extension { node: Arc::new(node) });
        Ok(Transformed::yes(match conjunction(above) {
            Some(above) => LogicalPlan::Filter(Filter::try_new(above, Arc::new(plan))?),
            None => plan,
        }))
    }
}

/// The projection of labels alone, if it is of nothing else.
fn without_join(projection: Projection) -> EngineResult<Transformed<LogicalPlan>> {
    let node = match projection.input.as_ref() {
        LogicalPlan::Extension(Extension { node }) => node.as_any().downcast_ref::<AsOf>(),
        _ => None,
    };
    let unchanged = |projection| Ok(Transformed::no(LogicalPlan::Projection(projection)));
    let Some(node) = node else { return unchanged(projection) };
    let is_told = node.choice.known == Known::Counted && node.choice.created.is_some();
    let labels = node.left.schema();
    let columns: Vec<_> = projection.expr.iter().flat_map(|item| item.column_refs()).collect();
    // A scan alone gives rows as its threads come to them.
    let is_ordered = node.choice.keeps_order && !columns.is_empty();
    let is_needed = is_told || is_ordered || !columns.iter().all(|c| labels.has_column(c));
    if node.kind != Kind::Left || is_needed {
        return unchanged(projection);
    }
    let labels = Projection::try_new(projection.expr.clone(), Arc::new(node.left.clone()))?;
    Ok(Transformed::yes(LogicalPlan::Projection(labels)))
}
