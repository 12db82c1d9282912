//! Numbers in Postgres' text and binary forms.

use bytes::{BufMut, BytesMut};

/// The two digits of every number below a hundred.
const PAIRS: [[u8; 2]; 100] = {
    let mut pairs = [[0; 2]; 100];
    let mut number = 0;
    while number < 100 {
        pairs[number] = [b'0' + (number / 10) as u8, b'0' + (number % 10) as u8];
        number += 1;
    }
    pairs
};

/// The two digits of a number below a hundred.
pub fn pair(number: u64) -> [u8; 2] {
    PAIRS[number as usize % 100]
}

/// Room for the digits of any number of 64 bits, and a sign.
type Room = [u8; 20];

/// Writes digits to the end of the room; says where they begin.
fn digits(room: &mut Room, value: u64) -> usize {
    let (mut at, mut rest) = (room.len(), value);
    while rest >= 10 {
        at -= 2;
        room[at..at + 2].copy_from_slice(&pair(rest));
        rest /= 100;
    }
    if rest > 0 || at == room.len() {
        at -= 1;
        room[at] = b'0' + rest as u8;
    }
    at
}

/// An integer in decimal.
pub fn integer(out: &mut BytesMut, value: i64) {
    let mut room = [0; 20];
    let mut at = digits(&mut room, value.unsigned_abs());
    if value < 0 {
        at -= 1;
        room[at] = b'-';
    }
    out.put_slice(&room[at..]);
}

/// A number of at least `width` digits.
pub fn padded(out: &mut BytesMut, value: u64, width: usize) {
    let mut room = [b'0'; 20];
    let at = digits(&mut room, value);
    out.put_slice(&room[at.min(room.len() - width)..]);
}

/// numeric of few digits, of which `scale` are behind the point.
pub fn short_decimal(out: &mut BytesMut, unscaled: i64, scale: i8) {
    let mut room = [0; 20];
    let at = digits(&mut room, unscaled.unsigned_abs());
    if unscaled < 0 {
        out.put_u8(b'-');
    }
    // All are digits.
    decimal(out, std::str::from_utf8(&room[at..]).unwrap_or_default(), scale);
}

/// float8: the shortest digits that read back the same, by Ryu (U. Adams, PLDI 2018). So does
/// Postgres, but that it takes none that are half way to the next number.
pub fn float8(out: &mut BytesMut, value: f64) {
    if special(out, value) {
        return;
    }
    let value = value.abs();
    let mut buffer = ryu::Buffer::new();
    let shortest = buffer.format_finite(value);
    if value > WHOLE_8 && is_half_way(shortest, parts_8(value)) {
        let fits = |text: &String| text.parse() == Ok(value) && !is_half_way(text, parts_8(value));
        let longer = (1..17).map(|after| format!("{value:.after$e}")).find(fits);
        return float(out, longer.as_deref().unwrap_or(shortest), 15);
    }
    // Ryu's own form is plain there.
    match (1e-4..1e15).contains(&value) {
        true => plain(out, shortest),
        false => float(out, shortest, 15),
    }
}

/// float4: the same; it goes to exponents earlier.
pub fn float4(out: &mut BytesMut, value: f32) {
    if special(out, f64::from(value)) {
        return;
    }
    let value = value.abs();
    let mut buffer = ryu::Buffer::new();
    let shortest = buffer.format_finite(value);
    if value > WHOLE_4 && is_half_way(shortest, parts_4(value)) {
        let fits = |text: &String| text.parse() == Ok(value) && !is_half_way(text, parts_4(value));
        let longer = (1..9).map(|after| format!("{value:.after$e}")).find(fits);
        return float(out, longer.as_deref().unwrap_or(shortest), 6);
    }
    match (1e-4..1e6).contains(&value) {
        true => plain(out, shortest),
        false => float(out, shortest, 6),
    }
}

/// `125.0` without what is nothing behind the point.
fn plain(out: &mut BytesMut, shortest: &str) {
    out.put_slice(shortest.strip_suffix(".0").unwrap_or(shortest).as_bytes());
}

/// The mantissa and the exponent of 2 of a positive number that is not subnormal.
fn parts_8(value: f64) -> (u64, i32) {
    let bits = value.to_bits();
    (bits & ((1 << 52) - 1) | 1 << 52, (bits >> 52) as i32 - 1075)
}

fn parts_4(value: f32) -> (u64, i32) {
    let bits = value.to_bits();
    (u64::from(bits & ((1 << 23) - 1) | 1 << 23), (bits >> 23) as i32 - 150)
}

/// Up to here what is half way between two numbers has more digits than either needs.
const WHOLE_8: f64 = 9_007_199_254_740_992.0;
const WHOLE_4: f32 = 16_777_216.0;

/// Whether digits are exactly half way from a number, as its parts, to one beside it.
fn is_half_way(shortest: &str, (mantissa, exponent): (u64, i32)) -> bool {
    let (written, power) = shortest.split_once('e').unwrap_or((shortest, "0"));
    let whole = written.find('.').unwrap_or(written.len());
    let digits = written.replace('.', "");
    let kept = digits.trim_end_matches('0');
    let power = power.parse().unwrap_or(0) + whole as i32 - kept.len() as i32;
    let fives = u32::try_from(power).ok().and_then(|power| 5_u64.checked_pow(power));
    let digits = kept.parse::<u64>().ok().zip(fives).and_then(|(d, fives)| d.checked_mul(fives));
    // digits · 10^power = odd · 2^twos
    let Some(digits) = digits.filter(|digits| *digits > 0) else { return false };
    let twos = power + digits.trailing_zeros() as i32;
    let odd = digits >> digits.trailing_zeros();
    let beside = odd == 2 * mantissa + 1 || odd == 2 * mantissa - 1;
    // Below a power of two numbers are twice as dense.
    let below = odd == 4 * mantissa - 1 && mantissa.is_power_of_two();
    (beside && twos == exponent - 1) || (below && twos == exponent - 2)
}

/// The sign, and all of a number that has no digits.
fn special(out: &mut BytesMut, value: f64) -> bool {
    if value.is_nan() {
        out.put_slice(b"NaN");
        return true;
    }
    if value.is_sign_negative() {
        out.put_u8(b'-');
    }
    if value.is_infinite() {
        out.put_slice(b"Infinity");
    }
    value.is_infinite()
}

/// From `125.0` or `1.25e-7` to Postgres' form: plain for exponents from -4 up to `plain_below`.
fn float(out: &mut BytesMut, shortest: &str, plain_below: i32) {
    let (written, power) = shortest.split_once('e').unwrap_or((shortest, "0"));
    let whole = written.find('.').unwrap_or(written.len()) as i32;
    let mut digits = [0u8; 24];
    let (mut count, mut leading) = (0, 0);
    for digit in written.bytes().filter(|byte| *byte != b'.').take(digits.len()) {
        match count == 0 && digit == b'0' {
            true => leading += 1,
            false => {
                digits[count] = digit;
                count += 1;
            }
        }
    }
    while count > 0 && digits[count - 1] == b'0' {
        count -= 1;
    }
    if count == 0 {
        return out.put_u8(b'0');
    }
    let exponent = whole - 1 - leading + power.parse().unwrap_or(0);
    let digits = &digits[..count];
    if !(-4..plain_below).contains(&exponent) {
        out.put_u8(digits[0]);
        if count > 1 {
            out.put_u8(b'.');
            out.put_slice(&digits[1..]);
        }
        out.put_slice(if exponent < 0 { b"e-" } else { b"e+" });
        padded(out, u64::from(exponent.unsigned_abs()), 2);
    } else if exponent < 0 {
        out.put_slice(b"0.");
        out.put_bytes(b'0', (-exponent - 1) as usize);
        out.put_slice(digits);
    } else {
        let whole = exponent as usize + 1;
        out.put_slice(&digits[..count.min(whole)]);
        out.put_bytes(b'0', whole.saturating_sub(count));
        if count > whole {
            out.put_u8(b'.');
            out.put_slice(&digits[whole..]);
        }
    }
}

/// numeric from its unscaled digits (with a sign), all digits of the scale kept.
pub fn decimal(out: &mut BytesMut, unscaled: &str, scale: i8) {
    let (sign, digits) = match unscaled.strip_prefix('-') {
        Some(digits) => ("-", digits),
        None => ("", unscaled),
    };
    out.put_slice(sign.as_bytes());
    let Ok(scale) = usize::try_from(scale) else {
        out.put_slice(digits.as_bytes());
        if digits != "0" {
            out.put_bytes(b'0', usize::from(scale.unsigned_abs()));
        }
        return;
    };
    let whole = digits.len().saturating_sub(scale);
    if whole == 0 {
        out.put_u8(b'0');
    } else {
        out.put_slice(&digits.as_bytes()[..whole]);
    }
    if scale > 0 {
        out.put_u8(b'.');
        out.put_bytes(b'0', scale.saturating_sub(digits.len()));
        out.put_slice(&digits.as_bytes()[whole..]);
    }
}

/// numeric in binary: digits of base 10,000 around the point.
pub fn decimal_binary(out: &mut BytesMut, unscaled: &str, scale: i8) {
    let negative = unscaled.starts_with('-');
    let mut digits: Vec<u8> =
        unscaled.bytes().filter(u8::is_ascii_digit).map(|b| b - b'0').collect();
    if scale < 0 {
        digits.resize(digits.len() + usize::from(scale.unsigned_abs()), 0);
    }
    let scale = usize::try_from(scale).unwrap_or(0);
    if digits.len() < scale {
        digits.splice(0..0, std::iter::repeat_n(0, scale - digits.len()));
    }
    let whole = digits.len() - scale;
    digits.splice(0..0, std::iter::repeat_n(0, (4 - whole % 4) % 4));
    let groups_before = whole.div_ceil(4) as i16;
    digits.resize(digits.len().next_multiple_of(4), 0);
    let groups: Vec<i16> = digits
        .chunks(4)
        .map(|group| group.iter().fold(0, |sum, digit| sum * 10 + i16::from(*digit)))
        .collect();
    let first = groups.iter().position(|group| *group != 0).unwrap_or(groups.len());
    let last = groups.iter().rposition(|group| *group != 0).map_or(first, |last| last + 1);
    let kept = &groups[first..last];
    out.put_i16(kept.len() as i16);
    out.put_i16(if kept.is_empty() { 0 } else { groups_before - first as i16 - 1 });
    out.put_u16(if negative && !kept.is_empty() { 0x4000 } else { 0 });
    out.put_i16(scale as i16);
    kept.iter().for_each(|group| out.put_i16(*group));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(write: impl FnOnce(&mut BytesMut)) -> String {
        let mut out = BytesMut::new();
        write(&mut out);
        String::from_utf8(out.to_vec()).unwrap()
    }

    // Expected: psql against PostgreSQL 15, SELECT '…'::float8 and ::float4.
    #[test]
    fn floats_as_postgres_prints_them() {
        for (value, expected) in [
            (1.0, "1"),
            (-0.0, "-0"),
            (0.1, "0.1"),
            (1e15, "1e+15"),
            (123_456_789_012_345.0, "123456789012345"),
            (1e14, "100000000000000"),
            (1.5e-5, "1.5e-05"),
            (0.0001, "0.0001"),
            (1e300, "1e+300"),
            (f64::NAN, "NaN"),
            (f64::NEG_INFINITY, "-Infinity"),
            (1.0 / 3.0, "0.3333333333333333"),
            (123.456, "123.456"),
            (5e-324, "5e-324"),
            // Two of 16 digits are equally near: the even one.
            (765.681_457_519_531_25, "765.6814575195312"),
            // The shortest digits are half way to the number beside.
            (1e23, "9.999999999999999e+22"),
            (-5e22, "-4.9999999999999996e+22"),
            (8.41e21, "8.409999999999999e+21"),
            (18_014_398_509_481_988.0, "1.8014398509481988e+16"),
            (36_028_797_018_963_976.0, "3.6028797018963976e+16"),
            (144_115_188_075_855_888.0, "1.4411518807585587e+17"),
        ] {
            assert_eq!(shown(|out| float8(out, value)), expected);
        }
        for (value, expected) in [
            (1e6, "1e+06"),
            (123_456.0, "123456"),
            (0.1, "0.1"),
            (3.4028235e38, "3.4028235e+38"),
            (8_388_608.5, "8.388608e+06"),
            (33_554_448.0, "3.3554448e+07"),
            (33_554_456.0, "3.3554456e+07"),
            (67_108_872.0, "6.710887e+07"),
        ] {
            assert_eq!(shown(|out| float4(out, value)), expected);
        }
    }

    // As many digits as the standard library's, whose algorithm (Grisu) takes the other one of two
    // that are equally near.
    #[test]
    fn floats_read_back_and_are_short() {
        let mut bits: u64 = 0x9e37_79b9_7f4a_7c15;
        for n in 0..200_000_u64 {
            bits = bits.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(n);
            let value = match n % 3 {
                0 => f64::from_bits(bits),
                1 => (bits >> 40) as f64 / 64.0,
                _ => f64::from(f32::from_bits((bits >> 32) as u32)),
            };
            let text = shown(|out| float8(out, value));
            if value.is_nan() {
                assert_eq!(text, "NaN");
                continue;
            }
            assert_eq!(text.parse::<f64>().map(f64::to_bits), Ok(value.to_bits()), "{value:e}");
            let digits = |text: &str| -> usize {
                let mantissa = text.split('e').next().unwrap_or_default();
                let digits = mantissa.chars().filter(char::is_ascii_digit).collect::<String>();
                digits.trim_matches('0').len()
            };
            let shortest = format!("{:e}", value.abs());
            let half_way = value.abs() > WHOLE_8 && is_half_way(&shortest, parts_8(value.abs()));
            assert_eq!(digits(&text) > digits(&shortest), half_way, "{value:e}");
            assert!(digits(&text) >= digits(&shortest), "{value:e}");
        }
    }

    #[test]
    fn decimals_keep_their_scale() {
        for (digits, scale, expected) in [
            ("12345", 2, "123.45"),
            ("-5", 3, "-0.005"),
            ("0", 2, "0.00"),
            ("7", 0, "7"),
            ("7", -2, "700"),
            ("100", 2, "1.00"),
        ] {
            assert_eq!(shown(|out| decimal(out, digits, scale)), expected);
        }
        assert_eq!(shown(|out| integer(out, i64::MIN)), "-9223372036854775808");
    }

    // Expected: encode(numeric_send(x), 'hex') of PostgreSQL 15.
    #[test]
    fn decimals_in_binary() {
        for (digits, scale, expected) in [
            ("12345", 2, "0002000000000002007b1194"),
            ("-5", 3, "0001ffff400000030032"),
            ("0", 2, "0000000000000002"),
            ("100000000", 0, "00010002000000000001"),
        ] {
            let mut out = BytesMut::new();
            decimal_binary(&mut out, digits, scale);
            let hex: String = out.iter().map(|byte| format!("{byte:02x}")).collect();
            assert_eq!(hex, expected, "{digits} {scale}");
        }
    }
}
