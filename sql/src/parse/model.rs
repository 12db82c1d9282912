//! Statements about models.
//!
//! ```text
//!   CREATE [OR REPLACE] MODEL [IF NOT EXISTS] m [TRANSFORM (* | expression AS name, …)]
//!       [OPTIONS (name = value, …)] [WITH TAGS (name = value, …)] AS query | FROM 'file'
//!   ALTER MODEL m SET ALIAS a = n | DROP ALIAS a | ROLLBACK [ALIAS a]
//!       | SET TAG (name = value, …) [VERSION n]
//!   DROP MODEL [IF EXISTS] m, … | m VERSION n
//!   COMMENT ON MODEL m IS …
//! ```
//! Clauses of CREATE MODEL may come in any order before the last one; OPTIONS also after FROM.

use std::fmt;

use datafusion::sql::sqlparser::ast::{
    Expr, Ident, ObjectName, Query, SelectItem, UnaryOperator, Value,
};
use datafusion::sql::sqlparser::parser::{Parser, ParserError};
use datafusion::sql::sqlparser::tokenizer::Token;

use super::feature::comment;
use super::own::{parenthesised, peek_words, words};

/// See the module.
#[derive(Debug, Clone)]
pub enum OfModel {
    Create(Box<CreateModel>),
    /// SET ALIAS; None as a version: DROP ALIAS.
    Alias {
        name: ObjectName,
        alias: Ident,
        version: Option<u32>,
    },
    /// An alias points where it did before; the champion if none is named.
    Rollback {
        name: ObjectName,
        alias: Option<Ident>,
    },
    Tags {
        name: ObjectName,
        tags: Vec<(String, OptionValue)>,
        version: Option<u32>,
    },
    Drop {
        names: Vec<ObjectName>,
        if_exists: bool,
        version: Option<u32>,
    },
    Comment {
        name: ObjectName,
        comment: Option<String>,
    },
}

/// CREATE MODEL.
#[derive(Debug, Clone)]
pub struct CreateModel {
    pub name: ObjectName,
    pub or_replace: bool,
    pub if_not_exists: bool,
    pub transform: Option<Vec<TransformItem>>,
    pub options: Vec<(String, OptionValue)>,
    pub tags: Vec<(String, OptionValue)>,
    pub source: ModelSource,
}

/// Where a model comes from.
#[derive(Debug, Clone)]
pub enum ModelSource {
    Query(Box<Query>),
    File(String),
}

/// A feature of TRANSFORM.
#[derive(Debug, Clone)]
pub enum TransformItem {
    /// `*`
    All,
    Named(Ident, Expr),
}

/// The value of an option.
#[derive(Debug, Clone, PartialEq)]
pub enum OptionValue {
    Text(String),
    /// As written.
    Number(String),
    Flag(bool),
    List(Vec<OptionValue>),
}

impl fmt::Display for OptionValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) | Self::Number(text) => f.write_str(text),
            Self::Flag(flag) => write!(f, "{flag}"),
            Self::List(items) => {
                let items: Vec<String> = items.iter().map(Self::to_string).collect();
                write!(f, "{{{}}}", items.join(","))
            }
        }
    }
}

/// The statement at the parser's position, if it is one of these; else the position is kept.
pub(super) fn parse(parser: &mut Parser) -> Result<Option<OfModel>, ParserError> {
    for or_replace in [true, false] {
        let start: &[&str] = if or_replace { &["CREATE", "OR", "REPLACE"] } else { &["CREATE"] };
        if words(parser, &[start, &["MODEL"]].concat()) {
            let create = create(parser, or_replace)?;
            return Ok(Some(OfModel::Create(Box::new(create))));
        }
    }
    if words(parser, &["ALTER", "MODEL"]) {
        return alter(parser).map(Some);
    }
    if words(parser, &["DROP", "MODEL"]) {
        let if_exists = words(parser, &["IF", "EXISTS"]);
        let names = parser.parse_comma_separated(|p| p.parse_object_name(false))?;
        let version = match words(parser, &["VERSION"]) {
            true if names.len() > 1 => {
                return parser.expected("one model before VERSION", parser.peek_token());
            }
            true => Some(version(parser)?),
            false => None,
        };
        let _ = words(parser, &["RESTRICT"]);
        return Ok(Some(OfModel::Drop { names, if_exists, version }));
    }
    if words(parser, &["COMMENT", "ON", "MODEL"]) {
        let name = parser.parse_object_name(false)?;
        return Ok(Some(OfModel::Comment { name, comment: comment(parser)? }));
    }
    Ok(None)
}

fn create(parser: &mut Parser, or_replace: bool) -> Result<CreateModel, ParserError> {
    let if_not_exists = words(parser, &["IF", "NOT", "EXISTS"]);
    let name = parser.parse_object_name(false)?;
    let mut transform = None;
    let (mut options, mut tags) = (None, None);
    let source = loop {
        if transform.is_none() && words(parser, &["TRANSFORM"]) {
            transform = Some(parenthesised(parser, item)?);
        } else if options.is_none() && words(parser, &["OPTIONS"]) {
            options = Some(parenthesised(parser, option)?);
        } else if tags.is_none() && words(parser, &["WITH", "TAGS"]) {
            tags = Some(parenthesised(parser, option)?);
        } else if words(parser, &["AS"]) {
            break ModelSource::Query(parser.parse_query()?);
        } else if words(parser, &["FROM"]) {
            let file = parser.parse_literal_string()?;
            if options.is_none() && peek_words(parser, &["OPTIONS"]) {
                parser.next_token();
                options = Some(parenthesised(parser, option)?);
            }
            break ModelSource::File(file);
        } else {
            let expected = "TRANSFORM, OPTIONS, WITH TAGS, AS query or FROM 'file'";
            return parser.expected(expected, parser.peek_token());
        }
    };
    let (options, tags) = (options.unwrap_or_default(), tags.unwrap_or_default());
    Ok(CreateModel { name, or_replace, if_not_exists, transform, options, tags, source })
}

fn item(parser: &mut Parser) -> Result<TransformItem, ParserError> {
    if parser.consume_token(&Token::Mul) {
        return Ok(TransformItem::All);
    }
    match parser.parse_select_item()? {
        SelectItem::ExprWithAlias { expr, alias } => Ok(TransformItem::Named(alias, expr)),
        SelectItem::UnnamedExpr(Expr::Identifier(name)) => {
            Ok(TransformItem::Named(name.clone(), Expr::Identifier(name)))
        }
        _ => parser.expected("AS and the feature's name", parser.peek_token()),
    }
}

fn option(parser: &mut Parser) -> Result<(String, OptionValue), ParserError> {
    let name = parser.parse_identifier()?;
    let name = match name.quote_style {
        Some(_) => name.value,
        None => name.value.to_lowercase(),
    };
    parser.expect_token(&Token::Eq)?;
    let place = parser.peek_token();
    let value = parser.parse_expr()?;
    match value_of(&value) {
        Some(value) => Ok((name, value)),
        None => parser.expected("a text, number, true, false or ARRAY[…]", place),
    }
}

fn value_of(value: &Expr) -> Option<OptionValue> {
    match value {
        Expr::Value(value) => match &value.value {
            Value::SingleQuotedString(text) => Some(OptionValue::Text(text.clone())),
            Value::DollarQuotedString(text) => Some(OptionValue::Text(text.value.clone())),
            Value::Number(text, _) => Some(OptionValue::Number(text.clone())),
            Value::Boolean(flag) => Some(OptionValue::Flag(*flag)),
            _ => None,
        },
        Expr::UnaryOp { op: UnaryOperator::Minus, expr, .. } => match value_of(expr)? {
            OptionValue::Number(text) => Some(OptionValue::Number(format!("-{text}"))),
            _ => None,
        },
        // `model_type = gbdt`
        Expr::Identifier(name) => Some(OptionValue::Text(name.value.clone())),
        Expr::Array(array) => {
            array.elem.iter().map(value_of).collect::<Option<_>>().map(OptionValue::List)
        }
        _ => None,
    }
}

fn version(parser: &mut Parser) -> Result<u32, ParserError> {
    let place = parser.peek_token();
    match u32::try_from(parser.parse_literal_uint()?) {
        Ok(version) => Ok(version),
        Err(_) => parser.expected("a version", place),
    }
}

fn alter(parser: &mut Parser) -> Result<OfModel, ParserError> {
    let name = parser.parse_object_name(false)?;
    if words(parser, &["SET", "ALIAS"]) {
        let alias = parser.parse_identifier()?;
        let _ = parser.consume_token(&Token::Eq) || words(parser, &["TO"]);
        let version = Some(version(parser)?);
        return Ok(OfModel::Alias { name, alias, version });
    }
    if words(parser, &["DROP", "ALIAS"]) {
        let alias = parser.parse_identifier()?;
        return Ok(OfModel::Alias { name, alias, version: None });
    }
    if words(parser, &["ROLLBACK"]) {
        let alias = words(parser, &["ALIAS"]).then(|| parser.parse_identifier()).transpose()?;
        return Ok(OfModel::Rollback { name, alias });
    }
    if words(parser, &["SET", "TAG"]) || words(parser, &["SET", "TAGS"]) {
        let tags = parenthesised(parser, option)?;
        let version = words(parser, &["VERSION"]).then(|| version(parser)).transpose()?;
        return Ok(OfModel::Tags { name, tags, version });
    }
    parser.expected("SET ALIAS, DROP ALIAS, ROLLBACK or SET TAG", parser.peek_token())
}

#[cfg(test)]
mod tests {
    use super::super::{Own, Parsed, parse as statements};
    use super::*;

    fn one(text: &str) -> OfModel {
        let mut found = statements(text).unwrap();
        match found.pop().map(|statement| statement.parsed) {
            Some(Parsed::Own(own)) => match own.as_ref() {
                Own::Models(of) => of.clone(),
                other => panic!("{other:?}"),
            },
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_model_has_its_clauses() {
        let OfModel::Create(create) =
            one("create or replace model s.m options (model_type = gbdt, l1 = -1.5, \
             categorical = array['a', 'b'], early_stop = true) \
             transform (*, standard_scaler(x) over () as z, age) with tags (code = 'a1') \
             as select 1")
        else {
            panic!()
        };
        assert!(create.or_replace && matches!(create.source, ModelSource::Query(_)));
        let shown: Vec<String> =
            create.options.iter().map(|(name, value)| format!("{name}={value}")).collect();
        assert_eq!(shown, ["model_type=gbdt", "l1=-1.5", "categorical={a,b}", "early_stop=true"]);
        assert_eq!((create.transform.map(|items| items.len()), create.tags.len()), (Some(3), 1));
        let OfModel::Create(create) = one("create model m from 'f' options (format = 'lightgbm')")
        else {
            panic!()
        };
        assert_eq!(create.options.len(), 1);
        assert!(statements("create model m transform (x + 1) as select 1").is_err());
        assert!(statements("create model m options (a = b + 1) as select 1").is_err());
    }

    #[test]
    fn aliases_move_and_versions_go() {
        let OfModel::Alias { version, .. } = one("alter model m set alias champion = 7") else {
            panic!()
        };
        assert_eq!(version, Some(7));
        assert!(matches!(one("alter model m rollback"), OfModel::Rollback { alias: None, .. }));
        let OfModel::Drop { version, .. } = one("drop model m version 3") else { panic!() };
        assert_eq!(version, Some(3));
    }
}
