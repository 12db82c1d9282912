//! Temporary: replaced by the tables branch.
use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, StringArray};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, Field, TimeUnit};
use datafusion::arrow::util::display::{ArrayFormatter, FormatOptions};

use crate::error::{Error, Result};
use crate::model::TYPE_KEY;

pub fn to_ducklake(field: &Field) -> Result<String> {
    Ok(match field.data_type() {
        DataType::Boolean => "boolean".into(),
        DataType::Int16 => "int16".into(),
        DataType::Int32 => "int32".into(),
        DataType::Int64 => "int64".into(),
        DataType::Float32 => "float32".into(),
        DataType::Float64 => "float64".into(),
        DataType::Decimal128(p, s) => format!("decimal({p},{s})"),
        DataType::Utf8 => match field.metadata().get(TYPE_KEY).map(String::as_str) {
            Some("uuid") => "uuid".into(),
            Some("json" | "jsonb") => "json".into(),
            _ => "varchar".into(),
        },
        DataType::Binary => "blob".into(),
        DataType::Date32 => "date".into(),
        DataType::Time64(_) => "time".into(),
        DataType::Timestamp(_, None) => "timestamp".into(),
        DataType::Timestamp(_, Some(_)) => "timestamptz".into(),
        DataType::Interval(_) => "interval".into(),
        other => {
            return Err(Error::NotSupported {
                message: format!("type {other} is not supported"),
                hint: None,
            });
        }
    })
}

pub fn from_ducklake(
    text: &str,
    name: &str,
    nullable: bool,
    _children: &[Arc<Field>],
) -> Result<Field> {
    let data_type = match text {
        "boolean" => DataType::Boolean,
        "int8" | "int16" => DataType::Int16,
        "int32" => DataType::Int32,
        "int64" | "uint32" => DataType::Int64,
        "float32" => DataType::Float32,
        "float64" => DataType::Float64,
        "varchar" | "uuid" | "json" => DataType::Utf8,
        "blob" => DataType::Binary,
        "date" => DataType::Date32,
        "time" => DataType::Time64(TimeUnit::Microsecond),
        "timestamp" => DataType::Timestamp(TimeUnit::Microsecond, None),
        "timestamptz" => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
        "decimal(10,2)" => DataType::Decimal128(10, 2),
        other => {
            return Err(Error::NotSupported {
                message: format!("type {other} is not supported"),
                hint: None,
            });
        }
    };
    let field = Field::new(name, data_type, nullable);
    Ok(match text {
        "uuid" | "json" => field.with_metadata(
            [(TYPE_KEY.to_owned(), text.to_owned())]
                .into_iter()
                .collect(),
        ),
        _ => field,
    })
}

pub fn value_text(array: &dyn Array, row: usize) -> Option<String> {
    if array.is_null(row) {
        return None;
    }
    let options = FormatOptions::default();
    let format = ArrayFormatter::try_new(array, &options).ok()?;
    let text = format.value(row).try_to_string().ok()?;
    Some(match array.data_type() {
        DataType::Timestamp(_, None) => text.replace('T', " "),
        DataType::Timestamp(_, Some(_)) => text.replace('T', " ").replace('Z', "+00"),
        _ => text,
    })
}

pub fn parse_values(texts: &[Option<String>], field: &Field) -> Result<ArrayRef> {
    let texts = StringArray::from_iter(texts.iter().map(|t| t.as_deref()));
    cast(&texts, field.data_type()).map_err(|e| Error::Database(e.to_string()))
}
