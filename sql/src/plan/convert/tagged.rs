//! Types that are text in the engine: `uuid`, `json`, `jsonb`, `name`, `"char"`. Their
//! input functions check or cut the text, a uuid is written in small letters, jsonb in its normal
//! form, and the result's field says which type it is. `char(n)` is in `character.rs`.

use std::sync::Arc;

use catalog::TYPE_KEY;
use datafusion::arrow::array::{Array, ArrayRef, AsArray, StringArray};
use datafusion::arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::Result as EngineResult;
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::{
    ColumnarValue, Expr, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
    Volatility,
};

use super::character;
use crate::error::Error;
use crate::functions::json;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Kind {
    Uuid,
    Json,
    Jsonb,
    /// At most 63 bytes.
    Name,
    /// One byte.
    Char,
    /// Plain text again.
    Text,
}

fn kind(tag: &str) -> Option<Kind> {
    match tag {
        "uuid" => Some(Kind::Uuid),
        "json" => Some(Kind::Json),
        "jsonb" => Some(Kind::Jsonb),
        "name" => Some(Kind::Name),
        "\"char\"" => Some(Kind::Char),
        _ => None,
    }
}

pub(super) fn is_known(tag: &str) -> bool {
    kind(tag).is_some() || character::is_character(tag)
}

/// Text as a value of the tagged type; None if it is not one of these.
pub(super) fn input(value: Expr, tag: &str) -> Option<Expr> {
    kind(tag).map(|kind| call(kind, value))
}

/// A value of such a type as text.
pub(super) fn plain(value: Expr) -> Expr {
    call(Kind::Text, value)
}

/// The functions under the names that folded casts call.
pub(crate) fn functions() -> Vec<ScalarUDF> {
    let kinds = [Kind::Uuid, Kind::Json, Kind::Jsonb, Kind::Name, Kind::Char];
    kinds.map(function).into_iter().chain([character::function()]).collect()
}

fn function(kind: Kind) -> ScalarUDF {
    let signature = Signature::exact(vec![DataType::Utf8], Volatility::Immutable);
    ScalarUDF::from(Tagged { kind, signature })
}

fn call(kind: Kind, value: Expr) -> Expr {
    Expr::ScalarFunction(ScalarFunction::new_udf(Arc::new(function(kind)), vec![value]))
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Tagged {
    kind: Kind,
    signature: Signature,
}

impl ScalarUDFImpl for Tagged {
    fn name(&self) -> &str {
        match self.kind {
            Kind::Uuid => "uuid_input",
            Kind::Json => "json_input",
            Kind::Jsonb => "jsonb_input",
            Kind::Name => "name_input",
            Kind::Char => "char_input",
            Kind::Text => "text_of",
        }
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> EngineResult<DataType> {
        Ok(DataType::Utf8)
    }

    fn return_field_from_args(&self, _: ReturnFieldArgs) -> EngineResult<FieldRef> {
        let field = Field::new(self.name(), DataType::Utf8, true);
        let tag = match self.kind {
            Kind::Uuid => "uuid",
            Kind::Json => "json",
            Kind::Jsonb => "jsonb",
            Kind::Name => "name",
            Kind::Char => "\"char\"",
            Kind::Text => return Ok(Arc::new(field)),
        };
        Ok(Arc::new(field.with_metadata([(TYPE_KEY.to_owned(), tag.to_owned())].into())))
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> EngineResult<ColumnarValue> {
        let texts = arguments.args[0].to_array(arguments.number_rows)?;
        let texts = texts.as_string::<i32>();
        let read: ArrayRef = match self.kind {
            Kind::Text => Arc::new(texts.clone()),
            Kind::Name => Arc::new(cut(texts, NAME_BYTES)),
            Kind::Char => Arc::new(cut(texts, 1)),
            Kind::Uuid => {
                let read: Result<StringArray, Error> =
                    texts.iter().map(|text| text.map(uuid).transpose()).collect();
                Arc::new(read?)
            }
            Kind::Json => {
                texts.iter().flatten().try_for_each(json::check)?;
                Arc::new(texts.clone())
            }
            Kind::Jsonb => {
                let read: Result<StringArray, Error> =
                    texts.iter().map(|text| text.map(json::normal).transpose()).collect();
                Arc::new(read?)
            }
        };
        debug_assert_eq!(read.len(), texts.len());
        Ok(ColumnarValue::Array(read))
    }
}

/// The longest name.
const NAME_BYTES: usize = 63;

/// At most so many bytes of each text.
fn cut(texts: &StringArray, bytes: usize) -> StringArray {
    let cut = |text: &str| {
        let end = (0..=bytes.min(text.len())).rev().find(|at| text.is_char_boundary(*at));
        text[..end.unwrap_or(0)].to_owned()
    };
    texts.iter().map(|text| text.map(cut)).collect()
}

/// Thirty-two hexadecimal digits, with hyphens and braces or without.
fn uuid(text: &str) -> Result<String, Error> {
    let digits = text.trim();
    let inner = digits.strip_prefix('{').and_then(|rest| rest.strip_suffix('}'));
    match uuid::Uuid::try_parse(inner.unwrap_or(digits)) {
        Ok(id) => Ok(id.hyphenated().to_string()),
        Err(_) => {
            let message = format!("invalid input syntax for type uuid: \"{text}\"");
            Err(Error::new("22P02", message))
        }
    }
}
