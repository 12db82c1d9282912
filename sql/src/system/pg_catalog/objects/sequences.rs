//! Sequences, and the columns that are numbered from them.

use catalog::{State, Table};
use datafusion::common::ScalarValue;

use super::{Objects, Placed, built_in, count, text};
use crate::plan::TEMP_SCHEMA;
use crate::sequences::{self, Identity, Kept};
use crate::system::oid;
use crate::system::pg_catalog::Row;

/// A sequence where users see it.
struct Numbers<'a> {
    schema: &'a str,
    namespace: i64,
    name: &'a str,
    temp: bool,
    oid: i64,
    kept: Kept,
}

impl<'a> Objects<'a> {
    fn sequences(&self) -> Vec<Numbers<'a>> {
        let mut found = Vec::new();
        let mut add = |state: &'a State, temp: bool| {
            for (schema, name, id, kept) in sequences::all(state) {
                let Some(held) = state.schemas.get(schema) else { continue };
                let shown = if temp { TEMP_SCHEMA } else { schema };
                found.push(Numbers {
                    schema: shown,
                    namespace: oid::of(held.id, temp),
                    name,
                    temp,
                    oid: oid::of(id, temp),
                    kept,
                });
            }
        };
        add(self.lakes.main.state(), false);
        if let Some(temp) = &self.lakes.temp {
            add(temp.state(), true);
        }
        found
    }

    /// Their rows of `pg_class`.
    pub(super) fn classes_of_sequences(&self) -> Vec<Row> {
        let row = |numbers: Numbers<'_>| {
            vec![
                ("oid", numbers.oid.into()),
                ("relname", text(numbers.name)),
                ("relnamespace", numbers.namespace.into()),
                ("relowner", oid::OWNER.into()),
                ("relkind", text("S")),
                ("relnatts", count(3)),
                ("relpersistence", text(if numbers.temp { "t" } else { "p" })),
                ("relispopulated", true.into()),
                ("relreplident", text("n")),
                ("reltuples", ScalarValue::Float32(Some(1.0))),
            ]
        };
        self.sequences().into_iter().map(row).collect()
    }

    pub(super) fn pg_sequence(&self) -> Vec<Row> {
        let row = |numbers: Numbers<'_>| {
            let of = numbers.kept.numbers;
            vec![
                ("seqrelid", numbers.oid.into()),
                ("seqtypid", i64::from(type_oid(&numbers.kept.of_type)).into()),
                ("seqstart", of.start.into()),
                ("seqincrement", of.increment.into()),
                ("seqmax", of.maximum.into()),
                ("seqmin", of.minimum.into()),
                ("seqcache", numbers.kept.cache.into()),
                ("seqcycle", of.cycle.into()),
            ]
        };
        self.sequences().into_iter().map(row).collect()
    }

    pub(super) fn pg_sequences(&self) -> Vec<Row> {
        let row = |numbers: Numbers<'_>| {
            let of = numbers.kept.numbers;
            vec![
                ("schemaname", text(numbers.schema)),
                ("sequencename", text(numbers.name)),
                ("data_type", i64::from(type_oid(&numbers.kept.of_type)).into()),
                ("start_value", of.start.into()),
                ("min_value", of.minimum.into()),
                ("max_value", of.maximum.into()),
                ("increment_by", of.increment.into()),
                ("cycle", of.cycle.into()),
                ("cache_size", numbers.kept.cache.into()),
            ]
        };
        self.sequences().into_iter().map(row).collect()
    }

    /// That sequences go with the columns that own them.
    pub(super) fn owned_sequences(&self) -> Vec<Row> {
        let tables = self.base_tables();
        let mut rows = Vec::new();
        for numbers in self.sequences() {
            let Some(owner) = &numbers.kept.owner else { continue };
            let Some((placed, table)) = tables.iter().find(|(_, t)| t.uuid == owner.table) else {
                continue;
            };
            let Some(at) = table.columns.iter().position(|c| c.id == owner.column) else {
                continue;
            };
            rows.push(vec![
                ("classid", built_in("pg_class").into()),
                ("objid", numbers.oid.into()),
                ("refclassid", built_in("pg_class").into()),
                ("refobjid", placed.oid.into()),
                ("refobjsubid", count(at + 1)),
                ("deptype", text(if owner.identity.is_some() { "i" } else { "a" })),
            ]);
        }
        rows
    }

    /// The identity columns of a table, as positions.
    pub(super) fn identities(&self, placed: &Placed<'_>, table: &Table) -> Vec<(usize, Identity)> {
        match (&self.lakes.temp, placed.temp) {
            (Some(temp), true) => sequences::identities(temp.state(), table),
            _ => sequences::identities(self.lakes.main.state(), table),
        }
    }
}

fn type_oid(name: &str) -> u32 {
    match name {
        "smallint" => 21,
        "integer" => 23,
        _ => 20,
    }
}
