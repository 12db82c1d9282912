//! Text to statements: ours by their first words, all others by sqlparser; the AST is planned as
//! parsed, never printed and parsed again.

mod copy;
mod cursor;
mod depth;
mod dialect;
mod experiment;
mod feature;
mod fold;
mod grant;
mod model;
mod own;
mod role;
mod sequence;

use std::sync::Arc;

use datafusion::sql::sqlparser::ast;
use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::parser::{Parser, ParserError};
use datafusion::sql::sqlparser::tokenizer::{Location, Token, TokenWithSpan, Tokenizer};

use crate::error::{Error, Result};

pub use copy::{Copy, CopyPlace, CopyRows, CopyValue};
pub use cursor::{Direction, Fetch};
pub use dialect::SextantDialect;
pub use experiment::{
    Arm, CreateExperiment, ExperimentChange, Metric, MetricRole, OfExperiment, StartTime,
};
pub(crate) use experiment::{arms, metrics};
pub use feature::{
    AlterFeatureView, CreateFeatureService, CreateFeatureView, CreateTrainingSet, FeatureOption,
    Freshness, OfFeatures, ServiceView, TrainingSetSource,
};
pub use grant::{GrantPrivileges, GrantRole, Objects, Rights};
pub use model::{CreateModel, ModelSource, OfModel, OptionValue, TransformItem};
pub use own::{AsOf, ExternalTable, Lock, Own, Reindex, Vacuum};
pub use role::{OfRole, RoleName, RoleOption};
pub use sequence::AlterSequence;

/// One statement of a message.
#[derive(Debug, Clone)]
pub struct Statement {
    /// The text between its semicolons, comments included.
    pub text: Arc<str>,
    pub parsed: Parsed,
}

/// A statement's syntax tree.
#[derive(Debug, Clone)]
pub enum Parsed {
    /// What sqlparser knows.
    Sql(Arc<ast::Statement>),
    /// What it does not.
    Own(Arc<Own>),
}

/// Nesting of expressions and subqueries that is still parsed.
const RECURSION_LIMIT: usize = 200;

/// Stands behind the keys of a window for EXCLUDE CURRENT ROW, see `fold`.
pub(crate) const EXCLUDE_CURRENT: &str = "\u{3}exclude_current";

/// Stands for a snapshot that is named by a tag, see `fold`.
pub(crate) const TAGGED: &str = "\u{3}tagged";

/// Splits a message into statements; none for an empty message.
pub fn parse(text: &str) -> Result<Vec<Statement>> {
    let dialect = SextantDialect;
    let tokens = Tokenizer::new(&dialect, text)
        .tokenize_with_location()
        .map_err(|e| syntax_error(&e.message, Some(offset(text, e.location))))?;
    if let Some(token) = depth::too_deep(&tokens) {
        return Err(Error::new("54001", "stack depth limit exceeded")
            .with_hint(format!("At most {} operators in a row are planned.", depth::LIMIT))
            .at(Some(offset(text, token.span.start))));
    }
    let mut parser = Parser::new(&dialect)
        .with_recursion_limit(RECURSION_LIMIT)
        .with_tokens_with_locations(crate::asof::folded(fold::tokens(sequence::ordered(tokens))));
    let mut statements = Vec::new();
    loop {
        while parser.consume_token(&Token::SemiColon) {}
        if parser.peek_token_ref().token == Token::EOF {
            return Ok(statements);
        }
        let start = byte_offset(text, parser.peek_token_ref().span.start);
        let parsed = one(&mut parser).map_err(|e| located(text, &parser, e))?;
        let next = parser.peek_token();
        if !matches!(next.token, Token::SemiColon | Token::EOF) {
            return Err(unexpected(text, &next));
        }
        let end = match next.token {
            Token::EOF => text.len(),
            _ => byte_offset(text, next.span.start),
        };
        let slice = text.get(start..end).unwrap_or(text).trim_end();
        statements.push(Statement { text: slice.into(), parsed });
    }
}

/// One expression, as in DEFAULT or CHECK.
pub fn parse_expression(text: &str) -> Result<ast::Expr> {
    let dialect = SextantDialect;
    let mut parser = Parser::new(&dialect)
        .with_recursion_limit(RECURSION_LIMIT)
        .try_with_sql(text)
        .map_err(|e| syntax_error(&e.to_string(), None))?;
    let parsed = parser.parse_expr().and_then(|parsed| {
        parser.expect_token(&Token::EOF)?;
        Ok(parsed)
    });
    parsed.map_err(|e| located(text, &parser, e))
}

/// The folded parts of a name that a text is, at most three.
pub(crate) fn name_parts(text: &str) -> Option<Vec<String>> {
    let names = match parse_expression(text).ok()? {
        ast::Expr::Identifier(name) => vec![name],
        ast::Expr::CompoundIdentifier(names) if names.len() <= 3 => names,
        _ => return None,
    };
    Some(names.iter().map(crate::names::folded).collect())
}

/// One query, as in a view.
pub fn parse_query(text: &str) -> Result<ast::Query> {
    let mut statements = parse(text)?;
    match (statements.pop(), statements.is_empty()) {
        (Some(Statement { parsed: Parsed::Sql(sql), .. }), true) => match Arc::unwrap_or_clone(sql)
        {
            ast::Statement::Query(query) => Ok(*query),
            _ => Err(Error::new("42601", "expected a query")),
        },
        _ => Err(Error::new("42601", "expected one query")),
    }
}

fn one(parser: &mut Parser) -> Result<Parsed, ParserError> {
    if let Some(own) = own::parse(parser)? {
        return Ok(Parsed::Own(Arc::new(own)));
    }
    if let Some(comment) = feature::comment_on_view(parser)? {
        return Ok(Parsed::Sql(Arc::new(comment)));
    }
    if parser.peek_keyword(Keyword::TABLE) {
        let query = own::table_command(parser)?;
        return Ok(Parsed::Sql(Arc::new(query)));
    }
    Ok(Parsed::Sql(Arc::new(own::select_into(parser.parse_statement()?))))
}

fn located(text: &str, parser: &Parser, error: ParserError) -> Error {
    match error {
        ParserError::RecursionLimitExceeded => {
            Error::new("54001", "statement is nested too deeply")
                .with_hint(format!("At most {RECURSION_LIMIT} levels are parsed."))
        }
        ParserError::TokenizerError(message) => syntax_error(&message, None),
        ParserError::ParserError(message) => {
            let (message, place) = match message.rfind(" at Line: ") {
                Some(at) => (&message[..at], parse_location(&message[at..])),
                None => (message.as_str(), None),
            };
            let place = place.unwrap_or_else(|| parser.peek_token_ref().span.start);
            match message.split_once(", found: ") {
                Some((expected, found)) => near(text, found, place, expected),
                None => syntax_error(message, Some(offset(text, place))),
            }
        }
    }
}

fn unexpected(text: &str, token: &TokenWithSpan) -> Error {
    near(text, &token.to_string(), token.span.start, "Expected: end of statement")
}

/// Postgres' wording, with what the parser wanted as the detail.
fn near(text: &str, found: &str, place: Location, expected: &str) -> Error {
    let position = Some(offset(text, place));
    let message = match found {
        "EOF" => "syntax error at end of input".to_string(),
        token => format!("syntax error at or near \"{token}\""),
    };
    let expected = expected.trim_start_matches("Expected: ");
    Error::new("42601", message).with_detail(format!("Expected {expected}.")).at(position)
}

fn syntax_error(message: &str, position: Option<usize>) -> Error {
    Error::new("42601", format!("syntax error: {message}")).at(position)
}

/// The location in " at Line: 1, Column: 8".
fn parse_location(text: &str) -> Option<Location> {
    let rest = text.strip_prefix(" at Line: ")?;
    let (line, column) = rest.split_once(", Column: ")?;
    Some(Location::new(line.parse().ok()?, column.trim().parse().ok()?))
}

/// Characters before `place`, plus one: a Postgres error position.
fn offset(text: &str, place: Location) -> usize {
    let bytes = byte_offset(text, place);
    text.get(..bytes).map_or(bytes, |before| before.chars().count()) + 1
}

/// Where a location of the tokenizer is in its text.
pub(crate) fn byte_offset(text: &str, place: Location) -> usize {
    if place.line == 0 {
        return text.len();
    }
    let line_start: usize =
        text.split_inclusive('\n').take(place.line as usize - 1).map(str::len).sum();
    let line = text.get(line_start..).unwrap_or("");
    let column = (place.column as usize).saturating_sub(1);
    line_start + line.char_indices().nth(column).map_or(line.len(), |(index, _)| index)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn splits_at_semicolons_outside_literals() {
        let found = parse("select ';'; -- c;\n select $x$;$x$ ;;").unwrap();
        let texts: Vec<&str> = found.iter().map(|s| &*s.text).collect();
        assert_eq!(texts, ["select ';'", "select $x$;$x$"]);
    }

    #[test]
    fn syntax_errors_have_postgres_words_and_positions() {
        let Err(Error::Statement { sqlstate, message, position, .. }) = parse("select 1 frm t x")
        else {
            panic!("parsed");
        };
        assert_eq!((sqlstate, message.as_str()), ("42601", "syntax error at or near \"t\""));
        assert_eq!(position, Some(14));
    }

    #[test]
    fn positions_count_characters_not_bytes() {
        let Err(Error::Statement { position, .. }) = parse("select 'äöü',\n  from from") else {
            panic!("parsed");
        };
        assert_eq!(position, Some(22));
    }

    #[test]
    fn deep_nesting_is_refused() {
        let text = format!("select {}1{}", "(".repeat(5000), ")".repeat(5000));
        let Err(Error::Statement { sqlstate, .. }) = parse(&text) else { panic!("parsed") };
        assert_eq!(sqlstate, "54001");
    }

    #[test]
    fn long_rows_of_operators_are_refused() {
        let row = |terms: usize| format!("select {}", vec!["1"; terms].join("+"));
        let unions = |count: usize| vec!["select 1"; count].join(" union all ");
        let list = format!("select {}", vec!["-1"; 3 * depth::LIMIT].join(","));
        assert_eq!(parse(&list).unwrap().len(), 1);
        for deep in [row(depth::LIMIT + 2), unions(depth::LIMIT + 2)] {
            let Err(Error::Statement { sqlstate, .. }) = parse(&deep) else { panic!("parsed") };
            assert_eq!(sqlstate, "54001");
        }
    }

    #[test]
    fn table_versions_are_known() {
        parse("select * from t version as of 3 x join u for system_time as of timestamp '2024-01-01' on true")
            .unwrap();
    }
}
