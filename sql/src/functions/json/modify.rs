//! Changes of a value: `||`, `-`, `#-`, `jsonb_set` and its kin, over columns.

use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, StringArray};
use datafusion::arrow::datatypes::{DataType, Int64Type};

use super::change::{self, Edit};
use super::document::{Node, parse};
use super::{Call, Definition, Gives, Result, converted};
use crate::error::Error;

pub(super) const FUNCTIONS: &[Definition] = &[
    Definition::new("jsonb_concat", (2, 2), Gives::Jsonb, concat),
    Definition::new("jsonb_delete", (2, 2), Gives::Jsonb, delete),
    Definition::new("jsonb_delete_path", (2, 2), Gives::Jsonb, delete_path),
    Definition::new("jsonb_set", (3, 4), Gives::Jsonb, set),
    Definition::new("jsonb_set_lax", (3, 5), Gives::Jsonb, set_lax),
    Definition::new("jsonb_insert", (3, 4), Gives::Jsonb, insert),
    Definition::new("json_strip_nulls", (1, 1), Gives::Json, strip_text),
    Definition::new("jsonb_strip_nulls", (1, 1), Gives::Jsonb, strip),
    Definition::new("jsonb_pretty", (1, 1), Gives::Text, pretty),
];

/// The normal form of a column of jsonb: results of ours are, what a file holds may not be.
fn texts(array: StringArray) -> Result<ArrayRef> {
    Ok(Arc::new(array))
}

fn concat(call: &Call) -> Result<ArrayRef> {
    let right = call.json(1)?;
    texts(call.each(&call.json(0)?, |row, left| {
        let right = right.is_valid(row).then(|| right.value(row));
        right.map(|r| Ok(change::concatenated(parse(left)?, parse(r)?).text())).transpose()
    })?)
}

fn delete(call: &Call) -> Result<ArrayRef> {
    let what = call.array(1)?;
    let column = call.json(0)?;
    if what.data_type().is_integer() {
        let what = converted(&what, &DataType::Int64)?;
        let what = what.as_primitive::<Int64Type>();
        return texts(call.each(&column, |row, text| {
            let index = what.is_valid(row).then(|| what.value(row));
            index.map(|i| Ok(change::without_index(parse(text)?, i)?.text())).transpose()
        })?);
    }
    if matches!(what.data_type(), DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View) {
        let what = call.text(1)?;
        return texts(call.each(&column, |row, text| {
            let key = what.is_valid(row).then(|| what.value(row));
            key.map(|key| Ok(change::without_keys(parse(text)?, &[key])?.text())).transpose()
        })?);
    }
    let keys = call.texts(1)?;
    texts(call.each(&column, |row, text| {
        let Some(keys) = &keys[row] else { return Ok(None) };
        let keys: Vec<&str> = keys.iter().flatten().map(String::as_str).collect();
        Ok(Some(change::without_keys(parse(text)?, &keys)?.text()))
    })?)
}

fn delete_path(call: &Call) -> Result<ArrayRef> {
    let paths = call.texts(1)?;
    texts(call.each(&call.json(0)?, |row, text| {
        let Some(path) = &paths[row] else { return Ok(None) };
        let edited = change::edited(parse(text)?, path, &Node::Null, Edit::Delete)?;
        Ok(Some(edited.text()))
    })?)
}

/// A flag that may be left out; None where it is NULL.
fn flag(call: &Call, index: usize, default: bool) -> Result<Vec<Option<bool>>> {
    match index < call.count() {
        true => Ok(call.boolean(index)?.iter().collect()),
        false => Ok(vec![Some(default); call.rows]),
    }
}

fn edit(call: &Call, default: bool, how: fn(bool) -> Edit) -> Result<ArrayRef> {
    let (paths, new, flags) = (call.texts(1)?, call.json(2)?, flag(call, 3, default)?);
    texts(call.each(&call.json(0)?, |row, text| {
        let (Some(path), Some(flag), true) = (&paths[row], flags[row], new.is_valid(row)) else {
            return Ok(None);
        };
        let new = parse(new.value(row))?;
        Ok(Some(change::edited(parse(text)?, path, &new, how(flag))?.text()))
    })?)
}

fn set(call: &Call) -> Result<ArrayRef> {
    edit(call, true, |create| Edit::Set { create })
}

fn insert(call: &Call) -> Result<ArrayRef> {
    edit(call, false, |after| Edit::Insert { after })
}

/// `jsonb_set_lax`: like `jsonb_set`, and says what a NULL value does.
fn set_lax(call: &Call) -> Result<ArrayRef> {
    let (paths, new, flags) = (call.texts(1)?, call.json(2)?, flag(call, 3, true)?);
    let treatments = match call.count() {
        5 => call.text(4)?,
        _ => StringArray::from(vec!["use_json_null"; call.rows]),
    };
    texts(call.each(&call.json(0)?, |row, text| {
        let (Some(path), Some(create)) = (&paths[row], flags[row]) else { return Ok(None) };
        let node = parse(text)?;
        let create = Edit::Set { create };
        if new.is_valid(row) {
            let new = parse(new.value(row))?;
            return Ok(Some(change::edited(node, path, &new, create)?.text()));
        }
        let treatment = treatments.is_valid(row).then(|| treatments.value(row));
        let edited = match treatment {
            Some("use_json_null") => change::edited(node, path, &Node::Null, create)?,
            Some("delete_key") => change::edited(node, path, &Node::Null, Edit::Delete)?,
            Some("return_target") => node,
            Some("raise_exception") => {
                let detail = "Exception was raised because null_value_treatment is \
                              \"raise_exception\".";
                let hint = "To avoid, either change the null_value_treatment argument or ensure \
                            that an SQL NULL is not passed.";
                return Err(Error::new("22004", "JSON value must not be null")
                    .with_detail(detail)
                    .with_hint(hint));
            }
            _ => {
                let message = "null_value_treatment must be \"delete_key\", \"return_target\", \
                               \"use_json_null\", or \"raise_exception\"";
                return Err(Error::new("22023", message));
            }
        };
        Ok(Some(edited.text()))
    })?)
}

fn strip(call: &Call) -> Result<ArrayRef> {
    texts(call.each(&call.json(0)?, |_, text| Ok(Some(change::strip_nulls(parse(text)?).text())))?)
}

fn strip_text(call: &Call) -> Result<ArrayRef> {
    texts(call.each(&call.json(0)?, |_, text| {
        let mut out = String::with_capacity(text.len());
        change::strip_nulls_of_text(&mut out, text)?;
        Ok(Some(out))
    })?)
}

fn pretty(call: &Call) -> Result<ArrayRef> {
    texts(call.each(&call.json(0)?, |_, text| {
        let mut out = String::with_capacity(text.len() * 2);
        parse(text)?.pretty(&mut out, 0);
        Ok(Some(out))
    })?)
}
