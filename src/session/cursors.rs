//! Cursors: queries whose rows are fetched piece by piece, DECLARE to CLOSE.
//!
//! ```text
//!   rows       1  2  3 │ 4  5  6  7        a window of batches, read from the query as needed
//!              kept    ▲ ahead       without SCROLL only the batch of the current row stays
//!                   position 3
//! ```
//! The position is 0 before the first row and one more than the rows after the last. A cursor
//! reads the snapshot of its transaction, also one that outlives it (WITH HOLD): files of the
//! lake do not change. Kept rows are reserved from the memory pool.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use datafusion::arrow::array::UInt32Array;
use datafusion::arrow::compute::take_record_batch;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::arrow::record_batch::RecordBatch;
use datafusion::error::{DataFusionError, Result as EngineResult};
use datafusion::execution::SendableRecordBatchStream;
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryPool, MemoryReservation};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::sql::sqlparser::ast::Declare;
use futures::{StreamExt, stream};
use sql::names::folded;
use sql::parse::{Direction, Fetch};
use tokio::sync::Mutex as AsyncMutex;

use crate::Error;
use crate::run::Outcome;

/// Cursors that one connection may have open.
const CURSOR_LIMIT: usize = 1_000;

/// Open cursors by name, as others may look at them.
#[derive(Clone, Default)]
pub struct OpenCursors(Arc<Mutex<BTreeMap<String, Arc<Cursor>>>>);

impl OpenCursors {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Arc<Cursor>>> {
        // Every change is one call, so the map is right also after a panic.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Shows each to `look`, by name.
    pub fn each(&self, mut look: impl FnMut(&str, &Cursor)) {
        self.lock().iter().for_each(|(name, cursor)| look(name, cursor));
    }
}

/// The open cursors of a connection.
#[derive(Default)]
pub struct Cursors {
    open: OpenCursors,
    /// Counts declarations, so that a savepoint knows which came later.
    declared: u64,
}

/// A declared cursor.
pub struct Cursor {
    pub schema: SchemaRef,
    /// Its statement, as the client wrote it.
    pub text: Arc<str>,
    pub hold: bool,
    pub binary: bool,
    pub scroll: bool,
    pub created: SystemTime,
    rows: Arc<AsyncMutex<Rows>>,
    number: u64,
    /// Its transaction has been committed.
    kept: AtomicBool,
}

impl Cursors {
    /// Opens a cursor over running rows.
    pub fn declare(
        &mut self,
        declare: &Declare,
        text: &Arc<str>,
        rows: SendableRecordBatchStream,
        pool: &Arc<dyn MemoryPool>,
    ) -> Result<(), Error> {
        let name = declare.names.first().map(folded).unwrap_or_default();
        let mut open = self.open.lock();
        if open.contains_key(&name) {
            return Err(Error::new("42P03", format!("cursor \"{name}\" already exists")));
        }
        if open.len() >= CURSOR_LIMIT {
            return Err(Error::new("53400", "too many open cursors")
                .with_hint(format!("A connection may have {CURSOR_LIMIT}; CLOSE some.")));
        }
        self.declared += 1;
        let scroll = declare.scroll == Some(true);
        let cursor = Cursor {
            schema: rows.schema(),
            text: Arc::clone(text),
            hold: declare.hold == Some(true),
            binary: declare.binary == Some(true),
            scroll,
            created: SystemTime::now(),
            rows: Arc::new(AsyncMutex::new(Rows::new(rows, scroll, pool))),
            number: self.declared,
            kept: AtomicBool::new(false),
        };
        open.insert(name, Arc::new(cursor));
        Ok(())
    }

    /// The cursor of this name.
    pub fn get(&self, name: &str) -> Result<Arc<Cursor>, Error> {
        let missing = || Error::new("34000", format!("cursor \"{name}\" does not exist"));
        self.open.lock().get(name).cloned().ok_or_else(missing)
    }

    /// For others to look at.
    pub fn open(&self) -> OpenCursors {
        self.open.clone()
    }

    /// FETCH or MOVE.
    pub async fn fetch(&self, fetch: &Fetch) -> Result<Outcome, Error> {
        let cursor = self.get(&folded(&fetch.cursor))?;
        let reader = Reader::new(Arc::clone(&cursor.rows), fetch.direction);
        let batches = stream::try_unfold(reader, Reader::next);
        let schema = Arc::clone(&cursor.schema);
        if !fetch.only_moves {
            let rows = Box::pin(RecordBatchStreamAdapter::new(Arc::clone(&schema), batches));
            let binary = cursor.binary;
            return Ok(Outcome::Rows { schema, rows, tag: "FETCH", count: true, binary });
        }
        let mut moved = 0;
        let mut batches = std::pin::pin!(batches);
        while let Some(batch) = batches.next().await {
            moved += batch?.num_rows();
        }
        Ok(Outcome::Done { tag: format!("MOVE {moved}") })
    }

    /// CLOSE.
    pub fn close(&mut self, name: &str) -> Result<(), Error> {
        self.get(name)?;
        self.open.lock().remove(name);
        Ok(())
    }

    /// CLOSE ALL.
    pub fn close_all(&mut self) {
        self.open.lock().clear();
    }

    /// What a savepoint remembers.
    pub fn mark(&self) -> u64 {
        self.declared
    }

    /// Closes what was declared after a mark.
    pub fn back_to(&mut self, mark: u64) {
        self.open.lock().retain(|_, cursor| cursor.number <= mark);
    }

    /// The end of a transaction: of its cursors those WITH HOLD stay if it was committed.
    pub fn end(&mut self, committed: bool) {
        self.open.lock().retain(|_, cursor| {
            if committed && cursor.hold {
                cursor.kept.store(true, Ordering::Relaxed);
            }
            cursor.kept.load(Ordering::Relaxed)
        });
    }
}

/// The rows of a cursor and where it stands in them.
struct Rows {
    query: Option<SendableRecordBatchStream>,
    scroll: bool,
    position: u64,
    /// The number of the first row of the window, from 1.
    first: u64,
    window: VecDeque<RecordBatch>,
    /// Rows in the window.
    length: u64,
    reservation: MemoryReservation,
}

impl Rows {
    fn new(query: SendableRecordBatchStream, scroll: bool, pool: &Arc<dyn MemoryPool>) -> Self {
        let reservation = MemoryConsumer::new("cursor").register(pool);
        Self {
            query: Some(query),
            scroll,
            position: 0,
            first: 1,
            window: VecDeque::new(),
            length: 0,
            reservation,
        }
    }

    /// Reads until row `wanted` is in the window or there is none; says which.
    async fn reach(&mut self, wanted: u64) -> EngineResult<bool> {
        while self.first + self.length <= wanted {
            let Some(query) = &mut self.query else { return Ok(false) };
            match query.next().await.transpose()? {
                None => self.query = None,
                Some(batch) if batch.num_rows() == 0 => {}
                Some(batch) => {
                    self.forget();
                    self.reservation.try_grow(batch.get_array_memory_size())?;
                    self.length += batch.num_rows() as u64;
                    self.window.push_back(batch);
                }
            }
        }
        Ok(true)
    }

    /// Without SCROLL, batches before that of the current row are not read again.
    fn forget(&mut self) {
        while !self.scroll
            && let Some(front) = self.window.front()
            && self.first + (front.num_rows() as u64) <= self.position
            && let Some(passed) = self.window.pop_front()
        {
            self.first += passed.num_rows() as u64;
            self.length -= passed.num_rows() as u64;
            self.reservation.shrink(passed.get_array_memory_size());
        }
    }

    /// The position after the last row, all rows being read.
    fn end(&self) -> u64 {
        self.first + self.length
    }

    /// The batch with a row of the window, and the row's place in it.
    fn find(&self, row: u64) -> Option<(&RecordBatch, usize)> {
        let mut offset = row.checked_sub(self.first)?;
        for batch in &self.window {
            match batch.num_rows() as u64 {
                rows if offset < rows => return Some((batch, usize::try_from(offset).ok()?)),
                rows => offset -= rows,
            }
        }
        None
    }

    /// Up to `most` of the next rows.
    async fn forward(&mut self, most: u64) -> EngineResult<Option<RecordBatch>> {
        if most == 0 {
            return Ok(None);
        }
        let next = self.position + 1;
        if !self.reach(next).await? {
            self.position = self.end();
            return Ok(None);
        }
        let found = self.find(next).map(|(batch, start)| {
            let rows = usize::try_from(most).unwrap_or(usize::MAX);
            batch.slice(start, rows.min(batch.num_rows() - start))
        });
        self.position += found.as_ref().map_or(0, |batch| batch.num_rows() as u64);
        Ok(found)
    }

    /// Up to `most` of the rows before, the nearest first.
    fn backward(&mut self, most: u64) -> EngineResult<Option<RecordBatch>> {
        self.check_scroll()?;
        if most == 0 {
            return Ok(None);
        }
        let Some(last) = self.position.checked_sub(1).filter(|row| *row > 0) else {
            self.position = 0;
            return Ok(None);
        };
        let Some((batch, end)) = self.find(last) else { return Ok(None) };
        let rows = usize::try_from(most).unwrap_or(usize::MAX).min(end + 1);
        let places = (0..rows).map(|back| (end - back) as u32);
        let reversed = take_record_batch(batch, &UInt32Array::from_iter_values(places))?;
        self.position -= rows as u64;
        Ok(Some(reversed))
    }

    /// One row by its number; the cursor stands on it, or past the end.
    async fn row(&mut self, number: u64) -> EngineResult<Option<RecordBatch>> {
        if number < self.position || number < self.first {
            self.check_scroll()?;
        }
        // Without SCROLL the rows on the way are not kept.
        while !self.scroll && self.position + 1 < number {
            if self.forward(number - 1 - self.position).await?.is_none() {
                return Ok(None);
            }
        }
        if number == 0 {
            self.position = 0;
            return Ok(None);
        }
        let there = self.reach(number).await?;
        self.position = if there { number } else { self.end() };
        Ok(self.find(number).map(|(batch, place)| batch.slice(place, 1)))
    }

    /// The number of a row that is counted from the end or from here.
    async fn number(&mut self, direction: Direction) -> EngineResult<u64> {
        match direction {
            Direction::Absolute(number) if number < 0 => {
                self.check_scroll()?;
                self.reach(u64::MAX - 1).await?;
                Ok(self.end().saturating_sub(number.unsigned_abs()).max(self.first - 1))
            }
            Direction::Absolute(number) => Ok(number.unsigned_abs()),
            Direction::Relative(offset) => Ok(self.position.saturating_add_signed(offset)),
            Direction::Forward(_) | Direction::Backward(_) => Ok(self.position),
        }
    }

    fn check_scroll(&self) -> EngineResult<()> {
        if self.scroll {
            return Ok(());
        }
        let error = Error::new("55000", "cursor can only scan forward")
            .with_hint("Declare it with SCROLL option to enable backward scan.");
        Err(DataFusionError::from(error))
    }
}

/// One FETCH under way.
struct Reader {
    rows: Arc<AsyncMutex<Rows>>,
    direction: Direction,
    done: bool,
}

impl Reader {
    fn new(rows: Arc<AsyncMutex<Rows>>, direction: Direction) -> Self {
        Self { rows, direction, done: false }
    }

    /// The next batch of the answer and the reader for what follows.
    async fn next(mut self) -> EngineResult<Option<(RecordBatch, Self)>> {
        if self.done {
            return Ok(None);
        }
        let rows = Arc::clone(&self.rows);
        let mut rows = rows.lock().await;
        let batch = match &mut self.direction {
            Direction::Forward(left) => {
                let batch = rows.forward(*left).await?;
                *left -= batch.as_ref().map_or(0, |batch| batch.num_rows() as u64);
                batch
            }
            Direction::Backward(left) => {
                let batch = rows.backward(*left)?;
                *left -= batch.as_ref().map_or(0, |batch| batch.num_rows() as u64);
                batch
            }
            Direction::Absolute(_) | Direction::Relative(_) => {
                self.done = true;
                let number = rows.number(self.direction).await?;
                rows.row(number).await?
            }
        };
        Ok(batch.map(|batch| (batch, self)))
    }
}

#[cfg(test)]
mod tests {
    use datafusion::arrow::array::{AsArray, Int64Array};
    use datafusion::arrow::datatypes::Int64Type;
    use datafusion::execution::memory_pool::UnboundedMemoryPool;
    use futures::TryStreamExt;
    use proptest::prelude::*;

    use super::*;

    /// The rows 1..=n in batches of `size`.
    fn counted(n: i64, size: usize, scroll: bool) -> Arc<AsyncMutex<Rows>> {
        let numbers: Vec<i64> = (1..=n).collect();
        let batch = |part: &[i64]| {
            let column: Arc<dyn datafusion::arrow::array::Array> =
                Arc::new(Int64Array::from(part.to_vec()));
            RecordBatch::try_from_iter([("n", column)]).unwrap()
        };
        let batches: Vec<_> = numbers.chunks(size).map(batch).collect();
        let schema = batch(&[]).schema();
        let rows = stream::iter(batches.into_iter().map(Ok));
        let pool: Arc<dyn MemoryPool> = Arc::new(UnboundedMemoryPool::default());
        let rows = Box::pin(RecordBatchStreamAdapter::new(schema, rows));
        Arc::new(AsyncMutex::new(Rows::new(rows, scroll, &pool)))
    }

    async fn fetched(rows: &Arc<AsyncMutex<Rows>>, direction: Direction) -> EngineResult<Vec<i64>> {
        let reader = Reader::new(Arc::clone(rows), direction);
        let batches: Vec<RecordBatch> =
            stream::try_unfold(reader, Reader::next).try_collect().await?;
        let values =
            |batch: &RecordBatch| batch.column(0).as_primitive::<Int64Type>().values().to_vec();
        Ok(batches.iter().flat_map(values).collect())
    }

    /// What PostgreSQL's documentation of FETCH says, over the rows 1..=n.
    fn expected(position: &mut i64, n: i64, direction: Direction) -> Vec<i64> {
        let clamp = |count: u64| i64::try_from(count).unwrap_or(i64::MAX).min(n + 1);
        let on = |position: i64| (1..=n).contains(&position).then_some(position);
        match direction {
            Direction::Forward(0) | Direction::Backward(0) => vec![],
            Direction::Forward(count) => {
                let last = position.saturating_add(clamp(count)).min(n + 1);
                let found = (*position + 1..=last).filter(|row| *row <= n).collect();
                *position = last;
                found
            }
            Direction::Backward(count) => {
                let last = (*position - clamp(count)).max(0);
                let found = (last..*position).rev().filter(|row| *row >= 1).collect();
                *position = last;
                found
            }
            Direction::Absolute(number) => {
                let row = if number < 0 { n + 1 + number } else { number };
                *position = row.clamp(0, n + 1);
                on(*position).into_iter().collect()
            }
            Direction::Relative(offset) => {
                *position = position.saturating_add(offset).clamp(0, n + 1);
                on(*position).into_iter().collect()
            }
        }
    }

    fn directions() -> impl Strategy<Value = Direction> {
        prop_oneof![
            (1..9u64).prop_map(Direction::Forward),
            Just(Direction::Forward(u64::MAX)),
            (1..9u64).prop_map(Direction::Backward),
            Just(Direction::Backward(u64::MAX)),
            (-12..12i64).prop_map(Direction::Absolute),
            (-12..12i64).prop_map(Direction::Relative),
        ]
    }

    proptest! {
        #[test]
        fn scrolling_gives_the_rows_that_postgres_documents(
            n in 0..10i64,
            size in 1..5usize,
            moves in proptest::collection::vec(directions(), 1..12),
        ) {
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            runtime.block_on(async {
                let rows = counted(n, size, true);
                let mut position = 0;
                for direction in moves {
                    let found = fetched(&rows, direction).await.unwrap();
                    let wanted = expected(&mut position, n, direction);
                    assert_eq!(found, wanted, "{direction:?}");
                    assert_eq!(rows.lock().await.position as i64, position, "{direction:?}");
                }
            });
        }

        #[test]
        fn without_scroll_rows_go_forward_and_are_not_kept(
            n in 0..40i64,
            size in 1..5usize,
            counts in proptest::collection::vec(1..7u64, 1..12),
        ) {
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            runtime.block_on(async {
                let rows = counted(n, size, false);
                let mut position = 0;
                for count in counts {
                    let direction = Direction::Forward(count);
                    let found = fetched(&rows, direction).await.unwrap();
                    assert_eq!(found, expected(&mut position, n, direction));
                    assert!(rows.lock().await.window.len() <= 2);
                }
                let refused = fetched(&rows, Direction::Backward(1)).await.unwrap_err();
                assert_eq!(Error::from(refused).sqlstate, "55000");
            });
        }
    }
}
