//! Parts of a JSON text that is known to be right, found without building a value.
//!
//! ```text
//!   {"a": [1, 2], "b": "x"}      members: ("a", `[1, 2]`), ("b", `"x"`)
//!         └────┘                 one pass; a string ends at the first quote without a backslash
//! ```

use std::borrow::Cow;

use super::read::unescaped;
use crate::error::Error;

type Result<T> = std::result::Result<T, Error>;

/// What is asked for in a value.
#[derive(Debug, Clone, Copy)]
pub(super) enum Step<'s> {
    Key(&'s str),
    /// From the end if it is negative.
    Index(i64),
    /// A key of an object, an index of an array: `'{a,0}'`.
    Either(&'s str),
}

fn space(bytes: &[u8], mut at: usize) -> usize {
    while bytes.get(at).is_some_and(|b| matches!(b, b' ' | b'\t' | b'\n' | b'\r')) {
        at += 1;
    }
    at
}

/// The place behind the string whose quote is at `at`.
fn string_end(bytes: &[u8], at: usize) -> usize {
    let mut at = at + 1;
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'"' => return at + 1,
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
    bytes.len()
}

fn value_end(bytes: &[u8], at: usize) -> usize {
    match bytes.get(at) {
        Some(b'"') => string_end(bytes, at),
        Some(b'{' | b'[') => {
            let (mut at, mut depth) = (at, 0_usize);
            while let Some(byte) = bytes.get(at) {
                match byte {
                    b'"' => {
                        at = string_end(bytes, at);
                        continue;
                    }
                    b'{' | b'[' => depth += 1,
                    b'}' | b']' => depth -= 1,
                    _ => {}
                }
                at += 1;
                if depth == 0 {
                    return at;
                }
            }
            bytes.len()
        }
        _ => {
            let ends = |b: &u8| matches!(b, b',' | b'}' | b']' | b' ' | b'\t' | b'\n' | b'\r');
            let length = bytes[at.min(bytes.len())..].iter().position(ends);
            length.map_or(bytes.len(), |length| at + length)
        }
    }
}

/// The text without white space around it.
pub(super) fn trimmed(text: &str) -> &str {
    text.trim_matches([' ', '\t', '\n', '\r'])
}

/// The first byte of a value: `{`, `[`, `"`, `t`, `f`, `n`, or one of a number.
pub(super) fn first(text: &str) -> u8 {
    trimmed(text).bytes().next().unwrap_or(b'n')
}

/// As json_typeof says it.
pub(super) fn kind(text: &str) -> &'static str {
    match first(text) {
        b'{' => "object",
        b'[' => "array",
        b'"' => "string",
        b't' | b'f' => "boolean",
        b'n' => "null",
        _ => "number",
    }
}

/// The items of an array or the members of an object; without any for a scalar.
pub(super) struct Items<'a> {
    text: &'a str,
    at: usize,
    keyed: bool,
}

pub(super) fn items(text: &str) -> Items<'_> {
    let bytes = text.as_bytes();
    let at = space(bytes, 0);
    match bytes.get(at) {
        Some(open @ (b'{' | b'[')) => Items { text, at: at + 1, keyed: *open == b'{' },
        _ => Items { text, at: text.len(), keyed: false },
    }
}

impl<'a> Iterator for Items<'a> {
    /// The key as it is written, empty in an array, and the value.
    type Item = (&'a str, &'a str);

    fn next(&mut self) -> Option<Self::Item> {
        let bytes = self.text.as_bytes();
        let mut at = space(bytes, self.at);
        if bytes.get(at) == Some(&b',') {
            at = space(bytes, at + 1);
        }
        if matches!(bytes.get(at), None | Some(b'}' | b']')) {
            self.at = self.text.len();
            return None;
        }
        let mut key = "";
        if self.keyed {
            let end = string_end(bytes, at);
            key = self.text.get(at + 1..end - 1)?;
            at = space(bytes, space(bytes, end) + 1);
        }
        let end = value_end(bytes, at);
        self.at = end;
        Some((key, self.text.get(at..end)?))
    }
}

/// The value at a step. Of equal keys `json` takes the last; `jsonb` has no equal keys.
pub(super) fn step<'a>(text: &'a str, step: Step<'_>, binary: bool) -> Option<&'a str> {
    match (first(text), step) {
        (b'{', Step::Key(key) | Step::Either(key)) => {
            let is = |(raw, _): &(&str, &str)| {
                *raw == key || (raw.contains('\\') && unescaped(raw).is_ok_and(|k| k == key))
            };
            let found = match binary {
                true => items(text).find(is),
                false => items(text).filter(is).last(),
            };
            found.map(|(_, value)| value)
        }
        (b'[', Step::Index(index)) => at(text, index),
        (b'[', Step::Either(index)) => at(text, index.trim().parse().ok()?),
        // A scalar of jsonb is an array of one.
        (b'{', _) | (b'[', Step::Key(_)) => None,
        (_, Step::Index(0 | -1)) if binary => Some(trimmed(text)),
        _ => None,
    }
}

fn at(text: &str, index: i64) -> Option<&str> {
    let index = match index < 0 {
        true => items(text).count().checked_sub(usize::try_from(index.unsigned_abs()).ok()?)?,
        false => usize::try_from(index).ok()?,
    };
    items(text).nth(index).map(|(_, value)| value)
}

/// A value as text: a string without its quotes, None for null.
pub(super) fn text_of(value: &str) -> Result<Option<Cow<'_, str>>> {
    match value.as_bytes() {
        [b'"', ..] => unescaped(value.get(1..value.len() - 1).unwrap_or_default()).map(Some),
        b"null" => Ok(None),
        _ => Ok(Some(Cow::Borrowed(value))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::Value;

    #[test]
    fn parts_are_found_as_written() {
        let text = " { \"a\" : [1, {\"b\":\"}\"} ] ,\"c\\n\":null, \"a\":2 } ";
        assert_eq!(step(text, Step::Key("a"), true), Some("[1, {\"b\":\"}\"} ]"));
        assert_eq!(step(text, Step::Key("a"), false), Some("2"));
        assert_eq!(step(text, Step::Key("c\n"), false), Some("null"));
        assert_eq!(step(text, Step::Key("x"), false), None);
        assert_eq!(step("[1, 2,3]", Step::Index(-1), true), Some("3"));
        assert_eq!(step("[1, 2,3]", Step::Index(-4), true), None);
        assert_eq!(step("[]", Step::Index(0), true), None);
        assert_eq!(step("7", Step::Index(0), true), Some("7"));
        assert_eq!(text_of("\"a\\\"b\"").unwrap().unwrap(), "a\"b");
    }

    proptest! {
        #[test]
        fn steps_find_what_serde_finds(document in super::super::document::tests_documents()) {
            let text = serde_json::to_string_pretty(&document).unwrap();
            match &document {
                Value::Object(members) => for (key, value) in members {
                    let found = step(&text, Step::Key(key), false).unwrap();
                    prop_assert_eq!(&serde_json::from_str::<Value>(found).unwrap(), value);
                },
                Value::Array(items) => for (index, value) in items.iter().enumerate() {
                    let found = step(&text, Step::Index(index as i64), true).unwrap();
                    prop_assert_eq!(&serde_json::from_str::<Value>(found).unwrap(), value);
                },
                scalar => prop_assert_eq!(trimmed(&text), scalar.to_string()),
            }
        }
    }
}
