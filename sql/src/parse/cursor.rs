//! `FETCH`, `MOVE` and `CLOSE`: which rows of which cursor. DECLARE is sqlparser's.
//!
//! ```text
//!   FETCH | MOVE [NEXT | PRIOR | FIRST | LAST | ABSOLUTE n | RELATIVE n | n | ALL
//!                | FORWARD [n | ALL] | BACKWARD [n | ALL]] [FROM | IN] name
//! ```

use datafusion::sql::sqlparser::ast::Ident;
use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::parser::{Parser, ParserError};
use datafusion::sql::sqlparser::tokenizer::Token;

use super::own::words;

/// Rows of a cursor, given or passed over.
#[derive(Debug, Clone)]
pub struct Fetch {
    pub cursor: Ident,
    pub direction: Direction,
    /// MOVE: the rows are only passed over.
    pub only_moves: bool,
}

/// Which rows, from where the cursor stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// So many of the next rows, in order.
    Forward(u64),
    /// So many of the rows before, in reverse order.
    Backward(u64),
    /// The row of this number; a negative one counts from the end.
    Absolute(i64),
    /// The row so far from here.
    Relative(i64),
}

/// What follows FETCH or MOVE.
pub(super) fn fetch(parser: &mut Parser, only_moves: bool) -> Result<Fetch, ParserError> {
    let direction = direction(parser)?;
    let _ = parser.parse_one_of_keywords(&[Keyword::FROM, Keyword::IN]);
    Ok(Fetch { cursor: parser.parse_identifier()?, direction, only_moves })
}

fn direction(parser: &mut Parser) -> Result<Direction, ParserError> {
    let plain: [(&str, Direction); 5] = [
        ("NEXT", Direction::Forward(1)),
        ("PRIOR", Direction::Backward(1)),
        ("FIRST", Direction::Absolute(1)),
        ("LAST", Direction::Absolute(-1)),
        ("ALL", Direction::Forward(u64::MAX)),
    ];
    // A cursor may be called `next`: the word is a direction only if a name follows.
    for (word, direction) in plain {
        if !ends_after_word(parser) && words(parser, &[word]) {
            return Ok(direction);
        }
    }
    if !ends_after_word(parser) {
        if words(parser, &["ABSOLUTE"]) {
            return count(parser).map(Direction::Absolute);
        }
        if words(parser, &["RELATIVE"]) {
            return count(parser).map(Direction::Relative);
        }
        if words(parser, &["FORWARD"]) {
            return stretch(parser).map(|rows| rows.map_or(Direction::Forward(u64::MAX), forward));
        }
        if words(parser, &["BACKWARD"]) {
            return stretch(parser).map(|rows| match rows {
                None => Direction::Backward(u64::MAX),
                Some(rows) => forward(rows.saturating_neg()),
            });
        }
    }
    match is_count(parser) {
        true => count(parser).map(forward),
        false => Ok(Direction::Forward(1)),
    }
}

/// `FORWARD n`: a negative count goes back, none reads the row again.
fn forward(rows: i64) -> Direction {
    match rows {
        0 => Direction::Relative(0),
        rows if rows < 0 => Direction::Backward(rows.unsigned_abs()),
        rows => Direction::Forward(rows.unsigned_abs()),
    }
}

/// `n`, nothing (one row) or ALL (None).
fn stretch(parser: &mut Parser) -> Result<Option<i64>, ParserError> {
    if !ends_after_word(parser) && words(parser, &["ALL"]) {
        return Ok(None);
    }
    if is_count(parser) { count(parser).map(Some) } else { Ok(Some(1)) }
}

fn ends_after_word(parser: &Parser) -> bool {
    matches!(parser.peek_nth_token(1).token, Token::EOF | Token::SemiColon)
}

fn is_count(parser: &Parser) -> bool {
    matches!(parser.peek_token_ref().token, Token::Number(..) | Token::Minus | Token::Plus)
}

fn count(parser: &mut Parser) -> Result<i64, ParserError> {
    let negative = parser.consume_token(&Token::Minus);
    if !negative {
        let _ = parser.consume_token(&Token::Plus);
    }
    let rows = i64::try_from(parser.parse_literal_uint()?).unwrap_or(i64::MAX);
    Ok(if negative { -rows } else { rows })
}

/// What follows CLOSE: a cursor's name, or None for ALL.
pub(super) fn close(parser: &mut Parser) -> Result<Option<Ident>, ParserError> {
    match words(parser, &["ALL"]) {
        true => Ok(None),
        false => parser.parse_identifier().map(Some),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::{Own, Parsed, parse};
    use super::*;

    fn read(text: &str) -> (String, Direction, bool) {
        let statement = parse(text).unwrap().remove(0);
        let Parsed::Own(own) = statement.parsed else { panic!("{text} is not ours") };
        let Own::Fetch(fetch) = Arc::unwrap_or_clone(own) else { panic!("{text} is not FETCH") };
        (fetch.cursor.value, fetch.direction, fetch.only_moves)
    }

    // The forms of FETCH in PostgreSQL's documentation.
    #[test]
    fn every_form_is_read() {
        let all = u64::MAX;
        for (text, direction) in [
            ("fetch c", Direction::Forward(1)),
            ("fetch next from c", Direction::Forward(1)),
            ("fetch prior in c", Direction::Backward(1)),
            ("fetch first c", Direction::Absolute(1)),
            ("fetch last from c", Direction::Absolute(-1)),
            ("fetch absolute -3 c", Direction::Absolute(-3)),
            ("fetch relative +2 from c", Direction::Relative(2)),
            ("fetch 5 from c", Direction::Forward(5)),
            ("fetch -5 from c", Direction::Backward(5)),
            ("fetch 0 from c", Direction::Relative(0)),
            ("fetch all from c", Direction::Forward(all)),
            ("fetch forward c", Direction::Forward(1)),
            ("fetch forward 7 in c", Direction::Forward(7)),
            ("fetch forward all from c", Direction::Forward(all)),
            ("fetch backward c", Direction::Backward(1)),
            ("fetch backward -2 c", Direction::Forward(2)),
            ("fetch backward all c", Direction::Backward(all)),
        ] {
            assert_eq!(read(text), ("c".to_owned(), direction, false), "{text}");
        }
        assert_eq!(read("move 3 c"), ("c".to_owned(), Direction::Forward(3), true));
        assert_eq!(read("fetch next").0, "next");
    }
}
