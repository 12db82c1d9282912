//! `COPY`, in its present and its older spelling; data never stands in the statement.
//!
//! ```text
//!   COPY [BINARY] t [(a, …)] FROM|TO where [[WITH] (option [value], …) | [WITH] older …] [WHERE …]
//!   COPY (query) TO where …                 where: STDIN | STDOUT | 'location' | PROGRAM '…'
//!   older: BINARY | CSV | HEADER | FREEZE | DELIMITER[S] [AS] 'c' | NULL [AS] '…' | QUOTE [AS] 'c'
//!          | ESCAPE [AS] 'c' | FORCE QUOTE a, … | * | FORCE [NOT] NULL a, … | ENCODING '…'
//! ```

use datafusion::sql::sqlparser::ast::{Expr, Ident, ObjectName, Statement};
use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::parser::{Parser, ParserError};
use datafusion::sql::sqlparser::tokenizer::Token;

use super::own::{parenthesised, words};
use crate::names::folded;

/// See the module.
#[derive(Debug, Clone)]
pub struct Copy {
    pub rows: CopyRows,
    /// FROM: rows come in.
    pub from: bool,
    pub place: CopyPlace,
    /// As they were written, in order.
    pub options: Vec<(String, CopyValue)>,
    pub filter: Option<Expr>,
}

/// Which rows are copied.
#[derive(Debug, Clone)]
pub enum CopyRows {
    /// A table's; no columns: all of them.
    Table { name: ObjectName, columns: Vec<Ident> },
    /// Those of a statement.
    Query(Box<Statement>),
}

/// Where rows come from or go to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CopyPlace {
    /// The client, by messages.
    Client,
    /// A file that the server reads or writes.
    Location(String),
    Program,
}

/// An option's value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CopyValue {
    None,
    Text(String),
    Star,
    List(Vec<String>),
}

/// What follows the word COPY.
pub(super) fn copy(parser: &mut Parser) -> Result<Copy, ParserError> {
    let mut options = Vec::new();
    let rows = match parser.consume_token(&Token::LParen) {
        true => {
            let statement = parser.parse_statement()?;
            parser.expect_token(&Token::RParen)?;
            CopyRows::Query(Box::new(statement))
        }
        false => {
            if words(parser, &["BINARY"]) {
                options.push(("format".to_owned(), CopyValue::Text("binary".into())));
            }
            let name = parser.parse_object_name(false)?;
            let columns = match parser.peek_token_ref().token == Token::LParen {
                true => parenthesised(parser, |parser| parser.parse_identifier())?,
                false => Vec::new(),
            };
            CopyRows::Table { name, columns }
        }
    };
    let query = matches!(rows, CopyRows::Query(_));
    let from = match parser.expect_one_of_keywords(&[Keyword::FROM, Keyword::TO])? {
        Keyword::FROM if query => return parser.expected("TO", parser.peek_token()),
        word => word == Keyword::FROM,
    };
    let place = place(parser)?;
    if words(parser, &["USING", "DELIMITERS"]) || words(parser, &["DELIMITERS"]) {
        options.push(("delimiter".to_owned(), text(parser)?));
    }
    let _ = parser.parse_keyword(Keyword::WITH);
    if parser.peek_token_ref().token == Token::LParen {
        if parser.peek_nth_token(1).token == Token::RParen {
            parser.next_token();
            return parser.expected("option", parser.peek_token());
        }
        options.extend(parenthesised(parser, option)?);
    } else {
        while let Some(older) = older(parser)? {
            options.push(older);
        }
    }
    let filter = match parser.parse_keyword(Keyword::WHERE) {
        true if !from => {
            parser.prev_token();
            return parser.expected("end of statement", parser.peek_token());
        }
        true => Some(parser.parse_expr()?),
        false => None,
    };
    Ok(Copy { rows, from, place, options, filter })
}

fn place(parser: &mut Parser) -> Result<CopyPlace, ParserError> {
    if words(parser, &["STDIN"]) || words(parser, &["STDOUT"]) {
        return Ok(CopyPlace::Client);
    }
    if words(parser, &["PROGRAM"]) {
        parser.parse_literal_string()?;
        return Ok(CopyPlace::Program);
    }
    parser.parse_literal_string().map(CopyPlace::Location)
}

/// `name`, `name value`, `name (a, b)` or `name *`.
fn option(parser: &mut Parser) -> Result<(String, CopyValue), ParserError> {
    let name = folded(&parser.parse_identifier()?);
    let value = match parser.peek_token().token {
        Token::Comma | Token::RParen => CopyValue::None,
        Token::LParen => CopyValue::List(parenthesised(parser, |parser| {
            parser.parse_identifier().map(|name| folded(&name))
        })?),
        Token::Mul => {
            parser.next_token();
            CopyValue::Star
        }
        Token::Word(_) => CopyValue::Text(folded(&parser.parse_identifier()?)),
        Token::Minus | Token::Plus => {
            let sign = parser.next_token();
            CopyValue::Text(format!("{sign}{}", parser.next_token()))
        }
        Token::Number(digits, _) => {
            parser.next_token();
            CopyValue::Text(digits)
        }
        _ => CopyValue::Text(parser.parse_literal_string()?),
    };
    Ok((name, value))
}

/// An option of the older spelling; None: there are no more.
fn older(parser: &mut Parser) -> Result<Option<(String, CopyValue)>, ParserError> {
    let on = || CopyValue::Text("true".into());
    let format = |name: &str| ("format".to_owned(), CopyValue::Text(name.into()));
    if words(parser, &["FORCE", "QUOTE"]) {
        return Ok(Some(("force_quote".into(), columns(parser)?)));
    }
    if words(parser, &["FORCE", "NOT", "NULL"]) {
        return Ok(Some(("force_not_null".into(), columns(parser)?)));
    }
    if words(parser, &["FORCE", "NULL"]) {
        return Ok(Some(("force_null".into(), columns(parser)?)));
    }
    for name in ["DELIMITER", "NULL", "QUOTE", "ESCAPE", "ENCODING"] {
        if words(parser, &[name]) {
            let _ = parser.parse_keyword(Keyword::AS);
            return Ok(Some((name.to_lowercase(), text(parser)?)));
        }
    }
    Ok(if words(parser, &["BINARY"]) {
        Some(format("binary"))
    } else if words(parser, &["CSV"]) {
        Some(format("csv"))
    } else if words(parser, &["HEADER"]) {
        Some(("header".into(), on()))
    } else if words(parser, &["FREEZE"]) {
        Some(("freeze".into(), on()))
    } else {
        None
    })
}

fn columns(parser: &mut Parser) -> Result<CopyValue, ParserError> {
    if parser.consume_token(&Token::Mul) {
        return Ok(CopyValue::Star);
    }
    let names = parser.parse_comma_separated(|parser| parser.parse_identifier())?;
    Ok(CopyValue::List(names.iter().map(folded).collect()))
}

fn text(parser: &mut Parser) -> Result<CopyValue, ParserError> {
    parser.parse_literal_string().map(CopyValue::Text)
}

#[cfg(test)]
mod tests {
    use super::super::{Own, Parsed, parse};
    use super::*;

    fn read(text: &str) -> Copy {
        let statement = parse(text).unwrap().remove(0);
        let Parsed::Own(own) = statement.parsed else { panic!("{text} is not ours") };
        let Own::Copy(copy) = *own else { panic!("{text} is not COPY") };
        *copy
    }

    fn options(text: &str) -> Vec<(String, CopyValue)> {
        read(text).options
    }

    // The forms of COPY in PostgreSQL's documentation.
    #[test]
    fn both_spellings_say_the_same() {
        let pairs = [
            (
                "copy t from stdin with csv header delimiter as ';' null 'x' force not null a, b",
                "copy t from stdin (format csv, header true, delimiter ';', null 'x',
                 force_not_null (a, b))",
            ),
            ("copy binary t to stdout", "copy t to stdout with (format 'binary')"),
            (
                "copy t to stdout using delimiters '|' csv force quote *",
                "copy t to stdout (delimiter '|', format csv, force_quote *)",
            ),
        ];
        for (older, present) in pairs {
            assert_eq!(options(older), options(present), "{older}");
        }
        let copy = read("copy s.t (a, \"B\") from 'f.csv' where a > 1");
        assert!(copy.from && copy.filter.is_some());
        assert_eq!(copy.place, CopyPlace::Location("f.csv".into()));
        let copy = read("copy (select ';', 1) to stdout (header, format csv)");
        assert!(matches!(copy.rows, CopyRows::Query(_)) && !copy.from);
        assert_eq!(copy.options[0], ("header".into(), CopyValue::None));
    }

    #[test]
    fn what_is_no_copy_is_refused() {
        for text in [
            "copy t",
            "copy t from",
            "copy (select 1) from stdin",
            "copy t to stdout where a > 1",
            "copy t from stdin bogus",
            "copy t () from stdin (format)x",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
