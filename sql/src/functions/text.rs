//! `quote_literal`, `quote_ident`, `quote_nullable`, `format`.

use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, StringArray};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::DataType;
use datafusion::common::Result as EngineResult;
use datafusion::logical_expr::{
    ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility, create_udf,
};

use super::keywords::KEYWORDS;
use crate::error::Error;

/// The quoting functions: of NULL, `quote_nullable` gives the word NULL, the others NULL.
pub(super) fn quoting() -> [ScalarUDF; 3] {
    [
        unary("quote_literal", |text| text.map(literal)),
        unary("quote_nullable", |text| Some(text.map_or_else(|| "NULL".into(), literal))),
        unary("quote_ident", |text| text.map(identifier)),
    ]
}

fn unary(name: &str, one: fn(Option<&str>) -> Option<String>) -> ScalarUDF {
    let all = move |arguments: &[ColumnarValue]| {
        let arrays = ColumnarValue::values_to_arrays(arguments)?;
        let texts: StringArray = arrays[0].as_string::<i32>().iter().map(one).collect();
        Ok(ColumnarValue::Array(Arc::new(texts) as ArrayRef))
    };
    let arguments = vec![DataType::Utf8];
    create_udf(name, arguments, DataType::Utf8, Volatility::Immutable, Arc::new(all))
}

/// The text as a literal.
pub(crate) fn literal(text: &str) -> String {
    let quoted = text.replace('\'', "''");
    match quoted.contains('\\') {
        true => format!("E'{}'", quoted.replace('\\', "\\\\")),
        false => format!("'{quoted}'"),
    }
}

pub(crate) fn identifier(text: &str) -> String {
    let mut letters = text.bytes();
    let first = letters.next().is_some_and(|b| b.is_ascii_lowercase() || b == b'_');
    let rest = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_';
    match first && letters.all(rest) && KEYWORDS.binary_search(&text).is_err() {
        true => text.to_string(),
        false => format!("\"{}\"", text.replace('"', "\"\"")),
    }
}

/// `format(template, …)` with `%s`, `%I`, `%L`, `%%`, positions (`%2$s`) and widths (`%-10s`).
pub(super) fn format_function() -> ScalarUDF {
    ScalarUDF::from(Format { signature: Signature::variadic_any(Volatility::Immutable) })
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Format {
    signature: Signature,
}

impl ScalarUDFImpl for Format {
    fn name(&self) -> &str {
        "format"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> EngineResult<DataType> {
        Ok(DataType::Utf8)
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> EngineResult<ColumnarValue> {
        let arrays = ColumnarValue::values_to_arrays(&arguments.args)?;
        let texts = arrays.iter().map(|array| cast(array, &DataType::Utf8));
        let texts = texts.collect::<Result<Vec<_>, _>>()?;
        let columns: Vec<&StringArray> = texts.iter().map(|t| t.as_string::<i32>()).collect();
        let Some((templates, values)) = columns.split_first() else {
            return Err(Error::new("42883", "function format() does not exist").into());
        };
        let row = |row: usize| {
            if templates.is_null(row) {
                return Ok(None);
            }
            let value = |i: usize| {
                let column = values.get(i)?;
                Some(column.is_valid(row).then(|| column.value(row)))
            };
            filled(templates.value(row), value).map(Some)
        };
        let written = (0..templates.len()).map(row).collect::<Result<StringArray, Error>>()?;
        Ok(ColumnarValue::Array(Arc::new(written)))
    }
}

/// The template with its places filled; `value(i)` is None beyond the arguments.
fn filled<'v>(
    template: &str,
    value: impl Fn(usize) -> Option<Option<&'v str>>,
) -> Result<String, Error> {
    let bad = |message: &str| Error::new("22023", message);
    let mut out = String::with_capacity(template.len());
    let mut next = 0;
    let mut rest = template;
    while let Some((before, after)) = rest.split_once('%') {
        out.push_str(before);
        if let Some(after) = after.strip_prefix('%') {
            out.push('%');
            rest = after;
            continue;
        }
        let end = after.find(|c: char| c.is_ascii_alphabetic());
        let end = end.ok_or_else(|| bad("unterminated format() type specifier"))?;
        let (flags, kind) = (&after[..end], &after[end..=end]);
        rest = &after[end + 1..];
        let (position, width) = match flags.split_once('$') {
            Some((position, width)) => (position.parse::<usize>().ok(), width),
            None => (None, flags),
        };
        // A width of `*` is the argument before.
        let starred = match width.trim_start_matches('-') == "*" {
            false => None,
            true => {
                next += 1;
                let given = value(next - 1).ok_or_else(|| bad("too few arguments for format()"))?;
                Some(given.unwrap_or("0").to_owned())
            }
        };
        let left = starred.is_some() && width.starts_with('-');
        let width = starred.as_deref().unwrap_or(width);
        let at = position.map_or(next, |p| p.saturating_sub(1));
        next = at + 1;
        let given = value(at).ok_or_else(|| bad("too few arguments for format()"))?;
        let text = match (kind, given) {
            ("s", text) => text.unwrap_or_default().to_string(),
            ("I", Some(text)) => identifier(text),
            ("I", None) => {
                let message = "null values cannot be formatted as an SQL identifier";
                return Err(Error::new("22004", message));
            }
            ("L", text) => text.map_or_else(|| "NULL".into(), literal),
            _ => {
                let message = format!("unrecognized format() type specifier \"{kind}\"");
                return Err(
                    Error::new("22023", message).with_hint("For a single \"%\" use \"%%\".")
                );
            }
        };
        let left = left || width.starts_with('-');
        let width: usize = width.trim_start_matches('-').parse().unwrap_or(0);
        let padding = " ".repeat(width.saturating_sub(text.chars().count()));
        match left {
            true => out.extend([text, padding]),
            false => out.extend([padding, text]),
        }
    }
    out.push_str(rest);
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    // PostgreSQL 15: select format('…', 'a', 'b c', null).
    #[test]
    fn templates_are_filled() {
        let values = [Some("a"), Some("b c"), None];
        let with = |template: &str| filled(template, |i| values.get(i).copied());
        assert_eq!(with("%s-%I-%L").unwrap(), "a-\"b c\"-NULL");
        assert_eq!(with("%2$s %1$s %%").unwrap(), "b c a %");
        assert_eq!(with("[%5s|%-5s]").unwrap(), "[    a|b c  ]");
        assert!(with("%s %s %s %s").is_err());
        assert!(with("%d").is_err());
        assert!(with("%").is_err());
    }
}
