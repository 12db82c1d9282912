//! Merge: small files become one; files with many deletions are written again without them.
//!
//! ```text
//!   clean, small   a b c ──▶ abc     takes their place: rows keep their snapshots
//!   many deletions d′ e′ ──▶ de      from now on; old snapshots read d′ and e′ until they expire
//! ```
//! Only files of one layout and one partition are merged. The files are written while others
//! commit; if a source file has changed in the meantime, the work is thrown away.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Instant;

use datafusion::arrow::array::{ArrayRef, AsArray, Int64Array, RecordBatch};
use datafusion::arrow::compute::SortOptions;
use datafusion::arrow::datatypes::Int64Type;
use datafusion::catalog::{Session, TableProvider};
use datafusion::physical_expr::expressions::col;
use datafusion::physical_expr::{LexOrdering, PhysicalSortExpr};
use datafusion::physical_plan::sorts::sort::SortExec;
use datafusion::physical_plan::sorts::sort_preserving_merge::SortPreservingMergeExec;
use datafusion::physical_plan::{ExecutionPlan, ExecutionPlanProperties};
use futures::StreamExt;

use super::{data_file, discard, table_then, with_origins};
use crate::commit::{Commit, NewRows, Purpose, data};
use crate::error::Result;
use crate::lake::Lake;
use crate::metadata::{inlined, rows};
use crate::model::{DataFile, FileId, NewFile, ObjectId, SnapshotId, State, Table, TableRows};
use crate::scan::LakeTable;
use crate::write::TableWriter;

/// Files below this size are merged.
const SMALL_BYTES: u64 = 32 * 1024 * 1024;
/// Bytes of the files that one merged file is made of, at most.
const MERGED_BYTES: u64 = 256 * 1024 * 1024;
/// Larger files are written again when at least one row in so many is deleted.
const DELETED_ROWS: u64 = 5;

/// What a merge has done.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Merged {
    pub sources: u64,
    pub files: u64,
}

/// Files of one layout and partition that become one.
struct Group {
    /// As it was when the files were written.
    table: Arc<Table>,
    partition: Option<i64>,
    sources: Vec<Arc<DataFile>>,
    /// The sources have deletions: they stay for old snapshots.
    rewrites: bool,
}

/// (first snapshot of the layout, partitioning, values) and whether there are deletions.
type Key = (SnapshotId, Option<i64>, Vec<Option<String>>, bool);

impl Lake {
    /// Merges a table's small files and drops deleted rows from files; nothing that can be read
    /// changes. `session` bounds memory and says how many files are read at once.
    pub async fn merge(&self, session: &dyn Session, table: ObjectId) -> Result<Merged> {
        let since = Instant::now();
        let newest = self.current().await?;
        let mut merged = Merged::default();
        let Some((schema, table)) = newest.table_by_id(table) else { return Ok(merged) };
        for group in groups(self, &newest, table).await? {
            let folder = table.folder(schema);
            let files = write(self, session, &folder, &group).await?;
            match self.replace(table.id, &folder, &group, &files).await? {
                true => {
                    merged.sources += group.sources.len() as u64;
                    merged.files += files.len() as u64;
                }
                false => discard(self, &files).await,
            }
        }
        self.ran("merge", Some(table), since, (0, merged.files));
        Ok(merged)
    }

    /// Puts new files in the place of their sources; false if those are not what they were.
    async fn replace(
        &self,
        table: ObjectId,
        folder: &str,
        group: &Group,
        files: &[DataFile],
    ) -> Result<bool> {
        let _turn = self.committing.lock().await;
        for _ in 0..super::ATTEMPTS {
            let newest = self.current().await?;
            let Some((_, now)) = newest.table_by_id(table) else { return Ok(false) };
            let rows = self.rows(&newest, now).await?;
            let same = |source: &Arc<DataFile>| {
                let file = rows.files.iter().find(|file| file.id == source.id);
                file.is_some_and(|file| file.deleted == source.deleted)
            };
            if !group.sources.iter().all(same) {
                return Ok(false);
            }
            let Some(mut commit) = Commit::begin(self, &newest, Purpose::Upkeep).await? else {
                continue;
            };
            return match record(&mut commit, table, folder, group, files).await {
                Ok(()) => {
                    let state = State::clone(&newest);
                    commit.finish(&newest, state, NewRows::new()).await.map(|_| true)
                }
                Err(error) => Err(commit.abandon(error).await),
            };
        }
        Ok(false)
    }
}

/// What is worth merging.
async fn groups(lake: &Lake, newest: &State, table: &Arc<Table>) -> Result<Vec<Group>> {
    let found = lake.rows(newest, table).await?;
    let mut session = lake.database.read().await?;
    let sorted = async {
        let partitions = rows::origins(&mut session, table.id).await?;
        let layouts = inlined::layout_starts(&mut session, table.id).await?;
        let mut by_key = BTreeMap::<Key, Vec<Arc<DataFile>>>::new();
        for file in &found.files {
            let deleted = file.gone();
            let small = file.size < SMALL_BYTES;
            let worth = small || deleted * DELETED_ROWS >= file.rows;
            let foreign = partitions.get(&file.id).is_some_and(|own| own.mapped);
            if !worth || foreign {
                continue;
            }
            let start = layouts.range(..=file.begin_snapshot).next_back();
            let start = start.copied().unwrap_or_default();
            let partition = partitions.get(&file.id).and_then(|own| own.partition);
            let key = (start, partition, file.partition_values.clone(), deleted > 0);
            by_key.entry(key).or_default().push(Arc::clone(file));
        }
        let last = layouts.last().copied().unwrap_or_default();
        let mut groups = Vec::new();
        for ((start, partition, _, rewrites), files) in by_key {
            let then = match start == last {
                true => Table { partition_by: Vec::new(), ..Table::clone(table) },
                false => table_then(&mut session, table, start, &lake.roots).await?,
            };
            let then = Arc::new(then);
            groups.extend(packed(files).into_iter().map(|sources| Group {
                table: Arc::clone(&then),
                partition,
                sources,
                rewrites,
            }));
        }
        groups.retain(|group| group.rewrites || group.sources.len() > 1);
        Ok(groups)
    }
    .await;
    session.rollback().await?;
    sorted
}

/// Files in the order they were written, cut where a merged file is large enough.
fn packed(files: Vec<Arc<DataFile>>) -> Vec<Vec<Arc<DataFile>>> {
    let mut packs: Vec<Vec<Arc<DataFile>>> = Vec::new();
    let mut bytes = 0;
    for file in files {
        if packs.is_empty() || bytes + file.size > MERGED_BYTES {
            packs.push(Vec::new());
            bytes = 0;
        }
        bytes += file.size;
        if let Some(pack) = packs.last_mut() {
            pack.push(file);
        }
    }
    packs
}

/// The rows of a group's files with their origins, in files that nobody knows yet.
async fn write(
    lake: &Lake,
    session: &dyn Session,
    folder: &str,
    group: &Group,
) -> Result<Vec<DataFile>> {
    let table = Arc::new(with_origins(&group.table, true));
    let written = Arc::new(with_origins(&group.table, !group.rewrites));
    let rows = Arc::new(TableRows { files: group.sources.clone(), inlined: Vec::new() });
    let scan = LakeTable::new(lake.store_url().clone(), Arc::clone(&table), rows, true);
    let plan = scan.scan(session, None, &[], None).await?;
    let plan = sorted(plan, &group.table)?;
    let sources: HashMap<FileId, &Arc<DataFile>> =
        group.sources.iter().map(|file| (file.id, file)).collect();
    let mut writer = TableWriter::new(lake, folder, &written)?;
    let mut first_row_id = i64::MAX;
    // One partition after the other: the order of the files stays.
    for partition in 0..plan.output_partitioning().partition_count() {
        let mut batches = plan.execute(partition, session.task_ctx())?;
        while let Some(batch) = batches.next().await {
            let done = async {
                let batch = with_known_origins(&batch?, &written, &sources, &mut first_row_id)?;
                writer.write(batch).await
            };
            if let Err(error) = done.await {
                writer.abort().await;
                return Err(error);
            }
        }
    }
    let begin = group.sources.iter().map(|file| file.begin_snapshot).min();
    let last = |file: &Arc<DataFile>| file.partial_max.unwrap_or(file.begin_snapshot);
    let last = group.sources.iter().map(last).max().filter(|_| !group.rewrites);
    let file = |new: NewFile| {
        let mut file = data_file(new, folder, begin.unwrap_or_default(), last);
        file.row_id_start = Some(first_row_id);
        file.partition_values =
            group.sources.first().map(|f| f.partition_values.clone()).unwrap_or_default();
        file
    };
    Ok(writer.finish().await?.into_iter().map(file).collect())
}

/// In the order the table is kept in, if it has one.
fn sorted(plan: Arc<dyn ExecutionPlan>, table: &Table) -> Result<Arc<dyn ExecutionPlan>> {
    let schema = plan.schema();
    let mut keys = Vec::new();
    for key in &table.sort_by {
        let options = SortOptions { descending: key.descending, nulls_first: key.nulls_first };
        keys.push(PhysicalSortExpr::new(col(&key.column, &schema)?, options));
    }
    let Some(order) = LexOrdering::new(keys) else { return Ok(plan) };
    let sort = SortExec::new(order.clone(), plan).with_preserve_partitioning(true);
    Ok(Arc::new(SortPreservingMergeExec::new(order, Arc::new(sort))))
}

/// Fills in the origins that a file does not carry itself and leaves the addresses out.
fn with_known_origins(
    batch: &RecordBatch,
    written: &Table,
    sources: &HashMap<FileId, &Arc<DataFile>>,
    first_row_id: &mut i64,
) -> Result<RecordBatch> {
    let width = batch.num_columns() - 4;
    let numbers = |index: usize| batch.column(index).as_primitive::<Int64Type>();
    let (row_ids, snapshots) = (numbers(width), numbers(width + 1));
    let (files, positions) = (numbers(width + 2), numbers(width + 3));
    let known = |array: &Int64Array, row: usize| {
        use datafusion::arrow::array::Array;
        array.is_valid(row).then(|| array.value(row))
    };
    let rows = 0..batch.num_rows();
    let origin = |row: usize| {
        let source = sources.get(&files.value(row));
        let start = source.and_then(|file| file.row_id_start).unwrap_or_default();
        let begin = source.map_or(0, |file| file.begin_snapshot);
        let id = known(row_ids, row).unwrap_or(start + positions.value(row));
        (id, known(snapshots, row).unwrap_or(begin))
    };
    let (ids, begins): (Vec<i64>, Vec<SnapshotId>) = rows.map(origin).unzip();
    *first_row_id = ids.iter().copied().fold(*first_row_id, i64::min);
    let mut arrays: Vec<ArrayRef> = batch.columns()[..width].to_vec();
    arrays.push(Arc::new(Int64Array::from(ids)));
    if written.columns.len() > width + 1 {
        arrays.push(Arc::new(Int64Array::from(begins)));
    }
    inlined::batch(written, arrays, batch.num_rows())
}

async fn record(
    commit: &mut Commit<'_>,
    table: ObjectId,
    folder: &str,
    group: &Group,
    files: &[DataFile],
) -> Result<()> {
    let sum = |numbers: &mut dyn Iterator<Item = u64>| -> i64 {
        numbers.map(|number| i64::try_from(number).unwrap_or(i64::MAX)).sum()
    };
    let added = sum(&mut files.iter().map(|file| file.size));
    let gone = sum(&mut group.sources.iter().map(|file| file.size));
    let deleted = group.sources.iter().filter_map(|file| Some(file.deleted.as_ref()?.len()));
    data::adjust_stats(commit, table, -sum(&mut deleted.into_iter()), added - gone).await?;
    for source in &group.sources {
        let id = [source.id.into()];
        if group.rewrites {
            commit.close("ducklake_data_file", "data_file_id = ?", &id).await?;
            commit.close("ducklake_delete_file", "data_file_id = ?", &id).await?;
            continue;
        }
        let records = ["data_file", "file_column_stats", "file_partition_value"];
        for name in records {
            let sql = format!("DELETE FROM ducklake_{name} WHERE data_file_id = ?");
            commit.session.execute(&sql, &id).await?;
        }
        commit.schedule(&[(source.id, source.path.clone())]).await?;
    }
    let mut numbered = files.to_vec();
    for file in &mut numbered {
        file.id = commit.file_id();
        if group.rewrites {
            file.begin_snapshot = commit.snapshot;
        }
    }
    data::register(commit, table, folder, &numbered, group.partition).await?;
    let token = if group.rewrites { "rewrite_delete" } else { "merge_adjacent" };
    commit.changes.push(format!("{token}:{table}"));
    Ok(())
}
