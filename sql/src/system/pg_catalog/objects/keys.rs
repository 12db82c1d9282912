//! Constraints and indexes, those too that keys look as if they had.

use std::collections::HashSet;

use catalog::{Constraint, IndexKey, Table};
use datafusion::common::ScalarValue;

use super::{Objects, Placed, count, some_text, text};
use crate::system::pg_catalog::Row;
use crate::system::{definitions, oid};

impl Objects<'_> {
    pub(super) fn constraints(&self) -> Vec<Row> {
        let mut rows = Vec::new();
        let tables = self.base_tables();
        for (placed, table) in &tables {
            for (index, constraint) in table.constraints.iter().enumerate() {
                if matches!(constraint, Constraint::Index(_) | Constraint::Generated { .. }) {
                    continue;
                }
                let mut row = vec![
                    ("oid", oid::of_constraint(table, placed.temp, index).into()),
                    ("conname", text(constraint.name())),
                    ("connamespace", placed.namespace.into()),
                    ("conrelid", placed.oid.into()),
                    ("convalidated", true.into()),
                    ("conislocal", true.into()),
                    ("connoinherit", true.into()),
                ];
                match constraint {
                    Constraint::Check { expression, .. } => {
                        row.push(("contype", text("c")));
                        row.push(("conkey", list(definitions::columns_of(table, expression))));
                        row.push(("conbin", text(expression)));
                    }
                    Constraint::Unique { columns, primary, .. } => {
                        row.push(("contype", text(if *primary { "p" } else { "u" })));
                        row.push(("conkey", numbers(table, columns)));
                        let index = oid::of_index(table, placed.temp, index);
                        row.push(("conindid", index.into()));
                    }
                    Constraint::ForeignKey { columns, references, referred, .. } => {
                        row.push(("contype", text("f")));
                        row.push(("conkey", numbers(table, columns)));
                        row.extend(["confupdtype", "confdeltype"].map(|name| (name, text("a"))));
                        row.push(("confmatchtype", text("s")));
                        if let Some((other, target)) = referred_to(&tables, placed, references) {
                            row.push(("confrelid", other.oid.into()));
                            let (key, columns) = definitions::referred_key(target, referred);
                            row.push(("confkey", numbers(target, &columns)));
                            if let Some(key) = key {
                                let index = oid::of_index(target, other.temp, key);
                                row.push(("conindid", index.into()));
                            }
                        }
                    }
                    Constraint::Index(_) | Constraint::Generated { .. } => {}
                }
                rows.push(row);
            }
        }
        rows
    }

    /// The tables that a foreign key is about, on either side.
    pub(super) fn referring(&self) -> HashSet<i64> {
        let tables = self.base_tables();
        let mut found = HashSet::new();
        for (placed, table) in &tables {
            for constraint in &table.constraints {
                let Constraint::ForeignKey { references, .. } = constraint else { continue };
                found.insert(placed.oid);
                let other = referred_to(&tables, placed, references);
                found.extend(other.map(|(other, _)| other.oid));
            }
        }
        found
    }

    pub(super) fn keys(&self) -> Vec<Row> {
        let mut rows = Vec::new();
        for (placed, table) in self.base_tables() {
            for key in keys(table) {
                rows.push(vec![
                    ("indexrelid", oid::of_index(table, placed.temp, key.constraint).into()),
                    ("indrelid", placed.oid.into()),
                    ("indnatts", count(key.columns.len())),
                    ("indnkeyatts", count(key.options.len())),
                    ("indisunique", key.unique.into()),
                    ("indisprimary", key.primary.into()),
                    ("indimmediate", true.into()),
                    ("indisvalid", true.into()),
                    ("indisready", true.into()),
                    ("indislive", true.into()),
                    ("indkey", numbers(table, &key.columns)),
                    ("indoption", small_integers(key.options)),
                ]);
            }
        }
        rows
    }

    pub(super) fn indexes(&self) -> Vec<Row> {
        let mut rows = Vec::new();
        for (placed, table) in self.base_tables() {
            for key in keys(table) {
                let definition = definitions::index(placed.schema, table, key.constraint);
                rows.push(vec![
                    ("schemaname", text(placed.schema)),
                    ("tablename", text(placed.name)),
                    ("indexname", text(key.name)),
                    ("indexdef", some_text(definition)),
                ]);
            }
        }
        rows
    }
}

/// The table that a foreign key of another one names.
fn referred_to<'a, 'b>(
    tables: &'b [(Placed<'a>, &'a Table)],
    from: &Placed<'_>,
    references: &str,
) -> Option<&'b (Placed<'a>, &'a Table)> {
    let (schema, name) = definitions::split(references);
    let named = |in_schema: Option<&str>| {
        let mut all = tables.iter().filter(|(other, _)| other.name == name);
        all.find(|(other, _)| in_schema.is_none_or(|schema| schema == other.schema))
    };
    match &schema {
        Some(schema) => named(Some(schema)),
        None => named(Some(from.schema)).or_else(|| named(None)),
    }
}

pub(super) fn is_check(constraint: &Constraint) -> bool {
    matches!(constraint, Constraint::Check { .. })
}

/// An index, or the one that a key looks as if it had.
pub(super) struct Key<'a> {
    /// Which of the table's constraints it is.
    pub constraint: usize,
    pub name: &'a str,
    pub method: &'a str,
    /// Those of INCLUDE come last and have no options.
    pub columns: Vec<i64>,
    pub options: Vec<i16>,
    pub unique: bool,
    pub primary: bool,
}

/// Flags of `indoption`.
const DESCENDING: i16 = 1;
const NULLS_FIRST: i16 = 2;

/// Indexes and keys of a table.
pub(super) fn keys(table: &Table) -> Vec<Key<'_>> {
    let mut found = Vec::new();
    for (number, constraint) in table.constraints.iter().enumerate() {
        let (method, options, unique, primary) = match constraint {
            Constraint::Unique { columns, primary, .. } => {
                ("btree", vec![0; columns.len()], true, *primary)
            }
            Constraint::Index(index) => {
                let flags = |key: &IndexKey| {
                    let descending = if key.descending { DESCENDING } else { 0 };
                    descending + if key.nulls_first { NULLS_FIRST } else { 0 }
                };
                let options = index.keys.iter().map(flags).collect();
                (index.method.as_str(), options, index.unique, false)
            }
            Constraint::Check { .. }
            | Constraint::ForeignKey { .. }
            | Constraint::Generated { .. } => continue,
        };
        found.push(Key {
            constraint: number,
            name: constraint.name(),
            method,
            columns: definitions::index_columns(constraint).unwrap_or_default(),
            options,
            unique,
            primary,
        });
    }
    found
}

/// Column numbers, from 1.
fn numbers(table: &Table, columns: &[i64]) -> ScalarValue {
    let position = |id: &i64| table.columns.iter().position(|column| column.id == *id);
    list(columns.iter().filter_map(position))
}

fn list(positions: impl Iterator<Item = usize>) -> ScalarValue {
    small_integers(positions.filter_map(|position| i16::try_from(position + 1).ok()).collect())
}

fn small_integers(numbers: Vec<i16>) -> ScalarValue {
    let of = datafusion::arrow::datatypes::DataType::Int16;
    let numbers: Vec<ScalarValue> = numbers.into_iter().map(ScalarValue::from).collect();
    ScalarValue::List(ScalarValue::new_list_nullable(&numbers, &of))
}
