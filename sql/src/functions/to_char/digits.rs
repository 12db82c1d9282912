//! The digits of a number, rounded to where a template ends.

use crate::error::Error;

/// Digits that a double is taken to have.
const DOUBLE_DIGITS: usize = 15;
const REAL_DIGITS: usize = 6;

/// A value to be written.
pub(super) enum Number {
    Integer(i64),
    Real(f32),
    Double(f64),
    /// Digits and how many of them come after the point.
    Decimal(i128, i8),
}

impl Number {
    /// Whether it is below zero, and its digits with `after` of them behind a point, times ten for
    /// each of `shift`.
    pub fn digits(&self, shift: usize, after: usize) -> Result<(bool, String), Error> {
        let out = || Error::new("22003", "value out of range");
        match self {
            Self::Integer(value) => {
                let power = 10_u128.checked_pow(shift as u32).ok_or_else(out)?;
                let whole = u128::from(value.unsigned_abs()).checked_mul(power).ok_or_else(out)?;
                Ok((*value < 0, pointed(&whole.to_string(), &"0".repeat(after), after)))
            }
            Self::Decimal(value, scale) => {
                let scale = i32::from(*scale) - shift as i32;
                let text = rounded(value.unsigned_abs(), scale, after);
                // A numeric has no zero below zero.
                Ok((*value < 0 && text.bytes().any(|b| b != b'0' && b != b'.'), text))
            }
            Self::Real(value) => Ok(float(f64::from(*value), shift, after, REAL_DIGITS)),
            Self::Double(value) => Ok(float(*value, shift, after, DOUBLE_DIGITS)),
        }
    }

    /// To a whole number; None beyond bigint, and for NaN and infinities.
    pub fn rounded(&self) -> Option<i64> {
        match self {
            Self::Integer(value) => Some(*value),
            _ => {
                let (negative, text) = self.digits(0, 0).ok()?;
                let size: i64 = text.parse().ok()?;
                Some(if negative { -size } else { size })
            }
        }
    }
}

/// A double's sign and its digits, of which it has no more than it is `known` to have.
fn float(value: f64, shift: usize, after: usize, known: usize) -> (bool, String) {
    let value = value * 10_f64.powi(shift as i32);
    if !value.is_finite() {
        let name = if value.is_nan() { "NaN" } else { "Infinity" };
        return (value.is_sign_negative(), name.to_owned());
    }
    let whole = format!("{:.0}", value.abs()).len();
    let shown = if whole >= known { 0 } else { after.min(known - whole) };
    (value.is_sign_negative(), format!("{:.*}", shown, value.abs()))
}

/// Digits of which `scale` come after the point, with `after` of them, halves away from zero.
fn rounded(digits: u128, scale: i32, after: usize) -> String {
    if scale <= 0 {
        let zeros = "0".repeat(scale.unsigned_abs() as usize);
        let whole = if digits == 0 { "0".to_owned() } else { format!("{digits}{zeros}") };
        return pointed(&whole, &"0".repeat(after), after);
    }
    let scale = scale as usize;
    let digits = match scale.checked_sub(after) {
        Some(drop) if drop > 0 => match 10_u128.checked_pow(drop as u32) {
            Some(power) => digits / power + u128::from(digits % power >= power.div_ceil(2)),
            None => 0,
        },
        _ => digits,
    };
    let kept = scale.min(after);
    let text = format!("{digits:0>width$}", width = kept + 1);
    let (whole, fraction) = text.split_at(text.len() - kept);
    pointed(whole, &format!("{fraction:0<after$}"), after)
}

fn pointed(whole: &str, fraction: &str, after: usize) -> String {
    if after == 0 { whole.to_owned() } else { format!("{whole}.{fraction}") }
}

/// `digits / 10^scale` with one digit before the point, `after` behind it, halves away from zero.
pub(super) fn exact(digits: u128, scale: i32, after: usize) -> String {
    let text = digits.to_string();
    let mut exponent = text.len() as i32 - 1 - scale;
    if digits == 0 {
        exponent = 0;
    }
    let kept = after + 1;
    let mut shown: String = text.chars().take(kept).collect();
    if text.as_bytes().get(kept).is_some_and(|next| *next >= b'5') {
        let up = shown.parse::<u128>().unwrap_or(0) + 1;
        let up = up.to_string();
        if up.len() > shown.len() {
            exponent += 1;
        }
        shown = up.chars().take(kept).collect();
    }
    let shown = format!("{shown:0<kept$}");
    match after {
        0 => format!("{shown}e{exponent}"),
        _ => format!("{}.{}e{exponent}", &shown[..1], &shown[1..]),
    }
}

/// Roman numerals of 1 to 3999.
pub(super) fn roman(value: i64) -> Option<String> {
    const NUMERALS: [(i64, &str); 13] = [
        (1000, "M"),
        (900, "CM"),
        (500, "D"),
        (400, "CD"),
        (100, "C"),
        (90, "XC"),
        (50, "L"),
        (40, "XL"),
        (10, "X"),
        (9, "IX"),
        (5, "V"),
        (4, "IV"),
        (1, "I"),
    ];
    let mut rest = (1..=3999).contains(&value).then_some(value)?;
    let mut text = String::new();
    for (size, numeral) in NUMERALS {
        while rest >= size {
            text.push_str(numeral);
            rest -= size;
        }
    }
    Some(text)
}
