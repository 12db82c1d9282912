//! The options of a sequence in the order in which sqlparser wants them; Postgres takes any.
//!
//! ```text
//!   CREATE SEQUENCE s CYCLE START 5 INCREMENT 2      …  INCREMENT 2 START 5 CYCLE
//!   id int GENERATED ALWAYS AS IDENTITY (CACHE 1 START 5)
//! ```

use datafusion::sql::sqlparser::tokenizer::{Token, TokenWithSpan};

use super::fold::words;

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
