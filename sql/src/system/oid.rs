//! Object ids as `pg_catalog` shows them: the lake's own ids, moved out of Postgres' range, so that
//! they are the same after a restart and on every server of the lake.
//!
//! ```text
//!   0        20,000        2^29       2^30       3·2^29       2^31                    2^32
//!   │ Postgres │ lake       │ new ones │ temp     │ new temp  │ parts, in four quarters │
//! ```
//! What a transaction has made and not committed counts by itself ("new ones"), as do temp tables,
//! which are in a lake of their own.

use catalog::{ObjectId, PROVISIONAL, Table};

/// Postgres' own objects have ids below.
const FIRST: i64 = 20_000;
/// Ids of one kind of object.
const SPACE: i64 = 1 << 29;
/// The first of the two spaces of temp tables.
const TEMP: i64 = 2;
/// What belongs to a table is numbered in it.
const PARTS: i64 = 1 << 31;
/// Parts of each kind that a table can have before ids meet.
const PARTS_OF_TABLE: i64 = 64;
/// Columns that a table can have before ids of their defaults meet.
const COLUMNS_OF_TABLE: i64 = 2048;

/// The schema `pg_catalog`, as in Postgres.
pub const PG_CATALOG: i64 = 11;
/// The schema `information_schema`.
pub const INFORMATION_SCHEMA: i64 = 13_207;
/// The schema `lake`.
pub const LAKE: i64 = 13_001;
/// The schema `ml`.
pub const ML: i64 = 13_002;
/// The first relation of the schema `lake`; each has the next id.
pub const LAKE_RELATIONS: i64 = 17_000;
/// The first relation of the schema `ml`.
pub const ML_RELATIONS: i64 = 18_000;
/// The one database.
pub const DATABASE: i64 = 5;
/// The owner of everything.
pub const OWNER: i64 = 10;

/// The id of a schema, table or view.
pub fn of(id: ObjectId, temp: bool) -> i64 {
    let space = i64::from(id >= PROVISIONAL) + if temp { TEMP } else { 0 };
    FIRST + space * SPACE + (id & (SPACE - 1)) % (SPACE - FIRST)
}

/// The id of a table's constraint; a key's index has the next one.
pub fn of_constraint(table: &Table, temp: bool, index: usize) -> i64 {
    part(of(table.id, temp), PARTS_OF_TABLE, 2 * index)
}

/// The id of the index that a key looks as if it had.
pub fn of_index(table: &Table, temp: bool, index: usize) -> i64 {
    of_constraint(table, temp, index) + 1
}

/// The id of a column's default.
pub fn of_default(relation: i64, position: usize) -> i64 {
    part(relation, COLUMNS_OF_TABLE, position)
}

/// The id of the type of a relation's rows; the type of arrays of them has the next one. Both are
/// told apart from other types only.
pub fn of_row_type(relation: i64) -> i64 {
    part(relation, 2, 0)
}

/// The id of one of the things of a kind that a relation has `most` of.
fn part(relation: i64, most: i64, index: usize) -> i64 {
    let (space, number) = ((relation - FIRST) / SPACE, (relation - FIRST) % SPACE);
    let index = i64::try_from(index).unwrap_or(0);
    PARTS + space * SPACE + (number * most + index) % SPACE
}

/// The id of what has only a name, as functions that Postgres does not have: new ones change no
/// other's. Before each of three spaces there is room for as many ids as Postgres has.
pub fn of_name(name: &str) -> i64 {
    // FNV-1a.
    let step = |hash: u32, byte: u8| (hash ^ u32::from(byte)).wrapping_mul(16_777_619);
    let hash = i64::from(name.bytes().fold(2_166_136_261, step));
    (1 + hash / FIRST % 3) * SPACE + hash % FIRST
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn what_is_new_or_temporary_has_ids_of_its_own() {
        let new = PROVISIONAL;
        let mut relations = HashSet::new();
        let mut parts = HashSet::new();
        let mut types = HashSet::new();
        for id in (0..1000).chain(new..new + 1000) {
            for temp in [false, true] {
                let relation = of(id, temp);
                assert!((FIRST..PARTS).contains(&relation));
                assert!(relations.insert(relation), "{id}");
                let part = part(relation, PARTS_OF_TABLE, 5);
                assert!((PARTS..2 * PARTS).contains(&part));
                assert!(parts.insert(part), "{id}");
                let of_rows = of_row_type(relation);
                assert!(types.insert(of_rows) && types.insert(of_rows + 1), "{id}");
            }
        }
        // The three spaces that names fall before, each here once.
        let names = ["ab_ttest", "psi", "ks_test"].map(of_name);
        let spaces: HashSet<i64> = names.iter().map(|name| name / SPACE).collect();
        assert_eq!(spaces, HashSet::from([1, 2, 3]));
        assert!(names.iter().all(|name| name % SPACE < FIRST && !relations.contains(name)));
    }
}
