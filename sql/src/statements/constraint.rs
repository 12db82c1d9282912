//! Constraints as statements name them, and as the catalog keeps them.

use catalog::{Constraint, Table};
use datafusion::sql::sqlparser::ast::{Expr, IndexColumn, TableConstraint};

use crate::Notice;
use crate::changes::column_index;
use crate::error::{Error, Result};
use crate::names::folded;

/// A constraint whose columns are still names: ids are given when the table is made.
#[derive(Debug, Clone)]
pub(super) enum NewConstraint {
    Check { name: String, expression: String },
    Unique { name: String, columns: Vec<String>, primary: bool },
    ForeignKey { name: String, columns: Vec<String>, references: String, referred: Vec<String> },
}

impl NewConstraint {
    /// The constraint with the table's column ids.
    pub(super) fn of(self, table: &Table) -> Result<Constraint> {
        let ids = |names: &[String]| -> Result<Vec<i64>> {
            names.iter().map(|n| Ok(table.columns[column_index(table, n)?].id)).collect()
        };
        Ok(match self {
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

/// A table constraint, its columns by name.
pub(super) fn table_constraint(
    constraint: &TableConstraint,
    table: &str,
    notices: &mut Vec<Notice>,
) -> Result<NewConstraint> {
    match constraint {
        TableConstraint::PrimaryKey(key) => {
            notices.push(informational("PRIMARY KEY"));
            let name = key.name.as_ref().map_or_else(|| format!("{table}_pkey"), folded);
            let columns = index_columns(&key.columns)?;
            Ok(NewConstraint::Unique { name, columns, primary: true })
        }
        TableConstraint::Unique(key) => {
            notices.push(informational("UNIQUE"));
            let columns = index_columns(&key.columns)?;
            let generated = || format!("{table}_{}_key", columns.join("_"));
            let name = key.name.as_ref().map_or_else(generated, folded);
            Ok(NewConstraint::Unique { name, columns, primary: false })
        }
        TableConstraint::Check(check) => {
            let name = check.name.as_ref().map_or_else(|| format!("{table}_check"), folded);
            Ok(NewConstraint::Check { name, expression: check.expr.to_string() })
        }
        TableConstraint::ForeignKey(key) => {
            notices.push(informational("FOREIGN KEY"));
            let columns: Vec<String> = key.columns.iter().map(folded).collect();
            let generated = || format!("{table}_{}_fkey", columns.join("_"));
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

/// A constraint's name.
pub(super) fn name_of(constraint: &Constraint) -> &str {
    match constraint {
        Constraint::Check { name, .. }
        | Constraint::Unique { name, .. }
        | Constraint::ForeignKey { name, .. } => name,
    }
}
