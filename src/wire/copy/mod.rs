//! COPY by messages, and the forms of its data.
//!
//! ```text
//!   FROM STDIN   CopyInResponse ◀─   CopyData … CopyDone | CopyFail ─▶ reader ─▶ Session::copy_in
//!   TO STDOUT    query ─▶ writer ─▶ CopyOutResponse, CopyData (one a row) …, CopyDone
//! ```
//! Reading and inserting go on side by side. Whatever stops the one is told to the other as an
//! error in its rows, so that it clears away what it has written.

mod binary;
mod columns;
mod csv;
pub mod files;
mod lines;
mod quick;
pub mod reader;
mod text;
pub mod writer;

use std::pin::pin;
use std::time::Duration;

use bytes::{BufMut, BytesMut};
use futures::StreamExt;
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::Error;
use crate::run::{CopyingIn, CopyingOut};
use crate::wire::connection::{Connection, Halt, OUTPUT_LIMIT, Watch, received};
use crate::wire::message::{Message, protocol};
use crate::wire::reply;
use reader::{Cutter, RowReader, Sender, Wrong};
use writer::RowWriter;

/// How long the clearing away after a failed COPY may hold up its answer.
const CLEARING_LIMIT: Duration = Duration::from_secs(5);

type Incoming<'a> =
    (&'a mut Option<Result<Message, Error>>, &'a mut mpsc::Receiver<Result<Message, Error>>);

impl Connection {
    /// Takes the client's data and inserts it; the tag is for the caller to send.
    pub(super) async fn copy_in(
        &mut self,
        copying: &CopyingIn,
        deadline: Option<Instant>,
    ) -> Result<String, Halt> {
        let width = copying.copy.columns.len();
        reply::copy(&mut self.out, b'G', copying.is_binary(), width);
        self.flush(deadline).await?;
        let (sender, rows) = reader::channel(std::sync::Arc::clone(&copying.reader));
        copying.copy.feed.open(rows);
        let Self { session, watch, messages, next, .. } = self;
        let watch = &*watch;
        let feeding = async move {
            let fed = feed((next, messages), watch, deadline, copying, &sender).await;
            if let Err(halt) = &fed {
                sender.fail(why(halt)).await;
            }
            fed
        };
        let (mut feeding, mut applying) = (pin!(feeding), pin!(session.copy_in(&copying.copy)));
        let count = tokio::select! {
            biased;
            fed = &mut feeding => match fed {
                Ok(()) => watch.over(deadline, applying).await?,
                Err(halt) => {
                    let _ = tokio::time::timeout(CLEARING_LIMIT, applying).await;
                    return Err(halt);
                }
            },
            applied = &mut applying => {
                let count = applied?;
                // The end mark came before the end of the data.
                feeding.await?;
                count
            }
        };
        Ok(format!("COPY {count}"))
    }

    /// Sends the rows of a query as data; the tag is for the caller to send.
    pub(super) async fn copy_out(
        &mut self,
        copying: CopyingOut,
        deadline: Option<Instant>,
    ) -> Result<String, Halt> {
        let CopyingOut { options, schema, mut rows } = copying;
        let writer = RowWriter::new(options, schema, self.session.time_zone());
        reply::copy(&mut self.out, b'H', writer.is_binary(), writer.width());
        // Binary's header is no message of its own: it goes with what comes first.
        let mut before = BytesMut::new();
        writer.start(&mut before);
        let mut line = BytesMut::new();
        if writer.header(&mut line) {
            reply::message(&mut self.out, b'd', |out| out.put_slice(&line));
        }
        let mut sent = 0_u64;
        loop {
            let fetch = async { Ok::<_, Error>(rows.next().await.transpose()?) };
            let Some(batch) = self.watch.over(deadline, fetch).await? else { break };
            let columns = writer.columns(&batch)?;
            for row in 0..batch.num_rows() {
                let mut written = Ok(());
                let from = self.out.len();
                reply::message(&mut self.out, b'd', |out| {
                    out.put_slice(&before.split());
                    written = writer.row(&columns, row, out);
                });
                if let Err(error) = written {
                    self.out.truncate(from);
                    return Err(error.into());
                }
                if self.out.len() >= OUTPUT_LIMIT {
                    self.flush(deadline).await?;
                }
            }
            sent += batch.num_rows() as u64;
        }
        writer.end(&mut before);
        if !before.is_empty() {
            reply::message(&mut self.out, b'd', |out| out.put_slice(&before));
        }
        reply::bare(&mut self.out, b'c');
        Ok(format!("COPY {sent}"))
    }
}

/// Takes messages until the data has ended.
async fn feed(
    (next, messages): Incoming<'_>,
    watch: &Watch,
    deadline: Option<Instant>,
    copying: &CopyingIn,
    sender: &Sender,
) -> Result<(), Halt> {
    let mut cutter = Cutter::new(&copying.copy.options);
    loop {
        let waiting = async { Ok::<_, Error>(received(next, messages).await) };
        match watch.over(deadline, waiting).await? {
            None | Some(Ok(Message::Terminate)) => return Err(Halt::Gone),
            Some(Err(error)) => return Err(Halt::Connection(error)),
            Some(Ok(Message::CopyData(data))) => {
                cutter.push(&data.bytes)?;
                drop(data);
                if let Some(piece) = cutter.take() {
                    let sending = async { Ok::<_, Error>(sender.send(piece).await) };
                    watch.over(deadline, sending).await?;
                }
            }
            Some(Ok(Message::CopyDone)) => {
                if let Some(piece) = cutter.finish() {
                    let sending = async { Ok::<_, Error>(sender.send(piece).await) };
                    watch.over(deadline, sending).await?;
                }
                return Ok(());
            }
            Some(Ok(Message::CopyFail(reason))) => {
                let message = format!("COPY from stdin failed: {reason}");
                let table = &copying.reader.table;
                return Err(Error::new("57014", message)
                    .with_context(format!("COPY {table}"))
                    .into());
            }
            // Libraries send these without noticing that they started a COPY.
            Some(Ok(Message::Flush | Message::Sync)) => {}
            Some(Ok(_)) => return Err(protocol("unexpected message during COPY from stdin").into()),
        }
    }
}

/// What the inserting side is told.
fn why(halt: &Halt) -> Error {
    match halt {
        Halt::Statement(error) | Halt::Connection(error) => error.clone(),
        Halt::Gone => Error::new("08006", "unexpected EOF on client connection"),
    }
}

/// A line as text.
fn checked(row: &[u8]) -> Result<&str, Wrong> {
    match std::str::from_utf8(row) {
        Ok(text) if memchr::memchr(0, row).is_none() => Ok(text),
        Ok(_) => Err(Wrong::line(zero_byte(), None)),
        Err(error) => Err(Wrong::line(invalid_utf8(row, &error), None)),
    }
}

/// A character that Postgres' text cannot hold.
fn zero_byte() -> Error {
    Error::new("22021", "invalid byte sequence for encoding \"UTF8\": 0x00")
}

/// Bytes that are no UTF-8, named as Postgres names them: as many as the first one promises.
fn invalid_utf8(bytes: &[u8], error: &std::str::Utf8Error) -> Error {
    let rest = bytes.get(error.valid_up_to()..).unwrap_or_default();
    let promised = match rest.first() {
        Some(0xc0..=0xdf) => 2,
        Some(0xe0..=0xef) => 3,
        Some(0xf0..=0xf7) => 4,
        Some(_) | None => 1,
    };
    let shown: Vec<String> =
        rest.iter().take(promised).map(|byte| format!("0x{byte:02x}")).collect();
    let shown = shown.join(" ");
    Error::new("22021", format!("invalid byte sequence for encoding \"UTF8\": {shown}"))
}

/// HEADER MATCH: the names must be the columns'; None is NULL.
fn check_header(names: Vec<Option<String>>, by: &RowReader) -> Result<(), Error> {
    let wrong = |message| Err(Error::new("22P04", message));
    let (given, expected) = (names.len(), by.columns.len());
    if given != expected {
        return wrong(format!(
            "wrong number of fields in header line: got {given}, expected {expected}"
        ));
    }
    for (index, (name, column)) in names.iter().zip(&by.columns).enumerate() {
        let (number, expected) = (index + 1, column.field.name());
        let got = match name {
            Some(name) if name == expected => continue,
            Some(name) => format!("got \"{name}\""),
            None => format!("got null value (\"{}\")", by.options.null),
        };
        return wrong(format!(
            "column name mismatch in header line field {number}: {got}, expected \"{expected}\""
        ));
    }
    Ok(())
}
