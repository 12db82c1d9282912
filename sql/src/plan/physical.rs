//! Physical plans: the engine's rules, two of them in a frame that keeps them right where columns
//! of one name meet, as they do above most joins of a table with itself.
//!
//! - Filters that are pushed down find their column by its name alone: in a node with two of a name
//!   they would take the first. Such nodes are fenced off while filters are pushed.
//! - What cannot be merged of projections, by the same confusion, stays as it is.
//!
//! A rule of ours chooses how large sides are joined (`large_join`); filters of joins can be
//! stopped (`interruptible`).

use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;

use datafusion::arrow::datatypes::SchemaRef;
use datafusion::catalog::Session;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode, TreeNodeRecursion};
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::{SendableRecordBatchStream, SessionState, TaskContext};
use datafusion::logical_expr::LogicalPlan;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_optimizer::optimizer::PhysicalOptimizer;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties};
use datafusion::physical_planner::{DefaultPhysicalPlanner, PhysicalPlanner as _};

use super::interruptible::interruptible;
use super::large_join::LargeJoins;

type Rule = Arc<dyn PhysicalOptimizerRule + Send + Sync>;
type Plan = Arc<dyn ExecutionPlan>;

/// What the engine's last check of a plan says.
const UNSATISFIED: &str = "does not satisfy order requirements";

/// The engine's rule that chooses which side a hash join keeps.
const JOINS_CHOSEN: &str = "join_selection";

/// A physical plan; where the engine has lost an order that it took for granted, which it does
/// above a UNION of scans for two keys that it knows to be equal, it is made with one sort on top.
pub(crate) async fn planned(
    planner: &DefaultPhysicalPlanner,
    plan: &LogicalPlan,
    session: &dyn Session,
) -> Result<Plan> {
    let planned = planner.create_physical_plan(plan, session).await;
    let lost = planned.as_ref().is_err_and(|error| error.to_string().contains(UNSATISFIED));
    interruptible(match session.as_any().downcast_ref::<SessionState>() {
        Some(state) if lost => {
            let mut state = state.clone();
            state.config_mut().options_mut().optimizer.repartition_sorts = false;
            planner.create_physical_plan(plan, &state).await?
        }
        _ => planned?,
    })
}

/// See the module; `memory_limit` is what all queries may take, in bytes.
pub fn physical_rules(memory_limit: usize) -> Vec<Rule> {
    let framed = |rule: Rule| -> Rule {
        let name = rule.name();
        if name.starts_with("FilterPushdown") {
            Arc::new(Fenced(rule))
        } else if name == "ProjectionPushdown" {
            Arc::new(Forgiving(rule))
        } else {
            rule
        }
    };
    let mut rules: Vec<Rule> = PhysicalOptimizer::new().rules.into_iter().map(framed).collect();
    // Once sides are chosen, and before what a merge wants is put below it.
    let chosen = rules.iter().position(|rule| rule.name() == JOINS_CHOSEN);
    rules.insert(chosen.map_or(0, |at| at + 1), Arc::new(LargeJoins::new(memory_limit)));
    rules
}

#[derive(Debug)]
struct Fenced(Rule);

impl PhysicalOptimizerRule for Fenced {
    fn optimize(&self, plan: Plan, config: &ConfigOptions) -> Result<Plan> {
        let fenced = plan.transform_up(|node| {
            Ok(match is_ambiguous(&node.schema()) {
                true => Transformed::yes(Arc::new(Fence { input: node }) as Plan),
                false => Transformed::no(node),
            })
        })?;
        let is_fenced = fenced.transformed;
        let plan = self.0.optimize(fenced.data, config)?;
        if !is_fenced {
            return Ok(plan);
        }
        plan.transform_up(|node| {
            let input = node.downcast_ref::<Fence>().map(|fence| Arc::clone(&fence.input));
            Ok(input.map_or_else(|| Transformed::no(node), Transformed::yes))
        })
        .data()
    }

    fn name(&self) -> &str {
        self.0.name()
    }

    fn schema_check(&self) -> bool {
        self.0.schema_check()
    }
}

fn is_ambiguous(schema: &SchemaRef) -> bool {
    let mut seen = HashSet::new();
    !schema.fields().iter().all(|field| seen.insert(field.name()))
}

#[derive(Debug)]
struct Forgiving(Rule);

impl PhysicalOptimizerRule for Forgiving {
    fn optimize(&self, plan: Plan, config: &ConfigOptions) -> Result<Plan> {
        match self.0.optimize(Arc::clone(&plan), config) {
            Err(error) if matches!(error.find_root(), DataFusionError::Internal(_)) => Ok(plan),
            done => done,
        }
    }

    fn name(&self) -> &str {
        self.0.name()
    }

    fn schema_check(&self) -> bool {
        self.0.schema_check()
    }
}

/// A node through which no filter is pushed; there only while a rule runs.
#[derive(Debug)]
struct Fence {
    input: Plan,
}

impl DisplayAs for Fence {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl ExecutionPlan for Fence {
    fn name(&self) -> &str {
        "Fence"
    }

    fn schema(&self) -> SchemaRef {
        self.input.schema()
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        self.input.properties()
    }

    fn children(&self) -> Vec<&Plan> {
        vec![&self.input]
    }

    fn apply_expressions(
        &self,
        _: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn with_new_children(self: Arc<Self>, children: Vec<Plan>) -> Result<Plan> {
        let [input] = children.as_slice() else { return Ok(self) };
        Ok(Arc::new(Self { input: Arc::clone(input) }))
    }

    fn execute(
        &self,
        partition: usize,
        context: Arc<TaskContext>,
    ) -> Result<SendableRecordBatchStream> {
        self.input.execute(partition, context)
    }
}
