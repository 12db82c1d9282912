//! CHECK constraints and generated columns depend on the columns that they name: they follow a
//! rename; a CHECK goes with a column that is dropped, a generated column only with CASCADE.

use std::ops::ControlFlow;

use catalog::{Constraint, Table, TableChange};
use datafusion::sql::sqlparser::ast::{Expr, Ident, visit_expressions_mut};

use crate::error::{Error, Result};
use crate::names::folded;
use crate::parse;
use crate::system::definitions::{columns_of, quoted};

/// The columns that are computed from a column.
pub(super) fn computed_from<'a>(table: &'a Table, column: &str) -> Vec<&'a str> {
    let from = |constraint: &Constraint| match constraint {
        Constraint::Generated { column: own, expression, .. } => {
            let own = table.columns.iter().find(|c| c.id == *own)?;
            names(table, expression, column).then_some(own.name.as_str())
        }
        _ => None,
    };
    table.constraints.iter().filter_map(from).collect()
}

/// What else there is to do when a column is dropped: CHECKs go, generated columns with CASCADE.
///
/// Errors: 2BP01 without CASCADE where a generated column is computed from it.
pub(super) fn drop_column(table: &Table, column: &str, cascade: bool) -> Result<Vec<TableChange>> {
    let computed = computed_from(table, column);
    if let Some(first) = computed.first()
        && !cascade
    {
        let on = format!("column {column} of table {}", table.name);
        let message = format!("cannot drop {on} because other objects depend on it");
        let detail = format!("column {first} of table {} depends on {on}", table.name);
        return Err(Error::new("2BP01", message)
            .with_detail(detail)
            .with_hint("Use DROP ... CASCADE to drop the dependent objects too."));
    }
    let gone: Vec<&str> = computed.into_iter().chain([column]).collect();
    let checks = table.constraints.iter().filter_map(|constraint| match constraint {
        Constraint::Check { name, expression } => {
            let concerned = gone.iter().any(|column| names(table, expression, column));
            concerned.then(|| TableChange::DropConstraint { name: name.clone() })
        }
        _ => None,
    });
    let columns = gone.iter().map(|name| TableChange::DropColumn { name: (*name).to_owned() });
    Ok(checks.chain(columns).collect())
}

/// What else there is to do after a column has got another name; `table` is as it was before.
pub(super) fn rename_column(table: &Table, column: &str, to: &str) -> Result<Vec<TableChange>> {
    let mut changes = Vec::new();
    for constraint in &table.constraints {
        let mut new = constraint.clone();
        let (Constraint::Check { expression, .. } | Constraint::Generated { expression, .. }) =
            &mut new
        else {
            continue;
        };
        if !names(table, expression, column) {
            continue;
        }
        *expression = renamed(expression, column, to)?;
        changes.push(TableChange::DropConstraint { name: constraint.name().to_owned() });
        changes.push(TableChange::AddConstraint(new));
    }
    Ok(changes)
}

/// Fails if a generated column is computed from one that is to have another type (0A000).
pub(super) fn check_type(table: &Table, column: &str) -> Result<()> {
    match computed_from(table, column).first() {
        None => Ok(()),
        Some(own) => {
            let message = "cannot alter type of a column used by a generated column";
            let detail = format!("Column \"{column}\" is used by generated column \"{own}\".");
            Err(Error::new("0A000", message).with_detail(detail))
        }
    }
}

fn names(table: &Table, expression: &str, column: &str) -> bool {
    columns_of(table, expression).any(|index| table.columns[index].name == column)
}

fn renamed(expression: &str, column: &str, to: &str) -> Result<String> {
    let mut parsed = parse::parse_expression(expression)?;
    let new = match quoted(to) == to {
        true => Ident::new(to),
        false => Ident::with_quote('"', to),
    };
    let rename = |name: &mut Ident| {
        if folded(name) == column {
            name.clone_from(&new);
        }
    };
    let _ = visit_expressions_mut(&mut parsed, |part| {
        match part {
            Expr::Identifier(name) => rename(name),
            Expr::CompoundIdentifier(parts) => parts.last_mut().into_iter().for_each(rename),
            _ => {}
        }
        ControlFlow::<()>::Continue(())
    });
    Ok(parsed.to_string())
}
