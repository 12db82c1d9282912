//! A column ready to be written: its array in one of a few shapes, found once a batch.
//!
//! Rare Arrow types (dictionaries, other units, views of lists) are cast to a common one first,
//! so that text and binary know few cases and a cell costs no allocation.

use std::sync::Arc;

use datafusion::arrow::array::timezone::Tz;
use datafusion::arrow::array::types::*;
use datafusion::arrow::array::*;
use datafusion::arrow::buffer::NullBuffer;
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, Field, FieldRef, IntervalUnit, TimeUnit};

use crate::Error;
use catalog::types::VectorType;
use sql::pg_type::{PgType, is_float, is_object_id};

/// The time zone that timestamps with time zone are shown in.
#[derive(Debug, Clone, Copy)]
pub enum Zone {
    Utc,
    Named(Tz),
}

impl Zone {
    /// A zone by name or offset; what cannot be read is UTC (SET refuses it before).
    pub fn parse(text: &str) -> Self {
        match text {
            "UTC" | "Etc/UTC" | "GMT" | "+00" | "+00:00" => Self::Utc,
            text => text.parse().map_or(Self::Utc, Self::Named),
        }
    }
}

/// A column to write.
pub struct Cells {
    pub nulls: Option<NullBuffer>,
    pub kind: Kind,
    pub oid: u32,
}

/// The shapes of a column.
pub enum Kind {
    Null,
    Bool(BooleanArray),
    Int16(Int16Array),
    Int32(Int32Array),
    Int64(Int64Array),
    /// `oid` and its kin: 4 bytes in binary.
    Oid(Int64Array),
    Float32(Float32Array),
    Float64(Float64Array),
    Decimal(Decimal128Array, i8),
    BigDecimal(Decimal256Array, i8),
    Text(StringArray),
    LargeText(LargeStringArray),
    TextView(StringViewArray),
    Uuid(StringArray),
    Jsonb(StringArray),
    Bytes(BinaryArray),
    Date(Date32Array),
    Time(Time64MicrosecondArray),
    Timestamp(TimestampMicrosecondArray),
    TimestampTz(TimestampMicrosecondArray, Zone),
    Interval(IntervalMonthDayNanoArray),
    /// The elements, and where those of each row start and of the last end.
    Vector(Float32Array, Vec<usize>),
    HalfVector(Float16Array, Vec<usize>),
    List(ListArray, Box<Cells>),
    Record(Vec<Cells>),
}

impl Cells {
    /// The shape of an array of a field.
    pub fn new(array: &ArrayRef, field: &Field, zone: Zone) -> Result<Self, Error> {
        let PgType { oid, modifier, .. } = PgType::of(field);
        let array = match (array.data_type(), common(array.data_type(), oid)) {
            (DataType::Utf8, _) if oid == BPCHAR_OID => &padded(array, modifier),
            (DataType::Duration(_), _) => &sql::elapsed_intervals(array)?,
            (_, Some(to)) => &cast(array, &to)?,
            (_, None) => array,
        };
        let kind = kind(array, oid, zone)?;
        let nulls = match kind {
            Kind::Null => None,
            _ => array.logical_nulls(),
        };
        Ok(Self { nulls, kind, oid })
    }

    /// Whether the row is NULL.
    #[inline]
    pub fn is_null(&self, row: usize) -> bool {
        match &self.nulls {
            Some(nulls) => nulls.is_null(row),
            None => matches!(self.kind, Kind::Null),
        }
    }
}

const BPCHAR_OID: u32 = 1042;

/// `char(n)` with the blanks that are not kept.
fn padded(array: &ArrayRef, modifier: i32) -> ArrayRef {
    let Ok(width @ 1..) = usize::try_from(modifier.saturating_sub(4)) else {
        return Arc::clone(array);
    };
    let texts = array.as_string::<i32>().iter();
    let padded = texts.map(|text| text.map(|text| format!("{text:width$}")));
    Arc::new(padded.collect::<StringArray>())
}

/// The type to cast to first; None: it is one of ours.
fn common(of: &DataType, oid: u32) -> Option<DataType> {
    let us = TimeUnit::Microsecond;
    match of {
        _ if is_object_id(oid) && of.is_integer() => {
            (*of != DataType::Int64).then_some(DataType::Int64)
        }
        DataType::Int8 | DataType::UInt8 => Some(DataType::Int16),
        DataType::UInt16 => Some(DataType::Int32),
        DataType::UInt32 => Some(DataType::Int64),
        DataType::UInt64 => Some(DataType::Decimal128(20, 0)),
        DataType::Float16 => Some(DataType::Float32),
        DataType::Decimal32(precision, scale) | DataType::Decimal64(precision, scale) => {
            Some(DataType::Decimal128(*precision, *scale))
        }
        DataType::LargeBinary | DataType::BinaryView | DataType::FixedSizeBinary(_) => {
            Some(DataType::Binary)
        }
        DataType::LargeUtf8 | DataType::Utf8View if matches!(oid, 2950 | 3802) => {
            Some(DataType::Utf8)
        }
        DataType::Date64 => Some(DataType::Timestamp(us, None)),
        DataType::Time32(_) => Some(DataType::Time64(us)),
        DataType::Time64(unit) if *unit != us => Some(DataType::Time64(us)),
        DataType::Timestamp(unit, zone) if *unit != us => {
            Some(DataType::Timestamp(us, zone.clone()))
        }
        DataType::Interval(unit) if *unit != IntervalUnit::MonthDayNano => {
            Some(DataType::Interval(IntervalUnit::MonthDayNano))
        }
        DataType::Dictionary(_, value) => {
            Some(common(value, oid).unwrap_or_else(|| value.as_ref().clone()))
        }
        DataType::RunEndEncoded(_, values) => {
            let of = values.data_type();
            Some(common(of, oid).unwrap_or_else(|| of.clone()))
        }
        of if VectorType::of(of).is_some() => None,
        DataType::FixedSizeList(item, size) if is_float(item.data_type()) => {
            let item = Field::new(item.name(), DataType::Float32, item.is_nullable());
            let to = DataType::FixedSizeList(item.into(), *size);
            (to != *of).then_some(to)
        }
        DataType::LargeList(item)
        | DataType::ListView(item)
        | DataType::LargeListView(item)
        | DataType::FixedSizeList(item, _)
        | DataType::Map(item, _) => Some(DataType::List(FieldRef::clone(item))),
        DataType::Union(_, _) => Some(DataType::Utf8),
        _ => None,
    }
}

fn kind(array: &ArrayRef, oid: u32, zone: Zone) -> Result<Kind, Error> {
    Ok(match array.data_type() {
        DataType::Null => Kind::Null,
        DataType::Boolean => Kind::Bool(array.as_boolean().clone()),
        DataType::Int16 => Kind::Int16(array.as_primitive::<Int16Type>().clone()),
        DataType::Int32 => Kind::Int32(array.as_primitive::<Int32Type>().clone()),
        DataType::Int64 if is_object_id(oid) => {
            Kind::Oid(array.as_primitive::<Int64Type>().clone())
        }
        DataType::Int64 => Kind::Int64(array.as_primitive::<Int64Type>().clone()),
        DataType::Float32 => Kind::Float32(array.as_primitive::<Float32Type>().clone()),
        DataType::Float64 => Kind::Float64(array.as_primitive::<Float64Type>().clone()),
        DataType::Decimal128(_, scale) => {
            Kind::Decimal(array.as_primitive::<Decimal128Type>().clone(), *scale)
        }
        DataType::Decimal256(_, scale) => {
            Kind::BigDecimal(array.as_primitive::<Decimal256Type>().clone(), *scale)
        }
        DataType::Utf8 if oid == 2950 => Kind::Uuid(array.as_string::<i32>().clone()),
        DataType::Utf8 if oid == 3802 => Kind::Jsonb(array.as_string::<i32>().clone()),
        DataType::Utf8 => Kind::Text(array.as_string::<i32>().clone()),
        DataType::LargeUtf8 => Kind::LargeText(array.as_string::<i64>().clone()),
        DataType::Utf8View => Kind::TextView(array.as_string_view().clone()),
        DataType::Binary => Kind::Bytes(array.as_binary::<i32>().clone()),
        DataType::Date32 => Kind::Date(array.as_primitive::<Date32Type>().clone()),
        DataType::Time64(_) => Kind::Time(array.as_primitive::<Time64MicrosecondType>().clone()),
        DataType::Timestamp(_, with_zone) => {
            let array = array.as_primitive::<TimestampMicrosecondType>().clone();
            match with_zone {
                Some(_) => Kind::TimestampTz(array, zone),
                None => Kind::Timestamp(array),
            }
        }
        DataType::Interval(_) => {
            Kind::Interval(array.as_primitive::<IntervalMonthDayNanoType>().clone())
        }
        of if VectorType::of(of).is_some() => vectors(array),
        DataType::List(item) => {
            let list = array.as_list::<i32>().clone();
            let cells = Cells::new(list.values(), item, zone)?;
            Kind::List(list, Box::new(cells))
        }
        DataType::Struct(fields) => {
            let columns = array.as_struct().columns();
            let cells = columns.iter().zip(fields).map(|(c, f)| Cells::new(c, f, zone));
            Kind::Record(cells.collect::<Result<_, _>>()?)
        }
        other => {
            let message = format!("values of type {other} cannot be sent to a client");
            return Err(Error::new("0A000", message));
        }
    })
}

fn vectors(array: &ArrayRef) -> Kind {
    let (values, offsets) = match array.as_fixed_size_list_opt() {
        Some(list) => {
            let rows = 0..=list.len();
            let start = |row: usize| list.value_offset(row).unsigned_abs() as usize;
            (list.values(), rows.map(start).collect())
        }
        None => {
            let list = array.as_list::<i32>();
            let offsets = list.value_offsets().iter();
            (list.values(), offsets.map(|offset| offset.unsigned_abs() as usize).collect())
        }
    };
    match values.as_primitive_opt::<Float16Type>() {
        Some(halves) => Kind::HalfVector(halves.clone(), offsets),
        None => Kind::Vector(values.as_primitive::<Float32Type>().clone(), offsets),
    }
}
