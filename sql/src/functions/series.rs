//! `generate_series(start, stop [, step])`: values from start to stop, in a list for a select list
//! and as rows in FROM, where they are made as they are read.
//!
//! ```text
//!   integers     integer, or bigint if one of them is
//!   numerics     the widest scale of the three
//!   timestamps   a step of months, days and time; with a zone the calendar is the zone's
//!   dates        as timestamps with a zone
//! ```
//!
//! A NULL among the arguments gives nothing; a step of zero is an error (22023).

mod list;
mod table;

use std::sync::Arc;

use datafusion::arrow::array::{
    ArrayRef, Decimal128Array, Int32Array, Int64Array, TimestampMicrosecondArray,
};
use datafusion::arrow::datatypes::{DataType, Field, IntervalMonthDayNano, IntervalUnit, TimeUnit};
use datafusion::common::ScalarValue;

use super::interval::span_us;
use super::timezone::{Zone, shifted};
use crate::error::Error;
use crate::types::{shown, timestamptz};

pub(super) use list::function;
pub(crate) use table::table;

/// Its name.
pub(crate) const NAME: &str = "generate_series";

const CLOCK: DataType = DataType::Timestamp(TimeUnit::Microsecond, None);
const INTERVAL: DataType = DataType::Interval(IntervalUnit::MonthDayNano);

/// The values that are still to come.
#[derive(Debug, Clone)]
pub(crate) struct Series {
    of: DataType,
    next: Option<i128>,
    stop: i128,
    step: Step,
}

#[derive(Debug, Clone, Copy)]
enum Step {
    By(i128),
    Shift { by: IntervalMonthDayNano, forward: bool, zone: Zone },
}

/// The types of start, stop and step, and of the values; None: there is no such series.
pub(crate) fn types(given: &[DataType]) -> Option<[DataType; 2]> {
    let (start, stop) = (given.first()?, given.get(1)?);
    let all = || given.iter().filter(|of| !of.is_null() && !of.is_string());
    if all().any(|of| of.is_temporal() && !matches!(of, DataType::Interval(_))) {
        let bounds = || [start, stop].into_iter();
        let zoned = bounds().any(|of| matches!(of, DataType::Timestamp(_, Some(_))));
        let clock = bounds().any(|of| matches!(of, DataType::Timestamp(_, None)));
        let times = |of: &DataType| {
            matches!(of, DataType::Timestamp(..) | DataType::Date32)
                || of.is_string()
                || of.is_null()
        };
        let step = given.get(2)?;
        let stepped = matches!(step, DataType::Interval(_)) || step.is_string() || step.is_null();
        let of = if clock && !zoned { CLOCK } else { timestamptz() };
        return (bounds().all(times) && stepped).then_some([of, INTERVAL]);
    }
    if let Some(of) = all().filter(|of| of.is_decimal()).max_by_key(|of| scale(of)) {
        let number = |of: &DataType| of.is_decimal() || of.is_integer();
        let of = DataType::Decimal128(38, scale(of));
        return all().all(number).then(|| [of.clone(), of]);
    }
    if !all().all(DataType::is_integer) {
        return None;
    }
    let wide = |of: &DataType| matches!(of, DataType::Int64 | DataType::UInt32 | DataType::UInt64);
    let of = if all().any(wide) { DataType::Int64 } else { DataType::Int32 };
    Some([of.clone(), of])
}

/// There is no series of these types.
pub(crate) fn undefined(given: &[DataType]) -> Error {
    let shown = |of: &DataType| shown(&Field::new("", of.clone(), true));
    let types: Vec<String> = given.iter().map(shown).collect();
    let message = format!("function {NAME}({}) does not exist", types.join(", "));
    Error::new("42883", message).with_hint(
        "No function matches the given name and argument types. \
         You might need to add explicit type casts.",
    )
}

fn scale(of: &DataType) -> i8 {
    match of {
        DataType::Decimal128(_, scale) | DataType::Decimal256(_, scale) => *scale,
        _ => 0,
    }
}

impl Series {
    /// Of arguments that have the types that `types` says.
    pub(crate) fn of(arguments: &[ScalarValue], zone: &str) -> Result<Self, Error> {
        let of = arguments.first().map_or(DataType::Null, ScalarValue::data_type);
        let nothing = Self { of: of.clone(), next: None, stop: 0, step: Step::By(1) };
        if arguments.iter().any(ScalarValue::is_null) {
            return Ok(nothing);
        }
        let (start, stop) = (arguments.first().and_then(whole), arguments.get(1).and_then(whole));
        let (Some(start), Some(stop)) = (start, stop) else { return Ok(nothing) };
        let one = 10_i128.pow(u32::try_from(scale(&of)).unwrap_or(0));
        let zero = || Error::new("22023", "step size cannot equal zero");
        let step = match arguments.get(2) {
            None => Step::By(one),
            Some(ScalarValue::IntervalMonthDayNano(Some(by))) => {
                let forward = match span_us(*by) {
                    0 => return Err(zero()),
                    span => span > 0,
                };
                let zoned = matches!(of, DataType::Timestamp(_, Some(_)));
                let zone = Zone::parse(zone).filter(|_| zoned).unwrap_or(Zone::Utc);
                Step::Shift { by: *by, forward, zone }
            }
            Some(by) => match whole(by) {
                Some(0) => return Err(zero()),
                by => Step::By(by.unwrap_or(one)),
            },
        };
        Ok(Self { of, next: Some(start), stop, step })
    }

    /// The next value, not beyond the stop.
    fn take(&mut self) -> Result<Option<i128>, Error> {
        let Some(value) = self.next else { return Ok(None) };
        let forward = match self.step {
            Step::By(by) => by > 0,
            Step::Shift { forward, .. } => forward,
        };
        if (forward && value > self.stop) || (!forward && value < self.stop) {
            self.next = None;
            return Ok(None);
        }
        self.next = match self.step {
            Step::By(by) => value.checked_add(by),
            Step::Shift { by, zone, .. } => {
                let us = i64::try_from(value)
                    .map_err(|_| Error::new("22008", "timestamp out of range"))?;
                Some(i128::from(shifted(zone, us, by)?))
            }
        };
        Ok(Some(value))
    }

    /// At most so many of the values that are still to come.
    pub(crate) fn batch(&mut self, rows: usize) -> Result<ArrayRef, Error> {
        let mut values = Vec::new();
        while values.len() < rows {
            let Some(value) = self.take()? else { break };
            values.push(value);
        }
        // The stop is of the type, so is what comes before it.
        let narrow = || values.iter().map(|value| *value as i64);
        Ok(match &self.of {
            DataType::Int32 => Arc::new(Int32Array::from_iter_values(narrow().map(|v| v as i32))),
            DataType::Int64 => Arc::new(Int64Array::from_iter_values(narrow())),
            DataType::Timestamp(_, zone) => {
                let times = TimestampMicrosecondArray::from_iter_values(narrow());
                Arc::new(times.with_timezone_opt(zone.clone()))
            }
            DataType::Decimal128(precision, scale) => {
                let numbers = Decimal128Array::from_iter_values(values);
                let numbers = numbers.with_precision_and_scale(*precision, *scale);
                Arc::new(numbers.map_err(|error| Error::Engine(error.into()))?)
            }
            other => datafusion::arrow::array::new_empty_array(other),
        })
    }
}

/// A value without its point or its unit.
fn whole(value: &ScalarValue) -> Option<i128> {
    match value {
        ScalarValue::Int32(value) => value.map(i128::from),
        ScalarValue::Int64(value) | ScalarValue::TimestampMicrosecond(value, _) => {
            value.map(i128::from)
        }
        ScalarValue::Decimal128(value, _, _) => *value,
        _ => None,
    }
}
