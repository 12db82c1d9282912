//! Relations that are computed from the catalog: `information_schema`, `pg_catalog`, `lake`, `ml`.
//!
//! Each is a function from the statement's state to rows; a name not listed here is not one.

mod defaults;
pub mod definitions;
mod encodings;
pub mod functions;
mod grants;
mod information_schema;
mod lake;
mod ml;
pub mod oid;
pub mod own_functions;
mod pg_catalog;
pub mod privileges;
pub mod references;
mod routines;
mod schemas;
mod sequences;
pub mod sizes;
mod type_names;
mod updatable;

use std::sync::Arc;

use catalog::{State, Transaction};
use datafusion::arrow::array::{
    ArrayRef, BooleanArray, Float64Array, Int32Builder, Int64Builder, StringBuilder,
    TimestampMicrosecondArray,
};
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use datafusion::arrow::record_batch::RecordBatch;
use datafusion::datasource::{MemTable, TableProvider};

use crate::error::{Error, Result};
use crate::features;
use crate::plan::{Environment, Lakes};
use crate::statements::external;

pub use own_functions::{OwnArgument, OwnFunction};
pub use pg_catalog::{Live, Row};
pub(crate) use type_names::shown as type_name;

/// Schemas that hold what is computed, with their ids.
pub(crate) const SCHEMAS: [(&str, i64); 4] = [
    ("information_schema", oid::INFORMATION_SCHEMA),
    ("lake", oid::LAKE),
    ("ml", oid::ML),
    ("pg_catalog", oid::PG_CATALOG),
];

/// The relations of `lake` and `ml`: schema, name, id, columns.
fn own_relations() -> impl Iterator<Item = (&'static str, &'static str, i64, SchemaRef)> {
    let of = |schema: &'static str, first: i64, all: &'static [(&'static str, Columns)]| {
        let relation = move |((name, columns), oid): (&(&'static str, Columns), i64)| {
            (schema, *name, oid, self::schema(columns))
        };
        all.iter().zip(first..).map(relation)
    };
    let lake = of("lake", oid::LAKE_RELATIONS, lake::RELATIONS);
    lake.chain(of("ml", oid::ML_RELATIONS, ml::RELATIONS))
}

/// The id of a relation that is computed from the catalog.
pub(crate) fn relation_oid(schema: &str, name: &str) -> Option<i64> {
    let mut all = pg_catalog::built_in::classes().iter();
    all.find(|class| class.schema == schema && class.name == name).map(|class| class.oid)
}

/// Whether a schema is one of `SCHEMAS`.
pub(crate) fn is_schema(name: &str) -> bool {
    SCHEMAS.iter().any(|(schema, _)| *schema == name)
}

/// The system relation of this name; None if there is none.
pub async fn table(
    environment: &Environment,
    lakes: &Lakes,
    schema: &str,
    name: &str,
) -> Result<Option<Arc<dyn TableProvider>>> {
    let lists_all = matches!(schema, "information_schema" | "pg_catalog")
        && pg_catalog::schema(schema, name).is_some();
    let shown = lists_all.then(|| with_shown(lakes));
    let lakes = shown.as_ref().unwrap_or(lakes);
    let batch = match schema {
        "information_schema" => information_schema::table(environment, lakes, name)?,
        "lake" => lake::table(environment, lakes, name).await?,
        "ml" => ml::table(environment, lakes, name).await?,
        "pg_catalog" if name == "pg_stat_progress_create_model" => {
            ml::table(environment, lakes, "trainings").await?
        }
        "pg_catalog" => pg_catalog::table(environment, lakes, name)?,
        _ => None,
    };
    let Some(batch) = batch else { return Ok(None) };
    Ok(Some(Arc::new(MemTable::try_new(batch.schema(), vec![vec![batch]])?)))
}

/// The same with what catalogs list besides.
fn with_shown(lakes: &Lakes) -> Lakes {
    let main = lakes.main.showing(shown(lakes.main.state()));
    Lakes { main, temp: lakes.temp.as_ref().map(Transaction::copy) }
}

/// The state with what feature views have beside themselves, and external tables.
fn shown(state: &Arc<State>) -> Arc<State> {
    external::shown(features::shown(state))
}

/// A cell of a system relation.
pub(crate) enum Cell {
    Text(String),
    Integer(i32),
    Long(i64),
    Boolean(bool),
    Float(f64),
    /// Microseconds since 1970 UTC.
    Time(i64),
    Null,
}

impl From<&str> for Cell {
    fn from(value: &str) -> Self {
        Self::Text(value.to_string())
    }
}

impl From<String> for Cell {
    fn from(value: String) -> Self {
        Self::Text(value)
    }
}

impl From<bool> for Cell {
    /// information_schema's `yes_or_no`.
    fn from(value: bool) -> Self {
        Self::Text(if value { "YES" } else { "NO" }.to_string())
    }
}

impl From<i32> for Cell {
    fn from(value: i32) -> Self {
        Self::Integer(value)
    }
}

impl From<i64> for Cell {
    fn from(value: i64) -> Self {
        Self::Long(value)
    }
}

impl<T: Into<Cell>> From<Option<T>> for Cell {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

/// A column's name and the letter of its type, see `batch`.
pub(crate) type Columns = &'static [(&'static str, char)];

/// Rows as a batch; `t` is text, `i` a 32-bit and `l` a 64-bit integer, `z` a time, `b` boolean,
/// `d` a float.
pub(crate) fn batch(columns: Columns, rows: Vec<Vec<Cell>>) -> Result<RecordBatch> {
    let schema = schema(columns);
    let arrays = columns.iter().enumerate().map(|(index, (_, kind))| array(*kind, index, &rows));
    let arrays: Vec<ArrayRef> = arrays.collect();
    let options =
        datafusion::arrow::record_batch::RecordBatchOptions::new().with_row_count(Some(rows.len()));
    RecordBatch::try_new_with_options(schema, arrays, &options).map_err(|e| Error::Engine(e.into()))
}

fn schema(columns: Columns) -> SchemaRef {
    let field = |(name, kind): &(&str, char)| {
        let data_type = match kind {
            'b' => DataType::Boolean,
            'd' => DataType::Float64,
            'i' => DataType::Int32,
            'l' => DataType::Int64,
            'z' => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
            _ => DataType::Utf8,
        };
        Field::new(*name, data_type, true)
    };
    Arc::new(Schema::new(columns.iter().map(field).collect::<Vec<_>>()))
}

fn array(kind: char, index: usize, rows: &[Vec<Cell>]) -> ArrayRef {
    let cells = rows.iter().map(|row| row.get(index));
    match kind {
        'i' => {
            let mut builder = Int32Builder::with_capacity(rows.len());
            cells.for_each(|cell| match cell {
                Some(Cell::Integer(value)) => builder.append_value(*value),
                _ => builder.append_null(),
            });
            Arc::new(builder.finish())
        }
        'l' => {
            let mut builder = Int64Builder::with_capacity(rows.len());
            cells.for_each(|cell| match cell {
                Some(Cell::Long(value)) => builder.append_value(*value),
                Some(Cell::Integer(value)) => builder.append_value(i64::from(*value)),
                _ => builder.append_null(),
            });
            Arc::new(builder.finish())
        }
        'b' => {
            let flags = cells.map(|cell| match cell {
                Some(Cell::Boolean(flag)) => Some(*flag),
                _ => None,
            });
            Arc::new(flags.collect::<BooleanArray>())
        }
        'd' => {
            let numbers = cells.map(|cell| match cell {
                Some(Cell::Float(value)) => Some(*value),
                _ => None,
            });
            Arc::new(numbers.collect::<Float64Array>())
        }
        'z' => {
            let times = cells.map(|cell| match cell {
                Some(Cell::Time(value)) => Some(*value),
                _ => None,
            });
            let times: TimestampMicrosecondArray = times.collect();
            Arc::new(times.with_timezone("UTC"))
        }
        _ => {
            let mut builder = StringBuilder::new();
            cells.for_each(|cell| match cell {
                Some(Cell::Text(value)) => builder.append_value(value),
                _ => builder.append_null(),
            });
            Arc::new(builder.finish())
        }
    }
}
