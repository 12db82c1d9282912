//! Times and single keys as i64: what types there are, and how each becomes ticks.
//!
//! Integers, dates and timestamps are what they are; unsigned 64-bit ones are moved down by half
//! their range; floats go by `kernels::asof::time_of_float`; a numeric is its unscaled digits. The
//! engine has coerced both sides to one type before, so that ticks are of one unit.

use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, Int64Array};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{
    DataType, Date64Type, Decimal128Type, Field, Float64Type, Int64Type, TimeUnit,
    TimestampMicrosecondType, TimestampMillisecondType, TimestampNanosecondType,
    TimestampSecondType, UInt64Type,
};
use datafusion::common::{DFSchema, Result as EngineResult};
use datafusion::logical_expr::expr::BinaryExpr;
use datafusion::logical_expr::type_coercion::binary::comparison_coercion;
use datafusion::logical_expr::{Expr, ExprSchemable};
use kernels::asof::{Axis, float_of, time_of_float};

use crate::error::Error;
use crate::features::duration_text;

/// 42883 if the times of a condition cannot be compared, 42804 if they have no distance.
pub(super) fn check(time: &Expr, schema: &DFSchema, place: Option<(u64, u64)>) -> EngineResult<()> {
    let Expr::BinaryExpr(BinaryExpr { left, op, right }) = time else { return Ok(()) };
    let (of_left, of_right) = (left.get_type(schema)?, right.get_type(schema)?);
    let name = |data_type: &DataType| {
        let field = Field::new("", data_type.clone(), true);
        crate::types::describe(&field).data_type
    };
    let is_text = |data_type: &DataType| data_type.is_string();
    // The engine would compare anything with text, as text.
    let common = comparison_coercion(&of_left, &of_right)
        .filter(|_| is_text(&of_left) == is_text(&of_right));
    match common {
        None => {
            let message =
                format!("operator does not exist: {} {op} {}", name(&of_left), name(&of_right));
            Err(Error::new("42883", message)
                .with_hint("Cast one side of the AS OF join's time to the other's type.")
                .at_place(place)
                .into())
        }
        Some(common) if is_supported(&common) => Ok(()),
        Some(common) => {
            let message = format!("an AS OF join cannot go by times of type {}", name(&common));
            Err(Error::new("42804", message)
                .with_hint("Times are timestamps, dates or numbers.")
                .at_place(place)
                .into())
        }
    }
}

/// Whether a type has ticks.
pub(super) fn is_supported(data_type: &DataType) -> bool {
    match data_type {
        DataType::Timestamp(..) | DataType::Date32 | DataType::Date64 => true,
        DataType::Decimal128(..) | DataType::Null => true,
        other => other.is_integer() || other.is_floating(),
    }
}

/// The axis of a type's ticks.
pub(super) fn axis(data_type: &DataType) -> Axis {
    if data_type.is_floating() { Axis::Float } else { Axis::Integer }
}

/// Nanoseconds of a tick; None for numbers.
pub(super) fn tick_nanos(data_type: &DataType) -> Option<i64> {
    match data_type {
        DataType::Timestamp(TimeUnit::Second, _) => Some(1_000_000_000),
        DataType::Timestamp(TimeUnit::Millisecond, _) | DataType::Date64 => Some(1_000_000),
        DataType::Timestamp(TimeUnit::Microsecond, _) => Some(1_000),
        DataType::Timestamp(TimeUnit::Nanosecond, _) => Some(1),
        DataType::Date32 => Some(86_400_000_000_000),
        _ => None,
    }
}

/// A distance between times, as a user would write it.
pub(super) fn span(ticks: i64, data_type: &DataType) -> String {
    match tick_nanos(data_type) {
        Some(tick) => {
            let us = i128::from(ticks) * i128::from(tick) / 1_000;
            duration_text(i64::try_from(us).unwrap_or(i64::MAX))
        }
        None if data_type.is_floating() => float_of(ticks).to_string(),
        None => ticks.to_string(),
    }
}

/// An array's values as ticks; NULL stays NULL. Numerics beyond 64 bits are out of range.
pub(super) fn ticks(array: &ArrayRef) -> EngineResult<Int64Array> {
    Ok(match array.data_type() {
        DataType::Int64 => array.as_primitive::<Int64Type>().clone(),
        DataType::Timestamp(TimeUnit::Second, _) => {
            array.as_primitive::<TimestampSecondType>().reinterpret_cast()
        }
        DataType::Timestamp(TimeUnit::Millisecond, _) => {
            array.as_primitive::<TimestampMillisecondType>().reinterpret_cast()
        }
        DataType::Timestamp(TimeUnit::Microsecond, _) => {
            array.as_primitive::<TimestampMicrosecondType>().reinterpret_cast()
        }
        DataType::Timestamp(TimeUnit::Nanosecond, _) => {
            array.as_primitive::<TimestampNanosecondType>().reinterpret_cast()
        }
        DataType::Date64 => array.as_primitive::<Date64Type>().reinterpret_cast(),
        DataType::Date32 => ticks(&cast(array, &DataType::Int32)?)?,
        DataType::UInt64 => {
            let half = 1 << 63;
            array.as_primitive::<UInt64Type>().unary(|value| (value ^ half) as i64)
        }
        DataType::Decimal128(..) => {
            let out = || {
                Error::new("22003", "a numeric time is out of range for 64 bits")
                    .with_hint("Compare it as a whole number: CAST(time AS bigint).")
            };
            let digits = array.as_primitive::<Decimal128Type>();
            digits.try_unary(|value| i64::try_from(value).map_err(|_| out()))?
        }
        DataType::Float64 => array.as_primitive::<Float64Type>().unary(time_of_float),
        data_type if data_type.is_floating() => ticks(&cast(array, &DataType::Float64)?)?,
        DataType::Null => Int64Array::new_null(array.len()),
        data_type if data_type.is_integer() => ticks(&cast(array, &DataType::Int64)?)?,
        other => return datafusion::common::internal_err!("{other} has no ticks"),
    })
}

/// The values of one key as integers that are equal where the keys are; None for other types.
pub(super) fn integers(array: &ArrayRef) -> Option<EngineResult<Int64Array>> {
    let data_type = array.data_type();
    let fits = match data_type {
        DataType::Decimal128(..) | DataType::Null => false,
        other => is_supported(other),
    };
    fits.then(|| ticks(array))
}

/// A float without its negative zero and with one NaN, as SQL compares them; others as they are.
pub(super) fn comparable(array: &ArrayRef) -> EngineResult<ArrayRef> {
    Ok(match array.data_type() {
        data_type if data_type.is_floating() => Arc::new(ticks(array)?),
        _ => Arc::clone(array),
    })
}
