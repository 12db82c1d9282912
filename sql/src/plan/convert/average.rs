//! `avg` of integers and numerics: a numeric, `sum / count`, where the engine gives a float or cuts
//! decimals off; and `sum(real)`, which is real again when it is done.
//!
//! ```text
//!   Aggregate avg(x), sum(r), …  ──▶  Projection sum / count AS avg(x), sum::real AS sum(r), …
//!                                       Aggregate sum(x), count(x), sum(r), …
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

use super::{arithmetic, number};
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
    if !calls.iter().any(|call| parts(call, schema).is_some()) {
        return Ok(Transformed::no(node));
    }
    let mut items = Vec::with_capacity(calls.len() + 1);
    let mut made: Vec<(String, bool)> = Vec::new();
    for call in calls {
        let name = call.schema_name();
        let named = |part: &str| format!("{name}{MARK}{part}");
        match parts(call, schema) {
            None => items.push(call.clone()),
            Some(Parts::Average([sum, count])) => {
                made.push((name.to_string(), true));
                items.extend([sum.alias(named("sum")), count.alias(named("count"))]);
            }
            Some(Parts::Real) => {
                made.push((name.to_string(), false));
                items.push(call.clone().alias(named("sum")));
            }
        }
    }
    let whole = match &node {
        LogicalPlan::Aggregate(aggregate) => {
            let groups = aggregate.group_expr.clone();
            LogicalPlan::Aggregate(Aggregate::try_new(aggregate.input.clone(), groups, items)?)
        }
        _ => LogicalPlan::Window(Window::try_new(items, input.clone())?),
    };
    let items = node.schema().iter().map(|(qualifier, field)| {
        let made = made.iter().find(|(name, _)| qualifier.is_none() && name == field.name());
        match made {
            None => Ok(Expr::Column(Column::from((qualifier, field)))),
            Some((name, true)) => quotient(name, whole.schema()),
            Some((name, false)) => Ok(real(name)),
        }
    });
    let items = items.collect::<EngineResult<Vec<_>>>()?;
    Ok(Transformed::yes(LogicalPlanBuilder::from(whole).project(items)?.build()?))
}

/// What is computed in the place of an aggregate.
enum Parts {
    /// The sum and the count of which an average is made.
    Average([Expr; 2]),
    /// The sum in double precision.
    Real,
}

/// None: the engine's aggregate is Postgres'.
fn parts(call: &Expr, schema: &DFSchema) -> Option<Parts> {
    let (function, arguments) = match call {
        Expr::AggregateFunction(call) => (call.func.name(), &call.params.args),
        Expr::WindowFunction(call) => (call.fun.name(), &call.params.args),
        _ => return None,
    };
    let [value] = arguments.as_slice() else { return None };
    let of = value.get_type(schema).ok()?;
    match function {
        "sum" if of == DataType::Float32 => return Some(Parts::Real),
        "avg" => {}
        _ => return None,
    }
    let summed = match of {
        DataType::Int64 | DataType::UInt64 | DataType::UInt32 => cast(value.clone(), WHOLE),
        of if of.is_integer() || matches!(of, DataType::Decimal128(..)) => value.clone(),
        _ => return None,
    };
    let count = with(call, count_udaf(), value.clone())?;
    Some(Parts::Average([with(call, sum_udaf(), summed)?, count]))
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

/// The sum as a real under its own name.
fn real(name: &str) -> Expr {
    let sum = Expr::Column(Column::new_unqualified(format!("{name}{MARK}sum")));
    number::converted(sum, &DataType::Float32).alias(name)
}

/// `sum / count` under the name of the average.
fn quotient(name: &str, schema: &DFSchema) -> EngineResult<Expr> {
    let part = |part: &str| Expr::Column(Column::new_unqualified(format!("{name}{MARK}{part}")));
    Ok(average(part("sum"), part("count"), schema)?.alias(name))
}

/// `sum / count`, of integers or numerics.
pub(crate) fn average(sum: Expr, count: Expr, schema: &DFSchema) -> EngineResult<Expr> {
    let part = |part: Expr| -> EngineResult<(Expr, DataType)> {
        let of = part.get_type(schema)?;
        Ok(match of {
            DataType::Decimal128(..) => (part, of),
            _ => (cast(part, WHOLE), WHOLE),
        })
    };
    let ((sum, of_sum), (count, of_count)) = (part(sum)?, part(count)?);
    let quotient = arithmetic::between((sum, &of_sum), Operator::Divide, (count, &of_count));
    match quotient {
        Some(quotient) => Ok(quotient),
        None => plan_err!("an average is not of numbers"),
    }
}
