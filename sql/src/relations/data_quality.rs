//! `data_quality(table [, rules => …, columns => …])`: counts of every column and violations of
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
use super::described::{Class, Described};
use crate::error::{Error, Result};
use crate::functions::literal;
use crate::names::folded;
use crate::parse::parse_expression;

pub(super) const ARGUMENTS: &[&str] = &["table", "rules", "columns"];

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
    let (listed, rules) = (arguments.texts("columns")?, arguments.texts("rules")?);
    let all = arguments.described("table")?;
    let columns: Vec<Described> = match listed.is_empty() && rules.is_empty() {
        true => all.to_vec(),
        false => listed.iter().map(|text| Described::listed(text, all)).collect(),
    };
    if columns.is_empty() && rules.is_empty() {
        return Err(Error::new("22023", "data_quality needs columns or rules")
            .with_hint("Write columns => ARRAY['age'], rules => ARRAY['age >= 0']."));
    }
    let mut rows: Vec<Row> = columns.iter().map(of_column).collect();
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

fn of_column(column: &Described) -> Row {
    let of = &column.expression;
    // Arrays, vectors and rows may be large, and are only counted.
    let has_order = column.class != Class::Other;
    let text = |what: &str| match has_order {
        true => format!("{what}({of})::text"),
        false => NO_TEXT.to_owned(),
    };
    Row {
        column: literal(&column.name),
        rule: NO_TEXT.into(),
        nulls: format!("count(*) - count({of})"),
        nans: match column.class {
            Class::Number | Class::Unknown => {
                format!("count(*) FILTER (WHERE ({of})::text = 'NaN')")
            }
            _ => "0::bigint".to_owned(),
        },
        distinct: match has_order {
            true => format!("count(DISTINCT {of})"),
            false => NO_COUNT.to_owned(),
        },
        min: text("min"),
        max: text("max"),
        violations: NO_COUNT.into(),
    }
}

fn of_rule(rule: &str, arguments: &Arguments) -> Result<Row> {
    let parsed = parse_expression(rule)?;
    let windows = visit_expressions(&parsed, |inner| match inner {
        Expr::Function(function) if function.over.is_some() => ControlFlow::Break(()),
        _ => ControlFlow::Continue(()),
    });
    if windows.is_break() {
        return Err(Error::new("22023", format!("rule {rule} has a window"))
            .with_hint("Rules are conditions of a row, or of the whole with aggregates."));
    }
    let (nulls, violations) = if let Some(columns) = unique(&parsed)? {
        let all: Vec<String> =
            columns.iter().map(|column| format!("({column}) IS NOT NULL")).collect();
        let all = all.join(" AND ");
        (
            format!("count(*) FILTER (WHERE NOT ({all}))"),
            format!(
                "count(*) FILTER (WHERE {all}) - count(DISTINCT {}) FILTER (WHERE {all})",
                one_value(&columns)
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

/// Several columns as one value, which is another for other values: texts with their lengths.
fn one_value(columns: &[String]) -> String {
    match columns {
        [column] => column.clone(),
        columns => {
            let part = |column: &String| {
                format!("length(({column})::text)::text || ':' || ({column})::text")
            };
            columns.iter().map(part).collect::<Vec<_>>().join(" || ")
        }
    }
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
                && (!function.within_group.is_empty()
                    || is_named(function, |name| arguments.aggregates.contains(name))) =>
        {
            ControlFlow::Break(())
        }
        _ => ControlFlow::Continue(()),
    });
    found.is_break()
}
