//! Questions about a value: `@>`, `?`, `?|`, `?&`, its type, its length, how it sorts.

use std::sync::Arc;

use datafusion::arrow::array::{
    Array, ArrayRef, BinaryArray, BooleanArray, Int32Array, StringArray,
};

use super::document::{Node, parse};
use super::scan::{self, Step};
use super::{Call, Definition, Gives, Result};
use crate::error::Error;

/// `jsonb_sort_key(j)`
pub(super) const SORT_KEY: Definition =
    Definition::new("jsonb_sort_key", (1, 1), Gives::Bytes, sort_key);

/// `jsonb_sort_text(j)`: the same in digits, which windows can order by.
pub(super) const SORT_TEXT: Definition =
    Definition::new("jsonb_sort_text", (1, 1), Gives::Text, sort_text);

pub(super) const FUNCTIONS: &[Definition] = &[
    SORT_KEY,
    SORT_TEXT,
    Definition::new("jsonb_contains", (2, 2), Gives::Boolean, contains),
    Definition::new("jsonb_contained", (2, 2), Gives::Boolean, contained),
    Definition::new("jsonb_exists", (2, 2), Gives::Boolean, exists),
    Definition::new("jsonb_exists_any", (2, 2), Gives::Boolean, |call| exists_of(call, false)),
    Definition::new("jsonb_exists_all", (2, 2), Gives::Boolean, |call| exists_of(call, true)),
    Definition::new("json_typeof", (1, 1), Gives::Text, kind),
    Definition::new("jsonb_typeof", (1, 1), Gives::Text, kind),
    Definition::new("json_array_length", (1, 1), Gives::Integer, length),
    Definition::new("jsonb_array_length", (1, 1), Gives::Integer, length),
];

fn sort_key(call: &Call) -> Result<ArrayRef> {
    let keys = call.each::<_, BinaryArray>(&call.json(0)?, |_, text| {
        parse(text).map(|node| Some(node.sort_key()))
    })?;
    Ok(Arc::new(keys))
}

fn sort_text(call: &Call) -> Result<ArrayRef> {
    let keys = call.each::<_, StringArray>(&call.json(0)?, |_, text| {
        let key = parse(text)?.sort_key();
        Ok(Some(key.iter().map(|byte| format!("{byte:02x}")).collect::<String>()))
    })?;
    Ok(Arc::new(keys))
}

/// Asks of two columns; the second is often a constant, which is read once.
fn both(call: &Call, ask: impl Fn(&Node<'_>, &Node<'_>) -> bool) -> Result<ArrayRef> {
    let (left, right) = (call.json(0)?, call.json(1)?);
    let constant = call.constant(1).is_some() && !right.is_empty();
    let constant = constant.then(|| parse(right.value(0))).transpose()?;
    let answer = |(left, right): (Option<&str>, Option<&str>)| {
        let Some((left, right)) = left.zip(right) else { return Ok(None) };
        let left = parse(left)?;
        match &constant {
            Some(right) => Ok(Some(ask(&left, right))),
            None => Ok(Some(ask(&left, &parse(right)?))),
        }
    };
    let answers: Result<BooleanArray> = left.iter().zip(&right).map(answer).collect();
    Ok(Arc::new(answers?))
}

fn contains(call: &Call) -> Result<ArrayRef> {
    let Some(wanted) = call.constant(1).map(parse).transpose()? else {
        return both(call, |left, right| left.contains(right));
    };
    let answers: BooleanArray =
        call.each(&call.json(0)?, |_, text| match (scan::first(text), &wanted) {
            (b'{', Node::Object(_)) => holds(text, &wanted).map(Some),
            _ => Ok(Some(parse(text)?.contains(&wanted))),
        })?;
    Ok(Arc::new(answers))
}

/// `Node::holds` of a text, of which only the members that are asked for are read.
fn holds(text: &str, wanted: &Node<'_>) -> Result<bool> {
    let (b'{', Node::Object(members)) = (scan::first(text), wanted) else {
        return Ok(parse(text)?.holds(wanted));
    };
    for (key, wanted) in members {
        match scan::step(text, Step::Key(key), true) {
            Some(value) if holds(value, wanted)? => {}
            _ => return Ok(false),
        }
    }
    Ok(true)
}

fn has(text: &str, key: &str) -> Result<bool> {
    match scan::first(text) {
        b'{' => Ok(scan::step(text, Step::Key(key), true).is_some()),
        _ => Ok(parse(text)?.has(key)),
    }
}

fn contained(call: &Call) -> Result<ArrayRef> {
    both(call, |left, right| right.contains(left))
}

fn exists(call: &Call) -> Result<ArrayRef> {
    let keys = call.text(1)?;
    let keys: Vec<Option<&str>> = keys.iter().collect();
    let answers: BooleanArray =
        call.each(&call.json(0)?, |row, text| keys[row].map(|key| has(text, key)).transpose())?;
    Ok(Arc::new(answers))
}

fn exists_of(call: &Call, all: bool) -> Result<ArrayRef> {
    let keys = call.texts(1)?;
    let answers: BooleanArray = call.each(&call.json(0)?, |row, text| {
        let Some(keys) = &keys[row] else { return Ok(None) };
        let node = parse(text)?;
        let mut found = keys.iter().flatten().map(|key| node.has(key));
        Ok(Some(if all { found.all(|found| found) } else { found.any(|found| found) }))
    })?;
    Ok(Arc::new(answers))
}

fn kind(call: &Call) -> Result<ArrayRef> {
    let column = call.json(0)?;
    Ok(Arc::new(column.iter().map(|text| text.map(scan::kind)).collect::<StringArray>()))
}

fn length(call: &Call) -> Result<ArrayRef> {
    let lengths: Int32Array = call.each(&call.json(0)?, |_, text| match scan::first(text) {
        b'[' => Ok(i32::try_from(scan::items(text).count()).ok()),
        b'{' => Err(Error::new("22023", "cannot get array length of a non-array")),
        _ => Err(Error::new("22023", "cannot get array length of a scalar")),
    })?;
    Ok(Arc::new(lengths))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::functions::json::document::tests_documents;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn scanning_finds_what_building_finds(a in tests_documents(), b in tests_documents()) {
            let (a, b) = (a.to_string(), b.to_string());
            let built = parse(&a).unwrap();
            for wanted in [parse(&a).unwrap(), parse(&b).unwrap()] {
                prop_assert_eq!(holds(&a, &wanted).unwrap(), built.holds(&wanted));
            }
            prop_assert_eq!(has(&a, "a").unwrap(), built.has("a"));
        }
    }
}
