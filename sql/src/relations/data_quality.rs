//! `data_quality(table [, columns => …, rules => …])`: counts of every column and violations of
//! every rule.
//!
//! One scan. A rule is a condition that every row must hold; NULL breaks none, as in CHECK.

use super::arguments::Arguments;
use crate::error::{Error, Result};
use crate::functions::literal;

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
    let rows: Vec<Row> =
        columns.iter().map(|c| of_column(c)).chain(rules.iter().map(|r| of_rule(r))).collect();
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

fn of_rule(condition: &str) -> Row {
    Row {
        column: NO_TEXT.into(),
        rule: literal(condition),
        nulls: format!("count(*) FILTER (WHERE ({condition}) IS NULL)"),
        nans: NO_COUNT.into(),
        distinct: NO_COUNT.into(),
        min: NO_TEXT.into(),
        max: NO_TEXT.into(),
        violations: format!("count(*) FILTER (WHERE NOT ({condition}))"),
    }
}
