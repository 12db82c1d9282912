//! Cells in Postgres' binary form.

use std::ops::Range;

use bytes::{BufMut, BytesMut};

use crate::Error;
use crate::wire::calendar::{EPOCH_DAYS, EPOCH_US};
use crate::wire::number;
use crate::wire::value::{Cells, Kind};
use sql::pg_type::element_oid;

/// Writes the length and the cell; -1 for NULL.
pub fn sized(out: &mut BytesMut, cells: &Cells, row: usize) -> Result<(), Error> {
    if cells.is_null(row) {
        out.put_i32(-1);
        return Ok(());
    }
    let start = out.len();
    out.put_i32(0);
    write(out, cells, row)?;
    patch(out, start)
}

/// Puts the length of what follows `start` there.
pub fn patch(out: &mut BytesMut, start: usize) -> Result<(), Error> {
    let length = i32::try_from(out.len() - start - 4)
        .map_err(|_| Error::new("54000", "a value is longer than 2 GB"))?;
    out[start..start + 4].copy_from_slice(&length.to_be_bytes());
    Ok(())
}

/// The type `"char"`.
const CHAR_OID: u32 = 18;

fn write(out: &mut BytesMut, cells: &Cells, row: usize) -> Result<(), Error> {
    match &cells.kind {
        Kind::Null => {}
        Kind::Bool(array) => out.put_u8(u8::from(array.value(row))),
        Kind::Int16(array) => out.put_i16(array.value(row)),
        Kind::Int32(array) => out.put_i32(array.value(row)),
        Kind::Int64(array) => out.put_i64(array.value(row)),
        Kind::Oid(array) => out.put_u32(array.value(row) as u32),
        Kind::Float32(array) => out.put_f32(array.value(row)),
        Kind::Float64(array) => out.put_f64(array.value(row)),
        Kind::Decimal(array, scale) => {
            number::decimal_binary(out, &array.value(row).to_string(), *scale);
        }
        Kind::BigDecimal(array, scale) => {
            number::decimal_binary(out, &array.value(row).to_string(), *scale);
        }
        // A `"char"` is one byte, none as well.
        Kind::Text(array) if cells.oid == CHAR_OID && array.value(row).is_empty() => out.put_u8(0),
        Kind::Text(array) => out.put_slice(array.value(row).as_bytes()),
        Kind::LargeText(array) => out.put_slice(array.value(row).as_bytes()),
        Kind::TextView(array) => out.put_slice(array.value(row).as_bytes()),
        Kind::Uuid(array) => {
            let text = array.value(row);
            let uuid = uuid::Uuid::parse_str(text).map_err(|_| {
                Error::new("22P02", format!("invalid input syntax for type uuid: \"{text}\""))
            })?;
            out.put_slice(uuid.as_bytes());
        }
        Kind::Jsonb(array) => {
            out.put_u8(1);
            out.put_slice(array.value(row).as_bytes());
        }
        Kind::Bytes(array) => out.put_slice(array.value(row)),
        Kind::Date(array) => out.put_i32(days(array.value(row))),
        Kind::Time(array) => out.put_i64(array.value(row)),
        Kind::Timestamp(array) | Kind::TimestampTz(array, _) => {
            out.put_i64(microseconds(array.value(row)));
        }
        Kind::Interval(array) => {
            let value = array.value(row);
            out.put_i64(value.nanoseconds / 1_000);
            out.put_i32(value.days);
            out.put_i32(value.months);
        }
        Kind::Vector(values, offsets) => {
            let elements = vector(out, offsets, row);
            elements.for_each(|at| out.put_f32(values.value(at)));
        }
        Kind::HalfVector(values, offsets) => {
            let elements = vector(out, offsets, row);
            elements.for_each(|at| out.put_u16(values.value(at).to_bits()));
        }
        Kind::List(..) => array(out, cells, row)?,
        Kind::Record(columns) => {
            out.put_i32(i32::try_from(columns.len()).unwrap_or(i32::MAX));
            for column in columns {
                out.put_u32(column.oid);
                sized(out, column, row)?;
            }
        }
    }
    Ok(())
}

/// Writes the head of a vector: its dimension, and zero. Gives the places of its elements.
fn vector(out: &mut BytesMut, offsets: &[usize], row: usize) -> Range<usize> {
    let elements = offsets[row]..offsets[row + 1];
    out.put_i16(i16::try_from(elements.len()).unwrap_or(i16::MAX));
    out.put_i16(0);
    elements
}

/// Dimensions first, then the elements of the innermost lists in order.
fn array(out: &mut BytesMut, cells: &Cells, row: usize) -> Result<(), Error> {
    let mut dimensions = vec![];
    let mut leaf = cells;
    let mut range = row..row + 1;
    while let Kind::List(list, items) = &leaf.kind {
        let offsets = list.value_offsets();
        let width = |at: usize| offsets[at + 1] - offsets[at];
        let first = range.clone().next().map_or(0, width);
        if range.clone().any(|at| width(at) != first || leaf.is_null(at)) {
            let message = "multidimensional arrays must have sub-arrays with matching dimensions";
            return Err(Error::new("2202E", message));
        }
        dimensions.push(first);
        range = offsets[range.start] as usize..offsets[range.end] as usize;
        leaf = items;
    }
    if range.is_empty() {
        dimensions.clear();
    }
    out.put_i32(dimensions.len() as i32);
    out.put_i32(i32::from(range.clone().any(|at| leaf.is_null(at))));
    out.put_u32(element_oid(cells.oid).unwrap_or(leaf.oid));
    for width in dimensions {
        out.put_i32(width);
        out.put_i32(1);
    }
    range.into_iter().try_for_each(|at| sized(out, leaf, at))
}
/// Days as Postgres counts them; the infinities are the ends of the type.
fn days(since_1970: i32) -> i32 {
    match since_1970 {
        i32::MAX => i32::MAX,
        days if days <= -i32::MAX => i32::MIN,
        days => days.saturating_sub(EPOCH_DAYS),
    }
}

/// See `days`.
fn microseconds(since_1970: i64) -> i64 {
    match since_1970 {
        i64::MAX => i64::MAX,
        us if us <= -i64::MAX => i64::MIN,
        us => us.saturating_sub(EPOCH_US),
    }
}
