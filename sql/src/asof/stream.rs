//! One partition of the rows as it streams by: what it has won, and what its windows have gathered.

use std::sync::Arc;

use datafusion::arrow::array::{Array, BooleanArray, RecordBatch, RecordBatchOptions};
use datafusion::arrow::compute::{concat, filter_record_batch};
use datafusion::common::Result as EngineResult;
use datafusion::common::utils::memory::get_record_batch_memory_size;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::execution::memory_pool::MemoryReservation;
use futures::StreamExt;
use kernels::asof::{NOWHERE, Winners, by_slot, comes_by_key};

use super::exec::Terms;
use super::join::{Arranged, Counts, evaluated};
use super::keep::Kept;
use super::node::Kind;
use super::times;
use super::window::{self, Instants, Rows, States};

/// Rows of mixed keys wait until there are so many of each key, but no more than so many, of so
/// many bytes.
const OF_EACH: usize = 8;
const MOST_ROWS: usize = if cfg!(test) { 40 } else { 1 << 19 };
const MOST_BYTES: usize = 64 << 20;

/// One partition of the rows.
pub(super) struct Stream {
    pub terms: Arc<Terms>,
    pub arranged: Arc<Arranged>,
    pub winners: Winners,
    pub kept: Kept,
    pub windows: States,
    pub waiting: Waiting,
    pub counts: Counts,
}

/// Rows of mixed keys, which are ordered by key together.
pub(super) struct Waiting {
    batches: Vec<RecordBatch>,
    slots: Vec<u32>,
    memory: MemoryReservation,
}

impl Waiting {
    /// Of no rows.
    pub fn new(memory: MemoryReservation) -> Self {
        Self { batches: Vec::new(), slots: Vec::new(), memory }
    }

    /// Adds the rows that have a slot; whether it is time to go on with them.
    fn push(&mut self, batch: &RecordBatch, slots: &[u32], keys: usize) -> EngineResult<bool> {
        let is_one = |slot: &u32| *slot != NOWHERE;
        let batch = match slots.iter().all(is_one) {
            true => batch.clone(),
            false => {
                let wanted: BooleanArray = slots.iter().map(|slot| Some(is_one(slot))).collect();
                filter_record_batch(batch, &wanted)?
            }
        };
        if batch.num_rows() == 0 {
            return Ok(false);
        }
        // Once as it is, and the widest column once more when all are put together.
        let bytes = get_record_batch_memory_size(&batch);
        let widest = batch.columns().iter().map(|column| column.get_array_memory_size()).max();
        let bytes = bytes + widest.unwrap_or(0).min(bytes);
        let fits = self.memory.try_grow(bytes).is_ok();
        self.slots.extend(slots.iter().filter(|slot| is_one(slot)));
        self.batches.push(batch);
        let enough = self.slots.len() >= MOST_ROWS.min(OF_EACH.saturating_mul(keys));
        Ok(enough || !fits || self.memory.size() > MOST_BYTES)
    }

    /// All that wait, as one batch. Column by column, whose parts are let go of at once.
    fn take(&mut self) -> EngineResult<Option<(RecordBatch, Vec<u32>)>> {
        let Some(schema) = self.batches.first().map(RecordBatch::schema) else { return Ok(None) };
        let mut columns = vec![Vec::with_capacity(self.batches.len()); schema.fields().len()];
        for batch in self.batches.drain(..) {
            let (_, arrays, _) = batch.into_parts();
            columns.iter_mut().zip(arrays).for_each(|(parts, array)| parts.push(array));
        }
        let whole = columns.into_iter().map(|parts| {
            let parts: Vec<&dyn Array> = parts.iter().map(AsRef::as_ref).collect();
            concat(&parts)
        });
        let columns = whole.collect::<Result<Vec<_>, _>>()?;
        self.memory.free();
        let options = RecordBatchOptions::new().with_row_count(Some(self.slots.len()));
        let whole = RecordBatch::try_new_with_options(schema, columns, &options)?;
        Ok(Some((whole, std::mem::take(&mut self.slots))))
    }
}

impl Stream {
    /// The same once all rows are read.
    pub async fn drained(mut self, mut rows: SendableRecordBatchStream) -> EngineResult<Self> {
        let elapsed = self.counts.baseline.elapsed_compute().clone();
        while let Some(batch) = rows.next().await.transpose()? {
            let _timer = elapsed.timer();
            self.receive(&batch)?;
        }
        let _timer = elapsed.timer();
        self.go_on()?;
        Ok(self)
    }

    /// Rows that come by key are offered as they come, others many at a time.
    fn receive(&mut self, batch: &RecordBatch) -> EngineResult<()> {
        let rows = batch.num_rows();
        let keys = self.terms.keys.iter().map(|(_, row)| evaluated(row, batch));
        let slots = self.arranged.keys.find(&keys.collect::<EngineResult<Vec<_>>>()?, rows)?;
        self.counts.rows.add(rows);
        if self.waiting.batches.is_empty() && comes_by_key(&slots) {
            return self.offer(batch, &slots);
        }
        let keys = self.arranged.labels.slot_count();
        if self.waiting.push(batch, &slots, keys)? { self.go_on() } else { Ok(()) }
    }

    fn go_on(&mut self) -> EngineResult<()> {
        match self.waiting.take()? {
            Some((batch, slots)) => self.offer(&batch, &slots),
            None => Ok(()),
        }
    }

    fn offer(&mut self, batch: &RecordBatch, slots: &[u32]) -> EngineResult<()> {
        let times = times::ticks(&evaluated(&self.terms.time.1, batch)?)?;
        let created = self.terms.created.as_ref().map(|side| evaluated(side, batch));
        let created = created.transpose()?.map(|array| times::ticks(&array)).transpose()?;
        let sequence = window::sequence(&self.terms, batch)?;
        let candidates = slots.iter().enumerate();
        let is_one = |(row, slot): &(usize, &u32)| **slot != NOWHERE && times.is_valid(*row);
        self.counts.candidates.add(candidates.filter(is_one).count());
        let has_windows = !self.terms.features.is_empty();
        let order = (!comes_by_key(slots)).then(|| by_slot(slots));
        let instants = Instants { times, created, sequence };
        let rows = Rows { batch, slots, order: order.as_deref(), instants: &instants };
        if has_windows {
            let windowed = self.windows.offer(&rows)?;
            self.counts.windowed.add(windowed);
        }
        if self.terms.takes_rows() { self.take(&rows) } else { Ok(()) }
    }

    /// Keeps the rows that a label may take.
    fn take(&mut self, rows: &Rows<'_>) -> EngineResult<()> {
        let payload = match (self.terms.kind, self.terms.shown.as_slice()) {
            (Kind::Semi | Kind::Anti, _) => rows.batch.project(&[])?,
            (Kind::Inner | Kind::Left, shown) => rows.batch.project(shown)?,
        };
        let Instants { times, created, sequence } = rows.instants;
        let mut slots = rows.slots.to_vec();
        if let Some(nulls) = times.nulls() {
            let pairs = slots.iter_mut().zip(nulls);
            pairs.filter(|(_, valid)| !valid).for_each(|(slot, _)| *slot = NOWHERE);
        }
        let created: Option<Vec<_>> = created.as_ref().map(|created| created.iter().collect());
        let offered = kernels::asof::Rows {
            slots: &slots,
            ts: times.values(),
            created: created.as_deref(),
            seq: sequence.as_ref().map(|sequence| sequence.values().as_ref()),
            order: rows.order,
        };
        self.kept.offer(&mut self.winners, &self.arranged.labels, &offered, payload)
    }
}
