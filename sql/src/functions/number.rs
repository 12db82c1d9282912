//! `width_bucket`, `div`, rounding of floats to even, and the domains of logarithms and powers.
//! NULL gives NULL.

use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, AsArray, Decimal128Array, Float64Array, Int32Array};
use datafusion::arrow::datatypes::{DataType, Decimal128Type, Float64Type, Int32Type, i256};
use datafusion::common::Result as EngineResult;
use datafusion::logical_expr::{
    ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility, create_udf,
};

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

/// Functions of double precision whose answer must be one too: 22003, or 2201F of a power.
pub(super) fn floats() -> Vec<ScalarUDF> {
    let domain = || Error::new("22003", "input is out of range");
    let unary: [(&str, fn(f64) -> f64, fn(f64) -> bool); 5] = [
        ("exp", f64::exp, |_| true),
        ("asin", f64::asin, |x| (-1.0..=1.0).contains(&x)),
        ("acos", f64::acos, |x| (-1.0..=1.0).contains(&x)),
        ("acosh", f64::acosh, |x| x >= 1.0),
        ("atanh", f64::atanh, |x| (-1.0..=1.0).contains(&x)),
    ];
    let unary = unary.map(|(name, of, valid)| {
        float(name, 1, move |x, _| match valid(x) || x.is_nan() {
            false => Err(domain()),
            true if name == "exp" => finite(of(x), x.is_finite()),
            true => Ok(of(x)),
        })
    });
    unary.into_iter().chain([float("power", 2, power)]).collect()
}

fn float(
    name: &str,
    arity: usize,
    of: impl Fn(f64, f64) -> Result<f64, Error> + Send + Sync + 'static,
) -> ScalarUDF {
    let all = move |arguments: &[ColumnarValue]| -> EngineResult<ColumnarValue> {
        let arrays = ColumnarValue::values_to_arrays(arguments)?;
        let column = |i: usize| arrays[i].as_primitive::<Float64Type>();
        let last = arrays.len() - 1;
        let rows = column(0).iter().zip(column(last));
        let one = |(x, y): (Option<f64>, Option<f64>)| match (x, y) {
            (Some(x), Some(y)) => of(x, y).map(Some),
            _ => Ok(None),
        };
        let answers = rows.map(one).collect::<Result<Float64Array, Error>>()?;
        Ok(ColumnarValue::Array(Arc::new(answers) as ArrayRef))
    };
    let float = DataType::Float64;
    let arguments = vec![float.clone(); arity];
    create_udf(name, arguments, float, Volatility::Immutable, Arc::new(all))
}

fn power(x: f64, y: f64) -> Result<f64, Error> {
    if x == 0.0 && y < 0.0 {
        return Err(Error::new("2201F", "zero raised to a negative power is undefined"));
    }
    if x < 0.0 && y.is_finite() && y.fract() != 0.0 {
        let message = "a negative number raised to a non-integer power yields a complex result";
        return Err(Error::new("2201F", message));
    }
    match x == 0.0 {
        true => Ok(x.powf(y)),
        false => finite(x.powf(y), x.is_finite() && y.is_finite()),
    }
}

/// A result that is neither infinite nor zero, if its arguments are finite.
fn finite(result: f64, arguments: bool) -> Result<f64, Error> {
    let lost = match result {
        _ if !arguments => return Ok(result),
        result if result.is_infinite() => "overflow",
        0.0 => "underflow",
        _ => return Ok(result),
    };
    Err(Error::new("22003", format!("value out of range: {lost}")))
}

/// `div(y, x)`: the quotient of two numerics, cut to a whole number.
pub(super) fn div() -> ScalarUDF {
    ScalarUDF::from(Div { signature: Signature::user_defined(Volatility::Immutable) })
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Div {
    signature: Signature,
}

impl ScalarUDFImpl for Div {
    fn name(&self) -> &str {
        "div"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, given: &[DataType]) -> EngineResult<Vec<DataType>> {
        let numeric = |of: &DataType| -> EngineResult<DataType> {
            match of {
                DataType::Decimal128(..) => Ok(of.clone()),
                of if of.is_integer() || of.is_null() => Ok(DataType::Decimal128(20, 0)),
                of if of.is_string() => Ok(crate::types::NUMERIC),
                _ => {
                    Err(Error::new("42883", "function div() of these types does not exist").into())
                }
            }
        };
        match given {
            [left, right] => Ok(vec![numeric(left)?, numeric(right)?]),
            _ => Err(Error::new("42883", "function div() does not exist").into()),
        }
    }

    fn return_type(&self, _: &[DataType]) -> EngineResult<DataType> {
        Ok(DataType::Decimal128(38, 0))
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> EngineResult<ColumnarValue> {
        let arrays = ColumnarValue::values_to_arrays(&arguments.args)?;
        let column = |i: usize| arrays[i].as_primitive::<Decimal128Type>();
        let (left, right) = (column(0), column(1));
        let (of_left, of_right) = (left.scale(), right.scale());
        let rows = left.iter().zip(right.iter()).map(|pair| match pair {
            (Some(l), Some(r)) => whole_quotient((l, of_left), (r, of_right)).map(Some),
            _ => Ok(None),
        });
        let quotients = rows.collect::<Result<Decimal128Array, Error>>()?;
        Ok(ColumnarValue::Array(Arc::new(quotients.with_precision_and_scale(38, 0)?)))
    }
}

fn whole_quotient(
    (left, of_left): (i128, i8),
    (right, of_right): (i128, i8),
) -> Result<i128, Error> {
    if right == 0 {
        return Err(Error::new("22012", "division by zero"));
    }
    let scale = of_left.max(of_right);
    let wide = |value: i128, of: i8| {
        let power = i256::from_i128(10).wrapping_pow(u32::try_from(scale - of).unwrap_or(0));
        i256::from_i128(value).wrapping_mul(power)
    };
    let quotient = wide(left, of_left).wrapping_div(wide(right, of_right));
    quotient.to_i128().ok_or_else(|| Error::new("22003", "value overflows numeric format"))
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
