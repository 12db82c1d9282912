//! Tests on ranks over the same rows sort them once: calls of them are planned as one call of
//! `rank_statistics`, of whose answer each takes its part.
//!
//! ```text
//!   ks_test(x, c), wasserstein(x, c)   →   rank_statistics(x, c, …) AS r
//!                                          r.ks_test, r.wasserstein
//! ```

use std::fmt::Debug;
use std::sync::Arc;

use datafusion::arrow::datatypes::DataType;
use datafusion::common::tree_node::Transformed;
use datafusion::common::{Column, Result as EngineResult, ScalarValue};
use datafusion::functions::core::expr_fn::get_field;
use datafusion::logical_expr::expr::{AggregateFunction, AggregateFunctionParams};
use datafusion::logical_expr::{Aggregate, Expr, ExprSchemable, LogicalPlan, Projection, lit};
use datafusion::optimizer::optimizer::ApplyOrder;
use datafusion::optimizer::{OptimizerConfig, OptimizerRule};

use super::rank_statistics::{MEMBERS, RankStatistics};
use crate::Engine;
use crate::aggregate::aggregate;

/// See the module.
pub struct SharedRanks {
    function: Engine,
    /// NULLs of the arguments' types; none for the columns.
    defaults: Vec<Option<ScalarValue>>,
}

/// A call of several of the functions over the same columns: where each stands among the
/// aggregates.
struct Shared<'a> {
    params: &'a AggregateFunctionParams,
    members: [Option<usize>; MEMBERS.len()],
}

impl Debug for SharedRanks {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SharedRanks")
    }
}

impl Default for SharedRanks {
    fn default() -> Self {
        let function = aggregate::<RankStatistics>();
        let kinds = function.call.arguments.iter().map(|argument| argument.kind.arrow());
        let null = |of: Option<DataType>| ScalarValue::try_new_null(&of?).ok();
        Self { defaults: kinds.map(null).collect(), function: function.engine }
    }
}

impl SharedRanks {
    /// The one call in place of several.
    fn call(&self, shared: &Shared<'_>, calls: &[Option<Call<'_>>]) -> Option<Expr> {
        let mut args: Vec<Expr> = shared.params.args.iter().take(2).cloned().collect();
        for default in self.defaults.iter().skip(args.len()) {
            args.push(lit(default.clone()?));
        }
        for ((_, options), index) in MEMBERS.iter().zip(shared.members) {
            let Some((_, params)) = index.and_then(|index| calls.get(index)?.as_ref()) else {
                continue;
            };
            for (place, given) in options.clone().zip(params.args.iter().skip(2)) {
                args[place] = given.clone();
            }
        }
        let params = AggregateFunctionParams { args, ..shared.params.clone() };
        let Engine::Aggregate(function) = &self.function else { return None };
        let func = Arc::new(function.clone());
        Some(Expr::AggregateFunction(AggregateFunction { func, params }))
    }

    fn shared(&self, aggregate: &Aggregate) -> EngineResult<Option<LogicalPlan>> {
        let calls: Vec<Option<Call<'_>>> =
            aggregate.aggr_expr.iter().map(|expr| call(expr, aggregate)).collect();
        let together = together(&calls);
        if together.is_empty() {
            return Ok(None);
        }
        let taken = |index: usize| {
            together.iter().enumerate().find_map(|(number, shared)| {
                let member = shared.members.iter().position(|member| *member == Some(index))?;
                Some((number, MEMBERS[member].0))
            })
        };
        let name = |number: usize| format!("rank_statistics {number}");
        let others = aggregate.aggr_expr.iter().enumerate();
        let mut new: Vec<Expr> = others
            .filter(|(index, _)| taken(*index).is_none())
            .map(|(_, expr)| expr.clone())
            .collect();
        for (number, shared) in together.iter().enumerate() {
            let Some(call) = self.call(shared, &calls) else { return Ok(None) };
            new.push(call.alias(name(number)));
        }
        let groups = aggregate.schema.fields().len() - aggregate.aggr_expr.len();
        let columns = aggregate.schema.columns();
        let shown = columns.into_iter().enumerate().map(|(place, column)| {
            match place.checked_sub(groups).and_then(taken) {
                None => Expr::Column(column),
                Some((number, member)) => {
                    let row = Expr::Column(Column::new_unqualified(name(number)));
                    get_field(row, member).alias_qualified(column.relation, column.name)
                }
            }
        });
        let shown = shown.collect();
        let (input, by) = (Arc::clone(&aggregate.input), aggregate.group_expr.clone());
        let new = LogicalPlan::Aggregate(Aggregate::try_new(input, by, new)?);
        Ok(Some(LogicalPlan::Projection(Projection::try_new(shown, Arc::new(new))?)))
    }
}

/// Which of the functions is called, and how.
type Call<'a> = (usize, &'a AggregateFunctionParams);

/// A call of one of the functions that may share its sort.
fn call<'a>(expr: &'a Expr, aggregate: &Aggregate) -> Option<Call<'a>> {
    let (func, params) = match expr {
        Expr::AggregateFunction(AggregateFunction { func, params }) => (func, params),
        // Of an argument that was computed below.
        Expr::Alias(alias) => return call(&alias.expr, aggregate),
        _ => return None,
    };
    let member = MEMBERS.iter().position(|(name, _)| *name == func.name())?;
    let [value, arm, ..] = params.args.as_slice() else { return None };
    let by_flag = arm.get_type(aggregate.input.schema()).ok()? == DataType::Boolean;
    let volatile = value.is_volatile() || arm.is_volatile();
    let plain = !params.distinct && params.order_by.is_empty() && params.null_treatment.is_none();
    (by_flag && plain && !volatile).then_some((member, params))
}

/// The calls over the same rows, where there is more than one.
fn together<'a>(calls: &[Option<Call<'a>>]) -> Vec<Shared<'a>> {
    let mut all: Vec<Shared<'a>> = Vec::new();
    for (index, call) in calls.iter().enumerate() {
        let Some((member, params)) = *call else { continue };
        let same = |shared: &Shared<'_>| {
            shared.params.args[..2] == params.args[..2]
                && shared.params.filter == params.filter
                && shared.members[member].is_none()
        };
        match all.iter_mut().find(|shared| same(shared)) {
            Some(shared) => shared.members[member] = Some(index),
            None => {
                let mut members = [None; MEMBERS.len()];
                members[member] = Some(index);
                all.push(Shared { params, members });
            }
        }
    }
    all.retain(|shared| shared.members.iter().flatten().count() > 1);
    all
}

impl OptimizerRule for SharedRanks {
    fn name(&self) -> &str {
        "shared_ranks"
    }

    fn apply_order(&self) -> Option<ApplyOrder> {
        Some(ApplyOrder::BottomUp)
    }

    fn rewrite(
        &self,
        plan: LogicalPlan,
        _: &dyn OptimizerConfig,
    ) -> EngineResult<Transformed<LogicalPlan>> {
        let new = match &plan {
            LogicalPlan::Aggregate(aggregate) => self.shared(aggregate)?,
            _ => None,
        };
        Ok(new.map_or_else(|| Transformed::no(plan), Transformed::yes))
    }
}
