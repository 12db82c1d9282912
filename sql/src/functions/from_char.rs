//! `to_date(text, format)` and `to_timestamp(text, format)` with Postgres' format words; the
//! engine's own read strftime's. `to_timestamp(seconds)` counts from 1970.
//!
//! A word that is not understood is an error: a part that is skipped would be a wrong answer.

use std::sync::Arc;

use chrono::format::{Parsed, StrftimeItems, parse_and_remainder};
use chrono::{NaiveDate, NaiveTime};
use datafusion::arrow::array::{AsArray, Date32Array, TimestampMicrosecondArray};
use datafusion::arrow::datatypes::{DataType, Float64Type, TimestampMicrosecondType};
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

    #[test]
    fn words_are_strftimes() {
        let words = strftime("\"week\" IYYY-IW 100% HH12:MI AM").unwrap();
        assert_eq!(words, "week %G-%V 100%% %I:%M %p");
        assert!(strftime("YYYY-foo").is_err());
    }
}
