//! What a statement that changes rows, or calls functions, needs.

use std::ops::ControlFlow;

use catalog::ACCESS;
use datafusion::sql::sqlparser::ast::{
    Expr, FromTable, MergeAction, ObjectName, OnConflictAction, OnInsert, Statement, TableFactor,
    TableObject, visit_expressions,
};

use super::acl::Privileges;
use super::object::Object;
use crate::error::Result;
use crate::names::folded;
use crate::plan::{Environment, Lakes};

/// The table that a statement changes, and what that takes; None if it changes none.
pub(crate) fn target(statement: &Statement) -> Option<(&ObjectName, Privileges)> {
    let named = |factor| match factor {
        &TableFactor::Table { ref name, .. } => Some(name),
        _ => None,
    };
    match statement {
        Statement::Insert(insert) => {
            let TableObject::TableName(name) = &insert.table else { return None };
            let updates = matches!(&insert.on, Some(OnInsert::OnConflict(conflict))
                if matches!(conflict.action, OnConflictAction::DoUpdate(_)));
            let update = if updates { Privileges::UPDATE } else { Privileges::NONE };
            Some((name, Privileges::INSERT.with(update)))
        }
        Statement::Update(update) => {
            named(&update.table.relation).map(|name| (name, Privileges::UPDATE))
        }
        Statement::Delete(delete) => {
            let (FromTable::WithFromKeyword(tables) | FromTable::WithoutKeyword(tables)) =
                &delete.from;
            named(&tables.first()?.relation).map(|name| (name, Privileges::DELETE))
        }
        Statement::Merge(merge) => {
            let actions = merge.clauses.iter().map(|clause| match &clause.action {
                MergeAction::Insert(_) => Privileges::INSERT,
                MergeAction::Update { .. } => Privileges::UPDATE,
                MergeAction::Delete { .. } => Privileges::DELETE,
            });
            let needed = actions.fold(Privileges::SELECT, Privileges::with);
            named(&merge.table).map(|name| (name, needed))
        }
        _ => None,
    }
}

/// Whether a statement that changes a table also reads its columns, which takes SELECT.
pub(crate) fn reads_columns(statement: &Statement) -> bool {
    let names = |e: &Expr| match e {
        Expr::Identifier(name) if !name.value.eq_ignore_ascii_case("default") => {
            ControlFlow::Break(())
        }
        Expr::CompoundIdentifier(_) => ControlFlow::Break(()),
        _ => ControlFlow::Continue(()),
    };
    match statement {
        Statement::Update(update) => {
            update.returning.is_some() || visit_expressions(statement, names).is_break()
        }
        Statement::Delete(delete) => {
            delete.returning.is_some() || visit_expressions(statement, names).is_break()
        }
        Statement::Insert(insert) => insert.returning.is_some() || insert.on.is_some(),
        _ => true,
    }
}

impl Environment {
    /// Fails if a statement calls a function that its role may not execute.
    pub(crate) fn may_call(&self, lakes: &Lakes, statement: &Statement) -> Result<()> {
        let state = lakes.main.state();
        let from = (ACCESS.to_owned(), "function".to_owned());
        if self.authority.superuser {
            return Ok(());
        }
        let listed = state.definitions.range(from..).next();
        if listed.is_none_or(|((kind, key), _)| kind != ACCESS || !key.starts_with("function")) {
            return Ok(());
        }
        let checked = visit_expressions(statement, |e| {
            let Expr::Function(call) = e else { return ControlFlow::Continue(()) };
            let name = call.name.0.last().and_then(|part| part.as_ident()).map(folded);
            let object = Object::function(&name.unwrap_or_default());
            match self.authority.require(state, &object, Privileges::EXECUTE) {
                Ok(()) => ControlFlow::Continue(()),
                Err(error) => ControlFlow::Break(error),
            }
        });
        match checked {
            ControlFlow::Continue(()) => Ok(()),
            ControlFlow::Break(error) => Err(error),
        }
    }
}
