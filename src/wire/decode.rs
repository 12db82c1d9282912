//! Parameters of Bind: text or binary bytes of a declared type → a value of the engine.

use bytes::Buf;
use datafusion::arrow::array::types::IntervalMonthDayNano;
use datafusion::arrow::datatypes::{DataType, Field, TimeUnit};
use datafusion::scalar::ScalarValue;

use crate::Error;
use crate::wire::array_text;
use crate::wire::calendar::{EPOCH_DAYS, EPOCH_US};
use crate::wire::message::protocol;
use crate::wire::number;
use catalog::types::VectorType;
use sql::pg_type::{HALFVEC_OID, VECTOR_OID, element_oid, from_oid, is_object_id, type_name};

/// One format a value: none given is text, one given is for all.
pub fn formats(codes: &[i16], count: usize, what: &str) -> Result<Vec<i16>, Error> {
    if let Some(code) = codes.iter().find(|code| !matches!(code, 0 | 1)) {
        return Err(Error::new("08P01", format!("unsupported format code: {code}")));
    }
    match codes {
        [] => Ok(vec![0; count]),
        [one] => Ok(vec![*one; count]),
        all if all.len() == count => Ok(all.to_vec()),
        all => {
            let given = all.len();
            Err(protocol(format!("bind message has {given} {what} formats but {count} {what}s")))
        }
    }
}

/// The type and the text of a parameter that names an object, as `'t'` for a regclass; None for
/// other types, binary values, numbers and NULL.
pub fn object_name(bytes: Option<&[u8]>, format: i16, oid: u32) -> Option<(&'static str, &str)> {
    let kind = sql::pg_type::reference_kind(oid).filter(|_| format == 0)?;
    let text = std::str::from_utf8(bytes?).ok()?;
    text.trim().parse::<u32>().is_err().then_some((kind, text))
}

/// A parameter; `oid` is the type the client was told, `field` the engine's view of it.
pub fn parameter(
    bytes: Option<&[u8]>,
    format: i16,
    oid: u32,
    field: &Field,
    zone: &str,
) -> Result<ScalarValue, Error> {
    let to = match from_oid(oid) {
        // The engine knows precision, scale and shape better than the id does.
        Some(DataType::Decimal128(..)) if field.data_type().is_decimal() => {
            field.data_type().clone()
        }
        None => field.data_type().clone(),
        Some(to) => to,
    };
    let Some(bytes) = bytes else {
        return Ok(ScalarValue::try_from(&to)?);
    };
    let value = if format == 1 {
        binary(bytes, oid, &to)?
    } else {
        let value = std::str::from_utf8(bytes)
            .map_err(|_| Error::new("22021", "invalid byte sequence for encoding \"UTF8\""))?;
        text(value, oid, &to, zone)?
    };
    // The items' own type, as `varchar(5)`, is the column's.
    match field.data_type() {
        list @ DataType::List(_) if value.data_type() != *list => Ok(value.cast_to(list)?),
        _ => Ok(value),
    }
}

/// A value from its text form.
pub fn text(value: &str, oid: u32, to: &DataType, zone: &str) -> Result<ScalarValue, Error> {
    let trimmed = value.trim();
    let invalid = |code| {
        let name = type_name(oid);
        Error::new(code, format!("invalid input syntax for type {name}: \"{value}\""))
    };
    Ok(match to {
        DataType::Utf8 => ScalarValue::Utf8(Some(value.to_owned())),
        DataType::Boolean => {
            ScalarValue::Boolean(Some(boolean(trimmed).ok_or_else(|| invalid("22P02"))?))
        }
        DataType::Int16 | DataType::Int32 | DataType::Int64 => {
            let wide = trimmed.parse::<i128>().map_err(|_| invalid("22P02"))?;
            let small = i64::try_from(wide).map(|wide| ScalarValue::Int64(Some(wide)));
            let fits = small.ok().and_then(|small| small.cast_to(to).ok());
            fits.filter(|fits| !fits.is_null()).ok_or_else(|| {
                let name = type_name(oid);
                Error::new("22003", format!("value \"{value}\" is out of range for type {name}"))
            })?
        }
        DataType::Float32 => {
            ScalarValue::Float32(Some(trimmed.parse().map_err(|_| invalid("22P02"))?))
        }
        DataType::Float64 => {
            ScalarValue::Float64(Some(trimmed.parse().map_err(|_| invalid("22P02"))?))
        }
        DataType::Binary => {
            ScalarValue::Binary(Some(bytea(value).ok_or_else(|| invalid("22P02"))?))
        }
        DataType::Date32
        | DataType::Time64(TimeUnit::Microsecond)
        | DataType::Timestamp(TimeUnit::Microsecond, _)
        | DataType::Interval(_) => sql::plan::read_text(value, to, zone)?,
        of if VectorType::of(of).is_some() => sql::plan::read_text(value, to, zone)?,
        DataType::List(item) => list_text(value, oid, item.data_type(), zone)?,
        other => {
            let parsed = ScalarValue::Utf8(Some(trimmed.to_owned())).cast_to(other);
            parsed.ok().filter(|value| !value.is_null()).ok_or_else(|| invalid("22P02"))?
        }
    })
}

fn list_text(value: &str, oid: u32, item: &DataType, zone: &str) -> Result<ScalarValue, Error> {
    // A nested array has the same id as the whole.
    let item_oid = match item {
        DataType::List(_) => oid,
        _ => element_oid(oid).unwrap_or(25),
    };
    let items = array_text::items(value).map_err(|why| {
        Error::new("22P02", format!("malformed array literal: \"{value}\"")).with_detail(why)
    })?;
    let items = items.into_iter().map(|inner| match inner {
        Some(inner) => text(&inner, item_oid, item, zone),
        None => Ok(ScalarValue::try_from(item)?),
    });
    Ok(list(&items.collect::<Result<Vec<_>, Error>>()?, item))
}

/// t, true, y, yes, on, 1 and their unique beginnings.
fn boolean(text: &str) -> Option<bool> {
    let lower = text.to_ascii_lowercase();
    let begins = |word: &str| !lower.is_empty() && word.starts_with(&lower);
    if begins("true") || begins("yes") || lower == "on" || lower == "1" {
        return Some(true);
    }
    (begins("false") || begins("no") || lower == "of" || lower == "off" || lower == "0")
        .then_some(false)
}

/// `\x` and hex, or the older form with octal escapes.
fn bytea(text: &str) -> Option<Vec<u8>> {
    if let Some(hex) = text.strip_prefix("\\x") {
        let digits: Option<Vec<u32>> =
            hex.chars().filter(|c| !c.is_whitespace()).map(|c| c.to_digit(16)).collect();
        let digits = digits.filter(|digits| digits.len() % 2 == 0)?;
        return Some(digits.chunks(2).map(|pair| (pair[0] * 16 + pair[1]) as u8).collect());
    }
    let mut out = vec![];
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        rest = match (*first, tail) {
            (b'\\', [b'\\', tail @ ..]) => {
                out.push(b'\\');
                tail
            }
            (b'\\', [a @ b'0'..=b'3', b @ b'0'..=b'7', c @ b'0'..=b'7', tail @ ..]) => {
                out.push((a - b'0') * 64 + (b - b'0') * 8 + (c - b'0'));
                tail
            }
            (b'\\', _) => return None,
            (byte, tail) => {
                out.push(byte);
                tail
            }
        };
    }
    Some(out)
}

fn list(items: &[ScalarValue], item: &DataType) -> ScalarValue {
    ScalarValue::List(ScalarValue::new_list(items, item, true))
}

/// A value from its binary form.
pub(super) fn binary(mut bytes: &[u8], oid: u32, to: &DataType) -> Result<ScalarValue, Error> {
    let from = &mut bytes;
    let value = match oid {
        16 => ScalarValue::Boolean(Some(take::<1>(from)?[0] != 0)),
        17 => ScalarValue::Binary(Some(std::mem::take(from).to_vec())),
        21 => ScalarValue::Int16(Some(i16::from_be_bytes(take(from)?))),
        23 => ScalarValue::Int32(Some(i32::from_be_bytes(take(from)?))),
        20 => ScalarValue::Int64(Some(i64::from_be_bytes(take(from)?))),
        oid if is_object_id(oid) => {
            ScalarValue::Int64(Some(i64::from(u32::from_be_bytes(take(from)?))))
        }
        700 => ScalarValue::Float32(Some(f32::from_be_bytes(take(from)?))),
        701 => ScalarValue::Float64(Some(f64::from_be_bytes(take(from)?))),
        1082 => {
            let days = match i32::from_be_bytes(take(from)?) {
                i32::MAX => i32::MAX,
                i32::MIN => -i32::MAX,
                days => days.checked_add(EPOCH_DAYS).ok_or_else(far)?,
            };
            ScalarValue::Date32(Some(days))
        }
        1083 => ScalarValue::Time64Microsecond(Some(i64::from_be_bytes(take(from)?))),
        1114 | 1184 => {
            let us = match i64::from_be_bytes(take(from)?) {
                i64::MAX => i64::MAX,
                i64::MIN => -i64::MAX,
                us => us.checked_add(EPOCH_US).ok_or_else(far)?,
            };
            let zone = (oid == 1184).then(|| "UTC".into());
            ScalarValue::TimestampMicrosecond(Some(us), zone)
        }
        1186 => {
            let us = i64::from_be_bytes(take(from)?);
            let days = i32::from_be_bytes(take(from)?);
            let months = i32::from_be_bytes(take(from)?);
            let nanoseconds = us.checked_mul(1_000).ok_or_else(far)?;
            let value = IntervalMonthDayNano { months, days, nanoseconds };
            ScalarValue::IntervalMonthDayNano(Some(value))
        }
        1700 => return text(&numeric(bytes)?, oid, to, "UTC"),
        2950 => {
            let uuid = uuid::Uuid::from_bytes(take(from)?);
            ScalarValue::Utf8(Some(uuid.to_string()))
        }
        VECTOR_OID | HALFVEC_OID => sql::plan::read_vector(std::mem::take(from), oid, to)?,
        3802 => {
            if take::<1>(from)? != [1] {
                return Err(Error::new("22P03", "unsupported jsonb version number"));
            }
            utf8(std::mem::take(from))?
        }
        19 | 25 | 114 | 705 | 1042 | 1043 => utf8(std::mem::take(from))?,
        _ => match (element_oid(oid), to) {
            (Some(item_oid), DataType::List(_)) => array(from, item_oid, to)?,
            _ => {
                let name = type_name(oid);
                let message = format!("no binary input for type {name}");
                return Err(Error::new("42883", message).with_hint("Send the parameter as text."));
            }
        },
    };
    if from.has_remaining() {
        return Err(Error::new("22P03", "incorrect binary data format"));
    }
    Ok(value)
}

fn array(from: &mut &[u8], item_oid: u32, to: &DataType) -> Result<ScalarValue, Error> {
    let dimensions = i32::from_be_bytes(take(from)?);
    let (_has_nulls, _oid) = (take::<4>(from)?, take::<4>(from)?);
    let DataType::List(item) = to else {
        return Err(far());
    };
    match dimensions {
        0 => return Ok(list(&[], item.data_type())),
        1 => {}
        _ => {
            return Err(Error::new("0A000", "multidimensional array parameters: send as text"));
        }
    }
    let count = i32::from_be_bytes(take(from)?);
    take::<4>(from)?;
    let items = (0..count).map(|_| {
        let length = i32::from_be_bytes(take(from)?);
        let Ok(length) = usize::try_from(length) else {
            return Ok(ScalarValue::try_from(item.data_type())?);
        };
        let short = || Error::new("22P03", "insufficient data left in message");
        let bytes = from.get(..length).ok_or_else(short)?;
        from.advance(length);
        binary(bytes, item_oid, item.data_type())
    });
    let items = items.collect::<Result<Vec<_>, Error>>()?;
    Ok(list(&items, item.data_type()))
}

/// The text of a binary numeric.
pub(super) fn numeric(mut from: &[u8]) -> Result<String, Error> {
    let from = &mut from;
    let count = u16::from_be_bytes(take(from)?);
    let weight = i32::from(i16::from_be_bytes(take(from)?));
    let sign = u16::from_be_bytes(take(from)?);
    let scale = usize::from(u16::from_be_bytes(take(from)?));
    if !matches!(sign, 0 | 0x4000) {
        return Err(Error::new("22003", "NaN and infinity are no values of numeric here"));
    }
    if weight.abs() > 64 || scale > 76 {
        return Err(Error::new("22003", "numeric value out of range"));
    }
    let groups = (0..count).map(|_| Ok(u16::from_be_bytes(take(from)?)));
    let groups = groups.collect::<Result<Vec<_>, Error>>()?;
    let digit_group = |place: i32| {
        let at = usize::try_from(weight - place).ok();
        at.and_then(|at| groups.get(at)).copied().unwrap_or(0)
    };
    let whole: String =
        (0..=weight.max(0)).rev().map(|p| format!("{:04}", digit_group(p))).collect();
    let fraction: String =
        (1..=scale.div_ceil(4) as i32).map(|p| format!("{:04}", digit_group(-p))).collect();
    let mut out = bytes::BytesMut::new();
    let whole = whole.trim_start_matches('0');
    let unscaled = format!("{whole}{}", fraction.get(..scale).unwrap_or(&fraction));
    let unscaled = if unscaled.is_empty() { "0" } else { &unscaled };
    number::decimal(&mut out, unscaled, i8::try_from(scale).unwrap_or(0));
    let sign = if sign == 0 { "" } else { "-" };
    Ok(format!("{sign}{}", String::from_utf8_lossy(&out)))
}

fn utf8(bytes: &[u8]) -> Result<ScalarValue, Error> {
    let text = std::str::from_utf8(bytes)
        .map_err(|_| Error::new("22021", "invalid byte sequence for encoding \"UTF8\""))?;
    Ok(ScalarValue::Utf8(Some(text.to_owned())))
}

fn take<const N: usize>(from: &mut &[u8]) -> Result<[u8; N], Error> {
    let (head, tail) = from
        .split_first_chunk::<N>()
        .ok_or_else(|| Error::new("22P03", "insufficient data left in message"))?;
    *from = tail;
    Ok(*head)
}

fn far() -> Error {
    Error::new("22008", "value out of range")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(value: &str, oid: u32) -> Result<ScalarValue, Error> {
        text(value, oid, &from_oid(oid).unwrap(), "UTC")
    }

    // Codes and messages: PostgreSQL 15, SELECT '…'::type.
    #[test]
    fn text_parameters() {
        assert_eq!(read(" 42 ", 23).unwrap(), ScalarValue::Int32(Some(42)));
        assert_eq!(read("x", 23).unwrap_err().sqlstate, "22P02");
        let error = read("99999", 21).unwrap_err();
        assert_eq!(error.message(), "value \"99999\" is out of range for type smallint");
        assert_eq!(read("yes", 16).unwrap(), ScalarValue::Boolean(Some(true)));
        assert_eq!(read("\\x00fF", 17).unwrap(), ScalarValue::Binary(Some(vec![0, 255])));
        assert_eq!(read("a\\\\\\001", 17).unwrap(), ScalarValue::Binary(Some(b"a\\\x01".to_vec())));
        assert_eq!(read("2024-02-30", 1082).unwrap_err().sqlstate, "22008");
        assert_eq!(read("soon", 1082).unwrap_err().sqlstate, "22007");
        // pgjdbc sends a java.sql.Date so.
        assert_eq!(read("1970-01-02 +00", 1082).unwrap(), ScalarValue::Date32(Some(1)));
        assert_eq!(read("infinity", 1082).unwrap(), ScalarValue::Date32(Some(i32::MAX)));
        let ScalarValue::List(list) = read("{1,NULL,3}", 1007).unwrap() else { panic!() };
        assert_eq!(list.value(0).len(), 3);
        let to = DataType::new_fixed_size_list(DataType::Float32, 2, true);
        let value = text("[1, 2.5]", VECTOR_OID, &to, "UTC").unwrap();
        assert_eq!(value.data_type(), to);
        assert_eq!(text("[1]", VECTOR_OID, &to, "UTC").unwrap_err().sqlstate, "22000");
        let kolkata = from_oid(1184).unwrap();
        let value = text("1970-01-01 05:30:00", 1184, &kolkata, "Asia/Kolkata").unwrap();
        assert_eq!(value, ScalarValue::TimestampMicrosecond(Some(0), Some("UTC".into())));
    }

    // encode(numeric_send(x), 'hex') of PostgreSQL 15.
    #[test]
    fn binary_numerics() {
        for (hex, expected) in [
            ("0002000000000002007b1194", "123.45"),
            ("0001ffff400000030032", "-0.005"),
            ("00010002000000000001", "100000000"),
            ("0000000000000002", "0.00"),
        ] {
            assert_eq!(numeric(&bytea(&format!("\\x{hex}")).unwrap()).unwrap(), expected);
        }
        assert!(numeric(&[0, 9, 0]).is_err());
    }
}
