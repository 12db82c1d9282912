//! `make_date`, `make_time`, `make_timestamp`, `make_timestamptz` and `make_interval`: times from
//! their fields. A field out of its range is 22008; NULL gives NULL. Years before 0 are BC.

use std::sync::Arc;

use chrono::{NaiveDate, NaiveDateTime, NaiveTime};
use datafusion::arrow::array::{
    Array, ArrayRef, AsArray, Date32Array, IntervalMonthDayNanoArray, Time64MicrosecondArray,
    TimestampMicrosecondArray,
};
use datafusion::arrow::datatypes::{
    DataType, Float64Type, Int32Type, IntervalMonthDayNano, IntervalUnit, TimeUnit,
};
use datafusion::common::Result as EngineResult;
use datafusion::logical_expr::{ColumnarValue, ScalarUDF, Volatility, create_udf};

use crate::error::Error;

/// The functions.
pub(super) fn functions() -> [ScalarUDF; 4] {
    let micros = TimeUnit::Microsecond;
    [
        function("make_date", 3, false, DataType::Date32, |fields| {
            let days = |(f, _): Fields| Ok(days(date(f[0], f[1], f[2])?));
            Ok(Arc::new(fields.map(days)?.into_iter().collect::<Date32Array>()))
        }),
        function("make_time", 2, true, DataType::Time64(micros), |fields| {
            let micros = |(f, s): Fields| Ok(micros_of(time(f[0], f[1], s)?));
            let times = fields.map(micros)?;
            Ok(Arc::new(times.into_iter().collect::<Time64MicrosecondArray>()))
        }),
        function("make_timestamp", 5, true, DataType::Timestamp(micros, None), |fields| {
            let at = |(f, s): Fields| {
                let clock = date(f[0], f[1], f[2])?.and_time(NaiveTime::MIN);
                Ok(clock.and_utc().timestamp_micros() + micros_of(time(f[3], f[4], s)?))
            };
            let times = fields.map(at)?;
            Ok(Arc::new(times.into_iter().collect::<TimestampMicrosecondArray>()))
        }),
        function(
            "make_interval",
            6,
            true,
            DataType::Interval(IntervalUnit::MonthDayNano),
            |fields| {
                let spans = fields.map(interval)?;
                Ok(Arc::new(spans.into_iter().collect::<IntervalMonthDayNanoArray>()))
            },
        ),
    ]
}

/// Whole fields of a row, and its seconds.
type Fields<'f> = (&'f [i32], f64);

/// Columns of whole fields, and seconds behind them.
struct Columns {
    whole: Vec<ArrayRef>,
    seconds: Option<ArrayRef>,
}

impl Columns {
    fn map<T>(&self, one: impl Fn(Fields) -> Result<T, Error>) -> Result<Vec<Option<T>>, Error> {
        let rows = self.whole.first().map_or(0, |column| column.len());
        let seconds = self.seconds.as_ref().map(|column| column.as_primitive::<Float64Type>());
        let row = |row: usize| {
            let mut fields = Vec::with_capacity(self.whole.len());
            for column in &self.whole {
                if column.is_null(row) {
                    return Ok(None);
                }
                fields.push(column.as_primitive::<Int32Type>().value(row));
            }
            match seconds {
                Some(seconds) if seconds.is_null(row) => Ok(None),
                Some(seconds) => one((&fields, seconds.value(row))).map(Some),
                None => one((&fields, 0.0)).map(Some),
            }
        };
        (0..rows).map(row).collect()
    }
}

fn function(
    name: &str,
    whole: usize,
    seconds: bool,
    to: DataType,
    all: fn(&Columns) -> Result<ArrayRef, Error>,
) -> ScalarUDF {
    let invoke = move |arguments: &[ColumnarValue]| -> EngineResult<ColumnarValue> {
        let mut arrays = ColumnarValue::values_to_arrays(arguments)?;
        let seconds = if seconds { arrays.pop() } else { None };
        Ok(ColumnarValue::Array(all(&Columns { whole: arrays, seconds })?))
    };
    let mut arguments = vec![DataType::Int32; whole];
    if seconds {
        arguments.push(DataType::Float64);
    }
    create_udf(name, arguments, to, Volatility::Immutable, Arc::new(invoke))
}

fn out_of_range(what: &str, text: String) -> Error {
    Error::new("22008", format!("{what} field value out of range: {text}"))
}

fn date(year: i32, month: i32, day: i32) -> Result<NaiveDate, Error> {
    let error = || out_of_range("date", format!("{year}-{month:02}-{day:02}"));
    let astronomical = match year {
        0 => return Err(error()),
        year if year < 0 => year + 1,
        year => year,
    };
    let part = |value: i32| u32::try_from(value).map_err(|_| error());
    NaiveDate::from_ymd_opt(astronomical, part(month)?, part(day)?).ok_or_else(error)
}

/// A time of the day in microseconds; 24:00 is the end of the day.
fn time(hour: i32, minute: i32, second: f64) -> Result<f64, Error> {
    let error = || out_of_range("time", format!("{hour}:{minute:02}:{second:02}"));
    let valid = (0..=24).contains(&hour) && (0..60).contains(&minute);
    if !valid || !(0.0..=60.0).contains(&second) {
        return Err(error());
    }
    let micros = f64::from(hour * 3600 + minute * 60) * 1e6 + (second * 1e6).round();
    match micros <= 86_400e6 {
        true => Ok(micros),
        false => Err(error()),
    }
}

fn micros_of(micros: f64) -> i64 {
    micros as i64
}

fn days(date: NaiveDate) -> i32 {
    let since = date.signed_duration_since(NaiveDateTime::default().date()).num_days();
    i32::try_from(since).unwrap_or(i32::MAX)
}

/// Years, months, weeks, days, hours, minutes and seconds.
fn interval((fields, seconds): Fields) -> Result<IntervalMonthDayNano, Error> {
    let error = || Error::new("22008", "interval out of range");
    let [years, months, weeks, days, hours, minutes] =
        <[i32; 6]>::try_from(fields).map_err(|_| error())?.map(i64::from);
    let whole = |value: i64| i32::try_from(value).map_err(|_| error());
    let micros = (seconds * 1e6).round();
    if !micros.is_finite() || micros.abs() >= 9e18 {
        return Err(error());
    }
    let nanoseconds = (hours * 3600 + minutes * 60)
        .checked_mul(1_000_000_000)
        .and_then(|n| n.checked_add((micros as i64).checked_mul(1000)?));
    let nanoseconds = nanoseconds.ok_or_else(error)?;
    let (months, days) = (whole(years * 12 + months)?, whole(weeks * 7 + days)?);
    Ok(IntervalMonthDayNano::new(months, days, nanoseconds))
}
