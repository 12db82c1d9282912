//! `age`, `justify_days`, `justify_hours`, `justify_interval`, and how intervals compare: a month
//! is thirty days, a day twenty-four hours. NULL gives NULL.

use std::sync::Arc;

use chrono::{DateTime, Datelike, Months, NaiveDateTime};
use datafusion::arrow::array::{ArrayRef, AsArray, IntervalMonthDayNanoArray};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{
    DataType, DurationMicrosecondType, Int64Type, IntervalMonthDayNano, IntervalMonthDayNanoType,
    IntervalUnit, TimeUnit, TimestampMicrosecondType,
};
use datafusion::common::Result as EngineResult;
use datafusion::logical_expr::{
    ColumnarValue, Expr, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
    create_udf,
};

const INTERVAL: DataType = DataType::Interval(IntervalUnit::MonthDayNano);
const CLOCK: DataType = DataType::Timestamp(TimeUnit::Microsecond, None);
const DAY_NS: i64 = 86_400_000_000_000;
const DAY_US: i64 = 86_400_000_000;
const DAYS_PER_MONTH: i32 = 30;

/// `age(later, earlier)`: years, months, days and time between two clocks.
pub(super) fn age() -> ScalarUDF {
    ScalarUDF::from(Age { signature: Signature::any(2, Volatility::Immutable) })
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Age {
    signature: Signature,
}

impl ScalarUDFImpl for Age {
    fn name(&self) -> &str {
        "age"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> EngineResult<DataType> {
        Ok(INTERVAL)
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> EngineResult<ColumnarValue> {
        let arrays = ColumnarValue::values_to_arrays(&arguments.args)?;
        let clock = |array: &ArrayRef| cast(array, &CLOCK);
        let (later, earlier) = (clock(&arrays[0])?, clock(&arrays[1])?);
        let later = later.as_primitive::<TimestampMicrosecondType>();
        let pairs = later.iter().zip(earlier.as_primitive::<TimestampMicrosecondType>());
        let ages: IntervalMonthDayNanoArray =
            pairs.map(|(later, earlier)| symbolic(later?, earlier?)).collect();
        Ok(ColumnarValue::Array(Arc::new(ages)))
    }
}

/// The difference by the calendar, as Postgres' timestamp_age.
fn symbolic(later: i64, earlier: i64) -> Option<IntervalMonthDayNano> {
    if later < earlier {
        let age = symbolic(earlier, later)?;
        return Some(IntervalMonthDayNano::new(-age.months, -age.days, -age.nanoseconds));
    }
    let at = |us: i64| DateTime::from_timestamp_micros(us).map(|t| t.naive_utc());
    let (later, earlier) = (at(later)?, at(earlier)?);
    let count = |t: &NaiveDateTime| i64::from(t.year()) * 12 + i64::from(t.month0());
    let mut months = u32::try_from(count(&later) - count(&earlier)).ok()?;
    let time = |t: &NaiveDateTime| t.time();
    let before = (later.day(), time(&later)) < (earlier.day(), time(&earlier));
    if before {
        months = months.saturating_sub(1);
    }
    // Days are borrowed from the month in which the earlier date stands.
    let mut nanoseconds = (time(&later) - time(&earlier)).num_nanoseconds()?;
    let mut days = i64::from(later.day()) - i64::from(earlier.day());
    if nanoseconds < 0 {
        nanoseconds += DAY_NS;
        days -= 1;
    }
    if days < 0 {
        let first = earlier.date().with_day(1)?;
        let length = first.checked_add_months(Months::new(1))?.signed_duration_since(first);
        days += length.num_days();
    }
    Some(IntervalMonthDayNano::new(
        i32::try_from(months).ok()?,
        i32::try_from(days).ok()?,
        nanoseconds,
    ))
}

/// What lies between two times, as Postgres subtracts timestamps: days and time. The engine's
/// durations are of one unit, which sums and averages need.
pub fn elapsed_intervals(durations: &ArrayRef) -> EngineResult<ArrayRef> {
    let micros = cast(durations, &DataType::Duration(TimeUnit::Microsecond))?;
    let micros = micros.as_primitive::<DurationMicrosecondType>();
    let intervals: IntervalMonthDayNanoArray = micros.unary(|us| {
        let days = i32::try_from(us / DAY_US).unwrap_or(i32::MAX);
        IntervalMonthDayNano::new(0, days, us % DAY_US * 1000)
    });
    Ok(Arc::new(intervals))
}

/// See `elapsed_intervals`.
pub(crate) fn elapsed() -> ScalarUDF {
    ScalarUDF::from(Elapsed { signature: Signature::any(1, Volatility::Immutable) })
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Elapsed {
    signature: Signature,
}

impl ScalarUDFImpl for Elapsed {
    fn name(&self) -> &str {
        "elapsed"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> EngineResult<DataType> {
        Ok(INTERVAL)
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> EngineResult<ColumnarValue> {
        let durations = arguments.args[0].to_array(arguments.number_rows)?;
        Ok(ColumnarValue::Array(elapsed_intervals(&durations)?))
    }
}

/// A duration beside an interval is one; None: they are no such pair.
pub(crate) fn split(
    (left, of_left): (&Expr, &DataType),
    (right, of_right): (&Expr, &DataType),
) -> Option<(Expr, Expr)> {
    let split = |side: &Expr| elapsed().call(vec![side.clone()]);
    match (of_left, of_right) {
        (DataType::Duration(_), DataType::Interval(_)) => Some((split(left), right.clone())),
        (DataType::Interval(_), DataType::Duration(_)) => Some((left.clone(), split(right))),
        _ => None,
    }
}

/// The three that move what is too much to the next unit.
pub(super) fn justify() -> [ScalarUDF; 3] {
    [unary("justify_days", days), unary("justify_hours", hours), unary("justify_interval", whole)]
}

fn unary(name: &str, one: fn(IntervalMonthDayNano) -> IntervalMonthDayNano) -> ScalarUDF {
    let all = move |arguments: &[ColumnarValue]| {
        let arrays = ColumnarValue::values_to_arrays(arguments)?;
        let intervals = arrays[0].as_primitive::<IntervalMonthDayNanoType>();
        let justified: IntervalMonthDayNanoArray = intervals.unary(one);
        Ok(ColumnarValue::Array(Arc::new(justified) as ArrayRef))
    };
    create_udf(name, vec![INTERVAL], INTERVAL, Volatility::Immutable, Arc::new(all))
}

/// Whole thirties of days as months; what is left has the sign of the months.
fn days(interval: IntervalMonthDayNano) -> IntervalMonthDayNano {
    let mut months = interval.months.saturating_add(interval.days / DAYS_PER_MONTH);
    let mut days = interval.days % DAYS_PER_MONTH;
    if months > 0 && days < 0 {
        (months, days) = (months - 1, days + DAYS_PER_MONTH);
    } else if months < 0 && days > 0 {
        (months, days) = (months + 1, days - DAYS_PER_MONTH);
    }
    IntervalMonthDayNano::new(months, days, interval.nanoseconds)
}

/// Whole days of time as days; what is left has the sign of the days.
fn hours(interval: IntervalMonthDayNano) -> IntervalMonthDayNano {
    let whole = i32::try_from(interval.nanoseconds / DAY_NS).unwrap_or(i32::MAX);
    let days = interval.days.saturating_add(whole);
    let (days, time) = of_one_sign(days, interval.nanoseconds % DAY_NS);
    IntervalMonthDayNano::new(interval.months, days, time)
}

/// Both, with one sign for all of the parts.
fn whole(interval: IntervalMonthDayNano) -> IntervalMonthDayNano {
    let carried = i32::try_from(interval.nanoseconds / DAY_NS).unwrap_or(i32::MAX);
    let time = interval.nanoseconds % DAY_NS;
    let days = interval.days.saturating_add(carried);
    let mut months = interval.months.saturating_add(days / DAYS_PER_MONTH);
    let mut days = days % DAYS_PER_MONTH;
    if months > 0 && (days, time) < (0, 0) {
        (months, days) = (months - 1, days + DAYS_PER_MONTH);
    } else if months < 0 && (days, time) > (0, 0) {
        (months, days) = (months + 1, days - DAYS_PER_MONTH);
    }
    let (days, time) = of_one_sign(days, time);
    IntervalMonthDayNano::new(months, days, time)
}

fn of_one_sign(days: i32, time: i64) -> (i32, i64) {
    if days > 0 && time < 0 {
        (days - 1, time + DAY_NS)
    } else if days < 0 && time > 0 {
        (days + 1, time - DAY_NS)
    } else {
        (days, time)
    }
}

/// How long an interval is, in microseconds.
pub(super) fn span_us(interval: IntervalMonthDayNano) -> i64 {
    let months = i64::from(interval.months) * i64::from(DAYS_PER_MONTH);
    let days = months + i64::from(interval.days);
    days.saturating_mul(DAY_NS / 1000).saturating_add(interval.nanoseconds / 1000)
}

/// `interval_order(i)`: microseconds, by which intervals compare.
pub(crate) fn order() -> ScalarUDF {
    let order = |arguments: &[ColumnarValue]| -> EngineResult<ColumnarValue> {
        let arrays = ColumnarValue::values_to_arrays(arguments)?;
        let intervals = arrays[0].as_primitive::<IntervalMonthDayNanoType>();
        let micros = intervals.unary::<_, Int64Type>(span_us);
        Ok(ColumnarValue::Array(Arc::new(micros) as ArrayRef))
    };
    let arguments = vec![INTERVAL];
    create_udf("interval_order", arguments, DataType::Int64, Volatility::Immutable, Arc::new(order))
}

#[cfg(test)]
mod tests {
    use super::*;

    // PostgreSQL 15: select age('…', '…').
    #[test]
    fn ages_go_by_the_calendar() {
        let age = |later: &str, earlier: &str| {
            let us = |text: &str| {
                let time = NaiveDateTime::parse_from_str(text, "%Y-%m-%d %H:%M").unwrap();
                time.and_utc().timestamp_micros()
            };
            let age = symbolic(us(later), us(earlier)).unwrap();
            (age.months, age.days, age.nanoseconds / 3_600_000_000_000)
        };
        assert_eq!(age("2024-03-01 00:00", "2024-01-31 00:00"), (1, 1, 0));
        assert_eq!(age("2024-01-31 00:00", "2024-03-01 00:00"), (-1, -1, 0));
        assert_eq!(age("2024-03-31 10:00", "2024-02-29 12:00"), (1, 1, 22));
        assert_eq!(age("2024-01-01 00:00", "2023-01-01 00:00"), (12, 0, 0));
    }
}
