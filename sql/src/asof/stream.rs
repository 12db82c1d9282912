//! One partition of the rows as it streams by: what it has won, and what its windows have gathered.

use std::sync::Arc;

use datafusion::arrow::array::{Array, RecordBatch};
use datafusion::common::Result as EngineResult;
use datafusion::execution::SendableRecordBatchStream;
use futures::StreamExt;
use kernels::asof::{NOWHERE, Winners};

use super::exec::Terms;
use super::join::{Arranged, Counts, evaluated};
use super::keep::Kept;
use super::node::Kind;
use super::times;
use super::window::{self, Rows, States};

/// One partition of the rows.
pub(super) struct Stream {
    pub terms: Arc<Terms>,
    pub arranged: Arc<Arranged>,
    pub winners: Winners,
    pub kept: Kept,
    pub windows: States,
    pub counts: Counts,
}

impl Stream {
    /// The same once all rows are read.
    pub async fn drained(mut self, mut rows: SendableRecordBatchStream) -> EngineResult<Self> {
        while let Some(batch) = rows.next().await.transpose()? {
            let elapsed = self.counts.baseline.elapsed_compute().clone();
            let _timer = elapsed.timer();
            self.offer(&batch)?;
        }
        self.kept.finish(&mut self.winners);
        Ok(self)
    }

    fn offer(&mut self, batch: &RecordBatch) -> EngineResult<()> {
        let rows = batch.num_rows();
        let keys = self.terms.keys.iter().map(|(_, row)| evaluated(row, batch));
        let slots = self.arranged.keys.find(&keys.collect::<EngineResult<Vec<_>>>()?, rows)?;
        let times = times::ticks(&evaluated(&self.terms.time.1, batch)?)?;
        let created = self.terms.created.as_ref().map(|side| evaluated(side, batch));
        let created = created.transpose()?.map(|array| times::ticks(&array)).transpose()?;
        let sequence = window::sequence(&self.terms, batch)?;
        let candidates = slots.iter().enumerate();
        let is_one = |(row, slot): &(usize, &u32)| **slot != NOWHERE && times.is_valid(*row);
        self.counts.rows.add(rows);
        self.counts.candidates.add(candidates.filter(is_one).count());
        let rows = Rows {
            batch,
            slots: &slots,
            times: &times,
            created: created.as_ref(),
            sequence: sequence.as_ref(),
        };
        if !self.terms.features.is_empty() {
            let windowed = self.windows.offer(&self.terms, &self.arranged, &rows)?;
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
        let mut slots = rows.slots.to_vec();
        if let Some(nulls) = rows.times.nulls() {
            let pairs = slots.iter_mut().zip(nulls);
            pairs.filter(|(_, valid)| !valid).for_each(|(slot, _)| *slot = NOWHERE);
        }
        let created: Option<Vec<_>> = rows.created.map(|created| created.iter().collect());
        let offered = kernels::asof::Rows {
            slots: &slots,
            ts: rows.times.values(),
            created: created.as_deref(),
            seq: rows.sequence.map(|sequence| sequence.values().as_ref()),
        };
        self.kept.offer(&mut self.winners, &self.arranged.labels, &offered, payload)
    }
}
