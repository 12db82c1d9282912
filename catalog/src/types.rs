//! DuckLake's type names and text form of values ↔ engine types and arrays.
//!
//! The text form is DuckDB's: `1.0`, `2024-01-01 00:00:00+00`, `[1.0, 2.0]`, `{'a': 1}`. It is what
//! statistics, defaults and inlined rows are kept in, so `parse_values(value_text(x)) == x`.

mod day;
mod interval;
mod text;
mod vector;

use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, Field, IntervalUnit, TimeUnit};

use crate::error::{Error, Result};
use crate::model::TYPE_KEY;

pub use day::{civil, days};
pub(crate) use text::float_text;
pub use text::{parse_values, value_text};
pub use vector::VectorType;

/// Field metadata: DuckLake's name of a type that the engine has under another (`uint8`) or has not
/// at all (`map`), so that altering a table leaves it as it is.
pub(crate) const FOREIGN_TYPE: &str = "sextant.ducklake_type";

/// DuckLake's name of a type whose values the engine can neither read nor write.
pub(crate) fn unreadable(field: &Field) -> Option<&str> {
    let kept = field.metadata().get(FOREIGN_TYPE)?;
    (*field.data_type() == DataType::Binary).then_some(kept)
}

/// Fails if the field's type is not one of the engine's.
pub(crate) fn check_readable(field: &Field) -> Result<()> {
    match unreadable(field) {
        None => Ok(()),
        Some(kept) => Err(Error::NotSupported {
            message: format!("column \"{}\" has the unsupported type {kept}", field.name()),
            hint: Some("Name the other columns of the table.".into()),
        }),
    }
}

/// Fails if values of the engine's type may not fit what the column is in the lake (`uint8`): other
/// tools could then not read the table.
pub(crate) fn check_writable(field: &Field) -> Result<()> {
    match field.metadata().get(FOREIGN_TYPE) {
        None => Ok(()),
        Some(kept) => Err(Error::NotSupported {
            message: format!("writing column \"{}\" of type {kept} is not supported", field.name()),
            hint: Some("Write it with the tool that made the table, or widen its type.".into()),
        }),
    }
}

/// DuckLake's name of a field's type; nested types are named by their kind alone.
pub fn to_ducklake(field: &Field) -> Result<String> {
    if let Some(kept) = field.metadata().get(FOREIGN_TYPE) {
        return Ok(kept.clone());
    }
    let spelled = field.metadata().get(TYPE_KEY).map(String::as_str);
    Ok(match field.data_type() {
        DataType::Boolean => "boolean".into(),
        DataType::Int16 => "int16".into(),
        DataType::Int32 => "int32".into(),
        DataType::Int64 => "int64".into(),
        // The least that DuckLake has.
        DataType::Float16 | DataType::Float32 => "float32".into(),
        DataType::Float64 => "float64".into(),
        DataType::Decimal128(p, s) => format!("decimal({p},{s})"),
        DataType::Utf8 => match spelled {
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
        DataType::List(_) | DataType::FixedSizeList(..) => "list".into(),
        DataType::Struct(_) => "struct".into(),
        other => return Err(unsupported(&other.to_string())),
    })
}

/// The field of a DuckLake type; `children` are those of a list or struct. A type that the engine
/// does not have becomes one that is refused when it is read: the rest of the lake stays usable.
pub fn from_ducklake(
    text: &str,
    name: &str,
    nullable: bool,
    children: &[Arc<Field>],
) -> Result<Field> {
    let microseconds = TimeUnit::Microsecond;
    let data_type = match text {
        "boolean" => DataType::Boolean,
        "int8" | "int16" | "uint8" => DataType::Int16,
        "int32" | "uint16" => DataType::Int32,
        "int64" | "uint32" => DataType::Int64,
        "uint64" => DataType::Decimal128(20, 0),
        "int128" | "hugeint" => DataType::Decimal128(38, 0),
        "float32" => DataType::Float32,
        "float64" => DataType::Float64,
        "varchar" | "uuid" | "json" => DataType::Utf8,
        "blob" => DataType::Binary,
        "date" => DataType::Date32,
        "time" => DataType::Time64(microseconds),
        "timestamp" | "timestamp_s" | "timestamp_ms" | "timestamp_ns" => {
            DataType::Timestamp(microseconds, None)
        }
        "timestamptz" => DataType::Timestamp(microseconds, Some("UTC".into())),
        "interval" => DataType::Interval(IntervalUnit::MonthDayNano),
        "list" => match children.first() {
            Some(child) => DataType::List(Arc::clone(child)),
            None => return Err(unsupported("a list without an element type")),
        },
        "struct" => DataType::Struct(children.to_vec().into()),
        other => decimal(other).unwrap_or(DataType::Binary),
    };
    let field = Field::new(name, data_type, nullable);
    let key = match text {
        "uuid" | "json" => TYPE_KEY,
        "list" | "struct" => return Ok(field),
        _ if to_ducklake(&field)? == text => return Ok(field),
        _ => FOREIGN_TYPE,
    };
    Ok(field.with_metadata([(key.to_owned(), text.to_owned())].into()))
}

/// `decimal(10,2)`.
fn decimal(text: &str) -> Option<DataType> {
    let (precision, scale) = text.strip_prefix("decimal(")?.strip_suffix(')')?.split_once(',')?;
    let precision: u8 = precision.trim().parse().ok()?;
    let scale: i8 = scale.trim().parse().ok()?;
    (precision <= 38).then_some(DataType::Decimal128(precision, scale))
}

fn unsupported(what: &str) -> Error {
    Error::NotSupported { message: format!("type {what} cannot be stored"), hint: None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_go_there_and_back() {
        for name in [
            "boolean",
            "int16",
            "int32",
            "int64",
            "float32",
            "float64",
            "varchar",
            "uuid",
            "json",
            "blob",
            "date",
            "time",
            "timestamp",
            "timestamptz",
            "interval",
            "decimal(10,2)",
            "uint8",
            "uint64",
            "timestamp_ns",
            "map",
        ] {
            let field = from_ducklake(name, "c", true, &[]).unwrap();
            assert_eq!(to_ducklake(&field).unwrap(), name);
        }
        for name in ["decimal(99,2)", "geometry"] {
            let field = from_ducklake(name, "c", true, &[]).unwrap();
            assert!(check_readable(&field).is_err());
        }
        assert!(check_readable(&from_ducklake("uint8", "c", true, &[]).unwrap()).is_ok());
    }
}
