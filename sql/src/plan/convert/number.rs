//! Numbers to integers with rounding, and integer arithmetic that does not wrap.
//!
//! Postgres rounds a float to the nearest integer, ties to even, and a numeric away from zero; what
//! does not fit is an error (22003), in casts and in `+ - *` alike.

use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray};
use datafusion::arrow::compute::kernels::numeric::{add, mul, sub};
use datafusion::arrow::compute::{CastOptions, cast, cast_with_options};
use datafusion::arrow::datatypes::{DataType, Field, FieldRef, Float64Type, Int64Type};
use datafusion::arrow::error::ArrowError;
use datafusion::common::{DataFusionError, Result as EngineResult};
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::{
    ColumnarValue, Expr, Operator, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl,
    Signature, Volatility,
};
use datafusion::physical_expr_common::datum::apply;

use crate::error::Error;

/// Whether the cast rounds.
pub(super) fn rounds(from: &DataType, to: &DataType) -> bool {
    let fractions = matches!(
        from,
        DataType::Float32 | DataType::Float64 | DataType::Decimal128(..) | DataType::Decimal256(..)
    );
    fractions && width(to).is_some()
}

/// The rounding cast.
pub(super) fn rounded(value: Expr, to: &DataType) -> Expr {
    let signature = Signature::any(1, Volatility::Immutable);
    call(Number { operation: Operation::Round, to: to.clone(), signature }, vec![value])
}

/// `left op right` with a check for overflow; None if they are not integers.
pub(super) fn checked(
    op: Operator,
    (left, left_type): (&Expr, &DataType),
    (right, right_type): (&Expr, &DataType),
) -> Option<Expr> {
    let to = if width(left_type)? >= width(right_type)? { left_type } else { right_type };
    let operation = match op {
        Operator::Plus => Operation::Add,
        Operator::Minus => Operation::Subtract,
        Operator::Multiply => Operation::Multiply,
        _ => return None,
    };
    let signature = Signature::any(2, Volatility::Immutable);
    let number = Number { operation, to: to.clone(), signature };
    Some(call(number, vec![left.clone(), right.clone()]))
}

fn call(number: Number, arguments: Vec<Expr>) -> Expr {
    let function = Arc::new(ScalarUDF::from(number));
    Expr::ScalarFunction(ScalarFunction::new_udf(function, arguments))
}

/// Bits of a signed integer type.
fn width(data_type: &DataType) -> Option<u8> {
    match data_type {
        DataType::Int16 => Some(16),
        DataType::Int32 => Some(32),
        DataType::Int64 => Some(64),
        _ => None,
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Operation {
    Round,
    Add,
    Subtract,
    Multiply,
}

/// An operation whose result is an integer of type `to`.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Number {
    operation: Operation,
    to: DataType,
    signature: Signature,
}

impl Number {
    fn symbol(&self) -> &'static str {
        match self.operation {
            Operation::Round => "::",
            Operation::Add => "+",
            Operation::Subtract => "-",
            Operation::Multiply => "*",
        }
    }

    fn out_of_range(&self) -> Error {
        let name = match self.to {
            DataType::Int16 => "smallint",
            DataType::Int32 => "integer",
            _ => "bigint",
        };
        Error::new("22003", format!("{name} out of range"))
    }
}

impl ScalarUDFImpl for Number {
    fn name(&self) -> &str {
        match self.operation {
            Operation::Round => "rounded",
            Operation::Add => "checked_add",
            Operation::Subtract => "checked_subtract",
            Operation::Multiply => "checked_multiply",
        }
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> EngineResult<DataType> {
        Ok(self.to.clone())
    }

    fn return_field_from_args(&self, arguments: ReturnFieldArgs) -> EngineResult<FieldRef> {
        let nullable = arguments.arg_fields.iter().any(|field| field.is_nullable());
        Ok(Arc::new(Field::new(self.name(), self.to.clone(), nullable)))
    }

    /// Shown as what was written.
    fn display_name(&self, arguments: &[Expr]) -> EngineResult<String> {
        match arguments {
            [left, right] => Ok(format!("{left} {} {right}", self.symbol())),
            [value] => Ok(format!("CAST({value} AS {})", self.to)),
            _ => Ok(self.name().to_owned()),
        }
    }

    fn schema_name(&self, arguments: &[Expr]) -> EngineResult<String> {
        match arguments {
            [left, right] => {
                let (left, right) = (left.schema_name(), right.schema_name());
                Ok(format!("{left} {} {right}", self.symbol()))
            }
            [value] => Ok(value.schema_name().to_string()),
            _ => Ok(self.name().to_owned()),
        }
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> EngineResult<ColumnarValue> {
        let values = &arguments.args;
        if self.operation == Operation::Round {
            return match &values[0] {
                ColumnarValue::Array(array) => Ok(ColumnarValue::Array(self.round(array)?)),
                ColumnarValue::Scalar(_) => {
                    let array = values[0].to_array(1)?;
                    let rounded = self.round(&array)?;
                    let scalar = datafusion::common::ScalarValue::try_from_array(&rounded, 0)?;
                    Ok(ColumnarValue::Scalar(scalar))
                }
            };
        }
        let left = values[0].cast_to(&self.to, None)?;
        let right = values[1].cast_to(&self.to, None)?;
        let done = match self.operation {
            Operation::Add => apply(&left, &right, add),
            Operation::Subtract => apply(&left, &right, sub),
            Operation::Multiply | Operation::Round => apply(&left, &right, mul),
        };
        done.map_err(|error| match error {
            DataFusionError::ArrowError(arrow, _)
                if matches!(*arrow, ArrowError::ArithmeticOverflow(_)) =>
            {
                self.out_of_range().into()
            }
            other => other,
        })
    }
}

impl Number {
    fn round(&self, array: &ArrayRef) -> EngineResult<ArrayRef> {
        let whole: ArrayRef = match array.data_type() {
            DataType::Decimal128(precision, scale) if *scale > 0 => {
                let to = DataType::Decimal128(*precision, 0);
                cast(array, &to)?
            }
            DataType::Decimal256(precision, scale) if *scale > 0 => {
                let to = DataType::Decimal256(*precision, 0);
                cast(array, &to)?
            }
            DataType::Float32 | DataType::Float64 => {
                let floats = cast(array, &DataType::Float64)?;
                let floats = floats.as_primitive::<Float64Type>();
                let round = |value: f64| {
                    let value = value.round_ties_even();
                    // 2^63 is the first float that is no bigint.
                    let fits =
                        (-9.223_372_036_854_775_8e18..9.223_372_036_854_775_8e18).contains(&value);
                    if fits { Ok(value as i64) } else { Err(self.out_of_range()) }
                };
                Arc::new(floats.try_unary::<_, Int64Type, Error>(round)?)
            }
            _ => Arc::clone(array),
        };
        let strict = CastOptions { safe: false, ..CastOptions::default() };
        cast_with_options(&whole, &self.to, &strict).map_err(|_| self.out_of_range().into())
    }
}
