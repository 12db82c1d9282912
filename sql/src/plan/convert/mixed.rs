//! Values of two types that are compared: a numeric beside a float is one too, as in Postgres; the
//! engine would go the other way and lose what a numeric of its size cannot hold.

use datafusion::arrow::datatypes::DataType;
use datafusion::common::DFSchema;
use datafusion::logical_expr::expr::Between;
use datafusion::logical_expr::{Expr, ExprSchemable, cast};

fn is_float(of: &DataType) -> bool {
    matches!(of, DataType::Float32 | DataType::Float64)
}

fn is_decimal(of: &DataType) -> bool {
    matches!(of, DataType::Decimal128(..) | DataType::Decimal256(..))
}

fn mixed<'t>(types: impl Iterator<Item = &'t DataType> + Clone) -> bool {
    types.clone().any(is_float) && types.clone().any(is_decimal)
}

/// Two operands, a numeric beside a float as a float; None if they are not such a pair.
pub(super) fn pair(
    (left, of_left): (&Expr, &DataType),
    (right, of_right): (&Expr, &DataType),
) -> Option<(Expr, Expr)> {
    mixed([of_left, of_right].into_iter())
        .then(|| (floated(left.clone(), of_left), floated(right.clone(), of_right)))
}

fn floated(value: Expr, of: &DataType) -> Expr {
    if is_decimal(of) { cast(value, DataType::Float64) } else { value }
}

/// `x BETWEEN low AND high`.
pub(super) fn between(between: &Between, schema: &DFSchema) -> Option<Expr> {
    let sides = [&between.expr, &between.low, &between.high];
    let types = types(sides.into_iter().map(AsRef::as_ref), schema)?;
    mixed(types.iter()).then(|| {
        let [expr, low, high] =
            [0, 1, 2].map(|i| Box::new(floated(sides[i].as_ref().clone(), &types[i])));
        Expr::Between(Between { expr, negated: between.negated, low, high })
    })
}

fn types<'e>(values: impl Iterator<Item = &'e Expr>, schema: &DFSchema) -> Option<Vec<DataType>> {
    values.map(|value| value.get_type(schema).ok()).collect()
}
