//! Values of the engine as JSON, as `to_json` writes them: numbers and booleans bare, arrays and
//! rows as arrays and objects, `json` as it is, times in ISO 8601, anything else as a string.

use std::fmt::Write;

use chrono::{DateTime, NaiveDate, Timelike, Utc};
use datafusion::arrow::array::timezone::Tz;
use datafusion::arrow::array::types::{
    Date32Type, Decimal128Type, Decimal256Type, Float32Type, Float64Type, Int8Type, Int16Type,
    Int32Type, Int64Type, Time64MicrosecondType, TimestampMicrosecondType, UInt8Type, UInt16Type,
    UInt32Type, UInt64Type,
};
use datafusion::arrow::array::{Array, ArrayRef, AsArray};
use datafusion::arrow::datatypes::{DataType, Field, TimeUnit};
use datafusion::arrow::util::display::array_value_to_string;

use super::document::quote;
use super::{Result, converted, tag};
use crate::error::Error;

const SECONDS_PER_DAY: i64 = 86_400;

/// The time zone in which times are shown.
pub(super) struct Zone(Option<Tz>);

impl Zone {
    pub(super) fn parse(name: Option<&str>) -> Self {
        Self(name.and_then(|name| name.parse().ok()))
    }
}

/// What is between the parts of arrays and objects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Breaks {
    None,
    /// A line a part: `row_to_json(r, true)`.
    Lines,
}

impl Breaks {
    fn comma(self) -> &'static str {
        match self {
            Self::None => ",",
            Self::Lines => ",\n ",
        }
    }
}

/// A column in a shape whose values can be written.
pub(super) fn plain(array: &ArrayRef) -> Result<ArrayRef> {
    let to = match array.data_type() {
        DataType::Dictionary(_, values) => values.as_ref().clone(),
        DataType::LargeUtf8 | DataType::Utf8View => DataType::Utf8,
        DataType::Float16 => DataType::Float32,
        DataType::LargeList(item) | DataType::FixedSizeList(item, _) => {
            DataType::List(item.clone())
        }
        DataType::Timestamp(unit, zone) if *unit != TimeUnit::Microsecond => {
            DataType::Timestamp(TimeUnit::Microsecond, zone.clone())
        }
        _ => return Ok(array.clone()),
    };
    converted(array, &to)
}

/// Whether the aggregates put its values on lines of their own.
pub(super) fn is_nested(of: &DataType) -> bool {
    of.is_nested()
}

/// Appends the value of a row.
pub(super) fn write(
    out: &mut String,
    array: &dyn Array,
    field: &Field,
    row: usize,
    zone: &Zone,
    breaks: Breaks,
) -> Result<()> {
    if array.is_null(row) || array.data_type() == &DataType::Null {
        out.push_str("null");
        return Ok(());
    }
    macro_rules! number {
        ($kind:ty) => {{
            let _ = write!(out, "{}", array.as_primitive::<$kind>().value(row));
        }};
    }
    match array.data_type() {
        DataType::Boolean => {
            out.push_str(if array.as_boolean().value(row) { "true" } else { "false" });
        }
        DataType::Int8 => number!(Int8Type),
        DataType::Int16 => number!(Int16Type),
        DataType::Int32 => number!(Int32Type),
        DataType::Int64 => number!(Int64Type),
        DataType::UInt8 => number!(UInt8Type),
        DataType::UInt16 => number!(UInt16Type),
        DataType::UInt32 => number!(UInt32Type),
        DataType::UInt64 => number!(UInt64Type),
        DataType::Float32 => {
            let value = array.as_primitive::<Float32Type>().value(row);
            float(out, &format!("{value:e}"), value.is_finite(), 6);
        }
        DataType::Float64 => {
            let value = array.as_primitive::<Float64Type>().value(row);
            float(out, &format!("{value:e}"), value.is_finite(), 15);
        }
        DataType::Decimal128(..) => {
            out.push_str(&array.as_primitive::<Decimal128Type>().value_as_string(row));
        }
        DataType::Decimal256(..) => {
            out.push_str(&array.as_primitive::<Decimal256Type>().value_as_string(row));
        }
        DataType::Utf8 => match tag(field) {
            Some(_) => out.push_str(array.as_string::<i32>().value(row)),
            None => quote(out, array.as_string::<i32>().value(row)),
        },
        DataType::List(item) => {
            return list(out, array.as_list::<i32>().value(row), item, zone, breaks);
        }
        DataType::Struct(_) => return record(out, array, row, zone, breaks),
        _ => return time(out, array, row, zone),
    }
    Ok(())
}

fn list(
    out: &mut String,
    items: ArrayRef,
    field: &Field,
    zone: &Zone,
    breaks: Breaks,
) -> Result<()> {
    let items = plain(&items)?;
    // Only the outermost parts get lines.
    out.push('[');
    for row in 0..items.len() {
        out.push_str(if row > 0 { breaks.comma() } else { "" });
        write(out, items.as_ref(), field, row, zone, Breaks::None)?;
    }
    out.push(']');
    Ok(())
}

fn record(
    out: &mut String,
    array: &dyn Array,
    row: usize,
    zone: &Zone,
    breaks: Breaks,
) -> Result<()> {
    let record = array.as_struct();
    let unnamed = record.fields().iter().enumerate().all(|(i, f)| *f.name() == format!("c{i}"));
    out.push('{');
    for (index, (column, field)) in record.columns().iter().zip(record.fields()).enumerate() {
        out.push_str(if index > 0 { breaks.comma() } else { "" });
        match unnamed {
            true => {
                let _ = write!(out, "\"f{}\"", index + 1);
            }
            false => quote(out, crate::pg_type::shown_name(field.name())),
        }
        out.push(':');
        let column = plain(column)?;
        write(out, column.as_ref(), field, row, zone, Breaks::None)?;
    }
    out.push('}');
    Ok(())
}

/// From `1.25e-7` to Postgres' form: plain for exponents from -4 up to `plain_below`.
fn float(out: &mut String, scientific: &str, finite: bool, plain_below: i32) {
    if !finite {
        let name = match scientific {
            "inf" => "Infinity",
            "-inf" => "-Infinity",
            _ => "NaN",
        };
        return quote(out, name);
    }
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((scientific, "0"));
    let (sign, mantissa) = match mantissa.strip_prefix('-') {
        Some(rest) => ("-", rest),
        None => ("", mantissa),
    };
    let exponent: i32 = exponent.parse().unwrap_or(0);
    out.push_str(sign);
    if !(-4..plain_below).contains(&exponent) {
        let sign = if exponent < 0 { '-' } else { '+' };
        let _ = write!(out, "{mantissa}e{sign}{:02}", exponent.unsigned_abs());
        return;
    }
    let digits = mantissa.replace('.', "");
    if exponent < 0 {
        out.push_str("0.");
        out.extend(std::iter::repeat_n('0', (-exponent - 1) as usize));
        out.push_str(&digits);
        return;
    }
    let whole = exponent as usize + 1;
    out.push_str(digits.get(..whole).unwrap_or(&digits));
    out.extend(std::iter::repeat_n('0', whole.saturating_sub(digits.len())));
    if let Some(fraction) = digits.get(whole..).filter(|fraction| !fraction.is_empty()) {
        out.push('.');
        out.push_str(fraction);
    }
}

fn time(out: &mut String, array: &dyn Array, row: usize, zone: &Zone) -> Result<()> {
    let text = match array.data_type() {
        DataType::Date32 => date(array.as_primitive::<Date32Type>().value(row)),
        DataType::Time64(TimeUnit::Microsecond) => {
            let us = array.as_primitive::<Time64MicrosecondType>().value(row);
            let time = DateTime::<Utc>::from_timestamp_micros(us);
            time.map(|time| format!("{}{}", time.format("%H:%M:%S"), fraction(&time)))
        }
        DataType::Timestamp(TimeUnit::Microsecond, with_zone) => {
            let us = array.as_primitive::<TimestampMicrosecondType>().value(row);
            let time = DateTime::<Utc>::from_timestamp_micros(us);
            time.map(|time| match (with_zone, zone.0) {
                (Some(_), Some(zone)) => stamp(&time.with_timezone(&zone), "%:z"),
                (Some(_), None) => stamp(&time, "+00:00"),
                (None, _) => stamp(&time, ""),
            })
        }
        _ => None,
    };
    let text = match text {
        Some(text) => text,
        None => array_value_to_string(array, row).map_err(|e| Error::Engine(e.into()))?,
    };
    quote(out, &text);
    Ok(())
}

fn date(days: i32) -> Option<String> {
    let time = DateTime::<Utc>::from_timestamp(i64::from(days) * SECONDS_PER_DAY, 0)?;
    let date: NaiveDate = time.date_naive();
    Some(date.format("%Y-%m-%d").to_string())
}

fn stamp<Z: chrono::TimeZone>(time: &DateTime<Z>, offset: &str) -> String
where
    Z::Offset: std::fmt::Display,
{
    format!("{}{}{}", time.format("%Y-%m-%dT%H:%M:%S"), fraction(time), time.format(offset))
}

/// `.25`, or nothing for a whole second.
fn fraction(time: &impl Timelike) -> String {
    match time.nanosecond() / 1000 {
        0 => String::new(),
        us => format!(".{us:06}").trim_end_matches('0').to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use datafusion::arrow::array::Float64Array;

    // PostgreSQL 15: select to_json(x::float8).
    #[test]
    fn floats_are_written_like_postgres() {
        for (value, written) in [
            (1.0, "1"),
            (-0.5, "-0.5"),
            (1e14, "100000000000000"),
            (1e15, "1e+15"),
            (0.0001, "0.0001"),
            (1.5e-5, "1.5e-05"),
            (123456.789, "123456.789"),
            (f64::NAN, "\"NaN\""),
            (f64::NEG_INFINITY, "\"-Infinity\""),
        ] {
            let array = Float64Array::from(vec![value]);
            let field = Field::new("x", DataType::Float64, true);
            let mut out = String::new();
            write(&mut out, &array, &field, 0, &Zone(None), Breaks::None).unwrap();
            assert_eq!(out, written);
        }
    }
}
