//! Postgres' input functions: `'\xdead'::bytea`, `'{1,2}'::int[]`, `'[1,2,3]'::vector(3)`, times
//! (`time.rs`), numerics (`numeric.rs`) and intervals.

use std::sync::Arc;

use catalog::types::VectorType;
use datafusion::arrow::array::{
    Array, ArrayRef, AsArray, BinaryArray, Float32Array, Float64Array, ListArray, StringArray,
};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, Field, FieldRef, Float32Type};
use datafusion::common::{Result as EngineResult, ScalarValue};
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::{
    ColumnarValue, Expr, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
    Volatility,
};

use kernels::vectors;

use super::{numeric, time};
use crate::error::Error;
use crate::pg_type::HALFVEC_OID;

/// Whether text becomes a value of this type by an input function of ours.
pub(super) fn reads(to: &DataType) -> bool {
    match to {
        DataType::Binary | DataType::List(_) | DataType::FixedSizeList(_, _) => true,
        DataType::Float32 | DataType::Float64 | DataType::Decimal128(..) => true,
        DataType::Interval(_) => true,
        other => time::reads(other),
    }
}

/// `abc   ` for a `varchar(3)`: blanks beyond the length are cut, anything else is too long.
pub(super) fn without_trailing_blanks(value: Expr, tag: &str) -> Option<Expr> {
    let (name, limit) = tag.strip_suffix(')')?.split_once('(')?;
    let limit: usize = limit.parse().ok()?;
    let signature = Signature::exact(vec![DataType::Utf8], Volatility::Immutable);
    let function = Arc::new(ScalarUDF::from(Blanks { limit, signature }));
    let limited = matches!(name, "varchar" | "char");
    limited.then(|| Expr::ScalarFunction(ScalarFunction::new_udf(function, vec![value])))
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Blanks {
    limit: usize,
    signature: Signature,
}

impl ScalarUDFImpl for Blanks {
    fn name(&self) -> &str {
        "without_trailing_blanks"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> EngineResult<DataType> {
        Ok(DataType::Utf8)
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> EngineResult<ColumnarValue> {
        let texts = arguments.args[0].to_array(arguments.number_rows)?;
        let texts = texts.as_string::<i32>();
        if texts.iter().flatten().all(|text| text.len() <= self.limit) {
            return Ok(ColumnarValue::Array(Arc::new(texts.clone())));
        }
        let cut = texts.iter().map(|text| {
            text.map(|text| match text.char_indices().nth(self.limit) {
                Some((at, _)) if text[at..].bytes().all(|b| b == b' ') => &text[..at],
                _ => text,
            })
        });
        Ok(ColumnarValue::Array(Arc::new(cut.collect::<StringArray>())))
    }
}

/// A call of the input function; times without a zone are in `zone`.
pub(super) fn input(value: Expr, to: &DataType, zone: &str) -> Expr {
    let function = Arc::new(ScalarUDF::from(TextInput::new(to.clone(), zone.to_owned())));
    Expr::ScalarFunction(ScalarFunction::new_udf(function, vec![value]))
}

/// The input function of one type.
#[derive(Debug, PartialEq, Eq, Hash)]
struct TextInput {
    to: DataType,
    zone: String,
    signature: Signature,
}

impl TextInput {
    fn new(to: DataType, zone: String) -> Self {
        Self { to, zone, signature: Signature::exact(vec![DataType::Utf8], Volatility::Immutable) }
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
        Ok(ColumnarValue::Array(read(texts.as_ref(), &self.to, &self.zone)?))
    }
}

/// A text as a value of a type, for whom it has an input function; times without a zone are in
/// `zone`. Errors are those of Postgres' input functions.
pub fn read_text(text: &str, to: &DataType, zone: &str) -> Result<ScalarValue, Error> {
    let value = read(&StringArray::from(vec![text]), to, zone)?;
    Ok(ScalarValue::try_from_array(&value, 0)?)
}

/// Texts as values of a type whose form no time zone changes.
pub(crate) fn read_texts(texts: &ArrayRef, to: &DataType) -> Result<ArrayRef, Error> {
    read(texts.as_ref(), to, "UTC")
}

/// Reads every text.
fn read(texts: &dyn Array, to: &DataType, zone: &str) -> Result<ArrayRef, Error> {
    let texts = texts.as_string::<i32>();
    if let Some(of) = VectorType::of(to) {
        return vectors(texts, of, to);
    }
    match to {
        DataType::Binary => {
            let bytes: Result<Vec<Option<Vec<u8>>>, Error> =
                texts.iter().map(|text| text.map(bytea).transpose()).collect();
            return Ok(Arc::new(BinaryArray::from_iter(bytes?)));
        }
        DataType::Float64 => {
            let numbers: Result<Float64Array, Error> =
                texts.iter().map(|text| text.map(float).transpose()).collect();
            return Ok(Arc::new(numbers?));
        }
        DataType::Float32 => {
            let real = |text: &str| {
                let number = float(text)?;
                let real = number as f32;
                match real.is_infinite() && number.is_finite() {
                    true => Err(out_of_range(text, "real")),
                    false => Ok(real),
                }
            };
            let numbers: Result<Float32Array, Error> =
                texts.iter().map(|text| text.map(real).transpose()).collect();
            return Ok(Arc::new(numbers?));
        }
        DataType::Decimal128(precision, scale) => return numeric::read(texts, *precision, *scale),
        other if time::reads(other) => return time::read(texts, other, zone),
        _ => {}
    }
    let interval = matches!(to, DataType::Interval(_));
    let mut lists = Vec::with_capacity(texts.len());
    for text in texts.iter() {
        lists.push(match interval {
            true => text.map(str::to_owned),
            false => text.map(list).transpose()?,
        });
    }
    let field = Field::new("value", to.clone(), true);
    catalog::types::parse_values(&lists, &field).map_err(|error| {
        let code = if interval { "22007" } else { "22P02" };
        let message = match lists.iter().flatten().next() {
            Some(text) if interval => format!("invalid input syntax for type interval: \"{text}\""),
            _ => format!("invalid input syntax for type {}", name(to)),
        };
        Error::new(code, message).with_detail(format!("{error}."))
    })
}

/// `1.5`, `1e6`, `NaN`, `-Infinity`.
fn float(text: &str) -> Result<f64, Error> {
    let invalid = |_| {
        let message = format!("invalid input syntax for type double precision: \"{text}\"");
        Error::new("22P02", message)
    };
    let number: f64 = text.trim().parse().map_err(invalid)?;
    let digits = text.contains(|c: char| c.is_ascii_digit());
    match number.is_infinite() && digits {
        true => Err(out_of_range(text, "double precision")),
        false => Ok(number),
    }
}

fn out_of_range(text: &str, name: &str) -> Error {
    Error::new("22003", format!("\"{text}\" is out of range for type {name}"))
}

fn name(to: &DataType) -> String {
    let udt = crate::types::describe(&Field::new("", to.clone(), true)).udt_name;
    format!("{}[]", udt.trim_start_matches('_'))
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

/// Vectors from their texts.
///
/// Errors: those of pgvector (22P02, 22000, 22003).
fn vectors(texts: &StringArray, of: VectorType, to: &DataType) -> Result<ArrayRef, Error> {
    let read = |text: &str| vectors::parse(of.kind, text, of.dimension);
    let vectors = texts.iter().map(|text| text.map(read).transpose());
    let vectors = vectors.collect::<Result<Vec<_>, _>>().map_err(|error| no_vector(&error))?;
    vectors_of(vectors, to)
}

/// Vectors as an array of a type whose dimension they have.
fn vectors_of(vectors: Vec<Option<Vec<f32>>>, to: &DataType) -> Result<ArrayRef, Error> {
    let items = vectors.into_iter().map(|vector| vector.map(|all| all.into_iter().map(Some)));
    let lists = ListArray::from_iter_primitive::<Float32Type, _, _>(items);
    cast(&lists, to).map_err(|error| Error::Engine(error.into()))
}

/// A vector from the binary form of the protocol, of the type that the client says, as one of the
/// type that is wanted.
///
/// Errors: those of pgvector (22P03, 22000).
pub fn read_vector(bytes: &[u8], oid: u32, to: &DataType) -> Result<ScalarValue, Error> {
    let kind = if oid == HALFVEC_OID { vectors::Kind::Half } else { vectors::Kind::Single };
    let dimension = VectorType::of(to).and_then(|of| of.dimension);
    let vector = vectors::from_bytes(kind, bytes, dimension).map_err(|error| no_vector(&error))?;
    let own = VectorType { kind, dimension };
    let to = match VectorType::of(to) {
        Some(of) => {
            vectors::check(of.kind, &vector, None).map_err(|error| no_vector(&error))?;
            to.clone()
        }
        None => own.data_type(),
    };
    Ok(ScalarValue::try_from_array(&vectors_of(vec![Some(vector)], &to)?, 0)?)
}

fn no_vector(error: &vectors::TextError) -> Error {
    let wrong = Error::new(error.sqlstate(), error.to_string());
    match error.detail() {
        Some(detail) => wrong.with_detail(detail),
        None => wrong,
    }
}

/// A Postgres array in the catalog's list form.
fn list(text: &str) -> Result<String, Error> {
    let text = text.trim();
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
        assert_eq!(list("{a,\"{b}\",{c}}").unwrap(), "[a,\"{b}\",[c]]");
        assert!(list("a,b").is_err());
    }
}
