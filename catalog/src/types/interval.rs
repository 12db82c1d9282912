//! Intervals from text, in the forms that Postgres and DuckDB read and write:
//!
//! ```text
//!   1 year 2 mons 3 days 04:05:06.789    @ 1 day ago    1-2    P1Y2M3DT4H5M6S    1.5 hours    90
//! ```
//! Months, days and time stay apart. A fraction of months goes to days (30 a month), one of days to
//! time; a number without a unit counts seconds.

use datafusion::arrow::datatypes::IntervalMonthDayNano;

const DAYS_PER_MONTH: f64 = 30.0;
const SECOND: i64 = 1_000_000;
const DAY: f64 = 86_400e6;

/// Months, days and microseconds, as they add up.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
struct Sum {
    months: i64,
    days: i64,
    microseconds: i64,
}

/// The interval a text stands for; None if it is none, or too large for one.
pub fn parse(text: &str) -> Option<IntervalMonthDayNano> {
    let text = text.trim();
    let sum = match text.strip_prefix(['P', 'p']) {
        Some(rest) => iso(rest)?,
        None => verbose(text)?,
    };
    let nanoseconds = sum.microseconds.checked_mul(1000)?;
    let (months, days) = (i32::try_from(sum.months).ok()?, i32::try_from(sum.days).ok()?);
    Some(IntervalMonthDayNano::new(months, days, nanoseconds))
}

impl Sum {
    fn add(&mut self, number: f64, unit: &str) -> Option<()> {
        let months = |per: f64| (number * per, 0.0, 0.0);
        let time = |microseconds: f64| (0.0, 0.0, number * microseconds);
        let unit = unit.to_lowercase();
        let (months, days, microseconds) = match unit.as_str() {
            "millennium" | "millennia" | "mil" | "mils" => months(12_000.0),
            "century" | "centuries" | "c" | "cent" => months(1200.0),
            "decade" | "decades" | "dec" | "decs" => months(120.0),
            // A fraction of a year is whole months.
            "year" | "years" | "yr" | "yrs" | "y" => ((number * 12.0).round(), 0.0, 0.0),
            "month" | "months" | "mon" | "mons" => months(1.0),
            "week" | "weeks" | "w" => (0.0, number * 7.0, 0.0),
            "day" | "days" | "d" => (0.0, number, 0.0),
            "hour" | "hours" | "hr" | "hrs" | "h" => time(3600e6),
            "minute" | "minutes" | "min" | "mins" | "m" => time(60e6),
            "second" | "seconds" | "sec" | "secs" | "s" => time(1e6),
            "millisecond" | "milliseconds" | "msec" | "msecs" | "ms" => time(1e3),
            "microsecond" | "microseconds" | "usec" | "usecs" | "us" => time(1.0),
            _ => return None,
        };
        self.spread(months, days, microseconds)
    }

    /// Adds parts whose fractions go down.
    fn spread(&mut self, months: f64, days: f64, microseconds: f64) -> Option<()> {
        let days = days + months.fract() * DAYS_PER_MONTH;
        let microseconds = microseconds + days.fract() * DAY;
        let whole = |number: f64| (number.abs() < 9e18).then_some(number.round() as i64);
        self.months = self.months.checked_add(whole(months.trunc())?)?;
        self.days = self.days.checked_add(whole(days.trunc())?)?;
        self.microseconds = self.microseconds.checked_add(whole(microseconds)?)?;
        Some(())
    }
}

fn verbose(text: &str) -> Option<Sum> {
    let mut sum = Sum::default();
    let text = text.strip_prefix('@').unwrap_or(text).trim();
    let (text, ago) = match text.len().checked_sub(3).and_then(|at| text.split_at_checked(at)) {
        Some((before, last)) if last.eq_ignore_ascii_case("ago") => (before.trim_end(), true),
        _ => (text, false),
    };
    if text.is_empty() {
        return None;
    }
    let mut words = text.split_whitespace().peekable();
    while let Some(word) = words.next() {
        if word.contains(':') {
            sum.microseconds = sum.microseconds.checked_add(clock(word)?)?;
            continue;
        }
        let end = word.char_indices().find(|(at, c)| c.is_alphabetic() && !exponent(word, *at));
        let (number, unit) = word.split_at(end.map_or(word.len(), |(at, _)| at));
        if let Some((years, months)) = year_month(number) {
            sum.spread((years * 12 + months) as f64, 0.0, 0.0)?;
            continue;
        }
        let number: f64 = number.parse().ok()?;
        let next = words.peek().filter(|w| w.starts_with(char::is_alphabetic)).copied();
        let unit = match (unit, next) {
            ("", Some(next)) => {
                words.next();
                next
            }
            ("", None) if words.peek().is_none() => "s",
            // Postgres takes a number before a clock for days.
            ("", None) if words.peek().is_some_and(|w| w.contains(':')) => "d",
            (unit, _) => unit,
        };
        sum.add(number, unit)?;
    }
    Some(match ago {
        true => Sum { months: -sum.months, days: -sum.days, microseconds: -sum.microseconds },
        false => sum,
    })
}

/// Whether the letter is the `e` of a number like `1e6`.
fn exponent(word: &str, at: usize) -> bool {
    let after = word.get(at + 1..).unwrap_or_default().trim_start_matches(['+', '-']);
    word[at..].starts_with(['e', 'E']) && after.starts_with(|c: char| c.is_ascii_digit())
}

/// `1-2` is one year and two months.
fn year_month(text: &str) -> Option<(i64, i64)> {
    let (sign, rest) = match text.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, text.strip_prefix('+').unwrap_or(text)),
    };
    let (years, months) = rest.split_once('-')?;
    let number = |text: &str| text.parse::<u32>().ok().map(i64::from);
    let months = number(months).filter(|months| *months < 12)?;
    Some((sign * number(years)?, sign * months))
}

/// `[-]HH:MM[:SS[.ffffff]]` in microseconds.
fn clock(text: &str) -> Option<i64> {
    let (sign, rest) = match text.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, text.strip_prefix('+').unwrap_or(text)),
    };
    let mut parts = rest.split(':');
    let hours: i64 = i64::from(parts.next()?.parse::<u32>().ok()?);
    let minutes: i64 = i64::from(parts.next()?.parse::<u32>().ok().filter(|m| *m < 60)?);
    let seconds = parts.next().unwrap_or("0");
    if parts.next().is_some() || !seconds.starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    let seconds: f64 = seconds.parse().ok().filter(|s| *s < 61.0)?;
    let whole = (hours * 3600 + minutes * 60).checked_mul(SECOND)?;
    Some(sign * whole.checked_add((seconds * 1e6).round() as i64)?)
}

/// What follows the `P` of ISO 8601.
fn iso(text: &str) -> Option<Sum> {
    let mut sum = Sum::default();
    let (mut number, mut time, mut any) = (String::new(), false, false);
    for letter in text.chars() {
        match letter.to_ascii_uppercase() {
            'T' if number.is_empty() && !time => time = true,
            '0'..='9' | '.' | '-' | '+' => number.push(letter),
            unit => {
                let unit = match (unit, time) {
                    ('Y', false) => "year",
                    ('M', false) => "month",
                    ('W', false) => "week",
                    ('D', false) => "day",
                    ('H', true) => "hour",
                    ('M', true) => "minute",
                    ('S', true) => "second",
                    _ => return None,
                };
                sum.add(std::mem::take(&mut number).parse().ok()?, unit)?;
                any = true;
            }
        }
    }
    (any && number.is_empty()).then_some(sum)
}

#[cfg(test)]
mod tests {
    use super::*;

    // PostgreSQL 15: extract(year, month, day, epoch) of interval '…'.
    #[test]
    fn reads_what_postgres_reads() {
        for (text, months, days, microseconds) in [
            ("1 year 2 months 3 days 04:05:06.789012", 14, 3, 14_706_789_012),
            ("-1 days -00:00:00.000001", 0, -1, -1),
            ("1 day ago", 0, -1, 0),
            ("@ 1 hour", 0, 0, 3_600_000_000),
            ("1-2", 14, 0, 0),
            ("-1-2", -14, 0, 0),
            ("P1Y2M3DT4H5M6S", 14, 3, 14_706_000_000),
            ("P-1M", -1, 0, 0),
            ("1.5 days", 0, 1, 43_200_000_000),
            ("1.5 months", 1, 15, 0),
            ("1.5 years", 18, 0, 0),
            ("3 04:05", 0, 3, 14_700_000_000),
            ("90", 0, 0, 90_000_000),
            ("1h 30m", 0, 0, 5_400_000_000),
            ("2 weeks", 0, 14, 0),
            ("1 decade", 120, 0, 0),
            ("0", 0, 0, 0),
        ] {
            let expected = IntervalMonthDayNano::new(months, days, microseconds * 1000);
            assert_eq!(parse(text), Some(expected), "{text}");
        }
        for text in ["", "soon", "1 fortnight", "1:2:3:4", "P", "P1", "1 2 3", "1:75", "1-13"] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
