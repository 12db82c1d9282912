//! What names a snapshot: its number, its time, a tag.

use catalog::State;
use datafusion::arrow::datatypes::DataType;
use datafusion::common::ScalarValue;
use datafusion::sql::sqlparser::ast;

use crate::error::{Error, Result};
use crate::parse;
use crate::statements::TAG_KIND;

/// The tag in what `VERSION AS OF 'tag'` is folded to.
pub(super) fn tagged(version: &ast::Expr) -> Option<String> {
    let ast::Expr::Function(function) = version else { return None };
    let [ast::ObjectNamePart::Identifier(name)] = function.name.0.as_slice() else { return None };
    let ast::FunctionArguments::List(arguments) = &function.args else { return None };
    let [ast::FunctionArg::Unnamed(ast::FunctionArgExpr::Expr(ast::Expr::Value(tag)))] =
        arguments.args.as_slice()
    else {
        return None;
    };
    tag.value.clone().into_string().filter(|_| name.value == parse::TAGGED)
}

/// The snapshot that a number or a tag names.
pub(crate) fn snapshot(state: &State, value: ScalarValue) -> Result<i64> {
    if let Ok(ScalarValue::Int64(Some(id))) = value.cast_to(&DataType::Int64) {
        return Ok(id);
    }
    let ScalarValue::Utf8(Some(tag)) = value.cast_to(&DataType::Utf8)? else {
        return Err(Error::new("22023", "a snapshot is named by its number or a tag"));
    };
    let definition = state.definitions.get(&(TAG_KIND.to_owned(), tag.clone()));
    definition.and_then(|tag| tag.body.get("snapshot_id")?.as_i64()).ok_or_else(|| {
        Error::new("42704", format!("tag \"{tag}\" does not exist"))
            .with_hint("List tags: SELECT * FROM lake.tags.")
    })
}

pub(crate) fn time_us(value: ScalarValue) -> Result<i64> {
    match value.cast_to(&crate::types::timestamptz()) {
        Ok(ScalarValue::TimestampMicrosecond(Some(us), _)) => Ok(us),
        _ => Err(Error::new("22007", "a snapshot's time must be a timestamp")),
    }
}
