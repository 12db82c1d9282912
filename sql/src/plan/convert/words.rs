//! Dates written with words, as Postgres reads them with DateStyle `ISO, MDY`.
//!
//! ```text
//!   Jan 5 2024   January 5, 2024   5 Jan 2024 10:30 PM PST   Fri Jan 05 10:30:15 2024 UTC
//!   2024-Jan-05  05-Jan-2024       Jan-05-2024               J2451187   2024.032   240105
//! ```

use chrono::{NaiveDate, NaiveTime};

use super::time::{Moment, Wrong, clock, full_year, in_half};
use crate::functions::Zone;

const MONTHS: [&str; 12] = [
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
];

const DAYS: [&str; 7] =
    ["sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday"];

/// Abbreviations of time zones and the hours by which they are before UTC.
const ZONES: [(&str, &str); 18] = [
    ("akdt", "-08"),
    ("akst", "-09"),
    ("bst", "+01"),
    ("cdt", "-05"),
    ("cest", "+02"),
    ("cet", "+01"),
    ("cst", "-06"),
    ("edt", "-04"),
    ("eest", "+03"),
    ("eet", "+02"),
    ("est", "-05"),
    ("jst", "+09"),
    ("mdt", "-06"),
    ("msk", "+03"),
    ("mst", "-07"),
    ("pdt", "-07"),
    ("pst", "-08"),
    ("wet", "+00"),
];

/// The Julian day before 1 January of the year 1.
const JULIAN: i32 = 1_721_425;

/// A zone by its name, its offset or its abbreviation.
pub(super) fn zone(text: &str) -> Option<Zone> {
    let lower = text.to_ascii_lowercase();
    let known = ZONES.iter().find(|(name, _)| *name == lower);
    Zone::parse(known.map_or(text, |(_, offset)| offset))
}

/// `2024.032`, `J2451187`, `240105`: dates of one word; None: it is none of them.
pub(super) fn numbered(text: &str) -> Option<Result<NaiveDate, Wrong>> {
    let whole = |text: &str| {
        text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse::<i32>().ok()).flatten()
    };
    if let Some(days) = text.strip_prefix(['J', 'j']).and_then(whole) {
        let days = days.checked_sub(JULIAN).ok_or(Wrong::Range);
        return Some(
            days.and_then(|d| NaiveDate::from_num_days_from_ce_opt(d).ok_or(Wrong::Range)),
        );
    }
    if let Some((year, day)) = text.split_once('.')
        && (year.len(), day.len()) == (4, 3)
    {
        let (year, day) = (whole(year)?, u32::try_from(whole(day)?).ok()?);
        return Some(NaiveDate::from_yo_opt(year, day).ok_or(Wrong::Range));
    }
    if text.len() == 6 {
        let part = |at: usize| text.get(at..at + 2).and_then(whole);
        let (year, month, day) = (part(0)?, part(2)?, part(4)?);
        let year = i32::try_from(full_year(u32::try_from(year).ok()?)).ok()?;
        let (month, day) = (u32::try_from(month).ok()?, u32::try_from(day).ok()?);
        return Some(NaiveDate::from_ymd_opt(year, month, day).ok_or(Wrong::Range));
    }
    None
}

/// What has been read of a text.
#[derive(Default)]
struct Read {
    year: Option<i32>,
    month: Option<u32>,
    day: Option<u32>,
    time: Option<(NaiveTime, bool)>,
    zone: Option<Zone>,
    half: Option<bool>,
}

/// Whether a month is named.
pub(super) fn has_month(text: &str) -> bool {
    let words = text.split(|c: char| !c.is_ascii_alphabetic());
    words.into_iter().any(|word| named(&word.to_ascii_lowercase(), &MONTHS).is_some())
}

/// A text in which a month is named.
pub(super) fn moment(text: &str) -> Result<Moment, Wrong> {
    let mut read = Read::default();
    for word in text.split([' ', ',']).filter(|word| !word.is_empty()) {
        let parts: Vec<&str> = word.split('-').collect();
        match parts.as_slice() {
            [first, second, third] if !first.is_empty() && parts.iter().any(|p| is_word(p)) => {
                for part in [first, second, third] {
                    read.word(part)?;
                }
            }
            _ => read.word(word)?,
        }
    }
    let (Some(year), Some(month), Some(day)) = (read.year, read.month, read.day) else {
        return Err(Wrong::Syntax);
    };
    let date = NaiveDate::from_ymd_opt(year, month, day).ok_or(Wrong::Range)?;
    let (mut time, next_day) = read.time.unwrap_or((NaiveTime::MIN, false));
    if let Some(afternoon) = read.half {
        time = in_half(time, afternoon)?;
    }
    Ok(Moment { date: Some(date), time, zone: read.zone, next_day })
}

fn is_word(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphabetic())
}

/// The place of a name of which the first three letters, or more, are written.
fn named(word: &str, names: &[&str]) -> Option<usize> {
    let word = if word == "sept" { "sep" } else { word };
    let long = word.len() >= 3;
    names.iter().position(|name| long && (name[..3] == *word || *name == word))
}

impl Read {
    fn word(&mut self, word: &str) -> Result<(), Wrong> {
        let lower = word.to_ascii_lowercase();
        if is_word(word) {
            return self.name(word, &lower);
        }
        if let Some(offset) = word.strip_prefix(['+', '-'])
            && self.time.is_some()
            && !offset.is_empty()
        {
            self.zone = Some(zone(word).ok_or(Wrong::Syntax)?);
            return Ok(());
        }
        if word.contains(':') {
            let end = word.find(|c: char| !(c.is_ascii_digit() || matches!(c, ':' | '.')));
            let (time, rest) = word.split_at(end.unwrap_or(word.len()));
            self.time = Some(clock(time)?);
            return if rest.is_empty() { Ok(()) } else { self.word(rest) };
        }
        let number: u32 = word.parse().map_err(|_| Wrong::Syntax)?;
        match (self.day, self.year) {
            (None, _) if word.len() <= 2 => self.day = Some(number),
            (_, None) => {
                let year = if word.len() <= 2 { full_year(number) } else { number };
                self.year = Some(i32::try_from(year).map_err(|_| Wrong::Range)?);
            }
            _ => return Err(Wrong::Syntax),
        }
        Ok(())
    }

    fn name(&mut self, word: &str, lower: &str) -> Result<(), Wrong> {
        match lower {
            "am" | "pm" => self.half = Some(lower == "pm"),
            "at" | "on" | "t" => {}
            _ if named(lower, &DAYS).is_some() => {}
            _ => match named(lower, &MONTHS) {
                Some(month) if self.month.is_none() => {
                    self.month = u32::try_from(month + 1).ok();
                }
                Some(_) => return Err(Wrong::Syntax),
                None => self.zone = Some(zone(word).ok_or(Wrong::Syntax)?),
            },
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::Datelike;

    // PostgreSQL 15: select '…'::timestamp.
    #[test]
    fn months_have_names() {
        let read = |text: &str| {
            moment(text).ok().map(|m| (m.date.unwrap().to_string(), m.time.to_string()))
        };
        for (text, date, time) in [
            ("Jan 5 2024", "2024-01-05", "00:00:00"),
            ("January 5, 2024", "2024-01-05", "00:00:00"),
            ("5 Jan 2024 10:30 PM", "2024-01-05", "22:30:00"),
            ("Fri Jan 05 10:30:15 2024 UTC", "2024-01-05", "10:30:15"),
            ("2024-Jan-05", "2024-01-05", "00:00:00"),
            ("05-Jan-24", "2024-01-05", "00:00:00"),
            ("Jan-05-2024", "2024-01-05", "00:00:00"),
            ("Sept 9 1999", "1999-09-09", "00:00:00"),
        ] {
            assert_eq!(read(text), Some((date.into(), time.into())), "{text}");
        }
        for text in ["Jan Feb 2024", "Foo 5 2024", "Jan 2024", "Feb 30 2024"] {
            assert_eq!(read(text), None, "{text}");
        }
        assert_eq!(
            numbered("J2451187").and_then(Result::ok).map(|d| d.to_string()).as_deref(),
            Some("1999-01-08")
        );
        assert_eq!(numbered("2024.032").and_then(Result::ok).map(|d| d.ordinal()), Some(32));
    }
}
