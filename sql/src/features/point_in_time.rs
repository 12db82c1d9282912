//! The point-in-time rule as an AS OF join: what a feature view adds to "the latest row before".
//!
//! Inside views times are UTC, whatever the session's zone: a timestamp without zone is read as
//! UTC, a date as its midnight. DELAY moves the rows: `ts + delay <= t` and `ts >= t - ttl` are
//! `s <= t` and `s >= t - (ttl - delay)` for `s = ts + delay`.

use datafusion::arrow::datatypes::{DataType, IntervalMonthDayNano, TimeUnit};
use datafusion::common::{DFSchema, ExprSchema as _, ScalarValue};
use datafusion::logical_expr::expr::BinaryExpr;
use datafusion::logical_expr::{
    Expr, ExprSchemable, LogicalPlan, LogicalPlanBuilder, Operator, cast, lit,
};

use super::Version;
use crate::asof::{self, Kind};
use crate::error::{Error, Result};

/// Which rows a label may take.
pub(crate) struct Terms<'a> {
    pub version: &'a Version,
    /// Of the label, one for each key of the view.
    pub keys: Vec<Expr>,
    pub label_time: Expr,
    pub kind: Kind,
    /// `ts + delay < t`.
    pub strict: bool,
    pub known: Option<Known>,
}

/// Rows that were not known are left out.
#[derive(Debug, Clone)]
pub(crate) enum Known {
    /// At the label's time.
    AtLabel,
    /// At one time for all.
    Until(ScalarValue),
}

/// `labels` joined with the rows of a feature view, whose columns have the qualifier `name`.
pub(crate) fn join(
    labels: LogicalPlan,
    rows: LogicalPlan,
    name: &str,
    terms: Terms<'_>,
) -> Result<LogicalPlan> {
    let version = terms.version;
    let column = |column: &str| Expr::Column(datafusion::common::Column::new(Some(name), column));
    let label_time = utc(terms.label_time, labels.schema(), "label time")?;
    let mut timestamp = utc(column(&version.timestamp), rows.schema(), "TIMESTAMP")?;
    if version.delay_us > 0 {
        timestamp = binary(timestamp, Operator::Plus, interval(version.delay_us));
    }
    let created = match &version.created {
        Some(created) => Some(utc(column(created), rows.schema(), "CREATED")?),
        None => None,
    };
    let mut rows = LogicalPlanBuilder::from(rows);
    let mut at_label = false;
    match (&terms.known, &created) {
        (None, _) => {}
        (Some(_), None) => {
            return Err(Error::new("22023", "known => … needs a CREATED column in every view")
                .with_hint("CREATE FEATURE VIEW … CREATED column says when a row became known."));
        }
        (Some(Known::AtLabel), Some(_)) => at_label = true,
        (Some(Known::Until(time)), Some(created)) => {
            rows = rows.filter(binary(created.clone(), Operator::LtEq, lit(time.clone())))?;
        }
    }
    let left_us = version.ttl_us.map(|ttl| ttl - version.delay_us);
    if left_us.is_some_and(|left| left < 0) {
        // Too old before it is known.
        rows = rows.filter(lit(false))?;
    }
    let operator = if terms.strict { Operator::Gt } else { Operator::GtEq };
    let keys = terms.keys.into_iter().zip(&version.key);
    let keys = keys.map(|(label, key)| binary(label, Operator::Eq, column(key))).collect();
    let joined = asof::Joined {
        kind: terms.kind,
        keys,
        time: binary(label_time, operator, timestamp),
        created,
        known_at_label: at_label,
        tolerance: left_us.filter(|left| *left >= 0).map(interval),
    };
    Ok(asof::joined(labels, rows.build()?, joined)?)
}

fn binary(left: Expr, op: Operator, right: Expr) -> Expr {
    Expr::BinaryExpr(BinaryExpr::new(Box::new(left), op, Box::new(right)))
}

fn interval(us: i64) -> Expr {
    lit(ScalarValue::IntervalMonthDayNano(Some(IntervalMonthDayNano::new(0, 0, us * 1_000))))
}

/// A time as a moment.
fn utc(time: Expr, schema: &DFSchema, what: &str) -> Result<Expr> {
    let of = time.get_type(schema)?;
    let unit = match &of {
        DataType::Timestamp(unit, Some(_)) if *unit >= TimeUnit::Microsecond => return Ok(time),
        DataType::Timestamp(TimeUnit::Nanosecond, _) => TimeUnit::Nanosecond,
        DataType::Timestamp(..) | DataType::Date32 | DataType::Date64 => TimeUnit::Microsecond,
        _ => {
            let field = datafusion::arrow::datatypes::Field::new("", of, true);
            let of = crate::types::describe(&field).data_type;
            let message = format!("the {what} is of type {of}, not a timestamp or date");
            return Err(Error::new("42804", message));
        }
    };
    let zoneless = DataType::Timestamp(unit, None);
    let time = if of == zoneless { time } else { cast(time, zoneless) };
    Ok(cast(time, DataType::Timestamp(unit, Some("UTC".into()))))
}
