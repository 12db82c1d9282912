//! `extract(field from x)` and `date_part(field, x)`: numeric and double precision, as in Postgres.
//!
//! `second`, `milliseconds` and `microseconds` include the fraction, `epoch` counts seconds since
//! 1970 (of an interval: with 30 days a month and 365.25 days a year). A timestamptz is taken in
//! the zone that the planner converts it to. NULL gives NULL; a field that the type has not: 0A000
//! or 22023.

use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, Decimal128Array, Float64Array};
use datafusion::arrow::compute::{DatePart, cast, date_part as arrow_part};
use datafusion::arrow::datatypes::{
    DataType, Field, FieldRef, Int32Type, Int64Type, IntervalMonthDayNano,
    IntervalMonthDayNanoType, IntervalUnit, Time64MicrosecondType, TimeUnit,
};
use datafusion::common::{Result as EngineResult, ScalarValue};
use datafusion::logical_expr::{
    ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
    Volatility,
};

use crate::error::Error;

const SECOND: i64 = 1_000_000;
const DAY: i64 = 86_400 * SECOND;

/// `extract`.
pub(super) fn extract() -> ScalarUDF {
    function("extract")
}

/// `date_part`.
pub(super) fn date_part() -> ScalarUDF {
    function("date_part")
}

fn function(name: &'static str) -> ScalarUDF {
    ScalarUDF::from(Extract { name, signature: Signature::any(2, Volatility::Immutable) })
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Extract {
    name: &'static str,
    signature: Signature,
}

/// What is counted: whole units, or microseconds that are shown in a larger unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Whole(Whole),
    /// Microseconds of the minute, shown with so many digits behind the point.
    Seconds(i8),
    Epoch,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Whole {
    Arrow(DatePart),
    Decade,
    Century,
    Millennium,
    Julian,
}

fn part(field: &str) -> Option<Part> {
    let arrow = |part| Some(Part::Whole(Whole::Arrow(part)));
    match field.to_lowercase().as_str() {
        "year" | "years" | "y" | "yr" | "yrs" => arrow(DatePart::Year),
        "isoyear" => arrow(DatePart::YearISO),
        "quarter" | "qtr" => arrow(DatePart::Quarter),
        "month" | "months" | "mon" | "mons" => arrow(DatePart::Month),
        "week" | "weeks" | "w" => arrow(DatePart::WeekISO),
        "day" | "days" | "d" => arrow(DatePart::Day),
        "dow" => arrow(DatePart::DayOfWeekSunday0),
        "isodow" => arrow(DatePart::DayOfWeekMonday1),
        "doy" => arrow(DatePart::DayOfYear),
        "hour" | "hours" | "h" | "hr" | "hrs" => arrow(DatePart::Hour),
        "minute" | "minutes" | "m" | "min" | "mins" => arrow(DatePart::Minute),
        "second" | "seconds" | "s" | "sec" | "secs" => Some(Part::Seconds(6)),
        "milliseconds" | "millisecond" | "ms" | "msec" => Some(Part::Seconds(3)),
        "microseconds" | "microsecond" | "us" | "usec" => Some(Part::Seconds(0)),
        "decade" | "decades" => Some(Part::Whole(Whole::Decade)),
        "century" | "centuries" | "c" => Some(Part::Whole(Whole::Century)),
        "millennium" | "millennia" => Some(Part::Whole(Whole::Millennium)),
        "julian" => Some(Part::Whole(Whole::Julian)),
        "epoch" => Some(Part::Epoch),
        _ => None,
    }
}

fn scale(part: Part) -> i8 {
    match part {
        Part::Whole(_) => 0,
        Part::Seconds(scale) => scale,
        Part::Epoch => 6,
    }
}

impl Extract {
    fn field(&self, value: Option<&ScalarValue>, of: &DataType) -> Result<Part, Error> {
        let Some(field) = value.and_then(|v| v.try_as_str().flatten()) else {
            return Err(Error::new("22023", format!("{} takes a literal field", self.name)));
        };
        part(field).ok_or_else(|| {
            let message = format!("unit \"{field}\" not recognized for type {}", shown(of));
            Error::new("22023", message)
        })
    }
}

fn shown(of: &DataType) -> String {
    crate::types::describe(&Field::new("", of.clone(), true)).data_type
}

impl ScalarUDFImpl for Extract {
    fn name(&self) -> &str {
        self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> EngineResult<DataType> {
        Ok(DataType::Float64)
    }

    fn return_field_from_args(&self, arguments: ReturnFieldArgs) -> EngineResult<FieldRef> {
        let of = arguments.arg_fields[1].data_type();
        let part = self.field(arguments.scalar_arguments[0].as_ref().copied(), of)?;
        let to = match self.name {
            "extract" => DataType::Decimal128(38, scale(part)),
            _ => DataType::Float64,
        };
        Ok(Arc::new(Field::new(self.name, to, true)))
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> EngineResult<ColumnarValue> {
        let values = arguments.args[1].to_array(arguments.number_rows)?;
        let field = match &arguments.args[0] {
            ColumnarValue::Scalar(field) => Some(field),
            ColumnarValue::Array(_) => None,
        };
        let part = self.field(field, values.data_type())?;
        let counted = count(part, &values)?;
        let scale = scale(part);
        Ok(ColumnarValue::Array(match self.name {
            "extract" => {
                let numbers: Decimal128Array =
                    counted.into_iter().map(|v| v.map(i128::from)).collect();
                Arc::new(numbers.with_precision_and_scale(38, scale)?)
            }
            _ => {
                let unit = 10_f64.powi(i32::from(scale));
                let number = |v: i64| v as f64 / unit;
                Arc::new(counted.into_iter().map(|v| v.map(number)).collect::<Float64Array>())
            }
        }))
    }
}

/// The part of every value, in units of ten to the minus `scale`.
fn count(part: Part, values: &ArrayRef) -> EngineResult<Vec<Option<i64>>> {
    if let DataType::Interval(_) | DataType::Duration(_) = values.data_type() {
        let values = match values.data_type() {
            DataType::Duration(_) => super::interval::elapsed_intervals(values)?,
            _ => cast(values, &DataType::Interval(IntervalUnit::MonthDayNano))?,
        };
        let values = values.as_primitive::<IntervalMonthDayNanoType>();
        return Ok(values
            .iter()
            .map(|v| v.map(|v| of_interval(part, v)).transpose())
            .collect::<Result<_, Error>>()?);
    }
    let unsupported = || {
        let message = format!("that unit is not supported for type {}", shown(values.data_type()));
        Error::new("0A000", message)
    };
    let micros: Vec<Option<i64>> = match values.data_type() {
        DataType::Time64(_) | DataType::Time32(_) => {
            if matches!(part, Part::Whole(Whole::Arrow(DatePart::Hour | DatePart::Minute)))
                || !matches!(part, Part::Whole(_))
            {
                let time = cast(values, &DataType::Time64(TimeUnit::Microsecond))?;
                time.as_primitive::<Time64MicrosecondType>().iter().collect()
            } else {
                return Err(unsupported().into());
            }
        }
        DataType::Date32 | DataType::Date64 | DataType::Timestamp(..) => {
            let to = match values.data_type() {
                DataType::Timestamp(_, zone) => {
                    DataType::Timestamp(TimeUnit::Microsecond, zone.clone())
                }
                _ => DataType::Timestamp(TimeUnit::Microsecond, None),
            };
            let times = cast(values, &to)?;
            if let Part::Whole(Whole::Arrow(part)) = part {
                let found = arrow_part(&times, part)?;
                return Ok(found
                    .as_primitive::<Int32Type>()
                    .iter()
                    .map(|v| v.map(i64::from))
                    .collect());
            }
            if let Part::Whole(Whole::Decade | Whole::Century | Whole::Millennium) = part {
                let years = arrow_part(&times, DatePart::Year)?;
                let years = years.as_primitive::<Int32Type>().iter();
                return Ok(years.map(|y| y.map(|y| of_year(part, i64::from(y)))).collect());
            }
            cast(&times, &DataType::Int64)?.as_primitive::<Int64Type>().iter().collect()
        }
        DataType::Null => return Ok(vec![None; values.len()]),
        _ => return Err(unsupported().into()),
    };
    Ok(micros.into_iter().map(|us| us.map(|us| of_micros(part, us))).collect())
}

fn of_year(part: Part, year: i64) -> i64 {
    let per = match part {
        Part::Whole(Whole::Decade) => return year.div_euclid(10),
        Part::Whole(Whole::Century) => 100,
        _ => 1000,
    };
    // There is no century 0.
    if year > 0 { (year + per - 1) / per } else { -((per - year) / per) }
}

fn of_micros(part: Part, us: i64) -> i64 {
    match part {
        Part::Whole(Whole::Arrow(DatePart::Hour)) => us / (3600 * SECOND),
        Part::Whole(Whole::Arrow(DatePart::Minute)) => us / (60 * SECOND) % 60,
        Part::Whole(Whole::Julian) => us.div_euclid(DAY) + 2_440_588,
        Part::Seconds(_) => us.rem_euclid(60 * SECOND),
        Part::Whole(_) | Part::Epoch => us,
    }
}

fn of_interval(part: Part, value: IntervalMonthDayNano) -> Result<i64, Error> {
    let us = value.nanoseconds / 1000;
    let (months, days) = (i64::from(value.months), i64::from(value.days));
    Ok(match part {
        Part::Seconds(_) => us % (60 * SECOND),
        Part::Epoch => {
            let years = (months / 12) * (365 * DAY + DAY / 4);
            years + (months % 12) * 30 * DAY + days * DAY + us
        }
        Part::Whole(Whole::Decade) => months / 120,
        Part::Whole(Whole::Century) => months / 1200,
        Part::Whole(Whole::Millennium) => months / 12_000,
        Part::Whole(Whole::Arrow(part)) => match part {
            DatePart::Year => months / 12,
            DatePart::Quarter => months % 12 / 3 + 1,
            DatePart::Month => months % 12,
            DatePart::Day => days,
            DatePart::Hour => us / (3600 * SECOND),
            DatePart::Minute => us / (60 * SECOND) % 60,
            _ => return Err(Error::new("0A000", "that unit is not supported for type interval")),
        },
        Part::Whole(Whole::Julian) => {
            return Err(Error::new("0A000", "that unit is not supported for type interval"));
        }
    })
}
