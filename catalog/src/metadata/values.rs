//! Values between Rust and the two databases: booleans are integers, times and uuids text.

use sqlx::postgres::{PgArguments, PgRow};
use sqlx::sqlite::{SqliteArguments, SqliteRow};
use sqlx::{Arguments as _, Column as _, Decode, Postgres, Row as _, Sqlite, TypeInfo, ValueRef};

use super::database;
use crate::error::{Error, Result};

/// One value of the catalog database. Booleans are integers; times and uuids are text.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    Null,
    Integer(i64),
    Text(String),
    Bytes(Vec<u8>),
}

/// What a column holds, as far as the databases spell it differently.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Integer,
    Text,
    Boolean,
    Uuid,
    Time,
    Bytes,
    /// Text that may hold any character: bytes in Postgres.
    Utf8,
    /// An integer in SQLite, the named type in Postgres; bound as text.
    Whole(&'static str),
    /// Text in SQLite, the named type in Postgres; bound as text.
    Cast(&'static str),
}

/// A row as read: by position.
#[derive(Debug)]
pub struct Row(pub Vec<Value>);

impl From<i64> for Value {
    fn from(value: i64) -> Self {
        Self::Integer(value)
    }
}

impl From<u64> for Value {
    fn from(value: u64) -> Self {
        Self::Integer(i64::try_from(value).unwrap_or(i64::MAX))
    }
}

impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Self::Integer(i64::from(value))
    }
}

impl From<&str> for Value {
    fn from(value: &str) -> Self {
        Self::Text(value.to_owned())
    }
}

impl From<String> for Value {
    fn from(value: String) -> Self {
        Self::Text(value)
    }
}

impl<T: Into<Value>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

impl Row {
    pub fn integer(&self, index: usize) -> Option<i64> {
        match self.0.get(index) {
            Some(Value::Integer(value)) => Some(*value),
            Some(Value::Text(text)) => text.parse().ok(),
            _ => None,
        }
    }

    /// An integer the format demands.
    pub fn id(&self, index: usize) -> Result<i64> {
        self.integer(index)
            .ok_or_else(|| Error::Database(format!("column {index} of a row holds no integer")))
    }

    pub fn text(&self, index: usize) -> Option<String> {
        match self.0.get(index) {
            Some(Value::Text(text)) => Some(text.clone()),
            Some(Value::Integer(value)) => Some(value.to_string()),
            Some(Value::Bytes(bytes)) => Some(String::from_utf8_lossy(bytes).into_owned()),
            _ => None,
        }
    }

    /// Text the format demands; NULL reads as empty.
    pub fn name(&self, index: usize) -> String {
        self.text(index).unwrap_or_default()
    }

    /// SQLite keeps booleans as 0 and 1, some writers as text.
    pub fn boolean(&self, index: usize) -> Option<bool> {
        match self.0.get(index) {
            Some(Value::Integer(value)) => Some(*value != 0),
            Some(Value::Text(text)) => Some(matches!(text.as_str(), "true" | "t" | "1")),
            _ => None,
        }
    }
}

pub fn sqlite_arguments(values: &[Value]) -> SqliteArguments {
    let mut arguments = SqliteArguments::default();
    for value in values {
        // Encoding these types cannot fail.
        let _ = match value {
            Value::Null => arguments.add(Option::<i64>::None),
            Value::Integer(value) => arguments.add(*value),
            Value::Text(value) => arguments.add(value.clone()),
            Value::Bytes(value) => arguments.add(value.clone()),
        };
    }
    arguments
}

pub fn postgres_arguments(values: &[Value]) -> Result<PgArguments> {
    let mut arguments = PgArguments::default();
    for value in values {
        let added = match value {
            Value::Null => arguments.add(Option::<String>::None),
            Value::Integer(value) => arguments.add(*value),
            Value::Text(value) => arguments.add(value.clone()),
            Value::Bytes(value) => arguments.add(value.clone()),
        };
        added.map_err(|e| Error::Database(e.to_string()))?;
    }
    Ok(arguments)
}

pub fn sqlite_row(row: &SqliteRow) -> Result<Row> {
    let mut values = Vec::with_capacity(row.len());
    for index in 0..row.len() {
        let raw = row.try_get_raw(index).map_err(database)?;
        if raw.is_null() {
            values.push(Value::Null);
            continue;
        }
        let kind = raw.type_info().name().to_owned();
        let value = match kind.as_str() {
            "INTEGER" | "INT4" | "BOOLEAN" => {
                <i64 as Decode<Sqlite>>::decode(raw).map(Value::Integer)
            }
            "REAL" => {
                <f64 as Decode<Sqlite>>::decode(raw).map(|value| Value::Text(value.to_string()))
            }
            "BLOB" => <Vec<u8> as Decode<Sqlite>>::decode(raw).map(Value::Bytes),
            _ => <String as Decode<Sqlite>>::decode(raw).map(Value::Text),
        };
        values.push(value.map_err(|e| Error::Database(e.to_string()))?);
    }
    Ok(Row(values))
}

pub fn postgres_row(row: &PgRow) -> Result<Row> {
    let mut values = Vec::with_capacity(row.len());
    for column in row.columns() {
        let index = column.ordinal();
        let raw = row.try_get_raw(index).map_err(database)?;
        if raw.is_null() {
            values.push(Value::Null);
            continue;
        }
        let kind = raw.type_info().name().to_owned();
        let value = match kind.as_str() {
            "INT8" => <i64 as Decode<Postgres>>::decode(raw).map(Value::Integer),
            "INT4" => <i32 as Decode<Postgres>>::decode(raw).map(|v| Value::Integer(v.into())),
            "BOOL" => <bool as Decode<Postgres>>::decode(raw).map(|v| Value::Integer(v.into())),
            "BYTEA" => <Vec<u8> as Decode<Postgres>>::decode(raw).map(Value::Bytes),
            _ => <String as Decode<Postgres>>::decode(raw).map(Value::Text),
        };
        values.push(value.map_err(|e| Error::Database(e.to_string()))?);
    }
    Ok(Row(values))
}
