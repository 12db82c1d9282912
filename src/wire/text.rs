//! Cells in Postgres' text form.

use std::fmt::Write;
use std::ops::Range;

use bytes::{BufMut, BytesMut};

use crate::wire::value::{Cells, Kind};
use crate::wire::{calendar, number};

const HEX: &[u8; 16] = b"0123456789abcdef";

/// Writes the cell of a row that is not NULL.
pub fn write(out: &mut BytesMut, cells: &Cells, row: usize) {
    match &cells.kind {
        Kind::Null => {}
        Kind::Bool(array) => out.put_u8(if array.value(row) { b't' } else { b'f' }),
        Kind::Int16(array) => number::integer(out, i64::from(array.value(row))),
        Kind::Int32(array) => number::integer(out, i64::from(array.value(row))),
        Kind::Int64(array) | Kind::Oid(array) => number::integer(out, array.value(row)),
        Kind::Float32(array) => number::float4(out, array.value(row)),
        Kind::Float64(array) => number::float8(out, array.value(row)),
        Kind::Decimal(array, scale) => {
            let unscaled = array.value(row);
            match i64::try_from(unscaled) {
                Ok(small) => number::short_decimal(out, small, *scale),
                Err(_) => decimal(out, &unscaled, *scale),
            }
        }
        Kind::BigDecimal(array, scale) => decimal(out, &array.value(row), *scale),
        Kind::Text(array) | Kind::Uuid(array) | Kind::Jsonb(array) => {
            out.put_slice(array.value(row).as_bytes());
        }
        Kind::LargeText(array) => out.put_slice(array.value(row).as_bytes()),
        Kind::TextView(array) => out.put_slice(array.value(row).as_bytes()),
        Kind::Bytes(array) => hex(out, array.value(row)),
        Kind::Date(array) => calendar::date(out, array.value(row)),
        Kind::Time(array) => calendar::time(out, array.value(row)),
        Kind::Timestamp(array) => calendar::timestamp(out, array.value(row)),
        Kind::TimestampTz(array, zone) => calendar::timestamp_tz(out, array.value(row), *zone),
        Kind::Interval(array) => {
            let value = array.value(row);
            calendar::interval(out, value.months, value.days, value.nanoseconds / 1_000);
        }
        Kind::Vector(values, offsets) => {
            vector(out, offsets[row]..offsets[row + 1], |at| values.value(at));
        }
        Kind::HalfVector(values, offsets) => {
            vector(out, offsets[row]..offsets[row + 1], |at| values.value(at).to_f32());
        }
        Kind::List(list, items) if is_vector(cells.oid) => {
            let offsets = list.value_offsets();
            for at in offsets[row]..offsets[row + 1] {
                if at > offsets[row] {
                    out.put_u8(b' ');
                }
                write(out, items, at as usize);
            }
        }
        Kind::List(list, items) => {
            let offsets = list.value_offsets();
            array(out, items, offsets[row] as usize, offsets[row + 1] as usize);
        }
        Kind::Record(columns) => record(out, columns, row),
    }
}

fn vector(out: &mut BytesMut, elements: Range<usize>, value: impl Fn(usize) -> f32) {
    out.put_u8(b'[');
    for at in elements.clone() {
        if at > elements.start {
            out.put_u8(b',');
        }
        number::float4(out, value(at));
    }
    out.put_u8(b']');
}

/// `int2vector` and `oidvector`.
fn is_vector(oid: u32) -> bool {
    matches!(oid, 22 | 30)
}

fn decimal(out: &mut BytesMut, unscaled: &dyn std::fmt::Display, scale: i8) {
    let mut digits = Digits { bytes: [0; 80], count: 0 };
    if write!(digits, "{unscaled}").is_ok() {
        let text = std::str::from_utf8(&digits.bytes[..digits.count]).unwrap_or_default();
        number::decimal(out, text, scale);
    }
}

/// Digits of the longest decimal, on the stack.
struct Digits {
    bytes: [u8; 80],
    count: usize,
}

impl Write for Digits {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        let end = self.count + text.len();
        let place = self.bytes.get_mut(self.count..end).ok_or(std::fmt::Error)?;
        place.copy_from_slice(text.as_bytes());
        self.count = end;
        Ok(())
    }
}

fn hex(out: &mut BytesMut, bytes: &[u8]) {
    out.reserve(2 + 2 * bytes.len());
    out.put_slice(b"\\x");
    for byte in bytes {
        out.put_u8(HEX[usize::from(byte >> 4)]);
        out.put_u8(HEX[usize::from(byte & 15)]);
    }
}

fn array(out: &mut BytesMut, items: &Cells, start: usize, end: usize) {
    out.put_u8(b'{');
    for row in start..end {
        if row > start {
            out.put_u8(b',');
        }
        if items.is_null(row) {
            out.put_slice(b"NULL");
            continue;
        }
        let from = out.len();
        write(out, items, row);
        if !matches!(items.kind, Kind::List(..)) {
            quote(out, from, in_array, b'\\');
        }
    }
    out.put_u8(b'}');
}

fn record(out: &mut BytesMut, columns: &[Cells], row: usize) {
    out.put_u8(b'(');
    for (i, cells) in columns.iter().enumerate() {
        if i > 0 {
            out.put_u8(b',');
        }
        if !cells.is_null(row) {
            let from = out.len();
            write(out, cells, row);
            quote(out, from, in_record, b'"');
        }
    }
    out.put_u8(b')');
}

fn in_array(text: &[u8]) -> bool {
    text.is_empty()
        || text.eq_ignore_ascii_case(b"null")
        || text.iter().any(|byte| b"{},\"\\ \t\n\r\x0b\x0c".contains(byte))
}

fn in_record(text: &[u8]) -> bool {
    text.is_empty() || text.iter().any(|byte| b"(),\"\\ \t\n\r\x0b\x0c".contains(byte))
}

/// Quotes what was written from `from` on, if it needs to be. A backslash is always doubled;
/// a quote gets `escape` before it.
fn quote(out: &mut BytesMut, from: usize, needs: impl Fn(&[u8]) -> bool, escape: u8) {
    if !needs(&out[from..]) {
        return;
    }
    let plain = out.split_off(from);
    out.put_u8(b'"');
    for byte in plain {
        match byte {
            b'"' => out.put_slice(&[escape, b'"']),
            b'\\' => out.put_slice(b"\\\\"),
            byte => out.put_u8(byte),
        }
    }
    out.put_u8(b'"');
}
