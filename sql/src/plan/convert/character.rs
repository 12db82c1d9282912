//! `char(n)` and `bpchar`: text that is kept without the blanks behind it, which count for nothing;
//! the wire writes them. The functions and operators that see them are given them here.

use std::sync::Arc;

use catalog::TYPE_KEY;
use datafusion::arrow::array::{AsArray, StringArray};
use datafusion::arrow::datatypes::{DataType, Field, FieldRef, Int64Type};
use datafusion::common::{DFSchema, Result as EngineResult, ScalarValue};
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::{
    ColumnarValue, Expr, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
    Volatility, lit,
};

use super::{Rules, tag, tagged};

/// Functions to which `char(n)` has its blanks.
const OF_BLANKS: &[&str] = &[
    "concat",
    "concat_ws",
    "format",
    "json_build_array",
    "json_build_object",
    "jsonb_build_array",
    "jsonb_build_object",
    "octet_length",
    "to_json",
    "to_jsonb",
];

/// Whether it is `char(n)` or `bpchar`, which are kept without the blanks behind them.
pub(super) fn is_character(tag: &str) -> bool {
    tag == "bpchar" || length(tag).is_some()
}

/// The `n` of `char(n)`.
fn length(tag: &str) -> Option<i64> {
    tag.strip_prefix("char(")?.strip_suffix(')')?.parse().ok()
}

/// Text as a value of `bpchar`.
pub(super) fn read(value: Expr) -> Expr {
    let function = Arc::new(function());
    Expr::ScalarFunction(ScalarFunction::new_udf(function, vec![value, lit(0_i64)]))
}

/// The function that casts call.
pub(super) fn function() -> ScalarUDF {
    ScalarUDF::from(Character::new())
}

/// A varchar beside `char(n)` counts without the blanks behind it.
pub(super) fn blanks(value: &Expr, beside: &Expr, schema: &DFSchema) -> Option<Expr> {
    let varies = tag(value, schema)?.starts_with("varchar");
    let character = varies && is_character(&tag(beside, schema)?);
    character.then(|| read(value.clone()))
}

impl Rules<'_> {
    /// A value of `char(n)` as text with its blanks; None: it is none.
    pub(super) fn padded(&self, value: &Expr, schema: &DFSchema) -> Option<Expr> {
        let length = length(&tag(value, schema)?)?;
        let pad = self.engine.scalar_functions().get("rpad")?;
        Some(pad.call(vec![tagged::plain(value.clone()), lit(length)]))
    }

    pub(super) fn with_blanks(&self, call: &ScalarFunction, schema: &DFSchema) -> Option<Expr> {
        let padded = |value: &Expr| self.padded(value, schema);
        if !OF_BLANKS.contains(&call.func.name()) || !call.args.iter().any(|a| padded(a).is_some())
        {
            return None;
        }
        let arguments = call.args.iter().map(|arg| padded(arg).unwrap_or_else(|| arg.clone()));
        Some(call.func.call(arguments.collect()))
    }
}

/// `character_input(text, n)`: a cast to `char(n)` cuts the text, and `n` of 0 is `bpchar`.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Character {
    signature: Signature,
}

impl Character {
    fn new() -> Self {
        let arguments = vec![DataType::Utf8, DataType::Int64];
        Self { signature: Signature::exact(arguments, Volatility::Immutable) }
    }
}

impl ScalarUDFImpl for Character {
    fn name(&self) -> &str {
        "character_input"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> EngineResult<DataType> {
        Ok(DataType::Utf8)
    }

    fn return_field_from_args(&self, arguments: ReturnFieldArgs) -> EngineResult<FieldRef> {
        let length = match arguments.scalar_arguments.get(1) {
            Some(Some(ScalarValue::Int64(length))) => length.filter(|length| *length > 0),
            _ => None,
        };
        let tag = length.map_or_else(|| "bpchar".into(), |length| format!("char({length})"));
        let field = Field::new(self.name(), DataType::Utf8, true);
        Ok(Arc::new(field.with_metadata([(TYPE_KEY.to_owned(), tag)].into())))
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> EngineResult<ColumnarValue> {
        let arrays = ColumnarValue::values_to_arrays(&arguments.args)?;
        let lengths = arrays[1].as_primitive::<Int64Type>();
        let texts = arrays[0].as_string::<i32>().iter().zip(lengths).map(|(text, length)| {
            let (text, length) = (text?, usize::try_from(length.unwrap_or(0)).unwrap_or(0));
            let end = text.char_indices().nth(length).filter(|_| length > 0);
            Some(text[..end.map_or(text.len(), |(end, _)| end)].trim_end_matches(' '))
        });
        Ok(ColumnarValue::Array(Arc::new(texts.collect::<StringArray>())))
    }
}
