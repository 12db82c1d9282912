//! A JSON value in memory, and the normal form of `jsonb`: each key once (its last value), keys by
//! length and then bytes, numbers as numeric writes them, one space after `:` and `,`.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::fmt::Write;

use super::number;
use super::read::{Reader, Token, unescaped};
use crate::error::Error;

type Result<T> = std::result::Result<T, Error>;

/// An object's members are sorted by `key_order`, and have different keys.
#[derive(Debug, Clone)]
pub(super) enum Node<'a> {
    Null,
    Bool(bool),
    Number(Cow<'a, str>),
    String(Cow<'a, str>),
    Array(Vec<Node<'a>>),
    Object(Vec<(Cow<'a, str>, Node<'a>)>),
}

/// Reads a text.
pub(super) fn parse(text: &str) -> Result<Node<'_>> {
    let mut reader = Reader::new(text);
    let first = reader.next()?;
    let node = value(&mut reader, first)?;
    reader.end()?;
    Ok(node)
}

fn value<'a>(reader: &mut Reader<'a>, token: Token<'a>) -> Result<Node<'a>> {
    let mut node = match token {
        Token::String(raw) => Node::String(unescaped(raw)?),
        Token::Number(text) => Node::Number(number::normal(text)?),
        Token::True => Node::Bool(true),
        Token::False => Node::Bool(false),
        Token::Open(b'{') => Node::Object(Vec::new()),
        Token::Open(_) => Node::Array(Vec::new()),
        _ => Node::Null,
    };
    reader.items(token, &mut node, &mut |node, reader, key, token| {
        let item = value(reader, token)?;
        match (node, key) {
            (Node::Object(members), Some(key)) => members.push((unescaped(key)?, item)),
            (Node::Array(items), _) => items.push(item),
            _ => {}
        }
        Ok(())
    })?;
    if let Node::Object(members) = &mut node {
        sort(members);
    }
    Ok(node)
}

/// The order in which jsonb keeps keys.
pub(super) fn key_order(a: &str, b: &str) -> Ordering {
    a.len().cmp(&b.len()).then_with(|| a.as_bytes().cmp(b.as_bytes()))
}

fn sort(members: &mut Vec<(Cow<'_, str>, Node<'_>)>) {
    let sorted = members.windows(2).all(|two| key_order(&two[0].0, &two[1].0).is_lt());
    if sorted {
        return;
    }
    // The last of equal keys comes first, and stays.
    members.reverse();
    members.sort_by(|a, b| key_order(&a.0, &b.0));
    members.dedup_by(|later, first| later.0 == first.0);
}

/// A text in normal form.
pub(super) fn normal(text: &str) -> Result<String> {
    let mut out = String::with_capacity(text.len() + 8);
    parse(text)?.write(&mut out);
    Ok(out)
}

/// A string with its quotes.
pub(super) fn quote(out: &mut String, text: &str) {
    out.push('"');
    let mut from = 0;
    for (at, byte) in text.bytes().enumerate() {
        if !matches!(byte, b'"' | b'\\' | 0..=0x1f) {
            continue;
        }
        out.push_str(&text[from..at]);
        from = at + 1;
        match byte {
            b'"' => out.push_str("\\\""),
            b'\\' => out.push_str("\\\\"),
            0x8 => out.push_str("\\b"),
            0xc => out.push_str("\\f"),
            b'\n' => out.push_str("\\n"),
            b'\r' => out.push_str("\\r"),
            b'\t' => out.push_str("\\t"),
            control => {
                let _ = write!(out, "\\u{control:04x}");
            }
        }
    }
    out.push_str(&text[from..]);
    out.push('"');
}

impl<'a> Node<'a> {
    pub(super) fn write(&self, out: &mut String) {
        match self {
            Node::Array(items) => {
                out.push('[');
                for (index, item) in items.iter().enumerate() {
                    out.push_str(if index > 0 { ", " } else { "" });
                    item.write(out);
                }
                out.push(']');
            }
            Node::Object(members) => {
                out.push('{');
                for (index, (key, item)) in members.iter().enumerate() {
                    out.push_str(if index > 0 { ", " } else { "" });
                    quote(out, key);
                    out.push_str(": ");
                    item.write(out);
                }
                out.push('}');
            }
            scalar => scalar.write_scalar(out),
        }
    }

    fn write_scalar(&self, out: &mut String) {
        match self {
            Node::Bool(true) => out.push_str("true"),
            Node::Bool(false) => out.push_str("false"),
            Node::Number(text) => out.push_str(text),
            Node::String(text) => quote(out, text),
            _ => out.push_str("null"),
        }
    }

    /// As `jsonb_pretty` writes it.
    pub(super) fn pretty(&self, out: &mut String, indent: usize) {
        let line = |out: &mut String, first: bool, indent: usize| {
            out.push_str(if first { "\n" } else { ",\n" });
            out.extend(std::iter::repeat_n(' ', indent));
        };
        match self {
            Node::Array(items) => {
                out.push('[');
                for (index, item) in items.iter().enumerate() {
                    line(out, index == 0, indent + 4);
                    item.pretty(out, indent + 4);
                }
                line(out, true, indent);
                out.push(']');
            }
            Node::Object(members) => {
                out.push('{');
                for (index, (key, item)) in members.iter().enumerate() {
                    line(out, index == 0, indent + 4);
                    quote(out, key);
                    out.push_str(": ");
                    item.pretty(out, indent + 4);
                }
                line(out, true, indent);
                out.push('}');
            }
            scalar => scalar.write_scalar(out),
        }
    }

    pub(super) fn text(&self) -> String {
        let mut out = String::new();
        self.write(&mut out);
        out
    }

    pub(super) fn member(&self, key: &str) -> Option<&Node<'a>> {
        let Node::Object(members) = self else { return None };
        let found = members.binary_search_by(|(known, _)| key_order(known, key));
        found.ok().map(|index| &members[index].1)
    }

    pub(super) fn is_scalar(&self) -> bool {
        !matches!(self, Node::Array(_) | Node::Object(_))
    }

    /// As jsonb_typeof says it.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Node::Null => "null",
            Node::Bool(_) => "boolean",
            Node::Number(_) => "number",
            Node::String(_) => "string",
            Node::Array(_) => "array",
            Node::Object(_) => "object",
        }
    }

    fn equals(&self, other: &Node<'_>) -> bool {
        match (self, other) {
            (Node::Number(a), Node::Number(b)) if a == b => true,
            (Node::Number(_), Node::Number(_)) | (Node::Array(_), _) | (Node::Object(_), _) => {
                self.sort_key() == other.sort_key()
            }
            (Node::Null, Node::Null) => true,
            (Node::Bool(a), Node::Bool(b)) => a == b,
            (Node::String(a), Node::String(b)) => a == b,
            _ => false,
        }
    }

    /// `self @> other`.
    pub(super) fn contains(&self, other: &Node<'_>) -> bool {
        match (self, other) {
            // An array contains a scalar that is one of its items, at the top only.
            (Node::Array(items), scalar) if scalar.is_scalar() => {
                items.iter().any(|item| item.equals(scalar))
            }
            _ => self.holds(other),
        }
    }

    pub(super) fn holds(&self, other: &Node<'_>) -> bool {
        match (self, other) {
            (Node::Object(_), Node::Object(wanted)) => wanted
                .iter()
                .all(|(key, value)| self.member(key).is_some_and(|found| found.holds(value))),
            (Node::Array(items), Node::Array(wanted)) => {
                wanted.iter().all(|value| items.iter().any(|item| item.holds(value)))
            }
            _ => self.equals(other),
        }
    }

    /// Whether the text is a key of the object, or a string among an array's items.
    pub(super) fn has(&self, text: &str) -> bool {
        let is = |node: &Node<'_>| matches!(node, Node::String(found) if found == text);
        match self {
            Node::Object(_) => self.member(text).is_some(),
            Node::Array(items) => items.iter().any(is),
            scalar => is(scalar),
        }
    }

    /// Bytes that sort as jsonb does: Object > Array > Boolean > Number > String > null, the longer
    /// container after the shorter, an empty array at the top before everything.
    pub(super) fn sort_key(&self) -> Vec<u8> {
        let mut out = Vec::new();
        out.push(u8::from(!matches!(self, Node::Array(items) if items.is_empty())));
        // A scalar at the top is an array of one.
        match self {
            Node::Array(items) if items.len() == 1 => out.extend([5, 0, 0, 0, 1, 1]),
            Node::Array(_) | Node::Object(_) => {}
            _ => out.extend([5, 0, 0, 0, 1, 0]),
        }
        self.sort_bytes(&mut out);
        out
    }

    fn sort_bytes(&self, out: &mut Vec<u8>) {
        match self {
            Node::Null => out.push(1),
            Node::String(text) => {
                out.push(2);
                out.extend(text.as_bytes());
                out.push(0);
            }
            Node::Number(text) => {
                out.push(3);
                number::sort_bytes(out, text);
            }
            Node::Bool(value) => out.extend([4, u8::from(*value)]),
            Node::Array(items) => {
                out.push(5);
                out.extend((items.len() as u32).to_be_bytes());
                items.iter().for_each(|item| item.sort_bytes(out));
            }
            Node::Object(members) => {
                out.push(6);
                out.extend((members.len() as u32).to_be_bytes());
                for (key, item) in members {
                    out.extend(key.as_bytes());
                    out.push(0);
                    item.sort_bytes(out);
                }
            }
        }
    }
}

#[cfg(test)]
pub(super) use tests::documents as tests_documents;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::Value;

    // PostgreSQL 15: select '…'::jsonb.
    #[test]
    fn the_normal_form_is_postgres_form() {
        for (text, written) in [
            ("{\"bb\":1, \"a\":2,\"bb\":3}", "{\"a\": 2, \"bb\": 3}"),
            ("[ 1,2 , [] , {} ]", "[1, 2, [], {}]"),
            ("\"\\u00e9\\n\\u0001\\/\"", "\"é\\n\\u0001/\""),
            (" null ", "null"),
            ("{\"\": -0.0, \"b\": 1e1, \"a\": true}", "{\"\": 0.0, \"a\": true, \"b\": 10}"),
        ] {
            assert_eq!(normal(text).unwrap(), written, "{text}");
        }
    }

    fn contains(a: &str, b: &str) -> bool {
        parse(a).unwrap().contains(&parse(b).unwrap())
    }

    // PostgreSQL 15: select '…'::jsonb @> '…'.
    #[test]
    fn containment_is_postgres_containment() {
        assert!(contains("{\"a\": 1, \"b\": [1, 2]}", "{\"b\": [2]}"));
        assert!(contains("[1, [2, 3]]", "[[3]]"));
        assert!(contains("[1, 2]", "2"));
        assert!(contains("[1, 1]", "[1.0]"));
        assert!(!contains("[[1]]", "[1]"));
        assert!(!contains("1", "[1]"));
        assert!(!contains("{\"a\": [1]}", "{\"a\": 1}"));
        assert!(contains("{\"a\": {}}", "{}"));
        assert!(!contains("[]", "{}"));
    }

    // PostgreSQL 15: select … order by j.
    #[test]
    fn keys_sort_like_jsonb() {
        let ordered = [
            "[]",
            "null",
            "\"\"",
            "\"a\"",
            "\"b\"",
            "-2",
            "-1.5",
            "0",
            "2",
            "10",
            "false",
            "true",
            "[null]",
            "[2]",
            "[[]]",
            "[1, 2]",
            "{}",
            "{\"a\": 1}",
            "{\"a\": 2}",
            "{\"b\": 1}",
            "{\"a\": 1, \"b\": 1}",
        ];
        let keys: Vec<Vec<u8>> =
            ordered.iter().map(|text| parse(text).unwrap().sort_key()).collect();
        for two in keys.windows(2) {
            assert!(two[0] < two[1]);
        }
    }

    pub(in super::super) fn documents() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            "[a-c\\\\\"\u{e9}\n]{0,4}".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 32, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::vec(("[a-c\"]{0,3}", inner), 0..4)
                    .prop_map(|members| Value::Object(members.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn the_normal_form_means_the_same(document in documents()) {
            let written = normal(&document.to_string()).unwrap();
            prop_assert_eq!(serde_json::from_str::<Value>(&written).unwrap(), document);
            prop_assert_eq!(normal(&written).unwrap(), written);
        }

        #[test]
        fn keys_are_equal_like_documents(a in documents(), b in documents()) {
            let key = |of: &Value| parse(&of.to_string()).unwrap().sort_key();
            prop_assert_eq!(key(&a) == key(&b), a == b);
            prop_assert!(contains(&a.to_string(), &a.to_string()));
        }

        #[test]
        fn any_text_is_read_like_serde_does(text in "[\\[\\]{}:,\"a1\\\\ .e-]{0,12}") {
            let ours = normal(&text).is_ok();
            prop_assert_eq!(ours, serde_json::from_str::<Value>(&text).is_ok(), "{}", text);
        }
    }
}
