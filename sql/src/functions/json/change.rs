//! Changed values: merged, with parts taken out, set or put in.

use std::borrow::Cow;

use super::document::{Node, key_order, quote};
use super::read::unescaped;
use super::scan;
use crate::error::Error;

type Result<T> = std::result::Result<T, Error>;

/// A path: keys, or indexes written as text.
pub(super) type Path = [Option<String>];

/// What is done at the end of a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Edit {
    Set { create: bool },
    Insert { after: bool },
    Delete,
}

fn wrong(message: impl Into<String>) -> Error {
    Error::new("22023", message)
}

/// `left || right`: objects merge, anything else becomes one array.
pub(super) fn concatenated<'a>(left: Node<'a>, right: Node<'a>) -> Node<'a> {
    let items = |node| match node {
        Node::Array(items) => items,
        other => vec![other],
    };
    match (left, right) {
        (Node::Object(mut members), Node::Object(added)) => {
            for (key, value) in added {
                put(&mut members, key, value);
            }
            Node::Object(members)
        }
        (left, right) => {
            let mut all = items(left);
            all.extend(items(right));
            Node::Array(all)
        }
    }
}

/// Sets the key's value, at its place.
fn put<'a>(members: &mut Vec<(Cow<'a, str>, Node<'a>)>, key: Cow<'a, str>, value: Node<'a>) {
    match members.binary_search_by(|(known, _)| key_order(known, &key)) {
        Ok(index) => members[index].1 = value,
        Err(index) => members.insert(index, (key, value)),
    }
}

/// `node - keys`: keys of an object, strings of an array.
pub(super) fn without_keys<'a>(node: Node<'a>, keys: &[&str]) -> Result<Node<'a>> {
    match node {
        Node::Object(mut members) => {
            members.retain(|(key, _)| !keys.contains(&key.as_ref()));
            Ok(Node::Object(members))
        }
        Node::Array(mut items) => {
            items.retain(|item| !matches!(item, Node::String(s) if keys.contains(&s.as_ref())));
            Ok(Node::Array(items))
        }
        _ => Err(wrong("cannot delete from scalar")),
    }
}

/// `node - index`
pub(super) fn without_index(node: Node<'_>, index: i64) -> Result<Node<'_>> {
    match node {
        Node::Array(mut items) => {
            let at = if index < 0 { index + items.len() as i64 } else { index };
            if let Ok(at) = usize::try_from(at)
                && at < items.len()
            {
                items.remove(at);
            }
            Ok(Node::Array(items))
        }
        Node::Object(_) => Err(wrong("cannot delete from object using integer index")),
        _ => Err(wrong("cannot delete from scalar")),
    }
}

/// `node` with `new` at the end of the path, or without what is there.
pub(super) fn edited<'a>(
    node: Node<'a>,
    path: &'a Path,
    new: &Node<'a>,
    edit: Edit,
) -> Result<Node<'a>> {
    if node.is_scalar() {
        return Err(wrong(match edit {
            Edit::Delete => "cannot delete path in scalar",
            _ => "cannot set path in scalar",
        }));
    }
    match path.is_empty() {
        true => Ok(node),
        false => at_level(node, path, 0, new, edit),
    }
}

fn at_level<'a>(
    node: Node<'a>,
    path: &'a Path,
    level: usize,
    new: &Node<'a>,
    edit: Edit,
) -> Result<Node<'a>> {
    let Some(key) = &path[level] else {
        let message = format!("path element at position {} is null", level + 1);
        return Err(Error::new("22004", message));
    };
    match node {
        Node::Object(mut members) => {
            let found = members.binary_search_by(|(known, _)| key_order(known, key));
            let last = level + 1 == path.len();
            match (found, last) {
                (Ok(index), false) => {
                    let inner = std::mem::replace(&mut members[index].1, Node::Null);
                    members[index].1 = at_level(inner, path, level + 1, new, edit)?;
                }
                (Err(_), false) => {}
                (found, true) => set_member(&mut members, found, key, new, edit)?,
            }
            Ok(Node::Object(members))
        }
        Node::Array(items) => in_array(items, key, path, level, new, edit).map(Node::Array),
        scalar => Ok(scalar),
    }
}

fn set_member<'a>(
    members: &mut Vec<(Cow<'a, str>, Node<'a>)>,
    found: std::result::Result<usize, usize>,
    key: &'a str,
    new: &Node<'a>,
    edit: Edit,
) -> Result<()> {
    match (found, edit) {
        (Ok(index), Edit::Set { .. }) => members[index].1 = new.clone(),
        (Ok(index), Edit::Delete) => drop(members.remove(index)),
        (Ok(_), Edit::Insert { .. }) => {
            return Err(wrong("cannot replace existing key")
                .with_hint("Try using the function jsonb_set to replace key value."));
        }
        (Err(index), Edit::Set { create: true } | Edit::Insert { .. }) => {
            members.insert(index, (Cow::Borrowed(key), new.clone()));
        }
        (Err(_), _) => {}
    }
    Ok(())
}

fn in_array<'a>(
    mut items: Vec<Node<'a>>,
    key: &str,
    path: &'a Path,
    level: usize,
    new: &Node<'a>,
    edit: Edit,
) -> Result<Vec<Node<'a>>> {
    let index: i64 = key.trim().parse::<i32>().map(i64::from).map_err(|_| {
        let position = level + 1;
        let message = format!("path element at position {position} is not an integer: \"{key}\"");
        Error::new("22P02", message)
    })?;
    let count = items.len();
    let at = if index < 0 { index + count as i64 } else { index };
    let inside = usize::try_from(at).ok().filter(|at| *at < count);
    if level + 1 < path.len() {
        if let Some(at) = inside {
            let inner = std::mem::replace(&mut items[at], Node::Null);
            items[at] = at_level(inner, path, level + 1, new, edit)?;
        }
        return Ok(items);
    }
    match (inside, edit) {
        (Some(at), Edit::Set { .. }) => items[at] = new.clone(),
        (Some(at), Edit::Delete) => drop(items.remove(at)),
        (Some(at), Edit::Insert { after }) => items.insert(at + usize::from(after), new.clone()),
        // Beyond the ends it is put at the end.
        (None, Edit::Set { create: true } | Edit::Insert { .. }) => {
            let end = if at < 0 { 0 } else { count };
            items.insert(end, new.clone());
        }
        (None, _) => {}
    }
    Ok(items)
}

/// Without members that are null, at any depth; without white space.
pub(super) fn strip_nulls(node: Node<'_>) -> Node<'_> {
    match node {
        Node::Array(items) => Node::Array(items.into_iter().map(strip_nulls).collect()),
        Node::Object(members) => {
            let kept = members.into_iter().filter(|(_, value)| !matches!(value, Node::Null));
            Node::Object(kept.map(|(key, value)| (key, strip_nulls(value))).collect())
        }
        scalar => scalar,
    }
}

/// The same of `json`: order, repeated keys and numbers stay as written.
pub(super) fn strip_nulls_of_text(out: &mut String, value: &str) -> Result<()> {
    let value = scan::trimmed(value);
    let (open, close) = match scan::first(value) {
        b'{' => ('{', '}'),
        b'[' => ('[', ']'),
        b'"' => {
            quote(out, &unescaped(value.get(1..value.len() - 1).unwrap_or_default())?);
            return Ok(());
        }
        _ => {
            out.push_str(value);
            return Ok(());
        }
    };
    out.push(open);
    let start = out.len();
    for (key, item) in scan::items(value) {
        if open == '{' && item == "null" {
            continue;
        }
        if out.len() > start {
            out.push(',');
        }
        if open == '{' {
            quote(out, &unescaped(key)?);
            out.push(':');
        }
        strip_nulls_of_text(out, item)?;
    }
    out.push(close);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::document::parse;
    use super::*;

    fn path(of: &[&str]) -> Vec<Option<String>> {
        of.iter().map(|key| Some((*key).to_owned())).collect()
    }

    fn edit(text: &str, at: &[&str], how: Edit) -> String {
        let new = parse("9").unwrap();
        let path = path(at);
        match edited(parse(text).unwrap(), &path, &new, how) {
            Ok(node) => node.text(),
            Err(error) => error.to_string(),
        }
    }

    // PostgreSQL 15: jsonb_set, jsonb_insert, #-.
    #[test]
    fn paths_are_edited_like_postgres() {
        let create = Edit::Set { create: true };
        assert_eq!(edit("{\"a\": [1, 2]}", &["a", "-1"], create), "{\"a\": [1, 9]}");
        assert_eq!(edit("{\"a\": [1, 2]}", &["a", "5"], create), "{\"a\": [1, 2, 9]}");
        assert_eq!(edit("{\"a\": [1, 2]}", &["a", "-5"], create), "{\"a\": [9, 1, 2]}");
        assert_eq!(edit("{\"a\": 1}", &["b", "c"], create), "{\"a\": 1}");
        assert_eq!(edit("{\"a\": 1}", &["b"], Edit::Set { create: false }), "{\"a\": 1}");
        assert_eq!(edit("[1, 2]", &["0"], Edit::Insert { after: true }), "[1, 9, 2]");
        assert_eq!(
            edit("{\"a\": 1}", &["a"], Edit::Insert { after: true }),
            "cannot replace existing key"
        );
        assert_eq!(
            edit("{\"a\": [1, {\"b\": 2}]}", &["a", "1", "b"], Edit::Delete),
            "{\"a\": [1, {}]}"
        );
        assert_eq!(
            edit("[1]", &["x"], create),
            "path element at position 1 is not an integer: \"x\""
        );
    }

    #[test]
    fn nulls_are_stripped() {
        let mut out = String::new();
        let text = "{\"a\": null, \"b\" : [null, {\"c\":null}], \"a\": 1.0}";
        strip_nulls_of_text(&mut out, text).unwrap();
        assert_eq!(out, "{\"b\":[null,{}],\"a\":1.0}");
    }
}
