//! Intervals in an order: by how long they are, a month being thirty days.

use datafusion::arrow::datatypes::DataType;
use datafusion::common::DFSchema;
use datafusion::functions_aggregate::expr_fn::first_value;
use datafusion::logical_expr::expr::AggregateFunction;
use datafusion::logical_expr::{Expr, ExprSchemable};

use crate::functions::interval;

/// What to sort by instead of an interval; None: the value is none.
pub(super) fn key(value: &Expr, schema: &DFSchema) -> Option<Expr> {
    let is_interval = matches!(value.get_type(schema).ok()?, DataType::Interval(_));
    is_interval.then(|| interval::order().call(vec![value.clone()]))
}

/// `min` and `max` of intervals: the first in their order.
pub(super) fn extreme(call: &AggregateFunction, schema: &DFSchema) -> Option<Expr> {
    let descending = match call.func.name() {
        "min" => false,
        "max" => true,
        _ => return None,
    };
    let [value] = call.params.args.as_slice() else { return None };
    let order = key(value, schema)?.sort(!descending, false);
    let Expr::AggregateFunction(mut first) = first_value(value.clone(), vec![order]) else {
        return None;
    };
    let known = value.clone().is_not_null();
    first.params.filter = Some(Box::new(match &call.params.filter {
        Some(filter) => filter.as_ref().clone().and(known),
        None => known,
    }));
    Some(Expr::AggregateFunction(first))
}
