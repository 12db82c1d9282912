//! Spellings that sqlparser does not know, folded to ones it does, token by token.
//!
//! - MERGE's `THEN DO NOTHING` becomes an UPDATE or INSERT of a column that cannot exist;
//! - `ABORT` is ROLLBACK;
//! - INSERT's `OVERRIDING SYSTEM VALUE` becomes a PARTITION of that name after a list of columns,
//!   else a list of one column of that name;
//! - `ON CONFLICT (a) WHERE b DO …` loses its predicate: it chooses among partial indexes, and
//!   every key that we have covers all rows;
//! - `VERSION AS OF 'tag'` becomes TIMESTAMP AS OF a function, for a number is expected there;
//! - a window's `EXCLUDE CURRENT [ROW]` becomes a last key of its PARTITION BY;
//! - the `*` of `(r).*` becomes a field of a name that no field has;
//! - `x IN (VALUES …)` is `x IN (SELECT * FROM (VALUES …))`;
//! - `int ARRAY` is `int[]`;
//! - SOME is ANY;
//! - `'a'` and `'b'` on two lines are `'ab'`;
//! - `$tag$text$tag$` is `'text'`, also where the parser expects a plain literal.

use datafusion::sql::sqlparser::tokenizer::{Token, TokenWithSpan, Tokenizer, Whitespace, Word};

use super::{EXCLUDE_CURRENT, SextantDialect, TAGGED};
use crate::changes::{NOTHING, OVERRIDING_SYSTEM, OVERRIDING_USER};
use crate::plan::ALL_FIELDS;

/// The tokens, folded; positions stay those of the text.
pub(super) fn tokens(tokens: Vec<TokenWithSpan>) -> Vec<TokenWithSpan> {
    let mut folded = Vec::with_capacity(tokens.len());
    let mut index = 0;
    let mut first = true;
    let mut inserts = false;
    while index < tokens.len() {
        let rest = &tokens[index..];
        if words(rest, &["WHEN", "NOT", "MATCHED", "BY", "SOURCE"]).is_some()
            || words(rest, &["WHEN", "MATCHED"]).is_some()
        {
            inserts = false;
        } else if words(rest, &["WHEN", "NOT", "MATCHED"]).is_some() {
            inserts = true;
        }
        if let Some(length) = words(rest, &["THEN", "DO", "NOTHING"]) {
            folded.push(rest[0].clone());
            let nothing = match inserts {
                true => format!(" INSERT (\"{NOTHING}\") VALUES (NULL)"),
                false => format!(" UPDATE SET \"{NOTHING}\" = NULL"),
            };
            folded.extend(synthetic(&nothing, &rest[length - 1]));
            index += length;
        } else if let Some((length, overriding)) = overriding(rest) {
            let last = folded.iter().rev().find(|t| !matches!(t.token, Token::Whitespace(_)));
            let has_columns = last.is_some_and(|last| last.token == Token::RParen);
            let before = if has_columns { " PARTITION" } else { "" };
            let text = format!("{before} (\"{overriding}\") ");
            folded.extend(synthetic(&text, &rest[length - 1]));
            index += length;
        } else if let Some((target, next)) = conflict_predicate(rest) {
            folded.extend(rest[..target].iter().cloned());
            index += next;
        } else if let Some(length) = tagged_version(rest) {
            let text = format!("TIMESTAMP AS OF \"{TAGGED}\"(");
            folded.extend(synthetic(&text, &rest[0]));
            folded.push(rest[length].clone());
            folded.extend(synthetic(")", &rest[length]));
            index += length + 1;
        } else if let Some((length, at, text)) = excluding(&folded, rest) {
            folded.splice(at..at, synthetic(&text, &rest[0]));
            index += length;
        } else if is_whole_row(&folded, rest) {
            let name = format!("\"{ALL_FIELDS}\"");
            folded.push(rest[0].clone());
            folded.extend(synthetic(&name, &rest[1]));
            index += 2;
        } else if is_array_type(&folded, rest) {
            folded.extend(synthetic("[]", &rest[0]));
            index += 1;
        } else if let Some((length, tokens)) = replaced(rest) {
            folded.extend(tokens);
            first = false;
            index += length;
        } else if first && words(rest, &["ABORT"]).is_some() {
            folded.extend(synthetic("ROLLBACK", &rest[0]));
            index += 1;
        } else {
            first = match &rest[0].token {
                Token::SemiColon => true,
                Token::Whitespace(_) => first,
                _ => false,
            };
            folded.push(plain_literal(&rest[0]));
            index += 1;
        }
    }
    folded
}

/// Whether ARRAY stands behind a type: no expression ends in that word.
fn is_array_type(before: &[TokenWithSpan], rest: &[TokenWithSpan]) -> bool {
    let solid = |token: &&TokenWithSpan| !matches!(token.token, Token::Whitespace(_));
    let last = before.iter().rev().find(solid).map(|last| &last.token);
    let next = rest[1..].iter().find(solid).map(|next| &next.token);
    words(rest, &["ARRAY"]).is_some()
        && matches!(last, Some(Token::Word(_) | Token::RParen))
        && matches!(next, Some(Token::Comma | Token::RParen))
}

/// Literals that only white space with an end of line parts are one: how many tokens, and the one.
fn continued(rest: &[TokenWithSpan]) -> Option<(usize, Vec<TokenWithSpan>)> {
    let Token::SingleQuotedString(first) = &rest.first()?.token else { return None };
    let (mut text, mut length, mut lines) = (first.clone(), 1, false);
    for (index, token) in rest.iter().enumerate().skip(1) {
        match &token.token {
            Token::Whitespace(Whitespace::Newline | Whitespace::SingleLineComment { .. }) => {
                lines = true;
            }
            Token::Whitespace(_) => {}
            Token::SingleQuotedString(next) if lines => {
                text.push_str(next);
                (length, lines) = (index + 1, false);
            }
            _ => break,
        }
    }
    let (token, span) = (Token::SingleQuotedString(text), rest[0].span);
    (length > 1).then(|| (length, vec![TokenWithSpan { token, span }]))
}

/// What has other tokens in its place: how many, and those.
fn replaced(rest: &[TokenWithSpan]) -> Option<(usize, Vec<TokenWithSpan>)> {
    in_values(rest).or_else(|| continued(rest)).or_else(|| l1_distance(rest)).or_else(|| some(rest))
}

/// SOME is ANY: the flag that tells them apart is free for `quantified.rs`.
fn some(rest: &[TokenWithSpan]) -> Option<(usize, Vec<TokenWithSpan>)> {
    words(rest, &["SOME"])?;
    Some((1, synthetic("ANY", &rest[0])))
}

/// `<+>`, whose three characters are operators of their own to the parser.
fn l1_distance(rest: &[TokenWithSpan]) -> Option<(usize, Vec<TokenWithSpan>)> {
    let is = |at: usize, token: &Token| rest.get(at).is_some_and(|own| own.token == *token);
    let (token, span) = (Token::CustomBinaryOperator("<+>".to_owned()), rest.first()?.span);
    let found = is(0, &Token::Lt) && is(1, &Token::Plus) && is(2, &Token::Gt);
    found.then(|| (3, vec![TokenWithSpan { token, span }]))
}

/// `IN (VALUES …` up to where the parenthesis closes: how many tokens, and what stands for them.
fn in_values(rest: &[TokenWithSpan]) -> Option<(usize, Vec<TokenWithSpan>)> {
    let start = words(rest, &["IN"])?;
    let is_space = |token: &TokenWithSpan| matches!(token.token, Token::Whitespace(_));
    let next = |from: usize| {
        let found = rest.get(from..)?.iter().position(|token| !is_space(token))?;
        Some(from + found)
    };
    let open = next(start).filter(|at| rest[*at].token == Token::LParen)?;
    let values = next(open + 1)?;
    words(&rest[values..], &["VALUES"])?;
    let mut depth = 0_usize;
    let close = rest.iter().skip(open).position(|token| {
        match token.token {
            Token::LParen => depth += 1,
            Token::RParen => depth -= 1,
            _ => {}
        }
        depth == 0
    })?;
    let close = open + close;
    let mut tokens = rest[..=open].to_vec();
    tokens.extend(synthetic("SELECT * FROM (", &rest[values]));
    tokens.extend(rest[values..close].iter().map(plain_literal));
    tokens.extend(synthetic(") AS \"\u{3}values\"", &rest[close]));
    Some((close, tokens))
}

fn plain_literal(token: &TokenWithSpan) -> TokenWithSpan {
    let span = token.span;
    match &token.token {
        Token::DollarQuotedString(text) => {
            TokenWithSpan { token: Token::SingleQuotedString(text.value.clone()), span }
        }
        other => TokenWithSpan { token: other.clone(), span },
    }
}

/// `OVERRIDING SYSTEM | USER VALUE`: how many tokens, and what stands for it.
fn overriding(tokens: &[TokenWithSpan]) -> Option<(usize, &'static str)> {
    let kinds = [("SYSTEM", OVERRIDING_SYSTEM), ("USER", OVERRIDING_USER)];
    kinds.into_iter().find_map(|(word, mark)| {
        words(tokens, &["OVERRIDING", word, "VALUE"]).map(|length| (length, mark))
    })
}

/// `EXCLUDE CURRENT [ROW]` after a window's frame: how many tokens, and what is to stand where
/// among those before.
fn excluding(before: &[TokenWithSpan], rest: &[TokenWithSpan]) -> Option<(usize, usize, String)> {
    let short = words(rest, &["EXCLUDE", "CURRENT"]);
    let length = words(rest, &["EXCLUDE", "CURRENT", "ROW"]).or(short)?;
    let named = |token: &TokenWithSpan, names: &[&str]| match &token.token {
        Token::Word(word) => names.iter().any(|name| is(word, name)),
        _ => false,
    };
    let last = before.iter().rev().find(|t| !matches!(t.token, Token::Whitespace(_)))?;
    if !named(last, &["PRECEDING", "FOLLOWING", "ROW"]) {
        return None;
    }
    // Where the keys end: at the order, or at the frame if there is none.
    let (mut depth, mut order, mut frame, mut has_keys) = (0_usize, None, None, false);
    for (at, token) in before.iter().enumerate().rev() {
        match &token.token {
            Token::RParen => depth += 1,
            Token::LParen if depth == 0 => break,
            Token::LParen => depth -= 1,
            _ if depth == 0 && named(token, &["ORDER"]) => order = Some(at),
            _ if depth == 0 && named(token, &["RANGE", "ROWS", "GROUPS"]) => {
                frame = frame.or(Some(at));
            }
            _ if depth == 0 && named(token, &["PARTITION"]) => has_keys = true,
            _ => {}
        }
    }
    let before = if has_keys { "," } else { "PARTITION BY" };
    Some((length, order.or(frame)?, format!("{before} \"{EXCLUDE_CURRENT}\"() ")))
}

/// `VERSION AS OF 'tag'`: where the tag is.
fn tagged_version(tokens: &[TokenWithSpan]) -> Option<usize> {
    let after = words(tokens, &["VERSION", "AS", "OF"])?;
    let space = tokens.get(after..)?.iter().position(|t| !matches!(t.token, Token::Whitespace(_)));
    let at = after + space?;
    matches!(tokens.get(at)?.token, Token::SingleQuotedString(_)).then_some(at)
}

/// `ON CONFLICT (…) WHERE … DO`: where the target ends and where DO stands.
fn conflict_predicate(tokens: &[TokenWithSpan]) -> Option<(usize, usize)> {
    let mut at = words(tokens, &["ON", "CONFLICT"])?;
    let mut depth = 0_usize;
    let mut target = None;
    while let Some(token) = tokens.get(at) {
        match &token.token {
            Token::LParen => depth += 1,
            Token::RParen => depth = depth.checked_sub(1)?,
            Token::Whitespace(_) => {}
            Token::Word(word) if depth == 0 && target.is_none() && is(word, "WHERE") => {
                target = Some(at);
            }
            Token::Word(word) if depth == 0 && is(word, "DO") => return Some((target?, at)),
            _ if depth == 0 && target.is_none() => return None,
            _ => {}
        }
        at += 1;
    }
    None
}

/// How many tokens the words take at the start of `tokens`, white space included.
pub(super) fn words(tokens: &[TokenWithSpan], expected: &[&str]) -> Option<usize> {
    let mut wanted = expected.iter();
    let mut next = wanted.next();
    for (index, token) in tokens.iter().enumerate() {
        match (&token.token, next) {
            (_, None) => return Some(index),
            (Token::Whitespace(_), Some(_)) if index > 0 => {}
            (Token::Word(word), Some(expected)) if is(word, expected) => next = wanted.next(),
            _ => return None,
        }
    }
    next.is_none().then_some(tokens.len())
}

/// `.*` after a closing parenthesis.
fn is_whole_row(before: &[TokenWithSpan], rest: &[TokenWithSpan]) -> bool {
    matches!(before.last().map(|t| &t.token), Some(Token::RParen))
        && matches!(rest, [dot, star, ..] if dot.token == Token::Period && star.token == Token::Mul)
}

fn is(word: &Word, expected: &str) -> bool {
    word.quote_style.is_none() && word.value.eq_ignore_ascii_case(expected)
}

/// Tokens of `text` at the place of `at`.
fn synthetic(text: &str, at: &TokenWithSpan) -> Vec<TokenWithSpan> {
    let tokens = Tokenizer::new(&SextantDialect, text).tokenize().unwrap_or_default();
    tokens.into_iter().map(|token| TokenWithSpan { token, span: at.span }).collect()
}
