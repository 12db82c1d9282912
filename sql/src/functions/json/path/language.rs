//! The jsonpath language: text to a tree.
//!
//! ```text
//!   strict $.a[*] ? (@.b > 1 && exists (@.c)).size()
//!   └mode┘ └root, steps┘  └filter: a predicate┘└method┘
//! ```

use super::super::document::{Node, parse as parse_json};
use crate::error::Error;

type Result<T> = std::result::Result<T, Error>;

/// Parentheses and operators inside each other that are still read.
const DEPTH: usize = 200;

#[derive(Debug, Clone)]
pub(super) struct JsonPath {
    pub(super) strict: bool,
    pub(super) expression: Expression,
}

#[derive(Debug, Clone)]
pub(super) enum Expression {
    Root,
    Current,
    Last,
    Variable(String),
    Literal(Node<'static>),
    Access(Box<Expression>, Step),
    Arithmetic(char, Box<Expression>, Box<Expression>),
    Negated(Box<Expression>),
    Compared(&'static str, Box<Expression>, Box<Expression>),
    And(Box<Expression>, Box<Expression>),
    Or(Box<Expression>, Box<Expression>),
    Not(Box<Expression>),
    IsUnknown(Box<Expression>),
    Exists(Box<Expression>),
    StartsWith(Box<Expression>, Box<Expression>),
}

#[derive(Debug, Clone)]
pub(super) enum Step {
    Key(String),
    AnyKey,
    AnyDepth,
    AllItems,
    Items(Vec<(Expression, Option<Expression>)>),
    Filter(Box<Expression>),
    Method(Method),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Method {
    Type,
    Size,
    Double,
    Abs,
    Floor,
    Ceiling,
}

/// Reads a path.
pub(super) fn read(text: &str) -> Result<JsonPath> {
    let mut reader = Reader { text, at: 0, depth: 0 };
    let strict = reader.word("strict");
    if !strict {
        reader.word("lax");
    }
    let expression = reader.or()?;
    reader.space();
    match reader.at == text.len() {
        true => Ok(JsonPath { strict, expression }),
        false => Err(reader.wrong()),
    }
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
    depth: usize,
}

const COMPARISONS: &[(&str, &str)] =
    &[("==", "="), ("!=", "<>"), ("<>", "<>"), ("<=", "<="), (">=", ">="), ("<", "<"), (">", ">")];

impl Reader<'_> {
    fn rest(&self) -> &str {
        &self.text[self.at..]
    }

    fn space(&mut self) {
        self.at += self.rest().len() - self.rest().trim_start().len();
    }

    fn take(&mut self, wanted: &str) -> bool {
        self.space();
        let found = self.rest().starts_with(wanted);
        self.at += if found { wanted.len() } else { 0 };
        found
    }

    /// A word of the language, with nothing of a name behind it.
    fn word(&mut self, wanted: &str) -> bool {
        self.space();
        let after = self.rest().strip_prefix(wanted).map(|rest| rest.chars().next());
        let found = after.is_some_and(|next| !next.is_some_and(is_name));
        self.at += if found { wanted.len() } else { 0 };
        found
    }

    fn require(&mut self, wanted: &str) -> Result<()> {
        match self.take(wanted) {
            true => Ok(()),
            false => Err(self.wrong()),
        }
    }

    fn wrong(&mut self) -> Error {
        self.space();
        let rest = self.rest();
        let length = rest.find(|c| !is_name(c)).unwrap_or(rest.len());
        let length = length.max(rest.chars().next().map_or(0, char::len_utf8));
        let place = match length {
            0 => "at end".to_owned(),
            length => format!("at or near \"{}\"", &rest[..length]),
        };
        Error::new("42601", format!("syntax error {place} of jsonpath input"))
    }

    fn or(&mut self) -> Result<Expression> {
        self.depth += 1;
        if self.depth > DEPTH {
            return Err(Error::new("54001", "stack depth limit exceeded"));
        }
        let mut left = self.and()?;
        while self.take("||") {
            left = Expression::Or(left.into(), self.and()?.into());
        }
        self.depth -= 1;
        Ok(left)
    }

    fn and(&mut self) -> Result<Expression> {
        let mut left = self.predicate()?;
        while self.take("&&") {
            left = Expression::And(left.into(), self.predicate()?.into());
        }
        Ok(left)
    }

    fn predicate(&mut self) -> Result<Expression> {
        self.space();
        if self.rest().starts_with('!') && !self.rest().starts_with("!=") {
            self.at += 1;
            self.require("(")?;
            let inner = self.or()?;
            self.require(")")?;
            return Ok(Expression::Not(inner.into()));
        }
        if self.word("exists") {
            self.require("(")?;
            let inner = self.or()?;
            self.require(")")?;
            return Ok(Expression::Exists(inner.into()));
        }
        let left = self.sum()?;
        for (sign, op) in COMPARISONS {
            if self.take(sign) {
                return Ok(Expression::Compared(op, left.into(), self.sum()?.into()));
            }
        }
        if self.word("starts") {
            if !self.word("with") {
                return Err(self.wrong());
            }
            return Ok(Expression::StartsWith(left.into(), self.primary()?.into()));
        }
        if self.word("is") {
            return match self.word("unknown") {
                true => Ok(Expression::IsUnknown(left.into())),
                false => Err(self.wrong()),
            };
        }
        if self.word("like_regex") {
            return Err(Error::unsupported("like_regex in a jsonpath")
                .with_hint("Take the values out and compare them with ~."));
        }
        Ok(left)
    }

    fn sum(&mut self) -> Result<Expression> {
        let mut left = self.product()?;
        loop {
            self.space();
            let op = match self.rest().chars().next() {
                Some(op @ ('+' | '-')) => op,
                _ => return Ok(left),
            };
            self.at += 1;
            left = Expression::Arithmetic(op, left.into(), self.product()?.into());
        }
    }

    fn product(&mut self) -> Result<Expression> {
        let mut left = self.signed()?;
        loop {
            self.space();
            let op = match self.rest().chars().next() {
                Some(op @ ('*' | '%')) => op,
                Some('/') => {
                    return Err(Error::unsupported("division in a jsonpath")
                        .with_hint("Take the values out and divide them in SQL."));
                }
                _ => return Ok(left),
            };
            self.at += 1;
            left = Expression::Arithmetic(op, left.into(), self.signed()?.into());
        }
    }

    fn signed(&mut self) -> Result<Expression> {
        if self.take("-") {
            return Ok(Expression::Negated(self.primary()?.into()));
        }
        self.take("+");
        self.primary()
    }

    fn primary(&mut self) -> Result<Expression> {
        self.space();
        let base = match self.rest().chars().next() {
            Some('(') => {
                self.at += 1;
                let inner = self.or()?;
                self.require(")")?;
                inner
            }
            Some('@') => {
                self.at += 1;
                Expression::Current
            }
            Some('$') => {
                self.at += 1;
                match self.rest().chars().next() {
                    Some('"') => Expression::Variable(self.string()?),
                    Some(c) if is_name(c) => Expression::Variable(self.name()?),
                    _ => Expression::Root,
                }
            }
            Some('"') => Expression::Literal(Node::String(self.string()?.into())),
            Some('0'..='9' | '.') => self.number()?,
            _ if self.word("last") => Expression::Last,
            _ if self.word("true") => Expression::Literal(Node::Bool(true)),
            _ if self.word("false") => Expression::Literal(Node::Bool(false)),
            _ if self.word("null") => Expression::Literal(Node::Null),
            _ => return Err(self.wrong()),
        };
        self.steps(base)
    }

    fn steps(&mut self, base: Expression) -> Result<Expression> {
        let mut whole = base;
        loop {
            self.space();
            let step = if self.take("[") {
                self.items()?
            } else if self.take("?") {
                self.require("(")?;
                let inner = self.or()?;
                self.require(")")?;
                Step::Filter(inner.into())
            } else if self.take(".") {
                self.member()?
            } else {
                return Ok(whole);
            };
            whole = Expression::Access(whole.into(), step);
        }
    }

    fn items(&mut self) -> Result<Step> {
        if self.take("*") {
            self.require("]")?;
            return Ok(Step::AllItems);
        }
        let mut items = Vec::new();
        loop {
            let first = self.sum()?;
            let last = if self.word("to") { Some(self.sum()?) } else { None };
            items.push((first, last));
            if !self.take(",") {
                break;
            }
        }
        self.require("]")?;
        Ok(Step::Items(items))
    }

    fn member(&mut self) -> Result<Step> {
        if self.take("**") {
            self.space();
            return match self.rest().starts_with('{') {
                true => Err(Error::unsupported("a level behind .** in a jsonpath")),
                false => Ok(Step::AnyDepth),
            };
        }
        if self.take("*") {
            return Ok(Step::AnyKey);
        }
        self.space();
        if self.rest().starts_with('"') {
            return Ok(Step::Key(self.string()?));
        }
        let name = self.name()?;
        if !self.take("(") {
            return Ok(Step::Key(name));
        }
        let method = match name.as_str() {
            "type" => Method::Type,
            "size" => Method::Size,
            "double" => Method::Double,
            "abs" => Method::Abs,
            "floor" => Method::Floor,
            "ceiling" => Method::Ceiling,
            "keyvalue" | "datetime" => {
                return Err(Error::unsupported(format!("the jsonpath item method .{name}()")));
            }
            _ => return Err(self.wrong()),
        };
        self.require(")")?;
        Ok(Step::Method(method))
    }

    fn name(&mut self) -> Result<String> {
        let length = self.rest().find(|c| !is_name(c)).unwrap_or(self.rest().len());
        if length == 0 {
            return Err(self.wrong());
        }
        let name = self.rest()[..length].to_owned();
        self.at += length;
        Ok(name)
    }

    fn string(&mut self) -> Result<String> {
        let mut escaped = false;
        let end = self.rest().char_indices().skip(1).find(|(_, c)| {
            let ends = *c == '"' && !escaped;
            escaped = *c == '\\' && !escaped;
            ends
        });
        let Some((end, _)) = end else { return Err(self.wrong()) };
        let Node::String(text) = parse_json(&self.rest()[..=end])? else {
            return Err(self.wrong());
        };
        let text = text.into_owned();
        self.at += end + 1;
        Ok(text)
    }

    fn number(&mut self) -> Result<Expression> {
        let rest = self.rest();
        let digit = |c: char| c.is_ascii_digit();
        let mut end = rest.find(|c| !digit(c)).unwrap_or(rest.len());
        if rest[end..].starts_with('.') && rest[end + 1..].starts_with(digit) {
            end += 1;
            end += rest[end..].find(|c| !digit(c)).unwrap_or(rest.len() - end);
        }
        let text = match rest[..end].strip_prefix('.') {
            Some(fraction) => format!("0.{fraction}"),
            None => rest[..end].to_owned(),
        };
        if end == 0 || rest[end..].starts_with(is_name) {
            return Err(self.wrong());
        }
        self.at += end;
        Ok(Expression::Literal(Node::Number(text.into())))
    }
}

fn is_name(c: char) -> bool {
    c.is_alphanumeric() || c == '_' || c == '$'
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_read() {
        for text in [
            "$",
            "strict $.a",
            "lax $.\"a b\"[*]",
            "$[0, 2 to last]",
            "$.* ? (@.a == 1 || !(@ > 2))",
            "$.a.b.size() > 1",
            "$.**",
            "exists ($.a ? (@ starts with \"x\"))",
            "-$.a + 2 * $x",
            "($.a > 1) is unknown",
            "$.a ? (@.b != null).c",
        ] {
            assert!(read(text).is_ok(), "{text}");
        }
        for text in ["", "$.", "a", "$[", "$ ?", "$.a ==", "$ $", "$.a.foo()"] {
            assert!(read(text).is_err(), "{text}");
        }
    }
}
