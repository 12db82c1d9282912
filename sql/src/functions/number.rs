//! `width_bucket`, rounding of floats to even, and the domain of logarithms. NULL gives NULL.

use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, AsArray, Float64Array, Int32Array};
use datafusion::arrow::datatypes::{DataType, Float64Type, Int32Type};
use datafusion::common::Result as EngineResult;
use datafusion::logical_expr::{ColumnarValue, ScalarUDF, Volatility, create_udf};

use crate::error::Error;

/// `width_bucket(x, low, high, n)`: which of `n` equal buckets between the bounds holds `x`; 0 is
/// below them and n + 1 above. Bounds may be given high to low.
pub(super) fn width_bucket() -> ScalarUDF {
    let all = |arguments: &[ColumnarValue]| -> EngineResult<ColumnarValue> {
        let arrays = ColumnarValue::values_to_arrays(arguments)?;
        let floats = |i: usize| arrays[i].as_primitive::<Float64Type>().iter();
        let counts = arrays[3].as_primitive::<Int32Type>().iter();
        let rows = floats(0).zip(floats(1)).zip(floats(2)).zip(counts);
        let bucket = |(((x, low), high), count): (((Option<f64>, _), _), _)| {
            let (Some(x), Some(low), Some(high), Some(count)) = (x, low, high, count) else {
                return Ok(None);
            };
            one_bucket(x, low, high, count).map(Some)
        };
        let buckets = rows.map(bucket).collect::<Result<Int32Array, Error>>()?;
        Ok(ColumnarValue::Array(Arc::new(buckets) as ArrayRef))
    };
    let float = DataType::Float64;
    let arguments = vec![float.clone(), float.clone(), float, DataType::Int32];
    let to = DataType::Int32;
    create_udf("width_bucket", arguments, to, Volatility::Immutable, Arc::new(all))
}

fn one_bucket(x: f64, low: f64, high: f64, count: i32) -> Result<i32, Error> {
    if count <= 0 {
        return Err(Error::new("2201G", "count must be greater than zero"));
    }
    if x.is_nan() || low.is_nan() || high.is_nan() {
        let message = "operand, lower bound, and upper bound cannot be NaN";
        return Err(Error::new("2201G", message));
    }
    if low == high || low.is_infinite() || high.is_infinite() {
        return Err(Error::new("2201G", "lower bound cannot equal upper bound"));
    }
    let (below, above) = if low < high { (x < low, x >= high) } else { (x > low, x <= high) };
    Ok(match (below, above) {
        (true, _) => 0,
        (_, true) => {
            count.checked_add(1).ok_or_else(|| Error::new("22003", "integer out of range"))?
        }
        _ => (((x - low) / (high - low) * f64::from(count)) as i32).min(count - 1) + 1,
    })
}

/// `round(double precision)`: ties go to the even neighbour.
pub(crate) fn round_even() -> ScalarUDF {
    let round = |arguments: &[ColumnarValue]| -> EngineResult<ColumnarValue> {
        let arrays = ColumnarValue::values_to_arrays(arguments)?;
        let floats = arrays[0].as_primitive::<Float64Type>();
        let rounded: Float64Array = floats.unary(f64::round_ties_even);
        Ok(ColumnarValue::Array(Arc::new(rounded) as ArrayRef))
    };
    let float = DataType::Float64;
    create_udf("round", vec![float.clone()], float, Volatility::Immutable, Arc::new(round))
}

/// The argument of a logarithm, which must be positive (2201E).
pub(crate) fn positive() -> ScalarUDF {
    let check = |arguments: &[ColumnarValue]| -> EngineResult<ColumnarValue> {
        let arrays = ColumnarValue::values_to_arrays(arguments)?;
        for value in arrays[0].as_primitive::<Float64Type>().iter().flatten() {
            if value == 0.0 {
                return Err(Error::new("2201E", "cannot take logarithm of zero").into());
            }
            if value < 0.0 {
                let message = "cannot take logarithm of a negative number";
                return Err(Error::new("2201E", message).into());
            }
        }
        Ok(ColumnarValue::Array(Arc::clone(&arrays[0])))
    };
    let float = DataType::Float64;
    create_udf("positive", vec![float.clone()], float, Volatility::Immutable, Arc::new(check))
}

#[cfg(test)]
mod tests {
    use super::*;

    // PostgreSQL 15: select width_bucket(…).
    #[test]
    fn buckets() {
        for ((x, low, high, count), bucket) in [
            ((5.35, 0.024, 10.06, 5), 3),
            ((-1.0, 0.0, 10.0, 5), 0),
            ((10.0, 0.0, 10.0, 5), 6),
            ((0.0, 0.0, 10.0, 5), 1),
            ((2.0, 10.0, 0.0, 5), 5),
            ((10.0, 10.0, 0.0, 5), 1),
            ((0.0, 10.0, 0.0, 5), 6),
        ] {
            assert_eq!(one_bucket(x, low, high, count).unwrap(), bucket, "{x} {low} {high}");
        }
        assert!(one_bucket(1.0, 0.0, 1.0, 0).is_err());
        assert!(one_bucket(1.0, 1.0, 1.0, 3).is_err());
    }
}
