//! Constraints: what they are called, what they check, which columns they are about.
//!
//! NOT NULL is a check of its own, named after the schema's, the table's and the column's numbers.
//! Keys are `enforced: NO`: they are told, not checked.

use catalog::{Constraint, Table};
use datafusion::common::ScalarValue;

use super::{Objects, Placed, text, yes};
use crate::system::definitions;
use crate::system::pg_catalog::Row;

type Names = [(&'static str, ScalarValue); 3];

impl Objects<'_> {
    fn constraint(&self, schema: &str, name: &str) -> Names {
        [
            ("constraint_catalog", self.database()),
            ("constraint_schema", text(schema)),
            ("constraint_name", text(name)),
        ]
    }

    fn constraint_and_table(&self, schema: &str, name: &str, table: &str) -> Row {
        let mut row = self.constraint(schema, name).to_vec();
        row.extend(self.place(schema, table));
        row
    }

    pub(super) fn table_constraints(&self) -> Vec<Row> {
        let mut rows = Vec::new();
        for (placed, table) in self.base_tables() {
            let mut add = |name: &str, kind: &str, enforced: bool| {
                let mut row = self.constraint_and_table(placed.schema, name, &table.name);
                row.extend([
                    ("constraint_type", text(kind)),
                    ("is_deferrable", yes(false)),
                    ("initially_deferred", yes(false)),
                    ("enforced", yes(enforced)),
                ]);
                if kind == "UNIQUE" {
                    row.push(("nulls_distinct", yes(true)));
                }
                rows.push(row);
            };
            for constraint in &table.constraints {
                let (kind, enforced) = match constraint {
                    Constraint::Check { .. } => ("CHECK", true),
                    Constraint::Unique { primary: true, .. } => ("PRIMARY KEY", false),
                    Constraint::Unique { .. } => ("UNIQUE", false),
                    Constraint::ForeignKey { .. } => ("FOREIGN KEY", false),
                    Constraint::Index(_) | Constraint::Generated { .. } => continue,
                };
                add(constraint.name(), kind, enforced);
            }
            for (name, _) in not_null(&placed, table) {
                add(&name, "CHECK", true);
            }
        }
        rows
    }

    pub(super) fn checks(&self) -> Vec<Row> {
        let mut rows = Vec::new();
        for (placed, table) in self.base_tables() {
            let mut add = |name: &str, clause: String| {
                let mut row = self.constraint(placed.schema, name).to_vec();
                row.push(("check_clause", text(clause)));
                rows.push(row);
            };
            for constraint in &table.constraints {
                if let Constraint::Check { name, expression, .. } = constraint {
                    add(name, format!("(({expression}))"));
                }
            }
            for (name, column) in not_null(&placed, table) {
                add(&name, format!("{} IS NOT NULL", definitions::quoted(column)));
            }
        }
        rows
    }

    pub(super) fn key_columns(&self) -> Vec<Row> {
        let mut rows = Vec::new();
        for (placed, table) in self.base_tables() {
            for constraint in &table.constraints {
                let (columns, refers) = match constraint {
                    Constraint::Unique { columns, .. } => (columns, false),
                    Constraint::ForeignKey { columns, .. } => (columns, true),
                    Constraint::Check { .. }
                    | Constraint::Generated { .. }
                    | Constraint::Index(_) => continue,
                };
                for (index, column) in named(table, columns).enumerate() {
                    let position = i32::try_from(index + 1).unwrap_or(i32::MAX);
                    let name = constraint.name();
                    let mut row = self.constraint_and_table(placed.schema, name, &table.name);
                    row.push(("column_name", text(column)));
                    row.push(("ordinal_position", position.into()));
                    if refers {
                        row.push(("position_in_unique_constraint", position.into()));
                    }
                    rows.push(row);
                }
            }
        }
        rows
    }

    /// Keys' own columns, the columns that foreign keys refer to, and those that checks name.
    pub(super) fn columns_of_constraints(&self) -> Vec<Row> {
        let mut rows = Vec::new();
        let tables = self.base_tables();
        for (placed, table) in &tables {
            for constraint in &table.constraints {
                let (schema, name, columns) = match constraint {
                    Constraint::Unique { columns, .. } => {
                        (placed.schema, &table.name, named(table, columns).collect())
                    }
                    Constraint::Check { expression, .. } => {
                        let named = definitions::columns_of(table, expression);
                        let names = named.map(|position| table.columns[position].name.as_str());
                        (placed.schema, &table.name, names.collect::<Vec<_>>())
                    }
                    Constraint::Index(_) | Constraint::Generated { .. } => continue,
                    Constraint::ForeignKey { references, referred, .. } => {
                        let Some((other, target)) = referred_to(&tables, references) else {
                            continue;
                        };
                        (other, &target.name, referred.iter().map(String::as_str).collect())
                    }
                };
                for column in columns {
                    let mut row = self.place(schema, name).to_vec();
                    row.push(("column_name", text(column)));
                    row.extend(self.constraint(placed.schema, constraint.name()));
                    rows.push(row);
                }
            }
        }
        rows
    }

    pub(super) fn tables_of_constraints(&self) -> Vec<Row> {
        let mut rows = Vec::new();
        let tables = self.base_tables();
        for (placed, table) in &tables {
            for constraint in &table.constraints {
                let (schema, name) = match constraint {
                    Constraint::Unique { .. } => (placed.schema, table.name.as_str()),
                    Constraint::ForeignKey { references, .. } => {
                        match referred_to(&tables, references) {
                            Some((schema, target)) => (schema, target.name.as_str()),
                            None => continue,
                        }
                    }
                    Constraint::Check { .. }
                    | Constraint::Generated { .. }
                    | Constraint::Index(_) => continue,
                };
                let mut row = self.place(schema, name).to_vec();
                row.extend(self.constraint(placed.schema, constraint.name()));
                rows.push(row);
            }
        }
        rows
    }

    pub(super) fn references(&self) -> Vec<Row> {
        let mut rows = Vec::new();
        let tables = self.base_tables();
        for (placed, table) in &tables {
            for constraint in &table.constraints {
                let Constraint::ForeignKey { name, references, referred, .. } = constraint else {
                    continue;
                };
                let mut row = self.constraint(placed.schema, name).to_vec();
                let target = referred_to(&tables, references);
                if let Some((schema, key)) =
                    target.and_then(|(schema, target)| Some((schema, key_of(target, referred)?)))
                {
                    row.extend([
                        ("unique_constraint_catalog", self.database()),
                        ("unique_constraint_schema", text(schema)),
                        ("unique_constraint_name", text(key)),
                    ]);
                }
                row.extend([
                    ("match_option", text("NONE")),
                    ("update_rule", text("NO ACTION")),
                    ("delete_rule", text("NO ACTION")),
                ]);
                rows.push(row);
            }
        }
        rows
    }
}

fn named<'a>(table: &'a Table, ids: &[i64]) -> impl Iterator<Item = &'a str> {
    let column = |id: &i64| table.columns.iter().find(|column| column.id == *id);
    ids.iter().filter_map(column).map(|column| column.name.as_str()).collect::<Vec<_>>().into_iter()
}

/// The table that a foreign key refers to.
fn referred_to<'a>(
    tables: &'a [(Placed<'a>, &'a Table)],
    references: &str,
) -> Option<(&'a str, &'a Table)> {
    let name = references.rsplit('.').next().unwrap_or_default().trim_matches('"');
    let found = tables.iter().find(|(other, _)| other.name == name);
    found.map(|(other, table)| (other.schema, *table))
}

/// The key that has these columns.
fn key_of<'a>(table: &'a Table, columns: &[String]) -> Option<&'a str> {
    let key = table.constraints.iter().find(|constraint| match constraint {
        Constraint::Unique { columns: ids, primary, .. } => {
            columns.is_empty() && *primary
                || named(table, ids).eq(columns.iter().map(String::as_str))
        }
        _ => false,
    });
    key.map(|constraint| constraint.name())
}

/// The checks that columns are not NULL: their names and columns.
fn not_null<'a>(placed: &Placed<'_>, table: &'a Table) -> Vec<(String, &'a str)> {
    let name = |index: usize| format!("{}_{}_{}_not_null", placed.namespace, placed.oid, index + 1);
    let columns = table.columns.iter().enumerate().filter(|(_, column)| !column.nullable);
    columns.map(|(index, column)| (name(index), column.name.as_str())).collect()
}
