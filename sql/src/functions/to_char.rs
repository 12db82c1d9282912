//! `to_char(time, format)`, `to_date(text, format)` and `to_timestamp(text, format)` with Postgres'
//! format words; the engine's own read strftime's. `to_timestamp(seconds)` counts from 1970.
//!
//! A word that is not understood is an error: text that is copied through would be a wrong answer.

use std::sync::Arc;

use chrono::format::{Parsed, StrftimeItems, parse_and_remainder};
use chrono::{NaiveDate, NaiveTime};
use datafusion::arrow::array::{
    Array, ArrayRef, AsArray, Date32Array, StringArray, TimestampMicrosecondArray,
};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, Float64Type, TimeUnit, TimestampMicrosecondType};
use datafusion::arrow::temporal_conversions::timestamp_us_to_datetime;
use datafusion::common::Result as EngineResult;
use datafusion::logical_expr::{
    ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, TypeSignature,
    Volatility, create_udf,
};

use crate::error::Error;

/// Format words and what strftime calls them, longest first where one starts another.
const WORDS: &[(&str, &str)] = &[
    ("YYYY", "%Y"),
    ("YY", "%y"),
    ("MM", "%m"),
    ("FMMonth", "%B"),
    ("FMMM", "%-m"),
    ("FMDD", "%-d"),
    ("FMDay", "%A"),
    ("FMHH24", "%-H"),
    ("FMHH12", "%-I"),
    ("Month", "%B"),
    ("Mon", "%b"),
    ("DDD", "%j"),
    ("DD", "%d"),
    ("Day", "%A"),
    ("Dy", "%a"),
    ("HH24", "%H"),
    ("HH12", "%I"),
    ("HH", "%I"),
    ("MI", "%M"),
    ("SS", "%S"),
    ("MS", "%3f"),
    ("US", "%6f"),
    ("AM", "%p"),
    ("PM", "%p"),
    ("IYYY", "%G"),
    ("IW", "%V"),
    ("ID", "%u"),
    ("Q", "%q"),
];

/// `to_char`.
pub(super) fn to_char() -> ScalarUDF {
    ScalarUDF::from(ToChar { signature: Signature::any(2, Volatility::Immutable) })
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct ToChar {
    signature: Signature,
}

impl ScalarUDFImpl for ToChar {
    fn name(&self) -> &str {
        "to_char"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, arguments: &[DataType]) -> EngineResult<DataType> {
        match &arguments[0] {
            DataType::Timestamp(..) | DataType::Date32 | DataType::Null => Ok(DataType::Utf8),
            other => {
                let message = format!("to_char of {other} is not supported");
                Err(Error::new("0A000", message).into())
            }
        }
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> EngineResult<ColumnarValue> {
        let rows = arguments.number_rows;
        let times = local_times(&arguments.args[0].to_array(rows)?)?;
        let times = times.as_primitive::<TimestampMicrosecondType>();
        let formats = cast(&arguments.args[1].to_array(rows)?, &DataType::Utf8)?;
        let formats = formats.as_string::<i32>();
        let mut texts = Vec::with_capacity(rows);
        let mut last: Option<(&str, String)> = None;
        for row in 0..rows {
            if times.is_null(row) || formats.is_null(row) {
                texts.push(None);
                continue;
            }
            let format = formats.value(row);
            if last.as_ref().is_none_or(|(known, _)| *known != format) {
                last = Some((format, strftime(format)?));
            }
            let time = timestamp_us_to_datetime(times.value(row));
            let pattern = last.as_ref().map_or("", |(_, pattern)| pattern.as_str());
            texts.push(time.map(|time| time.format(pattern).to_string()));
        }
        Ok(ColumnarValue::Array(Arc::new(StringArray::from(texts))))
    }
}

/// `to_date`.
pub(super) fn to_date() -> ScalarUDF {
    let read = |arguments: &[ColumnarValue]| -> EngineResult<ColumnarValue> {
        let epoch = NaiveDate::default();
        let day = |p: &Parsed| {
            let date = p.to_naive_date().ok()?;
            i32::try_from(date.signed_duration_since(epoch).num_days()).ok()
        };
        let days: Date32Array = parsed(arguments, day)?.into_iter().collect();
        Ok(ColumnarValue::Array(Arc::new(days)))
    };
    let arguments = vec![DataType::Utf8, DataType::Utf8];
    create_udf("to_date", arguments, DataType::Date32, Volatility::Immutable, Arc::new(read))
}

/// `to_timestamp`: the planner takes a text's clock for the session's.
pub(super) fn to_timestamp() -> ScalarUDF {
    let text = TypeSignature::Exact(vec![DataType::Utf8, DataType::Utf8]);
    let seconds = TypeSignature::Exact(vec![DataType::Float64]);
    let signature = Signature::one_of(vec![text, seconds], Volatility::Immutable);
    ScalarUDF::from(ToTimestamp { signature })
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct ToTimestamp {
    signature: Signature,
}

impl ScalarUDFImpl for ToTimestamp {
    fn name(&self) -> &str {
        "to_timestamp"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> EngineResult<DataType> {
        Ok(crate::types::timestamptz())
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> EngineResult<ColumnarValue> {
        let times: TimestampMicrosecondArray = match arguments.args.as_slice() {
            [seconds] => {
                let seconds = seconds.to_array(arguments.number_rows)?;
                let seconds = seconds.as_primitive::<Float64Type>();
                let micros = |s: f64| {
                    let us = (s * 1e6).round();
                    let fits = us.abs() < i64::MAX as f64;
                    let out = || Error::new("22008", format!("timestamp out of range: \"{s}\""));
                    if fits { Ok(us as i64) } else { Err(out()) }
                };
                seconds.try_unary::<_, TimestampMicrosecondType, Error>(micros)?
            }
            texts => {
                let micros = |p: &Parsed| {
                    let time = p.to_naive_time().unwrap_or(NaiveTime::MIN);
                    Some(p.to_naive_date().ok()?.and_time(time).and_utc().timestamp_micros())
                };
                parsed(texts, micros)?.into_iter().collect()
            }
        };
        Ok(ColumnarValue::Array(Arc::new(times.with_timezone("UTC"))))
    }
}

/// Texts read by formats; what does not fit its format is an error (22007).
fn parsed<T>(
    arguments: &[ColumnarValue],
    finish: impl Fn(&Parsed) -> Option<T>,
) -> EngineResult<Vec<Option<T>>> {
    let arrays = ColumnarValue::values_to_arrays(arguments)?;
    let (texts, formats) = (arrays[0].as_string::<i32>(), arrays[1].as_string::<i32>());
    let one = |(text, format): (Option<&str>, Option<&str>)| {
        let (Some(text), Some(format)) = (text, format) else { return Ok(None) };
        let pattern = strftime(format)?;
        let mut read = Parsed::new();
        let date = |mut read: Parsed| {
            // A month or a year alone begins on its first day.
            if read.day().is_none() && read.ordinal().is_none() {
                read.set_day(1).ok()?;
            }
            if read.month().is_none() && read.ordinal().is_none() {
                read.set_month(1).ok()?;
            }
            finish(&read)
        };
        parse_and_remainder(&mut read, text.trim(), StrftimeItems::new(&pattern))
            .ok()
            .and_then(|_| date(read))
            .map(Some)
            .ok_or_else(|| {
                let message = format!("\"{text}\" does not fit the format \"{format}\"");
                Error::new("22007", message)
            })
    };
    Ok(texts.iter().zip(formats.iter()).map(one).collect::<Result<_, Error>>()?)
}

/// Dates and times as timestamps without zone.
fn local_times(array: &ArrayRef) -> EngineResult<ArrayRef> {
    Ok(cast(array, &DataType::Timestamp(TimeUnit::Microsecond, None))?)
}

/// A Postgres format in strftime's words.
fn strftime(format: &str) -> Result<String, Error> {
    let mut pattern = String::new();
    let mut rest = format;
    while let Some(first) = rest.chars().next() {
        if let Some(quoted) = rest.strip_prefix('"') {
            let end = quoted.find('"').unwrap_or(quoted.len());
            pattern.push_str(&quoted[..end].replace('%', "%%"));
            rest = quoted.get(end + 1..).unwrap_or("");
            continue;
        }
        let word = WORDS.iter().find(|(word, _)| {
            let mixed = word.chars().any(char::is_lowercase);
            match mixed {
                true => rest.starts_with(word),
                false => {
                    rest.get(..word.len()).is_some_and(|start| start.eq_ignore_ascii_case(word))
                }
            }
        });
        match word {
            Some((word, meaning)) => {
                pattern.push_str(meaning);
                rest = &rest[word.len()..];
            }
            None if first.is_alphabetic() => {
                let message = format!("format \"{format}\" has a word that is not understood");
                return Err(Error::new("22023", message).with_hint(
                    "Words are YYYY, MM, DD, HH24, MI, SS, MS, US, Mon, Month, Day, …",
                ));
            }
            None => {
                pattern.push_str(if first == '%' { "%%" } else { &rest[..first.len_utf8()] });
                rest = &rest[first.len_utf8()..];
            }
        }
    }
    Ok(pattern)
}

#[cfg(test)]
mod tests {
    use super::*;

    // PostgreSQL 15: to_char(timestamp '2024-02-03 04:05:06.789', …).
    #[test]
    fn words_are_postgres_words() {
        let time = timestamp_us_to_datetime(1_706_933_106_789_000).unwrap();
        for (format, expected) in [
            ("YYYY-MM-DD HH24:MI:SS.MS", "2024-02-03 04:05:06.789"),
            ("yyyy/mm/dd", "2024/02/03"),
            ("Dy DD Mon YYYY, HH12:MI AM", "Sat 03 Feb 2024, 04:05 AM"),
            ("\"week\" IYYY-IW 100%", "week 2024-05 100%"),
            ("DDD Q", "034 1"),
        ] {
            assert_eq!(time.format(&strftime(format).unwrap()).to_string(), expected);
        }
        assert!(strftime("YYYY-foo").is_err());
    }
}
