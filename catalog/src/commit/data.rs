//! Rows of a commit: new files and inlined rows, and the statistics they change.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::deletions::{self, FileDelete, close_rows};
use super::{Commit, statistics, tables};
use crate::error::{Error, Result};
use crate::metadata::{Value, inlined, layout};
use crate::model::{
    ColumnStats, DataFile, FileId, INLINED, InlinedRows, ObjectId, Relation, State, Table,
    TableRows,
};
use crate::overlay::{self, Overlay};
use datafusion::arrow::compute::concat_batches;
use datafusion::arrow::record_batch::RecordBatch;

/// Running numbers and sums of `ducklake_table_stats`.
struct TableStats {
    exists: bool,
    record_count: i64,
    next_row_id: i64,
    file_size: i64,
}

/// Writes what was done to one table; gives its rows in the new snapshot if they are known.
pub(super) async fn write(
    commit: &mut Commit<'_>,
    newest: &State,
    state: &mut State,
    id: ObjectId,
    overlay: &Overlay,
    deletes: Option<&BTreeMap<FileId, FileDelete>>,
) -> Result<Option<TableRows>> {
    let Some((schema, table)) = state.table_by_id(id) else {
        return Ok(None);
    };
    let folder = table.folder(schema);
    let mut table = Arc::clone(table);
    let mut known = known_rows(commit, newest, &table);
    if overlay.truncated {
        close_rows(commit, id).await?;
        commit.changes.push(format!("deleted_from_table:{id}"));
        commit.changes.push(format!("inlined_delete:{id}"));
        known = known.map(|_| TableRows::default());
    }
    let chunks = overlay.local_rows(&table)?;
    let batches: Vec<&RecordBatch> = chunks.iter().map(|chunk| &chunk.batch).collect();
    let batch = match batches.first() {
        None => None,
        Some(first) => {
            let batch = concat_batches(&first.schema(), batches);
            Some(batch.map_err(|e| Error::Engine(e.into()))?)
        }
    };
    if batch.is_some() && table.schema_version == 0 {
        table = add_inlined(commit, state, &table).await?;
    }
    let mut stats = table_stats(commit, id).await?;
    let files = write_files(commit, (&folder, &table), overlay, deletes, &mut stats).await?;
    let rows = match &batch {
        None => None,
        Some(batch) => Some(write_rows(commit, &table, batch, &mut stats).await?),
    };
    let batch_stats = match &batch {
        None => None,
        Some(batch) => Some(statistics::of_batch(&table, batch)?),
    };
    let mut added: Vec<&HashMap<i64, ColumnStats>> = files.iter().map(|f| &f.stats).collect();
    added.extend(&batch_stats);
    if !added.is_empty() {
        statistics::widen(commit, &table, &added).await?;
        write_table_stats(commit, id, &stats).await?;
    }
    deletions::write(commit, id, overlay, deletes, &files).await?;
    let Some(known) = known else {
        return Ok(None);
    };
    let mut new = overlay::remaining(&known, &overlay.deleted)?;
    new.files.extend(files.into_iter().map(Arc::new));
    if let Some(rows) = rows {
        overlay::push(&mut new.inlined, rows);
    }
    Ok(Some(new))
}

/// The table's rows before this commit, if they are at hand and have the same columns.
fn known_rows(commit: &Commit<'_>, newest: &State, table: &Table) -> Option<TableRows> {
    let Some((_, old)) = newest.table_by_id(table.id) else {
        return Some(TableRows::default());
    };
    if old.columns != table.columns {
        return None;
    }
    let rows = commit.lake.cache().rows(table.id, newest.snapshot.id)?;
    Some(TableRows::clone(&rows))
}

/// A lake made without inlining gets the table of inlined rows with the first of them.
async fn add_inlined(
    commit: &mut Commit<'_>,
    state: &mut State,
    table: &Arc<Table>,
) -> Result<Arc<Table>> {
    let mut table = Arc::clone(table);
    let inner = Arc::make_mut(&mut table);
    inner.schema_version = commit.schema_version;
    let sql = "SELECT 1 FROM ducklake_inlined_data_tables WHERE table_id = ? \
               AND schema_version = ?";
    let key = [table.id.into(), table.schema_version.into()];
    if commit.session.query(sql, &key).await?.is_empty() {
        tables::create_inlined(commit, &table).await?;
    }
    let schema = state.schemas.values_mut().find(|schema| schema.id == table.schema_id);
    if let Some(schema) = schema {
        let relation = Relation::Table(Arc::clone(&table));
        Arc::make_mut(schema).relations.insert(table.name.clone(), relation);
    }
    Ok(table)
}

async fn table_stats(commit: &mut Commit<'_>, id: ObjectId) -> Result<TableStats> {
    let sql = "SELECT record_count, next_row_id, file_size_bytes FROM ducklake_table_stats \
               WHERE table_id = ?";
    let rows = commit.session.query(sql, &[id.into()]).await?;
    let number = |index| rows.first().and_then(|row| row.integer(index)).unwrap_or_default();
    Ok(TableStats {
        exists: !rows.is_empty(),
        record_count: number(0),
        next_row_id: number(1),
        file_size: number(2),
    })
}

/// Rows and bytes of files that came or went without being inserted or deleted.
pub(crate) async fn adjust_stats(
    commit: &mut Commit<'_>,
    id: ObjectId,
    rows: i64,
    bytes: i64,
) -> Result<()> {
    let mut stats = table_stats(commit, id).await?;
    // DuckDB's merge leaves these numbers as they were: they can be too small.
    stats.record_count = (stats.record_count + rows).max(0);
    stats.file_size = (stats.file_size + bytes).max(0);
    statistics_changed(commit);
    write_table_stats(commit, id, &stats).await
}

/// DuckDB keeps a table's statistics, from which it numbers new rows, for as long as snapshots
/// have the same next file id. So it takes one also when no file was made, as DuckDB itself does.
fn statistics_changed(commit: &mut Commit<'_>) {
    commit.next_file_id += 1;
}

async fn write_table_stats(
    commit: &mut Commit<'_>,
    id: ObjectId,
    stats: &TableStats,
) -> Result<()> {
    let values = [stats.record_count, stats.next_row_id, stats.file_size].map(Value::Integer);
    if stats.exists {
        let sql = "UPDATE ducklake_table_stats SET record_count = ?, next_row_id = ?, \
                   file_size_bytes = ? WHERE table_id = ?";
        let mut arguments = values.to_vec();
        arguments.push(id.into());
        commit.session.execute(sql, &arguments).await?;
        return Ok(());
    }
    let mut row = vec![Value::Integer(id)];
    row.extend(values);
    layout::TABLE_STATS.insert(&mut commit.session, &[row]).await
}

async fn write_rows(
    commit: &mut Commit<'_>,
    table: &Table,
    batch: &RecordBatch,
    stats: &mut TableStats,
) -> Result<InlinedRows> {
    let first = stats.next_row_id;
    inlined::insert(&mut commit.session, table, batch, first, commit.snapshot).await?;
    let rows = i64::try_from(batch.num_rows()).unwrap_or(i64::MAX);
    stats.next_row_id += rows;
    stats.record_count += rows;
    statistics_changed(commit);
    commit.changes.push(format!("inlined_insert:{}", table.id));
    Ok(InlinedRows {
        file: INLINED,
        positions: Arc::new((first..first + rows).collect()),
        batch: batch.clone(),
    })
}

/// Registers new files; one whose rows were all deleted again is left to the clean-up.
async fn write_files(
    commit: &mut Commit<'_>,
    (folder, table): (&str, &Table),
    overlay: &Overlay,
    deletes: Option<&BTreeMap<FileId, FileDelete>>,
    stats: &mut TableStats,
) -> Result<Vec<DataFile>> {
    let closed = |file: &Arc<DataFile>| {
        let delete = deletes.and_then(|deletes| deletes.get(&file.id));
        matches!(delete, Some(FileDelete::Close))
    };
    let mut files = Vec::new();
    for own in overlay.files.iter().filter(|file| !closed(file)) {
        let rows = i64::try_from(own.rows).unwrap_or(i64::MAX);
        files.push(DataFile {
            id: commit.next_file_id,
            row_id_start: Some(stats.next_row_id),
            begin_snapshot: commit.snapshot,
            ..DataFile::clone(own)
        });
        commit.next_file_id += 1;
        stats.next_row_id += rows;
        stats.record_count += rows;
        stats.file_size += i64::try_from(own.size).unwrap_or(i64::MAX);
    }
    if files.is_empty() {
        return Ok(files);
    }
    let partition = partition_id(commit, table).await?;
    register(commit, table.id, folder, &files, partition).await?;
    commit.changes.push(format!("inserted_into_table:{}", table.id));
    Ok(files)
}

/// Rows of files in the catalog, with their statistics.
pub(crate) async fn register(
    commit: &mut Commit<'_>,
    table: ObjectId,
    folder: &str,
    files: &[DataFile],
    partition: Option<i64>,
) -> Result<()> {
    let row = |file: &DataFile| {
        vec![
            file.id.into(),
            table.into(),
            file.begin_snapshot.into(),
            Value::Null,
            Value::Null,
            file.path.strip_prefix(folder).unwrap_or(&file.path).into(),
            true.into(),
            "parquet".into(),
            file.rows.into(),
            file.size.into(),
            file.footer_size.into(),
            file.row_id_start.into(),
            partition.into(),
            Value::Null,
            Value::Null,
            file.partial_max.into(),
        ]
    };
    let rows: Vec<_> = files.iter().map(row).collect();
    layout::DATA_FILE.insert(&mut commit.session, &rows).await?;
    write_file_stats(commit, table, files).await
}

async fn write_file_stats(
    commit: &mut Commit<'_>,
    table: ObjectId,
    files: &[DataFile],
) -> Result<()> {
    let mut stats = Vec::new();
    let mut partitions = Vec::new();
    for file in files {
        let sorted: BTreeMap<_, _> = file.stats.iter().collect();
        stats.extend(sorted.into_iter().map(|(column, own)| {
            vec![
                file.id.into(),
                table.into(),
                (*column).into(),
                own.size.into(),
                own.values.into(),
                own.nulls.into(),
                own.min.clone().into(),
                own.max.clone().into(),
                own.contains_nan.into(),
                Value::Null,
            ]
        }));
        let values = file.partition_values.iter().enumerate();
        partitions.extend(values.map(|(index, value)| {
            let index = Value::from(index as u64);
            vec![file.id.into(), table.into(), index, value.clone().into()]
        }));
    }
    layout::FILE_COLUMN_STATS.insert(&mut commit.session, &stats).await?;
    layout::FILE_PARTITION_VALUE.insert(&mut commit.session, &partitions).await
}

pub(crate) async fn partition_id(commit: &mut Commit<'_>, table: &Table) -> Result<Option<i64>> {
    if table.partition_by.is_empty() {
        return Ok(None);
    }
    let sql = "SELECT partition_id FROM ducklake_partition_info WHERE table_id = ? \
               AND end_snapshot IS NULL";
    let rows = commit.session.query(sql, &[table.id.into()]).await?;
    Ok(rows.first().and_then(|row| row.integer(0)))
}
