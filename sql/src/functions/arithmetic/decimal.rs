//! Decimals as 128-bit integers: products and quotients with rounding.

use datafusion::arrow::array::{Array, AsArray, Datum, PrimitiveArray};
use datafusion::arrow::datatypes::{Decimal128Type, i256};

use super::{by_zero, overflow};
use crate::error::Error;

/// Every pair of decimals of which none is NULL.
pub(super) fn pairs(
    left: &dyn Datum,
    right: &dyn Datum,
    operation: impl Fn(i128, i128) -> Result<i128, Error>,
) -> Result<PrimitiveArray<Decimal128Type>, Error> {
    let ((left, one_left), (right, one_right)) = (left.get(), right.get());
    let left = left.as_primitive::<Decimal128Type>();
    let right = right.as_primitive::<Decimal128Type>();
    let none = |rows| Ok(PrimitiveArray::new_null(rows));
    match (one_left, one_right) {
        (false, true) if right.is_null(0) => none(left.len()),
        (true, false) if left.is_null(0) => none(right.len()),
        (false, true) => {
            let right = right.value(0);
            left.try_unary(|left| operation(left, right))
        }
        (true, false) => {
            let left = left.value(0);
            right.try_unary(|right| operation(left, right))
        }
        _ => {
            let values = left.iter().zip(right.iter()).map(|pair| match pair {
                (Some(left), Some(right)) => operation(left, right).map(Some),
                _ => Ok(None),
            });
            values.collect()
        }
    }
}

/// A power of ten that a numeric holds.
pub(super) fn power(exponent: i8) -> i128 {
    10_i128.pow(u32::try_from(exponent).unwrap_or(0))
}

/// `left * right / 10^extra`
pub(super) fn product(left: i128, right: i128, extra: i8) -> Result<i128, Error> {
    if let Some(product) = left.checked_mul(right) {
        return Ok(if extra == 0 { product } else { rounded(product, power(extra)) });
    }
    let product = i256::from_i128(left).wrapping_mul(i256::from_i128(right));
    wide_rounded(product, i256::from_i128(power(extra)))
}

/// `left * 10^shift / right`
pub(super) fn quotient(left: i128, right: i128, shift: u32) -> Result<i128, Error> {
    if right == 0 {
        return Err(by_zero());
    }
    let scaled = 10_i128.checked_pow(shift).and_then(|power| left.checked_mul(power));
    if let Some(scaled) = scaled {
        return Ok(rounded(scaled, right));
    }
    let power = i256::from_i128(10).checked_pow(shift).ok_or_else(overflow)?;
    let scaled = i256::from_i128(left).checked_mul(power).ok_or_else(overflow)?;
    wide_rounded(scaled, i256::from_i128(right))
}

/// A quotient, half away from zero.
fn rounded(value: i128, divisor: i128) -> i128 {
    let (whole, rest) = (value / divisor, value % divisor);
    match rest.unsigned_abs() >= divisor.unsigned_abs() - rest.unsigned_abs() {
        false => whole,
        true if (value < 0) == (divisor < 0) => whole + 1,
        true => whole - 1,
    }
}

/// The same in 256 bits; the result must have 128.
fn wide_rounded(value: i256, divisor: i256) -> Result<i128, Error> {
    let (whole, rest) = (value.wrapping_div(divisor), value.wrapping_rem(divisor));
    let zero = i256::from_i128(0);
    let size = |value: i256| if value < zero { value.wrapping_neg() } else { value };
    let whole = match size(rest) >= size(divisor).wrapping_sub(size(rest)) {
        false => whole,
        true if (value < zero) == (divisor < zero) => whole.wrapping_add(i256::from_i128(1)),
        true => whole.wrapping_sub(i256::from_i128(1)),
    };
    whole.to_i128().ok_or_else(overflow)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotients_round_half_away_from_zero() {
        for (value, divisor, result) in
            [(5, 2, 3), (-5, 2, -3), (5, -2, -3), (4, 3, 1), (-4, 3, -1), (1, 3, 0), (2, 3, 1)]
        {
            assert_eq!(rounded(value, divisor), result, "{value} / {divisor}");
            let wide = wide_rounded(i256::from_i128(value), i256::from_i128(divisor));
            assert_eq!(wide.unwrap(), result, "{value} / {divisor}");
        }
        // PostgreSQL 15: select 1e20::numeric / 7, round(-2e30 / 3, 5).
        assert_eq!(
            quotient(10_i128.pow(38) / 7, 3, 20).unwrap_err().to_string(),
            overflow().to_string()
        );
        assert_eq!(quotient(-2, 3, 35).unwrap(), -66_666_666_666_666_666_666_666_666_666_666_667);
        assert_eq!(quotient(1, 0, 3).unwrap_err().to_string(), by_zero().to_string());
    }

    #[test]
    fn long_products_are_rounded() {
        let tenth = 10_i128.pow(37);
        assert_eq!(product(tenth, tenth, 38).unwrap(), 10_i128.pow(36));
        assert_eq!(product(-15, 1, 1).unwrap(), -2);
        assert!(product(tenth, tenth, 0).is_err());
    }
}
