//! Tests of the store as its users see it: lakes in temporary folders, transactions, reopening.

mod codec;
mod commits;
mod conflicts;
mod definitions;
mod failures;
mod histories;
mod upkeep;
mod values;

use std::collections::BTreeMap;
use std::sync::Arc;

use datafusion::arrow::array::{Array, AsArray, Int64Array, StringArray};
use datafusion::arrow::datatypes::{DataType, Field, Int64Type};
use datafusion::arrow::record_batch::RecordBatch;
use roaring::RoaringTreemap;
use tempfile::TempDir;

use crate::*;

/// Rows as (key, value).
type Rows = Vec<(i64, Option<String>)>;

/// A Postgres database that the tests use instead of SQLite, each in a schema of its own.
const POSTGRES: &str = "SEXTANT_TEST_POSTGRES";

async fn options(folder: &TempDir) -> LakeOptions {
    let mut options = LakeOptions::new(folder.path().display().to_string());
    if let Ok(url) = std::env::var(POSTGRES) {
        let name = folder.path().file_name().unwrap().to_string_lossy().to_lowercase();
        let schema: String = name.chars().filter(char::is_ascii_alphanumeric).collect();
        let database = crate::metadata::Database::connect(&url, false).await.unwrap();
        let create = format!("CREATE SCHEMA IF NOT EXISTS s{schema}");
        database.query(&create, &[]).await.unwrap();
        database.close().await;
        options.catalog = Some(format!("{url}?options[search_path]=s{schema}"));
    }
    options
}

async fn open(folder: &TempDir) -> Arc<Lake> {
    Lake::open(options(folder).await).await.unwrap()
}

async fn begin(lake: &Arc<Lake>) -> Transaction {
    let state = lake.current().await.unwrap();
    Transaction::begin(Arc::clone(lake), state)
}

fn column(name: &str, data_type: DataType) -> NewColumn {
    NewColumn {
        name: name.to_owned(),
        field: Field::new(name, data_type, true),
        nullable: true,
        default: None,
        initial_default: None,
        comment: None,
    }
}

/// A table with the columns `k bigint, v text`.
fn pairs(name: &str) -> NewTable {
    NewTable {
        name: name.to_owned(),
        columns: vec![column("k", DataType::Int64), column("v", DataType::Utf8)],
        ..NewTable::default()
    }
}

fn batch(table: &Table, rows: &[(i64, &str)]) -> RecordBatch {
    let keys = Int64Array::from_iter_values(rows.iter().map(|(k, _)| *k));
    let values = StringArray::from_iter_values(rows.iter().map(|(_, v)| *v));
    RecordBatch::try_new(table.arrow_schema(), vec![Arc::new(keys), Arc::new(values)]).unwrap()
}

fn table(state: &State, name: &str) -> Arc<Table> {
    let relation = &state.schemas["main"].relations[name];
    Arc::clone(relation.as_table().unwrap())
}

async fn insert(transaction: &mut Transaction, name: &str, rows: &[(i64, &str)]) {
    let table = table(transaction.state(), name);
    transaction.append_rows(table.id, batch(&table, rows));
}

/// Deletes the inlined rows with some keys.
async fn delete(transaction: &mut Transaction, name: &str, keys: &[i64]) -> u64 {
    let table = table(transaction.state(), name);
    let rows = transaction.rows(&table).await.unwrap();
    let mut addresses: BTreeMap<FileId, RoaringTreemap> = BTreeMap::new();
    for chunk in &rows.inlined {
        let own = chunk.batch.column(0).as_primitive::<Int64Type>();
        for (key, position) in own.values().iter().zip(chunk.positions.iter()) {
            if keys.contains(key) {
                addresses.entry(chunk.file).or_default().insert(*position as u64);
            }
        }
    }
    transaction.delete(table.id, &addresses);
    addresses.values().map(RoaringTreemap::len).sum()
}

/// Inlined rows of a table, sorted.
fn contents(rows: &TableRows) -> Rows {
    let mut contents = Rows::new();
    for chunk in &rows.inlined {
        let keys = chunk.batch.column(0).as_primitive::<Int64Type>();
        let values = chunk.batch.column(1).as_string::<i32>();
        for row in 0..chunk.batch.num_rows() {
            let value = values.is_valid(row).then(|| values.value(row).to_owned());
            contents.push((keys.value(row), value));
        }
    }
    contents.sort();
    contents
}

async fn committed(lake: &Lake, name: &str) -> Rows {
    let state = lake.current().await.unwrap();
    let table = table(&state, name);
    contents(&lake.rows(&state, &table).await.unwrap())
}

async fn seen(transaction: &Transaction, name: &str) -> Rows {
    let table = table(transaction.state(), name);
    contents(&transaction.rows(&table).await.unwrap())
}

fn rows(rows: &[(i64, &str)]) -> Rows {
    rows.iter().map(|(k, v)| (*k, Some((*v).to_owned()))).collect()
}

/// A lake with the table `t` of the given rows.
async fn lake_with(folder: &TempDir, initial: &[(i64, &str)]) -> Arc<Lake> {
    let lake = open(folder).await;
    let mut transaction = begin(&lake).await;
    transaction.create_table("main", pairs("t")).unwrap();
    insert(&mut transaction, "t", initial).await;
    transaction.commit().await.unwrap();
    lake
}
