//! A statement that runs, and what its client hears meanwhile.

use std::future::Future;
use std::pin::pin;

use bytes::BytesMut;
use datafusion::scalar::ScalarValue;
use tokio::io::{AsyncWrite, AsyncWriteExt};

use super::connection::{Connection, Halt};
use super::reply;
use crate::run::{Outcome, Prepared};
use crate::session::Progress;

impl Connection {
    /// Runs a statement until its rows can stream.
    pub(super) async fn run_statement(
        &mut self,
        prepared: &Prepared,
        parameters: Vec<ScalarValue>,
        deadline: Option<tokio::time::Instant>,
    ) -> Result<Outcome, Halt> {
        let Self { session, watch, writer, out, .. } = self;
        let progress = session.progress(prepared);
        let work = session.execute(prepared, parameters);
        match progress {
            Some(progress) => watch.over(deadline, telling(work, progress, (out, writer))).await,
            None => watch.over(deadline, work).await,
        }
    }
}

/// The outcome of work; a client that does not read does not keep it waiting.
async fn telling<T>(
    work: impl Future<Output = T>,
    mut progress: Progress,
    (out, writer): (&mut BytesMut, &mut (impl AsyncWrite + Unpin)),
) -> T {
    let mut work = pin!(work);
    loop {
        let notice = tokio::select! {
            biased;
            done = &mut work => return done,
            notice = progress.next() => notice,
        };
        reply::notice(out, &notice);
        // What is not sent when the work is done stays in `out`, and goes with the answer.
        let sending = async {
            writer.write_all_buf(out).await?;
            writer.flush().await
        };
        let sent = tokio::select! {
            biased;
            done = &mut work => return done,
            sent = sending => sent,
        };
        if sent.is_err() {
            return work.await;
        }
    }
}
