//! The point-in-time rule as an AS OF join: what a feature view adds to "the latest row before".
//!
//! Inside views times are UTC, whatever the session's zone: a timestamp without zone is read as
//! UTC, a date as its midnight.

use datafusion::arrow::datatypes::{DataType, Field, IntervalMonthDayNano, TimeUnit};
use datafusion::common::{DFSchema, ScalarValue};
use datafusion::logical_expr::expr::BinaryExpr;
use datafusion::logical_expr::{
    Expr, ExprSchemable, LogicalPlan, LogicalPlanBuilder, Operator, cast, lit,
};

use super::Version;
use crate::asof::{self, Kind, On, WindowFeature};
use crate::error::{Error, Result};
use crate::functions::timezone;
use crate::types;

/// Rows that were not known are left out.
#[derive(Debug, Clone)]
pub(crate) enum Known {
    /// At the label's time.
    AtLabel,
    /// At one time for all.
    Until(ScalarValue),
}

/// Which row of a feature view a label takes.
pub(crate) struct Taking<'a> {
    pub version: &'a Version,
    pub kind: Kind,
    /// `label = row` of each key.
    pub keys: Vec<Expr>,
    pub label_time: Expr,
    /// `ts + delay < t`.
    pub strict: bool,
    pub known: Option<&'a Known>,
    /// What windows of the rows tell.
    pub features: Vec<WindowFeature>,
    /// A training set keeps the order of its labels and, without `known`, tells the statement how
    /// many matches were not yet known.
    pub of_training_set: bool,
}

/// Labels with the rows of a feature view.
pub(crate) fn join(
    labels: LogicalPlan,
    rows: LogicalPlan,
    taking: Taking<'_>,
) -> Result<LogicalPlan> {
    let version = taking.version;
    let mut on = limits(version, rows.schema())?;
    let label_time = (taking.label_time, labels.schema().as_ref());
    on.keys = taking.keys;
    on.features = taking.features;
    on.keeps_order = taking.of_training_set;
    on.time = Some(time(version, label_time, rows.schema(), taking.strict)?);
    let mut rows = LogicalPlanBuilder::from(rows);
    match (taking.known, &on.created) {
        (None, _) if taking.of_training_set => on.known = asof::Known::Counted,
        (None, _) => {}
        (Some(_), None) => {
            return Err(Error::new("22023", "known => … needs a CREATED column in every view")
                .with_hint("CREATE FEATURE VIEW … CREATED column says when a row became known."));
        }
        (Some(Known::AtLabel), Some(_)) => on.known = asof::Known::Required,
        (Some(Known::Until(time)), Some(created)) => {
            rows = rows.filter(binary(created.clone(), Operator::LtEq, lit(time.clone())))?;
        }
    }
    Ok(asof::join((labels, rows.build()?), (taking.kind, false), on)?)
}

/// The comparison of a label's time, over `labels`, with the view's.
pub(crate) fn time(
    version: &Version,
    (label_time, labels): (Expr, &DFSchema),
    rows: &DFSchema,
    strict: bool,
) -> Result<Expr> {
    let label_time = utc(label_time, labels, "label time")?;
    let timestamp = utc(column(rows, &version.timestamp)?, rows, "TIMESTAMP")?;
    let operator = if strict { Operator::Gt } else { Operator::GtEq };
    Ok(binary(label_time, operator, timestamp))
}

/// What a feature view asks of any join with its rows: TTL, DELAY, and of rows of one time the one
/// that became known last.
pub(crate) fn limits(version: &Version, rows: &DFSchema) -> Result<On> {
    let created = match &version.created {
        Some(created) => Some(utc(column(rows, created)?, rows, "CREATED")?),
        None => None,
    };
    Ok(On {
        created,
        delay: (version.delay_us > 0).then(|| interval(version.delay_us)),
        tolerance: version.ttl_us.map(interval),
        ..On::default()
    })
}

/// The column of this name.
pub(crate) fn column(schema: &DFSchema, name: &str) -> Result<Expr> {
    let found = schema.columns().into_iter().find(|column| column.name == name);
    found.map(Expr::Column).ok_or_else(|| {
        Error::new("42703", format!("column \"{name}\" of the feature view does not exist"))
    })
}

pub(crate) fn binary(left: Expr, op: Operator, right: Expr) -> Expr {
    Expr::BinaryExpr(BinaryExpr::new(Box::new(left), op, Box::new(right)))
}

fn interval(us: i64) -> Expr {
    let nanos = us.saturating_mul(1_000);
    lit(ScalarValue::IntervalMonthDayNano(Some(IntervalMonthDayNano::new(0, 0, nanos))))
}

/// A time as a moment.
pub(super) fn utc(time: Expr, schema: &DFSchema, what: &str) -> Result<Expr> {
    let of = time.get_type(schema)?;
    let unit = match &of {
        DataType::Timestamp(TimeUnit::Microsecond | TimeUnit::Nanosecond, Some(_)) => {
            return Ok(time);
        }
        DataType::Timestamp(TimeUnit::Nanosecond, _) => TimeUnit::Nanosecond,
        DataType::Timestamp(..) | DataType::Date32 | DataType::Date64 => TimeUnit::Microsecond,
        _ => {
            let of = types::describe(&Field::new("", of, true)).data_type;
            let message = format!("the {what} is of type {of}, not a timestamp or date");
            return Err(Error::new("42804", message));
        }
    };
    let moment = DataType::Timestamp(unit, Some("UTC".into()));
    Ok(match &of {
        // A moment already, in a unit to be widened.
        DataType::Timestamp(_, Some(_)) => cast(time, moment),
        // A cast would be of the session's zone.
        _ => timezone().call(vec![lit("UTC"), time]),
    })
}
