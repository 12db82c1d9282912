//! Dates and times from text, as Postgres reads ISO 8601 and its like.
//!
//! ```text
//!   2024-01-31   20240131   2024-01-31 10:00   2024-01-31T10:00:00.5+02   epoch
//!   2024-01-31 10:00 Europe/Berlin   0044-03-15 BC   infinity   -infinity
//! ```
//! Months with names and dates of one number are in `words.rs`.
//!
//! The infinities are the largest and the smallest value of their types, as in DuckDB.
//! A timestamp without zone leaves a zone in the text aside; one with zone takes the session's if
//! the text has none.

use std::sync::Arc;

use chrono::{DateTime, Datelike, Duration, NaiveDate, NaiveDateTime, NaiveTime, Timelike, Utc};
use datafusion::arrow::array::{
    ArrayRef, Date32Array, StringArray, Time64MicrosecondArray, TimestampMicrosecondArray,
};
use datafusion::arrow::datatypes::{DataType, TimeUnit};

use super::words;
use crate::error::Error;
use crate::functions::Zone;

/// What a text says.
pub(super) struct Moment {
    pub(super) date: Option<NaiveDate>,
    pub(super) time: NaiveTime,
    pub(super) zone: Option<Zone>,
    /// `24:00` is the next day's midnight.
    pub(super) next_day: bool,
}

/// Timestamps that are none.
const INFINITIES: [Option<i64>; 2] = [Some(-i64::MAX), Some(i64::MAX)];

const DAY_US: i64 = 86_400_000_000;

/// Why a text is no time: SQLSTATE 22007 or 22008.
pub(super) enum Wrong {
    Syntax,
    Range,
}

pub(super) fn reads(to: &DataType) -> bool {
    let micros = TimeUnit::Microsecond;
    match to {
        DataType::Date32 => true,
        DataType::Time64(unit) | DataType::Timestamp(unit, _) => *unit == micros,
        _ => false,
    }
}

/// Reads every text as a value of `to`.
pub(super) fn read(texts: &StringArray, to: &DataType, zone: &str) -> Result<ArrayRef, Error> {
    let zone = Zone::parse(zone).unwrap_or(Zone::Utc);
    fn all<T>(
        texts: &StringArray,
        to: &DataType,
        infinities: [Option<T>; 2],
        one: impl Fn(Moment) -> Result<T, Wrong>,
    ) -> Result<Vec<Option<T>>, Error>
    where
        T: Copy,
    {
        let [negative, positive] = infinities;
        let read = |text: &str| {
            let infinite = match text.trim().to_ascii_lowercase().as_str() {
                "infinity" | "+infinity" => positive,
                "-infinity" => negative,
                _ => None,
            };
            if let Some(infinite) = infinite {
                return Ok(infinite);
            }
            moment(text, matches!(to, DataType::Time64(_))).and_then(&one).map_err(|wrong| {
                match wrong {
                    Wrong::Syntax => {
                        let message =
                            format!("invalid input syntax for type {}: \"{text}\"", name(to));
                        Error::new("22007", message)
                    }
                    Wrong::Range => {
                        let message = format!("date/time field value out of range: \"{text}\"");
                        Error::new("22008", message)
                    }
                }
            })
        };
        texts.iter().map(|text| text.map(read).transpose()).collect()
    }
    Ok(match to {
        DataType::Date32 => {
            let infinities = [Some(-i32::MAX), Some(i32::MAX)];
            let days = all(texts, to, infinities, |m| m.date.map(days).ok_or(Wrong::Syntax))?;
            Arc::new(Date32Array::from(days))
        }
        DataType::Time64(_) => {
            let of_day = |m: Moment| if m.next_day { DAY_US } else { since_midnight(m.time) };
            let micros = all(texts, to, [None, None], |m| Ok(of_day(m)))?;
            Arc::new(Time64MicrosecondArray::from(micros))
        }
        DataType::Timestamp(_, None) => {
            let micros =
                all(texts, to, INFINITIES, |m| Ok(m.local()?.and_utc().timestamp_micros()))?;
            Arc::new(TimestampMicrosecondArray::from(micros))
        }
        _ => {
            let micros =
                all(texts, to, INFINITIES, |m| m.instant(zone).map(|t| t.timestamp_micros()))?;
            Arc::new(TimestampMicrosecondArray::from(micros).with_timezone("UTC"))
        }
    })
}

fn name(to: &DataType) -> &'static str {
    match to {
        DataType::Date32 => "date",
        DataType::Time64(_) => "time",
        DataType::Timestamp(_, None) => "timestamp",
        _ => "timestamp with time zone",
    }
}

fn days(date: NaiveDate) -> i32 {
    let since = date.signed_duration_since(NaiveDate::default()).num_days();
    i32::try_from(since).unwrap_or(i32::MAX)
}

fn since_midnight(time: NaiveTime) -> i64 {
    time.signed_duration_since(NaiveTime::MIN).num_microseconds().unwrap_or_default()
}

impl Moment {
    fn local(&self) -> Result<NaiveDateTime, Wrong> {
        let local = self.date.ok_or(Wrong::Syntax)?.and_time(self.time);
        match self.next_day {
            true => local.checked_add_signed(Duration::days(1)).ok_or(Wrong::Range),
            false => Ok(local),
        }
    }

    fn instant(&self, session: Zone) -> Result<DateTime<Utc>, Wrong> {
        self.zone.unwrap_or(session).instant(self.local()?).ok_or(Wrong::Range)
    }
}

/// Reads a text; of a time of day the digits alone are no date.
fn moment(text: &str, of_day: bool) -> Result<Moment, Wrong> {
    let text = text.trim();
    let (text, before_christ) = match text.rsplit_once(' ') {
        Some((rest, era)) if era.eq_ignore_ascii_case("bc") => (rest.trim_end(), true),
        Some((rest, era)) if era.eq_ignore_ascii_case("ad") => (rest.trim_end(), false),
        _ => (text, false),
    };
    if of_day && text.eq_ignore_ascii_case("allballs") {
        return Ok(Moment { date: None, time: NaiveTime::MIN, zone: None, next_day: false });
    }
    if text.eq_ignore_ascii_case("epoch") {
        let date = Some(NaiveDate::default());
        return Ok(Moment { date, time: NaiveTime::MIN, zone: Some(Zone::Utc), next_day: false });
    }
    let in_era = |date: NaiveDate| match before_christ {
        true => date.with_year(1 - date.year()).ok_or(Wrong::Range),
        false => Ok(date),
    };
    if words::has_month(text) {
        let moment = words::moment(text)?;
        return Ok(Moment { date: moment.date.map(in_era).transpose()?, ..moment });
    }
    let (date, rest) = match date(text, of_day)? {
        Some((date, rest)) => (Some(in_era(date)?), rest),
        None => (None, text),
    };
    let rest = match (date, rest.strip_prefix(['T', 't'])) {
        (Some(_), Some(rest)) => rest,
        (None, Some(rest)) if of_day => rest,
        _ => rest.trim_start(),
    };
    if rest.is_empty() && date.is_some() {
        return Ok(Moment { date, time: NaiveTime::MIN, zone: None, next_day: false });
    }
    let end = rest.find(|c: char| !(c.is_ascii_digit() || matches!(c, ':' | '.')));
    let (text_of_clock, rest) = rest.split_at(end.unwrap_or(rest.len()));
    let (mut time, next_day) = match text_of_clock {
        "" if date.is_some() => (NaiveTime::MIN, false),
        text => clock(text)?,
    };
    let mut rest = rest.trim();
    let word = rest.split(|c: char| !c.is_alphabetic()).next().unwrap_or_default();
    if let half @ ("am" | "pm") = word.to_ascii_lowercase().as_str() {
        time = in_half(time, half == "pm")?;
        rest = rest[2..].trim();
    }
    let zone = match rest {
        "" => None,
        rest => Some(words::zone(rest).ok_or(Wrong::Syntax)?),
    };
    Ok(Moment { date, time, zone, next_day })
}

/// A time before noon or after it, of which the clock shows 1 to 12.
pub(super) fn in_half(time: NaiveTime, afternoon: bool) -> Result<NaiveTime, Wrong> {
    if time.hour() > 12 {
        return Err(Wrong::Range);
    }
    let hour = time.hour() % 12 + if afternoon { 12 } else { 0 };
    time.with_hour(hour).ok_or(Wrong::Range)
}

/// Two digits are a year from 1970 to 2069.
pub(super) fn full_year(year: u32) -> u32 {
    year + if year < 70 { 2000 } else { 1900 }
}

/// A date at the start of a text and what follows it; a year in the last place has the month first
/// (DateStyle `ISO, MDY`).
fn date(text: &str, of_day: bool) -> Result<Option<(NaiveDate, &str)>, Wrong> {
    let word = text.split(' ').next().unwrap_or_default();
    if let Some(date) = words::numbered(word).filter(|_| !of_day) {
        return Ok(Some((date?, &text[word.len()..])));
    }
    let digits = |text: &str| text.chars().take_while(char::is_ascii_digit).count();
    let first = digits(text);
    let number = |text: &str| text.parse::<u32>().map_err(|_| Wrong::Range);
    let separator = text[first..].chars().next();
    if first == 8 && separator.is_none_or(|c| matches!(c, ' ' | 'T' | 't')) {
        let (year, month, day) = (&text[..4], &text[4..6], &text[6..8]);
        let found = NaiveDate::from_ymd_opt(number(year)? as i32, number(month)?, number(day)?);
        return Ok(Some((found.ok_or(Wrong::Range)?, &text[8..])));
    }
    let separator = separator.filter(|c| (1..=6).contains(&first) && !(of_day && *c == '.'));
    let Some(separator @ ('-' | '/' | '.')) = separator else {
        return Ok(None);
    };
    let month_first = first <= 2;
    if first == 3 {
        return Err(Wrong::Syntax);
    }
    let rest = &text[first + 1..];
    let second = digits(rest);
    let Some(rest) = rest.get(second..).and_then(|r| r.strip_prefix(separator)) else {
        return Err(Wrong::Syntax);
    };
    let third = digits(rest);
    let month = &text[first + 1..first + 1 + second];
    if month.is_empty() || third == 0 || (third > 2 && !month_first) {
        return Err(Wrong::Syntax);
    }
    let numbers = (number(&text[..first])?, number(month)?, number(&rest[..third])?);
    let (year, month, day) = match (numbers, third) {
        ((month, day, year), 1 | 2) if month_first => (full_year(year), month, day),
        ((month, day, year), _) if month_first => (year, month, day),
        (numbers, _) => numbers,
    };
    let found = NaiveDate::from_ymd_opt(year as i32, month, day).ok_or(Wrong::Range)?;
    Ok(Some((found, &rest[third..])))
}

/// `HH:MM[:SS[.ffffff]]`, `HHMM[SS]`; whether it is the end of the day.
pub(super) fn clock(text: &str) -> Result<(NaiveTime, bool), Wrong> {
    let spread;
    let text = match text.len() {
        4 | 6 if text.bytes().all(|b| b.is_ascii_digit()) => {
            let seconds = text.get(4..).filter(|s| !s.is_empty()).unwrap_or("00");
            spread = format!("{}:{}:{seconds}", &text[..2], &text[2..4]);
            spread.as_str()
        }
        _ => text,
    };
    let mut parts = text.split(':');
    let mut number = |least: bool| match parts.next() {
        Some(part) => part.parse::<f64>().map_err(|_| Wrong::Syntax),
        None if least => Err(Wrong::Syntax),
        None => Ok(0.0),
    };
    let (hours, minutes, seconds) = (number(true)?, number(true)?, number(false)?);
    if parts.next().is_some() || hours.fract() != 0.0 || minutes.fract() != 0.0 {
        return Err(Wrong::Syntax);
    }
    if hours > 24.0 || minutes >= 60.0 || seconds > 60.0 {
        return Err(Wrong::Range);
    }
    let micros = (hours * 3600.0 + minutes * 60.0) * 1e6 + (seconds * 1e6).round();
    let day = 86_400e6;
    match micros.total_cmp(&day) {
        std::cmp::Ordering::Greater => Err(Wrong::Range),
        std::cmp::Ordering::Equal => Ok((NaiveTime::MIN, true)),
        std::cmp::Ordering::Less => {
            Ok((NaiveTime::MIN + Duration::microseconds(micros as i64), false))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn timestamptz(text: &str, zone: &str) -> Result<String, &'static str> {
        let to = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
        let texts = StringArray::from(vec![text]);
        match read(&texts, &to, zone) {
            Ok(array) => {
                Ok(datafusion::arrow::util::display::array_value_to_string(&array, 0).unwrap())
            }
            Err(Error::Statement { sqlstate, .. }) => Err(sqlstate),
            Err(_) => Err("other"),
        }
    }

    // PostgreSQL 15: set timezone to '…'; select '…'::timestamptz at time zone 'UTC'.
    #[test]
    fn reads_what_postgres_reads() {
        for (text, zone, expected) in [
            ("2024-01-31", "UTC", "2024-01-31T00:00:00Z"),
            ("2024-01-31 10:00", "UTC", "2024-01-31T10:00:00Z"),
            ("2024-01-31 10:00", "Europe/Berlin", "2024-01-31T09:00:00Z"),
            ("2024-01-31T10:00:00.5+02", "Europe/Berlin", "2024-01-31T08:00:00.500Z"),
            ("2024-01-31 10:00:00-05:30", "UTC", "2024-01-31T15:30:00Z"),
            ("20240131 1000", "UTC", "2024-01-31T10:00:00Z"),
            ("2024-01-31 10:00 America/New_York", "UTC", "2024-01-31T15:00:00Z"),
            ("2024-01-31 10:00 PM", "UTC", "2024-01-31T22:00:00Z"),
            ("2024-01-31 24:00", "UTC", "2024-02-01T00:00:00Z"),
            ("2024-03-31 02:30", "Europe/Berlin", "2024-03-31T01:30:00Z"),
            ("2024/1/5", "UTC", "2024-01-05T00:00:00Z"),
            ("09/12/2023", "UTC", "2023-09-12T00:00:00Z"),
            ("9-12-23 10:00", "UTC", "2023-09-12T10:00:00Z"),
            ("1/2/70", "UTC", "1970-01-02T00:00:00Z"),
            ("epoch", "Asia/Tokyo", "1970-01-01T00:00:00Z"),
        ] {
            assert_eq!(timestamptz(text, zone).as_deref(), Ok(expected), "{text} in {zone}");
        }
        for (text, code) in [
            ("soon", "22007"),
            ("", "22007"),
            ("2024-13-01", "22008"),
            ("2024-02-30", "22008"),
            ("13/01/2024", "22008"),
            ("2024-01-01 25:00", "22008"),
            ("2024-01-01 10:00 Mars/Base", "22007"),
            ("2024-01-01x", "22007"),
        ] {
            assert_eq!(timestamptz(text, "UTC"), Err(code), "{text}");
        }
    }
}
