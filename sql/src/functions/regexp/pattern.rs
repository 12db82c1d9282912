//! Postgres' advanced regular expressions as the engine's.
//!
//! | Postgres                       | here                                                  |
//! |--------------------------------|-------------------------------------------------------|
//! | `.` and `[^a]` match newlines  | `(?s)`; with flag `n` or `p` they do not              |
//! | `^ $` are the ends of the text | as here; with flag `n` or `w` of lines, `(?m)`        |
//! | `\m \M [[:<:]] [[:>:]]`        | `\b{start}`, `\b{end}`                                |
//! | `\y \Y`                        | `\b`, `\B`                                            |
//! | `\Z`                           | `\z`                                                  |
//! | `(?i)…`, `***:…`, `***=…`      | flags, and literal text                               |
//! | `\1`, `(?=…)`, `[[.a.]]`       | 0A000: the engine's expressions run in linear time    |
//!
//! Where branches of `|` begin alike the first that matches counts, not the longest.

use regex::{Regex, RegexBuilder};

use crate::error::Error;

/// The size to which a compiled expression may grow.
const BYTES: usize = 10 << 20;

/// What flags say.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Flags {
    pub(super) all: bool,
    ignore_case: bool,
    expanded: bool,
    quoted: bool,
    /// `.` and `[^…]` do not match newlines.
    dots_in_lines: bool,
    /// `^` and `$` match at the ends of lines.
    ends_of_lines: bool,
}

impl Flags {
    /// `gi`; `g` only where the function has a use for it.
    pub(crate) fn read(text: &str, function: &str, global: bool) -> Result<Self, Error> {
        let mut flags = Self::default();
        for flag in text.chars() {
            match flag {
                'g' if global => flags.all = true,
                'g' => {
                    let message = format!("{function}() does not support the \"global\" option");
                    return Err(Error::new("22023", message));
                }
                other if flags.set(other) => {}
                other => {
                    let message = format!("invalid regular expression option: \"{other}\"");
                    return Err(Error::new("22023", message));
                }
            }
        }
        Ok(flags)
    }

    fn set(&mut self, flag: char) -> bool {
        match flag {
            'i' => self.ignore_case = true,
            'c' => self.ignore_case = false,
            'x' => self.expanded = true,
            't' => self.expanded = false,
            'q' => self.quoted = true,
            'n' | 'm' => (self.dots_in_lines, self.ends_of_lines) = (true, true),
            'p' => (self.dots_in_lines, self.ends_of_lines) = (true, false),
            'w' => (self.dots_in_lines, self.ends_of_lines) = (false, true),
            's' => (self.dots_in_lines, self.ends_of_lines) = (false, false),
            'b' | 'e' => {}
            _ => return false,
        }
        true
    }
}

/// The compiled expression.
pub(super) fn compiled(pattern: &str, flags: Flags) -> Result<Regex, Error> {
    let translated = translated(pattern, flags)?;
    RegexBuilder::new(&translated).size_limit(BYTES).build().map_err(|error| match error {
        regex::Error::CompiledTooBig(_) => Error::new("54000", "regular expression is too complex"),
        other => {
            let text = other.to_string();
            let reason = text.lines().last().unwrap_or_default().trim_start_matches("error: ");
            Error::new("2201B", format!("invalid regular expression: {reason}"))
        }
    })
}

/// The engine's text of an expression.
pub(crate) fn translated(pattern: &str, flags: Flags) -> Result<String, Error> {
    let mut flags = flags;
    let mut rest = pattern;
    if let Some(literal) = rest.strip_prefix("***=") {
        (flags.quoted, rest) = (true, literal);
    } else if let Some(advanced) = rest.strip_prefix("***:") {
        rest = advanced;
    }
    if !flags.quoted
        && let Some((options, after)) = options(rest)
    {
        for option in options.chars() {
            if !flags.set(option) {
                return Err(invalid("invalid embedded option"));
            }
        }
        rest = after;
    }
    let mut out = String::with_capacity(rest.len() + 8);
    let set = [(flags.ignore_case, 'i'), (flags.ends_of_lines, 'm')];
    let set: String = set.iter().filter(|(on, _)| *on).map(|(_, flag)| *flag).collect();
    let dots = if flags.dots_in_lines || !rest.contains('.') { "" } else { "s" };
    if !set.is_empty() || !dots.is_empty() {
        out.push_str(&format!("(?{set}{dots})"));
    }
    match flags.quoted {
        true => out.push_str(&regex::escape(rest)),
        false => Translation { rest: rest.chars().collect(), at: 0, flags, out: &mut out }.run()?,
    }
    Ok(out)
}

/// `(?i)` in front.
fn options(pattern: &str) -> Option<(&str, &str)> {
    let (options, after) = pattern.strip_prefix("(?")?.split_once(')')?;
    let letters = !options.is_empty() && options.bytes().all(|b| b.is_ascii_lowercase());
    letters.then_some((options, after))
}

fn invalid(reason: &str) -> Error {
    Error::new("2201B", format!("invalid regular expression: {reason}"))
}

fn unsupported(what: &str) -> Error {
    Error::unsupported(format!("{what} in a regular expression"))
}

struct Translation<'o> {
    rest: Vec<char>,
    at: usize,
    flags: Flags,
    out: &'o mut String,
}

impl Translation<'_> {
    fn peek(&self, ahead: usize) -> Option<char> {
        self.rest.get(self.at + ahead).copied()
    }

    fn starts_with(&self, text: &str) -> bool {
        text.chars().enumerate().all(|(ahead, c)| self.peek(ahead) == Some(c))
    }

    fn run(&mut self) -> Result<(), Error> {
        while let Some(c) = self.peek(0) {
            match c {
                '\\' => self.escape(false)?,
                '[' => self.bracket()?,
                '(' if self.peek(1) == Some('?') => self.group()?,
                c if self.flags.expanded && c.is_whitespace() => self.at += 1,
                '#' if self.flags.expanded => {
                    while self.peek(0).is_some_and(|c| c != '\n') {
                        self.at += 1;
                    }
                }
                c => {
                    self.out.push(c);
                    self.at += 1;
                }
            }
        }
        Ok(())
    }

    /// `(?:`, a comment, or what cannot be told in linear time.
    fn group(&mut self) -> Result<(), Error> {
        match self.peek(2) {
            Some(':') => {
                self.out.push_str("(?:");
                self.at += 3;
                Ok(())
            }
            Some('#') => {
                while self.peek(0).is_some_and(|c| c != ')') {
                    self.at += 1;
                }
                self.at += 1;
                Ok(())
            }
            Some('=' | '!' | '<') => Err(unsupported("lookaround")),
            _ => Err(invalid("quantifier operand invalid")),
        }
    }

    fn escape(&mut self, in_bracket: bool) -> Result<(), Error> {
        let Some(c) = self.peek(1) else {
            return Err(invalid("invalid escape \\ sequence"));
        };
        self.at += 2;
        let simple = match (c, in_bracket) {
            ('a', _) => "\\x07",
            ('b', _) => "\\x08",
            ('B', _) => "\\\\",
            ('e', _) => "\\x1B",
            ('f', _) => "\\f",
            ('n', _) => "\\n",
            ('r', _) => "\\r",
            ('t', _) => "\\t",
            ('v', _) => "\\v",
            ('0', _) => "\\x00",
            ('d', _) => "\\d",
            ('s', _) => "\\s",
            ('w', _) => "\\w",
            ('D', false) => "\\D",
            ('S', false) => "\\S",
            ('W', false) => "\\W",
            ('A', false) => "\\A",
            ('m', false) => "\\b{start}",
            ('M', false) => "\\b{end}",
            ('y', false) => "\\b",
            ('Y', false) => "\\B",
            ('Z', false) => "\\z",
            ('x', _) => return self.code(usize::MAX),
            ('u', _) => return self.code(4),
            ('U', _) => return self.code(8),
            ('1'..='9', false) => return Err(unsupported("a back reference")),
            (c, _) if c.is_ascii_alphanumeric() => {
                return Err(invalid("invalid escape \\ sequence"));
            }
            (c, _) => {
                self.out.push_str(&regex::escape(&c.to_string()));
                return Ok(());
            }
        };
        self.out.push_str(simple);
        Ok(())
    }

    /// A character by its number in hexadecimal digits.
    fn code(&mut self, most: usize) -> Result<(), Error> {
        let mut digits = String::new();
        while digits.len() < most
            && let Some(c) = self.peek(0).filter(char::is_ascii_hexdigit)
        {
            digits.push(c);
            self.at += 1;
        }
        let code = u32::from_str_radix(&digits, 16).ok().and_then(char::from_u32);
        let code = code.ok_or_else(|| invalid("invalid escape \\ sequence"))?;
        self.out.push_str(&regex::escape(&code.to_string()));
        Ok(())
    }

    fn bracket(&mut self) -> Result<(), Error> {
        for (written, meant) in [("[[:<:]]", "\\b{start}"), ("[[:>:]]", "\\b{end}")] {
            if self.starts_with(written) {
                self.out.push_str(meant);
                self.at += written.len();
                return Ok(());
            }
        }
        self.out.push('[');
        self.at += 1;
        if self.peek(0) == Some('^') {
            self.out.push('^');
            self.at += 1;
            if self.flags.dots_in_lines {
                self.out.push_str("\\n");
            }
        }
        let mut first = true;
        loop {
            let Some(c) = self.peek(0) else {
                return Err(invalid("brackets [] not balanced"));
            };
            match c {
                ']' if !first => {
                    self.out.push(']');
                    self.at += 1;
                    return Ok(());
                }
                '[' if matches!(self.peek(1), Some('.' | '=')) => {
                    return Err(unsupported("a collating element"));
                }
                '[' if self.peek(1) == Some(':') => {
                    let class: String =
                        self.rest[self.at..].iter().take_while(|c| **c != ']').collect();
                    self.out.push_str(&class);
                    self.out.push(']');
                    self.at += class.chars().count() + 1;
                }
                '\\' => self.escape(true)?,
                '-' => {
                    self.out.push('-');
                    self.at += 1;
                }
                c => {
                    if matches!(c, '[' | ']' | '&' | '~' | '^') {
                        self.out.push('\\');
                    }
                    self.out.push(c);
                    self.at += 1;
                }
            }
            first = false;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matched<'t>(pattern: &str, text: &'t str) -> Option<&'t str> {
        compiled(pattern, Flags::default()).unwrap().find(text).map(|found| found.as_str())
    }

    fn code(pattern: &str) -> Option<&'static str> {
        match compiled(pattern, Flags::default()) {
            Err(Error::Statement { sqlstate, .. }) => Some(sqlstate),
            _ => None,
        }
    }

    // PostgreSQL 15: select (regexp_match(text, pattern))[1], or regexp_substr.
    #[test]
    fn expressions_mean_what_they_mean_in_postgres() {
        for (pattern, text, found) in [
            ("a.c", "a\nc", Some("a\nc")),
            ("^b", "a\nb", None),
            ("(?n)^b", "a\nb", Some("b")),
            ("(?n)a.", "a\nab", Some("ab")),
            ("(?p)[^x]b", "\nb ab", Some("ab")),
            ("\\mfoo\\M", "a foo b", Some("foo")),
            ("[[:<:]]b", "ab b", Some("b")),
            ("\\yfoo", "xfoo foo", Some("foo")),
            ("\\u0041+", "xAAy", Some("AA")),
            ("\\x41", "xAy", Some("A")),
            ("[\\d]+", "a12", Some("12")),
            ("[]a]+", "x]a", Some("]a")),
            ("[a&&b]+", "&&", Some("&&")),
            ("[[:alpha:]]+", "12ab", Some("ab")),
            ("(?i)AB", "xab", Some("ab")),
            ("***=a.b", "axb a.b", Some("a.b")),
            ("(?x)a b # c", "ab", Some("ab")),
            ("a(?#no)b", "ab", Some("ab")),
            ("\\.", "a.b", Some(".")),
        ] {
            assert_eq!(matched(pattern, text), found, "{pattern}");
        }
        for (pattern, sqlstate) in [
            ("(a)\\1", "0A000"),
            ("a(?=b)", "0A000"),
            ("[[.a.]]", "0A000"),
            ("(a", "2201B"),
            ("[a", "2201B"),
            ("a\\", "2201B"),
            ("*a", "2201B"),
        ] {
            assert_eq!(code(pattern), Some(sqlstate), "{pattern}");
        }
    }
}
