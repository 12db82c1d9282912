//! Functions that give rows: each gives a list, which the planner unnests.

use std::sync::Arc;

use datafusion::arrow::array::{
    Array, ArrayBuilder, ArrayRef, ListArray, ListBuilder, StringArray, StringBuilder, StructArray,
};
use datafusion::arrow::datatypes::DataType;

use super::document::quote;
use super::read::unescaped;
use super::scan::{self, Step};
use super::{Call, Definition, Gives, Result};
use crate::error::Error;

/// The planner's `json_each_keys`, `json_column_text` and their like are the columns of a record.
pub(super) const FUNCTIONS: &[Definition] = &[
    Definition::new("json_array_elements", (1, 1), Gives::Jsons, |c| elements(c, false)),
    Definition::new("jsonb_array_elements", (1, 1), Gives::Jsonbs, |c| elements(c, false)),
    Definition::new("json_array_elements_text", (1, 1), Gives::Texts, |c| elements(c, true)),
    Definition::new("jsonb_array_elements_text", (1, 1), Gives::Texts, |c| elements(c, true)),
    Definition::new("json_object_keys", (1, 1), Gives::Texts, |c| keys(c, "json_object_keys")),
    Definition::new("jsonb_object_keys", (1, 1), Gives::Texts, |c| keys(c, "jsonb_object_keys")),
    Definition::new("json_each_keys", (1, 1), Gives::Texts, |c| keys(c, "json_each")),
    Definition::new("jsonb_each_keys", (1, 1), Gives::Texts, |c| keys(c, "jsonb_each")),
    Definition::new("json_each_values", (1, 1), Gives::Jsons, |c| values(c, false)),
    Definition::new("jsonb_each_values", (1, 1), Gives::Jsonbs, |c| values(c, false)),
    Definition::new("json_each_text_values", (1, 1), Gives::Texts, |c| values(c, true)),
    Definition::new("jsonb_each_text_values", (1, 1), Gives::Texts, |c| values(c, true)),
    Definition::new("json_each", (1, 1), Gives::Pairs(Some("json")), |c| each(c, false)),
    Definition::new("jsonb_each", (1, 1), Gives::Pairs(Some("jsonb")), |c| each(c, false)),
    Definition::new("json_each_text", (1, 1), Gives::Pairs(None), |c| each(c, true)),
    Definition::new("jsonb_each_text", (1, 1), Gives::Pairs(None), |c| each(c, true)),
    Definition::new("json_populate_record", (2, 2), Gives::Text, unread),
    Definition::new("jsonb_populate_record", (2, 2), Gives::Text, unread),
    Definition::new("json_populate_recordset", (2, 2), Gives::Text, unread),
    Definition::new("jsonb_populate_recordset", (2, 2), Gives::Text, unread),
    Definition::new("json_record_column", (3, 3), Gives::Texts, |c| column(c, Rows::One)),
    Definition::new("jsonb_record_column", (3, 3), Gives::Texts, |c| column(c, Rows::One)),
    Definition::new("json_recordset_column", (3, 3), Gives::Texts, |c| column(c, Rows::Each)),
    Definition::new("jsonb_recordset_column", (3, 3), Gives::Texts, |c| column(c, Rows::Each)),
];

fn unread(_: &Call) -> Result<ArrayRef> {
    Err(Error::unsupported("a record of a table's type")
        .with_hint("Name the columns: json_to_record(j) AS r(a int, b text)."))
}

fn wrong(message: impl Into<String>) -> Error {
    Error::new("22023", message)
}

/// A list a row; of NULL an empty one, so that it gives no rows.
fn lists(
    call: &Call,
    mut items: impl FnMut(&str, &mut StringBuilder) -> Result<()>,
) -> Result<ArrayRef> {
    let column = call.json(0)?;
    let DataType::List(item) = call.arguments.return_field.data_type().clone() else {
        return Err(Error::unsupported("this list"));
    };
    let mut out = ListBuilder::new(StringBuilder::new()).with_field(item);
    for text in &column {
        if let Some(text) = text {
            items(text, out.values())?;
        }
        out.append(true);
    }
    Ok(Arc::new(out.finish()))
}

fn elements(call: &Call, as_text: bool) -> Result<ArrayRef> {
    lists(call, |text, out| {
        match (scan::first(text), call.binary) {
            (b'[', _) => {}
            (b'{', true) => return Err(wrong("cannot extract elements from an object")),
            (_, true) => return Err(wrong("cannot extract elements from a scalar")),
            (b'{', false) => {
                let name = if as_text { "json_array_elements_text" } else { "json_array_elements" };
                return Err(wrong(format!("cannot call {name} on a non-array")));
            }
            (_, false) => {
                let name = if as_text { "json_array_elements_text" } else { "json_array_elements" };
                return Err(wrong(format!("cannot call {name} on a scalar")));
            }
        }
        append(text, as_text, out)
    })
}

fn append(text: &str, as_text: bool, out: &mut StringBuilder) -> Result<()> {
    for (_, value) in scan::items(text) {
        match as_text {
            true => out.append_option(scan::text_of(value)?),
            false => out.append_value(value),
        }
    }
    Ok(())
}

fn object(text: &str, name: &str, binary: bool) -> Result<()> {
    let keys = name.ends_with("object_keys");
    match (scan::first(text), keys) {
        (b'{', _) => Ok(()),
        (b'[', true) => Err(wrong(format!("cannot call {name} on an array"))),
        (_, true) => Err(wrong(format!("cannot call {name} on a scalar"))),
        (b'[', false) if !binary => Err(wrong("cannot deconstruct an array as an object")),
        (_, false) if !binary => Err(wrong("cannot deconstruct a scalar")),
        _ => Err(wrong(format!("cannot call {name} on a non-object"))),
    }
}

fn keys(call: &Call, name: &str) -> Result<ArrayRef> {
    lists(call, |text, out| {
        object(text, name, call.binary)?;
        for (key, _) in scan::items(text) {
            out.append_value(unescaped(key)?);
        }
        Ok(())
    })
}

fn values(call: &Call, as_text: bool) -> Result<ArrayRef> {
    lists(call, |text, out| {
        object(text, "jsonb_each", call.binary)?;
        append(text, as_text, out)
    })
}

fn each(call: &Call, as_text: bool) -> Result<ArrayRef> {
    let column = call.json(0)?;
    let DataType::List(item) = call.arguments.return_field.data_type() else {
        return Err(Error::unsupported("this list"));
    };
    let DataType::Struct(fields) = item.data_type() else {
        return Err(Error::unsupported("this list"));
    };
    let (mut names, mut found) = (StringBuilder::new(), StringBuilder::new());
    let mut lengths = Vec::with_capacity(column.len());
    for text in &column {
        let before = names.len();
        if let Some(text) = text {
            object(text, "jsonb_each", call.binary)?;
            for (key, _) in scan::items(text) {
                names.append_value(unescaped(key)?);
            }
            append(text, as_text, &mut found)?;
        }
        lengths.push(names.len() - before);
    }
    let columns: Vec<ArrayRef> = vec![Arc::new(names.finish()), Arc::new(found.finish())];
    let engine = |error| Error::Engine(datafusion::error::DataFusionError::from(error));
    let pairs = StructArray::try_new(fields.clone(), columns, None).map_err(engine)?;
    let offsets = datafusion::arrow::buffer::OffsetBuffer::from_lengths(lengths);
    let lists = ListArray::try_new(Arc::clone(item), offsets, Arc::new(pairs), None);
    Ok(Arc::new(lists.map_err(engine)?))
}

/// Whether a value is one record or an array of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rows {
    One,
    Each,
}

/// `json_record_column(j, 'key', 'kind')`: a record's value as the text that its type reads: JSON
/// itself for `json`, an array's text for `array`, else as `->>` gives it.
fn column(call: &Call, rows: Rows) -> Result<ArrayRef> {
    let names: StringArray = call.text(1)?;
    let kinds = call.text(2)?;
    let name = names.iter().next().flatten().unwrap_or_default().to_owned();
    let kind = kinds.iter().next().flatten().unwrap_or_default().to_owned();
    lists(call, |text, out| {
        let mut one = |record: &str| {
            let found = scan::step(record, Step::Key(&name), call.binary);
            let found = found.map(|value| read_by(&kind, value)).transpose()?.flatten();
            out.append_option(found);
            Ok(())
        };
        match (rows, scan::first(text)) {
            (Rows::One, b'{') => one(text),
            (Rows::One, b'[') => Err(wrong("cannot call json_to_record on an array")),
            (Rows::One, _) => Err(wrong("cannot call json_to_record on a scalar")),
            (Rows::Each, b'[') => {
                scan::items(text).try_for_each(|(_, record)| match scan::first(record) {
                    b'{' => one(record),
                    _ => Err(wrong("argument of json_to_recordset must be an array of objects")),
                })
            }
            (Rows::Each, b'{') => Err(wrong("cannot call json_to_recordset on an object")),
            (Rows::Each, _) => Err(wrong("cannot call json_to_recordset on a scalar")),
        }
    })
}

fn read_by(kind: &str, value: &str) -> Result<Option<String>> {
    match (kind, scan::first(value)) {
        ("json", _) => Ok(Some(value.to_owned())),
        ("array", b'[') => {
            let mut out = String::new();
            array_text(&mut out, value)?;
            Ok(Some(out))
        }
        _ => Ok(scan::text_of(value)?.map(std::borrow::Cow::into_owned)),
    }
}

/// A JSON array as the text of a Postgres array.
fn array_text(out: &mut String, value: &str) -> Result<()> {
    out.push('{');
    for (index, (_, item)) in scan::items(value).enumerate() {
        out.push_str(if index > 0 { "," } else { "" });
        match (scan::first(item), scan::text_of(item)?) {
            (b'[', _) => array_text(out, item)?,
            (_, None) => out.push_str("NULL"),
            (_, Some(text)) => quote(out, &text),
        }
    }
    out.push('}');
    Ok(())
}
