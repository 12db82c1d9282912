//! Labels and what they take, as batches.

use std::sync::Arc;

use datafusion::arrow::array::{
    ArrayRef, BooleanArray, RecordBatch, RecordBatchOptions, UInt32Array,
};
use datafusion::arrow::compute::{filter_record_batch, take};
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::common::Result as EngineResult;
use datafusion::common::runtime::SpawnedTask;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::execution::memory_pool::MemoryReservation;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use futures::{StreamExt, TryStreamExt};
use kernels::asof::Settled;

use super::exec::Terms;
use super::join::{Arranged, Counts, failed};
use super::keep::Gathered;
use super::node::Kind;

/// See the module.
pub(super) struct Output {
    pub terms: Arc<Terms>,
    pub arranged: Arc<Arranged>,
    pub settled: Settled,
    /// What windows tell, by place.
    pub windows: Vec<ArrayRef>,
    pub rows: Gathered,
    /// Columns of labels before those of rows; further ones come after those and the windows'.
    pub width: usize,
    pub schema: SchemaRef,
    pub counts: Counts,
    pub threads: usize,
    /// Held until the last row is out.
    pub _memory: [MemoryReservation; 3],
}

impl Output {
    /// One batch for each of labels, without those that are empty; a few are put together at once.
    pub fn stream(self) -> SendableRecordBatchStream {
        let (schema, threads) = (Arc::clone(&self.schema), self.threads.max(1));
        let mut first = 0;
        let batches = self.arranged.batches.iter().map(|batch| {
            let label = first;
            first += batch.num_rows();
            (batch.clone(), label)
        });
        let (batches, output): (Vec<_>, _) = (batches.collect(), Arc::new(self));
        let rows = futures::stream::iter(batches).map(move |(batch, first)| {
            let output = Arc::clone(&output);
            let rows = SpawnedTask::spawn(async move { output.batch(&batch, first) });
            async move { rows.await.map_err(failed)? }
        });
        let rows = rows.buffered(threads);
        let rows = rows.try_filter(|batch| std::future::ready(batch.num_rows() > 0));
        Box::pin(RecordBatchStreamAdapter::new(schema, rows))
    }

    /// The rows of one batch of labels, the first of which is number `first`.
    fn batch(&self, batch: &RecordBatch, first: usize) -> EngineResult<RecordBatch> {
        let timer = self.counts.baseline.elapsed_compute().timer();
        let found: Vec<Option<u64>> =
            (first..first + batch.num_rows()).map(|label| self.taken(label)).collect();
        self.counts.matches.add(found.iter().flatten().count());
        let keep = |wanted: bool| {
            let keep: BooleanArray = found.iter().map(|f| Some(f.is_some() == wanted)).collect();
            filter_record_batch(batch, &keep)
        };
        let rows = match self.terms.kind {
            Kind::Semi => keep(true)?,
            Kind::Anti => keep(false)?,
            Kind::Inner => {
                let labels =
                    (first..).zip(found.iter().copied()).filter(|(_, found)| found.is_some());
                let (labels, taken): (Vec<_>, Vec<_>) = labels.unzip();
                self.beside(&keep(true)?, &labels, &taken)?
            }
            Kind::Left => {
                let labels: Vec<usize> = (first..first + batch.num_rows()).collect();
                self.beside(batch, &labels, &found)?
            }
        };
        timer.done();
        self.with_schema(rows.columns().to_vec(), rows.num_rows())
    }

    /// The row that a label takes.
    fn taken(&self, label: usize) -> Option<u64> {
        if !self.terms.takes_rows() {
            return None;
        }
        let found = self.settled.at(self.arranged.labels.place(label))?;
        if self.terms.counts_unknown && !found.known {
            self.counts.unknown.add(1);
        }
        Some(found.handle)
    }

    /// Labels, which have these numbers, the rows taken and what windows tell beside them.
    fn beside(
        &self,
        labels: &RecordBatch,
        numbers: &[usize],
        taken: &[Option<u64>],
    ) -> EngineResult<RecordBatch> {
        let (before, after) = labels.columns().split_at(self.width);
        let mut all = before.to_vec();
        all.extend(self.rows.columns(taken)?);
        let known = &self.arranged.labels;
        // A label without a key or a time has an empty window.
        let place = |label: &usize| known.place(*label).min(known.place_count() as u32);
        let of = UInt32Array::from_iter_values(numbers.iter().map(place));
        for answers in &self.windows {
            all.push(take(answers, &of, None)?);
        }
        all.extend_from_slice(after);
        self.with_schema(all, taken.len())
    }

    fn with_schema(&self, columns: Vec<ArrayRef>, rows: usize) -> EngineResult<RecordBatch> {
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        Ok(RecordBatch::try_new_with_options(Arc::clone(&self.schema), columns, &options)?)
    }
}
