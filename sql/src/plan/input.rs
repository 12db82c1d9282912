//! Text to types that the engine's cast does not read: `bytea`, arrays and vectors.
//!
//! Postgres gives every type an input function; a cast from text to one of these becomes a call of
//! it: `'\xdead'::bytea`, `'{1,2}'::int[]`, `'[1,2,3]'::vector(3)`. NULL stays NULL.

use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, BinaryArray};
use datafusion::arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{DFSchema, Result as EngineResult};
use datafusion::logical_expr::expr::{Cast, ScalarFunction};
use datafusion::logical_expr::utils::merge_schema;
use datafusion::logical_expr::{
    ColumnarValue, Expr, ExprSchemable, LogicalPlan, ReturnFieldArgs, ScalarFunctionArgs,
    ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};

use crate::error::Error;

/// Whether a value of `from` reaches `to` by an input function.
fn reads_text(from: &DataType, to: &DataType) -> bool {
    let text = matches!(from, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View);
    text && matches!(to, DataType::Binary | DataType::List(_) | DataType::FixedSizeList(_, _))
}

/// `value` cast to `to`, by the input function if it is text.
pub(crate) fn cast_from(value: Expr, from: &DataType, to: &DataType) -> Expr {
    match reads_text(from, to) {
        true => input(value, to),
        false => datafusion::logical_expr::cast(value, to.clone()),
    }
}

fn input(value: Expr, to: &DataType) -> Expr {
    let function = Arc::new(ScalarUDF::from(TextInput::new(to.clone())));
    Expr::ScalarFunction(ScalarFunction::new_udf(function, vec![value]))
}

/// Puts input functions where a plan casts text to such a type.
pub(super) fn functions(plan: LogicalPlan) -> EngineResult<LogicalPlan> {
    let rewritten = plan.transform_up_with_subqueries(|node| {
        let schema = merge_schema(&node.inputs());
        node.map_expressions(|expression| expression.transform_up(|e| cast_to_input(e, &schema)))
    })?;
    rewritten.data.recompute_schema()
}

fn cast_to_input(expression: Expr, schema: &DFSchema) -> EngineResult<Transformed<Expr>> {
    let Expr::Cast(Cast { expr, field }) = &expression else {
        return Ok(Transformed::no(expression));
    };
    match expr.get_type(schema) {
        Ok(from) if reads_text(&from, field.data_type()) => {
            let read = input(expr.as_ref().clone(), field.data_type());
            let name = expression.schema_name().to_string();
            Ok(Transformed::yes(read.alias_if_changed(name)?))
        }
        _ => Ok(Transformed::no(expression)),
    }
}

/// The input function of one type.
#[derive(Debug, PartialEq, Eq, Hash)]
struct TextInput {
    to: DataType,
    signature: Signature,
}

impl TextInput {
    fn new(to: DataType) -> Self {
        Self { to, signature: Signature::exact(vec![DataType::Utf8], Volatility::Immutable) }
    }
}

impl ScalarUDFImpl for TextInput {
    fn name(&self) -> &str {
        "text_input"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> EngineResult<DataType> {
        Ok(self.to.clone())
    }

    fn return_field_from_args(&self, _: ReturnFieldArgs) -> EngineResult<FieldRef> {
        Ok(Arc::new(Field::new(self.name(), self.to.clone(), true)))
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> EngineResult<ColumnarValue> {
        let texts = arguments.args[0].to_array(arguments.number_rows)?;
        Ok(ColumnarValue::Array(read(texts.as_ref(), &self.to)?))
    }
}

/// Reads every text.
fn read(texts: &dyn Array, to: &DataType) -> Result<ArrayRef, Error> {
    let texts = texts.as_string::<i32>();
    if *to == DataType::Binary {
        let bytes: Result<Vec<Option<Vec<u8>>>, Error> =
            texts.iter().map(|text| text.map(bytea).transpose()).collect();
        return Ok(Arc::new(BinaryArray::from_iter(bytes?)));
    }
    let mut lists = Vec::with_capacity(texts.len());
    for text in texts.iter() {
        lists.push(text.map(|text| list(text, to)).transpose()?);
    }
    let field = Field::new("value", to.clone(), true);
    catalog::types::parse_values(&lists, &field).map_err(|error| {
        Error::new("22P02", format!("invalid input syntax for type {}", name(to)))
            .with_detail(format!("{error}."))
    })
}

fn name(to: &DataType) -> String {
    match to {
        DataType::FixedSizeList(_, n) => format!("vector({n})"),
        other => {
            let udt = crate::types::describe(&Field::new("", other.clone(), true)).udt_name;
            format!("{}[]", udt.trim_start_matches('_'))
        }
    }
}

/// `\xDEAD`, or the escape form: text with `\\` and `\ooo`.
fn bytea(text: &str) -> Result<Vec<u8>, Error> {
    let invalid = || {
        Error::new("22P02", "invalid input syntax for type bytea")
            .with_hint("Write \\x and pairs of hexadecimal digits.")
    };
    if let Some(digits) = text.strip_prefix("\\x") {
        let digits: Vec<u8> = digits.bytes().filter(|b| !b.is_ascii_whitespace()).collect();
        let nibble = |b: u8| (b as char).to_digit(16).map(|d| d as u8).ok_or_else(invalid);
        if !digits.len().is_multiple_of(2) {
            return Err(invalid());
        }
        return digits.chunks(2).map(|p| Ok(nibble(p[0])? << 4 | nibble(p[1])?)).collect();
    }
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, tail)) = rest.split_first() {
        match (first, tail) {
            (b'\\', [b'\\', tail @ ..]) => {
                bytes.push(b'\\');
                rest = tail;
            }
            (b'\\', [a @ b'0'..=b'3', b @ b'0'..=b'7', c @ b'0'..=b'7', tail @ ..]) => {
                bytes.push((a - b'0') << 6 | (b - b'0') << 3 | (c - b'0'));
                rest = tail;
            }
            (b'\\', _) => return Err(invalid()),
            (byte, tail) => {
                bytes.push(*byte);
                rest = tail;
            }
        }
    }
    Ok(bytes)
}

/// A Postgres array or a vector in the catalog's list form.
fn list(text: &str, to: &DataType) -> Result<String, Error> {
    let text = text.trim();
    if let DataType::FixedSizeList(_, dimensions) = to {
        let inner = text.strip_prefix('[').and_then(|t| t.strip_suffix(']'));
        let inner = inner.ok_or_else(|| {
            Error::new("22P02", format!("invalid input syntax for type vector: \"{text}\""))
                .with_detail("Vector contents must start with \"[\" and end with \"]\".")
        })?;
        let given = inner.split(',').count();
        if given != *dimensions as usize {
            let message = format!("expected {dimensions} dimensions, not {given}");
            return Err(Error::new("22000", message));
        }
        return Ok(text.to_string());
    }
    if !(text.starts_with('{') && text.ends_with('}')) {
        return Err(Error::new("22P02", format!("malformed array literal: \"{text}\""))
            .with_detail("Array value must start with \"{\" and end with \"}\"."));
    }
    // Only the braces differ, except inside quotes.
    let mut quoted = false;
    let mut escaped = false;
    let replaced = text.chars().map(|c| {
        let plain = !quoted && !escaped;
        quoted ^= c == '"' && !escaped;
        escaped = c == '\\' && !escaped;
        match c {
            '{' if plain => '[',
            '}' if plain => ']',
            other => other,
        }
    });
    Ok(replaced.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    // PostgreSQL 15: select '…'::bytea.
    #[test]
    fn bytea_reads_both_forms() {
        assert_eq!(bytea("\\xDEad").unwrap(), [0xde, 0xad]);
        assert_eq!(bytea("a\\\\b\\001").unwrap(), b"a\\b\x01");
        assert!(bytea("\\xabc").is_err());
        assert!(bytea("a\\b").is_err());
    }

    #[test]
    fn braces_become_brackets_outside_quotes() {
        let to = DataType::List(Arc::new(Field::new("element", DataType::Utf8, true)));
        assert_eq!(list("{a,\"{b}\",{c}}", &to).unwrap(), "[a,\"{b}\",[c]]");
        assert!(list("a,b", &to).is_err());
    }
}
