//! Values as DuckDB prints them, and back.

use std::sync::Arc;

use datafusion::arrow::array::{
    Array, ArrayRef, AsArray, BinaryArray, BooleanBufferBuilder, Date32Array, FixedSizeListArray,
    IntervalMonthDayNanoArray, ListArray, StringArray, StructArray, Time64MicrosecondArray,
    TimestampMicrosecondArray, new_null_array,
};
use datafusion::arrow::buffer::{NullBuffer, OffsetBuffer};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{
    DataType, Date32Type, Field, FieldRef, Fields, Float16Type, Float32Type, Float64Type,
    IntervalMonthDayNanoType, Time64MicrosecondType, TimeUnit, TimestampMicrosecondType,
};
use datafusion::arrow::util::display::{ArrayFormatter, FormatOptions};

use super::{day, interval};
use crate::error::{Error, Result};

/// A value's text; None for NULL.
pub fn value_text(array: &dyn Array, row: usize) -> Option<String> {
    if array.is_null(row) {
        return None;
    }
    Some(match array.data_type() {
        DataType::Float16 => {
            float_text(array.as_primitive::<Float16Type>().value(row).to_f64(), true)
        }
        DataType::Float32 => {
            float_text(f64::from(array.as_primitive::<Float32Type>().value(row)), true)
        }
        DataType::Float64 => float_text(array.as_primitive::<Float64Type>().value(row), false),
        DataType::Binary => blob(array.as_binary::<i32>().value(row)),
        DataType::Interval(_) => {
            interval_text(array.as_primitive_opt::<IntervalMonthDayNanoType>()?.value(row))
        }
        DataType::List(_) => list(array.as_list::<i32>().value(row).as_ref()),
        DataType::FixedSizeList(..) => list(array.as_fixed_size_list().value(row).as_ref()),
        DataType::Struct(fields) => record(array.as_struct(), fields, row),
        DataType::Date32 => day::date_text(array.as_primitive_opt::<Date32Type>()?.value(row)),
        DataType::Timestamp(TimeUnit::Microsecond, zone) => {
            let times = array.as_primitive_opt::<TimestampMicrosecondType>()?;
            let text = day::timestamp_text(times.value(row));
            if zone.is_some() && !text.ends_with("infinity") { text + "+00" } else { text }
        }
        DataType::Time64(TimeUnit::Microsecond)
            if array.as_primitive::<Time64MicrosecondType>().value(row) == DAY_US =>
        {
            END_OF_DAY.to_owned()
        }
        _ => plain(array, row)?,
    })
}

/// The end of the day, which is a time to Postgres and DuckDB and none to Arrow.
const END_OF_DAY: &str = "24:00:00";
const DAY_US: i64 = 86_400_000_000;

fn plain(array: &dyn Array, row: usize) -> Option<String> {
    let options = FormatOptions::default();
    let formatter = ArrayFormatter::try_new(array, &options).ok()?;
    formatter.value(row).try_to_string().ok()
}

/// Shortest text that reads back the same, always with a point or an exponent.
pub(crate) fn float_text(value: f64, single: bool) -> String {
    if value.is_nan() {
        return "nan".into();
    }
    if value.is_infinite() {
        return if value > 0.0 { "inf" } else { "-inf" }.into();
    }
    let magnitude = value.abs();
    let scientific = magnitude != 0.0 && !(1e-5..1e15).contains(&magnitude);
    match (single, scientific) {
        (true, false) => format!("{:?}", value as f32),
        (true, true) => format!("{:e}", value as f32),
        (false, false) => format!("{value:?}"),
        (false, true) => format!("{value:e}"),
    }
}

/// Printable ASCII as it is, other bytes as `\xAB`.
fn blob(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for byte in bytes {
        match byte {
            b'\\' | b'\'' | b'"' => text.push_str(&format!("\\x{byte:02X}")),
            b' '..=b'~' => text.push(*byte as char),
            other => text.push_str(&format!("\\x{other:02X}")),
        }
    }
    text
}

fn unblob(text: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.bytes().next() {
        let hex = rest.strip_prefix("\\x").and_then(|digits| digits.get(..2));
        match hex.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = &rest[4..];
            }
            None => {
                let width = rest.chars().next().map_or(1, char::len_utf8);
                bytes.extend_from_slice(&rest.as_bytes()[..width.max(usize::from(first > 0))]);
                rest = &rest[width..];
            }
        }
    }
    bytes
}

/// `1 year 2 months 3 days 04:05:06.7`.
fn interval_text(value: datafusion::arrow::datatypes::IntervalMonthDayNano) -> String {
    let plural = |count: i32, unit: &str| match count {
        1 | -1 => format!("{count} {unit}"),
        _ => format!("{count} {unit}s"),
    };
    let mut parts = Vec::new();
    let (years, months) = (value.months / 12, value.months % 12);
    for (count, unit) in [(years, "year"), (months, "month"), (value.days, "day")] {
        if count != 0 {
            parts.push(plural(count, unit));
        }
    }
    let micros = value.nanoseconds / 1000;
    if micros != 0 || parts.is_empty() {
        let sign = if micros < 0 { "-" } else { "" };
        let micros = micros.unsigned_abs();
        let (seconds, fraction) = (micros / 1_000_000, micros % 1_000_000);
        let (hours, minutes) = (seconds / 3600, seconds / 60 % 60);
        let mut time = format!("{sign}{hours:02}:{minutes:02}:{:02}", seconds % 60);
        if fraction != 0 {
            time.push_str(format!(".{fraction:06}").trim_end_matches('0'));
        }
        parts.push(time);
    }
    parts.join(" ")
}

fn list(values: &dyn Array) -> String {
    let texts: Vec<String> = (0..values.len()).map(|row| nested(values, row)).collect();
    format!("[{}]", texts.join(", "))
}

fn record(values: &StructArray, fields: &Fields, row: usize) -> String {
    let text = |(field, column): (&FieldRef, &ArrayRef)| {
        format!("'{}': {}", field.name().replace('\'', "\\'"), nested(column.as_ref(), row))
    };
    let texts: Vec<String> = fields.iter().zip(values.columns()).map(text).collect();
    format!("{{{}}}", texts.join(", "))
}

/// A value inside a list or struct: text that could be misread is quoted.
fn nested(values: &dyn Array, row: usize) -> String {
    let Some(text) = value_text(values, row) else { return "NULL".into() };
    if values.data_type().is_nested() {
        return text;
    }
    let special = |c: char| "[]{}(),:'\"\\".contains(c) || c.is_whitespace();
    let misread = text.is_empty() || text.eq_ignore_ascii_case("null") || text.contains(special);
    match misread && matches!(values.data_type(), DataType::Utf8 | DataType::Binary) {
        true => format!("'{}'", text.replace('\\', "\\\\").replace('\'', "\\'")),
        false => text,
    }
}

/// Values from their texts.
pub fn parse_values(texts: &[Option<String>], field: &Field) -> Result<ArrayRef> {
    match field.data_type() {
        DataType::Binary => {
            let bytes = texts.iter().map(|t| t.as_deref().map(unblob));
            Ok(Arc::new(BinaryArray::from_iter(bytes)))
        }
        DataType::List(element) | DataType::FixedSizeList(element, _) => {
            lists(texts, element, field)
        }
        DataType::Struct(fields) => records(texts, fields),
        DataType::Interval(_) => {
            let intervals: IntervalMonthDayNanoArray = read_all(texts, field, interval::parse)?;
            Ok(Arc::new(intervals))
        }
        DataType::Date32 => {
            let days: Result<Date32Array> = read_all(texts, field, day::parse_date);
            Ok(Arc::new(days?))
        }
        DataType::Timestamp(TimeUnit::Microsecond, zone) => {
            let times: TimestampMicrosecondArray = read_all(texts, field, day::parse_timestamp)?;
            Ok(Arc::new(times.with_timezone_opt(zone.clone())))
        }
        DataType::Time64(TimeUnit::Microsecond)
            if texts.iter().flatten().any(|text| text == END_OF_DAY) =>
        {
            let midnight = |text: &Option<String>| match text.as_deref() {
                Some(END_OF_DAY) => Some("00:00:00".to_owned()),
                _ => text.clone(),
            };
            let others: Vec<Option<String>> = texts.iter().map(midnight).collect();
            let others = parse_values(&others, field)?;
            let others = others.as_primitive::<Time64MicrosecondType>().iter();
            let times = others.zip(texts).map(|(time, text)| match text.as_deref() {
                Some(END_OF_DAY) => Some(DAY_US),
                _ => time,
            });
            Ok(Arc::new(times.collect::<Time64MicrosecondArray>()))
        }
        // There is no cast from text to it.
        DataType::Float16 => {
            let wide = field.clone().with_data_type(DataType::Float32);
            cast(&parse_values(texts, &wide)?, &DataType::Float16)
                .map_err(|e| Error::Engine(e.into()))
        }
        data_type => {
            let array = StringArray::from_iter(texts.iter().map(|t| t.as_deref()));
            let parsed = cast(&array, data_type).map_err(|e| Error::Engine(e.into()))?;
            match parsed.null_count() == array.null_count() {
                true => Ok(parsed),
                false => Err(misread(field)),
            }
        }
    }
}

fn misread(field: &Field) -> Error {
    damaged(&format!("a value of \"{}\" is no {}", field.name(), field.data_type()))
}

/// Each text read by `one`; one that cannot be read is an error.
fn read_all<T, A: FromIterator<Option<T>>>(
    texts: &[Option<String>],
    field: &Field,
    one: impl Fn(&str) -> Option<T>,
) -> Result<A> {
    let read = |text: &Option<String>| match text {
        None => Ok(None),
        Some(text) => one(text).map(Some).ok_or_else(|| misread(field)),
    };
    texts.iter().map(read).collect()
}

fn lists(texts: &[Option<String>], element: &FieldRef, field: &Field) -> Result<ArrayRef> {
    let mut items: Vec<Option<String>> = Vec::new();
    let mut lengths = Vec::with_capacity(texts.len());
    let mut valid = BooleanBufferBuilder::new(texts.len());
    let fixed = match field.data_type() {
        DataType::FixedSizeList(_, length) => Some(*length as usize),
        _ => None,
    };
    for text in texts {
        valid.append(text.is_some());
        let parts = match text {
            Some(text) => split(text, '[', ']')?,
            None => vec![None; fixed.unwrap_or(0)],
        };
        if fixed.is_some_and(|length| parts.len() != length) {
            return Err(damaged(&format!("a value of \"{}\" has another length", field.name())));
        }
        lengths.push(parts.len());
        items.extend(parts);
    }
    let values = parse_values(&items, element)?;
    let nulls = Some(NullBuffer::new(valid.finish()));
    let element = Arc::clone(element);
    let list: ArrayRef = match fixed {
        Some(length) => Arc::new(
            FixedSizeListArray::try_new(element, length as i32, values, nulls)
                .map_err(|e| Error::Engine(e.into()))?,
        ),
        None => Arc::new(
            ListArray::try_new(element, OffsetBuffer::from_lengths(lengths), values, nulls)
                .map_err(|e| Error::Engine(e.into()))?,
        ),
    };
    Ok(list)
}

fn records(texts: &[Option<String>], fields: &Fields) -> Result<ArrayRef> {
    if fields.is_empty() {
        return Ok(new_null_array(&DataType::Struct(fields.clone()), texts.len()));
    }
    let mut columns: Vec<Vec<Option<String>>> = vec![Vec::new(); fields.len()];
    let mut valid = BooleanBufferBuilder::new(texts.len());
    for text in texts {
        valid.append(text.is_some());
        let parts = match text {
            Some(text) => split(text, '{', '}')?,
            None => vec![None; fields.len()],
        };
        if parts.len() != fields.len() {
            return Err(damaged("a struct has another number of fields"));
        }
        for (column, part) in columns.iter_mut().zip(parts) {
            column.push(part);
        }
    }
    let arrays: Result<Vec<ArrayRef>> =
        fields.iter().zip(&columns).map(|(field, texts)| parse_values(texts, field)).collect();
    let nulls = Some(NullBuffer::new(valid.finish()));
    let array = StructArray::try_new(fields.clone(), arrays?, nulls);
    Ok(Arc::new(array.map_err(|e| Error::Engine(e.into()))?))
}

/// The parts of `[a, 'b', NULL]`, or the values of `{'k': v}`, unquoted; NULL is None.
fn split(text: &str, open: char, close: char) -> Result<Vec<Option<String>>> {
    let inner = text.trim().strip_prefix(open).and_then(|t| t.strip_suffix(close));
    let inner = inner.ok_or_else(|| damaged(&format!("\"{text}\" is no list or struct")))?;
    let mut parts = Vec::new();
    let mut part = Part::default();
    let mut characters = inner.chars();
    while let Some(c) = characters.next() {
        match (c, part.quoted, part.depth) {
            ('\\', true, _) => {
                let next = characters.next().unwrap_or('\\');
                part.push_escaped(next);
            }
            ('\'' | '"', _, _) if part.quote.is_none_or(|q| q == c) => part.toggle(c),
            (',', false, 0) => parts.push(std::mem::take(&mut part).finish()),
            (':', false, 0) if open == '{' && !part.keyed => {
                part = Part { keyed: true, ..Part::default() };
            }
            ('[' | '{', false, _) => part.nest(c, 1),
            (']' | '}', false, _) => part.nest(c, -1),
            (c, _, _) => part.text.push(c),
        }
    }
    if !inner.trim().is_empty() {
        parts.push(part.finish());
    }
    Ok(parts)
}

/// One part on its way through `split`.
#[derive(Default)]
struct Part {
    text: String,
    depth: i32,
    quoted: bool,
    was_quoted: bool,
    quote: Option<char>,
    /// The key has been passed: colons belong to the value.
    keyed: bool,
}

impl Part {
    /// Quotes around a whole part are taken off; inside nested parts they stay for the next level.
    fn toggle(&mut self, c: char) {
        self.quoted = !self.quoted;
        self.quote = self.quoted.then_some(c);
        if self.depth > 0 {
            self.text.push(c);
        } else {
            if self.quoted {
                self.text.clear();
            }
            self.was_quoted = true;
        }
    }

    fn push_escaped(&mut self, c: char) {
        if self.depth > 0 {
            self.text.push('\\');
        }
        self.text.push(c);
    }

    fn nest(&mut self, c: char, step: i32) {
        self.depth += step;
        self.text.push(c);
    }

    fn finish(self) -> Option<String> {
        if self.was_quoted {
            return Some(self.text);
        }
        let text = self.text.trim();
        (!text.eq_ignore_ascii_case("null")).then(|| text.to_string())
    }
}

fn damaged(message: &str) -> Error {
    Error::Database(message.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use datafusion::arrow::array::Float64Array;
    use datafusion::arrow::datatypes::IntervalMonthDayNano;

    fn round_trip(array: &ArrayRef) {
        let field = Field::new("c", array.data_type().clone(), true);
        let texts: Vec<_> = (0..array.len()).map(|row| value_text(array.as_ref(), row)).collect();
        assert_eq!(&parse_values(&texts, &field).unwrap(), array, "{texts:?}");
    }

    // Texts as DuckDB 1.5.5 prints them: select x::varchar.
    #[test]
    fn texts_are_those_of_duckdb() {
        let floats = Float64Array::from(vec![1.0, 0.1, -0.0, 123456.789, f64::NAN, f64::INFINITY]);
        let texts: Vec<_> = (0..6).map(|row| value_text(&floats, row).unwrap()).collect();
        assert_eq!(texts, ["1.0", "0.1", "-0.0", "123456.789", "nan", "inf"]);
        let times = TimestampMicrosecondArray::from(vec![1_704_067_200_000_000, 1]);
        assert_eq!(value_text(&times, 0).unwrap(), "2024-01-01 00:00:00");
        let zoned = times.with_timezone("UTC");
        assert_eq!(value_text(&zoned, 0).unwrap(), "2024-01-01 00:00:00+00");
        assert_eq!(value_text(&zoned, 1).unwrap(), "1970-01-01 00:00:00.000001+00");
        assert_eq!(
            interval_text(IntervalMonthDayNano::new(14, 3, 4_000_000_000)),
            "1 year 2 months 3 days 00:00:04"
        );
        assert_eq!(blob(b"a\\\x00z"), "a\\x5C\\x00z");
    }

    #[test]
    fn every_text_reads_back() {
        let floats = datafusion::arrow::array::Float32Array::from(vec![0.1, 6e-8, -65504.0]);
        round_trip(&cast(&floats, &DataType::Float16).unwrap());
        round_trip(&(Arc::new(Float64Array::from(vec![1e300, 5e-324, f64::NEG_INFINITY])) as _));
        round_trip(&(Arc::new(BinaryArray::from_iter([Some(&b"\x00\xff'\\x41"[..]), None])) as _));
        round_trip(&(Arc::new(TimestampMicrosecondArray::from(vec![-1, 0, 1])) as _));
        let field = Field::new("c", DataType::Timestamp(TimeUnit::Microsecond, None), true);
        assert!(parse_values(&[Some("no time".into())], &field).is_err());
    }

    #[test]
    fn colons_in_a_struct_belong_to_its_values() {
        let times = Arc::new(TimestampMicrosecondArray::from(vec![Some(1), None]));
        let words = Arc::new(StringArray::from(vec!["k: v, 'x'", "12:30"]));
        let fields = Fields::from(vec![
            Field::new("at: \"x\"", times.data_type().clone(), true),
            Field::new("word", DataType::Utf8, true),
        ]);
        round_trip(&(Arc::new(StructArray::new(fields, vec![times, words], None)) as _));
    }

    #[test]
    fn nested_text_with_every_special_character_reads_back() {
        let words = StringArray::from(vec![
            Some("plain"),
            Some(""),
            Some("null"),
            None,
            Some("it's, [a] {b}: \"c\" \\ d"),
            Some(" x "),
        ]);
        let element = Arc::new(Field::new("element", DataType::Utf8, true));
        let lists = ListArray::try_new(
            element,
            OffsetBuffer::from_lengths([4, 0, 2]),
            Arc::new(words),
            None,
        );
        round_trip(&(Arc::new(lists.unwrap()) as _));
    }
}
