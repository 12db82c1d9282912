//! Numbers of JSON as Postgres' numeric keeps them: `1e2` is `100`, `1.50` stays `1.50`; and a form
//! whose bytes sort like the numbers.

use std::borrow::Cow;

use crate::error::Error;

/// Digits that numeric has before and behind the point.
const WHOLE_DIGITS: i64 = 131_072;
const FRACTION_DIGITS: i64 = 16_383;

/// A number's digits without the point, and how many of them are before it.
fn parts(text: &str) -> (bool, String, i64, i64) {
    let (negative, text) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => {
            let exponent = exponent.strip_prefix('+').unwrap_or(exponent);
            // What is not a number here has too many digits.
            let huge = if exponent.starts_with('-') { i64::MIN / 4 } else { i64::MAX / 4 };
            (mantissa, exponent.parse::<i64>().unwrap_or(huge))
        }
        None => (text, 0),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let before = whole.len() as i64 + exponent;
    let scale = (fraction.len() as i64 - exponent).max(0);
    (negative, format!("{whole}{fraction}"), before, scale)
}

/// The number as numeric writes it.
pub(super) fn normal(text: &str) -> Result<Cow<'_, str>, Error> {
    let zero = || text.bytes().all(|b| matches!(b, b'-' | b'0' | b'.'));
    let plain = !text.contains(['e', 'E']);
    if plain && !(text.starts_with('-') && zero()) {
        return Ok(Cow::Borrowed(text));
    }
    let (negative, digits, before, scale) = parts(text);
    let leading = digits.bytes().take_while(|b| *b == b'0').count() as i64;
    let is_zero = leading == digits.len() as i64;
    let overflows = !is_zero && before - leading > WHOLE_DIGITS;
    if overflows || scale > FRACTION_DIGITS {
        return Err(Error::new("22003", "value overflows numeric format"));
    }
    let sign = if negative && !is_zero { "-" } else { "" };
    let zeros = |count: i64| "0".repeat(usize::try_from(count).unwrap_or(0));
    if is_zero {
        let point = if scale > 0 { "." } else { "" };
        return Ok(Cow::Owned(format!("0{point}{}", zeros(scale))));
    }
    let count = digits.len() as i64;
    let (whole, fraction) = match before {
        before if before <= 0 => (String::new(), format!("{}{digits}", zeros(-before))),
        before if before >= count => (format!("{digits}{}", zeros(before - count)), String::new()),
        before => {
            let (whole, fraction) = digits.split_at(before as usize);
            (whole.to_owned(), fraction.to_owned())
        }
    };
    let whole = whole.trim_start_matches('0');
    let whole = if whole.is_empty() { "0" } else { whole };
    let point = if fraction.is_empty() { "" } else { "." };
    Ok(Cow::Owned(format!("{sign}{whole}{point}{fraction}")))
}

/// Appends bytes that sort like numbers: equal ones are equal, whatever their zeros.
pub(super) fn sort_bytes(out: &mut Vec<u8>, text: &str) {
    let (negative, digits, before, _) = parts(text);
    let trimmed = digits.trim_start_matches('0');
    let exponent = before - (digits.len() - trimmed.len()) as i64;
    let trimmed = trimmed.trim_end_matches('0');
    if trimmed.is_empty() {
        return out.push(1);
    }
    let flip = if negative { 0xff } else { 0 };
    out.push(if negative { 0 } else { 2 });
    out.extend((exponent as u64 ^ 1 << 63).to_be_bytes().map(|b| b ^ flip));
    out.extend(trimmed.bytes().map(|b| b ^ flip));
    out.push(flip);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    // PostgreSQL 15: select '…'::jsonb.
    #[test]
    fn numbers_are_written_like_numeric() {
        for (text, written) in [
            ("1e2", "100"),
            ("1.50", "1.50"),
            ("1.5e1", "15"),
            ("1.25e1", "12.5"),
            ("1E-3", "0.001"),
            ("-0", "0"),
            ("-0.0", "0.0"),
            ("0e5", "0"),
            ("-1.5e-1", "-0.15"),
            ("12.34e+1", "123.4"),
        ] {
            assert_eq!(normal(text).unwrap(), written, "{text}");
        }
        assert!(normal("1e131073").is_err());
        assert!(normal("1e99999999999999999999").is_err());
    }

    fn bytes(text: &str) -> Vec<u8> {
        let mut out = Vec::new();
        sort_bytes(&mut out, text);
        out
    }

    #[test]
    fn trailing_zeros_do_not_matter() {
        assert_eq!(bytes("1.0"), bytes("1"));
        assert_eq!(bytes("100"), bytes("1e2"));
        assert_eq!(bytes("-0.0"), bytes("0"));
    }

    proptest! {
        #[test]
        fn bytes_sort_like_numbers(a in -1e6f64..1e6, b in -1e6f64..1e6, i in -50i64..50) {
            let (a, b) = (format!("{a}"), format!("{b}"));
            let order = a.parse::<f64>().unwrap().total_cmp(&b.parse().unwrap());
            prop_assert_eq!(bytes(&a).cmp(&bytes(&b)), order);
            prop_assert_eq!(bytes(&i.to_string()).cmp(&bytes("7")), i.cmp(&7));
        }
    }
}
