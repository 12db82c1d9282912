//! Rows on their way out: a stream of batches, taken up to so many rows at a time.

use bytes::BytesMut;
use datafusion::arrow::record_batch::RecordBatch;
use datafusion::execution::SendableRecordBatchStream;
use futures::StreamExt;

use sql::system::references;

use crate::Error;
use crate::session::Session;
use crate::wire::connection::OUTPUT_LIMIT;
use crate::wire::encode::Encoder;

/// A batch prepared for writing, once for all the pieces it is sent in.
struct Pending {
    encoder: Encoder,
    next: usize,
    end: usize,
}

/// A running query and the part of its current batch that is not sent.
pub struct RowStream {
    rows: SendableRecordBatchStream,
    formats: Vec<i16>,
    pending: Option<Pending>,
    /// A batch fetched and not yet prepared for writing.
    fetched: Option<RecordBatch>,
    sent: u64,
    tag: &'static str,
    count: bool,
}

impl RowStream {
    /// Rows to be sent in `formats`, one a column.
    pub fn new(
        rows: SendableRecordBatchStream,
        formats: Vec<i16>,
        tag: &'static str,
        count: bool,
    ) -> Self {
        Self { rows, formats, pending: None, fetched: None, sent: 0, tag, count }
    }

    /// The command tag for the rows sent so far; a resumed portal counts anew, as in Postgres.
    pub fn tag(&mut self) -> String {
        let sent = std::mem::take(&mut self.sent);
        if self.count { format!("{} {sent}", self.tag) } else { self.tag.to_owned() }
    }

    /// Forgets the rows counted, when a portal is suspended.
    pub fn suspend(&mut self) {
        self.sent = 0;
    }

    /// Whether rows wait to be sent.
    pub fn has_rows(&self) -> bool {
        self.pending.is_some() || self.fetched.is_some()
    }

    /// Waits for the next rows; false at the end.
    pub async fn fetch(&mut self) -> Result<bool, Error> {
        while !self.has_rows() {
            match self.rows.next().await {
                None => return Ok(false),
                Some(batch) => {
                    let batch = batch?;
                    self.fetched = (batch.num_rows() > 0).then_some(batch);
                }
            }
        }
        Ok(true)
    }

    /// Writes up to `most` of the waiting rows, or as many as fill the output; says how many.
    pub fn encode(
        &mut self,
        out: &mut BytesMut,
        most: usize,
        session: &Session,
    ) -> Result<usize, Error> {
        if let Some(batch) = self.fetched.take() {
            let batch = references::shown(batch, &self.formats, session.catalog());
            let encoder = Encoder::new(&batch, &self.formats, session.time_zone())?;
            let end = batch.num_rows();
            self.pending = Some(Pending { encoder, next: 0, end });
        }
        let Some(mut pending) = self.pending.take() else {
            return Ok(0);
        };
        let start = pending.next;
        let end = pending.end.min(start.saturating_add(most));
        while pending.next < end && (pending.next == start || out.len() < OUTPUT_LIMIT) {
            pending.encoder.row(pending.next, out)?;
            pending.next += 1;
        }
        let written = pending.next - start;
        self.sent += written as u64;
        self.pending = (pending.next < pending.end).then_some(pending);
        Ok(written)
    }
}
