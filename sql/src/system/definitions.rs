//! Definitions as SQL text: what `pg_get_viewdef` and its like give.

use std::ops::ControlFlow;

use catalog::types::VectorType;
use catalog::{Constraint, Index, IndexKey, Relation, Table};
use datafusion::common::TableReference;
use datafusion::sql::parser::Statement as EngineStatement;
use datafusion::sql::resolve::resolve_table_references;
use datafusion::sql::sqlparser::ast::{Expr, Statement, visit_expressions};

use crate::names::folded;
use crate::parse;
use crate::statements::external::is_foreign;

/// What a view or materialized view is defined by.
pub struct Query<'a> {
    pub sql: &'a str,
    pub search_path: &'a [String],
}

/// The query of a relation that has one.
pub fn query(relation: &Relation) -> Option<Query<'_>> {
    match relation {
        Relation::View(view) if is_foreign(view) => None,
        Relation::View(view) => Some(Query { sql: &view.sql, search_path: &view.search_path }),
        Relation::Table(table) => {
            let stored = table.query.as_ref()?;
            Some(Query { sql: &stored.sql, search_path: &stored.search_path })
        }
    }
}

impl Query<'_> {
    /// As `pg_get_viewdef` gives it.
    pub fn definition(&self) -> String {
        format!(" {};", self.sql.trim().trim_end_matches(';'))
    }

    /// The relations that it names.
    pub fn reads(&self) -> Vec<TableReference> {
        let Ok(query) = parse::parse_query(self.sql) else { return Vec::new() };
        let statement = EngineStatement::Statement(Box::new(Statement::Query(Box::new(query))));
        resolve_table_references(&statement, true).map(|(names, _)| names).unwrap_or_default()
    }
}

/// Positions of the columns that an expression over a table names, each once, in their order.
pub fn columns_of(table: &Table, expression: &str) -> impl Iterator<Item = usize> {
    let mut named = Vec::new();
    if let Ok(expression) = parse::parse_expression(expression) {
        let _ = visit_expressions(&expression, |part| {
            let name = match part {
                Expr::Identifier(name) => Some(folded(name)),
                Expr::CompoundIdentifier(parts) => parts.last().map(folded),
                _ => None,
            };
            named.extend(name);
            ControlFlow::<()>::Continue(())
        });
    }
    let columns: Vec<_> = table.columns.iter().map(|column| named.contains(&column.name)).collect();
    columns.into_iter().enumerate().filter(|(_, is_named)| *is_named).map(|(position, _)| position)
}

/// An index, or the one that a key looks as if it had; None if the constraint is neither.
pub fn index(schema: &str, table: &Table, constraint: usize) -> Option<String> {
    let constraint = table.constraints.get(constraint)?;
    let (unique, method, columns) = match constraint {
        Constraint::Unique { columns, .. } => (true, "btree", column_list(table, columns)),
        Constraint::Index(index) => (index.unique, index.method.as_str(), key_list(table, index)),
        Constraint::Check { .. } | Constraint::ForeignKey { .. } | Constraint::Generated { .. } => {
            return None;
        }
    };
    let unique = if unique { "UNIQUE " } else { "" };
    let (name, relation) = (quoted(constraint.name()), quoted(&table.name));
    let schema = quoted(schema);
    let text = format!("CREATE {unique}INDEX {name} ON {schema}.{relation} USING {method}");
    let with = match constraint {
        Constraint::Index(Index { vectors: Some(of), .. }) => {
            format!(" WITH (recall='{}')", of.recall)
        }
        _ => String::new(),
    };
    Some(format!("{text} ({columns}){with}"))
}

/// The columns of an index or key; None of another constraint.
pub fn index_columns(constraint: &Constraint) -> Option<Vec<i64>> {
    match constraint {
        Constraint::Unique { columns, .. } => Some(columns.clone()),
        Constraint::Index(index) => Some(index.columns()),
        Constraint::Check { .. } | Constraint::ForeignKey { .. } | Constraint::Generated { .. } => {
            None
        }
    }
}

/// The columns of an index with their order, where it is not the usual one.
fn key_list(table: &Table, index: &Index) -> String {
    let key = |key: &IndexKey| {
        let order = match (key.descending, key.nulls_first) {
            (false, false) => "",
            (false, true) => " NULLS FIRST",
            (true, true) => " DESC",
            (true, false) => " DESC NULLS LAST",
        };
        let column = table.columns.iter().find(|column| column.id == key.column);
        let kind = column.and_then(|column| VectorType::of(column.field.data_type()));
        let operators = index.vectors.as_ref().zip(kind);
        let operators = operators.map(|(of, own)| format!(" {}", of.measure.operators(own.kind)));
        format!("{}{}{order}", column_list(table, &[key.column]), operators.unwrap_or_default())
    };
    let keys = index.keys.iter().map(key).collect::<Vec<_>>().join(", ");
    match index.included.is_empty() {
        true => keys,
        false => format!("{keys}) INCLUDE ({}", column_list(table, &index.included)),
    }
}

/// A constraint as it stands in CREATE TABLE.
pub fn constraint(table: &Table, constraint: &Constraint, pretty: bool) -> String {
    match constraint {
        Constraint::Check { expression, .. } if pretty => format!("CHECK ({expression})"),
        Constraint::Check { expression, .. } => format!("CHECK (({expression}))"),
        Constraint::Unique { columns, primary, .. } => {
            let word = if *primary { "PRIMARY KEY" } else { "UNIQUE" };
            format!("{word} ({})", column_list(table, columns))
        }
        Constraint::ForeignKey { columns, references, referred, .. } => {
            let referred: Vec<String> = referred.iter().map(|name| quoted(name)).collect();
            let referred = match referred.is_empty() {
                true => String::new(),
                false => format!("({})", referred.join(", ")),
            };
            let columns = column_list(table, columns);
            format!("FOREIGN KEY ({columns}) REFERENCES {references}{referred}")
        }
        Constraint::Index(_) | Constraint::Generated { .. } => String::new(),
    }
}

/// The schema, if it is written, and the name of a relation as a constraint refers to it.
pub fn split(references: &str) -> (Option<String>, String) {
    let parts = super::references::parts(references).unwrap_or_default();
    match parts.as_slice() {
        [.., schema, name] => (Some(schema.clone()), name.clone()),
        [name] => (None, name.clone()),
        [] => (None, references.to_owned()),
    }
}

/// The key that a foreign key refers to, by its number and columns; without names it is the
/// primary one.
pub fn referred_key(table: &Table, referred: &[String]) -> (Option<usize>, Vec<i64>) {
    let id = |name: &String| table.columns.iter().find(|c| c.name == *name).map(|c| c.id);
    let wanted: Vec<i64> = referred.iter().filter_map(id).collect();
    let is_it = |constraint: &Constraint| match constraint {
        Constraint::Unique { columns, primary, .. } => match wanted.is_empty() {
            true => *primary,
            false => *columns == wanted,
        },
        _ => false,
    };
    let found = table.constraints.iter().position(is_it);
    let columns = found.and_then(|at| index_columns(&table.constraints[at]));
    (found, columns.filter(|_| wanted.is_empty()).unwrap_or(wanted))
}

/// The names of columns given by id.
pub fn column_list(table: &Table, columns: &[i64]) -> String {
    let name = |id: &i64| table.columns.iter().find(|c| c.id == *id).map(|c| quoted(&c.name));
    columns.iter().filter_map(name).collect::<Vec<_>>().join(", ")
}

/// A name as it must be written.
pub fn quoted(name: &str) -> String {
    crate::functions::identifier(name)
}
