//! `interval * number`, `number * interval` and `interval / number`, which the engine lacks.
//!
//! As in Postgres, what is left of months goes to days (30 a month) and of days to time (24 hours).

use std::sync::{Arc, LazyLock};

use crate::functions::interval::elapsed;
use datafusion::arrow::array::{Array, ArrayRef, AsArray, IntervalMonthDayNanoArray};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{
    DataType, Float64Type, IntervalMonthDayNano, IntervalMonthDayNanoType, IntervalUnit,
};
use datafusion::common::{DFSchema, Result};
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::planner::{ExprPlanner, PlannerResult, RawBinaryExpr};
use datafusion::logical_expr::sqlparser::ast::BinaryOperator;
use datafusion::logical_expr::{
    ColumnarValue, Expr, ExprSchemable, ScalarUDF, Volatility, create_udf, lit,
};

const INTERVAL: DataType = DataType::Interval(IntervalUnit::MonthDayNano);
const DAYS_PER_MONTH: f64 = 30.0;
const NANOSECONDS_PER_DAY: f64 = 86_400e9;

/// Sees products of an interval and a number before the engine refuses them.
#[derive(Debug)]
pub struct IntervalProducts;

impl ExprPlanner for IntervalProducts {
    fn plan_binary_op(
        &self,
        expr: RawBinaryExpr,
        schema: &DFSchema,
    ) -> Result<PlannerResult<RawBinaryExpr>> {
        if !matches!(expr.op, BinaryOperator::Multiply | BinaryOperator::Divide) {
            return Ok(PlannerResult::Original(expr));
        }
        let kind = |side: &Expr| side.get_type(schema).unwrap_or(DataType::Null);
        let RawBinaryExpr { left, right, op } = expr;
        let split = |side: Expr| match kind(&side) {
            DataType::Duration(_) => elapsed().call(vec![side]),
            _ => side,
        };
        let expr = RawBinaryExpr { left: split(left), right: split(right), op };
        let (left, right) = (kind(&expr.left), kind(&expr.right));
        let (interval, factor) = match (&left, &right, &expr.op) {
            (DataType::Interval(_), number, BinaryOperator::Multiply) if number.is_numeric() => {
                (expr.left, expr.right)
            }
            (number, DataType::Interval(_), BinaryOperator::Multiply) if number.is_numeric() => {
                (expr.right, expr.left)
            }
            (DataType::Interval(_), number, BinaryOperator::Divide) if number.is_numeric() => {
                let divisor = datafusion::logical_expr::cast(expr.right, DataType::Float64);
                (expr.left, lit(1.0_f64) / divisor)
            }
            _ => return Ok(PlannerResult::Original(expr)),
        };
        let factor = datafusion::logical_expr::cast(factor, DataType::Float64);
        let product = ScalarFunction::new_udf(Arc::clone(&TIMES), vec![interval, factor]);
        Ok(PlannerResult::Planned(Expr::ScalarFunction(product)))
    }
}

/// One function for all: expressions are the same only if what they call is.
static TIMES: LazyLock<Arc<ScalarUDF>> = LazyLock::new(|| Arc::new(function()));

fn function() -> ScalarUDF {
    let multiply = |arguments: &[ColumnarValue]| {
        let arrays = ColumnarValue::values_to_arrays(arguments)?;
        let intervals = cast(&arrays[0], &INTERVAL)?;
        let intervals = intervals.as_primitive::<IntervalMonthDayNanoType>();
        let factors = arrays[1].as_primitive::<Float64Type>();
        let product = |row: usize| {
            let valid = intervals.is_valid(row) && factors.is_valid(row);
            valid.then(|| times(intervals.value(row), factors.value(row)))
        };
        let products: IntervalMonthDayNanoArray = (0..intervals.len()).map(product).collect();
        Ok(ColumnarValue::Array(Arc::new(products) as ArrayRef))
    };
    let arguments = vec![INTERVAL, DataType::Float64];
    create_udf("interval_times", arguments, INTERVAL, Volatility::Immutable, Arc::new(multiply))
}

fn times(interval: IntervalMonthDayNano, factor: f64) -> IntervalMonthDayNano {
    let months = f64::from(interval.months) * factor;
    let days = f64::from(interval.days) * factor + months.fract() * DAYS_PER_MONTH;
    let time = interval.nanoseconds as f64 * factor + days.fract() * NANOSECONDS_PER_DAY;
    // Microseconds are the finest that Postgres keeps.
    let nanoseconds = (time / 1e3).round() as i64 * 1000;
    IntervalMonthDayNano::new(months.trunc() as i32, days.trunc() as i32, nanoseconds)
}

#[cfg(test)]
mod tests {
    use super::*;

    // PostgreSQL 15: interval '1 month 1 day 1 hour' * 1.5 is 1 mon 16 days 13:30:00.
    #[test]
    fn fractions_go_down() {
        let interval = IntervalMonthDayNano::new(1, 1, 3_600_000_000_000);
        let product = times(interval, 1.5);
        assert_eq!((product.months, product.days), (1, 16));
        assert_eq!(product.nanoseconds, 13 * 3_600_000_000_000 + 30 * 60_000_000_000);
        assert_eq!(times(interval, -2.0).months, -2);
    }
}
