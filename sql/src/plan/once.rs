//! Calls that have one answer in a statement, as `now()`: with parameters in their place a plan is
//! optimized once, and each run fills in what they answer then.

use chrono::{DateTime, Utc};
use datafusion::common::Result as EngineResult;
use datafusion::common::metadata::ScalarAndMetadata;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::execution::SessionState;
use datafusion::logical_expr::expr::Placeholder;
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::{Expr, ExprSchemable, LogicalPlan, Volatility};

use super::{DFSchema, folded_at};
use crate::error::Result;

/// Whether an expression is a call that is answered once: stable, of nothing.
pub(super) fn is_once(expression: &Expr) -> bool {
    matches!(expression, Expr::ScalarFunction(call)
        if call.args.is_empty() && call.func.signature().volatility == Volatility::Stable)
}

/// The plan with parameters in place of such calls, numbered from `first` on, and the calls in the
/// order of their numbers.
pub fn with_parameters(plan: &LogicalPlan, first: usize) -> EngineResult<(LogicalPlan, Vec<Expr>)> {
    let mut calls: Vec<Expr> = Vec::new();
    let plan = plan.clone().transform_up_with_subqueries(|node| {
        let names = NamePreserver::new(&node);
        let replaced = node.map_expressions(|expression| {
            if !expression.exists(|inner| Ok(is_once(inner)))? {
                return Ok(Transformed::no(expression));
            }
            let name = names.save(&expression);
            let replaced = expression.transform_up(|inner| match is_once(&inner) {
                true => Ok(Transformed::yes(parameter(&mut calls, first, inner)?)),
                false => Ok(Transformed::no(inner)),
            })?;
            Ok(replaced.update_data(|replaced| name.restore(replaced)))
        })?;
        match replaced.transformed {
            true => replaced.map_data(LogicalPlan::recompute_schema),
            false => Ok(replaced),
        }
    })?;
    Ok((plan.data, calls))
}

fn parameter(calls: &mut Vec<Expr>, first: usize, call: Expr) -> EngineResult<Expr> {
    let (_, field) = call.to_field(&DFSchema::empty())?;
    let at = calls.iter().position(|known| *known == call).unwrap_or_else(|| {
        calls.push(call);
        calls.len() - 1
    });
    let id = format!("${}", first + at);
    Ok(Expr::Placeholder(Placeholder::new_with_field(id, Some(field))))
}

/// What the calls answer in a statement that began at `now`.
///
/// # Errors
/// Those of the functions.
pub fn answers(
    engine: &SessionState,
    now: DateTime<Utc>,
    calls: &[Expr],
) -> Result<Vec<ScalarAndMetadata>> {
    let answer = |call: &Expr| {
        let (_, field) = call.to_field(&DFSchema::empty())?;
        let metadata = (!field.metadata().is_empty()).then(|| field.metadata().into());
        let value = folded_at(engine, Some(now), call.clone())?;
        Ok(ScalarAndMetadata::new(value, metadata))
    };
    calls.iter().map(answer).collect()
}
