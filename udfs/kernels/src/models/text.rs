//! Models as text: lines of `key=value`, sealed with a checksum.

use std::fmt::Write;

use super::trees::Error;

const CHECKSUM_KEY: &str = "sextant_checksum=";

pub(super) fn missing(what: impl Into<String>) -> Error {
    Error::Format { what: what.into() }
}

/// Lines of `key=value`.
pub(super) struct Lines<'a>(Vec<(&'a str, &'a str)>);

impl<'a> Lines<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self(text.lines().filter_map(|line| line.trim_end().split_once('=')).collect())
    }

    pub(super) fn find(&self, key: &str) -> Option<&'a str> {
        self.0.iter().find(|(name, _)| *name == key).map(|(_, value)| *value)
    }

    pub(super) fn number<T: std::str::FromStr>(&self, key: &str) -> Result<T, Error> {
        self.find(key).and_then(|value| value.parse().ok()).ok_or_else(|| missing(key))
    }

    /// Numbers with blanks between; as many as said.
    pub(super) fn list<T: std::str::FromStr>(
        &self,
        key: &str,
        count: usize,
    ) -> Result<Vec<T>, Error> {
        let words = self.find(key).unwrap_or_default().split_ascii_whitespace();
        let all: Option<Vec<T>> = words.map(|word| word.parse().ok()).collect();
        all.filter(|all| all.len() == count).ok_or_else(|| missing(key))
    }
}

/// A line of values with blanks between.
pub(super) fn list<T: ToString>(text: &mut String, key: &str, values: impl IntoIterator<Item = T>) {
    let words: Vec<String> = values.into_iter().map(|value| value.to_string()).collect();
    let _ = writeln!(text, "{key}={}", words.join(" "));
}

/// The text with a line that holds the CRC-32 of all before it.
pub(super) fn sealed(text: String) -> String {
    let check = crc32fast::hash(text.as_bytes());
    text + &format!("{CHECKSUM_KEY}{check:08x}\n")
}

/// What `sealed` was given; None if a letter has changed.
pub(super) fn unsealed(text: &str) -> Option<&str> {
    let (body, tail) = text.split_once(CHECKSUM_KEY)?;
    (tail == format!("{:08x}\n", crc32fast::hash(body.as_bytes()))).then_some(body)
}

/// Blanks, controls, `=` and `%` as `%` and their code in hexadecimal and `;`.
pub(super) fn escape(name: &str) -> String {
    let mut text = String::new();
    for letter in name.chars() {
        if letter.is_whitespace() || letter.is_control() || matches!(letter, '%' | '=') {
            let _ = write!(text, "%{:x};", u32::from(letter));
        } else {
            text.push(letter);
        }
    }
    text
}

pub(super) fn unescape(text: &str) -> String {
    let mut parts = text.split('%');
    let mut name = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (code, rest) = part.split_once(';').unwrap_or((part, ""));
        name.extend(u32::from_str_radix(code, 16).ok().and_then(char::from_u32));
        name.push_str(rest);
    }
    name
}
