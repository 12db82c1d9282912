//! The common spellings of the common types, read without allocation; None sends the cell the long
//! way, by the type's own reader, which also words the errors.

use std::cmp::Ordering;

use catalog::types::days;

/// `-12`, of at most 18 digits.
pub fn integer(text: &[u8]) -> Option<i64> {
    let (negative, digits) = sign(text);
    if digits.is_empty() || digits.len() > 18 {
        return None;
    }
    let value = number(digits)?;
    Some(if negative { -value } else { value })
}

/// `-12.5e3`; words are not.
pub fn float8(text: &str) -> Option<f64> {
    plain_float(text).then(|| text.parse().ok()).flatten().filter(|value: &f64| value.is_finite())
}

/// See `float8`.
pub fn float4(text: &str) -> Option<f32> {
    plain_float(text).then(|| text.parse().ok()).flatten().filter(|value: &f32| value.is_finite())
}

fn plain_float(text: &str) -> bool {
    !text.is_empty()
        && text.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'+' | b'-' | b'.' | b'e' | b'E'))
}

/// `t` and `f`, and the words.
pub fn boolean(text: &[u8]) -> Option<bool> {
    match text {
        b"t" | b"true" => Some(true),
        b"f" | b"false" => Some(false),
        _ => None,
    }
}

/// `2024-01-31` as days since 1970.
pub fn date(text: &[u8]) -> Option<i32> {
    let [y @ .., b'-', m1, m2, b'-', d1, d2] = text else { return None };
    if y.len() != 4 {
        return None;
    }
    let (year, month, day) = (number(y)?, number(&[*m1, *m2])?, number(&[*d1, *d2])?);
    if year == 0 {
        return None;
    }
    i32::try_from(days(year, month.unsigned_abs(), day.unsigned_abs())?).ok()
}

/// `2024-01-31 10:00:00.5` as microseconds since 1970.
pub fn timestamp(text: &[u8]) -> Option<i64> {
    let (day, rest) = text.split_at_checked(10)?;
    let [b' ' | b'T', h1, h2, b':', m1, m2, b':', s1, s2, fraction @ ..] = rest else {
        return None;
    };
    let day = i64::from(date(day)?);
    let pair = |a: &u8, b: &u8, most: i64| number(&[*a, *b]).filter(|value| *value <= most);
    let (hour, minute, second) = (pair(h1, h2, 23)?, pair(m1, m2, 59)?, pair(s1, s2, 59)?);
    let micros = match fraction {
        [] => 0,
        [b'.', digits @ ..] if (1..=6).contains(&digits.len()) => {
            number(digits)? * 10_i64.pow(6 - digits.len() as u32)
        }
        _ => return None,
    };
    let seconds = day * 86_400 + hour * 3_600 + minute * 60 + second;
    seconds.checked_mul(1_000_000)?.checked_add(micros)
}

/// A timestamp with an offset of nothing: `+00`, `+00:00` or `Z`.
pub fn timestamp_utc(text: &[u8]) -> Option<i64> {
    let end = [b"+00".as_slice(), b"+00:00", b"Z"];
    timestamp(end.iter().find_map(|end| text.strip_suffix(*end))?)
}

/// `-12.345` or `1.5e3` as an unscaled number of `scale` decimals, rounded half away from zero.
pub fn decimal(text: &[u8], precision: u8, scale: i8) -> Option<i128> {
    let (negative, digits) = sign(text.trim_ascii());
    let scale = usize::try_from(scale).ok()?;
    let end = digits.iter().position(|b| matches!(b, b'e' | b'E'));
    let (digits, exponent) = match end {
        Some(end) => (&digits[..end], i32::try_from(integer(&digits[end + 1..])?).ok()?),
        None => (digits, 0),
    };
    let point = digits.iter().position(|b| *b == b'.').unwrap_or(digits.len());
    let (whole, fraction) = (&digits[..point], digits.get(point + 1..).unwrap_or_default());
    // How many of the digits stay. One more than is kept would still fit.
    let kept = exponent.checked_add(i32::try_from(whole.len() + scale).ok()?)?;
    let given = whole.len() + fraction.len();
    if given == 0 || kept > 37 {
        return None;
    }
    let mut value = 0_i128;
    for (index, place) in whole.iter().chain(fraction).enumerate() {
        let place = i128::from(digit(*place)?);
        match i32::try_from(index).ok()?.cmp(&kept) {
            Ordering::Less => value = value * 10 + place,
            Ordering::Equal => value += i128::from(place >= 5),
            Ordering::Greater => {}
        }
    }
    let missing = kept.checked_sub(i32::try_from(given).ok()?)?;
    if missing > 0 {
        value = value.checked_mul(10_i128.checked_pow(missing.unsigned_abs())?)?;
    }
    let fits = value < 10_i128.pow(u32::from(precision));
    fits.then_some(if negative { -value } else { value })
}

fn sign(text: &[u8]) -> (bool, &[u8]) {
    match text {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        _ => (false, text),
    }
}

fn digit(byte: u8) -> Option<u8> {
    byte.is_ascii_digit().then(|| byte - b'0')
}

fn number(digits: &[u8]) -> Option<i64> {
    digits.iter().try_fold(0_i64, |sum, place| Some(sum * 10 + i64::from(digit(*place)?)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    // Expected: PostgreSQL 15, SELECT extract(epoch from '…'::timestamp), '…'::numeric(5,2).
    #[test]
    fn common_spellings() {
        assert_eq!(date(b"1970-01-02"), Some(1));
        assert_eq!(date(b"2024-02-30"), None);
        assert_eq!(timestamp(b"1970-01-01 00:00:01.5"), Some(1_500_000));
        assert_eq!(timestamp_utc(b"1969-12-31T23:59:59Z"), Some(-1_000_000));
        assert_eq!(timestamp(b"1970-01-01 24:00:00"), None);
        assert_eq!(decimal(b"1.235", 5, 2), Some(124));
        assert_eq!(decimal(b"-1.235", 5, 2), Some(-124));
        assert_eq!(decimal(b"999.995", 5, 2), None);
        assert_eq!(decimal(b"7", 5, 2), Some(700));
        assert_eq!(decimal(b".5", 5, 2), Some(50));
        assert_eq!(decimal(b" 1e2 ", 5, 2), Some(10_000));
        assert_eq!(decimal(b"125e-3", 5, 2), Some(13));
        assert_eq!(decimal(b"5e-3", 5, 2), Some(1));
        assert_eq!(decimal(b"5e-4", 5, 2), Some(0));
        for bad in [b".".as_slice(), b"", b"-", b"1e", b"1.2.3", b"1e99"] {
            assert_eq!(decimal(bad, 5, 2), None);
        }
        assert_eq!(integer(b"+12"), Some(12));
        assert_eq!(integer(b"-"), None);
        assert_eq!(float8("1e400"), None);
        assert_eq!(float8("nan"), None);
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_value_or_none(text: Vec<u8>) {
            let _ = (integer(&text), boolean(&text), date(&text), timestamp(&text));
            let _ = (timestamp_utc(&text), decimal(&text, 38, 9), decimal(&text, 1, 0));
        }

        #[test]
        fn integers_read_back(value in -999_999_999_999_999_999_i64..=999_999_999_999_999_999) {
            prop_assert_eq!(integer(value.to_string().as_bytes()), Some(value));
        }
    }
}
