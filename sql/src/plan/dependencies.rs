//! What determines what: UNNEST gives several rows for one, so that a key of its input is none of
//! its output. The engine keeps the key all the same (`LogicalPlan::Unnest`), and then adds to
//! GROUP BY what the key seems to determine, leaves it out of ORDER BY, takes DISTINCT and joins
//! for needless, and peers of windows for none. So relations are planned without such keys, and
//! the rules that go by keys see plans without them: other rules make the node anew.

use std::cell::Cell;
use std::sync::Arc;

use datafusion::common::tree_node::{Transformed, TreeNodeRecursion};
use datafusion::common::{FunctionalDependencies, Result};
use datafusion::logical_expr::LogicalPlan;
use datafusion::logical_expr::planner::{
    PlannedRelation, RelationPlanner, RelationPlannerContext, RelationPlanning,
};
use datafusion::optimizer::{ApplyOrder, OptimizerConfig, OptimizerRule};
use datafusion::sql::sqlparser::ast::TableFactor;

thread_local! {
    /// The relation that is planned next is being planned by `Unkeyed` already.
    static ASKED: Cell<bool> = const { Cell::new(false) };
}

/// Plans relations of FROM without keys that UNNEST has undone. The first of the planners.
#[derive(Debug)]
pub struct Unkeyed;

impl RelationPlanner for Unkeyed {
    fn plan_relation(
        &self,
        relation: TableFactor,
        context: &mut dyn RelationPlannerContext,
    ) -> Result<RelationPlanning> {
        // The others plan it, then; what is within it comes here by itself.
        if ASKED.take() {
            return Ok(RelationPlanning::Original(Box::new(relation)));
        }
        ASKED.set(true);
        let plan = context.plan(relation)?;
        let plan = match has_false_key(&plan)? {
            true => without_false_keys(plan)?,
            false => plan,
        };
        Ok(RelationPlanning::Planned(Box::new(PlannedRelation::new(plan, None))))
    }
}

type Rule = Arc<dyn OptimizerRule + Send + Sync>;

/// The rules of the engine, those in a frame that go by keys.
pub(crate) fn framed(rules: Vec<Rule>) -> Vec<Rule> {
    let frame = |rule: Rule| -> Rule {
        match rule.name() {
            "eliminate_duplicated_expr"
            | "eliminate_join"
            | "optimize_projections"
            | "replace_distinct_aggregate" => Arc::new(WithoutKeys(rule)),
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
