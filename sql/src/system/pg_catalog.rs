//! `pg_catalog`: every relation of PostgreSQL 15 with its columns and types (`relations.txt`, taken
//! from its own catalog), filled from the lake, the connection and the server, or empty.
//!
//! What Postgres is built with (types, operators, casts, …) comes from `built_in`.

pub(super) mod built_in;
mod live;
mod objects;

use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

use catalog::TYPE_KEY;
use datafusion::arrow::array::{ArrayRef, new_null_array};
use datafusion::arrow::compute::{cast, concat_batches};
use datafusion::arrow::datatypes::{DataType, Field, IntervalUnit, Schema, SchemaRef};
use datafusion::arrow::record_batch::{RecordBatch, RecordBatchOptions};
use datafusion::common::ScalarValue;

use crate::error::{Error, Result};
use crate::plan::{Environment, Lakes};
use crate::types::timestamptz;

pub use live::Live;
pub(super) use objects::relation_of;

/// A row: the columns that are not left to their default, which is NULL, or for flags, numbers and
/// ids false and 0.
pub type Row = Vec<(&'static str, ScalarValue)>;

/// Lines of a relation's name and its columns: `pg_am oid:oid amname:name …`.
const RELATIONS: &str = include_str!("pg_catalog/relations.txt");

/// The columns of relations by name.
pub(super) type Schemas = HashMap<&'static str, SchemaRef>;

static SCHEMAS: LazyLock<Schemas> = LazyLock::new(|| schemas(RELATIONS));

/// Reads lines like those of `relations.txt`.
pub(super) fn schemas(lines: &'static str) -> Schemas {
    let relation = |line: &'static str| {
        let mut words = line.split(' ');
        let name = words.next().unwrap_or_default();
        let fields = words.filter_map(|word| word.split_once(':')).map(|(n, t)| field(n, t));
        (name, Arc::new(Schema::new(fields.collect::<Vec<_>>())))
    };
    lines.lines().map(relation).collect()
}

/// The rows of a relation; None if it is not one of these.
pub(super) fn table(
    environment: &Environment,
    lakes: &Lakes,
    name: &str,
) -> Result<Option<RecordBatch>> {
    let Some(schema) = SCHEMAS.get(name) else { return Ok(None) };
    let live = environment.live.as_ref().and_then(|live| live.rows(name));
    let rows = match live {
        Some(rows) => rows,
        None => objects::rows(environment, lakes, name),
    };
    let own = batch(schema, rows)?;
    let parts: Vec<RecordBatch> = built_in::batch(name)?
        .into_iter()
        .chain(objects::of_system(name)?)
        .chain([own].into_iter().filter(|own| own.num_rows() > 0))
        .collect();
    let whole = concat_batches(schema, &parts).map_err(|error| Error::Engine(error.into()))?;
    Ok(Some(whole))
}

pub(super) fn field(name: &str, of: &str) -> Field {
    let (data_type, tag) = match of {
        "oidvector" => (list("oid"), Some(of)),
        "int2vector" => (list("int2"), Some(of)),
        _ => match of.strip_prefix('_') {
            Some(item) => (list(item), None),
            None => plain(of),
        },
    };
    tagged(Field::new(name, data_type, true), tag)
}

fn list(item: &str) -> DataType {
    let (data_type, tag) = plain(item);
    DataType::List(Arc::new(tagged(Field::new_list_field(data_type, true), tag)))
}

fn tagged(field: Field, tag: Option<&str>) -> Field {
    let tag = tag.map(|tag| (TYPE_KEY.to_owned(), tag.to_owned()));
    field.with_metadata(tag.into_iter().collect())
}

fn plain(of: &str) -> (DataType, Option<&str>) {
    match of {
        "bool" => (DataType::Boolean, None),
        "int2" => (DataType::Int16, None),
        "int4" | "cardinal_number" => (DataType::Int32, None),
        "int8" => (DataType::Int64, None),
        "float4" => (DataType::Float32, None),
        "float8" => (DataType::Float64, None),
        "numeric" => (DataType::Decimal128(38, 9), None),
        "bytea" => (DataType::Binary, None),
        "timestamptz" | "time_stamp" => (timestamptz(), None),
        "interval" => (DataType::Interval(IntervalUnit::MonthDayNano), None),
        "oid" | "xid" | "regproc" | "regtype" => (DataType::Int64, Some(of)),
        "name" | "inet" => (DataType::Utf8, Some(of)),
        "sql_identifier" => (DataType::Utf8, Some("name")),
        "character_data" => (DataType::Utf8, Some("varchar")),
        "yes_or_no" => (DataType::Utf8, Some("varchar(3)")),
        "char" => (DataType::Utf8, Some("\"char\"")),
        _ => (DataType::Utf8, None),
    }
}

/// Whether an id is a system relation's.
pub(super) fn is_built_in(oid: i64) -> bool {
    built_in::class(oid).is_some()
}

/// The columns of a system relation.
pub(super) fn schema(schema: &str, name: &str) -> Option<SchemaRef> {
    match schema {
        "information_schema" => super::information_schema::schema(name),
        "pg_catalog" => SCHEMAS.get(name).cloned(),
        own => {
            let mut all = super::own_relations();
            all.find(|(schema, other, ..)| *schema == own && *other == name).map(|found| found.3)
        }
    }
}

fn batch(schema: &SchemaRef, rows: Vec<Row>) -> Result<RecordBatch> {
    filled(schema, rows, default)
}

/// Rows in the columns of a relation, what they leave out by default.
pub(super) fn filled(
    schema: &SchemaRef,
    rows: Vec<Row>,
    default: fn(&Field) -> ScalarValue,
) -> Result<RecordBatch> {
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
