//! One connection: messages in, a session, replies out; what stops a query is watched here.
//!
//! A task of its own reads the socket into a bounded queue. So a client that goes away is noticed
//! while its query runs, and a client that sends faster than we work waits.

use std::collections::HashMap;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use futures::FutureExt;
use tokio::io::{AsyncWriteExt, ReadHalf, WriteHalf};
use tokio::sync::{Semaphore, mpsc};
use tokio_util::sync::CancellationToken;

use crate::Error;
use crate::run::{Outcome, Prepared, Statement};
use crate::session::{Session, TransactionStatus};
use crate::wire::cancel::Running;
use crate::wire::extended::Portal;
use crate::wire::message::{self, Message};
use crate::wire::reply;
use crate::wire::rows::RowStream;
use crate::wire::startup::Stream;

/// Messages read ahead of the one in work.
const READ_AHEAD_MESSAGES: usize = 64;
/// Bytes of COPY read ahead; a longer message waits until it is alone.
const READ_AHEAD_BYTES: usize = 8 << 20;
/// Output that is sent without waiting for the end of a reply, bytes.
pub const OUTPUT_LIMIT: usize = 64 << 10;
/// How long a good-bye to a client that does not read may take.
const FAREWELL_LIMIT: Duration = Duration::from_secs(2);

/// Why work on a message ended early.
#[derive(Debug)]
pub enum Halt {
    /// The statement failed; the session goes on.
    Statement(Error),
    /// The connection ends with this error.
    Connection(Error),
    /// The client is gone.
    Gone,
}

impl From<Error> for Halt {
    fn from(error: Error) -> Self {
        Self::Statement(error)
    }
}

/// A connection after its startup.
pub struct Connection {
    pub(super) session: Session,
    pub(super) out: BytesMut,
    pub(super) portals: HashMap<String, Portal>,
    pub(super) watch: Watch,
    pub(super) writer: WriteHalf<Box<dyn Stream>>,
    pub(super) messages: mpsc::Receiver<Result<Message, Error>>,
    /// The message after the one in work, if it had to be known.
    pub(super) next: Option<Result<Message, Error>>,
    /// After an error in the extended protocol all is skipped until Sync.
    skipping: bool,
    /// When a client that has sent nothing since the last ReadyForQuery is sent away, and why.
    patience: Option<(tokio::time::Instant, Error)>,
}

/// What can stop a query.
pub struct Watch {
    pub(super) running: Arc<Running>,
    gone: CancellationToken,
    stop: CancellationToken,
}

impl Watch {
    /// Runs `work` unless the client cancels, leaves, runs out of time or the server stops.
    pub async fn over<T, E: Into<Error>>(
        &self,
        deadline: Option<tokio::time::Instant>,
        work: impl Future<Output = Result<T, E>>,
    ) -> Result<T, Halt> {
        let cancelled = self.running.begin();
        let timeout = async {
            match deadline {
                Some(deadline) => tokio::time::sleep_until(deadline).await,
                None => std::future::pending().await,
            }
        };
        let canceling = |why| Error::new("57014", format!("canceling statement due to {why}"));
        tokio::select! {
            biased;
            () = self.gone.cancelled() => Err(Halt::Gone),
            () = self.stop.cancelled() => Err(Halt::Connection(stopping())),
            () = self.running.terminate.cancelled() => Err(Halt::Connection(stopping())),
            () = cancelled.cancelled() => Err(Halt::Statement(canceling("user request"))),
            () = timeout => Err(Halt::Statement(canceling("statement timeout"))),
            done = work => done.map_err(|error| Halt::Statement(error.into())),
        }
    }
}

fn stopping() -> Error {
    Error::new("57P01", "terminating connection due to administrator command")
}

impl Connection {
    /// A connection that has `out` to send first.
    pub fn new(
        stream: Box<dyn Stream>,
        session: Session,
        running: Arc<Running>,
        stop: CancellationToken,
        out: BytesMut,
    ) -> Self {
        let (reader, writer) = tokio::io::split(stream);
        let (sender, messages) = mpsc::channel(READ_AHEAD_MESSAGES);
        let gone = CancellationToken::new();
        tokio::spawn(read_ahead(reader, sender, gone.clone()));
        Self {
            session,
            out,
            portals: HashMap::new(),
            watch: Watch { running, gone, stop },
            writer,
            messages,
            next: None,
            skipping: false,
            patience: None,
        }
    }

    /// Serves messages until the client leaves.
    pub async fn run(mut self) {
        let halt = match AssertUnwindSafe(self.serve()).catch_unwind().await {
            Ok(Ok(())) | Ok(Err(Halt::Gone)) => return self.abandon().await,
            Ok(Err(Halt::Statement(error) | Halt::Connection(error))) => error,
            Err(_) => Error::new("XX000", "the server failed on this connection")
                .with_hint("The statement met a defect of the server; its log says where."),
        };
        reply::error(&mut self.out, "FATAL", &halt);
        let farewell = async {
            let _ = self.writer.write_all_buf(&mut self.out).await;
            let _ = self.writer.shutdown().await;
        };
        let _ = tokio::time::timeout(FAREWELL_LIMIT, farewell).await;
        self.abandon().await;
    }

    /// Rolls back what was open, whatever state a panic left.
    async fn abandon(&mut self) {
        self.portals.clear();
        self.session.fail();
        let closing = AssertUnwindSafe(self.session.finish(false)).catch_unwind();
        if !matches!(closing.await, Ok(Ok(()))) {
            tracing::warn!("a session could not be closed in order");
        }
    }

    async fn serve(&mut self) -> Result<(), Halt> {
        self.ready().await?;
        loop {
            let message = tokio::select! {
                biased;
                message = received(&mut self.next, &mut self.messages) => message,
                () = self.watch.stop.cancelled() => return Err(Halt::Connection(stopping())),
                () = self.watch.running.terminate.cancelled() => {
                    return Err(Halt::Connection(stopping()));
                }
                error = lost(&self.patience) => return Err(Halt::Connection(error)),
            };
            self.patience = None;
            match message {
                None | Some(Ok(Message::Terminate)) => return Ok(()),
                Some(Ok(message)) => self.handle(message).await?,
                Some(Err(error)) => return Err(Halt::Connection(error)),
            }
        }
    }

    async fn handle(&mut self, message: Message) -> Result<(), Halt> {
        if self.skipping && !matches!(message, Message::Sync) {
            return Ok(());
        }
        match message {
            Message::Query(text) => self.simple(&text).await,
            Message::Sync => self.sync().await,
            Message::CopyData(_) | Message::CopyDone | Message::CopyFail(_) => Ok(()),
            Message::Terminate => Ok(()),
            Message::FunctionCall => {
                let error = Error::new("0A000", "function calls by message are not supported");
                self.report(&error);
                self.ready().await
            }
            other => {
                let done = match other {
                    Message::Flush => self.flush(None).await,
                    other => self.extended(other).await,
                };
                let Err(Halt::Statement(error)) = done else { return done };
                self.report(&error);
                self.skipping = true;
                // What has been stopped is over: the same cancel must not stop the answer.
                self.watch.running.end();
                // Clients that wait for the answer without Sync must get it.
                self.flush(None).await
            }
        }
    }

    /// Whether the client ends its transaction after the message in work; waits to know.
    pub(super) async fn sync_follows(&mut self) -> Result<bool, Halt> {
        if self.next.is_none() {
            let Self { watch, messages, .. } = self;
            let waiting = async { Ok::<_, Error>(messages.recv().await) };
            self.next = watch.over(None, waiting).await?;
        }
        Ok(matches!(self.next, Some(Ok(Message::Sync))))
    }

    /// A simple query message: all its statements, one implicit transaction.
    async fn simple(&mut self, text: &str) -> Result<(), Halt> {
        self.watch.running.runs(text);
        self.session.statements().remove("");
        self.portals.remove("");
        match self.statements_of(text).await {
            Ok(()) => {}
            Err(Halt::Statement(error)) => {
                self.report(&error.locate(text));
                self.finish(false).await?;
            }
            Err(halt) => return Err(halt),
        }
        self.end_of_transaction();
        self.ready().await
    }

    async fn statements_of(&mut self, text: &str) -> Result<(), Halt> {
        let statements = self.session.parse(text)?;
        let Some((last, before)) = statements.split_last() else {
            reply::bare(&mut self.out, b'I');
            self.session.finish(true).await?;
            return Ok(());
        };
        for statement in before {
            let tag = self.statement(statement).await?;
            self.complete(tag);
        }
        let tag = self.statement(last).await?;
        // The last tag is the client's receipt, so the commit comes first.
        self.session.finish(true).await?;
        self.complete(tag);
        Ok(())
    }

    /// Runs a statement and streams its rows; the tag is for the caller to send.
    async fn statement(&mut self, statement: &Statement) -> Result<Option<String>, Halt> {
        let deadline = self.deadline();
        let Self { session, watch, .. } = self;
        let prepared = watch.over(deadline, session.prepare(statement, &[])).await?;
        let ran = self.run_prepared(&prepared, deadline).await;
        ran.map_err(|halt| match halt {
            Halt::Statement(error) => Halt::Statement(self.session.placed(error, &prepared)),
            halt => halt,
        })
    }

    async fn run_prepared(
        &mut self,
        prepared: &Prepared,
        deadline: Option<tokio::time::Instant>,
    ) -> Result<Option<String>, Halt> {
        let outcome = self.run_statement(prepared, vec![], deadline).await?;
        self.notices();
        match outcome {
            Outcome::Empty => Ok(None),
            Outcome::Done { tag } => Ok(Some(tag)),
            Outcome::CopyIn(copying) => self.copy_in(&copying, deadline).await.map(Some),
            Outcome::CopyOut(copying) => self.copy_out(copying, deadline).await.map(Some),
            Outcome::Rows { schema, rows, tag, count, binary } => {
                let formats = vec![i16::from(binary); schema.fields().len()];
                reply::columns(&mut self.out, &schema, &formats, &prepared.origins);
                let mut stream = RowStream::new(rows, formats, tag, count);
                self.stream(&mut stream, usize::MAX, deadline).await?;
                Ok(Some(stream.tag()))
            }
        }
    }

    /// Sends rows until `most` are out (false) or there are no more (true).
    pub(super) async fn stream(
        &mut self,
        stream: &mut RowStream,
        most: usize,
        deadline: Option<tokio::time::Instant>,
    ) -> Result<bool, Halt> {
        let mut left = most;
        loop {
            if !stream.has_rows() && !self.watch.over(deadline, stream.fetch()).await? {
                return Ok(true);
            }
            if left == 0 {
                return Ok(false);
            }
            left -= stream.encode(&mut self.out, left, &self.session)?;
            if self.out.len() >= OUTPUT_LIMIT {
                self.flush(deadline).await?;
            }
        }
    }

    pub(super) fn deadline(&self) -> Option<tokio::time::Instant> {
        let timeout = self.session.statement_timeout();
        timeout.map(|timeout| tokio::time::Instant::now() + timeout)
    }

    pub(super) fn complete(&mut self, tag: Option<String>) {
        self.notices();
        match tag {
            Some(tag) => reply::complete(&mut self.out, &tag),
            None => reply::bare(&mut self.out, b'I'),
        }
    }

    /// Sends notices and changed settings.
    pub(super) fn notices(&mut self) {
        for notice in self.session.take_notices() {
            reply::notice(&mut self.out, &notice);
        }
        for (name, value) in self.session.take_reports() {
            reply::parameter(&mut self.out, &name, &value);
        }
    }

    fn report(&mut self, error: &Error) {
        self.notices();
        reply::error(&mut self.out, "ERROR", error);
        self.session.fail();
    }

    /// Commits or rolls back; an error of it is the client's to know.
    async fn finish(&mut self, ok: bool) -> Result<(), Halt> {
        if let Err(error) = self.session.finish(ok).await {
            self.report(&error);
        }
        Ok(())
    }

    async fn sync(&mut self) -> Result<(), Halt> {
        let ok = !std::mem::take(&mut self.skipping);
        // A portal's stream reads what the transaction pins, so it goes first.
        if self.session.transaction_status() != TransactionStatus::InBlock {
            self.portals.clear();
        }
        self.finish(ok).await?;
        self.end_of_transaction();
        self.ready().await
    }

    /// Portals live as long as their transaction.
    fn end_of_transaction(&mut self) {
        if self.session.transaction_status() != TransactionStatus::InBlock {
            self.portals.clear();
        }
    }

    async fn ready(&mut self) -> Result<(), Halt> {
        self.notices();
        reply::ready(&mut self.out, self.session.transaction_status());
        self.watch.running.end();
        self.watch.running.waits(match self.session.transaction_status() {
            TransactionStatus::Idle => "idle",
            TransactionStatus::InBlock => "idle in transaction",
            TransactionStatus::Failed => "idle in transaction (aborted)",
        });
        let patience = self.session.patience();
        self.patience = patience.map(|(time, error)| (tokio::time::Instant::now() + time, error));
        let Self { watch, writer, out, .. } = self;
        tokio::select! {
            () = watch.gone.cancelled() => Err(Halt::Gone),
            () = watch.stop.cancelled() => Err(Halt::Connection(stopping())),
            sent = writer.write_all_buf(out) => sent.map_err(|_| Halt::Gone),
        }?;
        self.writer.flush().await.map_err(|_| Halt::Gone)
    }

    /// Sends what is written; waits while the client does not read.
    pub(super) async fn flush(
        &mut self,
        deadline: Option<tokio::time::Instant>,
    ) -> Result<(), Halt> {
        let Self { watch, writer, out, .. } = self;
        let sending = async {
            let sent = writer.write_all_buf(out).await;
            let sent = if sent.is_ok() { writer.flush().await } else { sent };
            Ok::<bool, Error>(sent.is_ok())
        };
        if watch.over(deadline, sending).await? { Ok(()) } else { Err(Halt::Gone) }
    }
}

/// Comes when patience is lost; never without a limit to it.
async fn lost(patience: &Option<(tokio::time::Instant, Error)>) -> Error {
    match patience {
        Some((until, error)) => {
            tokio::time::sleep_until(*until).await;
            error.clone()
        }
        None => std::future::pending().await,
    }
}

/// The next message; None when the client left.
pub(super) async fn received(
    next: &mut Option<Result<Message, Error>>,
    messages: &mut mpsc::Receiver<Result<Message, Error>>,
) -> Option<Result<Message, Error>> {
    match next.take() {
        Some(next) => Some(next),
        None => messages.recv().await,
    }
}

/// Reads messages into the queue; tells when the client left without a word.
async fn read_ahead(
    mut reader: ReadHalf<Box<dyn Stream>>,
    sender: mpsc::Sender<Result<Message, Error>>,
    gone: CancellationToken,
) {
    let mut buffer = BytesMut::with_capacity(8 << 10);
    let room = Arc::new(Semaphore::new(READ_AHEAD_BYTES));
    loop {
        let read = tokio::select! {
            () = sender.closed() => return,
            read = message::read(&mut reader, &mut buffer) => read,
        };
        let (message, last) = match read {
            Ok(Some(mut message)) => {
                if let Message::CopyData(data) = &mut message {
                    let bytes = data.bytes.len().min(READ_AHEAD_BYTES) as u32;
                    tokio::select! {
                        () = sender.closed() => return,
                        taken = Arc::clone(&room).acquire_many_owned(bytes) => {
                            data.room = taken.ok();
                        }
                    }
                }
                let last = matches!(message, Message::Terminate);
                (Ok(message), last)
            }
            Ok(None) => return gone.cancel(),
            Err(error) => (Err(error), true),
        };
        if sender.send(message).await.is_err() || last {
            return;
        }
    }
}
