//! The rows that have won: in cells if their columns have a fixed width (`cells.rs`), else in
//! batches, of which what is no longer held is dropped now and then.
//!
//! A handle is the number of a batch and a row in it. Of a batch only rows that win are taken; one
//! that another row of the same batch replaces gives its place to it.

use std::cmp::Ordering;

use datafusion::arrow::array::{
    Array, ArrayRef, RecordBatch, UInt32Array, make_comparator, new_null_array,
};
use datafusion::arrow::compute::{
    SortOptions, interleave, interleave_record_batch, take_record_batch,
};
use datafusion::arrow::datatypes::Schema;
use datafusion::common::Result as EngineResult;
use datafusion::common::utils::memory::get_record_batch_memory_size;
use datafusion::execution::memory_pool::MemoryReservation;
use kernels::asof::{Keeper, Labels, Rows, Rule, Winners};

use super::cells::Cells;

/// Rows in a batch that compaction makes.
const BATCH_ROWS: usize = 8192;
/// What a value of unknown length is taken to need, bytes.
pub(super) const VALUE_BYTES: usize = 32;
/// Rows that may be kept in vain, beside as many as are held.
const SLACK_ROWS: usize = 1 << 16;

/// See the module.
#[derive(Debug)]
pub(super) struct Kept {
    rows: Form,
    memory: MemoryReservation,
}

#[derive(Debug)]
enum Form {
    Cells(Cells),
    Batches(Batches),
}

impl Kept {
    /// Bytes that the rows take which `streams` keep, about.
    pub fn bytes(schema: &Schema, rule: Rule, labels: &Labels, streams: usize) -> usize {
        match Cells::bytes(schema) {
            Some(bytes) => bytes * Winners::cells(rule, labels) * streams,
            None => labels.place_count() * 3 * row_bytes(schema),
        }
    }

    /// For rows of a schema that win the cells of a state.
    pub fn new(schema: &Schema, cells: usize, memory: MemoryReservation) -> EngineResult<Self> {
        let rows = match Cells::bytes(schema) {
            Some(bytes) => {
                memory.try_grow(bytes * cells)?;
                Cells::new(schema, cells).map(Form::Cells)
            }
            None => None,
        };
        Ok(Self { rows: rows.unwrap_or_else(|| Form::Batches(Batches::default())), memory })
    }

    /// Offers the rows of a batch.
    pub fn offer(
        &mut self,
        winners: &mut Winners,
        labels: &Labels,
        rows: &Rows<'_>,
        batch: RecordBatch,
    ) -> EngineResult<()> {
        match &mut self.rows {
            Form::Cells(cells) => {
                cells.begin(&batch)?;
                winners.offer(labels, rows, cells);
                cells.flush();
                Ok(())
            }
            Form::Batches(batches) => {
                batches.begin(batch);
                winners.offer(labels, rows, batches);
                batches.finish(winners, &self.memory)
            }
        }
    }

    /// Takes over what another stream has kept.
    pub fn merge(&mut self, winners: &mut Winners, (other, rows): (Winners, Self)) {
        self.memory.grow(rows.memory.size());
        let (offset, keeper): (u64, &dyn Keeper) = match (&mut self.rows, rows.rows) {
            (Form::Cells(cells), Form::Cells(other)) => (cells.append(other), cells),
            (Form::Batches(batches), Form::Batches(other)) => (batches.append(other), batches),
            // All streams are of one schema.
            (Form::Cells(_), Form::Batches(_)) | (Form::Batches(_), Form::Cells(_)) => return,
        };
        winners.merge(&other, offset, |held, entry| keeper.comes_after(entry, held));
    }

    /// All that is kept, to be gathered from, and the memory of it.
    pub fn gathered(self, schema: &Schema) -> (Gathered, MemoryReservation) {
        let rows = match self.rows {
            Form::Cells(cells) => Gathered::Cells(cells),
            Form::Batches(batches) => Gathered::Batches(batches.columns(schema)),
        };
        (rows, self.memory)
    }
}

/// Rows that can be gathered by handle.
pub(super) enum Gathered {
    Cells(Cells),
    /// Column by column, each by batch, and a NULL at the end.
    Batches(Vec<Vec<ArrayRef>>),
}

impl Gathered {
    /// The columns of the rows of handles; NULLs for none.
    pub fn columns(&self, handles: &[Option<u64>]) -> EngineResult<Vec<ArrayRef>> {
        let columns = match self {
            Self::Cells(cells) => return cells.gather(handles),
            Self::Batches(columns) => columns,
        };
        let column = |column: &Vec<ArrayRef>| {
            let none = (column.len().saturating_sub(1), 0);
            let places = handles.iter().map(|handle| handle.map_or(none, place));
            let sources: Vec<&dyn Array> = column.iter().map(|array| array.as_ref()).collect();
            Ok(interleave(&sources, &places.collect::<Vec<_>>())?)
        };
        columns.iter().map(column).collect()
    }
}

/// Bytes that a row of a schema takes, about.
fn row_bytes(schema: &Schema) -> usize {
    let fields = schema.fields().iter();
    fields.map(|field| field.data_type().primitive_width().unwrap_or(VALUE_BYTES)).sum()
}

/// Rows of any columns. All batches are of one schema.
#[derive(Debug, Default)]
struct Batches {
    batches: Vec<RecordBatch>,
    rows: usize,
    /// The batch whose rows are being offered, and which of them won.
    current: Option<RecordBatch>,
    taken: Vec<u32>,
}

impl Batches {
    /// Begins with the rows of a batch.
    fn begin(&mut self, batch: RecordBatch) {
        self.current = Some(batch);
        self.taken.clear();
    }

    /// Keeps what has won of the batch, and drops what `winners` no longer hold if it is much.
    fn finish(&mut self, winners: &mut Winners, memory: &MemoryReservation) -> EngineResult<()> {
        let Some(batch) = self.current.take() else { return Ok(()) };
        if self.taken.is_empty() {
            return Ok(());
        }
        let all = self.taken.len() == batch.num_rows() && self.taken.is_sorted_by(|a, b| a < b);
        let kept = match all {
            true => batch,
            false => take_record_batch(&batch, &UInt32Array::from(self.taken.clone()))?,
        };
        memory.try_grow(get_record_batch_memory_size(&kept))?;
        self.rows += kept.num_rows();
        self.batches.push(kept);
        if self.rows > 2 * winners.held() + SLACK_ROWS {
            self.compact(winners, memory)?;
        }
        Ok(())
    }

    /// Copies the rows that are held and drops the others.
    fn compact(&mut self, winners: &mut Winners, memory: &MemoryReservation) -> EngineResult<()> {
        let mut places = Vec::with_capacity(winners.held());
        winners.renumber(|held| {
            places.push(place(held));
            let index = places.len() - 1;
            handle(index / BATCH_ROWS, index % BATCH_ROWS)
        });
        let sources: Vec<&RecordBatch> = self.batches.iter().collect();
        let chunks = places.chunks(BATCH_ROWS);
        let batches: Result<Vec<_>, _> =
            chunks.map(|chunk| interleave_record_batch(&sources, chunk)).collect();
        self.batches = batches?;
        self.rows = places.len();
        let bytes = self.batches.iter().map(get_record_batch_memory_size).sum();
        memory.try_resize(bytes)?;
        Ok(())
    }

    /// Takes over the batches of another; what to add to its handles.
    fn append(&mut self, other: Self) -> u64 {
        let offset = handle(self.batches.len(), 0);
        self.batches.extend(other.batches);
        self.rows += other.rows;
        offset
    }

    fn columns(&self, schema: &Schema) -> Vec<Vec<ArrayRef>> {
        let column = |index: usize| self.batches.iter().filter_map(move |b| b.columns().get(index));
        let null = |data_type| new_null_array(data_type, 1);
        let fields = schema.fields().iter().enumerate();
        fields
            .map(|(index, field)| column(index).cloned().chain([null(field.data_type())]).collect())
            .collect()
    }

    /// The batch and row of a handle.
    fn row(&self, held: u64) -> Option<(&RecordBatch, usize)> {
        let (batch, row) = place(held);
        match self.batches.get(batch) {
            Some(batch) => Some((batch, row)),
            None => Some((self.current.as_ref()?, *self.taken.get(row)? as usize)),
        }
    }
}

impl Keeper for Batches {
    /// Rows of one time, without anything else that tells them apart, go by what is in them, as far
    /// as it is asked for: so the order in which they come does not decide.
    fn is_later(&mut self, row: usize, held: u64) -> bool {
        match (&self.current, self.row(held)) {
            (Some(current), Some(held)) => compare((current, row), held) == Ordering::Greater,
            _ => false,
        }
    }

    fn comes_after(&self, held: u64, other: u64) -> bool {
        match (self.row(held), self.row(other)) {
            (Some(held), Some(other)) => compare(held, other) == Ordering::Greater,
            _ => false,
        }
    }

    fn keep(&mut self, row: usize, _: usize, replaced: Option<u64>) -> u64 {
        if let Some(replaced) = replaced {
            let (batch, index) = place(replaced);
            if batch == self.batches.len()
                && let Some(taken) = self.taken.get_mut(index)
            {
                *taken = row as u32;
                return replaced;
            }
        }
        self.taken.push(row as u32);
        handle(self.batches.len(), self.taken.len() - 1)
    }
}

/// Where a handle's row is: batch and row.
pub(super) fn place(handle: u64) -> (usize, usize) {
    ((handle >> 32) as usize, (handle & u64::from(u32::MAX)) as usize)
}

pub(super) fn handle(batch: usize, row: usize) -> u64 {
    (batch as u64) << 32 | row as u64
}

/// Two rows by their columns, NULL being the least. Columns that have no order are passed over.
fn compare(a: (&RecordBatch, usize), b: (&RecordBatch, usize)) -> Ordering {
    let options = SortOptions { descending: false, nulls_first: true };
    let pairs = a.0.columns().iter().zip(b.0.columns());
    let orders = pairs.filter_map(|(x, y)| Some(make_comparator(x, y, options).ok()?(a.1, b.1)));
    orders.fold(Ordering::Equal, Ordering::then)
}
