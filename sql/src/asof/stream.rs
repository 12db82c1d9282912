//! One partition of the rows as it streams by: what it has won, and what its windows have gathered.

use std::sync::Arc;

use datafusion::arrow::array::{Array, RecordBatch};
use datafusion::common::Result as EngineResult;
use datafusion::execution::SendableRecordBatchStream;
use futures::StreamExt;
use kernels::asof::{NOWHERE, Row, Winners};

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
            // Only whether there is one is of use.
            (Kind::Semi | Kind::Anti, _) | (_, []) => rows.batch.project(&[0])?,
            (Kind::Inner | Kind::Left, shown) => rows.batch.project(shown)?,
        };
        self.kept.begin(payload);
        for (row, slot) in rows.slots.iter().enumerate() {
            if *slot == NOWHERE || rows.times.is_null(row) {
                continue;
            }
            let (ts, created) = (rows.times.value(row), rows.created_at(row));
            let offered = Row { ts, created, seq: rows.number(row) };
            self.winners.offer(&self.arranged.labels, *slot, offered, self.kept.offering(row));
        }
        self.kept.finish(&mut self.winners)
    }
}
