//! TRUNCATE [TABLE] name, … [RESTART IDENTITY].

use std::sync::Arc;

use catalog::{MODEL_KEY, Relation, Table, TableChange, Transaction};
use datafusion::sql::sqlparser::ast::{Truncate, TruncateIdentityOption};

use super::{Context, sequence};
use crate::access::Privileges;
use crate::error::{Error, Result};
use crate::features::Manifest;
use crate::plan::{Found, Place};

pub(super) async fn run(context: &mut Context<'_>, truncate: &Truncate) -> Result<String> {
    for target in &truncate.table_names {
        if let Some((place, table)) = context.table(&target.name, truncate.if_exists)? {
            let found = Found::Relation(Relation::Table(Arc::clone(&table)));
            let needed = Privileges::TRUNCATE;
            context.environment.require(context.lakes, &place, &found, needed)?;
            Manifest::refuse_change(context.lakes.main.state(), &place)?;
            let transaction = context.lakes.of(&place);
            transaction.truncate(table.id);
            set_models(transaction, &place, &table, |_| None)?;
            if truncate.identity == Some(TruncateIdentityOption::Restart) {
                context.environment.must_own(context.lakes, &place, &found)?;
                restart(context, &place, &table).await?;
            }
        }
    }
    Ok("TRUNCATE TABLE".into())
}

/// Of which model version the vectors in each column are from now on: it is empty.
pub(super) fn set_models(
    transaction: &mut Transaction,
    place: &Place,
    table: &Table,
    model: impl Fn(usize) -> Option<String>,
) -> Result<()> {
    for (index, column) in table.columns.iter().enumerate() {
        let model = model(index);
        if column.field.metadata().get(MODEL_KEY) != model.as_ref() {
            let change = TableChange::SetModel { name: column.name.clone(), model };
            transaction.alter_table(&place.schema, &place.name, change)?;
        }
    }
    Ok(())
}

/// Numbers are given outside of transactions: a rollback does not undo it.
async fn restart(context: &Context<'_>, place: &Place, table: &Table) -> Result<()> {
    let sequences = sequence::of_table(context, place, table);
    if place.temp && !sequences.is_empty() {
        return Err(Error::unsupported("RESTART IDENTITY of a temporary table")
            .with_hint("Use setval() on its sequence."));
    }
    let lake = Arc::clone(context.lakes.main.lake());
    for sequence in sequences {
        lake.set_number(&sequence, sequence.fresh()).await?;
    }
    Ok(())
}
