//! Upkeep of vector indexes: rows that are in no segment get one, and an index that no longer fits
//! its table is built anew.
//!
//! ```text
//!   few rows outside, few gone           nothing
//!   a tenth outside                      one more segment, under the model that there is
//!   many segments, many rows gone or
//!   outside, centres that do not fit,
//!   an object that cannot be read        one new segment of all files
//! ```
//!
//! The new list of segments is committed against the state that was read: an index that was
//! dropped or built by others meanwhile makes the commit conflict, and the work is given up.
//! Changes of rows do not conflict: a segment says nothing of which rows live.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Instant;

use datafusion::execution::SessionState;

use super::{IndexBuild, LEAST_INDEXED, Segments, TableIndex, VECTOR_INDEX, of_table};
use crate::error::{Error, Result};
use crate::lake::Lake;
use crate::model::{DataFile, ObjectId, PROVISIONAL, Table, TableRows};
use crate::transaction::Transaction;

/// Segments of one index.
const MOST_SEGMENTS: usize = 8;
/// Rows outside of an index, to those in it, that get a segment.
const PENDING_SHARE: f64 = 0.1;
/// Rows outside or gone, to those in it, for which all is built anew.
const STALE_SHARE: f64 = 0.5;
/// Residuals against those of training beyond which training again pays.
const MOST_DRIFT: f64 = 1.1;

/// What upkeep has done for the indexes of a table.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tended {
    /// Segments written.
    pub segments: u64,
    /// Rows in them.
    pub rows: u64,
}

/// What an index needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Need {
    Nothing,
    Segment,
    All,
}

impl Lake {
    /// Builds what the vector indexes of a table lack.
    ///
    /// # Errors
    /// Those of reading, writing and memory; a conflict is none.
    pub async fn tend_indexes(
        self: &Arc<Self>,
        engine: &SessionState,
        table: ObjectId,
    ) -> Result<Tended> {
        let mut tended = Tended::default();
        let state = self.current().await?;
        let Some((_, found)) = state.table_by_id(table) else { return Ok(tended) };
        for index in of_table(self, &state, found) {
            let since = Instant::now();
            let transaction = Transaction::begin(Arc::clone(self), self.current().await?);
            match tend(transaction, engine, table, &index.of.uuid).await {
                Ok(done) => {
                    tended.segments += done.segments;
                    tended.rows += done.rows;
                    self.ran("index", Some(found), since, (done.rows, done.segments));
                }
                Err(Error::Conflict { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(tended)
    }
}

async fn tend(
    mut transaction: Transaction,
    engine: &SessionState,
    table: ObjectId,
    uuid: &str,
) -> Result<Tended> {
    let lake = Arc::clone(transaction.lake());
    let state = Arc::clone(transaction.state());
    let Some((_, table)) = state.table_by_id(table) else { return Ok(Tended::default()) };
    let indexes = of_table(&lake, &state, table);
    let Some(index) = indexes.into_iter().find(|index| index.of.uuid == uuid) else {
        return Ok(Tended::default());
    };
    let rows = transaction.rows(table).await?;
    let need = need(&index, &rows);
    if need == Need::Nothing {
        return Ok(Tended::default());
    }
    let made = transaction.build_index(engine, table, &index, need == Need::All).await?;
    transaction.commit().await?;
    Ok(made)
}

/// The files that are in no segment.
fn pending(index: &TableIndex, rows: &TableRows) -> Vec<Arc<DataFile>> {
    let covered: HashSet<_> = index.segments.files().collect();
    let files = rows.files.iter().filter(|file| !covered.contains(&file.id));
    files.filter(|file| file.id < PROVISIONAL).cloned().collect()
}

fn need(index: &TableIndex, rows: &TableRows) -> Need {
    let segments = &index.segments.segments;
    let outside = pending(index, rows).iter().map(|file| file.live()).sum::<u64>();
    let covered: HashSet<_> = index.segments.files().collect();
    let inside = rows.files.iter().filter(|file| covered.contains(&file.id));
    let inside = inside.map(|file| file.live()).sum::<u64>();
    let known = segments.iter().map(|segment| segment.indexed + segment.nulls).sum::<u64>();
    let gone = known.saturating_sub(inside);
    let share = |part: u64| part as f64 / known.max(1) as f64;
    if segments.iter().any(|segment| index.lake.is_damaged(segment)) {
        return Need::All;
    }
    if segments.is_empty() {
        return if outside >= LEAST_INDEXED { Need::All } else { Need::Nothing };
    }
    let stale = share(gone) > STALE_SHARE || share(outside) > STALE_SHARE;
    let drifted = segments.iter().any(|s| s.drift > MOST_DRIFT) && share(outside) > PENDING_SHARE;
    let due = outside >= LEAST_INDEXED && share(outside) > PENDING_SHARE;
    match (stale || drifted || due && segments.len() >= MOST_SEGMENTS, due) {
        (true, _) => Need::All,
        (false, true) => Need::Segment,
        (false, false) => Need::Nothing,
    }
}

impl Transaction {
    /// Builds an index of the table's committed files, all of them or those that are in no segment,
    /// and names it in this transaction. Files that this transaction has written have no number yet
    /// and are left to upkeep. Few rows get no segment.
    ///
    /// # Errors
    /// Those of reading, writing and memory.
    pub async fn build_index(
        &mut self,
        engine: &SessionState,
        table: &Arc<Table>,
        index: &TableIndex,
        anew: bool,
    ) -> Result<Tended> {
        let rows = self.rows(table).await?;
        let Some((schema, _)) = self.state().table_by_id(table.id) else {
            return Err(Error::UndefinedTable { name: table.name.clone() });
        };
        let folder = table.folder(schema);
        let mut segments = match anew {
            true => Segments { table: table.uuid.clone(), segments: Vec::new() },
            false => index.segments.as_ref().clone(),
        };
        let base = TableIndex { segments: Arc::new(segments.clone()), ..index.clone() };
        let files = pending(&base, &rows);
        let model = match segments.segments.first() {
            Some(first) => Some(Arc::clone(self.lake().segment(first).await?.head().model())),
            None => None,
        };
        let enough = files.iter().map(|file| file.live()).sum::<u64>() >= LEAST_INDEXED;
        let mut tended = Tended::default();
        if enough {
            let rows = files.iter().map(|file| file.rows).sum();
            let passes = if model.is_some() { 1 } else { 2 };
            let of = (table.uuid.as_str(), index.of.uuid.as_str());
            let progress = self.lake().begin_build(of, rows, passes);
            let (folder, progress) = (folder.as_str(), progress.as_ref());
            let build = IndexBuild { index, table, folder, engine, progress };
            if let Some(made) = build.segment(&files, model).await? {
                tended = Tended { segments: 1, rows: made.indexed };
                segments.segments.push(made);
            }
        }
        let body = serde_json::to_value(&segments);
        let body = body.map_err(|error| Error::Database(error.to_string()))?;
        self.define(VECTOR_INDEX, &index.of.uuid, body, true)?;
        Ok(tended)
    }
}
