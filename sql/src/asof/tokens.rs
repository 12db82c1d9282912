//! Spellings of AS OF joins, folded by tokens to the one that sqlparser reads.
//!
//! ```text
//!   ASOF [LEFT|INNER|SEMI|ANTI] JOIN r ON c TOLERANCE t NEAREST          and MATCH_CONDITION (m),
//!   [LEFT|INNER] ASOF JOIN r USING (k, t)                                USING, or neither
//!     ─▶  ASOF JOIN r MATCH_CONDITION ("␂asof"('left', 'nearest', t, m)) ON c
//!   JOIN v AS OF l.ts u   ─▶   JOIN v FOR SYSTEM_TIME AS OF l.ts u
//!     ON c TOLERANCE t    ─▶     ON "␂asof"('', '', t, NULL) AND (c)
//! ```
//! The call under the mark carries what sqlparser has no place for: kind, NEAREST, the tolerance
//! and the condition on times, both NULL if not given. `syntax` takes it apart again.

use datafusion::sql::sqlparser::tokenizer::{Token, TokenWithSpan, Word};

use super::syntax::MARK;

/// Words that end a clause of a join, outside parentheses.
const ENDS: [&str; 31] = [
    "ON",
    "USING",
    "MATCH_CONDITION",
    "TOLERANCE",
    "NEAREST",
    "WHERE",
    "GROUP",
    "HAVING",
    "ORDER",
    "LIMIT",
    "OFFSET",
    "FETCH",
    "WINDOW",
    "QUALIFY",
    "UNION",
    "INTERSECT",
    "EXCEPT",
    "RETURNING",
    "JOIN",
    "LEFT",
    "RIGHT",
    "FULL",
    "INNER",
    "CROSS",
    "NATURAL",
    "ASOF",
    "OUTER",
    "SET",
    "WITH",
    "WHEN",
    "FOR",
];

/// The tokens with every AS OF join in the form that sqlparser reads.
pub(crate) fn folded(mut tokens: Vec<TokenWithSpan>) -> Vec<TokenWithSpan> {
    if !tokens.iter().any(|token| is(token, "ASOF") || is(token, "OF")) {
        return tokens;
    }
    // From the end: what stands inside a join is folded before it.
    let mut next = tokens.len();
    while let Some(at) = next.checked_sub(1) {
        next = at;
        if is(&tokens[at], "ASOF") {
            if let Some((range, join)) = join(&tokens, at) {
                next = range.start;
                tokens.splice(range, join);
            }
        } else if is(&tokens[at], "AS") && names_version(&tokens, at) {
            if let Some((range, on)) = tolerance_in_on(&tokens, at) {
                tokens.splice(range, on);
            }
            let span = tokens[at].span;
            let words = ["FOR", "SYSTEM_TIME"].map(|text| word(text, span));
            let space = || TokenWithSpan { token: Token::Whitespace(SPACE), span };
            let [first, second] = words;
            tokens.splice(at..at, [first, space(), second, space()]);
        }
    }
    tokens
}

const SPACE: datafusion::sql::sqlparser::tokenizer::Whitespace =
    datafusion::sql::sqlparser::tokenizer::Whitespace::Space;

type Span = datafusion::sql::sqlparser::tokenizer::Span;

/// The join whose ASOF is at `at`: which tokens it replaces, and by which.
fn join(
    tokens: &[TokenWithSpan],
    at: usize,
) -> Option<(std::ops::Range<usize>, Vec<TokenWithSpan>)> {
    let mut kind = None;
    let mut start = at;
    // `LEFT ASOF JOIN`
    if let Some(before) = previous(tokens, at)
        && let Some(name) = kind_of(&tokens[before])
    {
        (kind, start) = (Some(name), before);
    }
    let mut next = following(tokens, at)?;
    // `ASOF LEFT [OUTER] JOIN`
    if let Some(name) = kind_of(&tokens[next]) {
        kind = Some(name);
        next = following(tokens, next)?;
        if is(&tokens[next], "OUTER") {
            next = following(tokens, next)?;
        }
    }
    if !is(&tokens[next], "JOIN") {
        return None;
    }
    let relation = next + 1..clause_end(tokens, next + 1);
    let mut clauses = Clauses::default();
    let mut end = relation.end;
    while let Some(stop) = clauses.read(tokens, end) {
        end = stop;
    }
    let span = tokens[at].span;
    let kind = kind.unwrap_or(match (&clauses.condition, &clauses.on) {
        // DuckDB's, ClickHouse's and RisingWave's bare form drops what has no match.
        (None, Some(_)) => "inner",
        // Snowflake's and a feature view's keeps it.
        _ => "left",
    });
    let mut out = Vec::new();
    let mut put = |token: Token| out.push(TokenWithSpan { token, span });
    let text = |value: &str| Token::SingleQuotedString(value.to_owned());
    put(Token::make_keyword("ASOF"));
    put(Token::Whitespace(SPACE));
    put(Token::make_keyword("JOIN"));
    put(Token::Whitespace(SPACE));
    out.extend(trimmed(&tokens[relation]).iter().cloned());
    let mut put = |token: Token| out.push(TokenWithSpan { token, span });
    put(Token::Whitespace(SPACE));
    put(Token::make_keyword("MATCH_CONDITION"));
    put(Token::LParen);
    put(Token::make_word(MARK, Some('"')));
    put(Token::LParen);
    put(text(kind));
    put(Token::Comma);
    put(text(if clauses.nearest { "nearest" } else { "" }));
    for part in [clauses.tolerance, clauses.condition] {
        out.push(TokenWithSpan { token: Token::Comma, span });
        match part {
            Some(part) => out.extend(trimmed(&tokens[part]).iter().cloned()),
            None => out.push(word("NULL", span)),
        }
    }
    out.push(TokenWithSpan { token: Token::RParen, span });
    out.push(TokenWithSpan { token: Token::RParen, span });
    out.push(TokenWithSpan { token: Token::Whitespace(SPACE), span });
    if let Some(on) = clauses.on {
        out.extend(tokens[on].iter().cloned());
    }
    out.push(TokenWithSpan { token: Token::Whitespace(SPACE), span });
    Some((start..end, out))
}

/// TOLERANCE and NEAREST of the join whose `AS OF` is at `at`, as a part of its ON: which tokens it
/// replaces, and by which.
fn tolerance_in_on(
    tokens: &[TokenWithSpan],
    at: usize,
) -> Option<(std::ops::Range<usize>, Vec<TokenWithSpan>)> {
    let start = clause_end(tokens, at + 1);
    let mut clauses = Clauses::default();
    let mut end = start;
    while let Some(stop) = clauses.read(tokens, end) {
        end = stop;
    }
    let on = clauses.on.filter(|on| is(&tokens[on.start], "ON"))?;
    if clauses.tolerance.is_none() && !clauses.nearest {
        return None;
    }
    let span = tokens[on.start].span;
    let put = |token: Token| TokenWithSpan { token, span };
    let text = |value: &str| put(Token::SingleQuotedString(value.to_owned()));
    let comma = || put(Token::Comma);
    let space = || put(Token::Whitespace(SPACE));
    let mut out = vec![tokens[on.start].clone(), space()];
    out.extend([put(Token::make_word(MARK, Some('"'))), put(Token::LParen), text(""), comma()]);
    out.extend([text(if clauses.nearest { "nearest" } else { "" }), comma()]);
    match clauses.tolerance {
        Some(tolerance) => out.extend(trimmed(&tokens[tolerance]).iter().cloned()),
        None => out.push(word("NULL", span)),
    }
    out.extend([comma(), word("NULL", span), put(Token::RParen), space(), word("AND", span)]);
    out.extend([space(), put(Token::LParen)]);
    out.extend(trimmed(&tokens[on.start + 1..on.end]).iter().cloned());
    out.extend([put(Token::RParen), space()]);
    Some((start..end, out))
}

/// What may follow the relation, in any order, each once.
#[derive(Default)]
struct Clauses {
    /// ON or USING, with the word.
    on: Option<std::ops::Range<usize>>,
    condition: Option<std::ops::Range<usize>>,
    tolerance: Option<std::ops::Range<usize>>,
    nearest: bool,
}

impl Clauses {
    /// Reads the clause at `at`; where it ends, None if there is none that fits.
    fn read(&mut self, tokens: &[TokenWithSpan], at: usize) -> Option<usize> {
        let token = tokens.get(at)?;
        let body = at + 1..clause_end(tokens, at + 1);
        let end = body.end;
        if (is(token, "ON") || is(token, "USING")) && self.on.is_none() {
            self.on = Some(at..end);
        } else if is(token, "MATCH_CONDITION") && self.condition.is_none() {
            self.condition = Some(body);
        } else if is(token, "TOLERANCE") && self.tolerance.is_none() {
            self.tolerance = Some(body);
        } else if is(token, "NEAREST") && !self.nearest {
            self.nearest = true;
        } else {
            return None;
        }
        Some(end)
    }
}

/// The first token from `at` on that cannot be of the same clause.
fn clause_end(tokens: &[TokenWithSpan], at: usize) -> usize {
    let mut depth = 0usize;
    let mut cases = 0usize;
    for (index, token) in tokens.iter().enumerate().skip(at) {
        match &token.token {
            Token::LParen | Token::LBracket => depth += 1,
            Token::RParen | Token::RBracket if depth == 0 => return index,
            Token::RParen | Token::RBracket => depth -= 1,
            Token::Comma | Token::SemiColon | Token::EOF if depth == 0 => return index,
            Token::Word(_) if depth > 0 => {}
            Token::Word(_) if is(token, "CASE") => cases += 1,
            Token::Word(_) if is(token, "END") => cases = cases.saturating_sub(1),
            Token::Word(word) if cases == 0 && ends(tokens, index, word) => return index,
            _ => {}
        }
    }
    tokens.len()
}

/// Whether the word at `index` ends a clause and is not a function or part of a table's version.
fn ends(tokens: &[TokenWithSpan], index: usize, word: &Word) -> bool {
    let next = following(tokens, index).map(|next| &tokens[next]);
    let called = next.is_some_and(|next| next.token == Token::LParen);
    let found = |name: &&str| word.quote_style.is_none() && word.value.eq_ignore_ascii_case(name);
    let Some(name) = ENDS.iter().find(|name| found(name)) else { return false };
    match *name {
        "LEFT" | "RIGHT" => !called,
        "FOR" => !next.is_some_and(|next| is(next, "SYSTEM_TIME")),
        _ => true,
    }
}

/// Whether the AS at `at` begins `AS OF time` behind a joined relation's name.
fn names_version(tokens: &[TokenWithSpan], at: usize) -> bool {
    let Some(of) = following(tokens, at).filter(|of| is(&tokens[*of], "OF")) else { return false };
    // `JOIN t AS of ON …` is an alias.
    let ends = following(tokens, of).is_none_or(|next| match &tokens[next].token {
        Token::Word(word) => ends(tokens, next, word),
        Token::SingleQuotedString(_) | Token::LParen => false,
        _ => true,
    });
    if ends {
        return false;
    }
    let mut name = false;
    let mut place = at;
    while let Some(before) = previous(tokens, place) {
        match &tokens[before].token {
            Token::Word(_) if !name => name = true,
            Token::Period if name => name = false,
            Token::Word(_) => return is(&tokens[before], "JOIN"),
            _ => return false,
        }
        place = before;
    }
    false
}

fn kind_of(token: &TokenWithSpan) -> Option<&'static str> {
    ["left", "inner", "semi", "anti"].into_iter().find(|kind| is(token, kind))
}

fn trimmed(mut tokens: &[TokenWithSpan]) -> &[TokenWithSpan] {
    while let [first, rest @ ..] = tokens
        && matches!(first.token, Token::Whitespace(_))
    {
        tokens = rest;
    }
    while let [rest @ .., last] = tokens
        && matches!(last.token, Token::Whitespace(_))
    {
        tokens = rest;
    }
    tokens
}

fn following(tokens: &[TokenWithSpan], at: usize) -> Option<usize> {
    (at + 1..tokens.len()).find(|at| !matches!(tokens[*at].token, Token::Whitespace(_)))
}

fn previous(tokens: &[TokenWithSpan], at: usize) -> Option<usize> {
    (0..at).rev().find(|at| !matches!(tokens[*at].token, Token::Whitespace(_)))
}

fn is(token: &TokenWithSpan, expected: &str) -> bool {
    matches!(&token.token, Token::Word(word)
        if word.quote_style.is_none() && word.value.eq_ignore_ascii_case(expected))
}

fn word(text: &str, span: Span) -> TokenWithSpan {
    TokenWithSpan { token: Token::make_keyword(text), span }
}
