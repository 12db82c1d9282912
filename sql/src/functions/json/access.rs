//! Parts of a value: `->`, `->>`, `#>`, `#>>`, `json_extract_path`.
//!
//! The text is scanned, never built: one pass over a column finds a constant key.

use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, StringArray, StringBuilder};
use datafusion::arrow::datatypes::{DataType, Int64Type};

use super::scan::{self, Step};
use super::{Call, Definition, Gives, MANY, Result, converted};

pub(super) const FUNCTIONS: &[Definition] = &[
    Definition::new("json_get", (2, 2), Gives::Json, |call| get(call, false)),
    Definition::new("jsonb_get", (2, 2), Gives::Jsonb, |call| get(call, false)),
    Definition::new("json_get_text", (2, 2), Gives::Text, |call| get(call, true)),
    Definition::new("jsonb_get_text", (2, 2), Gives::Text, |call| get(call, true)),
    Definition::new("json_path", (2, 2), Gives::Json, |call| path(call, false)),
    Definition::new("jsonb_path", (2, 2), Gives::Jsonb, |call| path(call, false)),
    Definition::new("json_path_text", (2, 2), Gives::Text, |call| path(call, true)),
    Definition::new("jsonb_path_text", (2, 2), Gives::Text, |call| path(call, true)),
    Definition::new("json_extract_path", (1, MANY), Gives::Json, |call| extract(call, false)),
    Definition::new("jsonb_extract_path", (1, MANY), Gives::Jsonb, |call| extract(call, false)),
    Definition::new("json_extract_path_text", (1, MANY), Gives::Text, |c| extract(c, true)),
    Definition::new("jsonb_extract_path_text", (1, MANY), Gives::Text, |c| extract(c, true)),
];

/// Appends the found value: as JSON, or as text.
fn append(out: &mut StringBuilder, found: Option<&str>, as_text: bool) -> Result<()> {
    let Some(found) = found else {
        out.append_null();
        return Ok(());
    };
    match as_text {
        false => out.append_value(found),
        true => out.append_option(scan::text_of(found)?),
    }
    Ok(())
}

fn get(call: &Call, as_text: bool) -> Result<ArrayRef> {
    let column = call.json(0)?;
    let mut out = StringBuilder::with_capacity(column.len(), column.len() * 8);
    if let Some(key) = call.constant(1) {
        for text in &column {
            let found = text.and_then(|text| scan::step(text, Step::Key(key), call.binary));
            append(&mut out, found, as_text)?;
        }
        return Ok(Arc::new(out.finish()));
    }
    let keys = call.array(1)?;
    if keys.data_type().is_integer() {
        let indexes = converted(&keys, &DataType::Int64)?;
        for (text, index) in column.iter().zip(indexes.as_primitive::<Int64Type>()) {
            let found = text.zip(index);
            let found = found.and_then(|(t, i)| scan::step(t, Step::Index(i), call.binary));
            append(&mut out, found, as_text)?;
        }
        return Ok(Arc::new(out.finish()));
    }
    for (text, key) in column.iter().zip(&call.text(1)?) {
        let found = text.zip(key);
        let found = found.and_then(|(text, key)| scan::step(text, Step::Key(key), call.binary));
        append(&mut out, found, as_text)?;
    }
    Ok(Arc::new(out.finish()))
}

fn path(call: &Call, as_text: bool) -> Result<ArrayRef> {
    let column = call.json(0)?;
    let paths = call.texts(1)?;
    let mut out = StringBuilder::new();
    for (text, path) in column.iter().zip(&paths) {
        let found = text.zip(path.as_ref());
        let found = found.and_then(|(text, path)| along(text, path, call.binary));
        append(&mut out, found, as_text)?;
    }
    Ok(Arc::new(out.finish()))
}

fn along<'a>(text: &'a str, path: &[Option<String>], binary: bool) -> Option<&'a str> {
    path.iter().try_fold(scan::trimmed(text), |text, key| {
        scan::step(text, Step::Either(key.as_deref()?), binary)
    })
}

fn extract(call: &Call, as_text: bool) -> Result<ArrayRef> {
    let column = call.json(0)?;
    let keys = (1..call.count()).map(|i| call.text(i)).collect::<Result<Vec<StringArray>>>()?;
    let mut out = StringBuilder::new();
    for (row, text) in column.iter().enumerate() {
        let found = text.and_then(|text| {
            keys.iter().try_fold(scan::trimmed(text), |text, keys| {
                let key = keys.is_valid(row).then(|| keys.value(row))?;
                scan::step(text, Step::Either(key), call.binary)
            })
        });
        append(&mut out, found, as_text)?;
    }
    Ok(Arc::new(out.finish()))
}
