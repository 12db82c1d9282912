//! `timezone(zone, x)`, which is what `x AT TIME ZONE zone` means: a timestamptz becomes the clock
//! in the zone, and a clock in the zone becomes a timestamptz. NULL gives NULL.

use std::sync::Arc;

use chrono::{DateTime, Duration, FixedOffset, NaiveDateTime, Offset, TimeZone, Utc};
use datafusion::arrow::array::timezone::Tz;
use datafusion::arrow::array::{Array, ArrayRef, AsArray, TimestampMicrosecondArray};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{
    DataType, IntervalMonthDayNano, IntervalMonthDayNanoType, IntervalUnit, TimeUnit,
    TimestampMicrosecondType,
};
use datafusion::common::Result as EngineResult;
use datafusion::logical_expr::simplify::{ExprSimplifyResult, SimplifyContext};
use datafusion::logical_expr::{
    ColumnarValue, Expr, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
    cast as engine_cast,
};

use crate::error::Error;

const CLOCK: DataType = DataType::Timestamp(TimeUnit::Microsecond, None);

/// A time zone: its name, or an offset.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Zone {
    Utc,
    Fixed(FixedOffset),
    Named(Tz),
}

impl Zone {
    /// `Z`, `UTC`, `+02`, `-0530`, `+05:30`, `Europe/Berlin`.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        if ["z", "utc", "gmt", "zulu"].contains(&text.to_ascii_lowercase().as_str()) {
            return Some(Self::Utc);
        }
        let Some(rest) = text.strip_prefix(['+', '-']) else {
            return text.parse::<Tz>().ok().map(Self::Named);
        };
        let sign = if text.starts_with('-') { -1 } else { 1 };
        let digits: String = rest.chars().filter(|c| *c != ':').collect();
        let valid = digits.bytes().all(|b| b.is_ascii_digit()) && (1..=6).contains(&digits.len());
        let padded = match digits.len() {
            1 | 3 | 5 => format!("0{digits}"),
            _ => digits,
        };
        let part = |at: usize| padded.get(at..at + 2).map_or(Some(0), |p| p.parse::<i32>().ok());
        let seconds = part(0)? * 3600 + part(2)? * 60 + part(4)?;
        valid.then(|| FixedOffset::east_opt(sign * seconds)).flatten().map(Self::Fixed)
    }

    fn is_utc(self) -> bool {
        matches!(self, Self::Utc)
    }

    fn named(text: &str) -> Result<Self, Error> {
        Self::parse(text)
            .ok_or_else(|| Error::new("22023", format!("time zone \"{text}\" not recognized")))
    }

    /// The instant at which the zone's clock shows `local`; None beyond what times can be. Of an
    /// hour that comes twice the second; one that is skipped as if the clock had gone on.
    pub(crate) fn instant(self, local: NaiveDateTime) -> Option<DateTime<Utc>> {
        match self {
            Self::Utc => Some(local.and_utc()),
            Self::Fixed(offset) => {
                offset.from_local_datetime(&local).single().map(|at| at.to_utc())
            }
            Self::Named(zone) => {
                let at = zone.from_local_datetime(&local).latest();
                let skipped = || {
                    let before = local.checked_sub_signed(Duration::hours(3))?;
                    let before = zone.from_local_datetime(&before).latest()?;
                    Some(before.to_utc() + Duration::hours(3))
                };
                at.map(|at| at.to_utc()).or_else(skipped)
            }
        }
    }

    /// What the zone's clock shows at an instant, both in microseconds since 1970.
    fn local(self, us: i64) -> i64 {
        let offset = match self {
            Self::Utc => 0,
            Self::Fixed(offset) => offset.local_minus_utc(),
            Self::Named(zone) => DateTime::from_timestamp_micros(us).map_or(0, |at| {
                zone.offset_from_utc_datetime(&at.naive_utc()).fix().local_minus_utc()
            }),
        };
        us.saturating_add(i64::from(offset) * 1_000_000)
    }

    fn instant_us(self, local: i64) -> Result<i64, Error> {
        if self.is_utc() {
            return Ok(local);
        }
        DateTime::from_timestamp_micros(local)
            .and_then(|clock| self.instant(clock.naive_utc()))
            .map(|at| at.timestamp_micros())
            .ok_or_else(|| Error::new("22008", "timestamp out of range"))
    }
}

/// The function.
pub(crate) fn timezone() -> ScalarUDF {
    ScalarUDF::from(Timezone { signature: Signature::any(2, Volatility::Immutable) })
}

/// `shift(timestamptz, interval, zone)`: months and days by the zone's calendar, time as it runs.
pub(crate) fn shift() -> ScalarUDF {
    let interval = DataType::Interval(IntervalUnit::MonthDayNano);
    let arguments = vec![crate::types::timestamptz(), interval, DataType::Utf8];
    ScalarUDF::from(Shift { signature: Signature::exact(arguments, Volatility::Immutable) })
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Timezone {
    signature: Signature,
}

impl ScalarUDFImpl for Timezone {
    fn name(&self) -> &str {
        "timezone"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, arguments: &[DataType]) -> EngineResult<DataType> {
        match arguments.get(1) {
            Some(DataType::Timestamp(_, Some(_))) => Ok(CLOCK),
            Some(DataType::Timestamp(TimeUnit::Nanosecond, None)) => Ok(fine_instant()),
            Some(DataType::Timestamp(_, None) | DataType::Date32 | DataType::Null) => {
                Ok(crate::types::timestamptz())
            }
            _ => Err(Error::new("42883", "AT TIME ZONE takes a timestamp").into()),
        }
    }

    /// In UTC it is a cast, through which filters and orders are seen.
    fn simplify(
        &self,
        arguments: Vec<Expr>,
        info: &SimplifyContext,
    ) -> EngineResult<ExprSimplifyResult> {
        if let [Expr::Literal(zone, _), time] = arguments.as_slice()
            && zone.try_as_str().flatten().and_then(Zone::parse).is_some_and(Zone::is_utc)
        {
            let of = info.get_data_type(time)?;
            let to = match &of {
                DataType::Timestamp(TimeUnit::Microsecond, Some(_)) => Some(CLOCK),
                DataType::Timestamp(TimeUnit::Nanosecond, None) => Some(fine_instant()),
                DataType::Timestamp(_, None) | DataType::Date32 => {
                    Some(crate::types::timestamptz())
                }
                _ => None,
            };
            if let Some(to) = to {
                let time = match of {
                    DataType::Date32 => engine_cast(time.clone(), CLOCK),
                    _ => time.clone(),
                };
                return Ok(ExprSimplifyResult::Simplified(engine_cast(time, to)));
            }
        }
        Ok(ExprSimplifyResult::Original(arguments))
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> EngineResult<ColumnarValue> {
        let rows = arguments.number_rows;
        let values = arguments.args[1].to_array(rows)?;
        let to_local = matches!(values.data_type(), DataType::Timestamp(_, Some(_)));
        let is_fine = values.data_type() == &DataType::Timestamp(TimeUnit::Nanosecond, None);
        let unit = TimeUnit::Microsecond;
        let from =
            if to_local { crate::types::timestamptz() } else { DataType::Timestamp(unit, None) };
        let values = cast(&values, &from)?;
        let values = values.as_primitive::<TimestampMicrosecondType>();
        let convert = |zone: Zone, us: i64| match to_local {
            true => Ok(zone.local(us)),
            false => zone.instant_us(us),
        };
        let converted: TimestampMicrosecondArray = match &arguments.args[0] {
            ColumnarValue::Scalar(zone) => match zone.try_as_str().flatten() {
                None => TimestampMicrosecondArray::new_null(values.len()),
                Some(zone) => {
                    let zone = Zone::named(zone)?;
                    values.try_unary(|us| convert(zone, us))?
                }
            },
            ColumnarValue::Array(zones) => {
                let zones = cast(zones, &DataType::Utf8)?;
                let pairs = zones.as_string::<i32>().iter().zip(values);
                let convert = |(zone, us): (Option<&str>, Option<i64>)| match (zone, us) {
                    (Some(zone), Some(us)) => convert(Zone::named(zone)?, us).map(Some),
                    _ => Ok(None),
                };
                pairs.map(convert).collect::<Result<_, Error>>()?
            }
        };
        let converted: ArrayRef = match to_local {
            true => Arc::new(converted),
            false => Arc::new(converted.with_timezone("UTC")),
        };
        Ok(ColumnarValue::Array(if is_fine {
            cast(&converted, &fine_instant())?
        } else {
            converted
        }))
    }
}

/// Of a clock in nanoseconds, which are kept where the zone is UTC.
fn fine_instant() -> DataType {
    DataType::Timestamp(TimeUnit::Nanosecond, Some("UTC".into()))
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Shift {
    signature: Signature,
}

impl ScalarUDFImpl for Shift {
    fn name(&self) -> &str {
        "timestamptz_shift"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> EngineResult<DataType> {
        Ok(crate::types::timestamptz())
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> EngineResult<ColumnarValue> {
        let ColumnarValue::Scalar(zone) = &arguments.args[2] else {
            return Err(Error::new("0A000", "a zone for every row").into());
        };
        let zone = Zone::named(zone.try_as_str().flatten().unwrap_or("UTC"))?;
        let rows = arguments.number_rows;
        let (times, by) = (arguments.args[0].to_array(rows)?, arguments.args[1].to_array(rows)?);
        let times = times.as_primitive::<TimestampMicrosecondType>();
        let by = by.as_primitive::<IntervalMonthDayNanoType>();
        let times = times.iter().zip(by.iter()).map(|(us, by)| {
            let (Some(us), Some(by)) = (us, by) else { return Ok(None) };
            shifted(zone, us, by).map(Some)
        });
        let times = times.collect::<Result<TimestampMicrosecondArray, Error>>()?;
        Ok(ColumnarValue::Array(Arc::new(times.with_timezone("UTC"))))
    }
}

/// An instant, in microseconds since 1970, moved by the calendar of a zone.
pub(super) fn shifted(zone: Zone, us: i64, by: IntervalMonthDayNano) -> Result<i64, Error> {
    let out = || Error::new("22008", "timestamp out of range");
    let local = match (by.months, by.days) {
        (0, 0) => us,
        (months, days) => {
            let clock = DateTime::from_timestamp_micros(zone.local(us)).ok_or_else(out)?;
            let steps = chrono::Months::new(months.unsigned_abs());
            let clock = match months < 0 {
                true => clock.checked_sub_months(steps),
                false => clock.checked_add_months(steps),
            };
            let days = Duration::days(i64::from(days));
            let clock = clock.and_then(|c| c.checked_add_signed(days)).ok_or_else(out)?;
            zone.instant_us(clock.timestamp_micros())?
        }
    };
    local.checked_add(by.nanoseconds / 1000).ok_or_else(out)
}
