//! Cells of COPY on their way into arrays: a builder a column, chosen once by its type.
//!
//! The common types are read cell by cell without allocation (`quick`); the texts of the others
//! are kept and read together at the end, as INSERT reads them.

use std::sync::Arc;

use datafusion::arrow::array::*;
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, FieldRef, TimeUnit};
use datafusion::execution::SessionState;
use datafusion::scalar::ScalarValue;
use sql::copy::TextReader;
use sql::pg_type::PgType;

use super::binary;
use super::quick;
use crate::Error;
use crate::wire::decode;

/// A column that is copied.
#[derive(Debug, Clone)]
pub struct Column {
    pub field: FieldRef,
    pub oid: u32,
    reader: TextReader,
}

impl Column {
    /// A column of a table; times without a zone are the session's.
    pub fn new(engine: &SessionState, field: &FieldRef) -> Result<Self, Error> {
        let (oid, reader) = (PgType::of(field).oid, TextReader::new(engine, field)?);
        Ok(Self { field: Arc::clone(field), oid, reader })
    }

    fn read(&self, text: &str) -> Result<ArrayRef, Error> {
        Ok(self.reader.read(&StringArray::from(vec![text]))?)
    }
}

/// What cells of a column become.
enum Kind {
    Bool(BooleanBuilder),
    Int16(Int16Builder),
    Int32(Int32Builder),
    Int64(Int64Builder),
    Float32(Float32Builder),
    Float64(Float64Builder),
    Decimal(Decimal128Builder, u8, i8),
    Text(StringBuilder),
    Date(Date32Builder),
    Timestamp(TimestampMicrosecondBuilder),
    TimestampUtc(TimestampMicrosecondBuilder),
    /// Texts that are read together.
    Read(StringBuilder),
    /// Values read one by one from binary.
    Values(Vec<ScalarValue>),
}

/// The cells of a column so far.
pub struct Builder<'a> {
    column: &'a Column,
    kind: Kind,
}

impl<'a> Builder<'a> {
    /// An empty one; `binary` is the form that its cells come in.
    pub fn new(column: &'a Column, binary: bool) -> Self {
        let us = TimeUnit::Microsecond;
        let kind = match column.field.data_type() {
            DataType::Boolean => Kind::Bool(BooleanBuilder::new()),
            DataType::Int16 => Kind::Int16(Int16Builder::new()),
            DataType::Int32 => Kind::Int32(Int32Builder::new()),
            DataType::Int64 => Kind::Int64(Int64Builder::new()),
            DataType::Float32 => Kind::Float32(Float32Builder::new()),
            DataType::Float64 => Kind::Float64(Float64Builder::new()),
            DataType::Decimal128(precision, scale) => {
                let builder = Decimal128Builder::new()
                    .with_data_type(DataType::Decimal128(*precision, *scale));
                Kind::Decimal(builder, *precision, *scale)
            }
            DataType::Date32 => Kind::Date(Date32Builder::new()),
            DataType::Timestamp(unit, None) if *unit == us => {
                Kind::Timestamp(TimestampMicrosecondBuilder::new())
            }
            DataType::Timestamp(unit, Some(zone)) if *unit == us => {
                let builder = TimestampMicrosecondBuilder::new();
                Kind::TimestampUtc(builder.with_timezone(Arc::clone(zone)))
            }
            // Any text is one of these; uuid, json and their like are looked at.
            DataType::Utf8 if matches!(column.oid, 19 | 25 | 1042 | 1043) => {
                Kind::Text(StringBuilder::new())
            }
            DataType::Utf8 => Kind::Read(StringBuilder::new()),
            _ if binary => Kind::Values(Vec::new()),
            _ => Kind::Read(StringBuilder::new()),
        };
        Self { column, kind }
    }

    pub fn null(&mut self) {
        match &mut self.kind {
            Kind::Bool(builder) => builder.append_null(),
            Kind::Int16(builder) => builder.append_null(),
            Kind::Int32(builder) => builder.append_null(),
            Kind::Int64(builder) => builder.append_null(),
            Kind::Float32(builder) => builder.append_null(),
            Kind::Float64(builder) => builder.append_null(),
            Kind::Decimal(builder, ..) => builder.append_null(),
            Kind::Text(builder) | Kind::Read(builder) => builder.append_null(),
            Kind::Date(builder) => builder.append_null(),
            Kind::Timestamp(builder) | Kind::TimestampUtc(builder) => builder.append_null(),
            Kind::Values(values) => values.push(ScalarValue::Null),
        }
    }

    /// A cell in its text form.
    pub fn text(&mut self, text: &str) -> Result<(), Error> {
        let (column, bytes) = (self.column, text.as_bytes());
        match &mut self.kind {
            Kind::Text(builder) | Kind::Read(builder) => builder.append_value(text),
            Kind::Bool(builder) => match quick::boolean(bytes) {
                Some(value) => builder.append_value(value),
                None => builder.append_value(column.read(text)?.as_boolean().value(0)),
            },
            Kind::Int16(builder) => {
                let quick = quick::integer(bytes).and_then(|value| i16::try_from(value).ok());
                builder.append_value(or_read(quick, column, text)?);
            }
            Kind::Int32(builder) => {
                let quick = quick::integer(bytes).and_then(|value| i32::try_from(value).ok());
                builder.append_value(or_read(quick, column, text)?);
            }
            Kind::Int64(builder) => {
                builder.append_value(or_read(quick::integer(bytes), column, text)?);
            }
            Kind::Float32(builder) => {
                builder.append_value(or_read(quick::float4(text), column, text)?);
            }
            Kind::Float64(builder) => {
                builder.append_value(or_read(quick::float8(text), column, text)?);
            }
            Kind::Decimal(builder, precision, scale) => {
                let quick = quick::decimal(bytes, *precision, *scale);
                let value = or_read(quick, column, text);
                builder.append_value(value.map_err(|e| overflow(e, *precision, *scale))?);
            }
            Kind::Date(builder) => {
                builder.append_value(or_read(quick::date(bytes), column, text)?);
            }
            Kind::Timestamp(builder) => {
                builder.append_value(or_read(quick::timestamp(bytes), column, text)?);
            }
            Kind::TimestampUtc(builder) => {
                builder.append_value(or_read(quick::timestamp_utc(bytes), column, text)?);
            }
            Kind::Values(values) => {
                values.push(ScalarValue::try_from_array(&column.read(text)?, 0)?)
            }
        }
        Ok(())
    }

    /// A cell in its binary form.
    pub fn binary(&mut self, bytes: &[u8]) -> Result<(), Error> {
        let column = self.column;
        match &mut self.kind {
            Kind::Text(builder) => builder.append_value(utf8(bytes)?),
            Kind::Read(builder) => match column.oid {
                2950 => {
                    let bytes = binary::fixed::<16>(bytes)?;
                    builder.append_value(uuid::Uuid::from_bytes(bytes).to_string());
                }
                3802 => match bytes.split_first() {
                    Some((1, text)) => builder.append_value(utf8(text)?),
                    Some(_) | None => {
                        return Err(Error::new("22P03", "unsupported jsonb version number"));
                    }
                },
                _ => builder.append_value(utf8(bytes)?),
            },
            Kind::Bool(builder) => builder.append_value(binary::fixed::<1>(bytes)?[0] != 0),
            Kind::Int16(builder) => {
                builder.append_value(i16::from_be_bytes(binary::fixed(bytes)?));
            }
            Kind::Int32(builder) => {
                builder.append_value(i32::from_be_bytes(binary::fixed(bytes)?));
            }
            Kind::Int64(builder) if column.oid != 20 => {
                let id = u32::from_be_bytes(binary::fixed(bytes)?);
                builder.append_value(i64::from(id));
            }
            Kind::Int64(builder) => {
                builder.append_value(i64::from_be_bytes(binary::fixed(bytes)?));
            }
            Kind::Float32(builder) => {
                builder.append_value(f32::from_be_bytes(binary::fixed(bytes)?));
            }
            Kind::Float64(builder) => {
                builder.append_value(f64::from_be_bytes(binary::fixed(bytes)?));
            }
            Kind::Decimal(builder, precision, scale) => {
                let quick = binary::decimal(bytes, *precision, *scale);
                let value = match quick {
                    Some(value) => value,
                    None => read(column, &decode::numeric(bytes)?)
                        .map_err(|error| overflow(error, *precision, *scale))?,
                };
                builder.append_value(value);
            }
            Kind::Date(builder) => {
                builder.append_value(binary::date(i32::from_be_bytes(binary::fixed(bytes)?))?);
            }
            Kind::Timestamp(builder) | Kind::TimestampUtc(builder) => {
                let us = i64::from_be_bytes(binary::fixed(bytes)?);
                builder.append_value(binary::timestamp(us)?);
            }
            Kind::Values(values) => {
                values.push(decode::binary(bytes, column.oid, column.field.data_type())?);
            }
        }
        Ok(())
    }

    /// The cells as the column's array, or the first cell that is none with its error.
    pub fn finish(&mut self) -> Result<ArrayRef, (usize, String, Error)> {
        let array: ArrayRef = match &mut self.kind {
            Kind::Bool(builder) => Arc::new(builder.finish()),
            Kind::Int16(builder) => Arc::new(builder.finish()),
            Kind::Int32(builder) => Arc::new(builder.finish()),
            Kind::Int64(builder) => Arc::new(builder.finish()),
            Kind::Float32(builder) => Arc::new(builder.finish()),
            Kind::Float64(builder) => Arc::new(builder.finish()),
            Kind::Decimal(builder, ..) => Arc::new(builder.finish()),
            Kind::Text(builder) => Arc::new(builder.finish()),
            Kind::Date(builder) => Arc::new(builder.finish()),
            Kind::Timestamp(builder) | Kind::TimestampUtc(builder) => Arc::new(builder.finish()),
            Kind::Read(builder) => {
                let texts = builder.finish();
                return self.column.reader.read(&texts).or_else(|_| self.search(&texts));
            }
            Kind::Values(values) => {
                let to = self.column.field.data_type();
                return together(std::mem::take(values), to)
                    .map_err(|error| (0, String::new(), error));
            }
        };
        Ok(array)
    }

    /// Reads texts one by one to find the one that is wrong.
    fn search(&self, texts: &StringArray) -> Result<ArrayRef, (usize, String, Error)> {
        let wrong = (0..texts.len()).find_map(|row| {
            let read = self.column.reader.read(&texts.slice(row, 1));
            read.err().map(|error| (row, texts.value(row).to_owned(), Error::from(error)))
        });
        let together = || self.column.reader.read(texts);
        match wrong {
            Some(wrong) => Err(wrong),
            None => together().map_err(|error| (0, String::new(), Error::from(error))),
        }
    }
}

/// A number that is too large for its column, in Postgres' words.
fn overflow(error: Error, precision: u8, scale: i8) -> Error {
    if error.sqlstate != "22003" {
        return error;
    }
    let most = i16::from(precision) - i16::from(scale);
    Error::new("22003", "numeric field overflow").with_detail(format!(
        "A field with precision {precision}, scale {scale} must round to an absolute value less \
         than 10^{most}."
    ))
}

/// The quick value, or the one that the column's reader finds.
fn or_read<T: ReadBack>(quick: Option<T>, column: &Column, text: &str) -> Result<T, Error> {
    match quick {
        Some(value) => Ok(value),
        None => read(column, text),
    }
}

fn read<T: ReadBack>(column: &Column, text: &str) -> Result<T, Error> {
    let array = column.read(text)?;
    T::of(&array).ok_or_else(|| {
        let name = sql::pg_type::type_name(column.oid);
        Error::new("22P02", format!("invalid input syntax for type {name}: \"{text}\""))
    })
}

/// The one value of an array that a reader made.
trait ReadBack: Sized {
    fn of(array: &ArrayRef) -> Option<Self>;
}

macro_rules! read_back {
    ($($native:ty => $($array:ty),+;)+) => {$(
        impl ReadBack for $native {
            fn of(array: &ArrayRef) -> Option<Self> {
                $(if let Some(found) = array.as_any().downcast_ref::<$array>() {
                    return found.is_valid(0).then(|| found.value(0));
                })+
                None
            }
        }
    )+};
}

read_back! {
    i16 => Int16Array;
    i32 => Int32Array, Date32Array;
    i64 => Int64Array, TimestampMicrosecondArray;
    i128 => Decimal128Array;
    f32 => Float32Array;
    f64 => Float64Array;
}

fn together(values: Vec<ScalarValue>, to: &DataType) -> Result<ArrayRef, Error> {
    let some = values.iter().find(|value| !value.is_null()).map(ScalarValue::data_type);
    let Some(of) = some else {
        return Ok(new_null_array(to, values.len()));
    };
    let null = ScalarValue::try_from(&of)?;
    let values = values.into_iter().map(|value| if value.is_null() { null.clone() } else { value });
    Ok(cast(&ScalarValue::iter_to_array(values)?, to)?)
}

fn utf8(bytes: &[u8]) -> Result<&str, Error> {
    let text = std::str::from_utf8(bytes).map_err(|error| super::invalid_utf8(bytes, &error))?;
    match text.contains('\0') {
        true => Err(super::zero_byte()),
        false => Ok(text),
    }
}
