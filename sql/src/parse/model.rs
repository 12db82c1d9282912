//! Statements about models.
//!
//! ```text
//!   CREATE [OR REPLACE] MODEL [IF NOT EXISTS] m [TRANSFORM (* | expression AS name, …)]
//!       [OPTIONS (name = value, …)] [WITH TAGS (name = value, …)] AS query | FROM 'file'
//!   ALTER MODEL m SET ALIAS a = n | DROP ALIAS a | ROLLBACK [ALIAS a]
//!       | SET TAG (name = value, …) [VERSION n]
//!   DROP MODEL [IF EXISTS] m, … | m VERSION n
//!   COMMENT ON MODEL m IS …
//!   SELECT train('m', 'query' [, options => '{"model_type": "gbdt", …}'] [, transform => '…'])
//! ```
//! A value may be searched for: `range(0.01, 0.3)`, `candidates(15, 31)`; in JSON `{"range": [0.01, 0.3]}`.
//! `train` is CREATE OR REPLACE MODEL for those who can only SELECT: hooks and jobs.
//! Clauses of CREATE MODEL may come in any order before the last one; OPTIONS also after FROM.

use std::fmt;

use datafusion::sql::sqlparser::ast::{
    Expr, Function, FunctionArg, FunctionArgExpr, FunctionArguments, Ident, ObjectName, Query,
    SelectItem, UnaryOperator, Value,
};
use datafusion::sql::sqlparser::parser::{Parser, ParserError};
use datafusion::sql::sqlparser::tokenizer::Token;

use super::feature::comment;
use super::own::{parenthesised, peek_words, words};
use crate::names::folded;

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

impl fmt::Display for TransformItem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => f.write_str("*"),
            Self::Named(name, Expr::Identifier(column)) if name == column => write!(f, "{name}"),
            Self::Named(name, expression) => write!(f, "{expression} AS {name}"),
        }
    }
}

/// The value of an option.
#[derive(Debug, Clone, PartialEq)]
pub enum OptionValue {
    Text(String),
    /// As written.
    Number(String),
    Flag(bool),
    List(Vec<OptionValue>),
    /// `range(0.01, 0.3)`: searched for between two numbers, as written.
    Range(String, String),
    /// `candidates(15, 31, 63)`: searched for among these.
    Candidates(Vec<OptionValue>),
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
            Self::Range(low, high) => write!(f, "range({low}, {high})"),
            Self::Candidates(items) => {
                let items: Vec<String> = items.iter().map(Self::to_string).collect();
                write!(f, "candidates({})", items.join(", "))
            }
        }
    }
}

/// The statement at the parser's position, if it is one of these; else the position is kept.
pub(super) fn parse(parser: &mut Parser) -> Result<Option<OfModel>, ParserError> {
    if peek_words(parser, &["SELECT", "TRAIN"]) && parser.peek_nth_token(2).token == Token::LParen {
        parser.next_token();
        let call = parser.parse_expr()?;
        return train(parser, &call).map(Some);
    }
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
        None => {
            let expected = "a text, number, true, false, ARRAY[…], range(…) or candidates(…)";
            parser.expected(expected, place)
        }
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
        Expr::Function(call) => searched(call),
        _ => None,
    }
}

/// `range(…)` and `candidates(…)`
fn searched(call: &Function) -> Option<OptionValue> {
    let FunctionArguments::List(list) = &call.args else { return None };
    let value = |argument: &FunctionArg| match argument {
        FunctionArg::Unnamed(FunctionArgExpr::Expr(value)) => value_of(value),
        _ => None,
    };
    let values = list.args.iter().map(value).collect::<Option<_>>()?;
    of_words(&call.name.to_string().to_lowercase(), values)
}

fn of_words(word: &str, values: Vec<OptionValue>) -> Option<OptionValue> {
    match (word, values.as_slice()) {
        ("range", [OptionValue::Number(low), OptionValue::Number(high)]) => {
            Some(OptionValue::Range(low.clone(), high.clone()))
        }
        ("candidates", [_, ..]) => Some(OptionValue::Candidates(values)),
        _ => None,
    }
}

/// A call of `train` as the statement that it stands for.
fn train(parser: &mut Parser, call: &Expr) -> Result<OfModel, ParserError> {
    const NAMES: [&str; 4] = ["name", "query", "options", "transform"];
    let place = parser.peek_token();
    let usage = || {
        ParserError::ParserError(
            "train takes texts: a model's name, a query, options => JSON, transform".to_owned(),
        )
    };
    let Expr::Function(Function { args: FunctionArguments::List(list), .. }) = call else {
        return parser.expected("the arguments of train", place);
    };
    let mut given: [Option<String>; 4] = Default::default();
    for (index, argument) in list.args.iter().enumerate() {
        let (at, value) = match argument {
            FunctionArg::Unnamed(value) => (Some(index), value),
            FunctionArg::Named { name, arg, .. }
            | FunctionArg::ExprNamed { name: Expr::Identifier(name), arg, .. } => {
                (NAMES.iter().position(|known| *known == folded(name)), arg)
            }
            FunctionArg::ExprNamed { arg, .. } => (None, arg),
        };
        let text = match value {
            FunctionArgExpr::Expr(value) => match value_of(value) {
                Some(OptionValue::Text(text)) => Some(text),
                _ => None,
            },
            _ => None,
        };
        let place = at.and_then(|at| given.get_mut(at)).ok_or_else(usage)?;
        *place = Some(text.ok_or_else(usage)?);
    }
    let [Some(name), Some(query), options, transform] = given else { return Err(usage()) };
    let dialect = super::SextantDialect;
    let name = Parser::new(&dialect).try_with_sql(&name)?.parse_object_name(false)?;
    let query = Parser::new(&dialect).try_with_sql(&query)?.parse_query()?;
    let transform = transform.map(|text| {
        let mut parser = Parser::new(&dialect).try_with_sql(&text)?;
        let items = parser.parse_comma_separated(item)?;
        parser.expect_token(&Token::EOF)?;
        Ok::<_, ParserError>(items)
    });
    Ok(OfModel::Create(Box::new(CreateModel {
        name,
        or_replace: true,
        if_not_exists: false,
        transform: transform.transpose()?,
        options: options.map_or(Ok(Vec::new()), |text| of_json(&text))?,
        tags: Vec::new(),
        source: ModelSource::Query(query),
    })))
}

/// Options from an object of JSON.
fn of_json(text: &str) -> Result<Vec<(String, OptionValue)>, ParserError> {
    use serde_json::Value as Json;
    fn value(json: &Json) -> Option<OptionValue> {
        Some(match json {
            Json::String(text) => OptionValue::Text(text.clone()),
            Json::Number(number) => OptionValue::Number(number.to_string()),
            Json::Bool(flag) => OptionValue::Flag(*flag),
            Json::Array(items) => {
                OptionValue::List(items.iter().map(value).collect::<Option<_>>()?)
            }
            // {"range": [0.01, 0.3]}
            Json::Object(of) if of.len() == 1 => {
                let (word, values) = of.iter().next()?;
                let values = values.as_array()?.iter().map(value).collect::<Option<_>>()?;
                of_words(word, values)?
            }
            Json::Null | Json::Object(_) => return None,
        })
    }
    let wrong = || ParserError::ParserError("options must be a JSON object of values".to_owned());
    let Ok(Json::Object(options)) = serde_json::from_str(text) else { return Err(wrong()) };
    let option = |(name, json): (&String, &Json)| Some((name.clone(), value(json)?));
    options.iter().map(option).collect::<Option<_>>().ok_or_else(wrong)
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
             categorical = array['a', 'b'], early_stop = true, lr = range(0.01, -0.3), \
             n = candidates(1, true)) \
             transform (*, standard_scaler(x) over () as z, age) with tags (code = 'a1') \
             as select 1")
        else {
            panic!()
        };
        assert!(create.or_replace && matches!(create.source, ModelSource::Query(_)));
        let shown: Vec<String> =
            create.options.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let expected = ["model_type=gbdt", "l1=-1.5", "categorical={a,b}", "early_stop=true"];
        assert_eq!(shown[..4], expected);
        assert_eq!(shown[4..], ["lr=range(0.01, -0.3)", "n=candidates(1, true)"]);
        assert_eq!((create.transform.map(|items| items.len()), create.tags.len()), (Some(3), 1));
        let OfModel::Create(create) = one("create model m from 'f' options (format = 'lightgbm')")
        else {
            panic!()
        };
        assert_eq!(create.options.len(), 1);
        assert!(statements("create model m transform (x + 1) as select 1").is_err());
        assert!(statements("create model m options (a = b + 1) as select 1").is_err());
        assert!(statements("create model m options (a = range(1)) as select 1").is_err());
    }

    #[test]
    fn train_is_create_or_replace() {
        let OfModel::Create(create) = one(
            "select train('s.m', 'select 1', options => '{\"a\": [1, \"x\"], \"b\": {\"range\": [1, 2]}}', \
             transform => 'ln(x) as l, y')",
        ) else {
            panic!()
        };
        assert!(create.or_replace && create.name.to_string() == "s.m");
        assert_eq!(create.options[0].1.to_string(), "{1,x}");
        assert_eq!(create.options[1].1.to_string(), "range(1, 2)");
        assert_eq!(create.transform.map(|items| items.len()), Some(2));
        for wrong in
            ["train('m')", "train(1, 'select 1')", "train('m', 'select 1', options => '[]')"]
        {
            assert!(statements(&format!("select {wrong}")).is_err(), "{wrong}");
        }
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
