//! `pg_catalog`: every relation of PostgreSQL 15 with its columns and types (`relations.txt`, taken
//! from its own catalog), filled from the lake, the connection and the server, or empty.
//!
//! What Postgres is built with (types, operators, casts, …) comes from `Environment::pg_catalog`.

mod objects;

use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

use catalog::TYPE_KEY;
use datafusion::arrow::array::{ArrayRef, new_null_array};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, Field, IntervalUnit, Schema, SchemaRef};
use datafusion::arrow::record_batch::{RecordBatch, RecordBatchOptions};
use datafusion::common::ScalarValue;

use crate::error::{Error, Result};
use crate::plan::{Environment, Lakes};
use crate::types::timestamptz;

/// A row: the columns that are not left to their default, which is NULL, or for flags, numbers and
/// ids false and 0.
pub type Row = Vec<(&'static str, ScalarValue)>;

/// What the server knows and the lake does not: cursors, settings, connections.
pub trait Live: Send + Sync {
    /// The rows of a relation of `pg_catalog`; None if it is not about the server.
    fn rows(&self, relation: &str) -> Option<Vec<Row>>;
}

/// Lines of a relation's name and its columns: `pg_am oid:oid amname:name …`.
const RELATIONS: &str = include_str!("pg_catalog/relations.txt");

/// Relations that say what Postgres is built with.
const BUILT_IN: &[&str] = &[
    "pg_aggregate",
    "pg_am",
    "pg_amop",
    "pg_amproc",
    "pg_cast",
    "pg_collation",
    "pg_conversion",
    "pg_language",
    "pg_opclass",
    "pg_operator",
    "pg_opfamily",
    "pg_proc",
    "pg_range",
    "pg_tablespace",
    "pg_ts_config",
    "pg_ts_dict",
    "pg_ts_parser",
    "pg_ts_template",
    "pg_type",
];

static SCHEMAS: LazyLock<HashMap<&'static str, SchemaRef>> = LazyLock::new(|| {
    let relation = |line: &'static str| {
        let mut words = line.split(' ');
        let name = words.next().unwrap_or_default();
        let fields = words.filter_map(|word| word.split_once(':')).map(|(n, t)| field(n, t));
        (name, Arc::new(Schema::new(fields.collect::<Vec<_>>())))
    };
    RELATIONS.lines().map(relation).collect()
});

/// The rows of a relation; None if it is not one of these.
pub(super) fn table(
    environment: &Environment,
    lakes: &Lakes,
    name: &str,
) -> Result<Option<RecordBatch>> {
    if BUILT_IN.contains(&name) {
        return Ok(None);
    }
    let Some(schema) = SCHEMAS.get(name) else { return Ok(None) };
    let live = environment.live.as_ref().and_then(|live| live.rows(name));
    let rows = match live {
        Some(rows) => rows,
        None => objects::rows(environment, lakes, name),
    };
    batch(schema, rows).map(Some)
}

/// Names of all relations.
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    RELATIONS.lines().filter_map(|line| line.split(' ').next())
}

fn field(name: &str, of: &str) -> Field {
    let (data_type, tag) = match of.strip_prefix('_') {
        Some(item) => (DataType::new_list(plain(item).0, true), None),
        None => plain(of),
    };
    let tag = tag.map(|tag| (TYPE_KEY.to_owned(), tag.to_owned()));
    Field::new(name, data_type, true).with_metadata(tag.into_iter().collect())
}

fn plain(of: &str) -> (DataType, Option<&str>) {
    match of {
        "bool" => (DataType::Boolean, None),
        "int2" => (DataType::Int16, None),
        "int4" => (DataType::Int32, None),
        "int8" => (DataType::Int64, None),
        "float4" => (DataType::Float32, None),
        "float8" => (DataType::Float64, None),
        "numeric" => (DataType::Decimal128(38, 9), None),
        "bytea" => (DataType::Binary, None),
        "timestamptz" => (timestamptz(), None),
        "interval" => (DataType::Interval(IntervalUnit::MonthDayNano), None),
        "oid" | "xid" => (DataType::Int64, Some(of)),
        "oidvector" => (DataType::new_list(DataType::Int64, true), None),
        "int2vector" => (DataType::new_list(DataType::Int16, true), None),
        "name" | "regproc" => (DataType::Utf8, Some(of)),
        "char" => (DataType::Utf8, Some("\"char\"")),
        _ => (DataType::Utf8, None),
    }
}

fn batch(schema: &SchemaRef, rows: Vec<Row>) -> Result<RecordBatch> {
    let count = rows.len();
    let column = |field: &Arc<Field>| -> Result<ArrayRef> {
        let default = default(field);
        if count == 0 {
            return Ok(new_null_array(field.data_type(), 0));
        }
        let given = |row: &Row| {
            let found = row.iter().find(|(name, _)| name == field.name());
            found.map_or_else(|| default.clone(), |(_, value)| value.clone())
        };
        let values = rows.iter().map(given).map(|value| typed(value, field.data_type()));
        let values = values.collect::<Result<Vec<_>>>()?;
        let array = ScalarValue::iter_to_array(values)?;
        cast(&array, field.data_type()).map_err(|error| Error::Engine(error.into()))
    };
    let columns: Vec<ArrayRef> = schema.fields().iter().map(column).collect::<Result<_>>()?;
    let options = RecordBatchOptions::new().with_row_count(Some(count));
    RecordBatch::try_new_with_options(Arc::clone(schema), columns, &options)
        .map_err(|error| Error::Engine(error.into()))
}

fn typed(value: ScalarValue, of: &DataType) -> Result<ScalarValue> {
    match value.data_type() == *of {
        true => Ok(value),
        false => Ok(value.cast_to(of)?),
    }
}

fn default(field: &Field) -> ScalarValue {
    match field.data_type() {
        DataType::Boolean => ScalarValue::Boolean(Some(false)),
        DataType::Int16 => ScalarValue::Int16(Some(0)),
        DataType::Int32 => ScalarValue::Int32(Some(0)),
        DataType::Int64 => ScalarValue::Int64(Some(0)),
        other => ScalarValue::try_from(other).unwrap_or(ScalarValue::Null),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_relation_has_its_columns() {
        assert_eq!(SCHEMAS.len(), RELATIONS.lines().count());
        let class = &SCHEMAS["pg_class"];
        assert_eq!(class.field_with_name("relname").unwrap().metadata()[TYPE_KEY], "name");
        assert_eq!(class.field_with_name("relchecks").unwrap().data_type(), &DataType::Int16);
        for name in BUILT_IN {
            assert!(SCHEMAS.contains_key(name), "{name}");
        }
    }

    #[test]
    fn a_row_gives_what_it_knows() {
        let rows = vec![vec![("relname", ScalarValue::from("t")), ("relnatts", 2_i32.into())]];
        let batch = batch(&SCHEMAS["pg_class"], rows).unwrap();
        let shown = |name: &str| {
            let column = batch.column_by_name(name).unwrap();
            ScalarValue::try_from_array(column, 0).unwrap()
        };
        assert_eq!(shown("relnatts"), ScalarValue::Int16(Some(2)));
        assert_eq!(shown("relhasindex"), ScalarValue::Boolean(Some(false)));
        assert!(shown("relacl").is_null());
    }
}
