//! VACUUM: old snapshots expire, kept rows are flushed, small files merged, vector indexes brought
//! up to date, unneeded files removed.
//!
//! Named tables are flushed and merged; expiry and clean-up are of the whole lake and take part
//! only when no table is named. The settings `sextant.snapshot_retention` and
//! `sextant.file_retention` say what is old.

use std::sync::Arc;

use catalog::{Error as CatalogError, ObjectId, Relation, State, Transaction};

use super::Context;
use crate::Notice;
use crate::error::Result;
use crate::parse::Vacuum;
use crate::plan::Found;

/// Must not run inside a block: it commits on its own.
pub(super) async fn run(context: &mut Context<'_>, vacuum: &Vacuum) -> Result<String> {
    let mut tables: Vec<(ObjectId, String)> = Vec::new();
    for name in &vacuum.tables {
        if let Some((place, table)) = context.table(name, false)? {
            let found = Found::Relation(Relation::Table(Arc::clone(&table)));
            match context.environment.must_own(context.lakes, &place, &found) {
                Ok(()) => tables.push((table.id, table.name.clone())),
                Err(_) => context.notices.push(skipped(&table.name)),
            }
        }
    }
    let lake = Arc::clone(&context.environment.lake);
    let retention = context.environment.retention;
    let whole = vacuum.tables.is_empty();
    let mut done = Vec::new();
    if whole {
        context.environment.authority.must_be_superuser("vacuum the whole lake")?;
        tables = all_tables(context.lakes.main.state());
        let expired = lake.expire(retention.snapshots).await?;
        done.push(format!("{expired} snapshots expired"));
    }
    for (table, name) in tables {
        match upkeep(context, table).await {
            Ok(text) => done.push(format!("table \"{name}\": {text}")),
            // The rows stay where they are, and the other tables get their turn.
            Err(error) => {
                let message = format!("table \"{name}\" was skipped: {error}");
                context.notices.push(Notice::warning("01000", message));
            }
        }
    }
    // Own reading of the old state must not keep the files from being removed.
    context.lakes.main = Transaction::begin(Arc::clone(&lake), lake.current().await?);
    if whole {
        let removed = lake.clean_up(retention.files).await?;
        done.push(format!("{} files and {} orphans removed", removed.files, removed.orphans));
    }
    if vacuum.verbose {
        context.notices.extend(done.into_iter().map(Notice::info));
    }
    Ok("VACUUM".into())
}

fn skipped(table: &str) -> Notice {
    let message = format!("permission denied to vacuum \"{table}\", skipping it");
    Notice::warning("42501", message)
}

async fn upkeep(context: &Context<'_>, table: ObjectId) -> Result<String, CatalogError> {
    let lake = &context.environment.lake;
    let flushed = lake.flush(table).await?;
    let engine = &context.environment.engine;
    let merged = lake.merge(engine, table).await?;
    let tended = lake.tend_indexes(engine, table).await?;
    let mut done = format!(
        "{} rows and {} deletions flushed to {} files, {} files merged into {}",
        flushed.rows, flushed.deletions, flushed.files, merged.sources, merged.files
    );
    if tended.segments > 0 {
        done.push_str(&format!(", {} rows indexed", tended.rows));
    }
    Ok(done)
}

fn all_tables(state: &State) -> Vec<(ObjectId, String)> {
    let relations = state.schemas.values().flat_map(|schema| schema.relations.values());
    let tables = relations.filter_map(Relation::as_table);
    tables.map(|table| (table.id, table.name.clone())).collect()
}
