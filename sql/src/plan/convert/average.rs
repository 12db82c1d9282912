//! `avg` of integers and numerics: a numeric, `sum / count`, where the engine gives a float or cuts
//! decimals off.
//!
//! ```text
//!   Aggregate avg(x), …  ──▶  Projection sum / count AS avg(x), …
//!                               Aggregate sum(x), count(x), …
//! ```

use std::sync::Arc;

use datafusion::arrow::datatypes::DataType;
use datafusion::common::tree_node::Transformed;
use datafusion::common::{Column, DFSchema, Result as EngineResult, plan_err};
use datafusion::functions_aggregate::count::count_udaf;
use datafusion::functions_aggregate::sum::sum_udaf;
use datafusion::logical_expr::expr::{AggregateFunction, WindowFunction};
use datafusion::logical_expr::{
    Aggregate, AggregateUDF, Expr, ExprSchemable, LogicalPlan, LogicalPlanBuilder, Operator,
    Window, WindowFunctionDefinition, cast,
};

use super::arithmetic;
use crate::names::MARK;

/// An integer's sum and count as numerics.
const WHOLE: DataType = DataType::Decimal128(19, 0);

/// The node without such averages.
pub(super) fn divided(node: LogicalPlan) -> EngineResult<Transformed<LogicalPlan>> {
    let (calls, input) = match &node {
        LogicalPlan::Aggregate(aggregate) => (&aggregate.aggr_expr, &aggregate.input),
        LogicalPlan::Window(window) => (&window.window_expr, &window.input),
        _ => return Ok(Transformed::no(node)),
    };
    let schema = input.schema();
    if !calls.iter().any(|call| averaged(call, schema).is_some()) {
        return Ok(Transformed::no(node));
    }
    let mut parts = Vec::with_capacity(calls.len() + 1);
    let mut averages = Vec::new();
    for call in calls {
        match averaged(call, schema) {
            None => parts.push(call.clone()),
            Some([sum, count]) => {
                let name = call.schema_name();
                let named = |part: &str| format!("{name}{MARK}{part}");
                averages.push(name.to_string());
                parts.extend([sum.alias(named("sum")), count.alias(named("count"))]);
            }
        }
    }
    let whole = match &node {
        LogicalPlan::Aggregate(aggregate) => {
            let groups = aggregate.group_expr.clone();
            LogicalPlan::Aggregate(Aggregate::try_new(aggregate.input.clone(), groups, parts)?)
        }
        _ => LogicalPlan::Window(Window::try_new(parts, input.clone())?),
    };
    let items = node.schema().iter().map(|(qualifier, field)| {
        match qualifier.is_none() && averages.contains(field.name()) {
            false => Ok(Expr::Column(Column::from((qualifier, field)))),
            true => quotient(field.name(), whole.schema()),
        }
    });
    let items = items.collect::<EngineResult<Vec<_>>>()?;
    Ok(Transformed::yes(LogicalPlanBuilder::from(whole).project(items)?.build()?))
}

/// The sum and the count of which an average is made; None: it is none, or one of floats.
fn averaged(call: &Expr, schema: &DFSchema) -> Option<[Expr; 2]> {
    let arguments = match call {
        Expr::AggregateFunction(call) if call.func.name() == "avg" => &call.params.args,
        Expr::WindowFunction(call) if call.fun.name() == "avg" => &call.params.args,
        _ => return None,
    };
    let [value] = arguments.as_slice() else { return None };
    let summed = match value.get_type(schema).ok()? {
        DataType::Int64 | DataType::UInt64 | DataType::UInt32 => cast(value.clone(), WHOLE),
        of if of.is_integer() || matches!(of, DataType::Decimal128(..)) => value.clone(),
        _ => return None,
    };
    Some([with(call, sum_udaf(), summed)?, with(call, count_udaf(), value.clone())?])
}

/// The same call of another function.
fn with(call: &Expr, function: Arc<AggregateUDF>, argument: Expr) -> Option<Expr> {
    Some(match call {
        Expr::AggregateFunction(call) => {
            let mut params = call.params.clone();
            params.args = vec![argument];
            Expr::AggregateFunction(AggregateFunction { func: function, params })
        }
        Expr::WindowFunction(call) => {
            let mut params = call.params.clone();
            params.args = vec![argument];
            let fun = WindowFunctionDefinition::AggregateUDF(function);
            Expr::WindowFunction(Box::new(WindowFunction { fun, params }))
        }
        _ => return None,
    })
}

/// `sum / count` under the name of the average.
fn quotient(name: &str, schema: &DFSchema) -> EngineResult<Expr> {
    let part = |part: &str| -> EngineResult<(Expr, DataType)> {
        let column = Expr::Column(Column::new_unqualified(format!("{name}{MARK}{part}")));
        let of = column.get_type(schema)?;
        Ok(match of {
            DataType::Decimal128(..) => (column, of),
            _ => (cast(column, WHOLE), WHOLE),
        })
    };
    let ((sum, of_sum), (count, of_count)) = (part("sum")?, part("count")?);
    let quotient = arithmetic::between((sum, &of_sum), Operator::Divide, (count, &of_count));
    match quotient {
        Some(quotient) => Ok(quotient.alias(name)),
        None => plan_err!("{name} is not of numbers"),
    }
}
