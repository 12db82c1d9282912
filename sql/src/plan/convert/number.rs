//! Numbers to narrower ones with rounding, and arithmetic that fails where Postgres' does.
//!
//! Postgres rounds a float to the nearest integer, ties to even, and a numeric away from zero; what
//! does not fit is an error (22003), in casts and in `+ - *` alike. `/ 0` is an error (22012).

use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray};
use datafusion::arrow::compute::kernels::numeric::{add, div, mul, sub};
use datafusion::arrow::compute::{CastOptions, cast, cast_with_options};
use datafusion::arrow::datatypes::{
    DataType, Field, FieldRef, Float32Type, Float64Type, Int64Type,
};
use datafusion::arrow::error::ArrowError;
use datafusion::common::{DFSchema, DataFusionError, Result as EngineResult, ScalarValue};
use datafusion::logical_expr::expr::{AggregateFunction, ScalarFunction, WindowFunction};
use datafusion::logical_expr::{
    ColumnarValue, Expr, ExprSchemable, Operator, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF,
    ScalarUDFImpl, Signature, Volatility, cast as engine_cast,
};
use datafusion::physical_expr_common::datum::apply;

use crate::error::Error;

/// Whether the cast rounds, or may be out of range.
pub(super) fn converts(from: &DataType, to: &DataType) -> bool {
    let decimal = matches!(from, DataType::Decimal128(..) | DataType::Decimal256(..));
    match to {
        DataType::Float32 => decimal || from == &DataType::Float64,
        to => (decimal || is_float(from)) && width(to).is_some(),
    }
}

/// The cast.
pub(super) fn converted(value: Expr, to: &DataType) -> Expr {
    let signature = Signature::any(1, Volatility::Immutable);
    call(Number { operation: Operation::Convert, to: to.clone(), signature }, vec![value])
}

/// `sum(bigint)` as a numeric, which does not overflow.
pub(super) fn wide_sum(call: &AggregateFunction, schema: &DFSchema) -> Option<Expr> {
    let [value] = call.params.args.as_slice() else { return None };
    let wide = call.func.name() == "sum" && value.get_type(schema).ok()? == DataType::Int64;
    wide.then(|| {
        let mut call = call.clone();
        call.params.args = vec![engine_cast(value.clone(), DataType::Decimal128(19, 0))];
        Expr::AggregateFunction(call)
    })
}

/// The same of a window's sum.
pub(super) fn wide_window_sum(call: &WindowFunction, schema: &DFSchema) -> Option<Expr> {
    let [value] = call.params.args.as_slice() else { return None };
    let wide = call.fun.name() == "sum" && value.get_type(schema).ok()? == DataType::Int64;
    wide.then(|| {
        let mut call = call.clone();
        call.params.args = vec![engine_cast(value.clone(), DataType::Decimal128(19, 0))];
        Expr::WindowFunction(Box::new(call))
    })
}

/// `left op right` with a check for overflow; None if the engine's own does.
pub(super) fn checked(
    op: Operator,
    (left, left_type): (&Expr, &DataType),
    (right, right_type): (&Expr, &DataType),
) -> Option<Expr> {
    let (operation, to) = match op {
        Operator::Divide => (Operation::Divide, quotient(left_type, right_type)?),
        _ => {
            let left_wider = width(left_type)? >= width(right_type)?;
            let to = if left_wider { left_type } else { right_type };
            let operation = match op {
                Operator::Plus => Operation::Add,
                Operator::Minus => Operation::Subtract,
                Operator::Multiply => Operation::Multiply,
                _ => return None,
            };
            (operation, to.clone())
        }
    };
    let signature = Signature::any(2, Volatility::Immutable);
    let number = Number { operation, to, signature };
    Some(call(number, vec![left.clone(), right.clone()]))
}

fn call(number: Number, arguments: Vec<Expr>) -> Expr {
    let function = Arc::new(ScalarUDF::from(number));
    Expr::ScalarFunction(ScalarFunction::new_udf(function, arguments))
}

/// The type of a quotient of floats, or of a float and a number.
fn quotient(left: &DataType, right: &DataType) -> Option<DataType> {
    if left == &DataType::Float32 && right == &DataType::Float32 {
        return Some(DataType::Float32);
    }
    let one = is_float(left) || is_float(right);
    (one && left.is_numeric() && right.is_numeric()).then_some(DataType::Float64)
}

fn is_float(of: &DataType) -> bool {
    matches!(of, DataType::Float32 | DataType::Float64)
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
    Convert,
    Add,
    Subtract,
    Multiply,
    Divide,
}

/// An operation whose result is of type `to`.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Number {
    operation: Operation,
    to: DataType,
    signature: Signature,
}

impl Number {
    fn symbol(&self) -> &'static str {
        match self.operation {
            Operation::Convert => "::",
            Operation::Add => "+",
            Operation::Subtract => "-",
            Operation::Multiply => "*",
            Operation::Divide => "/",
        }
    }

    fn out_of_range(&self) -> Error {
        let name = match self.to {
            DataType::Int16 => "smallint",
            DataType::Int32 => "integer",
            DataType::Float32 => "real",
            _ => "bigint",
        };
        Error::new("22003", format!("{name} out of range"))
    }
}

impl ScalarUDFImpl for Number {
    fn name(&self) -> &str {
        match self.operation {
            Operation::Convert => "converted",
            Operation::Add => "checked_add",
            Operation::Subtract => "checked_subtract",
            Operation::Multiply => "checked_multiply",
            Operation::Divide => "checked_divide",
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
        if self.operation == Operation::Convert {
            return match &values[0] {
                ColumnarValue::Array(array) => Ok(ColumnarValue::Array(self.convert(array)?)),
                ColumnarValue::Scalar(_) => {
                    let converted = self.convert(&values[0].to_array(1)?)?;
                    Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(&converted, 0)?))
                }
            };
        }
        let left = values[0].cast_to(&self.to, None)?;
        let right = values[1].cast_to(&self.to, None)?;
        let done = match self.operation {
            Operation::Add => apply(&left, &right, add),
            Operation::Subtract => apply(&left, &right, sub),
            Operation::Divide => {
                no_zero(&right)?;
                apply(&left, &right, div)
            }
            Operation::Multiply | Operation::Convert => apply(&left, &right, mul),
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
    fn convert(&self, array: &ArrayRef) -> EngineResult<ArrayRef> {
        if self.to == DataType::Float32 {
            return self.real(array);
        }
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

    fn real(&self, array: &ArrayRef) -> EngineResult<ArrayRef> {
        let floats = cast(array, &DataType::Float64)?;
        let narrow = |value: f64| {
            let real = value as f32;
            if real.is_infinite() && value.is_finite() {
                Err(self.out_of_range())
            } else {
                Ok(real)
            }
        };
        let floats = floats.as_primitive::<Float64Type>();
        Ok(Arc::new(floats.try_unary::<_, Float32Type, Error>(narrow)?))
    }
}

fn no_zero(divisor: &ColumnarValue) -> Result<(), Error> {
    let zero = match divisor {
        ColumnarValue::Scalar(ScalarValue::Float64(value)) => *value == Some(0.0),
        ColumnarValue::Scalar(ScalarValue::Float32(value)) => *value == Some(0.0),
        ColumnarValue::Scalar(_) => false,
        ColumnarValue::Array(array) => match array.data_type() {
            DataType::Float32 => array.as_primitive::<Float32Type>().iter().any(|v| v == Some(0.0)),
            _ => array.as_primitive::<Float64Type>().iter().any(|v| v == Some(0.0)),
        },
    };
    if zero { Err(Error::new("22012", "division by zero")) } else { Ok(()) }
}
