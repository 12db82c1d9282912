//! `substring(text from start for length)`, counted in characters from 1, and
//! `substring(text from pattern)`: the part that matches a regular expression, or its first group.
//!
//! What is before the text or behind it counts and is empty; a negative length is 22011. NULL gives
//! NULL.

use std::sync::Arc;

use datafusion::arrow::array::{Array, AsArray, StringArray};
use datafusion::arrow::datatypes::{DataType, Field, Int64Type};
use datafusion::common::Result as EngineResult;
use datafusion::logical_expr::{
    ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};

use super::regexp;
use crate::error::Error;
use crate::types::shown;

pub(crate) fn function() -> ScalarUDF {
    let signature = Signature::user_defined(Volatility::Immutable);
    ScalarUDF::from(Substr { signature, aliases: ["substring".to_owned()] })
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Substr {
    signature: Signature,
    aliases: [String; 1],
}

impl ScalarUDFImpl for Substr {
    fn name(&self) -> &str {
        "substr"
    }

    fn aliases(&self) -> &[String] {
        &self.aliases
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, given: &[DataType]) -> EngineResult<Vec<DataType>> {
        let text = |of: &DataType| of.is_string() || of.is_null();
        let whole = |of: &DataType| of.is_integer() || of.is_null();
        match given {
            [of, from] if text(of) && from.is_string() => Ok(vec![DataType::Utf8; 2]),
            [of, numbers @ ..] if text(of) && numbers.iter().all(whole) => {
                let numbers = numbers.iter().map(|_| DataType::Int64);
                Ok([DataType::Utf8].into_iter().chain(numbers).collect())
            }
            _ => {
                let shown = |of: &DataType| shown(&Field::new("", of.clone(), true));
                let types: Vec<String> = given.iter().map(shown).collect();
                let types = types.join(", ");
                let message = format!("function pg_catalog.substring({types}) does not exist");
                Err(Error::new("42883", message).into())
            }
        }
    }

    fn return_type(&self, _: &[DataType]) -> EngineResult<DataType> {
        Ok(DataType::Utf8)
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> EngineResult<ColumnarValue> {
        if arguments.args.get(1).is_some_and(|from| from.data_type().is_string()) {
            return regexp::substring().invoke_with_args(arguments);
        }
        let arrays = ColumnarValue::values_to_arrays(&arguments.args)?;
        let texts = arrays[0].as_string::<i32>();
        let starts = arrays[1].as_primitive::<Int64Type>();
        let lengths = arrays.get(2).map(|array| array.as_primitive::<Int64Type>());
        let rows = texts.iter().zip(starts).enumerate().map(|(row, (text, start))| {
            let (Some(text), Some(start)) = (text, start) else { return Ok(None) };
            let end = match lengths.map(|lengths| lengths.is_valid(row).then(|| lengths.value(row)))
            {
                Some(None) => return Ok(None),
                Some(Some(length)) if length < 0 => {
                    return Err(Error::new("22011", "negative substring length not allowed"));
                }
                Some(Some(length)) => start.saturating_add(length),
                None => i64::MAX,
            };
            Ok(Some(between(text, start, end)))
        });
        let parts = rows.collect::<Result<StringArray, Error>>()?;
        Ok(ColumnarValue::Array(Arc::new(parts)))
    }
}

/// The characters from `start` to before `end`, counted from 1.
fn between(text: &str, start: i64, end: i64) -> &str {
    let skip = usize::try_from(start.max(1) - 1).unwrap_or(usize::MAX);
    let count = usize::try_from(end.saturating_sub(start.max(1))).unwrap_or(0);
    if text.is_ascii() {
        let from = skip.min(text.len());
        return &text[from..from.saturating_add(count).min(text.len())];
    }
    let place = |characters| text.char_indices().nth(characters).map(|(at, _)| at);
    let from = place(skip).unwrap_or(text.len());
    let rest = &text[from..];
    match rest.char_indices().nth(count) {
        Some((end, _)) => &rest[..end],
        None => rest,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // PostgreSQL 15: select substring('…', start, end - start).
    #[test]
    fn parts_are_counted_in_characters() {
        for (text, start, end, part) in [
            ("hello", 2, 4, "el"),
            ("hello", -1, 2, "h"),
            ("hello", 2, 2, ""),
            ("hello", 10, 12, ""),
            ("hello", -5, -2, ""),
            ("añbüc", 2, 5, "ñbü"),
            ("añb", 3, i64::MAX, "b"),
            ("añb", 9, i64::MAX, ""),
            ("hello", i64::MIN, i64::MAX, "hello"),
        ] {
            assert_eq!(between(text, start, end), part, "{text} {start} {end}");
        }
    }
}
