//! Object ids as `pg_catalog` shows them: the lake's own ids, moved out of Postgres' range, so that
//! they are the same after a restart and on every server of the lake.

use catalog::{ObjectId, Table};

/// Postgres' own objects have ids below.
const FIRST: i64 = 20_000;
/// Temp tables are in a lake of their own, which counts anew.
const TEMP: i64 = 1 << 30;
/// What belongs to a table is numbered in it.
const PARTS: i64 = 1 << 31;
/// Parts of each kind that a table can have before ids meet.
const PARTS_OF_TABLE: i64 = 64;

/// The schema `pg_catalog`, as in Postgres.
pub const PG_CATALOG: i64 = 11;
/// The schema `information_schema`.
pub const INFORMATION_SCHEMA: i64 = 13_207;
/// The schema `lake`.
pub const LAKE: i64 = 13_001;
/// The schema `ml`.
pub const ML: i64 = 13_002;
/// The one database.
pub const DATABASE: i64 = 5;
/// The owner of everything.
pub const OWNER: i64 = 10;

/// The id of a schema, table or view.
pub fn of(id: ObjectId, temp: bool) -> i64 {
    FIRST + (id & (TEMP - 1)) % (TEMP - FIRST) + if temp { TEMP } else { 0 }
}

/// The id of a table's constraint; a key's index has the next one.
pub fn of_constraint(table: &Table, temp: bool, index: usize) -> i64 {
    let index = i64::try_from(index).unwrap_or(0);
    PARTS + (of(table.id, temp) * PARTS_OF_TABLE + 2 * index) % PARTS
}

/// The id of the index that a key looks as if it had.
pub fn of_index(table: &Table, temp: bool, index: usize) -> i64 {
    of_constraint(table, temp, index) + 1
}

/// The id of a column's default.
pub fn of_default(relation: i64, position: usize) -> i64 {
    PARTS + (relation * 2048 + i64::try_from(position).unwrap_or(0)) % PARTS
}
