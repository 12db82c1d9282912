//! jsonpath: `@?`, `@@`, `jsonb_path_query` and their like.
//!
//! Missing are `like_regex`, division, `.keyvalue()`, `.datetime()` and levels behind `.**`: they
//! are refused (0A000) when the path is read.

mod evaluate;
mod language;

use std::sync::Arc;

use datafusion::arrow::array::{
    Array, ArrayRef, BooleanArray, ListBuilder, StringArray, StringBuilder,
};
use datafusion::arrow::datatypes::DataType;

use super::document::{Node, parse};
use super::{Call, Definition, Gives, Result};
use crate::error::Error;

pub(super) const FUNCTIONS: &[Definition] = &[
    Definition::new("jsonb_path_exists_opr", (2, 2), Gives::Boolean, |call| exists(call, true)),
    Definition::new("jsonb_path_match_opr", (2, 2), Gives::Boolean, |call| matches(call, true)),
    Definition::new("jsonb_path_exists", (2, 4), Gives::Boolean, |call| exists(call, false)),
    Definition::new("jsonb_path_match", (2, 4), Gives::Boolean, |call| matches(call, false)),
    Definition::new("jsonb_path_query", (2, 4), Gives::Jsonbs, query),
    Definition::new("jsonb_path_query_array", (2, 4), Gives::Jsonb, |call| joined(call, true)),
    Definition::new("jsonb_path_query_first", (2, 4), Gives::Jsonb, |call| joined(call, false)),
];

/// What the path finds in every row: None where an argument is NULL, or an error is kept silent.
fn each<T>(
    call: &Call,
    silent: bool,
    mut row: impl FnMut(Option<Vec<Node<'_>>>) -> Result<T>,
) -> Result<Vec<T>> {
    let column = call.json(0)?;
    let paths = call.text(1)?;
    let variables = if call.count() > 2 { Some(call.json(2)?) } else { None };
    let silences = if call.count() > 3 { Some(call.boolean(3)?) } else { None };
    let mut last: Option<(String, language::JsonPath)> = None;
    let mut out = Vec::with_capacity(column.len());
    for at in 0..column.len() {
        let is_null = column.is_null(at)
            || paths.is_null(at)
            || variables.as_ref().is_some_and(|v| v.is_null(at))
            || silences.as_ref().is_some_and(|s| s.is_null(at));
        if is_null {
            out.push(row(None)?);
            continue;
        }
        let text = paths.value(at);
        let path = match &last {
            Some((known, path)) if known == text => path,
            _ => &last.insert((text.to_owned(), language::read(text)?)).1,
        };
        let root = parse(column.value(at))?;
        let names = variables.as_ref().map_or("{}", |variables| variables.value(at));
        let found = evaluate::found(path, &root, &parse(names)?);
        let silent = silent || silences.as_ref().is_some_and(|silences| silences.value(at));
        match found {
            Err(_) if silent => out.push(row(None)?),
            found => out.push(row(Some(found?))?),
        }
    }
    Ok(out)
}

fn exists(call: &Call, silent: bool) -> Result<ArrayRef> {
    let answers = each(call, silent, |found| Ok(found.map(|found| !found.is_empty())))?;
    Ok(Arc::new(BooleanArray::from(answers)))
}

fn matches(call: &Call, silent: bool) -> Result<ArrayRef> {
    let silent_rows = silent || call.count() > 3;
    let answers = each(call, silent, |found| {
        let Some(found) = found else { return Ok(None) };
        match found.as_slice() {
            [Node::Bool(holds)] => Ok(Some(*holds)),
            [Node::Null] => Ok(None),
            _ if silent_rows => Ok(None),
            _ => Err(Error::new("22038", "single boolean result is expected")),
        }
    })?;
    Ok(Arc::new(BooleanArray::from(answers)))
}

fn query(call: &Call) -> Result<ArrayRef> {
    let DataType::List(item) = call.arguments.return_field.data_type().clone() else {
        return Err(Error::unsupported("this list"));
    };
    let mut out = ListBuilder::new(StringBuilder::new()).with_field(item);
    each(call, false, |found| {
        for node in found.into_iter().flatten() {
            out.values().append_value(node.text());
        }
        out.append(true);
        Ok(())
    })?;
    Ok(Arc::new(out.finish()))
}

fn joined(call: &Call, all: bool) -> Result<ArrayRef> {
    let answers = each(call, false, |found| {
        let Some(found) = found else { return Ok(None) };
        Ok(match all {
            true => Some(Node::Array(found).text()),
            false => found.first().map(Node::text),
        })
    })?;
    Ok(Arc::new(StringArray::from(answers)))
}
