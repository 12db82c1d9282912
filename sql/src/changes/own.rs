//! Columns that a table fills itself and that take nothing but DEFAULT: GENERATED ALWAYS AS
//! IDENTITY and GENERATED ALWAYS AS (expression) STORED, which is computed from each new row.

use catalog::{State, Table};
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder};

use super::assigned;
use crate::error::{Error, Result};
use crate::parse;
use crate::plan::{self, Environment};
use crate::sequences::{self, Identity};

/// Such columns of a table, as positions.
pub(super) struct Own {
    identities: Vec<usize>,
    computed: Vec<usize>,
}

impl Own {
    pub(super) fn of(state: &State, table: &Table) -> Self {
        let all = sequences::identities(state, table).into_iter();
        let always = all.filter(|(_, identity)| *identity == Identity::Always);
        Self { identities: always.map(|(index, _)| index).collect(), computed: computed(table) }
    }

    /// Those that an INSERT with OVERRIDING may not give values for.
    pub(super) fn overridden(self) -> Self {
        Self { identities: Vec::new(), ..self }
    }

    /// Fails if the column takes only DEFAULT, and something else is inserted (428C9).
    pub(super) fn check_insert(&self, table: &Table, index: usize) -> Result<()> {
        let hint = match self.identities.contains(&index) {
            true => Some("Use OVERRIDING SYSTEM VALUE to override."),
            false => None,
        };
        let name = &table.columns[index].name;
        let message = format!("cannot insert a non-DEFAULT value into column \"{name}\"");
        self.check(table, index, message, hint)
    }

    /// Fails if the column takes only DEFAULT, and is set to something else (428C9).
    pub(super) fn check_update(&self, table: &Table, index: usize) -> Result<()> {
        let name = &table.columns[index].name;
        self.check(table, index, format!("column \"{name}\" can only be updated to DEFAULT"), None)
    }

    fn check(
        &self,
        table: &Table,
        index: usize,
        message: String,
        hint: Option<&str>,
    ) -> Result<()> {
        let kind = match (self.identities.contains(&index), self.computed.contains(&index)) {
            (false, false) => return Ok(()),
            (true, _) => "an identity column defined as GENERATED ALWAYS",
            (false, true) => "a generated column",
        };
        let name = &table.columns[index].name;
        let error =
            Error::new("428C9", message).with_detail(format!("Column \"{name}\" is {kind}."));
        Err(match hint {
            Some(hint) => error.with_hint(hint),
            None => error,
        })
    }
}

/// The positions of the columns that are computed from the others.
pub(crate) fn computed(table: &Table) -> Vec<usize> {
    let columns = table.columns.iter().enumerate();
    let computed = columns.filter(|(_, column)| table.generation(column.id).is_some());
    computed.map(|(index, _)| index).collect()
}

/// A plan whose rows have the table's columns, with the computed ones computed from the others.
pub(super) fn compute(
    environment: &Environment,
    plan: LogicalPlan,
    table: &Table,
) -> Result<LogicalPlan> {
    if computed(table).is_empty() {
        return Ok(plan);
    }
    let schema = plan.schema();
    let value = |column: datafusion::common::Column| {
        let own = table.column(&column.name).filter(|_| column.relation.is_none());
        let Some((own, text)) = own.and_then(|own| Some((own, table.generation(own.id)?))) else {
            return Ok(Expr::Column(column));
        };
        let value = plan::expression(environment, parse::parse_expression(text)?, schema)?;
        assigned(value, &own.field, schema, &environment.engine)
    };
    let items = schema.columns().into_iter().map(value).collect::<Result<Vec<_>>>()?;
    Ok(LogicalPlanBuilder::from(plan).project(items)?.build()?)
}
