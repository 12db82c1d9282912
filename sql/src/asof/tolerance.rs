//! `TOLERANCE x`: the oldest and the newest time that a label's match may have.

use chrono::{DateTime, Months, NaiveDateTime, TimeDelta};
use datafusion::arrow::datatypes::DataType;
use datafusion::common::ScalarValue;
use kernels::asof::{Axis, time_of_float};

use super::times;
use crate::error::Error;
use crate::features::duration_text;

const DAY_NANOS: i128 = 86_400_000_000_000;

/// A distance on the axis of the times.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tolerance {
    Ticks(i64),
    /// Of the calendar, and so many nanoseconds; ticks have `tick_nanos` of them.
    Months {
        months: u32,
        nanos: i64,
        tick_nanos: i64,
    },
}

impl Tolerance {
    /// Of a constant, over times of a type. Errors: NULL, negative, another kind of type.
    pub fn new(value: &ScalarValue, of: &DataType) -> Result<Self, Error> {
        if value.is_null() {
            return Err(Error::new("22004", "TOLERANCE must not be NULL"));
        }
        let found = match (times::tick_nanos(of), value) {
            (Some(tick), ScalarValue::IntervalMonthDayNano(Some(by))) => {
                Self::interval(by.months, i128::from(by.days), i128::from(by.nanoseconds), tick)
            }
            (Some(tick), ScalarValue::IntervalDayTime(Some(by))) => {
                let nanos = i128::from(by.milliseconds) * 1_000_000;
                Self::interval(0, i128::from(by.days), nanos, tick)
            }
            (Some(tick), ScalarValue::IntervalYearMonth(Some(months))) => {
                Self::interval(*months, 0, 0, tick)
            }
            (None, value) if value.data_type().is_numeric() => Self::number(value, of),
            _ => return Err(wrong_type(value, of)),
        };
        found.ok_or_else(|| {
            Error::new("22023", "TOLERANCE must not be negative")
                .with_hint("It is how far a match may be from the label, at most.")
        })
    }

    /// None if it is negative. What is left of a tick is less than one: no two times are so near.
    fn interval(months: i32, days: i128, nanos: i128, tick_nanos: i64) -> Option<Self> {
        let nanos = days * DAY_NANOS + nanos;
        if nanos < 0 || months < 0 {
            return None;
        }
        let clamp = |value: i128| i64::try_from(value).unwrap_or(i64::MAX);
        match u32::try_from(months) {
            Ok(months @ 1..) => Some(Self::Months { months, nanos: clamp(nanos), tick_nanos }),
            _ => Some(Self::Ticks(clamp(nanos / i128::from(tick_nanos)))),
        }
    }

    fn number(value: &ScalarValue, of: &DataType) -> Option<Self> {
        let ScalarValue::Float64(Some(number)) = value.cast_to(&DataType::Float64).ok()? else {
            return None;
        };
        if number < 0.0 || number.is_nan() {
            return None;
        }
        if of.is_floating() {
            return Some(Self::Ticks(time_of_float(number)));
        }
        // An integer keeps all its digits; a fraction of one is of no use between integers.
        let scale = match of {
            DataType::Decimal128(_, scale) => *scale,
            _ => 0,
        };
        let exact = value.cast_to(&DataType::Decimal128(38, scale)).ok();
        let exact = exact.filter(|_| scale > 0 || number.fract() == 0.0);
        let ticks = match exact {
            Some(ScalarValue::Decimal128(Some(digits), ..)) => {
                i64::try_from(digits).unwrap_or(i64::MAX)
            }
            // As far as the axis goes.
            _ => number.floor() as i64,
        };
        Some(Self::Ticks(ticks))
    }

    /// As a user would write it, over times of a type.
    pub fn shown(self, of: &DataType) -> String {
        match self {
            Self::Ticks(ticks) => times::span(ticks, of),
            Self::Months { months, nanos, .. } => {
                format!("{months} mons {}", duration_text(nanos / 1_000))
            }
        }
    }

    /// The oldest and newest time for a label's time, as far as the axis goes.
    pub fn bounds(self, t: i64, axis: Axis) -> (i64, i64) {
        match self {
            Self::Ticks(by) => (axis.before(t, by), axis.after(t, by)),
            Self::Months { months, nanos, tick_nanos } => {
                let moved = |forward| shifted(t, months, nanos, tick_nanos, forward);
                (moved(false).unwrap_or(i64::MIN), moved(true).unwrap_or(i64::MAX))
            }
        }
    }
}

/// A time moved by the calendar; None beyond it.
fn shifted(t: i64, months: u32, nanos: i64, tick_nanos: i64, forward: bool) -> Option<i64> {
    let total = i128::from(t) * i128::from(tick_nanos);
    let seconds = i64::try_from(total.div_euclid(1_000_000_000)).ok()?;
    let rest = u32::try_from(total.rem_euclid(1_000_000_000)).ok()?;
    let at: NaiveDateTime = DateTime::from_timestamp(seconds, rest)?.naive_utc();
    let by = Months::new(months);
    let at = if forward { at.checked_add_months(by)? } else { at.checked_sub_months(by)? };
    let delta = TimeDelta::nanoseconds(nanos);
    let at = if forward { at.checked_add_signed(delta)? } else { at.checked_sub_signed(delta)? };
    let at = at.and_utc();
    let nanos =
        i128::from(at.timestamp()) * 1_000_000_000 + i128::from(at.timestamp_subsec_nanos());
    // Toward the label: a match lies on a whole tick.
    let floor = nanos.div_euclid(i128::from(tick_nanos));
    let exact = nanos.rem_euclid(i128::from(tick_nanos)) == 0;
    i64::try_from(if forward || exact { floor } else { floor + 1 }).ok()
}

fn wrong_type(value: &ScalarValue, of: &DataType) -> Error {
    let name = |data_type: &DataType| {
        let field = datafusion::arrow::datatypes::Field::new("", data_type.clone(), true);
        crate::types::describe(&field).data_type
    };
    let message = format!(
        "TOLERANCE of type {} does not fit times of type {}",
        name(&value.data_type()),
        name(of)
    );
    let hint = match times::tick_nanos(of) {
        Some(_) => "Write an interval, such as TOLERANCE INTERVAL '1 hour'.",
        None => "Write a number, such as TOLERANCE 10.",
    };
    Error::new("42804", message).with_hint(hint)
}
