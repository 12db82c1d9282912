//! Numerics from text and from numbers that may not fit: what has too many digits is 22003.

use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, Decimal128Array, StringArray};
use datafusion::arrow::datatypes::DataType;

use crate::error::Error;

/// Digits of a numeric.
const DIGITS: usize = 38;

/// The largest exponent that Postgres reads.
const EXPONENT: i64 = 131_071;

/// A number in digits without zeros in front, the last of which stands for `10^exponent`.
struct Written {
    negative: bool,
    digits: Vec<u8>,
    exponent: i64,
}

/// Reads every text as a numeric of so many digits, so many of them behind the point.
pub(super) fn read(texts: &StringArray, precision: u8, scale: i8) -> Result<ArrayRef, Error> {
    let one = |text: &str| scaled(&written(text)?, precision, scale);
    let numbers = texts.iter().map(|text| text.map(one).transpose());
    let numbers = numbers.collect::<Result<Decimal128Array, Error>>()?;
    let numbers = numbers.with_precision_and_scale(precision, scale);
    Ok(Arc::new(numbers.map_err(|_| field_overflow(precision, scale))?))
}

/// The type that holds all digits of a number in text; None: it is none, or has too many.
pub(super) fn type_of(text: &str) -> Option<DataType> {
    let number = written(text).ok()?;
    let scale = usize::try_from(-number.exponent.min(0)).ok()?;
    let zeros = usize::try_from(number.exponent.max(0)).ok()?;
    let precision = (number.digits.len() + zeros).max(scale).max(1);
    let fits = precision <= DIGITS;
    fits.then_some(DataType::Decimal128(precision as u8, scale as i8))
}

/// `A field with precision 4, scale 2 must round to an absolute value less than 10^2.`
pub(super) fn field_overflow(precision: u8, scale: i8) -> Error {
    let whole = i16::from(precision) - i16::from(scale);
    let most = if whole == 0 { "1".to_owned() } else { format!("10^{whole}") };
    Error::new("22003", "numeric field overflow").with_detail(format!(
        "A field with precision {precision}, scale {scale} must round to an absolute value less than {most}."
    ))
}

/// `-12.50e3`, with blanks around it.
fn written(text: &str) -> Result<Written, Error> {
    let invalid = || {
        let message = format!("invalid input syntax for type numeric: \"{text}\"");
        Error::new("22P02", message)
    };
    let trimmed = text.trim();
    let unsigned = trimmed.strip_prefix(['-', '+']).unwrap_or(trimmed);
    if ["nan", "inf", "infinity"].contains(&unsigned.to_ascii_lowercase().as_str()) {
        return Err(Error::unsupported(format!("numeric {trimmed}"))
            .with_hint("double precision has NaN and the infinities."));
    }
    let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i64>().map_err(|_| invalid())?),
        None => (unsigned, 0),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = whole.bytes().chain(fraction.bytes());
    if whole.len() + fraction.len() == 0 || !digits.clone().all(|b| b.is_ascii_digit()) {
        return Err(invalid());
    }
    if exponent.abs() > EXPONENT {
        return Err(Error::new("22003", "value overflows numeric format"));
    }
    let digits = digits.map(|b| b - b'0').skip_while(|digit| *digit == 0).collect();
    let exponent = exponent - i64::try_from(fraction.len()).unwrap_or(EXPONENT);
    Ok(Written { negative: trimmed.starts_with('-'), digits, exponent })
}

/// The number times `10^scale`, half away from zero.
fn scaled(number: &Written, precision: u8, scale: i8) -> Result<i128, Error> {
    let overflow = || field_overflow(precision, scale);
    let digits = &number.digits;
    let shift = number.exponent + i64::from(scale);
    let kept = i64::try_from(digits.len()).map_err(|_| overflow())? + shift.min(0);
    let kept = usize::try_from(kept.max(-1)).ok();
    let zeros = u32::try_from(shift.max(0)).map_err(|_| overflow())?;
    let room = kept.unwrap_or(0) + zeros as usize <= DIGITS;
    let size = match kept {
        None => 0,
        _ if digits.is_empty() => 0,
        Some(_) if !room => return Err(overflow()),
        Some(kept) => {
            let value = digits[..kept].iter().fold(0_i128, |value, d| value * 10 + i128::from(*d));
            let up = digits.get(kept).is_some_and(|digit| *digit >= 5);
            (value + i128::from(up)) * 10_i128.pow(zeros)
        }
    };
    if size >= 10_i128.pow(u32::from(precision)) {
        return Err(overflow());
    }
    Ok(if number.negative { -size } else { size })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_one(text: &str, precision: u8, scale: i8) -> Result<i128, &'static str> {
        match written(text).and_then(|number| scaled(&number, precision, scale)) {
            Ok(value) => Ok(value),
            Err(Error::Statement { sqlstate, .. }) => Err(sqlstate),
            Err(_) => Err("other"),
        }
    }

    // PostgreSQL 15: select '…'::numeric(p, s).
    #[test]
    fn texts_are_read_and_rounded() {
        for (text, precision, scale, value) in [
            ("1.5", 4, 2, 150),
            (" -1.005 ", 4, 2, -101),
            ("1.004", 4, 2, 100),
            ("+.5", 4, 0, 1),
            ("5.", 4, 0, 5),
            ("1.25e1", 4, 1, 125),
            ("1e-3", 4, 2, 0),
            ("5e-3", 4, 2, 1),
            ("1e-30", 4, 2, 0),
            ("0e400", 4, 2, 0),
            ("99.994", 4, 2, 9999),
            ("000000000000000000000000000000000000000000012", 2, 0, 12),
        ] {
            assert_eq!(read_one(text, precision, scale), Ok(value), "{text}");
        }
        for (text, code) in [
            ("99.995", "22003"),
            ("100", "22003"),
            ("1e400", "22003"),
            ("1e200000", "22003"),
            ("x", "22P02"),
            ("", "22P02"),
            ("1.2.3", "22P02"),
            ("1e", "22P02"),
            ("NaN", "0A000"),
        ] {
            assert_eq!(read_one(text, 4, 2), Err(code), "{text}");
        }
    }

    #[test]
    fn types_hold_all_digits() {
        assert_eq!(type_of("1.50"), Some(DataType::Decimal128(3, 2)));
        assert_eq!(type_of("1e30"), Some(DataType::Decimal128(31, 0)));
        assert_eq!(type_of("-0.001"), Some(DataType::Decimal128(3, 3)));
        assert_eq!(type_of("0"), Some(DataType::Decimal128(1, 0)));
        assert_eq!(type_of("1e38"), None);
        assert_eq!(type_of("x"), None);
    }
}
