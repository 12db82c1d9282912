//! Statements about features.
//!
//! ```text
//!   CREATE [OR REPLACE] FEATURE VIEW [IF NOT EXISTS] v [KEY (a, …)] TIMESTAMP ts [CREATED c]
//!       [TTL i] [DELAY i] [FRESHNESS REALTIME | i] [ONLINE] [WITH (owner = …, …)] AS query
//!   ALTER FEATURE VIEW [IF EXISTS] v SET (ttl = …, owner = …) | RESET (owner, …)
//!   ALTER VIEW [IF EXISTS] v SET (feature_key = 'a, b', feature_time = 'ts', …) | RESET (…)
//!   REFRESH FEATURE VIEW v [FROM time TO time]
//!   DROP FEATURE VIEW [IF EXISTS] v, … [CASCADE | RESTRICT]
//!   CREATE [OR REPLACE] FEATURE SERVICE [IF NOT EXISTS] s AS
//!       v [@ version] [(a, b AS c, …)] [AS alias] [KEY (label_column, …)], …
//!   DROP FEATURE SERVICE [IF EXISTS] s, … [CASCADE | RESTRICT]
//!   CREATE TRAINING SET [IF NOT EXISTS] t AS query | AS OF manifest
//!   DROP TRAINING SET [IF EXISTS] t, … [CASCADE | RESTRICT]
//!   COMMENT ON FEATURE VIEW v IS … | ON FEATURE SERVICE s IS …
//! ```

use datafusion::sql::sqlparser::ast::{self, Expr, Ident, ObjectName, Query};
use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::parser::{Parser, ParserError};
use datafusion::sql::sqlparser::tokenizer::Token;

use super::own::{parenthesised, peek_words, words};

/// See the module.
#[derive(Debug, Clone)]
pub enum OfFeatures {
    CreateView(Box<CreateFeatureView>),
    AlterView(AlterFeatureView),
    /// With the times whose rows are refreshed, from and before.
    RefreshView {
        name: ObjectName,
        times: Option<(Expr, Expr)>,
    },
    DropViews {
        names: Vec<ObjectName>,
        if_exists: bool,
        cascade: bool,
    },
    CreateService(CreateFeatureService),
    DropServices {
        names: Vec<ObjectName>,
        if_exists: bool,
    },
    CommentService {
        name: ObjectName,
        comment: Option<String>,
    },
    CreateTrainingSet(CreateTrainingSet),
    DropTrainingSets {
        names: Vec<ObjectName>,
        if_exists: bool,
        cascade: bool,
    },
}

/// CREATE FEATURE VIEW.
#[derive(Debug, Clone)]
pub struct CreateFeatureView {
    pub name: ObjectName,
    pub or_replace: bool,
    pub if_not_exists: bool,
    pub timestamp: Ident,
    pub clauses: FeatureClauses,
    pub query: Query,
}

/// What may be left out.
#[derive(Debug, Clone, Default)]
pub struct FeatureClauses {
    pub key: Vec<Ident>,
    pub created: Option<Ident>,
    pub ttl: Option<Expr>,
    pub delay: Option<Expr>,
    pub freshness: Option<Freshness>,
    pub online: bool,
    pub options: Vec<FeatureOption>,
}

/// ALTER [FEATURE] VIEW … SET, RESET.
#[derive(Debug, Clone)]
pub struct AlterFeatureView {
    /// The word FEATURE was there.
    pub of_feature_view: bool,
    pub name: ObjectName,
    pub if_exists: bool,
    pub set: Vec<FeatureOption>,
    pub reset: Vec<Ident>,
}

/// How late the online store may be.
#[derive(Debug, Clone)]
pub enum Freshness {
    Realtime,
    Within(Expr),
}

/// `name = value`, `name value` or `name` alone.
#[derive(Debug, Clone)]
pub struct FeatureOption {
    pub name: Ident,
    pub value: Option<String>,
}

/// CREATE TRAINING SET.
#[derive(Debug, Clone)]
pub struct CreateTrainingSet {
    pub name: ObjectName,
    pub if_not_exists: bool,
    pub source: TrainingSetSource,
}

/// Where a training set's rows come from.
#[derive(Debug, Clone)]
pub enum TrainingSetSource {
    Query(Box<Query>),
    /// Another training set, made again.
    Manifest(ObjectName),
}

/// CREATE FEATURE SERVICE.
#[derive(Debug, Clone)]
pub struct CreateFeatureService {
    pub name: ObjectName,
    pub or_replace: bool,
    pub if_not_exists: bool,
    pub views: Vec<ServiceView>,
}

/// A view of a service.
#[derive(Debug, Clone)]
pub struct ServiceView {
    pub view: ObjectName,
    /// `v@2`; None: the newest one.
    pub version: Option<u32>,
    pub alias: Option<Ident>,
    /// Label columns that stand for the view's keys, in their order; none: the keys' own names.
    pub key: Vec<Ident>,
    /// Features and the names they get; none: all of them.
    pub features: Vec<(Ident, Option<Ident>)>,
}

/// The statement at the parser's position, if it is one of these; else the position is kept.
pub(super) fn parse(parser: &mut Parser) -> Result<Option<OfFeatures>, ParserError> {
    for or_replace in [true, false] {
        let start: &[&str] = if or_replace { &["CREATE", "OR", "REPLACE"] } else { &["CREATE"] };
        let with = |last: &'static str| [start, &["FEATURE", last]].concat();
        if words(parser, &with("VIEW")) {
            let view = create_view(parser, or_replace)?;
            return Ok(Some(OfFeatures::CreateView(Box::new(view))));
        }
        if words(parser, &with("SERVICE")) {
            return create_service(parser, or_replace).map(|s| Some(OfFeatures::CreateService(s)));
        }
    }
    if words(parser, &["CREATE", "TRAINING", "SET"]) {
        let if_not_exists = words(parser, &["IF", "NOT", "EXISTS"]);
        let name = parser.parse_object_name(false)?;
        parser.expect_keyword(Keyword::AS)?;
        let source = match words(parser, &["OF"]) {
            true => TrainingSetSource::Manifest(parser.parse_object_name(false)?),
            false => TrainingSetSource::Query(parser.parse_query()?),
        };
        let create = CreateTrainingSet { name, if_not_exists, source };
        return Ok(Some(OfFeatures::CreateTrainingSet(create)));
    }
    if words(parser, &["DROP", "TRAINING", "SET"]) {
        let (names, if_exists, cascade) = dropped(parser)?;
        return Ok(Some(OfFeatures::DropTrainingSets { names, if_exists, cascade }));
    }
    if words(parser, &["REFRESH", "FEATURE", "VIEW"]) {
        let name = parser.parse_object_name(false)?;
        let times = match words(parser, &["FROM"]) {
            false => None,
            true => {
                let from = parser.parse_expr()?;
                parser.expect_keyword(Keyword::TO)?;
                Some((from, parser.parse_expr()?))
            }
        };
        return Ok(Some(OfFeatures::RefreshView { name, times }));
    }
    if words(parser, &["DROP", "FEATURE", "VIEW"]) {
        let (names, if_exists, cascade) = dropped(parser)?;
        return Ok(Some(OfFeatures::DropViews { names, if_exists, cascade }));
    }
    if words(parser, &["DROP", "FEATURE", "SERVICE"]) {
        let (names, if_exists, _) = dropped(parser)?;
        return Ok(Some(OfFeatures::DropServices { names, if_exists }));
    }
    if words(parser, &["COMMENT", "ON", "FEATURE", "SERVICE"]) {
        let name = parser.parse_object_name(false)?;
        return Ok(Some(OfFeatures::CommentService { name, comment: comment(parser)? }));
    }
    if peek_words(parser, &["ALTER", "FEATURE", "VIEW"]) {
        return alter(parser);
    }
    if peek_words(parser, &["ALTER"]) {
        return parser.maybe_parse(alter).map(Option::flatten);
    }
    Ok(None)
}

/// COMMENT ON FEATURE VIEW is about a view.
pub(super) fn comment_on_view(parser: &mut Parser) -> Result<Option<ast::Statement>, ParserError> {
    if !words(parser, &["COMMENT", "ON", "FEATURE", "VIEW"]) {
        return Ok(None);
    }
    let object_name = parser.parse_object_name(false)?;
    let (object_type, comment) = (ast::CommentObject::View, comment(parser)?);
    Ok(Some(ast::Statement::Comment { object_type, object_name, comment, if_exists: false }))
}

pub(super) fn comment(parser: &mut Parser) -> Result<Option<String>, ParserError> {
    parser.expect_keyword(Keyword::IS)?;
    match parser.parse_keyword(Keyword::NULL) {
        true => Ok(None),
        false => parser.parse_literal_string().map(Some),
    }
}

fn dropped(parser: &mut Parser) -> Result<(Vec<ObjectName>, bool, bool), ParserError> {
    let if_exists = words(parser, &["IF", "EXISTS"]);
    let names = parser.parse_comma_separated(|p| p.parse_object_name(false))?;
    let cascade = words(parser, &["CASCADE"]);
    let _ = !cascade && words(parser, &["RESTRICT"]);
    Ok((names, if_exists, cascade))
}

fn create_view(parser: &mut Parser, or_replace: bool) -> Result<CreateFeatureView, ParserError> {
    let if_not_exists = words(parser, &["IF", "NOT", "EXISTS"]);
    let name = parser.parse_object_name(false)?;
    let (mut clauses, mut timestamp) = (FeatureClauses::default(), None);
    let mut seen: Vec<&str> = Vec::new();
    while let Some(clause) = CLAUSES.into_iter().find(|clause| peek_words(parser, &[clause])) {
        if seen.contains(&clause) {
            return parser.expected("each clause once", parser.peek_token());
        }
        seen.push(clause);
        parser.next_token();
        match clause {
            "KEY" => clauses.key = parenthesised(parser, |p| p.parse_identifier())?,
            "TIMESTAMP" => timestamp = Some(parser.parse_identifier()?),
            "CREATED" => clauses.created = Some(parser.parse_identifier()?),
            "TTL" => clauses.ttl = Some(parser.parse_expr()?),
            "DELAY" => clauses.delay = Some(parser.parse_expr()?),
            "FRESHNESS" if words(parser, &["REALTIME"]) => {
                clauses.freshness = Some(Freshness::Realtime);
            }
            "FRESHNESS" => clauses.freshness = Some(Freshness::Within(parser.parse_expr()?)),
            "ONLINE" => clauses.online = true,
            _ => clauses.options = parenthesised(parser, option)?,
        }
    }
    let Some(timestamp) = timestamp else {
        return parser.expected("TIMESTAMP column", parser.peek_token());
    };
    parser.expect_keyword(Keyword::AS)?;
    let query = *parser.parse_query()?;
    Ok(CreateFeatureView { name, or_replace, if_not_exists, timestamp, clauses, query })
}

const CLAUSES: [&str; 8] =
    ["KEY", "TIMESTAMP", "CREATED", "TTL", "DELAY", "FRESHNESS", "ONLINE", "WITH"];

fn option(parser: &mut Parser) -> Result<FeatureOption, ParserError> {
    let name = parser.parse_identifier()?;
    let _ = parser.consume_token(&Token::Eq);
    let next = parser.peek_token().token;
    if matches!(next, Token::Comma | Token::RParen) {
        return Ok(FeatureOption { name, value: None });
    }
    // A length may be written as one.
    let _ = words(parser, &["INTERVAL"]);
    let value = match parser.next_token().token {
        Token::SingleQuotedString(text) | Token::Number(text, _) => text,
        Token::Word(word) => word.value,
        _ => return parser.expected("an option's value", parser.peek_token()),
    };
    Ok(FeatureOption { name, value: Some(value) })
}

fn alter(parser: &mut Parser) -> Result<Option<OfFeatures>, ParserError> {
    parser.expect_keyword(Keyword::ALTER)?;
    let of_feature_view = words(parser, &["FEATURE"]);
    parser.expect_keyword(Keyword::VIEW)?;
    let if_exists = words(parser, &["IF", "EXISTS"]);
    let name = parser.parse_object_name(false)?;
    let (mut set, mut reset) = (Vec::new(), Vec::new());
    if words(parser, &["SET"]) && parser.peek_token().token == Token::LParen {
        set = parenthesised(parser, option)?;
    } else if words(parser, &["RESET"]) {
        reset = parenthesised(parser, |p| p.parse_identifier())?;
    } else {
        let expected = "SET ( or RESET ( (ALTER VIEW renames, moves and gives away)";
        return parser.expected(expected, parser.peek_token());
    }
    let alter = AlterFeatureView { of_feature_view, name, if_exists, set, reset };
    Ok(Some(OfFeatures::AlterView(alter)))
}

fn create_service(
    parser: &mut Parser,
    or_replace: bool,
) -> Result<CreateFeatureService, ParserError> {
    let if_not_exists = words(parser, &["IF", "NOT", "EXISTS"]);
    let name = parser.parse_object_name(false)?;
    parser.expect_keyword(Keyword::AS)?;
    let views = parser.parse_comma_separated(service_view)?;
    Ok(CreateFeatureService { name, or_replace, if_not_exists, views })
}

fn service_view(parser: &mut Parser) -> Result<ServiceView, ParserError> {
    let view = parser.parse_object_name(false)?;
    let version = match parser.consume_token(&Token::AtSign) {
        true => Some(parser.parse_literal_uint()?),
        false => None,
    };
    let version = match version.map(u32::try_from) {
        Some(Err(_)) => return parser.expected("a version", parser.peek_token()),
        version => version.and_then(Result::ok),
    };
    let mut features = Vec::new();
    if parser.peek_token().token == Token::LParen {
        features = parenthesised(parser, |p| {
            let feature = p.parse_identifier()?;
            let name = p.parse_keyword(Keyword::AS).then(|| p.parse_identifier()).transpose()?;
            Ok((feature, name))
        })?;
    }
    let alias = parser.parse_keyword(Keyword::AS).then(|| parser.parse_identifier()).transpose()?;
    let mut key = Vec::new();
    if words(parser, &["KEY"]) {
        key = parenthesised(parser, |p| p.parse_identifier())?;
    }
    Ok(ServiceView { view, version, alias, key, features })
}

#[cfg(test)]
mod tests {
    use super::super::{Own, Parsed, parse as statements};
    use super::*;

    fn one(text: &str) -> OfFeatures {
        let mut found = statements(text).unwrap();
        match found.pop().map(|statement| statement.parsed) {
            Some(Parsed::Own(own)) => match own.as_ref() {
                Own::Features(of) => of.clone(),
                other => panic!("{other:?}"),
            },
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_view_has_its_clauses_in_any_order() {
        let OfFeatures::CreateView(view) =
            one("create feature view f.v timestamp ts key (a, \"B\") ttl interval '1 day' online \
             delay '10 minutes' freshness realtime with (owner = 'ads', tags = pii) as select 1")
        else {
            panic!()
        };
        let clauses = view.clauses;
        assert_eq!((view.name.to_string().as_str(), view.timestamp.value.as_str()), ("f.v", "ts"));
        assert_eq!(clauses.key.len(), 2);
        assert!(clauses.online && clauses.ttl.is_some() && clauses.delay.is_some());
        assert!(matches!(clauses.freshness, Some(Freshness::Realtime)));
        assert_eq!(clauses.options[1].value.as_deref(), Some("pii"));
        assert!(statements("create feature view v key (a) as select 1").is_err());
        assert!(statements("create feature view v timestamp t timestamp u as select 1").is_err());
    }

    #[test]
    fn a_service_names_versions_features_and_label_columns() {
        let OfFeatures::CreateService(service) =
            one("create feature service s as v(a, b as c), w as seller key (seller_id), x@2(c)")
        else {
            panic!()
        };
        let [first, second, third] = service.views.as_slice() else { panic!() };
        assert_eq!(first.features[1].1.as_ref().map(|n| n.value.as_str()), Some("c"));
        assert_eq!(second.alias.as_ref().map(|n| n.value.as_str()), Some("seller"));
        assert_eq!(second.key[0].value, "seller_id");
        assert_eq!((third.version, third.features.len()), (Some(2), 1));
    }

    #[test]
    fn a_plain_view_gets_and_loses_options() {
        let OfFeatures::AlterView(alter) = one("alter view v set (feature_key = 'a, b')") else {
            panic!()
        };
        assert!(!alter.of_feature_view);
        assert_eq!(alter.set[0].value.as_deref(), Some("a, b"));
        let OfFeatures::AlterView(alter) = one("alter feature view v reset (owner)") else {
            panic!()
        };
        assert_eq!(alter.reset[0].value, "owner");
        assert!(matches!(
            statements("alter view v set schema s").unwrap()[0].parsed,
            Parsed::Own(ref own) if matches!(own.as_ref(), Own::SetSchema { .. })
        ));
    }
}
