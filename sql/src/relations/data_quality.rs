//! `data_quality(table [, columns => …, rules => …])`: counts of every column and violations of
//! every rule.
//!
//! One scan. A rule is one of
//!
//! ```text
//!   age BETWEEN 0 AND 120                 every row must hold it; NULL breaks none, as in CHECK
//!   unique(user_id, day)                  no two rows are alike; NULL is like no other
//!   max(at) > now() - interval '1 day'    with an aggregate, the whole must hold it: freshness,
//!   count(*) >= 1000                      row counts, null rates; NULL breaks it
//! ```

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    Expr, Function, FunctionArg, FunctionArgExpr, FunctionArguments, visit_expressions,
};

use super::arguments::Arguments;
use crate::error::{Error, Result};
use crate::functions::literal;
use crate::names::folded;
use crate::parse::parse_expression;

pub(super) const ARGUMENTS: &[&str] = &["table", "columns", "rules"];

const NO_TEXT: &str = "NULL::text";
const NO_COUNT: &str = "NULL::bigint";

/// Fields of a row: name, and value of a column and of a rule.
struct Row {
    column: String,
    rule: String,
    nulls: String,
    nans: String,
    distinct: String,
    min: String,
    max: String,
    violations: String,
}

/// The query.
pub(super) fn query(arguments: &Arguments) -> Result<String> {
    let (mut columns, rules) = (arguments.texts("columns")?, arguments.texts("rules")?);
    if columns.is_empty() && rules.is_empty() {
        columns.extend(arguments.described("table")?.iter().map(|column| column.0.clone()));
    }
    if columns.is_empty() && rules.is_empty() {
        return Err(Error::new("22023", "data_quality needs columns or rules")
            .with_hint("Write columns => ARRAY['age'], rules => ARRAY['age >= 0']."));
    }
    let mut rows: Vec<Row> = columns.iter().map(|column| of_column(column)).collect();
    for rule in &rules {
        rows.push(of_rule(rule, arguments)?);
    }
    let list = |field: &dyn Fn(&Row) -> &str| {
        let items: Vec<&str> = rows.iter().map(field).collect();
        format!("unnest(ARRAY[{}])", items.join(", "))
    };
    let lists = [
        ("column_name", list(&|row| &row.column)),
        ("rule", list(&|row| &row.rule)),
        ("null_count", list(&|row| &row.nulls)),
        ("nan_count", list(&|row| &row.nans)),
        ("distinct_count", list(&|row| &row.distinct)),
        ("min", list(&|row| &row.min)),
        ("max", list(&|row| &row.max)),
        ("violations", list(&|row| &row.violations)),
    ];
    let lists: Vec<String> = lists.iter().map(|(name, list)| format!("{list} AS {name}")).collect();
    Ok(format!(
        "SELECT column_name, rule, row_count, null_count, \
         null_count::float8 / nullif(row_count, 0) AS null_rate, nan_count, distinct_count, \
         min, max, violations, violations = 0 AS passed \
         FROM (SELECT count(*) AS row_count, {} FROM {}) AS s",
        lists.join(", "),
        arguments.relation("table")?,
    ))
}

fn of_column(name: &str) -> Row {
    Row {
        column: literal(name),
        rule: NO_TEXT.into(),
        nulls: format!("count(*) - count({name})"),
        nans: format!("count(*) FILTER (WHERE ({name})::text = 'NaN')"),
        distinct: format!("count(DISTINCT {name})"),
        min: format!("min({name})::text"),
        max: format!("max({name})::text"),
        violations: NO_COUNT.into(),
    }
}

fn of_rule(rule: &str, arguments: &Arguments) -> Result<Row> {
    let parsed = parse_expression(rule)?;
    let (nulls, violations) = if let Some(columns) = unique(&parsed)? {
        let all: Vec<String> =
            columns.iter().map(|column| format!("({column}) IS NOT NULL")).collect();
        let (all, row) = (all.join(" AND "), columns.join(", "));
        (
            format!("count(*) FILTER (WHERE NOT ({all}))"),
            format!(
                "count(*) FILTER (WHERE {all}) - count(DISTINCT ROW({row})) FILTER (WHERE {all})"
            ),
        )
    } else if has_aggregate(&parsed, arguments) {
        (NO_COUNT.to_owned(), format!("CASE WHEN ({rule}) THEN 0 ELSE 1 END::bigint"))
    } else {
        (
            format!("count(*) FILTER (WHERE ({rule}) IS NULL)"),
            format!("count(*) FILTER (WHERE NOT ({rule}))"),
        )
    };
    Ok(Row {
        column: NO_TEXT.into(),
        rule: literal(rule),
        nulls,
        nans: NO_COUNT.into(),
        distinct: NO_COUNT.into(),
        min: NO_TEXT.into(),
        max: NO_TEXT.into(),
        violations,
    })
}

fn is_named(function: &Function, name: impl Fn(&str) -> bool) -> bool {
    let last = function.name.0.last().and_then(|part| part.as_ident()).map(folded);
    last.is_some_and(|last| name(&last))
}

/// What `unique(…)` lists.
fn unique(rule: &Expr) -> Result<Option<Vec<String>>> {
    let Expr::Function(function) = rule else { return Ok(None) };
    if !is_named(function, |name| name == "unique") {
        return Ok(None);
    }
    let wrong = || {
        Error::new("22023", format!("rule {rule} lists no columns"))
            .with_hint("Write unique(user_id) or unique(user_id, day).")
    };
    let FunctionArguments::List(list) = &function.args else { return Err(wrong()) };
    let column = |argument: &FunctionArg| match argument {
        FunctionArg::Unnamed(FunctionArgExpr::Expr(column)) => Ok(column.to_string()),
        _ => Err(wrong()),
    };
    let columns = list.args.iter().map(column).collect::<Result<Vec<String>>>()?;
    if columns.is_empty() { Err(wrong()) } else { Ok(Some(columns)) }
}

fn has_aggregate(rule: &Expr, arguments: &Arguments) -> bool {
    let found = visit_expressions(rule, |inner| match inner {
        Expr::Function(function)
            if function.over.is_none()
                && is_named(function, |name| arguments.aggregates.contains(name)) =>
        {
            ControlFlow::Break(())
        }
        _ => ControlFlow::Continue(()),
    });
    found.is_break()
}
