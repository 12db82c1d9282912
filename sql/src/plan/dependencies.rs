//! What determines what: UNNEST gives several rows for one, so that a key of its input is none of
//! its output. The engine keeps the key all the same (`LogicalPlan::Unnest`), and then leaves out
//! of ORDER BY and GROUP BY what the key seems to determine. The two rules that do so see plans
//! without such keys.

use std::sync::Arc;

use datafusion::common::tree_node::{Transformed, TreeNodeRecursion};
use datafusion::common::{FunctionalDependencies, Result};
use datafusion::logical_expr::LogicalPlan;
use datafusion::optimizer::{ApplyOrder, OptimizerConfig, OptimizerRule};

type Rule = Arc<dyn OptimizerRule + Send + Sync>;

/// The rules of the engine, those in a frame that go by keys.
pub(crate) fn framed(rules: Vec<Rule>) -> Vec<Rule> {
    let frame = |rule: Rule| -> Rule {
        match rule.name() {
            "eliminate_duplicated_expr" | "optimize_projections" => Arc::new(WithoutKeys(rule)),
            _ => rule,
        }
    };
    rules.into_iter().map(frame).collect()
}

#[derive(Debug)]
struct WithoutKeys(Rule);

impl OptimizerRule for WithoutKeys {
    fn name(&self) -> &str {
        self.0.name()
    }

    fn apply_order(&self) -> Option<ApplyOrder> {
        None
    }

    fn rewrite(
        &self,
        plan: LogicalPlan,
        config: &dyn OptimizerConfig,
    ) -> Result<Transformed<LogicalPlan>> {
        let plan = match has_false_key(&plan)? {
            true => without_false_keys(plan)?,
            false => plan,
        };
        match self.0.apply_order() {
            None => self.0.rewrite(plan, config),
            Some(ApplyOrder::TopDown) => {
                plan.transform_down_with_subqueries(|node| self.0.rewrite(node, config))
            }
            Some(ApplyOrder::BottomUp) => {
                plan.transform_up_with_subqueries(|node| self.0.rewrite(node, config))
            }
        }
    }
}

fn has_false_key(plan: &LogicalPlan) -> Result<bool> {
    let mut found = false;
    plan.apply_with_subqueries(|node| {
        found = is_false_key(node);
        Ok(if found { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
    })?;
    Ok(found)
}

fn is_false_key(node: &LogicalPlan) -> bool {
    matches!(node, LogicalPlan::Unnest(of) if !of.schema.functional_dependencies().is_empty())
}

/// The plan whose nodes above an UNNEST know of no key below it.
fn without_false_keys(plan: LogicalPlan) -> Result<LogicalPlan> {
    let plan = plan.transform_up_with_subqueries(|node| {
        let mut unnest = match node.recompute_schema()? {
            LogicalPlan::Unnest(unnest) => unnest,
            node => return Ok(Transformed::yes(node)),
        };
        let schema = unnest.schema.as_ref().clone();
        let none = FunctionalDependencies::empty();
        unnest.schema = Arc::new(schema.with_functional_dependencies(none)?);
        Ok(Transformed::yes(LogicalPlan::Unnest(unnest)))
    })?;
    Ok(plan.data)
}
