//! Rows kept in the catalog database: `ducklake_inlined_data_<table>_<schema version>`.
//!
//! One SQL table per layout of a lake table, named after the lake's schema version that brought
//! the layout. Values are DuckLake's text form except integers, booleans and byte strings.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, BinaryArray, new_null_array};
use datafusion::arrow::datatypes::{DataType, Field};
use datafusion::arrow::record_batch::{RecordBatch, RecordBatchOptions};

use super::{Dialect, Kind, Row, Session, Value, quoted};
use crate::columns;
use crate::error::{Error, Result};
use crate::model::{Column, INLINED, INLINED_COLUMNS, InlinedRows, ObjectId, SnapshotId, Table};
use crate::types;

/// A column of a table of inlined rows.
struct Stored<'a> {
    name: String,
    kind: Kind,
    column: &'a Column,
}

pub fn data_table(table: ObjectId, schema_version: i64) -> String {
    format!("ducklake_inlined_data_{table}_{schema_version}")
}

pub fn delete_table(table: ObjectId) -> String {
    format!("ducklake_inlined_delete_{table}")
}

/// CREATE TABLE for the rows of a table's present layout.
pub fn create_sql(dialect: Dialect, table: &Table) -> Result<String> {
    let integer = dialect.type_name(Kind::Integer);
    let front = INLINED_COLUMNS.iter().map(|name| format!("{name} {integer}"));
    let mut columns: Vec<String> = front.collect();
    for stored in stored(&table.columns)? {
        let name = quoted(&stored.name);
        columns.push(format!("{name} {}", dialect.type_name(stored.kind)));
    }
    let name = data_table(table.id, table.schema_version);
    Ok(format!("CREATE TABLE IF NOT EXISTS {name} ({})", columns.join(", ")))
}

/// Column names as SQL tables can hold them: ours in front and, whatever their case, unique.
fn physical_name(id: i64, name: &str, taken: &mut Vec<String>) -> String {
    let lower = name.to_lowercase();
    let clash = INLINED_COLUMNS.contains(&lower.as_str()) || taken.contains(&lower);
    let name = if clash { format!("{name}_{id}") } else { name.to_owned() };
    taken.push(name.to_lowercase());
    name
}

fn stored<'a>(columns: &'a [Column]) -> Result<Vec<Stored<'a>>> {
    let mut taken = Vec::new();
    let stored = |column: &'a Column| {
        Ok(Stored {
            name: physical_name(column.id, &column.name, &mut taken),
            kind: kind(&columns::type_name(&column.field)?),
            column,
        })
    };
    columns.iter().map(stored).collect()
}

/// How the official implementation stores a type in either database.
fn kind(type_name: &str) -> Kind {
    match type_name {
        "boolean" => Kind::Boolean,
        "int8" | "int16" | "uint8" => Kind::Whole("smallint"),
        "int32" | "uint16" => Kind::Whole("integer"),
        "int64" | "uint32" => Kind::Whole("bigint"),
        "float32" => Kind::Cast("real"),
        "float64" => Kind::Cast("double precision"),
        "varchar" | "json" => Kind::Utf8,
        "blob" => Kind::Bytes,
        "uuid" => Kind::Uuid,
        "time" => Kind::Cast("time without time zone"),
        "interval" => Kind::Cast("interval"),
        _ if type_name.starts_with("decimal") => Kind::Cast("numeric"),
        _ => Kind::Text,
    }
}

/// Adds rows with row ids from `row_id` on.
pub async fn insert(
    session: &mut Session,
    table: &Table,
    batch: &RecordBatch,
    row_id: i64,
    snapshot: SnapshotId,
) -> Result<()> {
    table.columns.iter().try_for_each(|column| types::check_writable(&column.field))?;
    let stored = stored(&table.columns)?;
    let dialect = session.dialect();
    let mut columns: Vec<(&str, Kind)> = INLINED_COLUMNS.map(|name| (name, Kind::Integer)).to_vec();
    columns.extend(stored.iter().map(|s| (s.name.as_str(), s.kind)));
    let mut rows = Vec::with_capacity(batch.num_rows());
    for index in 0..batch.num_rows() {
        let id = row_id + index as i64;
        let mut row = vec![Value::Integer(id), Value::Integer(snapshot), Value::Null];
        let cells = stored.iter().zip(batch.columns());
        for (s, array) in cells {
            row.push(cell(array, index, s.kind, dialect)?);
        }
        rows.push(row);
    }
    session.insert(&data_table(table.id, table.schema_version), &columns, &rows).await
}

fn cell(array: &ArrayRef, row: usize, kind: Kind, dialect: Dialect) -> Result<Value> {
    if array.is_null(row) {
        return Ok(Value::Null);
    }
    if let Some(bytes) = array.as_binary_opt::<i32>() {
        return Ok(Value::Bytes(bytes.value(row).to_vec()));
    }
    let Some(text) = types::value_text(array, row) else {
        return Err(Error::InvalidParameter {
            message: format!("a value of type {} cannot be written", array.data_type()),
            hint: None,
        });
    };
    Ok(match (kind, dialect) {
        (Kind::Boolean, _) => Value::from(text == "true"),
        (Kind::Utf8, Dialect::Postgres) => Value::Bytes(text.into_bytes()),
        _ => Value::Text(text),
    })
}

/// A table of inlined rows as an older layout left it.
pub struct Layout {
    pub schema_version: i64,
    /// The snapshot that brought it.
    pub begin_snapshot: SnapshotId,
    /// Names of the SQL table's columns by column id.
    names: HashMap<i64, String>,
}

/// The layouts of a table, oldest first.
pub async fn layouts(session: &mut Session, table: &Table) -> Result<Vec<Layout>> {
    let begin = "COALESCE((SELECT MIN(v.begin_snapshot) FROM ducklake_schema_versions v \
                 WHERE v.table_id = i.table_id AND v.schema_version = i.schema_version), \
                 (SELECT MIN(s.snapshot_id) FROM ducklake_snapshot s \
                 WHERE s.schema_version >= i.schema_version), 0)";
    let sql = format!(
        "SELECT i.schema_version, {begin} FROM ducklake_inlined_data_tables i \
         WHERE i.table_id = ? ORDER BY i.schema_version"
    );
    let mut layouts = Vec::new();
    for row in session.query(&sql, &[table.id.into()]).await? {
        let (schema_version, begin_snapshot) = (row.id(0)?, row.id(1)?);
        let names = names_at(session, table.id, begin_snapshot).await?;
        layouts.push(Layout { schema_version, begin_snapshot, names });
    }
    Ok(layouts)
}

/// First snapshots of all layouts a table has had.
pub async fn layout_starts(session: &mut Session, table: ObjectId) -> Result<BTreeSet<SnapshotId>> {
    let sql = "SELECT begin_snapshot FROM ducklake_schema_versions WHERE table_id = ?";
    let rows = session.query(sql, &[table.into()]).await?;
    rows.iter().map(|row| row.id(0)).collect()
}

async fn names_at(
    session: &mut Session,
    table: ObjectId,
    at: SnapshotId,
) -> Result<HashMap<i64, String>> {
    let sql = "SELECT column_id, column_name FROM ducklake_column WHERE table_id = ? \
               AND parent_column IS NULL AND begin_snapshot <= ? \
               AND (end_snapshot IS NULL OR end_snapshot > ?) ORDER BY column_order";
    let rows = session.query(sql, &[table, at, at].map(Value::Integer)).await?;
    let mut taken = Vec::new();
    let name = |row: &Row| {
        let id = row.id(0)?;
        Ok((id, physical_name(id, &row.name(1), &mut taken)))
    };
    rows.iter().map(name).collect()
}

/// The live rows of one layout in the table's present columns.
pub async fn read(
    session: &mut Session,
    table: &Table,
    layout: &Layout,
    at: SnapshotId,
) -> Result<Option<InlinedRows>> {
    let live = "WHERE begin_snapshot <= ? AND (end_snapshot IS NULL OR end_snapshot > ?)";
    let found = select(session, table, layout, live, &[at.into(), at.into()]).await?;
    let rows = |found: History| InlinedRows {
        file: INLINED,
        positions: Arc::new(found.row_ids),
        batch: found.batch,
    };
    Ok(Some(found).filter(|found| !found.row_ids.is_empty()).map(rows))
}

/// Every row of one layout with the snapshots it lived in.
#[derive(Debug)]
pub struct History {
    pub batch: RecordBatch,
    pub row_ids: Vec<i64>,
    pub begins: Vec<SnapshotId>,
    pub ends: Vec<Option<SnapshotId>>,
}

/// All that a layout keeps, in the columns of `table`.
pub async fn history(session: &mut Session, table: &Table, layout: &Layout) -> Result<History> {
    select(session, table, layout, "", &[]).await
}

async fn select(
    session: &mut Session,
    table: &Table,
    layout: &Layout,
    condition: &str,
    arguments: &[Value],
) -> Result<History> {
    let dialect = session.dialect();
    let stored = stored(&table.columns)?;
    let then = |s: &Stored<'_>| layout.names.get(&s.column.id).cloned();
    let present: Vec<Option<String>> = stored.iter().map(then).collect();
    let mut selected: Vec<String> = INLINED_COLUMNS.map(str::to_owned).to_vec();
    let read = |(s, name): (&Stored<'_>, &Option<String>)| {
        name.as_ref().map(|name| dialect.selected(name, s.kind))
    };
    selected.extend(stored.iter().zip(&present).filter_map(read));
    let sql = format!(
        "SELECT {} FROM {} {condition} ORDER BY row_id, begin_snapshot",
        selected.join(", "),
        data_table(table.id, layout.schema_version),
    );
    let rows = session.query(&sql, arguments).await?;
    let mut arrays = Vec::with_capacity(stored.len());
    let mut index = INLINED_COLUMNS.len();
    for (s, name) in stored.iter().zip(&present) {
        if name.is_none() {
            arrays.push(constant(s.column, rows.len())?);
            continue;
        }
        arrays.push(decode(&rows, index, &s.column.field)?);
        index += 1;
    }
    Ok(History {
        batch: batch(table, arrays, rows.len())?,
        row_ids: rows.iter().map(|row| row.id(0)).collect::<Result<_>>()?,
        begins: rows.iter().map(|row| row.id(1)).collect::<Result<_>>()?,
        ends: rows.iter().map(|row| row.integer(2)).collect(),
    })
}

/// A batch of the table's columns; also when it has none.
pub fn batch(table: &Table, arrays: Vec<ArrayRef>, rows: usize) -> Result<RecordBatch> {
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    // NOT NULL is checked when rows are written, and other tools' rows may break it.
    let fields: Vec<Arc<Field>> = table.columns.iter().map(|c| Arc::clone(&c.field)).collect();
    let schema = Arc::new(datafusion::arrow::datatypes::Schema::new(fields));
    RecordBatch::try_new_with_options(schema, arrays, &options).map_err(|e| Error::Engine(e.into()))
}

/// What rows that are older than a column read as.
pub fn constant(column: &Column, rows: usize) -> Result<ArrayRef> {
    match &column.initial_default {
        None => Ok(new_null_array(column.field.data_type(), rows)),
        Some(text) => types::parse_values(&vec![Some(text.clone()); rows], &column.field),
    }
}

fn decode(rows: &[Row], index: usize, field: &Field) -> Result<ArrayRef> {
    types::check_readable(field)?;
    if field.data_type() == &DataType::Binary {
        let bytes = |row: &Row| match row.0.get(index) {
            Some(Value::Bytes(bytes)) => Some(bytes.clone()),
            Some(Value::Text(text)) => Some(text.clone().into_bytes()),
            _ => None,
        };
        let values: Vec<Option<Vec<u8>>> = rows.iter().map(bytes).collect();
        return Ok(Arc::new(BinaryArray::from_iter(values)));
    }
    let boolean = field.data_type() == &DataType::Boolean;
    let text = |row: &Row| {
        if boolean {
            return row.boolean(index).map(|value| value.to_string());
        }
        row.text(index)
    };
    let texts: Vec<Option<String>> = rows.iter().map(text).collect();
    types::parse_values(&texts, field)
}
