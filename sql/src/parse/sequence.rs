//! ALTER SEQUENCE, and the options of CREATE SEQUENCE in the order in which sqlparser wants them;
//! Postgres takes any.
//!
//! ```text
//!   ALTER SEQUENCE s INCREMENT 5 RESTART WITH 100 OWNED BY t.id
//!   CREATE SEQUENCE s CYCLE START 5 INCREMENT 2      …  INCREMENT 2 START 5 CYCLE
//!   id int GENERATED ALWAYS AS IDENTITY (CACHE 1 START 5)
//! ```

use datafusion::sql::sqlparser::ast::{DataType, Expr, ObjectName, SequenceOptions};
use datafusion::sql::sqlparser::parser::{Parser, ParserError};
use datafusion::sql::sqlparser::tokenizer::{Token, TokenWithSpan};

use super::fold::words;
use super::own;

/// What is to change; the rest stays.
#[derive(Debug, Clone)]
pub struct AlterSequence {
    pub name: ObjectName,
    pub if_exists: bool,
    pub data_type: Option<DataType>,
    pub options: Vec<SequenceOptions>,
    /// RESTART, without a number: from the start.
    pub restart: Option<Option<Expr>>,
    pub owned_by: Option<ObjectName>,
}

/// The options behind ALTER SEQUENCE name, at least one.
pub(super) fn alter(
    parser: &mut Parser,
    name: ObjectName,
    if_exists: bool,
) -> Result<AlterSequence, ParserError> {
    let (options, restart) = (Vec::new(), None);
    let mut found =
        AlterSequence { name, if_exists, data_type: None, options, restart, owned_by: None };
    let mut any = false;
    while !matches!(parser.peek_token().token, Token::EOF | Token::SemiColon) {
        any = true;
        if own::words(parser, &["AS"]) {
            found.data_type = Some(parser.parse_data_type()?);
        } else if own::words(parser, &["RESTART"]) {
            let with = own::words(parser, &["WITH"]);
            let is_number = |t: &Token| matches!(t, Token::Number(..) | Token::Minus | Token::Plus);
            let given = with || is_number(&parser.peek_token().token);
            found.restart = Some(given.then(|| parser.parse_prefix()).transpose()?);
        } else if own::words(parser, &["OWNED", "BY"]) {
            found.owned_by = Some(parser.parse_object_name(false)?);
        } else {
            found.options.push(option(parser)?);
        }
    }
    match any {
        true => Ok(found),
        false => parser.expected("an option of a sequence", parser.peek_token()),
    }
}

fn option(parser: &mut Parser) -> Result<SequenceOptions, ParserError> {
    if own::words(parser, &["INCREMENT"]) {
        let by = own::words(parser, &["BY"]);
        return Ok(SequenceOptions::IncrementBy(parser.parse_prefix()?, by));
    }
    if own::words(parser, &["START"]) {
        let with = own::words(parser, &["WITH"]);
        return Ok(SequenceOptions::StartWith(parser.parse_prefix()?, with));
    }
    if own::words(parser, &["MINVALUE"]) {
        return Ok(SequenceOptions::MinValue(Some(parser.parse_prefix()?)));
    }
    if own::words(parser, &["MAXVALUE"]) {
        return Ok(SequenceOptions::MaxValue(Some(parser.parse_prefix()?)));
    }
    if own::words(parser, &["CACHE"]) {
        return Ok(SequenceOptions::Cache(parser.parse_prefix()?));
    }
    if own::words(parser, &["NO", "MINVALUE"]) {
        return Ok(SequenceOptions::MinValue(None));
    }
    if own::words(parser, &["NO", "MAXVALUE"]) {
        return Ok(SequenceOptions::MaxValue(None));
    }
    if own::words(parser, &["NO", "CYCLE"]) {
        return Ok(SequenceOptions::Cycle(true));
    }
    if own::words(parser, &["CYCLE"]) {
        return Ok(SequenceOptions::Cycle(false));
    }
    parser.expected("an option of a sequence", parser.peek_token())
}

/// The order.
const OPTIONS: &[&str] =
    &["AS", "INCREMENT", "MINVALUE", "MAXVALUE", "START", "CACHE", "CYCLE", "OWNED"];

/// The tokens of statements, with such options in order.
pub(super) fn ordered(mut tokens: Vec<TokenWithSpan>) -> Vec<TokenWithSpan> {
    let mut at = 0;
    while at < tokens.len() {
        let rest = &tokens[at..];
        let create = words(rest, &["CREATE", "SEQUENCE"])
            .or_else(|| words(rest, &["CREATE", "TEMP", "SEQUENCE"]))
            .or_else(|| words(rest, &["CREATE", "TEMPORARY", "SEQUENCE"]));
        let start = create.or_else(|| words(rest, &["AS", "IDENTITY"]));
        // Behind the sequence's name, which may be any word, or the parenthesis.
        let is_something = |t: &TokenWithSpan| !matches!(t.token, Token::Whitespace(_));
        let next =
            start.and_then(|start| Some(start + rest[start..].iter().position(is_something)?));
        if let Some(next) = next
            && (create.is_some() || rest[next].token == Token::LParen)
        {
            sort(&mut tokens, at + next + 1);
        }
        at += start.unwrap_or(1);
    }
    tokens
}

/// Sorts the options from the first one on to the end of the statement or the parenthesis.
fn sort(tokens: &mut [TokenWithSpan], from: usize) {
    let is_end = |token: &TokenWithSpan| matches!(token.token, Token::SemiColon | Token::RParen);
    let end = tokens[from..].iter().position(is_end).map_or(tokens.len(), |length| from + length);
    let mut starts = Vec::new();
    let mut at = from;
    while at < end {
        let option = OPTIONS.iter().enumerate().find_map(|(rank, option)| {
            let rest = &tokens[at..end];
            let length = words(rest, &[option]).or_else(|| words(rest, &["NO", option]))?;
            Some((rank, length))
        });
        starts.extend(option.map(|(rank, _)| (at, rank)));
        at += option.map_or(1, |(_, length)| length);
    }
    let Some((first, _)) = starts.first().copied() else { return };
    let mut parts: Vec<(usize, Vec<TokenWithSpan>)> = Vec::with_capacity(starts.len());
    for (index, (start, rank)) in starts.iter().enumerate() {
        let next = starts.get(index + 1).map_or(end, |(next, _)| *next);
        parts.push((*rank, tokens[*start..next].to_vec()));
    }
    parts.sort_by_key(|(rank, _)| *rank);
    let sorted = parts.into_iter().flat_map(|(_, part)| part);
    tokens[first..end].iter_mut().zip(sorted).for_each(|(place, token)| *place = token);
}
