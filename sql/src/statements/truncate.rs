//! TRUNCATE [TABLE] name, … [RESTART IDENTITY].

use std::sync::Arc;

use catalog::{Relation, Table};
use datafusion::sql::sqlparser::ast::{Truncate, TruncateIdentityOption};

use super::{Context, sequence};
use crate::access::Privileges;
use crate::error::{Error, Result};
use crate::plan::{Found, Place};

pub(super) async fn run(context: &mut Context<'_>, truncate: &Truncate) -> Result<String> {
    for target in &truncate.table_names {
        if let Some((place, table)) = context.table(&target.name, truncate.if_exists)? {
            let found = Found::Relation(Relation::Table(Arc::clone(&table)));
            let needed = Privileges::TRUNCATE;
            context.environment.require(context.lakes, &place, &found, needed)?;
            context.lakes.of(&place).truncate(table.id);
            if truncate.identity == Some(TruncateIdentityOption::Restart) {
                context.environment.must_own(context.lakes, &place, &found)?;
                restart(context, &place, &table).await?;
            }
        }
    }
    Ok("TRUNCATE TABLE".into())
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
