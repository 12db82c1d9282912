//! Flush: rows and deletions that the catalog keeps, written to files as they were.
//!
//! ```text
//!   ducklake_inlined_data_<t>_<v> ──▶ one file a layout and partition, with a delete file
//!   ducklake_inlined_delete_<t>   ──▶ one delete file, the old one's deletions included
//! ```
//! Rows and deletions keep their snapshots; what no snapshot can see any more is left out.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Instant;

use datafusion::arrow::array::{ArrayRef, Int64Array, UInt32Array};
use datafusion::arrow::compute::{SortColumn, SortOptions, lexsort_to_indices, take_record_batch};
use datafusion::arrow::record_batch::RecordBatch;

use super::{ATTEMPTS, data_file, discard, is_seen, retained, table_then, with_origins};
use crate::commit::deletions::{self, DeleteFile};
use crate::commit::{Commit, NewRows, Purpose, data};
use crate::deletes::{self, Deletion};
use crate::error::{Error, Result};
use crate::lake::Lake;
use crate::metadata::inlined::{self, Layout};
use crate::metadata::{Session, Value, rows};
use crate::model::{DataFile, FileId, ObjectId, Schema, SnapshotId, State, Table};
use crate::write::{TableWriter, partitions};

/// What a flush has moved to files.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Flushed {
    pub rows: u64,
    pub deletions: u64,
    pub files: u64,
}

/// What the catalog keeps of one table, for deciding when to flush.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kept {
    pub table: ObjectId,
    pub rows: u64,
    /// Of the oldest of them.
    pub since: SnapshotId,
}

/// Rows of one layout that some snapshot sees.
struct Part {
    /// As it was then, with the columns of origin.
    table: Arc<Table>,
    /// The table's own partitioning applies: the layout is the present one.
    present: bool,
    batch: RecordBatch,
    begins: Vec<SnapshotId>,
    ends: Vec<Option<SnapshotId>>,
    row_ids: Vec<i64>,
}

/// Deletions of a committed file, those of its delete file included.
struct FileDeletions {
    file: Arc<DataFile>,
    replaced: Option<rows::DeleteFile>,
    deletions: Vec<Deletion>,
    new: u64,
}

/// A new file and the deletions among its rows.
struct Written {
    file: DataFile,
    partitioned: bool,
    deleted: Option<DeleteFile>,
}

impl Lake {
    /// Tables with rows or deletions in the catalog database.
    pub async fn kept(&self) -> Result<Vec<Kept>> {
        let mut session = self.database.read().await?;
        let kept = kept(&mut session).await;
        session.rollback().await?;
        kept
    }

    /// Moves what the catalog keeps of a table to files; nothing that can be read changes.
    pub async fn flush(&self, table: ObjectId) -> Result<Flushed> {
        let since = Instant::now();
        let _turn = self.committing.lock().await;
        for _ in 0..ATTEMPTS {
            let newest = self.current().await?;
            let Some((schema, table)) = newest.table_by_id(table) else { break };
            let (parts, deleted) = collect(self, &newest, schema, table).await?;
            let Some(parts) = parts else { break };
            let folder = table.folder(schema);
            let written = write(self, &folder, &parts).await?;
            let mut flushed = Flushed {
                rows: parts.iter().map(|part| part.batch.num_rows() as u64).sum(),
                deletions: deleted.iter().map(|own| own.new).sum(),
                files: written.len() as u64,
            };
            let mut delete_files = Vec::new();
            for own in deleted {
                let file =
                    DeleteFile::upload(self, &folder, &own.file.path, &own.deletions).await?;
                delete_files.push((own, file));
                flushed.files += 1;
            }
            let Some(mut commit) = Commit::begin(self, &newest, Purpose::Upkeep).await? else {
                let files: Vec<DataFile> = written.into_iter().map(|own| own.file).collect();
                discard(self, &files).await;
                continue;
            };
            return match record(&mut commit, table, &folder, written, delete_files).await {
                Ok(()) => {
                    let state = State::clone(&newest);
                    commit.finish(&newest, state, NewRows::new()).await?;
                    let rows = flushed.rows + flushed.deletions;
                    self.ran("flush", Some(table), since, (rows, flushed.files));
                    Ok(flushed)
                }
                Err(error) => Err(commit.abandon(error).await),
            };
        }
        Ok(Flushed::default())
    }
}

async fn kept(session: &mut Session) -> Result<Vec<Kept>> {
    let sql = "SELECT table_id, table_name FROM ducklake_inlined_data_tables WHERE table_id IN \
               (SELECT table_id FROM ducklake_table WHERE end_snapshot IS NULL)";
    let mut sources: Vec<(ObjectId, String)> = Vec::new();
    for row in session.query(sql, &[]).await? {
        sources.push((row.id(0)?, row.name(1)));
    }
    let tables: BTreeSet<ObjectId> = sources.iter().map(|(table, _)| *table).collect();
    for table in tables {
        let name = inlined::delete_table(table);
        if session.table_exists(&name).await? {
            // Those of files that were replaced go with the file, when it expires.
            let live = "WHERE file_id IN (SELECT data_file_id FROM ducklake_data_file \
                        WHERE end_snapshot IS NULL)";
            sources.push((table, format!("{name} {live}")));
        }
    }
    let mut found = BTreeMap::<ObjectId, Kept>::new();
    for (table, name) in sources {
        let sql = format!("SELECT COUNT(*), MIN(begin_snapshot) FROM {name}");
        let rows = session.query(&sql, &[]).await?;
        let Some(row) = rows.first() else { continue };
        let (Some(rows), Some(since)) = (row.integer(0), row.integer(1)) else { continue };
        let own = found.entry(table).or_insert(Kept { table, rows: 0, since });
        own.rows += rows.unsigned_abs();
        own.since = own.since.min(since);
    }
    Ok(found.into_values().collect())
}

/// Rows by layout (None: nothing is kept), and deletions by file.
async fn collect(
    lake: &Lake,
    newest: &State,
    schema: &Schema,
    table: &Table,
) -> Result<(Option<Vec<Part>>, Vec<FileDeletions>)> {
    let mut session = lake.database.read().await?;
    let at = newest.snapshot.id;
    let found = async {
        let retained = retained(&mut session).await?;
        let mut parts = Vec::new();
        let mut any = false;
        for layout in inlined::layouts(&mut session, table).await? {
            let (rows, part) = part(&mut session, table, &layout, &retained, &lake.roots).await?;
            any |= rows > 0;
            parts.extend(part);
        }
        let kept = rows::dated_deletes(&mut session, table.id).await?;
        let loaded = rows::load(&mut session, at, schema, table, &lake.roots).await?;
        Ok::<_, Error>((parts, any, kept, loaded))
    }
    .await;
    session.rollback().await?;
    let (parts, any, mut kept, loaded) = found?;
    let mut deleted = Vec::new();
    for file in loaded.files {
        let Some(own) = kept.remove(&file.id) else { continue };
        let replaced = loaded.delete_files.iter().find(|d| d.data_file == file.id).cloned();
        let mut all: BTreeMap<u64, SnapshotId> = BTreeMap::new();
        if let Some(old) = &replaced {
            for (position, at) in deletes::list(lake.store(), &old.path).await? {
                all.insert(position, at.unwrap_or(old.begin_snapshot));
            }
        }
        let new = own.len() as u64;
        for (position, at) in own {
            let first = all.entry(position).or_insert(at);
            *first = at.min(*first);
        }
        let deletions = all.into_iter().map(|(position, at)| (position, Some(at))).collect();
        deleted.push(FileDeletions { file: Arc::new(file), replaced, deletions, new });
    }
    let something = any || !deleted.is_empty();
    Ok((something.then_some(parts), deleted))
}

/// Rows of a layout that some snapshot sees, and how many there are in all.
async fn part(
    session: &mut Session,
    table: &Table,
    layout: &Layout,
    retained: &BTreeSet<SnapshotId>,
    roots: &[String],
) -> Result<(usize, Option<Part>)> {
    let present = layout.schema_version == table.schema_version;
    let then = match present {
        true => table.clone(),
        false => table_then(session, table, layout.begin_snapshot, roots).await?,
    };
    let history = inlined::history(session, &then, layout).await?;
    let rows = history.row_ids.len();
    let seen = |row: &usize| is_seen(retained, history.begins[*row], history.ends[*row]);
    let mut order: Vec<usize> = (0..rows).filter(seen).collect();
    if order.is_empty() {
        return Ok((rows, None));
    }
    sort(&then, &history.batch, &mut order)?;
    let indices = UInt32Array::from_iter_values(order.iter().map(|row| *row as u32));
    let batch = take_record_batch(&history.batch, &indices).map_err(engine)?;
    let row_ids: Vec<i64> = order.iter().map(|row| history.row_ids[*row]).collect();
    let begins: Vec<SnapshotId> = order.iter().map(|row| history.begins[*row]).collect();
    let ends = order.iter().map(|row| history.ends[*row]).collect();
    let table = Arc::new(with_origins(&then, true));
    let mut arrays: Vec<ArrayRef> = batch.columns().to_vec();
    arrays.push(Arc::new(Int64Array::from(row_ids.clone())));
    arrays.push(Arc::new(Int64Array::from(begins.clone())));
    let batch = inlined::batch(&table, arrays, order.len())?;
    Ok((rows, Some(Part { table, present, batch, begins, ends, row_ids })))
}

/// In the order the table is kept in; else as inserted.
fn sort(table: &Table, batch: &RecordBatch, order: &mut [usize]) -> Result<()> {
    let key = |key: &crate::model::SortKey| {
        let index = table.columns.iter().position(|column| column.name == key.column)?;
        let options = SortOptions { descending: key.descending, nulls_first: key.nulls_first };
        Some(SortColumn { values: Arc::clone(batch.column(index)), options: Some(options) })
    };
    let keys: Vec<SortColumn> = table.sort_by.iter().filter_map(key).collect();
    if keys.is_empty() {
        return Ok(());
    }
    let sorted = lexsort_to_indices(&keys, None).map_err(engine)?;
    let mut places = vec![0; batch.num_rows()];
    for (place, row) in sorted.values().iter().enumerate() {
        places[*row as usize] = place;
    }
    order.sort_by_key(|row| places[*row]);
    Ok(())
}

/// One file a part and partition (more if they are very large), with its delete file.
async fn write(lake: &Lake, folder: &str, parts: &[Part]) -> Result<Vec<Written>> {
    let mut written = Vec::new();
    for part in parts {
        let all = || vec![(Vec::new(), (0..part.batch.num_rows() as u32).collect())];
        let groups = match part.present && !part.table.partition_by.is_empty() {
            true => partitions(&part.table, &part.batch)?,
            false => all(),
        };
        for (_, rows) in groups {
            let indices = UInt32Array::from(rows.clone());
            let batch = take_record_batch(&part.batch, &indices).map_err(engine)?;
            let mut writer = TableWriter::new(lake, folder, &part.table)?;
            writer.write(batch).await?;
            let mut rest = rows.as_slice();
            for file in writer.finish().await? {
                let (own, others) = rest.split_at(rest.len().min(file.rows as usize));
                rest = others;
                written.push(written_file(lake, folder, part, file, own).await?);
            }
        }
    }
    Ok(written)
}

async fn written_file(
    lake: &Lake,
    folder: &str,
    part: &Part,
    file: crate::model::NewFile,
    rows: &[u32],
) -> Result<Written> {
    let begins = || rows.iter().map(|row| part.begins[*row as usize]);
    let first = begins().min().unwrap_or_default();
    let mut file = data_file(file, folder, first, begins().max());
    file.row_id_start = rows.iter().map(|row| part.row_ids[*row as usize]).min();
    let deletion = |(position, row): (usize, &u32)| {
        part.ends[*row as usize].map(|end| (position as u64, Some(end)))
    };
    let deletions: Vec<Deletion> = rows.iter().enumerate().filter_map(deletion).collect();
    let deleted = match deletions.is_empty() {
        true => None,
        false => Some(DeleteFile::upload(lake, folder, &file.path, &deletions).await?),
    };
    let partitioned = !file.partition_values.is_empty();
    Ok(Written { file, partitioned, deleted })
}

/// Everything in the catalog: the files in, the rows out.
async fn record(
    commit: &mut Commit<'_>,
    table: &Table,
    folder: &str,
    written: Vec<Written>,
    delete_files: Vec<(FileDeletions, DeleteFile)>,
) -> Result<()> {
    let partition = data::partition_id(commit, table).await?;
    for Written { mut file, partitioned, deleted } in written {
        file.id = commit.file_id();
        let (id, size) = (file.id, i64::try_from(file.size).unwrap_or(i64::MAX));
        let partition = partition.filter(|_| partitioned);
        data::register(commit, table.id, folder, &[file], partition).await?;
        data::adjust_stats(commit, table.id, 0, size).await?;
        if let Some(deleted) = deleted {
            deleted.register(commit, table.id, id).await?;
        }
    }
    let moved: Vec<FileId> = delete_files.iter().map(|(own, _)| own.file.id).collect();
    for (own, file) in delete_files {
        if let Some(old) = own.replaced {
            let sql = "DELETE FROM ducklake_delete_file WHERE delete_file_id = ?";
            commit.session.execute(sql, &[old.id.into()]).await?;
            commit.schedule(&[(old.id, old.path)]).await?;
        }
        file.register(commit, table.id, own.file.id).await?;
    }
    for id in &moved {
        let name = inlined::delete_table(table.id);
        let sql = format!("DELETE FROM {name} WHERE file_id = ?");
        commit.session.execute(&sql, &[Value::Integer(*id)]).await?;
    }
    if !moved.is_empty() {
        commit.changes.push(format!("deleted_from_table:{}", table.id));
    }
    for name in deletions::inlined_tables(commit, table.id).await? {
        commit.session.execute(&format!("DELETE FROM {name}"), &[]).await?;
    }
    commit.changes.push(format!("inline_flush:{}", table.id));
    Ok(())
}

fn engine(error: datafusion::arrow::error::ArrowError) -> Error {
    Error::Engine(error.into())
}
