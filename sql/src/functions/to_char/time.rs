//! Templates of times and intervals, with the words of Postgres' manual, table 9.27.

use std::fmt::Write as _;

use chrono::{Datelike, Timelike};
use datafusion::arrow::datatypes::IntervalMonthDayNano;
use datafusion::arrow::temporal_conversions::timestamp_us_to_datetime;

use crate::error::Error;

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
const DAYS: [&str; 7] =
    ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];
const ROMAN: [&str; 12] =
    ["I", "II", "III", "IV", "V", "VI", "VII", "VIII", "IX", "X", "XI", "XII"];

/// Words, those before others that they begin with; one in capitals may be written small too.
const WORDS: &[&str] = &[
    "A.D.", "A.M.", "AD", "AM", "B.C.", "BC", "CC", "DDD", "DD", "DAY", "Day", "DY", "Dy", "D",
    "FF1", "FF2", "FF3", "FF4", "FF5", "FF6", "FM", "FX", "HH24", "HH12", "HH", "IDDD", "ID", "IW",
    "IYYY", "IYY", "IY", "I", "J", "MI", "MM", "MONTH", "Month", "MON", "Mon", "MS", "OF", "P.M.",
    "PM", "Q", "RM", "SSSSS", "SSSS", "SS", "TM", "TZH", "TZM", "TZ", "US", "WW", "W", "Y,YYY",
    "YYYY", "YYY", "YY", "Y",
];

/// A broken-down time.
#[derive(Debug)]
pub(super) struct Fields {
    /// 1 BC is 0.
    year: i64,
    /// From 1; of an interval from 0.
    month: i64,
    day: i64,
    hour: i64,
    minute: i64,
    second: i64,
    micros: i64,
    year_day: i64,
    /// What only a clock has.
    clock: Option<Clock>,
}

#[derive(Debug)]
struct Clock {
    /// From Sunday, 0.
    week_day: i64,
    iso_year: i64,
    iso_week: i64,
    /// Seconds east of UTC, of a time that has a zone.
    offset: Option<i64>,
}

impl Fields {
    /// Of a clock in microseconds since 1970; `offset` in seconds, if it has a zone.
    pub fn of_clock(micros: i64, offset: Option<i64>) -> Result<Self, Error> {
        let Some(time) = timestamp_us_to_datetime(micros) else {
            return Err(Error::new("22008", "timestamp out of range"));
        };
        let iso = time.iso_week();
        let clock = Clock {
            week_day: i64::from(time.weekday().num_days_from_sunday()),
            iso_year: i64::from(iso.year()),
            iso_week: i64::from(iso.week()),
            offset,
        };
        Ok(Self {
            year: i64::from(time.year()),
            month: i64::from(time.month()),
            day: i64::from(time.day()),
            hour: i64::from(time.hour()),
            minute: i64::from(time.minute()),
            second: i64::from(time.second()),
            micros: i64::from(time.nanosecond() / 1000),
            year_day: i64::from(time.ordinal()),
            clock: Some(clock),
        })
    }

    /// Of an interval: hours are not carried into days, nor days into months.
    pub fn of_interval(interval: IntervalMonthDayNano) -> Self {
        let (months, days) = (i64::from(interval.months), i64::from(interval.days));
        let micros = interval.nanoseconds / 1000;
        let seconds = micros / super::MICROS;
        Self {
            year: months / 12,
            month: months % 12,
            day: days,
            hour: seconds / 3600,
            minute: seconds / 60 % 60,
            second: seconds % 60,
            micros: micros % super::MICROS,
            year_day: months * 30 + days,
            clock: None,
        }
    }

    fn clock(&self) -> Result<&Clock, Error> {
        self.clock.as_ref().ok_or_else(|| {
            Error::new("22007", "invalid format specification for an interval value")
                .with_hint("Intervals are not tied to specific calendar dates.")
        })
    }

    /// As it is written: years before 1 are counted back from 1 BC.
    fn written_year(&self, year: i64) -> i64 {
        if self.clock.is_some() && year <= 0 { 1 - year } else { year }
    }

    fn twelve_hour(&self) -> i64 {
        match self.hour % 12 {
            0 => 12,
            hour => hour,
        }
    }

    fn is_afternoon(&self) -> bool {
        self.hour.rem_euclid(24) >= 12
    }
}

/// A part of a template.
#[derive(Debug)]
enum Part {
    Text(String),
    Word { word: &'static str, small: bool, fill: bool, ordinal: Option<bool> },
}

/// A template that has been read.
#[derive(Debug)]
pub(super) struct Template(Vec<Part>);

impl Template {
    pub fn new(format: &str) -> Self {
        let mut parts: Vec<Part> = Vec::new();
        let (mut rest, mut fill, mut name) = (format, false, false);
        while let Some(first) = rest.chars().next() {
            if let Some((word, small)) = word_at(rest) {
                rest = &rest[word.len()..];
                match word {
                    "FM" => fill = true,
                    // Names in the session's language are not filled up; that language is C's.
                    "TM" => name = true,
                    "FX" => {}
                    _ => {
                        let ordinal = ["TH", "th"].iter().position(|th| rest.starts_with(th));
                        rest = if ordinal.is_some() { &rest[2..] } else { rest };
                        let ordinal = ordinal.map(|at| at == 0);
                        fill |= name
                            && ["MON", "DAY", "DY"].iter().any(|name| {
                                word.get(..name.len()).is_some_and(|w| w.eq_ignore_ascii_case(name))
                            });
                        parts.push(Part::Word { word, small, fill, ordinal });
                        (fill, name) = (false, false);
                    }
                }
                continue;
            }
            let (text, after) = match first {
                '"' => quoted(&rest[1..]),
                '\\' if rest[1..].starts_with('"') => ("\"".to_owned(), &rest[2..]),
                _ => (first.to_string(), &rest[first.len_utf8()..]),
            };
            parts.push(Part::Text(text));
            (rest, fill) = (after, false);
        }
        Self(parts)
    }

    /// None where there is no template, as Postgres has it.
    pub fn write(&self, fields: &Fields) -> Result<Option<String>, Error> {
        let mut text = String::new();
        for part in &self.0 {
            match part {
                Part::Text(literal) => text.push_str(literal),
                Part::Word { word, small, fill, ordinal } => {
                    let mut value = String::new();
                    write_word(&mut value, word, *fill, fields)?;
                    if *small {
                        value.make_ascii_lowercase();
                    }
                    text.push_str(&value);
                    if let Some(capital) = ordinal {
                        text.push_str(ordinal_of(&value, *capital));
                    }
                }
            }
        }
        Ok(Some(text).filter(|_| !self.0.is_empty()))
    }
}

/// The word that a template goes on with, and whether it is written small.
fn word_at(rest: &str) -> Option<(&'static str, bool)> {
    WORDS.iter().find_map(|word| {
        let start = rest.get(..word.len())?;
        let mixed = word.bytes().any(|b| b.is_ascii_lowercase());
        let small = !mixed && start.bytes().all(|b| !b.is_ascii_uppercase());
        let same = start == *word || (small && start.eq_ignore_ascii_case(word));
        same.then_some((*word, small && start != *word))
    })
}

/// Text up to the closing quote, with backslashes taken off, and what follows it.
pub(super) fn quoted(rest: &str) -> (String, &str) {
    let mut text = String::new();
    let mut characters = rest.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return (text, &rest[at + 1..]),
            '\\' => text.extend(characters.next().map(|(_, next)| next)),
            other => text.push(other),
        }
    }
    (text, "")
}

/// The English ending of the number that `digits` is.
pub(super) fn ordinal_of(digits: &str, capital: bool) -> &'static str {
    let number = digits.trim();
    let teen = number.len() > 1 && number.as_bytes()[number.len() - 2] == b'1';
    match (number.bytes().last(), teen, capital) {
        (Some(b'1'), false, true) => "ST",
        (Some(b'1'), false, false) => "st",
        (Some(b'2'), false, true) => "ND",
        (Some(b'2'), false, false) => "nd",
        (Some(b'3'), false, true) => "RD",
        (Some(b'3'), false, false) => "rd",
        (_, _, true) => "TH",
        (_, _, false) => "th",
    }
}

fn write_word(text: &mut String, word: &str, fill: bool, of: &Fields) -> Result<(), Error> {
    match word {
        "A.D." | "B.C." | "AD" | "BC" => {
            of.clock()?;
            let dots = word.contains('.');
            text.push_str(match (of.year <= 0, dots) {
                (true, true) => "B.C.",
                (true, false) => "BC",
                (false, true) => "A.D.",
                (false, false) => "AD",
            });
        }
        "A.M." | "P.M." => text.push_str(if of.is_afternoon() { "P.M." } else { "A.M." }),
        "AM" | "PM" => text.push_str(if of.is_afternoon() { "PM" } else { "AM" }),
        "DAY" | "Day" | "DY" | "Dy" => {
            let day = DAYS[of.clock()?.week_day as usize % DAYS.len()];
            name(text, day, word, fill);
        }
        "MONTH" | "Month" | "MON" | "Mon" => {
            of.clock()?;
            name(text, MONTHS[(of.month - 1) as usize % MONTHS.len()], word, fill);
        }
        "RM" if of.month != 0 => {
            let index = if of.month < 0 { of.month + 12 } else { of.month - 1 };
            let numeral = ROMAN[index as usize % ROMAN.len()];
            let width = if fill { 0 } else { 4 };
            let _ = write!(text, "{numeral:<width$}");
        }
        "RM" => {}
        "TZ" | "TZH" | "TZM" | "OF" => zone(text, word, fill, of.clock()?)?,
        "Y,YYY" => {
            let year = of.written_year(of.year);
            let _ = write!(text, "{},{:03}", year / 1000, year % 1000);
        }
        _ => count(text, word, fill, of)?,
    }
    Ok(())
}

/// A day's or month's name: whole ones are nine wide, three letters otherwise.
fn name(text: &mut String, name: &str, word: &str, fill: bool) {
    let whole = word.len() > 3 || word.eq_ignore_ascii_case("day");
    let name = if whole { name } else { &name[..3] };
    let width = if whole && !fill { 9 } else { 0 };
    let start = text.len();
    let _ = write!(text, "{name:<width$}");
    if word.bytes().all(|b| b.is_ascii_uppercase()) {
        text[start..].make_ascii_uppercase();
    }
}

fn zone(text: &mut String, word: &str, fill: bool, clock: &Clock) -> Result<(), Error> {
    let offset = clock.offset.unwrap_or(0);
    let (sign, size) = (if offset < 0 { '-' } else { '+' }, offset.abs());
    let (hours, minutes) = (size / 3600, size / 60 % 60);
    let _ = match word {
        "TZ" => match clock.offset {
            None => Ok(()),
            Some(0) => text.write_str("UTC"),
            Some(_) => {
                let message = "to_char with TZ is supported in time zone UTC only";
                return Err(Error::new("0A000", message).with_hint("OF writes the offset."));
            }
        },
        "TZH" => write!(text, "{sign}{hours:02}"),
        "TZM" => write!(text, "{minutes:02}"),
        _ => {
            let width = if fill { 0 } else { 2 };
            let _ = write!(text, "{sign}{hours:0width$}");
            if minutes == 0 { Ok(()) } else { write!(text, ":{minutes:02}") }
        }
    };
    Ok(())
}

/// Words that are numbers, with zeros before them unless `fill` takes them away.
fn count(text: &mut String, word: &str, fill: bool, of: &Fields) -> Result<(), Error> {
    let iso = word.starts_with('I');
    let year = if iso { of.clock.as_ref().map_or(of.year, |c| c.iso_year) } else { of.year };
    let year = of.written_year(year);
    let (value, width) = match word {
        "YYYY" | "IYYY" => (year, 4),
        "YYY" | "IYY" => (year % 1000, 3),
        "YY" | "IY" => (year % 100, 2),
        "Y" | "I" => (year % 10, 1),
        "CC" => {
            let century = match of.clock {
                None => of.year / 100,
                Some(_) if of.year > 0 => (of.year - 1) / 100 + 1,
                Some(_) => of.year / 100 - 1,
            };
            (century, 2)
        }
        "Q" if of.month == 0 => return Ok(()),
        "Q" => ((of.month - 1) / 3 + 1, 0),
        "MM" => (of.month, 2),
        "WW" => ((of.year_day - 1) / 7 + 1, 2),
        "W" => ((of.day - 1) / 7 + 1, 0),
        "IW" => (of.clock()?.iso_week, 2),
        "DDD" => (of.year_day, 3),
        "DD" => (of.day, 2),
        "D" => (of.clock()?.week_day + 1, 0),
        "ID" => ((of.clock()?.week_day + 6) % 7 + 1, 0),
        "IDDD" => {
            let clock = of.clock()?;
            ((clock.iso_week - 1) * 7 + (clock.week_day + 6) % 7 + 1, 3)
        }
        "J" => (julian(of), 0),
        "HH24" => (of.hour, 2),
        "HH" | "HH12" => (of.twelve_hour(), 2),
        "MI" => (of.minute, 2),
        "SS" => (of.second, 2),
        "SSSS" | "SSSSS" => (of.hour * 3600 + of.minute * 60 + of.second, 0),
        "MS" | "FF3" => return fraction(text, of.micros / 1000, 3),
        "US" | "FF6" => return fraction(text, of.micros, 6),
        "FF1" => return fraction(text, of.micros / 100_000, 1),
        "FF2" => return fraction(text, of.micros / 10_000, 2),
        "FF4" => return fraction(text, of.micros / 100, 4),
        "FF5" => return fraction(text, of.micros / 10, 5),
        other => return Err(Error::new("XX000", format!("unknown word {other}"))),
    };
    let sign = usize::from(value < 0 && width > 0 && !["DD", "DDD"].contains(&word));
    let width = if fill { 0 } else { width + sign };
    let _ = write!(text, "{value:0width$}");
    Ok(())
}

/// Days since 4714-11-24 BC, counted as Postgres counts them, which also does it for intervals.
fn julian(of: &Fields) -> i64 {
    let (year, month) = match of.month > 2 {
        true => (of.year + 4800, of.month + 1),
        false => (of.year + 4799, of.month + 13),
    };
    let century = year / 100;
    year * 365 - 32_167 + year / 4 - century + century / 4 + 7834 * month / 256 + of.day
}

/// Digits after a second's point: `FM` leaves them.
fn fraction(text: &mut String, value: i64, digits: usize) -> Result<(), Error> {
    let _ = write!(text, "{value:0digits$}");
    Ok(())
}
