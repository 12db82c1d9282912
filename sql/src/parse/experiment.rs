//! Statements about experiments.
//!
//! ```text
//!   CREATE EXPERIMENT [IF NOT EXISTS] e UNIT column ARMS (control 50, treatment 50, …)
//!       [LAYER l [n PERCENT]] [HOLDOUT n PERCENT] [SALT 'text'] [RAMP [TO] n PERCENT]
//!       [METRICS (PRIMARY | SECONDARY | GUARDRAIL expression [AS name] [HIGHER | LOWER IS BETTER]
//!           [MAX REGRESSION n [PERCENT]], …)]
//!       [START [NOW | time]]
//!   ALTER EXPERIMENT e RAMP [TO] n PERCENT | START [NOW | time] | STOP [REASON 'text'] | SHIP arm
//!       | STOP IF BREACHED IN 'table or query' [ALPHA n]
//!   DROP EXPERIMENT [IF EXISTS] e, …
//!   COMMENT ON EXPERIMENT e IS …
//! ```
//! The clauses of CREATE EXPERIMENT may come in any order. `a / b` as a metric is a ratio of sums.

use datafusion::sql::sqlparser::ast::{BinaryOperator, Expr, Ident, ObjectName};
use datafusion::sql::sqlparser::parser::{Parser, ParserError};
use datafusion::sql::sqlparser::tokenizer::Token;
use serde::{Deserialize, Serialize};

use super::feature::comment;
use super::own::{parenthesised, peek_words, words};
use super::parse_expression;
use crate::error::{Error, Result};
use crate::names::folded;

/// See the module.
#[derive(Debug, Clone)]
pub enum OfExperiment {
    Create(Box<CreateExperiment>),
    Alter { name: ObjectName, change: ExperimentChange },
    Drop { names: Vec<ObjectName>, if_exists: bool },
    Comment { name: ObjectName, comment: Option<String> },
}

/// CREATE EXPERIMENT.
#[derive(Debug, Clone)]
pub struct CreateExperiment {
    pub name: ObjectName,
    pub if_not_exists: bool,
    pub unit: Ident,
    pub arms: Vec<Arm>,
    /// The layer, and the share of it, all that is free if absent.
    pub layer: Option<(Ident, Option<f64>)>,
    pub holdout: f64,
    pub salt: Option<String>,
    pub ramp: Option<f64>,
    pub metrics: Vec<Metric>,
    pub start: Option<StartTime>,
}

/// ALTER EXPERIMENT.
#[derive(Debug, Clone)]
pub enum ExperimentChange {
    Ramp(f64),
    Start(StartTime),
    Stop { reason: Option<String> },
    Ship(Ident),
    StopIfBreached { rows: String, alpha: Option<f64> },
    Rename(Ident),
}

/// When units begin to be assigned.
#[derive(Debug, Clone)]
pub enum StartTime {
    Now,
    At(Expr),
}

/// An arm and its weight, any scale.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Arm {
    pub name: String,
    pub weight: f64,
}

/// What a metric is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MetricRole {
    /// What the experiment is to improve.
    Primary,
    /// Reported, decides nothing.
    Secondary,
    /// What must not get worse by more than its maximal regression.
    Guardrail,
}

/// A metric of an experiment: a sum per unit, or a ratio of sums.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Metric {
    pub role: MetricRole,
    pub name: String,
    /// An expression over rows.
    pub value: String,
    /// What its sum is divided by.
    pub divisor: Option<String>,
    #[serde(default)]
    pub lower_is_better: bool,
    /// How much worse a guardrail may be.
    #[serde(default)]
    pub max_regression: f64,
    /// It is a share of control's mean.
    #[serde(default)]
    pub relative: bool,
}

impl MetricRole {
    pub fn name(self) -> &'static str {
        match self {
            Self::Primary => "primary",
            Self::Secondary => "secondary",
            Self::Guardrail => "guardrail",
        }
    }
}

impl Metric {
    /// A metric of a report, as its text says it: a ratio if it is a quotient.
    ///
    /// # Errors
    /// 42601 for what is no expression, 22023 for quotients of quotients.
    pub fn read(text: &str) -> Result<Self> {
        let expression = parse_expression(text).map_err(|error| {
            Error::new("42601", format!("the metric '{text}' is no expression"))
                .with_detail(error.to_string())
                .with_hint("Write a column, an expression, or a ratio: 'clicks/impressions'.")
        })?;
        let is_quotient = |expression: &Expr| {
            matches!(expression, Expr::BinaryOp { op: BinaryOperator::Divide, .. })
        };
        if let Expr::BinaryOp { left, op: BinaryOperator::Divide, right } = &expression
            && (is_quotient(left) || is_quotient(right))
        {
            let message = format!("the metric '{text}' is more than one quotient");
            return Err(Error::new("22023", message).with_hint(
                "A ratio is the sum of one thing over the sum of another: put what is computed of \
                 each row in parentheses, (a / b) / c.",
            ));
        }
        let (value, divisor) = quotient(expression);
        Ok(Self {
            role: MetricRole::Secondary,
            name: text.to_owned(),
            value,
            divisor,
            lower_is_better: false,
            max_regression: 0.0,
            relative: false,
        })
    }
}

/// The statement at the parser's position, if it is one of these; else the position is kept.
pub(super) fn parse(parser: &mut Parser) -> Result<Option<OfExperiment>, ParserError> {
    if words(parser, &["CREATE", "EXPERIMENT"]) {
        let create = create(parser)?;
        return Ok(Some(OfExperiment::Create(Box::new(create))));
    }
    if words(parser, &["ALTER", "EXPERIMENT"]) {
        let name = parser.parse_object_name(false)?;
        return Ok(Some(OfExperiment::Alter { name, change: change(parser)? }));
    }
    if words(parser, &["DROP", "EXPERIMENT"]) {
        let if_exists = words(parser, &["IF", "EXISTS"]);
        let names = parser.parse_comma_separated(|p| p.parse_object_name(false))?;
        let _ = words(parser, &["RESTRICT"]);
        return Ok(Some(OfExperiment::Drop { names, if_exists }));
    }
    if words(parser, &["COMMENT", "ON", "EXPERIMENT"]) {
        let name = parser.parse_object_name(false)?;
        return Ok(Some(OfExperiment::Comment { name, comment: comment(parser)? }));
    }
    Ok(None)
}

fn create(parser: &mut Parser) -> Result<CreateExperiment, ParserError> {
    let if_not_exists = words(parser, &["IF", "NOT", "EXISTS"]);
    let name = parser.parse_object_name(false)?;
    let (mut unit, mut arms, mut layer, mut holdout) = (None, None, None, None);
    let (mut salt, mut ramp, mut metrics, mut start) = (None, None, None, None);
    loop {
        if unit.is_none() && words(parser, &["UNIT"]) {
            unit = Some(parser.parse_identifier()?);
        } else if arms.is_none() && words(parser, &["ARMS"]) {
            arms = Some(parenthesised(parser, arm)?);
        } else if layer.is_none() && words(parser, &["LAYER"]) {
            let name = parser.parse_identifier()?;
            let share = matches!(parser.peek_token().token, Token::Number(..));
            layer = Some((name, share.then(|| percent(parser)).transpose()?));
        } else if holdout.is_none() && words(parser, &["HOLDOUT"]) {
            holdout = Some(percent(parser)?);
        } else if salt.is_none() && words(parser, &["SALT"]) {
            salt = Some(parser.parse_literal_string()?);
        } else if ramp.is_none() && words(parser, &["RAMP"]) {
            let _ = words(parser, &["TO"]);
            ramp = Some(percent(parser)?);
        } else if metrics.is_none() && words(parser, &["METRICS"]) {
            metrics = Some(parenthesised(parser, metric)?);
        } else if start.is_none() && words(parser, &["START"]) {
            start = Some(self::start(parser)?);
        } else {
            break;
        }
    }
    let (Some(unit), Some(arms), true) = (unit, arms, ends(parser)) else {
        let expected = "UNIT, ARMS, LAYER, HOLDOUT, SALT, RAMP, METRICS or START";
        return parser.expected(expected, parser.peek_token());
    };
    let (holdout, metrics) = (holdout.unwrap_or(0.0), metrics.unwrap_or_default());
    let create = CreateExperiment {
        name,
        if_not_exists,
        unit,
        arms,
        layer,
        holdout,
        salt,
        ramp,
        metrics,
        start,
    };
    Ok(create)
}

fn ends(parser: &Parser) -> bool {
    matches!(parser.peek_token().token, Token::EOF | Token::SemiColon)
}

fn change(parser: &mut Parser) -> Result<ExperimentChange, ParserError> {
    if words(parser, &["RAMP"]) {
        let _ = words(parser, &["TO"]);
        return percent(parser).map(ExperimentChange::Ramp);
    }
    if words(parser, &["START"]) {
        return start(parser).map(ExperimentChange::Start);
    }
    if words(parser, &["STOP", "IF", "BREACHED", "IN"]) {
        let rows = parser.parse_literal_string()?;
        let alpha = words(parser, &["ALPHA"]).then(|| number(parser)).transpose()?;
        return Ok(ExperimentChange::StopIfBreached { rows, alpha });
    }
    if words(parser, &["STOP"]) {
        let reason = words(parser, &["REASON"]).then(|| parser.parse_literal_string());
        return Ok(ExperimentChange::Stop { reason: reason.transpose()? });
    }
    if words(parser, &["SHIP"]) {
        return parser.parse_identifier().map(ExperimentChange::Ship);
    }
    if words(parser, &["RENAME", "TO"]) {
        return parser.parse_identifier().map(ExperimentChange::Rename);
    }
    let expected = "RAMP TO n PERCENT, START, STOP, STOP IF BREACHED IN, SHIP or RENAME TO";
    parser.expected(expected, parser.peek_token())
}

fn start(parser: &mut Parser) -> Result<StartTime, ParserError> {
    let is_call = parser.peek_nth_token(1).token == Token::LParen;
    if (!is_call && words(parser, &["NOW"])) || ends(parser) || begins_clause(parser) {
        return Ok(StartTime::Now);
    }
    parser.parse_expr().map(StartTime::At)
}

/// `START` may stand alone before another clause.
fn begins_clause(parser: &Parser) -> bool {
    let clauses = ["UNIT", "ARMS", "LAYER", "HOLDOUT", "SALT", "RAMP", "METRICS"];
    clauses.iter().any(|word| peek_words(parser, &[word]))
}

fn arm(parser: &mut Parser) -> Result<Arm, ParserError> {
    let name = folded(&parser.parse_identifier()?);
    let weight = match parser.peek_token().token {
        Token::Number(..) => number(parser)?,
        _ => 1.0,
    };
    Ok(Arm { name, weight })
}

fn metric(parser: &mut Parser) -> Result<Metric, ParserError> {
    let place = parser.peek_token();
    let roles = [MetricRole::Primary, MetricRole::Secondary, MetricRole::Guardrail];
    let role = roles.into_iter().find(|role| words(parser, &[role.name()]));
    let Some(role) = role else {
        return parser.expected("PRIMARY, SECONDARY or GUARDRAIL", place);
    };
    let expression = parser.parse_expr()?;
    let named = words(parser, &["AS"]).then(|| parser.parse_identifier()).transpose()?;
    let lower_is_better = words(parser, &["LOWER", "IS", "BETTER"]);
    let _ = !lower_is_better && words(parser, &["HIGHER", "IS", "BETTER"]);
    let is_guardrail = role == MetricRole::Guardrail;
    let (mut max_regression, mut relative) = (0.0, false);
    if is_guardrail {
        if !words(parser, &["MAX", "REGRESSION"]) {
            let expected = "MAX REGRESSION n [PERCENT], how much worse a guardrail may be";
            return parser.expected(expected, parser.peek_token());
        }
        relative = matches!(parser.peek_nth_token(1).token, Token::Word(word)
            if word.value.eq_ignore_ascii_case("PERCENT"));
        max_regression = if relative { percent(parser)? } else { number(parser)? };
    }
    let name = named.map_or_else(|| expression.to_string(), |name| folded(&name));
    let (value, divisor) = quotient(expression);
    Ok(Metric { role, name, value, divisor, lower_is_better, max_regression, relative })
}

/// What is summed up, and what its sum is divided by.
fn quotient(expression: Expr) -> (String, Option<String>) {
    match expression {
        Expr::BinaryOp { left, op: BinaryOperator::Divide, right } => {
            (left.to_string(), Some(right.to_string()))
        }
        whole => (whole.to_string(), None),
    }
}

/// A number that is not negative.
fn number(parser: &mut Parser) -> Result<f64, ParserError> {
    scaled(parser, "")
}

/// `n PERCENT`, as a share.
fn percent(parser: &mut Parser) -> Result<f64, ParserError> {
    // Read as a decimal, 33.3 percent is the same number as 0.333.
    let share = scaled(parser, "e-2")?;
    match words(parser, &["PERCENT"]) {
        true => Ok(share),
        false => parser.expected("PERCENT", parser.peek_token()),
    }
}

fn scaled(parser: &mut Parser, exponent: &str) -> Result<f64, ParserError> {
    let token = parser.next_token();
    let number = match &token.token {
        Token::Number(text, _) => format!("{text}{exponent}").parse().ok(),
        _ => None,
    };
    match number.filter(|number: &f64| number.is_finite()) {
        Some(number) => Ok(number),
        None => parser.expected("a number", token),
    }
}

/// What METRICS may hold between its parentheses.
///
/// # Errors
/// 42601 where it is not that.
pub(crate) fn metrics(text: &str) -> Result<Vec<Metric>> {
    listed(text, metric)
}

/// What ARMS may hold between its parentheses.
///
/// # Errors
/// 42601 where it is not that.
pub(crate) fn arms(text: &str) -> Result<Vec<Arm>> {
    listed(text, arm)
}

fn listed<T>(
    text: &str,
    item: impl FnMut(&mut Parser) -> Result<T, ParserError>,
) -> Result<Vec<T>> {
    let list = |text: &str| {
        let mut parser = Parser::new(&super::SextantDialect).try_with_sql(text)?;
        let items = parser.parse_comma_separated(item)?;
        parser.expect_token(&Token::EOF)?;
        Ok(items)
    };
    list(text).map_err(|error: ParserError| {
        let error = error.to_string();
        let reason = error.trim_start_matches("sql parser error: ");
        Error::new("42601", format!("syntax error in '{text}'")).with_detail(reason)
    })
}

#[cfg(test)]
mod tests {
    use super::super::{Own, Parsed, parse as statements};
    use super::*;

    fn one(text: &str) -> OfExperiment {
        let mut found = statements(text).unwrap();
        match found.pop().map(|statement| statement.parsed) {
            Some(Parsed::Own(own)) => match own.as_ref() {
                Own::Experiments(of) => of.clone(),
                other => panic!("{other:?}"),
            },
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn an_experiment_has_its_clauses() {
        let OfExperiment::Create(create) = one(
            "create experiment s.e arms (control 50, \"New\" 50.5) unit user_id layer l 30 \
             percent holdout 1 percent metrics (primary revenue, guardrail sum_ms / calls as ms \
             lower is better max regression 2.5 percent, guardrail errors lower is better max \
             regression 0.1, secondary coalesce(a / b, 0)) start '2026-01-01' ramp to 33.3 percent",
        ) else {
            panic!()
        };
        assert_eq!(create.arms[1], Arm { name: "New".into(), weight: 50.5 });
        assert_eq!((create.holdout, create.ramp), (0.01, Some(0.333)));
        assert_eq!(create.layer.as_ref().and_then(|layer| layer.1), Some(0.3));
        assert!(matches!(create.start, Some(StartTime::At(_))));
        let [revenue, ms, errors, last] = create.metrics.as_slice() else { panic!() };
        assert!(revenue.role == MetricRole::Primary && !revenue.lower_is_better);
        assert_eq!((ms.name.as_str(), ms.divisor.as_deref()), ("ms", Some("calls")));
        assert_eq!((ms.max_regression, ms.relative), (0.025, true));
        assert_eq!((errors.max_regression, errors.relative), (0.1, false));
        assert_eq!((last.value.as_str(), &last.divisor), ("coalesce(a / b, 0)", &None));
    }

    #[test]
    fn changes_are_told_apart() {
        let change = |text: &str| match one(&format!("alter experiment e {text}")) {
            OfExperiment::Alter { change, .. } => change,
            other => panic!("{other:?}"),
        };
        assert!(matches!(change("ramp to 10 percent"), ExperimentChange::Ramp(0.1)));
        assert!(matches!(change("start"), ExperimentChange::Start(StartTime::Now)));
        assert!(matches!(change("start now"), ExperimentChange::Start(StartTime::Now)));
        assert!(matches!(change("start now()"), ExperimentChange::Start(StartTime::At(_))));
        assert!(matches!(change("stop"), ExperimentChange::Stop { reason: None }));
        assert!(matches!(change("stop reason 'slow'"), ExperimentChange::Stop { reason: Some(_) }));
        assert!(matches!(change("ship b"), ExperimentChange::Ship(_)));
        assert!(matches!(change("rename to f"), ExperimentChange::Rename(_)));
        let breached = change("stop if breached in 'select 1' alpha 0.01");
        assert!(matches!(breached, ExperimentChange::StopIfBreached { alpha: Some(0.01), .. }));
        for wrong in [
            "create experiment e unit u",
            "create experiment e arms (a, b)",
            "create experiment e unit u arms (a -1, b)",
            "create experiment e unit u arms (a, b) ramp to 10",
            "create experiment e unit u arms (a, b) metrics (revenue)",
            "create experiment e unit u arms (a, b) metrics (guardrail ms)",
            "create experiment e unit u unit v arms (a, b)",
            "alter experiment e ramp to -5 percent",
            "alter experiment e rest",
        ] {
            assert!(statements(wrong).is_err(), "{wrong}");
        }
    }
}
