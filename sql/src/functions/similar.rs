//! `similar_to_escape(pattern[, escape])`: the regular expression of a SIMILAR TO pattern.
//!
//! `%` is any text, `_` any character, `| * + ? {m,n} ( ) [ ]` are as in regular expressions, the
//! escape character (`\`) takes the meaning of what follows. NULL of NULL.

use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, StringArray};
use datafusion::arrow::datatypes::DataType;
use datafusion::common::Result as EngineResult;
use datafusion::logical_expr::{
    ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, TypeSignature,
    Volatility,
};

use crate::error::Error;

pub(super) fn function() -> ScalarUDF {
    let text = |count| TypeSignature::Exact(vec![DataType::Utf8; count]);
    let signature = Signature::one_of(vec![text(1), text(2)], Volatility::Immutable);
    ScalarUDF::from(SimilarToEscape { signature })
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct SimilarToEscape {
    signature: Signature,
}

impl ScalarUDFImpl for SimilarToEscape {
    fn name(&self) -> &str {
        "similar_to_escape"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> EngineResult<DataType> {
        Ok(DataType::Utf8)
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> EngineResult<ColumnarValue> {
        let arrays = ColumnarValue::values_to_arrays(&arguments.args)?;
        let patterns = arrays[0].as_string::<i32>();
        let escapes = arrays.get(1).map(|array| array.as_string::<i32>());
        let row = |row: usize| {
            let escape = match escapes {
                None => "\\",
                Some(escapes) if escapes.is_null(row) => return Ok(None),
                Some(escapes) => escapes.value(row),
            };
            match patterns.is_null(row) {
                true => Ok(None),
                false => regular_expression(patterns.value(row), escape).map(Some),
            }
        };
        let texts: Result<StringArray, Error> = (0..patterns.len()).map(row).collect();
        Ok(ColumnarValue::Array(Arc::new(texts?) as ArrayRef))
    }
}

fn regular_expression(pattern: &str, escape: &str) -> Result<String, Error> {
    let mut escapes = escape.chars();
    let (escape, None) = (escapes.next(), escapes.next()) else {
        return Err(Error::new("22025", "invalid escape string")
            .with_hint("Escape string must be empty or one character."));
    };
    let mut expression = String::from("(?s)^(?:");
    let mut characters = pattern.chars();
    let mut in_brackets = false;
    while let Some(c) = characters.next() {
        match c {
            c if Some(c) == escape => match characters.next() {
                Some(next) if next.is_alphanumeric() => expression.push(next),
                Some(next) => expression.extend(['\\', next]),
                None => return Err(Error::new("22025", "pattern ends with its escape character")),
            },
            ']' if in_brackets => {
                in_brackets = false;
                expression.push(c);
            }
            '\\' => expression.push_str("\\\\"),
            '[' if in_brackets => expression.push_str("\\["),
            c if in_brackets => expression.push(c),
            '[' => {
                in_brackets = true;
                expression.push(c);
            }
            '%' => expression.push_str(".*"),
            '_' => expression.push('.'),
            '.' | '^' | '$' => expression.extend(['\\', c]),
            c => expression.push(c),
        }
    }
    expression.push_str(")$");
    Ok(expression)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_become_regular_expressions() {
        for (pattern, expected) in [
            ("a%", "(?s)^(?:a.*)$"),
            ("%(b|d)_", "(?s)^(?:.*(b|d).)$"),
            ("a.b$", "(?s)^(?:a\\.b\\$)$"),
            ("10\\%", "(?s)^(?:10\\%)$"),
            ("[a-c%]+", "(?s)^(?:[a-c%]+)$"),
        ] {
            assert_eq!(regular_expression(pattern, "\\").unwrap(), expected);
        }
        assert!(regular_expression("a\\", "\\").is_err());
        assert!(regular_expression("a", "xy").is_err());
    }
}
