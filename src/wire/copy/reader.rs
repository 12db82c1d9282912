//! Pieces of COPY's data read into batches, several at once, handed on in their order.
//!
//! ```text
//!   messages ─▶ pieces of whole rows ─▶ tasks that read them ─▶ in order ─▶ the plan's feed
//!              (lines, binary)          (text, csv, binary)     lines are counted here
//! ```
//! So many pieces are under way at most; a client that sends faster waits.

use std::sync::Arc;

use datafusion::arrow::datatypes::SchemaRef;
use datafusion::arrow::record_batch::RecordBatch;
use datafusion::error::DataFusionError;
use datafusion::execution::{SendableRecordBatchStream, SessionState};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use futures::{Stream, stream};
use sql::copy::{CopyIn, Format, Options};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::binary::{self, Tuples};
use super::columns::{Builder, Column};
use super::lines::{Lines, Piece};
use super::{csv, text};
use crate::Error;

/// A piece is cut when there are so many bytes of whole rows.
pub const PIECE_BYTES: usize = 512 << 10;
/// A row that is not whole after so many bytes will not be.
const ROW_LIMIT_BYTES: usize = 1 << 30;
/// Pieces cut and not yet taken by the plan.
const PIECES_AHEAD: usize = 4;
/// Data of a line or cell that is shown in an error, characters, as in Postgres.
const SHOWN_CHARACTERS: usize = 100;

/// What reading needs to know; shared by the tasks.
pub struct RowReader {
    /// The table's name, for errors.
    pub table: String,
    pub options: Options,
    pub columns: Vec<Column>,
    schema: SchemaRef,
}

/// How far a piece has been read.
#[derive(Default)]
pub struct Read {
    /// Line ends passed, and the line of the row at hand.
    pub lines: u64,
    line: u64,
    /// The lines of the whole rows.
    rows: Vec<u64>,
    /// The end mark has been met: what follows is not read.
    pub ended: bool,
}

impl Read {
    /// A row begins on a line.
    pub fn begin(&mut self, line: u64) {
        self.line = line;
        self.lines = line;
    }

    /// The row is whole.
    pub fn end(&mut self) {
        self.rows.push(self.line);
    }
}

/// What is wrong with a row.
#[derive(Debug)]
pub struct Wrong {
    pub error: Error,
    place: Place,
}

#[derive(Debug)]
enum Place {
    Data,
    Line(Option<String>),
    Cell(usize, Option<String>),
}

/// The outcome of reading a piece.
pub type Failure = Result<(), Wrong>;

impl Wrong {
    /// The data as a whole.
    pub fn whole(error: Error) -> Self {
        Self { error, place: Place::Data }
    }

    /// A line, and what it says.
    pub fn line(error: Error, shown: Option<&[u8]>) -> Self {
        let shown = shown.map(|line| String::from_utf8_lossy(line).into_owned());
        Self { error, place: Place::Line(shown) }
    }

    /// A cell, and what it says.
    pub fn cell(column: usize, shown: Option<&str>, error: Error) -> Self {
        Self { error, place: Place::Cell(column, shown.map(str::to_owned)) }
    }
}

/// A piece that was read.
struct Batch {
    rows: Option<RecordBatch>,
    lines: u64,
    ended: bool,
    /// What is wrong, and with which line of the piece.
    wrong: Option<(u64, Wrong)>,
}

impl RowReader {
    /// A reader of a COPY's data.
    pub fn new(engine: &SessionState, copy: &CopyIn) -> Result<Self, Error> {
        let columns = copy.columns.iter().map(|field| Column::new(engine, field));
        Ok(Self {
            table: copy.change.table.name.clone(),
            options: copy.options.clone(),
            columns: columns.collect::<Result<_, _>>()?,
            schema: copy.feed.fields(),
        })
    }

    /// Reads a piece.
    fn read(&self, piece: &Piece) -> Batch {
        let binary = self.options.format == Format::Binary;
        let mut builders: Vec<Builder> =
            self.columns.iter().map(|column| Builder::new(column, binary)).collect();
        let mut read = Read::default();
        let failed = match self.options.format {
            Format::Binary => binary::read(piece, &self.columns, &mut builders, &mut read),
            Format::Csv => csv::read(piece, self, &mut builders, &mut read),
            Format::Text | Format::Parquet | Format::Json => {
                text::read(piece, self, &mut builders, &mut read)
            }
        };
        let wrong = failed.err().map(|wrong| (read.line, wrong));
        let batch = self.batch(&mut builders, &read, wrong.is_some());
        let (rows, wrong) = match (batch, wrong) {
            // A cell of an earlier row that is only now found to be wrong comes first.
            (Err(earlier), _) => (None, Some(earlier)),
            (Ok(_), Some(wrong)) => (None, Some(wrong)),
            (Ok(rows), None) => (rows, None),
        };
        Batch { rows, lines: read.lines, ended: read.ended, wrong }
    }

    fn batch(
        &self,
        builders: &mut [Builder],
        read: &Read,
        failed: bool,
    ) -> Result<Option<RecordBatch>, (u64, Wrong)> {
        let mut arrays = Vec::with_capacity(builders.len());
        let mut first: Option<(usize, Wrong)> = None;
        for (index, builder) in builders.iter_mut().enumerate() {
            match builder.finish() {
                Ok(array) => arrays.push(array),
                Err((row, text, error)) if first.as_ref().is_none_or(|(other, _)| row < *other) => {
                    first = Some((row, Wrong::cell(index, Some(&text), error)));
                }
                Err(_) => {}
            }
        }
        if let Some((row, wrong)) = first {
            return Err((read.rows.get(row).copied().unwrap_or(read.line), wrong));
        }
        if failed || read.rows.is_empty() {
            return Ok(None);
        }
        let batch = RecordBatch::try_new(Arc::clone(&self.schema), arrays);
        batch.map(Some).map_err(|error| (read.line, Wrong::whole(error.into())))
    }

    /// An error as Postgres tells it; lines count from the beginning of the data.
    fn told(&self, line: u64, wrong: Wrong) -> Error {
        let table = &self.table;
        let context = match wrong.place {
            Place::Data => return wrong.error,
            Place::Line(None) => format!("COPY {table}, line {line}"),
            Place::Line(Some(text)) => format!("COPY {table}, line {line}: \"{}\"", shown(&text)),
            Place::Cell(column, text) => {
                let name = self.columns.get(column).map_or("", |c| c.field.name().as_str());
                let text = text.map(|text| format!(": \"{}\"", shown(&text))).unwrap_or_default();
                format!("COPY {table}, line {line}, column {name}{text}")
            }
        };
        wrong.error.with_context(context)
    }
}

fn shown(text: &str) -> String {
    match text.char_indices().nth(SHOWN_CHARACTERS) {
        Some((at, _)) => format!("{}...", &text[..at]),
        None => text.to_owned(),
    }
}

/// Cuts pieces, whatever the format.
pub enum Cutter {
    Lines(Lines),
    Tuples(Tuples),
}

impl Cutter {
    /// A cutter of a format's rows.
    pub fn new(options: &Options) -> Self {
        match options.format {
            Format::Binary => Self::Tuples(Tuples::default()),
            Format::Csv => Self::Lines(Lines::new(Some((options.quote, options.escape)))),
            Format::Text | Format::Parquet | Format::Json => Self::Lines(Lines::new(None)),
        }
    }

    /// Takes bytes; a row without end is refused.
    pub fn push(&mut self, bytes: &[u8]) -> Result<(), Error> {
        let waiting = match self {
            Self::Lines(lines) => lines.waiting(),
            Self::Tuples(tuples) => tuples.waiting(),
        };
        if waiting + bytes.len() > ROW_LIMIT_BYTES {
            return Err(Error::new("54000", "a row of COPY is longer than 1 GB"));
        }
        match self {
            Self::Lines(lines) => lines.push(bytes),
            Self::Tuples(tuples) => tuples.push(bytes),
        }
        Ok(())
    }

    /// A piece, if there is enough for one.
    pub fn take(&mut self) -> Option<Piece> {
        match self {
            Self::Lines(lines) => lines.take(PIECE_BYTES),
            Self::Tuples(tuples) => tuples.take(PIECE_BYTES),
        }
    }

    /// What is left at the end.
    pub fn finish(&mut self) -> Option<Piece> {
        match self {
            Self::Lines(lines) => lines.finish(),
            Self::Tuples(tuples) => tuples.finish(),
        }
    }
}

/// Where pieces go in.
pub struct Sender {
    reader: Arc<RowReader>,
    sender: mpsc::Sender<Result<JoinHandle<Batch>, Error>>,
}

impl Sender {
    /// Has a piece read. After the end mark nobody wants it.
    pub async fn send(&self, piece: Piece) {
        let Ok(place) = self.sender.reserve().await else { return };
        let reader = Arc::clone(&self.reader);
        place.send(Ok(tokio::spawn(async move { reader.read(&piece) })));
    }

    /// Nobody takes rows any more.
    pub fn is_closed(&self) -> bool {
        self.sender.is_closed()
    }

    /// Ends the rows with an error.
    pub async fn fail(&self, error: Error) {
        let _ = self.sender.send(Err(error)).await;
    }
}

/// A way in for pieces and a way out for their rows.
pub fn channel(reader: Arc<RowReader>) -> (Sender, SendableRecordBatchStream) {
    let (sender, receiver) = mpsc::channel(PIECES_AHEAD);
    let schema = Arc::clone(&reader.schema);
    let rows = rows(Arc::clone(&reader), receiver);
    (Sender { reader, sender }, Box::pin(RecordBatchStreamAdapter::new(schema, rows)))
}

fn rows(
    reader: Arc<RowReader>,
    receiver: mpsc::Receiver<Result<JoinHandle<Batch>, Error>>,
) -> impl Stream<Item = Result<RecordBatch, DataFusionError>> {
    let state = (reader, Some(receiver), 0_u64, false);
    stream::try_unfold(state, |(reader, receiver, mut lines, mut ended)| async move {
        let Some(mut receiver) = receiver else { return Ok(None) };
        while let Some(piece) = receiver.recv().await {
            let batch = piece?.await;
            let batch = batch.map_err(|error| DataFusionError::ExecutionJoin(Box::new(error)))?;
            if ended {
                return Err(reader.told(lines, Wrong::line(binary::after_end(), None)).into());
            }
            if let Some((line, wrong)) = batch.wrong {
                return Err(reader.told(lines + line, wrong).into());
            }
            lines += batch.lines;
            ended = batch.ended;
            // After the end mark of text anything may come; it is passed over.
            let open = !ended || reader.options.format == Format::Binary;
            match batch.rows {
                Some(rows) => {
                    let receiver = open.then_some(receiver);
                    return Ok(Some((rows, (reader, receiver, lines, ended))));
                }
                None if !open => return Ok(None),
                None => {}
            }
        }
        Ok(None)
    })
}
