//! `like_escape(pattern, escape)`: the LIKE pattern with `\` as its escape character.
//!
//! An empty escape string leaves no character with that meaning; NULL of NULL; more than one
//! character is an error (22025).

use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, AsArray, StringArray};
use datafusion::arrow::datatypes::DataType;
use datafusion::common::Result as EngineResult;
use datafusion::logical_expr::{ColumnarValue, ScalarUDF, Volatility, create_udf};

use crate::error::Error;

pub(super) fn function() -> ScalarUDF {
    let all = |arguments: &[ColumnarValue]| -> EngineResult<ColumnarValue> {
        let arrays = ColumnarValue::values_to_arrays(arguments)?;
        let rows = arrays[0].as_string::<i32>().iter().zip(arrays[1].as_string::<i32>());
        let patterns = rows.map(|row| match row {
            (Some(pattern), Some(escape)) => escaped(pattern, escape).map(Some),
            _ => Ok(None),
        });
        let patterns = patterns.collect::<Result<StringArray, Error>>()?;
        Ok(ColumnarValue::Array(Arc::new(patterns) as ArrayRef))
    };
    let arguments = vec![DataType::Utf8, DataType::Utf8];
    create_udf("like_escape", arguments, DataType::Utf8, Volatility::Immutable, Arc::new(all))
}

fn escaped(pattern: &str, escape: &str) -> Result<String, Error> {
    let mut characters = escape.chars();
    let escape = characters.next();
    if characters.next().is_some() {
        return Err(Error::new("22025", "invalid escape string")
            .with_hint("Escape string must be empty or one character."));
    }
    let mut text = String::with_capacity(pattern.len());
    let mut after = false;
    for character in pattern.chars() {
        let escapes = Some(character) == escape && !after;
        match character {
            _ if escapes => text.push('\\'),
            '\\' if !after => text.push_str("\\\\"),
            other => text.push(other),
        }
        after = escapes;
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    // PostgreSQL 15: select like_escape(…).
    #[test]
    fn escapes_become_backslashes() {
        for (pattern, escape, text) in [
            ("pg/_%", "/", "pg\\_%"),
            ("a//b", "/", "a\\/b"),
            ("a\\b", "/", "a\\\\b"),
            ("a/\\b", "/", "a\\\\b"),
            ("a\\_", "\\", "a\\_"),
            ("a\\_", "", "a\\\\_"),
        ] {
            assert_eq!(escaped(pattern, escape).unwrap(), text, "{pattern} {escape}");
        }
        assert!(escaped("a", "xy").is_err());
    }
}
