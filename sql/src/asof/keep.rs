//! The rows that have won, kept as batches: what is no longer held is dropped now and then.
//!
//! A handle is the number of a batch and a row in it. Of a batch only rows that win are taken; one
//! that another row of the same batch replaces gives its place to it.

use std::cmp::Ordering;

use datafusion::arrow::array::{RecordBatch, UInt32Array, make_comparator};
use datafusion::arrow::compute::{SortOptions, interleave_record_batch, take_record_batch};
use datafusion::common::Result as EngineResult;
use datafusion::common::utils::memory::get_record_batch_memory_size;
use datafusion::execution::memory_pool::MemoryReservation;
use kernels::asof::{Keeper, Winners};

/// Rows in a batch that compaction makes.
const BATCH_ROWS: usize = 8192;
/// Rows that may be kept in vain, beside as many as are held.
const SLACK_ROWS: usize = 1 << 16;

/// See the module. All batches are of one schema.
#[derive(Debug)]
pub(super) struct Kept {
    batches: Vec<RecordBatch>,
    rows: usize,
    /// The batch whose rows are being offered, and which of them won.
    current: Option<RecordBatch>,
    taken: Vec<u32>,
    offered: u32,
    memory: MemoryReservation,
}

impl Kept {
    pub fn new(memory: MemoryReservation) -> Self {
        let (batches, taken) = (Vec::new(), Vec::new());
        Self { batches, rows: 0, current: None, taken, offered: 0, memory }
    }

    /// Begins with the rows of a batch.
    pub fn begin(&mut self, batch: RecordBatch) {
        self.current = Some(batch);
        self.taken.clear();
    }

    /// The row of the batch that is offered next.
    pub fn offering(&mut self, row: usize) -> &mut Self {
        self.offered = row as u32;
        self
    }

    /// Keeps what has won of the batch, and drops what `winners` no longer hold if it is much.
    pub fn finish(&mut self, winners: &mut Winners) -> EngineResult<()> {
        let Some(batch) = self.current.take() else { return Ok(()) };
        if self.taken.is_empty() {
            return Ok(());
        }
        let all = self.taken.len() == batch.num_rows() && self.taken.is_sorted_by(|a, b| a < b);
        let kept = match all {
            true => batch,
            false => take_record_batch(&batch, &UInt32Array::from(self.taken.clone()))?,
        };
        self.memory.try_grow(get_record_batch_memory_size(&kept))?;
        self.rows += kept.num_rows();
        self.batches.push(kept);
        if self.rows > 2 * winners.held() + SLACK_ROWS {
            self.compact(winners)?;
        }
        Ok(())
    }

    /// Copies the rows that are held and drops the others.
    fn compact(&mut self, winners: &mut Winners) -> EngineResult<()> {
        let mut places = Vec::with_capacity(winners.held());
        for handle in winners.handles_mut() {
            places.push(place(*handle));
            let index = places.len() - 1;
            *handle = self::handle(index / BATCH_ROWS, index % BATCH_ROWS);
        }
        let sources: Vec<&RecordBatch> = self.batches.iter().collect();
        let chunks = places.chunks(BATCH_ROWS);
        let batches: Result<Vec<_>, _> =
            chunks.map(|chunk| interleave_record_batch(&sources, chunk)).collect();
        self.batches = batches?;
        self.rows = places.len();
        let bytes = self.batches.iter().map(get_record_batch_memory_size).sum();
        self.memory.try_resize(bytes)?;
        Ok(())
    }

    /// Takes over the batches of another; what to add to the numbers of its batches.
    pub fn append(&mut self, other: Self) -> u64 {
        let offset = handle(self.batches.len(), 0);
        self.batches.extend(other.batches);
        self.rows += other.rows;
        self.memory.grow(other.memory.size());
        offset
    }

    pub fn batches(&self) -> &[RecordBatch] {
        &self.batches
    }

    /// Whether the row of one handle is greater than the other's, column by column.
    pub fn is_later(&self, held: u64, other: u64) -> bool {
        let of = |handle| {
            let (batch, row) = place(handle);
            self.batches.get(batch).map(|batch| (batch, row))
        };
        match (of(held), of(other)) {
            (Some(held), Some(other)) => compare(other, held) == Ordering::Greater,
            _ => false,
        }
    }
}

impl Keeper for Kept {
    /// Rows of one time, without anything else that tells them apart, go by what is in them, as far
    /// as it is asked for: so the order in which they come does not decide.
    fn is_later(&mut self, held: u64) -> bool {
        let (batch, row) = place(held);
        let Some(current) = &self.current else { return false };
        let held = match self.batches.get(batch) {
            Some(batch) => (batch, row),
            None => (current, self.taken.get(row).map_or(0, |row| *row as usize)),
        };
        compare((current, self.offered as usize), held) == Ordering::Greater
    }

    fn keep(&mut self, replaced: Option<u64>) -> u64 {
        if let Some(replaced) = replaced {
            let (batch, index) = place(replaced);
            if batch == self.batches.len()
                && let Some(taken) = self.taken.get_mut(index)
            {
                *taken = self.offered;
                return replaced;
            }
        }
        self.taken.push(self.offered);
        handle(self.batches.len(), self.taken.len() - 1)
    }
}

/// Where a handle's row is: batch and row.
pub(super) fn place(handle: u64) -> (usize, usize) {
    ((handle >> 32) as usize, (handle & u64::from(u32::MAX)) as usize)
}

fn handle(batch: usize, row: usize) -> u64 {
    (batch as u64) << 32 | row as u64
}

/// Two rows by their columns, NULL being the least. Columns that have no order are passed over.
fn compare(a: (&RecordBatch, usize), b: (&RecordBatch, usize)) -> Ordering {
    let options = SortOptions { descending: false, nulls_first: true };
    let pairs = a.0.columns().iter().zip(b.0.columns());
    let orders = pairs.filter_map(|(x, y)| Some(make_comparator(x, y, options).ok()?(a.1, b.1)));
    orders.fold(Ordering::Equal, Ordering::then)
}
