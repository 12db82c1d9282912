//! `lake`: snapshots, tags and files as the catalog keeps them.

use catalog::Relation;
use datafusion::arrow::record_batch::RecordBatch;
use std::sync::Arc;

use super::{Cell, Columns, batch};
use crate::error::Result;
use crate::plan::{Environment, Lakes};
use crate::statements::TAG_KIND;

const SNAPSHOTS: Columns =
    &[("snapshot_id", 'l'), ("committed_at", 'z'), ("schema_version", 'l'), ("changes", 't')];
const TAGS: Columns = &[("name", 't'), ("snapshot_id", 'l')];
const FILES: Columns = &[
    ("schema_name", 't'),
    ("table_name", 't'),
    ("path", 't'),
    ("row_count", 'l'),
    ("deleted_rows", 'l'),
    ("size_bytes", 'l'),
    ("begin_snapshot", 'l'),
];
const TABLES: Columns = &[
    ("schema_name", 't'),
    ("table_name", 't'),
    ("row_count", 'l'),
    ("file_count", 'l'),
    ("inlined_rows", 'l'),
    ("size_bytes", 'l'),
];

const UPKEEP_RUNS: Columns = &[
    ("kind", 't'),
    ("table_name", 't'),
    ("finished_at", 'z'),
    ("duration_us", 'l'),
    ("rows", 'l'),
    ("files", 'l'),
];

/// Every relation. Their ids are numbers of places: a new one goes to the end.
pub(super) const RELATIONS: &[(&str, Columns)] = &[
    ("snapshots", SNAPSHOTS),
    ("tags", TAGS),
    ("files", FILES),
    ("tables", TABLES),
    ("upkeep_runs", UPKEEP_RUNS),
];

/// One relation's rows; None if it is not one of `RELATIONS`.
pub(super) async fn table(
    environment: &Environment,
    lakes: &Lakes,
    name: &str,
) -> Result<Option<RecordBatch>> {
    match name {
        "snapshots" => batch(SNAPSHOTS, snapshots(environment).await?).map(Some),
        "tags" => batch(TAGS, tags(lakes)).map(Some),
        "files" => batch(FILES, files(lakes).await?).map(Some),
        "tables" => batch(TABLES, tables(lakes).await?).map(Some),
        "upkeep_runs" => batch(UPKEEP_RUNS, upkeep_runs(environment)).map(Some),
        _ => Ok(None),
    }
}

fn upkeep_runs(environment: &Environment) -> Vec<Vec<Cell>> {
    let row = |run: catalog::Run| {
        vec![
            run.kind.into(),
            run.table.map_or(Cell::Null, |table| table.as_str().into()),
            Cell::Time(run.finished_us),
            run.duration_us.into(),
            (run.rows as i64).into(),
            (run.files as i64).into(),
        ]
    };
    environment.lake.upkeep_runs().into_iter().map(row).collect()
}

async fn snapshots(environment: &Environment) -> Result<Vec<Vec<Cell>>> {
    let row = |snapshot: catalog::SnapshotInfo| {
        vec![
            snapshot.id.into(),
            Cell::Time(snapshot.time_us),
            snapshot.schema_version.into(),
            snapshot.changes.into(),
        ]
    };
    Ok(environment.lake.snapshots().await?.into_iter().map(row).collect())
}

fn tags(lakes: &Lakes) -> Vec<Vec<Cell>> {
    let definitions = lakes.main.state().definitions.values().filter(|d| d.kind == TAG_KIND);
    let row = |d: &Arc<catalog::Definition>| {
        vec![d.name.as_str().into(), d.body["snapshot_id"].as_i64().into()]
    };
    definitions.map(row).collect()
}

async fn files(lakes: &Lakes) -> Result<Vec<Vec<Cell>>> {
    let mut rows = Vec::new();
    for (schema_name, schema) in &lakes.main.state().schemas {
        for relation in schema.relations.values() {
            let Relation::Table(table) = relation else { continue };
            let found = lakes.main.rows(table).await?;
            rows.extend(found.files.iter().map(|file| {
                let deleted = file.gone();
                vec![
                    schema_name.as_str().into(),
                    table.name.as_str().into(),
                    file.path.as_str().into(),
                    (file.rows as i64).into(),
                    (deleted as i64).into(),
                    (file.size as i64).into(),
                    file.begin_snapshot.into(),
                ]
            }));
        }
    }
    Ok(rows)
}

async fn tables(lakes: &Lakes) -> Result<Vec<Vec<Cell>>> {
    let mut rows = Vec::new();
    for (schema_name, schema) in &lakes.main.state().schemas {
        for relation in schema.relations.values() {
            let Relation::Table(table) = relation else { continue };
            let found = lakes.main.rows(table).await?;
            let inlined: usize = found.inlined.iter().map(|i| i.batch.num_rows()).sum();
            let size: u64 = found.files.iter().map(|f| f.size).sum();
            rows.push(vec![
                schema_name.as_str().into(),
                table.name.as_str().into(),
                (found.count() as i64).into(),
                (found.files.len() as i64).into(),
                (inlined as i64).into(),
                (size as i64).into(),
            ]);
        }
    }
    Ok(rows)
}
