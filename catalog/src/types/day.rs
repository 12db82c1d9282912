//! Days and times of any year as DuckDB prints them, and back.
//!
//! ```text
//!   2024-01-31    10000-01-01    0044-03-15 (BC)    infinity    -infinity
//!   2024-01-31 10:00:00.5        0044-03-15 (BC) 10:00:00
//! ```
//! Days count from 1970-01-01, times are microseconds from its midnight; the largest and the
//! smallest value of their types are the infinities.

const DAY_US: i64 = 86_400_000_000;
/// Days from 0000-03-01 to 1970-01-01.
const TO_MARCH: i64 = 719_468;

/// What a value that is not a day stands for.
pub(super) fn infinity(least: bool, greatest: bool) -> Option<&'static str> {
    match (least, greatest) {
        (true, _) => Some("-infinity"),
        (_, true) => Some("infinity"),
        _ => None,
    }
}

/// Year, month and day of days since 1970 in the proleptic Gregorian calendar; the year before 1
/// is 0. H. Hinnant, "chrono-Compatible Low-Level Date Algorithms", `civil_from_days`.
pub fn civil(days: i64) -> (i64, u64, u64) {
    let shifted = days + TO_MARCH;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month as u64, day as u64)
}

/// The inverse of `civil`; None if there is no such day.
pub fn days(year: i64, month: u64, day: u64) -> Option<i64> {
    let shifted = if month <= 2 { year - 1 } else { year };
    let era = shifted.div_euclid(400);
    let month_from_march = i64::try_from(if month > 2 { month - 3 } else { month + 9 }).ok()?;
    let day_of_year = (153 * month_from_march + 2) / 5 + i64::try_from(day).ok()? - 1;
    let year_of_era = shifted.rem_euclid(400);
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    let days = era.checked_mul(146_097)? + day_of_era - TO_MARCH;
    (civil(days) == (year, month, day)).then_some(days)
}

/// A date's text.
pub(super) fn date_text(days: i32) -> String {
    infinity(days <= -i32::MAX, days == i32::MAX)
        .map_or_else(|| day_text(i64::from(days)), str::to_owned)
}

/// A timestamp's text, without a zone.
pub(super) fn timestamp_text(us: i64) -> String {
    if let Some(infinity) = infinity(us <= -i64::MAX, us == i64::MAX) {
        return infinity.to_owned();
    }
    let (days, us) = (us.div_euclid(DAY_US), us.rem_euclid(DAY_US));
    let (seconds, fraction) = (us / 1_000_000, us % 1_000_000);
    let (hours, minutes, seconds) = (seconds / 3_600, seconds / 60 % 60, seconds % 60);
    let mut text = format!("{} {hours:02}:{minutes:02}:{seconds:02}", day_text(days));
    if fraction != 0 {
        text.push_str(format!(".{fraction:06}").trim_end_matches('0'));
    }
    text
}

fn day_text(days: i64) -> String {
    let (year, month, day) = civil(days);
    match year {
        ..=0 => format!("{:04}-{month:02}-{day:02} (BC)", 1 - year),
        _ => format!("{year:04}-{month:02}-{day:02}"),
    }
}

/// The date that a text is; None if it is none.
pub(super) fn parse_date(text: &str) -> Option<i32> {
    match text {
        "infinity" => Some(i32::MAX),
        "-infinity" => Some(-i32::MAX),
        text => {
            let (days, rest) = parse_day(text)?;
            rest.is_empty().then(|| i32::try_from(days).ok()).flatten()
        }
    }
}

/// The timestamp that a text is, in UTC if it has an offset; None if it is none.
pub(super) fn parse_timestamp(text: &str) -> Option<i64> {
    match text {
        "infinity" | "infinity+00" => return Some(i64::MAX),
        "-infinity" | "-infinity+00" => return Some(-i64::MAX),
        _ => {}
    }
    let (days, rest) = parse_day(text)?;
    let (clock, offset) = match rest.find(['+', '-', 'Z']) {
        Some(at) => rest.split_at(at),
        None => (rest, ""),
    };
    let clock = clock.trim_start_matches(['T', ' ']);
    let us = if clock.is_empty() { 0 } else { parse_clock(clock)? };
    days.checked_mul(DAY_US)?.checked_add(us)?.checked_sub(parse_offset(offset)?)
}

/// `[-]Y…-MM-DD[ (BC)]` and what follows it.
fn parse_day(text: &str) -> Option<(i64, &str)> {
    let (sign, digits) = match text.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, text.trim_start_matches('+')),
    };
    let (year, rest) = digits.split_once('-')?;
    let (month, rest) = rest.split_once('-')?;
    let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    let (day, rest) = rest.split_at(end);
    let mut year = sign * year.parse::<i64>().ok()?;
    let rest = match rest.strip_prefix(" (BC)") {
        Some(rest) => {
            year = 1 - year;
            rest
        }
        None => rest,
    };
    Some((days(year, month.parse().ok()?, day.parse().ok()?)?, rest))
}

/// `HH:MM[:SS[.ffffff…]]` in microseconds.
fn parse_clock(text: &str) -> Option<i64> {
    let mut parts = text.split(':');
    let hours: i64 = parts.next()?.parse().ok()?;
    let minutes: i64 = parts.next()?.parse().ok()?;
    let (seconds, fraction) = match parts.next() {
        None => (0, 0),
        Some(part) => {
            let (whole, fraction) = part.split_once('.').unwrap_or((part, ""));
            let digits: String = fraction.chars().chain("000000".chars()).take(6).collect();
            (whole.parse::<i64>().ok()?, digits.parse::<i64>().ok()?)
        }
    };
    let inside = hours < 24 && minutes < 60 && seconds < 60 && parts.next().is_none();
    inside.then_some(((hours * 60 + minutes) * 60 + seconds) * 1_000_000 + fraction)
}

/// ``, `Z`, `+HH`, `-HH:MM` in microseconds.
fn parse_offset(text: &str) -> Option<i64> {
    let (sign, rest) = match text.split_at_checked(1) {
        None => return Some(0),
        Some(("Z", "")) => return Some(0),
        Some(("-", rest)) => (-1, rest),
        Some((_, rest)) => (1, rest),
    };
    let (hours, minutes) = rest.split_once(':').unwrap_or((rest, "0"));
    let minutes = hours.parse::<i64>().ok()? * 60 + minutes.parse::<i64>().ok()?;
    Some(sign * minutes * 60_000_000)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    // DuckDB 1.5.5: select (timestamp '…')::varchar.
    #[test]
    fn texts_are_those_of_duckdb() {
        let year_10000 = days(10_000, 1, 1).unwrap();
        assert_eq!(date_text(i32::try_from(year_10000).unwrap()), "10000-01-01");
        let before_christ = days(0, 12, 31).unwrap();
        assert_eq!(day_text(before_christ), "0001-12-31 (BC)");
        let ten = before_christ * DAY_US + 36_000_500_000;
        assert_eq!(timestamp_text(ten), "0001-12-31 (BC) 10:00:00.5");
        assert_eq!(timestamp_text(i64::MAX), "infinity");
        assert_eq!(date_text(-i32::MAX), "-infinity");
    }

    #[test]
    fn what_is_no_time_is_refused() {
        for text in ["", "soon", "2024-02-30", "2024-01-01x", "2024-13-01", "2024-01"] {
            assert_eq!(parse_date(text), None, "{text}");
        }
        for text in ["2024-01-01 25:00:00", "2024-01-01 10", "2024-01-01 10:00:00+x"] {
            assert_eq!(parse_timestamp(text), None, "{text}");
        }
        assert_eq!(parse_timestamp("1970-01-01 00:00:00-01:30"), Some(5_400_000_000));
        assert_eq!(parse_timestamp("1970-01-01T00:00:01Z"), Some(1_000_000));
    }

    proptest! {
        #[test]
        fn every_time_reads_back(us in any::<i64>(), days in any::<i32>()) {
            prop_assert_eq!(parse_timestamp(&timestamp_text(us)), Some(us.max(-i64::MAX)));
            prop_assert_eq!(parse_date(&date_text(days)), Some(days.max(-i32::MAX)));
        }
    }
}
