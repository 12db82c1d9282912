//! JSON text checked as Postgres checks it, with its words about what is wrong.
//!
//! Tokens come one at a time; `check` only looks at them, `document.rs` builds values from them.

use std::borrow::Cow;

use crate::error::Error;

/// Objects and arrays inside each other that are still read.
const DEPTH: usize = 200;

type Result<T> = std::result::Result<T, Error>;

/// A token; strings and numbers as they are written, strings without their quotes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Token<'a> {
    String(&'a str),
    Number(&'a str),
    True,
    False,
    Null,
    Open(u8),
    Close(u8),
    Comma,
    Colon,
    End,
}

/// The tokens of a text.
pub(super) struct Reader<'a> {
    text: &'a str,
    at: usize,
    /// Where the last token began.
    start: usize,
    depth: usize,
}

/// Whether the text is JSON.
pub(super) fn check(text: &str) -> Result<()> {
    let mut reader = Reader::new(text);
    let first = reader.next()?;
    value(&mut reader, first)?;
    reader.end()
}

fn value<'a>(reader: &mut Reader<'a>, token: Token<'a>) -> Result<()> {
    reader.items(token, &mut (), &mut |_: &mut (), reader, _, token| value(reader, token))
}

impl<'a> Reader<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self { text, at: 0, start: 0, depth: 0 }
    }

    /// The items of an object or an array, or nothing for a scalar: `item` gets the key, if there
    /// is one, and the first token of the value.
    pub(super) fn items<S>(
        &mut self,
        token: Token<'a>,
        state: &mut S,
        item: &mut impl FnMut(&mut S, &mut Self, Option<&'a str>, Token<'a>) -> Result<()>,
    ) -> Result<()> {
        let keyed = match token {
            Token::Open(b'{') => true,
            Token::Open(_) => false,
            Token::String(_) | Token::Number(_) | Token::True | Token::False | Token::Null => {
                return Ok(());
            }
            _ => return Err(self.expected("Expected JSON value", token)),
        };
        self.depth += 1;
        if self.depth > DEPTH {
            return Err(Error::new("54001", "stack depth limit exceeded")
                .with_hint(format!("JSON may be nested {DEPTH} levels deep.")));
        }
        let mut token = self.next()?;
        let mut first = true;
        let close = if keyed { b'}' } else { b']' };
        loop {
            if first && token == Token::Close(close) {
                break;
            }
            let key = match (keyed, token) {
                (false, _) => None,
                (true, Token::String(key)) => {
                    match self.next()? {
                        Token::Colon => {}
                        other => return Err(self.expected("Expected \":\"", other)),
                    }
                    token = self.next()?;
                    Some(key)
                }
                (true, other) => {
                    let wanted = match first {
                        true => "Expected string or \"}\"",
                        false => "Expected string",
                    };
                    return Err(self.expected(wanted, other));
                }
            };
            item(state, self, key, token)?;
            first = false;
            match self.next()? {
                Token::Comma => token = self.next()?,
                Token::Close(found) if found == close => break,
                other => {
                    let wanted = format!("Expected \",\" or \"{}\"", close as char);
                    return Err(self.expected(&wanted, other));
                }
            }
        }
        self.depth -= 1;
        Ok(())
    }

    /// Nothing may follow.
    pub(super) fn end(&mut self) -> Result<()> {
        match self.next()? {
            Token::End => Ok(()),
            other => Err(self.expected("Expected end of input", other)),
        }
    }

    pub(super) fn next(&mut self) -> Result<Token<'a>> {
        let bytes = self.text.as_bytes();
        while bytes.get(self.at).is_some_and(|b| matches!(b, b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
        self.start = self.at;
        let Some(first) = bytes.get(self.at) else { return Ok(Token::End) };
        let single = match first {
            b'{' | b'[' => Token::Open(*first),
            b'}' | b']' => Token::Close(*first),
            b',' => Token::Comma,
            b':' => Token::Colon,
            b'"' => return self.string(),
            b'-' | b'0'..=b'9' => return self.number(),
            _ => {
                self.word();
                return match &self.text[self.start..self.at] {
                    "true" => Ok(Token::True),
                    "false" => Ok(Token::False),
                    "null" => Ok(Token::Null),
                    _ => Err(self.invalid()),
                };
            }
        };
        self.at += 1;
        Ok(single)
    }

    /// Letters, digits and what is beyond ASCII; one character at least.
    fn word(&mut self) {
        let bytes = self.text.as_bytes();
        let part = |b: &u8| b.is_ascii_alphanumeric() || *b == b'_' || *b >= 0x80;
        while bytes.get(self.at).is_some_and(part) {
            self.at += 1;
        }
        if self.at == self.start {
            self.at += 1;
        }
    }

    fn digits(&mut self) -> bool {
        let start = self.at;
        while self.text.as_bytes().get(self.at).is_some_and(u8::is_ascii_digit) {
            self.at += 1;
        }
        self.at > start
    }

    fn number(&mut self) -> Result<Token<'a>> {
        let bytes = self.text.as_bytes();
        let skip = |at: usize, wanted: &[u8]| bytes.get(at).is_some_and(|b| wanted.contains(b));
        self.at += usize::from(skip(self.at, b"-"));
        let mut good = true;
        match bytes.get(self.at) {
            Some(b'0') => self.at += 1,
            _ => good = self.digits(),
        }
        if skip(self.at, b".") {
            self.at += 1;
            good &= self.digits();
        }
        if skip(self.at, b"eE") {
            self.at += 1;
            self.at += usize::from(skip(self.at, b"+-"));
            good &= self.digits();
        }
        let end = self.at;
        self.word();
        // `word` takes one character at least where nothing was read.
        if !good || self.at != end {
            return Err(self.invalid());
        }
        Ok(Token::Number(&self.text[self.start..self.at]))
    }

    fn string(&mut self) -> Result<Token<'a>> {
        let bytes = self.text.as_bytes();
        self.at += 1;
        loop {
            match bytes.get(self.at) {
                None => return Err(self.invalid()),
                Some(b'"') => break,
                Some(b'\\') => self.escape()?,
                Some(control @ 0..=0x1f) => {
                    let detail = format!("Character with value 0x{control:02x} must be escaped.");
                    return Err(syntax(detail));
                }
                Some(_) => self.at += 1,
            }
        }
        self.at += 1;
        Ok(Token::String(&self.text[self.start + 1..self.at - 1]))
    }

    fn escape(&mut self) -> Result<()> {
        let bytes = self.text.as_bytes();
        match bytes.get(self.at + 1) {
            None => {
                self.at = bytes.len();
                return Err(self.invalid());
            }
            Some(b'u') => {
                let digits = bytes.get(self.at + 2..self.at + 6);
                if !digits.is_some_and(|four| four.iter().all(u8::is_ascii_hexdigit)) {
                    let detail = "\"\\u\" must be followed by four hexadecimal digits.";
                    return Err(syntax(detail));
                }
                self.at += 6;
            }
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => self.at += 2,
            Some(_) => {
                let letter = self.text[self.at + 1..].chars().next().unwrap_or_default();
                return Err(syntax(format!("Escape sequence \"\\{letter}\" is invalid.")));
            }
        }
        Ok(())
    }

    fn invalid(&mut self) -> Error {
        let mut end = self.at.min(self.text.len());
        while !self.text.is_char_boundary(end) {
            end += 1;
        }
        syntax(format!("Token \"{}\" is invalid.", &self.text[self.start..end]))
    }

    fn expected(&self, wanted: &str, found: Token<'_>) -> Error {
        match found {
            Token::End => syntax("The input string ended unexpectedly."),
            _ => {
                let found = &self.text[self.start..self.at];
                syntax(format!("{wanted}, but found \"{found}\"."))
            }
        }
    }
}

fn syntax(detail: impl Into<String>) -> Error {
    Error::new("22P02", "invalid input syntax for type json").with_detail(detail)
}

/// What a string's text between the quotes stands for.
pub(super) fn unescaped(raw: &str) -> Result<Cow<'_, str>> {
    if !raw.contains('\\') {
        return Ok(Cow::Borrowed(raw));
    }
    let mut out = String::with_capacity(raw.len());
    let mut rest = raw;
    while let Some((before, after)) = rest.split_once('\\') {
        out.push_str(before);
        let letter = after.chars().next().unwrap_or('\\');
        rest = after.get(letter.len_utf8()..).unwrap_or_default();
        match letter {
            'b' => out.push('\u{8}'),
            'f' => out.push('\u{c}'),
            'n' => out.push('\n'),
            'r' => out.push('\r'),
            't' => out.push('\t'),
            'u' => {
                let (letter, tail) = unicode(rest)?;
                out.push(letter);
                rest = tail;
            }
            other => out.push(other),
        }
    }
    out.push_str(rest);
    Ok(Cow::Owned(out))
}

/// The character of `\uXXXX`, or of two of them, and what follows.
fn unicode(digits: &str) -> Result<(char, &str)> {
    let unit = |digits: &str| {
        digits.get(..4).and_then(|four| u32::from_str_radix(four, 16).ok()).unwrap_or_default()
    };
    let first = unit(digits);
    let tail = digits.get(4..).unwrap_or_default();
    let low = "Unicode low surrogate must follow a high surrogate.";
    match first {
        0 => Err(Error::new("22P05", "unsupported Unicode escape sequence")
            .with_detail("\\u0000 cannot be converted to text.")),
        0xd800..=0xdbff => {
            let second = tail.strip_prefix("\\u");
            match second.map(unit) {
                Some(unit @ 0xdc00..=0xdfff) => {
                    let code = 0x10000 + ((first - 0xd800) << 10) + (unit - 0xdc00);
                    let tail = second.and_then(|rest| rest.get(4..)).unwrap_or_default();
                    Ok((char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER), tail))
                }
                Some(0xd800..=0xdbff) => {
                    Err(syntax("Unicode high surrogate must not follow a high surrogate."))
                }
                _ => Err(syntax(low)),
            }
        }
        0xdc00..=0xdfff => Err(syntax(low)),
        code => Ok((char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER), tail)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn detail(text: &str) -> String {
        match check(text) {
            Err(Error::Statement { detail, .. }) => detail.unwrap_or_default(),
            other => panic!("{other:?}"),
        }
    }

    // PostgreSQL 15: select '…'::json.
    #[test]
    fn errors_are_in_postgres_words() {
        for (text, words) in [
            ("", "The input string ended unexpectedly."),
            ("{bad}", "Token \"bad\" is invalid."),
            ("[1,]", "Expected JSON value, but found \"]\"."),
            ("[1 2]", "Expected \",\" or \"]\", but found \"2\"."),
            ("{1:2}", "Expected string or \"}\", but found \"1\"."),
            ("{\"a\":1,}", "Expected string, but found \"}\"."),
            ("{\"a\" 1}", "Expected \":\", but found \"1\"."),
            ("{\"a\":1 \"b\"}", "Expected \",\" or \"}\", but found \"\"b\"\"."),
            ("1 2", "Expected end of input, but found \"2\"."),
            ("\"a", "Token \"\"a\" is invalid."),
            ("\"a\nb\"", "Character with value 0x0a must be escaped."),
            ("\"\\x\"", "Escape sequence \"\\x\" is invalid."),
            ("\"\\u12\"", "\"\\u\" must be followed by four hexadecimal digits."),
            ("01", "Token \"01\" is invalid."),
            ("1a", "Token \"1a\" is invalid."),
            ("'a'", "Token \"'\" is invalid."),
        ] {
            assert_eq!(detail(text), words, "{text}");
        }
    }

    #[test]
    fn escapes_are_undone() {
        assert_eq!(unescaped("a\\n\\u00e9\\ud83d\\ude00\\/\\\"").unwrap(), "a\né😀/\"");
        assert!(unescaped("\\u0000").is_err());
        assert!(unescaped("\\ud83d").is_err());
        assert!(unescaped("\\ude00").is_err());
    }

    #[test]
    fn nesting_has_a_limit() {
        let deep = |n: usize| format!("{}{}", "[".repeat(n), "]".repeat(n));
        assert!(check(&deep(DEPTH)).is_ok());
        assert!(check(&deep(DEPTH + 1)).is_err());
    }
}
