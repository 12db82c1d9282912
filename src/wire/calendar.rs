//! Dates, times and intervals as Postgres prints them (ISO, IntervalStyle postgres).

use bytes::{BufMut, BytesMut};
use catalog::types::civil;
use chrono::{DateTime, Offset, TimeZone};

use crate::wire::number::{integer, padded, pair};
use crate::wire::value::Zone;

/// Days from 1970-01-01 to 2000-01-01, where Postgres counts from.
pub const EPOCH_DAYS: i32 = 10_957;
/// The same in microseconds.
pub const EPOCH_US: i64 = EPOCH_DAYS as i64 * DAY_US;
const DAY_US: i64 = 86_400_000_000;

/// Writes the day; true when it is before Christ.
fn day(out: &mut BytesMut, days: i64) -> bool {
    let (year, month, day) = civil(days);
    let before_christ = year <= 0;
    padded(out, if before_christ { 1 - year } else { year }.unsigned_abs(), 4);
    out.put_u8(b'-');
    padded(out, month, 2);
    out.put_u8(b'-');
    padded(out, day, 2);
    before_christ
}

/// Writes the largest and the smallest value of a type, which stand for no day.
fn infinite(out: &mut BytesMut, positive: bool, negative: bool) -> bool {
    match (positive, negative) {
        (true, _) => out.put_slice(b"infinity"),
        (_, true) => out.put_slice(b"-infinity"),
        _ => return false,
    }
    true
}

/// date, from days since 1970.
pub fn date(out: &mut BytesMut, days: i32) {
    if infinite(out, days == i32::MAX, days <= -i32::MAX) {
        return;
    }
    if day(out, i64::from(days)) {
        out.put_slice(b" BC");
    }
}

/// time, from microseconds since midnight.
pub fn time(out: &mut BytesMut, us: i64) {
    let us = us.unsigned_abs();
    let seconds = us / 1_000_000;
    padded(out, seconds / 3_600, 2);
    out.put_u8(b':');
    padded(out, seconds / 60 % 60, 2);
    out.put_u8(b':');
    padded(out, seconds % 60, 2);
    fraction(out, us % 1_000_000);
}

fn fraction(out: &mut BytesMut, us: u64) {
    if us == 0 {
        return;
    }
    let (mut rest, mut width) = (us, 6);
    while rest % 10 == 0 {
        rest /= 10;
        width -= 1;
    }
    out.put_u8(b'.');
    padded(out, rest, width);
}

/// timestamp, from microseconds since 1970.
pub fn timestamp(out: &mut BytesMut, us: i64) {
    if infinite(out, us == i64::MAX, us <= -i64::MAX) {
        return;
    }
    if day_and_time(out, us) {
        out.put_slice(b" BC");
    }
}

fn day_and_time(out: &mut BytesMut, us: i64) -> bool {
    let (days, us) = (us.div_euclid(DAY_US), us.rem_euclid(DAY_US));
    if let (year @ 1..10_000, month, day) = civil(days) {
        at_once(out, [year.unsigned_abs(), month, day], us.unsigned_abs());
        return false;
    }
    let before_christ = day(out, days);
    out.put_u8(b' ');
    time(out, us);
    before_christ
}

/// `2024-02-03 04:05:06`, and a fraction: what nearly every timestamp is, in one piece.
fn at_once(out: &mut BytesMut, [year, month, day]: [u64; 3], us: u64) {
    let seconds = us / 1_000_000;
    let mut text = *b"0000-00-00 00:00:00";
    let parts = [
        (0, year / 100),
        (2, year % 100),
        (5, month),
        (8, day),
        (11, seconds / 3_600),
        (14, seconds / 60 % 60),
        (17, seconds % 60),
    ];
    for (at, number) in parts {
        text[at..at + 2].copy_from_slice(&pair(number));
    }
    out.put_slice(&text);
    fraction(out, us % 1_000_000);
}

/// timestamptz in a zone, with its offset.
pub fn timestamp_tz(out: &mut BytesMut, us: i64, zone: Zone) {
    if infinite(out, us == i64::MAX, us <= -i64::MAX) {
        return;
    }
    let offset = match zone {
        Zone::Utc => 0,
        Zone::Named(zone) => DateTime::from_timestamp_micros(us)
            .map_or(0, |at| zone.offset_from_utc_datetime(&at.naive_utc()).fix().local_minus_utc()),
    };
    let before_christ = day_and_time(out, us.saturating_add(i64::from(offset) * 1_000_000));
    out.put_u8(if offset < 0 { b'-' } else { b'+' });
    let seconds = u64::from(offset.unsigned_abs());
    padded(out, seconds / 3_600, 2);
    if seconds % 3_600 != 0 {
        out.put_u8(b':');
        padded(out, seconds / 60 % 60, 2);
    }
    if seconds % 60 != 0 {
        out.put_u8(b':');
        padded(out, seconds % 60, 2);
    }
    if before_christ {
        out.put_slice(b" BC");
    }
}

/// interval: `1 year 2 mons -3 days +04:05:06.7`.
pub fn interval(out: &mut BytesMut, months: i32, days: i32, us: i64) {
    let start = out.len();
    let mut negative_before = false;
    for (value, unit) in [(months / 12, " year"), (months % 12, " mon"), (days, " day")] {
        if value == 0 {
            continue;
        }
        if out.len() > start {
            out.put_u8(b' ');
        }
        if negative_before && value > 0 {
            out.put_u8(b'+');
        }
        integer(out, i64::from(value));
        out.put_slice(unit.as_bytes());
        if value != 1 {
            out.put_u8(b's');
        }
        negative_before = value < 0;
    }
    if out.len() > start && us == 0 {
        return;
    }
    if out.len() > start {
        out.put_u8(b' ');
    }
    if us < 0 {
        out.put_u8(b'-');
    } else if negative_before {
        out.put_u8(b'+');
    }
    time(out, us);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(write: impl FnOnce(&mut BytesMut)) -> String {
        let mut out = BytesMut::new();
        write(&mut out);
        String::from_utf8(out.to_vec()).unwrap()
    }

    // Expected: psql against PostgreSQL 15, DateStyle ISO, IntervalStyle postgres.
    #[test]
    fn dates_and_times() {
        assert_eq!(shown(|out| date(out, 0)), "1970-01-01");
        assert_eq!(shown(|out| date(out, -735_160)), "0044-03-15 BC");
        assert_eq!(shown(|out| date(out, 2_932_897)), "10000-01-01");
        assert_eq!(shown(|out| time(out, 86_400_000_000)), "24:00:00");
        assert_eq!(shown(|out| timestamp(out, -1)), "1969-12-31 23:59:59.999999");
        assert_eq!(shown(|out| timestamp(out, 1_500_000)), "1970-01-01 00:00:01.5");
        let in_zone = |us, zone: &str| shown(|out| timestamp_tz(out, us, Zone::parse(zone)));
        assert_eq!(in_zone(0, "UTC"), "1970-01-01 00:00:00+00");
        assert_eq!(in_zone(0, "Asia/Kolkata"), "1970-01-01 05:30:00+05:30");
        assert_eq!(in_zone(0, "America/New_York"), "1969-12-31 19:00:00-05");
    }

    #[test]
    fn intervals() {
        let show = |months, days, us| shown(|out| interval(out, months, days, us));
        assert_eq!(show(14, 3, 14_706_700_000), "1 year 2 mons 3 days 04:05:06.7");
        assert_eq!(show(0, 0, 0), "00:00:00");
        assert_eq!(show(-14, 3, 0), "-1 years -2 mons +3 days");
        assert_eq!(show(0, -1, 3_600_000_000), "-1 days +01:00:00");
        assert_eq!(show(0, 1, -1_000_000), "1 day -00:00:01");
        assert_eq!(show(0, 0, 360_000_000_000_000), "100000:00:00");
    }
}
