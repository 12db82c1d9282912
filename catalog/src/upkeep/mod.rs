//! Upkeep: changes of where rows are kept, never of what they are, and the end of what is past.
//!
//! ```text
//!   flush    rows and deletions kept in the catalog ──▶ Parquet files
//!   merge    small files, files with many deletions ──▶ one file
//!   expire   snapshots that nobody keeps            ──▶ gone, their files scheduled
//!   clean_up scheduled files, files nobody knows    ──▶ removed
//! ```
//! A file that holds rows of several snapshots says in two columns of its own which row came with
//! which snapshot, so that old snapshots read what they always read. The catalog is changed in one
//! commit; what a crash leaves behind is a file that nobody knows.

mod clean;
mod expire;
mod flush;
mod merge;

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use chrono::Utc;

use crate::commit::Commit;
use crate::deletes::{SNAPSHOT_COLUMN, SNAPSHOT_FIELD};
use crate::error::Result;
use crate::lake::Lake;
use crate::metadata::{Session, layout};
use crate::model::{
    Column, DataFile, FileId, NewFile, ROW_ID_COLUMN, ROW_ID_FIELD, Snapshot, SnapshotId, Table,
};
use crate::write::TableWriter;

pub use clean::Removed;
pub use flush::{Flushed, Kept};
pub use merge::Merged;

/// Pieces of upkeep that are remembered.
const RUNS: usize = 1000;
/// How often upkeep starts over because other servers commit to the same table.
const ATTEMPTS: usize = 5;
/// What is left alone because it is young.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Retention {
    /// Snapshots stay readable so long.
    pub snapshots: Duration,
    /// Files that no snapshot needs stay so long: other servers may still read them.
    pub files: Duration,
}

/// A piece of upkeep that was done, as `lake.upkeep_runs` shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    /// `flush`, `merge`, `index`, `expire`, `clean_up`.
    pub kind: &'static str,
    /// None: the whole lake.
    pub table: Option<String>,
    /// Microseconds since 1970 UTC.
    pub finished_us: i64,
    pub duration_us: i64,
    /// Rows and deletions flushed; rows indexed; snapshots expired.
    pub rows: u64,
    /// Files written (flush, merge, index) or removed (clean_up).
    pub files: u64,
}

impl Lake {
    /// The latest pieces of upkeep of this server, oldest first.
    pub fn upkeep_runs(&self) -> Vec<Run> {
        self.runs().iter().cloned().collect()
    }

    pub(crate) fn ran(
        &self,
        kind: &'static str,
        table: Option<&Table>,
        since: Instant,
        done: (u64, u64),
    ) {
        let (rows, files) = done;
        if rows + files == 0 {
            return;
        }
        let mut runs = self.runs();
        if runs.len() == RUNS {
            runs.pop_front();
        }
        runs.push_back(Run {
            kind,
            table: table.map(|table| table.name.clone()),
            finished_us: Utc::now().timestamp_micros(),
            duration_us: i64::try_from(since.elapsed().as_micros()).unwrap_or(i64::MAX),
            rows,
            files,
        });
    }
}

/// The table with the columns that say where each row of a file comes from.
fn with_origins(table: &Table, snapshots: bool) -> Table {
    let mut table = table.clone();
    table.columns.push(Column::origin(ROW_ID_FIELD, ROW_ID_COLUMN));
    if snapshots {
        table.columns.push(Column::origin(SNAPSHOT_FIELD, SNAPSHOT_COLUMN));
    }
    table
}

/// A written file as the catalog is to know it.
fn data_file(new: NewFile, folder: &str, begin: SnapshotId, last: Option<SnapshotId>) -> DataFile {
    let mut stats = new.stats;
    stats.retain(|column, _| ![ROW_ID_FIELD, SNAPSHOT_FIELD].contains(column));
    DataFile {
        id: 0,
        path: format!("{folder}{}", new.name),
        size: new.size,
        footer_size: new.footer_size,
        rows: new.rows,
        row_id_start: None,
        begin_snapshot: begin,
        partial_max: last,
        partition_values: new.partition_values,
        stats,
        deleted: None,
    }
}

/// Removes files that no commit will name.
async fn discard(lake: &Lake, files: &[DataFile]) {
    for file in files {
        TableWriter::remove_file(lake, &file.path).await;
    }
}

/// Ids of the snapshots that can be read.
async fn retained(session: &mut Session) -> Result<BTreeSet<SnapshotId>> {
    let rows = session.query("SELECT snapshot_id FROM ducklake_snapshot", &[]).await?;
    rows.iter().map(|row| row.id(0)).collect()
}

/// Whether a snapshot that can be read sees what lived from `begin` to `end`.
fn is_seen(retained: &BTreeSet<SnapshotId>, begin: SnapshotId, end: Option<SnapshotId>) -> bool {
    match end {
        None => true,
        Some(end) => begin < end && retained.range(begin..end).next().is_some(),
    }
}

/// The table as it was when a layout of it was new: its columns are those of old rows.
async fn table_then(
    session: &mut Session,
    table: &Table,
    begin: SnapshotId,
    roots: &[String],
) -> Result<Table> {
    let at =
        Snapshot { id: begin, time_us: 0, schema_version: 0, next_catalog_id: 0, next_file_id: 0 };
    let state = crate::metadata::load::state(session, at, roots).await?;
    let then = state.table_by_id(table.id).map(|(_, table)| Table::clone(table));
    Ok(Table { partition_by: Vec::new(), sort_by: Vec::new(), ..then.unwrap_or(table.clone()) })
}

impl Commit<'_> {
    /// Numbers of data files and delete files.
    fn file_id(&mut self) -> FileId {
        self.next_file_id += 1;
        self.next_file_id - 1
    }

    /// Leaves objects, paths from the data path, to the clean-up.
    async fn schedule(&mut self, files: &[(FileId, String)]) -> Result<()> {
        let now = layout::time_text(Utc::now());
        let row = |(id, path): &(FileId, String)| {
            vec![(*id).into(), path.as_str().into(), true.into(), now.as_str().into()]
        };
        let rows: Vec<_> = files.iter().map(row).collect();
        layout::SCHEDULED.insert(&mut self.session, &rows).await
    }
}
