//! Constraints as statements name them, and as the catalog keeps them.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use catalog::{Constraint, Table};
use datafusion::sql::sqlparser::ast::{Expr, IndexColumn, TableConstraint, visit_expressions};

use crate::Notice;
use crate::changes::column_index;
use crate::error::{Error, Result};
use crate::names::folded;

/// A constraint whose columns are still names: ids are given when the table is made.
#[derive(Debug, Clone)]
pub(super) enum NewConstraint {
    Check {
        name: String,
        expression: String,
    },
    Unique {
        name: String,
        columns: Vec<String>,
        primary: bool,
    },
    ForeignKey {
        name: String,
        columns: Vec<String>,
        references: String,
        referred: Vec<String>,
    },
    /// A column that is computed from an expression.
    Generated {
        column: String,
        expression: String,
    },
}

impl NewConstraint {
    pub(super) fn name(&self) -> &str {
        match self {
            Self::Check { name, .. }
            | Self::Unique { name, .. }
            | Self::ForeignKey { name, .. } => name,
            Self::Generated { .. } => "",
        }
    }

    /// The constraint with the table's column ids.
    pub(super) fn of(self, table: &Table) -> Result<Constraint> {
        let ids = |names: &[String]| -> Result<Vec<i64>> {
            names.iter().map(|n| Ok(table.columns[column_index(table, n)?].id)).collect()
        };
        Ok(match self {
            Self::Generated { column, expression } => {
                Constraint::generated(table.columns[column_index(table, &column)?].id, expression)
            }
            Self::Check { name, expression } => Constraint::Check { name, expression },
            Self::Unique { name, columns, primary } => {
                Constraint::Unique { name, columns: ids(&columns)?, primary }
            }
            Self::ForeignKey { name, columns, references, referred } => {
                Constraint::ForeignKey { name, columns: ids(&columns)?, references, referred }
            }
        })
    }
}

/// `name` with a number behind it if it is taken.
pub(super) fn free_name(name: String, taken: &[&str]) -> String {
    let numbered = (1..=taken.len()).map(|number| format!("{name}{number}"));
    let mut candidates = std::iter::once(name.clone()).chain(numbered);
    candidates.find(|name| !taken.contains(&name.as_str())).unwrap_or(name)
}

/// What a CHECK without a name is called: after its column, if it is about one.
fn check_name(table: &str, expression: &Expr) -> String {
    let mut columns = BTreeSet::new();
    let _ = visit_expressions(expression, |e| {
        if let Expr::Identifier(column) = e {
            columns.insert(folded(column));
        }
        ControlFlow::<()>::Continue(())
    });
    match (columns.first(), columns.len()) {
        (Some(column), 1) => format!("{table}_{column}_check"),
        _ => format!("{table}_check"),
    }
}

/// A table constraint, its columns by name; a name that it gets is none of the taken ones.
pub(super) fn table_constraint(
    constraint: &TableConstraint,
    table: &str,
    taken: &[&str],
    notices: &mut Vec<Notice>,
) -> Result<NewConstraint> {
    let free = |name| free_name(name, taken);
    match constraint {
        TableConstraint::PrimaryKey(key) => {
            notices.push(informational("PRIMARY KEY"));
            let name = key.name.as_ref().map_or_else(|| free(format!("{table}_pkey")), folded);
            let columns = index_columns(&key.columns)?;
            Ok(NewConstraint::Unique { name, columns, primary: true })
        }
        TableConstraint::Unique(key) => {
            notices.push(informational("UNIQUE"));
            let columns = index_columns(&key.columns)?;
            let generated = || free(format!("{table}_{}_key", columns.join("_")));
            let name = key.name.as_ref().map_or_else(generated, folded);
            Ok(NewConstraint::Unique { name, columns, primary: false })
        }
        TableConstraint::Check(check) => {
            let generated = || free(check_name(table, &check.expr));
            let name = check.name.as_ref().map_or_else(generated, folded);
            Ok(NewConstraint::Check { name, expression: check.expr.to_string() })
        }
        TableConstraint::ForeignKey(key) => {
            notices.push(informational("FOREIGN KEY"));
            let columns: Vec<String> = key.columns.iter().map(folded).collect();
            let generated = || free(format!("{table}_{}_fkey", columns.join("_")));
            let name = key.name.as_ref().map_or_else(generated, folded);
            let referred = key.referred_columns.iter().map(folded).collect();
            let references = key.foreign_table.to_string();
            Ok(NewConstraint::ForeignKey { name, columns, references, referred })
        }
        other => Err(Error::unsupported(format!("constraint {other}"))),
    }
}

fn index_columns(columns: &[IndexColumn]) -> Result<Vec<String>> {
    let name = |column: &IndexColumn| match &column.column.expr {
        Expr::Identifier(name) => Ok(folded(name)),
        other => Err(Error::unsupported(format!("a key over the expression {other}"))),
    };
    columns.iter().map(name).collect()
}

pub(super) fn informational(what: &str) -> Notice {
    Notice {
        hint: Some("ON CONFLICT uses it; duplicates are not refused.".into()),
        ..Notice::notice(format!("{what} is recorded as informational and not enforced"))
    }
}
