//! Constraints, and the indexes that keys look as if they had.

use catalog::{Constraint, Table};
use datafusion::common::ScalarValue;

use super::{Objects, count, some_text, text};
use crate::system::pg_catalog::Row;
use crate::system::{definitions, oid};

impl Objects<'_> {
    pub(super) fn constraints(&self) -> Vec<Row> {
        let mut rows = Vec::new();
        let tables = self.base_tables();
        for (placed, table) in &tables {
            for (index, constraint) in table.constraints.iter().enumerate() {
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
                        let name = references.rsplit('.').next().unwrap_or_default();
                        let name = name.trim_matches('"');
                        let other = tables.iter().find(|(other, _)| other.name == name);
                        if let Some((other, target)) = other {
                            row.push(("confrelid", other.oid.into()));
                            row.push(("confkey", named(target, referred)));
                        }
                    }
                }
                rows.push(row);
            }
        }
        rows
    }

    pub(super) fn keys(&self) -> Vec<Row> {
        let mut rows = Vec::new();
        for (placed, table) in self.base_tables() {
            for (index, _, columns, primary) in keys(table) {
                rows.push(vec![
                    ("indexrelid", oid::of_index(table, placed.temp, index).into()),
                    ("indrelid", placed.oid.into()),
                    ("indnatts", count(columns.len())),
                    ("indnkeyatts", count(columns.len())),
                    ("indisunique", true.into()),
                    ("indisprimary", primary.into()),
                    ("indimmediate", true.into()),
                    ("indisvalid", true.into()),
                    ("indisready", true.into()),
                    ("indislive", true.into()),
                    ("indkey", numbers(table, columns)),
                    ("indoption", options(columns.len())),
                ]);
            }
        }
        rows
    }

    pub(super) fn indexes(&self) -> Vec<Row> {
        let mut rows = Vec::new();
        for (placed, table) in self.base_tables() {
            for (index, name, ..) in keys(table) {
                rows.push(vec![
                    ("schemaname", text(placed.schema)),
                    ("tablename", text(placed.name)),
                    ("indexname", text(name)),
                    ("indexdef", some_text(definitions::index(placed.schema, table, index))),
                ]);
            }
        }
        rows
    }
}

pub(super) fn is_check(constraint: &Constraint) -> bool {
    matches!(constraint, Constraint::Check { .. })
}

/// Keys of a table: which constraint, its name, its columns, whether it is the primary one.
pub(super) fn keys(table: &Table) -> Vec<(usize, &str, &[i64], bool)> {
    let mut found = Vec::new();
    for (index, constraint) in table.constraints.iter().enumerate() {
        if let Constraint::Unique { name, columns, primary } = constraint {
            found.push((index, name.as_str(), columns.as_slice(), *primary));
        }
    }
    found
}

/// Column numbers, from 1.
fn numbers(table: &Table, columns: &[i64]) -> ScalarValue {
    let position = |id: &i64| table.columns.iter().position(|column| column.id == *id);
    list(columns.iter().filter_map(position))
}

fn named(table: &Table, columns: &[String]) -> ScalarValue {
    let position = |name: &String| table.columns.iter().position(|column| column.name == *name);
    list(columns.iter().filter_map(position))
}

fn list(positions: impl Iterator<Item = usize>) -> ScalarValue {
    let number = |position: usize| ScalarValue::Int16(i16::try_from(position + 1).ok());
    let numbers: Vec<ScalarValue> = positions.map(number).collect();
    let of = datafusion::arrow::datatypes::DataType::Int16;
    ScalarValue::List(ScalarValue::new_list_nullable(&numbers, &of))
}

/// Ascending, NULLs last, for each column.
fn options(columns: usize) -> ScalarValue {
    let of = datafusion::arrow::datatypes::DataType::Int16;
    let options = vec![ScalarValue::Int16(Some(0)); columns];
    ScalarValue::List(ScalarValue::new_list_nullable(&options, &of))
}
