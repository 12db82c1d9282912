//! Definitions as SQL text: what `pg_get_viewdef` and its like give.

use std::ops::ControlFlow;

use catalog::{Constraint, Table, View};
use datafusion::common::TableReference;
use datafusion::sql::parser::Statement as EngineStatement;
use datafusion::sql::resolve::resolve_table_references;
use datafusion::sql::sqlparser::ast::{Expr, Statement, visit_expressions};

use crate::names::folded;
use crate::parse;

/// A view's query.
pub fn view(view: &View) -> String {
    format!(" {};", view.sql.trim().trim_end_matches(';'))
}

/// The relations that a view's query names.
pub fn read_by(view: &View) -> Vec<TableReference> {
    let Ok(query) = parse::parse_query(&view.sql) else { return Vec::new() };
    let statement = EngineStatement::Statement(Box::new(Statement::Query(Box::new(query))));
    resolve_table_references(&statement, true).map(|(names, _)| names).unwrap_or_default()
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

/// The index that a key looks as if it had; None if the constraint is no key.
pub fn index(schema: &str, table: &Table, constraint: usize) -> Option<String> {
    let Constraint::Unique { name, columns, .. } = table.constraints.get(constraint)? else {
        return None;
    };
    let (name, relation) = (quoted(name), quoted(&table.name));
    let columns = column_list(table, columns);
    Some(format!(
        "CREATE UNIQUE INDEX {name} ON {}.{relation} USING btree ({columns})",
        quoted(schema)
    ))
}

/// A constraint as it stands in CREATE TABLE.
pub fn constraint(table: &Table, constraint: &Constraint) -> String {
    match constraint {
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
    }
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
