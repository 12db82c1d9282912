//! Numbers to narrower ones, with rounding.
//!
//! Postgres rounds a float to the nearest integer, ties to even, and a numeric away from zero; what
//! does not fit is an error (22003).

use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, ListArray};
use datafusion::arrow::compute::{CastOptions, cast, cast_with_options};
use datafusion::arrow::datatypes::{
    DataType, Decimal128Type, Field, FieldRef, Float32Type, Float64Type, Int64Type,
};
use datafusion::common::{DFSchema, Result as EngineResult, ScalarValue};
use datafusion::logical_expr::expr::{AggregateFunction, ScalarFunction, WindowFunction};
use datafusion::logical_expr::{
    ColumnarValue, Expr, ExprSchemable, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF,
    ScalarUDFImpl, Signature, Volatility, cast as engine_cast,
};

use super::numeric::field_overflow;
use crate::error::Error;
use crate::functions::arithmetic::out_of_range;

/// Digits of a numeric that are all exact in a float, and greatest power of ten that is.
const EXACT_DIGITS: u8 = 15;
const EXACT_POWER: i8 = 22;

/// Whether the cast rounds, or may be out of range.
pub(super) fn converts(from: &DataType, to: &DataType) -> bool {
    if let (DataType::List(from), DataType::List(to)) = (from, to) {
        return converts(from.data_type(), to.data_type());
    }
    let decimal = matches!(from, DataType::Decimal128(..) | DataType::Decimal256(..));
    match to {
        DataType::Decimal128(..) => {
            is_float(from) || (from.is_numeric() && whole(from) > whole(to))
        }
        DataType::Float32 => decimal || from == &DataType::Float64,
        // The engine rounds digits that a float has no room for, and the quotient again.
        DataType::Float64 => {
            matches!(from, DataType::Decimal128(precision, _) if *precision > EXACT_DIGITS)
        }
        to => (decimal || is_float(from)) && width(to).is_some(),
    }
}

/// Digits before the point that a number of the type may have.
pub(super) fn whole(of: &DataType) -> i16 {
    match of {
        DataType::Decimal128(precision, scale) | DataType::Decimal256(precision, scale) => {
            i16::from(*precision) - i16::from(*scale)
        }
        DataType::Int8 | DataType::UInt8 | DataType::Int16 => 5,
        DataType::UInt16 | DataType::Int32 => 10,
        _ => 20,
    }
}

/// The cast.
pub(super) fn converted(value: Expr, to: &DataType) -> Expr {
    let signature = Signature::any(1, Volatility::Immutable);
    call(Number { to: to.clone(), signature }, vec![value])
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

fn call(number: Number, arguments: Vec<Expr>) -> Expr {
    let function = Arc::new(ScalarUDF::from(number));
    Expr::ScalarFunction(ScalarFunction::new_udf(function, arguments))
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

/// The float that is nearest to `digits / 10^scale`.
fn nearest(digits: i128, scale: i8) -> f64 {
    let exact = digits.unsigned_abs() < 1 << f64::MANTISSA_DIGITS;
    match exact && (0..=EXACT_POWER).contains(&scale) {
        // Both are exact, and a quotient is rounded once.
        true => digits as f64 / 10_f64.powi(i32::from(scale)),
        false => format!("{digits}e{}", -i32::from(scale)).parse().unwrap_or(f64::NAN),
    }
}

/// A cast to a number of type `to`.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Number {
    to: DataType,
    signature: Signature,
}

impl Number {
    fn out_of_range(&self) -> Error {
        out_of_range(&self.to)
    }
}

impl ScalarUDFImpl for Number {
    fn name(&self) -> &str {
        "converted"
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
            [value] => Ok(format!("CAST({value} AS {})", self.to)),
            _ => Ok(self.name().to_owned()),
        }
    }

    fn schema_name(&self, arguments: &[Expr]) -> EngineResult<String> {
        match arguments {
            [value] => Ok(value.schema_name().to_string()),
            _ => Ok(self.name().to_owned()),
        }
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> EngineResult<ColumnarValue> {
        match &arguments.args[0] {
            ColumnarValue::Array(array) => Ok(ColumnarValue::Array(self.convert(array)?)),
            scalar => {
                let converted = self.convert(&scalar.to_array(1)?)?;
                Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(&converted, 0)?))
            }
        }
    }
}

impl Number {
    fn convert(&self, array: &ArrayRef) -> EngineResult<ArrayRef> {
        if let DataType::List(item) = &self.to {
            let lists = array.as_list::<i32>();
            let of_items = Self { to: item.data_type().clone(), signature: self.signature.clone() };
            let (offsets, nulls) = (lists.offsets().clone(), lists.nulls().cloned());
            let items = of_items.convert(lists.values())?;
            return Ok(Arc::new(ListArray::try_new(Arc::clone(item), offsets, items, nulls)?));
        }
        if self.to == DataType::Float32 {
            return self.real(array);
        }
        if let (DataType::Float64, DataType::Decimal128(_, scale)) = (&self.to, array.data_type()) {
            let nearest = |digits: i128| nearest(digits, *scale);
            let numbers = array.as_primitive::<Decimal128Type>();
            return Ok(Arc::new(numbers.unary::<_, Float64Type>(nearest)));
        }
        if let DataType::Decimal128(precision, scale) = self.to {
            let strict = CastOptions { safe: false, ..CastOptions::default() };
            let numbers = cast_with_options(array, &self.to, &strict);
            return numbers.map_err(|_| field_overflow(precision, scale).into());
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
