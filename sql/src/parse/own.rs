//! Statements that sqlparser does not know, parsed from its tokens.
//!
//! ```text
//!   ALTER [MATERIALIZED] VIEW v RENAME TO w | SET SCHEMA s
//!   CREATE MATERIALIZED VIEW v AS query [WITH [NO] DATA]
//!   REFRESH MATERIALIZED VIEW [CONCURRENTLY] v [WITH [NO] DATA]
//!   ALTER INDEX [IF EXISTS] i RENAME TO j            ALTER TABLE t SET SORTED BY (a DESC, b)
//!   ALTER TABLE t SET PARTITIONED BY (a, day(ts))    ALTER TABLE t SET SCHEMA s
//!   ALTER SEQUENCE s …                               (module `sequence`)
//!   CREATE TAG name [AS OF VERSION n | TIMESTAMP t]  DROP TAG [IF EXISTS] name
//!   VACUUM [(VERBOSE, …)] [FULL] [VERBOSE] [t, …]
//!   REINDEX [(VERBOSE)] INDEX|TABLE [CONCURRENTLY] i
//!   LOCK [TABLE] [ONLY] t, … [IN mode MODE] [NOWAIT]
//!   FETCH, MOVE, CLOSE                               (module `cursor`)
//!   COPY                                             (module `copy`)
//!   CREATE ROLE and its like                         (module `role`)
//!   GRANT and its like                               (module `grant`)
//!   CREATE FEATURE VIEW and its like                 (module `feature`)
//!   CREATE MODEL and its like                        (module `model`)
//!   CREATE EXPERIMENT and its like                   (module `experiment`)
//!   CREATE EXTERNAL TABLE t [(…)] STORED AS PARQUET|CSV|JSON LOCATION '…' [OPTIONS (…)]
//! ```

use datafusion::sql::sqlparser::ast::helpers::stmt_create_table::CreateTableBuilder;
use datafusion::sql::sqlparser::ast::{
    self, ColumnDef, Expr, Ident, ObjectName, ObjectType, OrderByExpr, TableFactor, TableWithJoins,
};
use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::parser::{Parser, ParserError};
use datafusion::sql::sqlparser::tokenizer::Token;

use super::copy::{self, Copy};
use super::cursor::{self, Fetch};
use super::experiment::{self, OfExperiment};
use super::feature::{self, OfFeatures};
use super::grant::{self, Rights};
use super::model::{self, OfModel};
use super::role::{self, OfRole};
use super::sequence::{self, AlterSequence};

/// See the module.
#[derive(Debug, Clone)]
pub enum Own {
    Rename {
        kind: ObjectType,
        name: ObjectName,
        if_exists: bool,
        to: Ident,
    },
    SetSchema {
        kind: ObjectType,
        name: ObjectName,
        if_exists: bool,
        schema: Ident,
    },
    CreateMaterializedView {
        view: ast::CreateView,
        with_data: bool,
    },
    RefreshMaterializedView {
        name: ObjectName,
        with_data: bool,
    },
    AlterSequence(AlterSequence),
    SetSortedBy {
        name: ObjectName,
        if_exists: bool,
        keys: Vec<OrderByExpr>,
    },
    SetPartitionedBy {
        name: ObjectName,
        if_exists: bool,
        keys: Vec<Expr>,
    },
    CreateTag {
        name: Ident,
        as_of: Option<AsOf>,
    },
    DropTag {
        name: Ident,
        if_exists: bool,
    },
    CreateExternalTable(ExternalTable),
    Vacuum(Vacuum),
    Reindex(Reindex),
    Lock(Lock),
    Fetch(Fetch),
    /// CLOSE; None: all cursors.
    Close(Option<Ident>),
    Copy(Box<Copy>),
    Role(OfRole),
    Rights(Rights),
    Features(OfFeatures),
    Models(OfModel),
    Experiments(OfExperiment),
}

/// What is to be tidied up: the tables, or all of them.
#[derive(Debug, Clone)]
pub struct Vacuum {
    pub tables: Vec<ObjectName>,
    pub verbose: bool,
}

/// An index to be built anew, or all of a table.
#[derive(Debug, Clone)]
pub struct Reindex {
    pub name: ObjectName,
    pub table: bool,
}

/// Tables that a transaction wants to itself.
#[derive(Debug, Clone)]
pub struct Lock {
    pub tables: Vec<ObjectName>,
    /// Whether the mode keeps others from changing rows.
    pub excludes_changes: bool,
}

/// The modes of LOCK, and whether each keeps others from changing rows; the longer name first.
const LOCK_MODES: [(&[&str], bool); 8] = [
    (&["ACCESS", "SHARE"], false),
    (&["ROW", "SHARE"], false),
    (&["ROW", "EXCLUSIVE"], false),
    (&["SHARE", "UPDATE", "EXCLUSIVE"], false),
    (&["SHARE", "ROW", "EXCLUSIVE"], true),
    (&["SHARE"], true),
    (&["EXCLUSIVE"], true),
    (&["ACCESS", "EXCLUSIVE"], true),
];

/// Options of Postgres that mean nothing here.
const VACUUM_OPTIONS: [&str; 12] = [
    "FULL",
    "FREEZE",
    "ANALYZE",
    "DISABLE_PAGE_SKIPPING",
    "SKIP_LOCKED",
    "INDEX_CLEANUP",
    "PROCESS_MAIN",
    "PROCESS_TOAST",
    "TRUNCATE",
    "PARALLEL",
    "SKIP_DATABASE_STATS",
    "ONLY_DATABASE_STATS",
];

/// Which snapshot a tag keeps.
#[derive(Debug, Clone)]
pub enum AsOf {
    Version(Expr),
    Timestamp(Expr),
}

/// Files that are already there, under a table's name.
#[derive(Debug, Clone)]
pub struct ExternalTable {
    pub name: ObjectName,
    pub if_not_exists: bool,
    pub columns: Vec<ColumnDef>,
    pub format: String,
    pub location: String,
    pub options: Vec<(String, String)>,
}

/// The statement at the parser's position, if it is one of ours; else the position is kept.
pub fn parse(parser: &mut Parser) -> Result<Option<Own>, ParserError> {
    if let Some(of_role) = role::parse(parser)? {
        return Ok(Some(Own::Role(of_role)));
    }
    if let Some(rights) = grant::parse(parser)? {
        return Ok(Some(Own::Rights(rights)));
    }
    if let Some(of_features) = feature::parse(parser)? {
        return Ok(Some(Own::Features(of_features)));
    }
    if let Some(of_model) = model::parse(parser)? {
        return Ok(Some(Own::Models(of_model)));
    }
    if let Some(of_experiment) = experiment::parse(parser)? {
        return Ok(Some(Own::Experiments(of_experiment)));
    }
    if parser.peek_keyword(Keyword::ALTER) {
        return parser.maybe_parse(alter).map(Option::flatten);
    }
    if peek_words(parser, &["CREATE", "MATERIALIZED", "VIEW"]) {
        return materialized_view(parser);
    }
    if words(parser, &["REFRESH", "MATERIALIZED", "VIEW"]) {
        let _ = parser.parse_keyword(Keyword::CONCURRENTLY);
        let name = parser.parse_object_name(false)?;
        let with_data = with_data(parser);
        return Ok(Some(Own::RefreshMaterializedView { name, with_data }));
    }
    if words(parser, &["CREATE", "TAG"]) {
        return create_tag(parser).map(Some);
    }
    if words(parser, &["DROP", "TAG"]) {
        let if_exists = parser.parse_keywords(&[Keyword::IF, Keyword::EXISTS]);
        let name = parser.parse_identifier()?;
        return Ok(Some(Own::DropTag { name, if_exists }));
    }
    if words(parser, &["CREATE", "EXTERNAL", "TABLE"]) {
        return external_table(parser).map(|t| Some(Own::CreateExternalTable(t)));
    }
    if words(parser, &["VACUUM"]) {
        return vacuum(parser).map(|vacuum| Some(Own::Vacuum(vacuum)));
    }
    if words(parser, &["REINDEX"]) {
        return reindex(parser).map(|reindex| Some(Own::Reindex(reindex)));
    }
    if words(parser, &["LOCK"]) {
        return lock(parser).map(|lock| Some(Own::Lock(lock)));
    }
    if words(parser, &["FETCH"]) {
        return cursor::fetch(parser, false).map(|fetch| Some(Own::Fetch(fetch)));
    }
    if words(parser, &["MOVE"]) {
        return cursor::fetch(parser, true).map(|fetch| Some(Own::Fetch(fetch)));
    }
    if words(parser, &["CLOSE"]) {
        return cursor::close(parser).map(|name| Some(Own::Close(name)));
    }
    if words(parser, &["COPY"]) {
        return copy::copy(parser).map(|copy| Some(Own::Copy(Box::new(copy))));
    }
    Ok(None)
}

fn reindex(parser: &mut Parser) -> Result<Reindex, ParserError> {
    if parser.peek_token().token == Token::LParen {
        parenthesised(parser, vacuum_option)?;
    }
    let table = words(parser, &["TABLE"]);
    if !table && !words(parser, &["INDEX"]) {
        return parser.expected("INDEX or TABLE", parser.peek_token());
    }
    let _ = words(parser, &["CONCURRENTLY"]);
    Ok(Reindex { name: parser.parse_object_name(false)?, table })
}

fn lock(parser: &mut Parser) -> Result<Lock, ParserError> {
    let _ = words(parser, &["TABLE"]);
    let _ = words(parser, &["ONLY"]);
    let tables = parser.parse_comma_separated(|p| {
        let name = p.parse_object_name(false)?;
        let _ = p.consume_token(&Token::Mul);
        Ok(name)
    })?;
    let mut excludes_changes = true;
    if parser.parse_keyword(Keyword::IN) {
        let mode = LOCK_MODES.iter().find(|(mode, _)| words(parser, mode));
        let Some((_, excludes)) = mode else {
            return parser.expected("a lock mode", parser.peek_token());
        };
        excludes_changes = *excludes;
        if !words(parser, &["MODE"]) {
            return parser.expected("MODE", parser.peek_token());
        }
    }
    let _ = words(parser, &["NOWAIT"]);
    Ok(Lock { tables, excludes_changes })
}

fn vacuum(parser: &mut Parser) -> Result<Vacuum, ParserError> {
    let mut verbose = false;
    if parser.peek_token().token == Token::LParen {
        for (name, on) in parenthesised(parser, vacuum_option)? {
            verbose |= on && name == "VERBOSE";
        }
    }
    loop {
        if words(parser, &["VERBOSE"]) {
            verbose = true;
        } else if !["FULL", "FREEZE", "ANALYZE"].iter().any(|word| words(parser, &[word])) {
            break;
        }
    }
    let mut tables = Vec::new();
    if !matches!(parser.peek_token().token, Token::EOF | Token::SemiColon) {
        tables = parser.parse_comma_separated(|p| p.parse_object_name(false))?;
    }
    Ok(Vacuum { tables, verbose })
}

/// An option's name and whether it is on.
fn vacuum_option(parser: &mut Parser) -> Result<(String, bool), ParserError> {
    let name = parser.parse_identifier()?.value.to_uppercase();
    if name != "VERBOSE" && !VACUUM_OPTIONS.contains(&name.as_str()) {
        let message = format!("unrecognized VACUUM option \"{}\"", name.to_lowercase());
        return Err(ParserError::ParserError(message));
    }
    let value = match parser.peek_token().token {
        Token::Comma | Token::RParen => return Ok((name, true)),
        _ => parser.next_token().to_string().to_lowercase(),
    };
    Ok((name, !["off", "false", "0"].contains(&value.as_str())))
}

/// `TABLE t`, Postgres' short form of `SELECT * FROM t`.
pub fn table_command(parser: &mut Parser) -> Result<ast::Statement, ParserError> {
    parser.expect_keyword(Keyword::TABLE)?;
    let name = parser.parse_object_name(false)?;
    let mut query = Parser::new(&super::SextantDialect).try_with_sql("SELECT * FROM t")?;
    let mut query = query.parse_query()?;
    if let ast::SetExpr::Select(select) = query.body.as_mut()
        && let Some(TableWithJoins { relation: TableFactor::Table { name: table, .. }, .. }) =
            select.from.first_mut()
    {
        *table = name;
    }
    Ok(ast::Statement::Query(query))
}

/// `SELECT … INTO t …` is CREATE TABLE t AS.
pub fn select_into(statement: ast::Statement) -> ast::Statement {
    let ast::Statement::Query(mut query) = statement else { return statement };
    let Some(into) = first_select(&mut query.body).and_then(|select| select.into.take()) else {
        return ast::Statement::Query(query);
    };
    let table = CreateTableBuilder::new(into.name).temporary(into.temporary).query(Some(query));
    table.build().into()
}

fn first_select(body: &mut ast::SetExpr) -> Option<&mut ast::Select> {
    match body {
        ast::SetExpr::Select(select) => Some(select),
        ast::SetExpr::SetOperation { left, .. } => first_select(left),
        ast::SetExpr::Query(query) => first_select(&mut query.body),
        _ => None,
    }
}

fn materialized_view(parser: &mut Parser) -> Result<Option<Own>, ParserError> {
    let ast::Statement::CreateView(view) = parser.parse_statement()? else { return Ok(None) };
    let with_data = with_data(parser);
    Ok(Some(Own::CreateMaterializedView { view, with_data }))
}

/// `WITH [NO] DATA`; with data if nothing is said.
fn with_data(parser: &mut Parser) -> bool {
    let without = words(parser, &["WITH", "NO", "DATA"]);
    let _ = words(parser, &["WITH", "DATA"]);
    !without
}

/// Whether the words come next, whatever their case.
pub(super) fn peek_words(parser: &Parser, expected: &[&str]) -> bool {
    expected.iter().enumerate().all(|(index, word)| {
        let token = parser.peek_nth_token(index).token;
        matches!(token, Token::Word(w)
            if w.quote_style.is_none() && w.value.eq_ignore_ascii_case(word))
    })
}

/// Consumes the words if they come next, whatever their case.
pub(super) fn words(parser: &mut Parser, expected: &[&str]) -> bool {
    let matches = peek_words(parser, expected);
    if matches {
        for _ in expected {
            parser.next_token();
        }
    }
    matches
}

fn alter(parser: &mut Parser) -> Result<Option<Own>, ParserError> {
    parser.expect_keyword(Keyword::ALTER)?;
    let kind = if words(parser, &["MATERIALIZED", "VIEW"]) {
        ObjectType::MaterializedView
    } else if parser.parse_keyword(Keyword::VIEW) {
        ObjectType::View
    } else if parser.parse_keyword(Keyword::INDEX) {
        ObjectType::Index
    } else if parser.parse_keyword(Keyword::SEQUENCE) {
        ObjectType::Sequence
    } else if parser.parse_keyword(Keyword::TABLE) {
        ObjectType::Table
    } else {
        return parser.expected("TABLE, VIEW, INDEX or SEQUENCE", parser.peek_token());
    };
    let if_exists = parser.parse_keywords(&[Keyword::IF, Keyword::EXISTS]);
    let name = parser.parse_object_name(false)?;
    let renamed = parser.parse_keywords(&[Keyword::RENAME, Keyword::TO]);
    if renamed && kind != ObjectType::Table {
        return Ok(Some(Own::Rename { kind, name, if_exists, to: parser.parse_identifier()? }));
    }
    if kind != ObjectType::Index && parser.parse_keywords(&[Keyword::SET, Keyword::SCHEMA]) {
        let schema = parser.parse_identifier()?;
        return Ok(Some(Own::SetSchema { kind, name, if_exists, schema }));
    }
    if kind == ObjectType::Sequence {
        return sequence::alter(parser, name, if_exists).map(|a| Some(Own::AlterSequence(a)));
    }
    if words(parser, &["SET", "SORTED", "BY"]) {
        let keys = parenthesised(parser, |p| p.parse_order_by_expr())?;
        return Ok(Some(Own::SetSortedBy { name, if_exists, keys }));
    }
    if words(parser, &["SET", "PARTITIONED", "BY"]) {
        let keys = parenthesised(parser, |p| p.parse_expr())?;
        return Ok(Some(Own::SetPartitionedBy { name, if_exists, keys }));
    }
    parser.expected("RENAME or SET", parser.peek_token())
}

pub(super) fn parenthesised<T>(
    parser: &mut Parser,
    item: impl FnMut(&mut Parser) -> Result<T, ParserError>,
) -> Result<Vec<T>, ParserError> {
    parser.expect_token(&Token::LParen)?;
    if parser.consume_token(&Token::RParen) {
        return Ok(Vec::new());
    }
    let items = parser.parse_comma_separated(item)?;
    parser.expect_token(&Token::RParen)?;
    Ok(items)
}

fn create_tag(parser: &mut Parser) -> Result<Own, ParserError> {
    let name = parser.parse_identifier()?;
    let as_of = if words(parser, &["AS", "OF", "VERSION"]) {
        Some(AsOf::Version(parser.parse_expr()?))
    } else if parser.parse_keywords(&[Keyword::AS, Keyword::OF]) {
        Some(AsOf::Timestamp(parser.parse_expr()?))
    } else {
        None
    };
    Ok(Own::CreateTag { name, as_of })
}

fn external_table(parser: &mut Parser) -> Result<ExternalTable, ParserError> {
    let if_not_exists = parser.parse_keywords(&[Keyword::IF, Keyword::NOT, Keyword::EXISTS]);
    let name = parser.parse_object_name(false)?;
    let (columns, _) = parser.parse_columns()?;
    parser.expect_keywords(&[Keyword::STORED, Keyword::AS])?;
    let format = parser.parse_identifier()?.value.to_uppercase();
    parser.expect_keyword(Keyword::LOCATION)?;
    let location = parser.parse_literal_string()?;
    let mut options = Vec::new();
    if words(parser, &["OPTIONS"]) || words(parser, &["WITH"]) {
        options = parenthesised(parser, |p| {
            let key = match p.next_token().token {
                Token::Word(word) => word.value,
                Token::SingleQuotedString(text) => text,
                _ => return p.expected("option name", p.peek_token()),
            };
            let _ = p.consume_token(&Token::Eq);
            Ok((key.to_lowercase(), p.parse_literal_string()?))
        })?;
    }
    Ok(ExternalTable { name, if_not_exists, columns, format, location, options })
}
