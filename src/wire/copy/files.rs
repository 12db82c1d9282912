//! COPY with files that the server reads and writes, local or on an object store.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use datafusion::arrow::datatypes::{Field, Schema, SchemaRef};
use datafusion::arrow::json::LineDelimitedWriter;
use datafusion::arrow::record_batch::RecordBatch;
use datafusion::execution::{SendableRecordBatchStream, SessionState};
use datafusion::object_store::ObjectStoreExt;
use datafusion::object_store::buffered::BufWriter;
use datafusion::parquet::arrow::AsyncArrowWriter;
use futures::StreamExt;
use sql::copy::{Format, Options};
use sql::pg_type::shown_name;
use sql::plan::{Located, located};
use tokio::io::{AsyncWrite, AsyncWriteExt};

use super::reader::{self, Cutter, RowReader, Sender};
use super::writer::RowWriter;
use crate::Error;

/// Bytes gathered before they are handed to the store.
const WRITE_BYTES: usize = 1 << 20;

/// The rows of a file of bytes, read as they are asked for.
pub fn read(
    engine: &SessionState,
    location: &str,
    reader: Arc<RowReader>,
) -> Result<SendableRecordBatchStream, Error> {
    let located = located(engine, location)?;
    let mut cutter = Cutter::new(&reader.options);
    let (sender, rows) = reader::channel(reader);
    let location = location.to_owned();
    tokio::spawn(async move {
        if let Err(error) = pump(&located, &location, &mut cutter, &sender).await {
            sender.fail(error).await;
        }
    });
    Ok(rows)
}

async fn pump(
    located: &Located,
    location: &str,
    cutter: &mut Cutter,
    sender: &Sender,
) -> Result<(), Error> {
    let unreadable = |error| failed("could not read", location, error);
    let file = located.store.get(&located.path).await.map_err(unreadable)?;
    let mut bytes = file.into_stream();
    while let Some(some) = bytes.next().await {
        let some: Bytes = some.map_err(unreadable)?;
        cutter.push(&some)?;
        if let Some(piece) = cutter.take() {
            sender.send(piece).await;
        }
        if sender.is_closed() {
            return Ok(());
        }
    }
    if let Some(piece) = cutter.finish() {
        sender.send(piece).await;
    }
    Ok(())
}

fn failed(what: &str, location: &str, error: datafusion::object_store::Error) -> Error {
    let code = match error {
        datafusion::object_store::Error::NotFound { .. } => "58P01",
        _ => "58030",
    };
    Error::new(code, format!("{what} \"{location}\": {error}"))
}

/// Writes rows to a file, which is there when all are in it; says how many there were.
pub async fn write(
    engine: &SessionState,
    location: &str,
    options: Options,
    schema: SchemaRef,
    rows: SendableRecordBatchStream,
) -> Result<u64, Error> {
    let located = located(engine, location)?;
    let mut sink = BufWriter::new(located.store, located.path);
    let unwritable = |error: std::io::Error| {
        Error::new("58030", format!("could not write \"{location}\": {error}"))
    };
    let written = match options.format {
        Format::Parquet => return parquet(sink, &schema, rows).await,
        Format::Json => json(&mut sink, &schema, rows).await,
        Format::Text | Format::Csv | Format::Binary => {
            let zone = engine.config_options().execution.time_zone.clone().unwrap_or_default();
            let writer = RowWriter::new(options, schema, &zone);
            lines(&mut sink, &writer, rows).await
        }
    };
    match written {
        Ok(count) => {
            sink.shutdown().await.map_err(unwritable)?;
            Ok(count)
        }
        Err(error) => {
            let _ = sink.abort().await;
            Err(error)
        }
    }
}

async fn lines(
    sink: &mut (impl AsyncWrite + Unpin),
    writer: &RowWriter,
    mut rows: SendableRecordBatchStream,
) -> Result<u64, Error> {
    let mut out = BytesMut::new();
    writer.start(&mut out);
    writer.header(&mut out);
    let mut count = 0;
    while let Some(batch) = rows.next().await {
        let batch = batch?;
        let columns = writer.columns(&batch)?;
        for row in 0..batch.num_rows() {
            writer.row(&columns, row, &mut out)?;
            if out.len() >= WRITE_BYTES {
                sink.write_all_buf(&mut out).await.map_err(full)?;
            }
        }
        count += batch.num_rows() as u64;
    }
    writer.end(&mut out);
    sink.write_all_buf(&mut out).await.map_err(full)?;
    Ok(count)
}

async fn json(
    sink: &mut (impl AsyncWrite + Unpin),
    schema: &SchemaRef,
    mut rows: SendableRecordBatchStream,
) -> Result<u64, Error> {
    let schema = plain(schema);
    let mut count = 0;
    while let Some(batch) = rows.next().await {
        let batch = RecordBatch::try_new(Arc::clone(&schema), batch?.columns().to_vec())?;
        let mut out = LineDelimitedWriter::new(Vec::new());
        out.write(&batch)?;
        out.finish()?;
        sink.write_all(&out.into_inner()).await.map_err(full)?;
        count += batch.num_rows() as u64;
    }
    Ok(count)
}

async fn parquet(
    sink: BufWriter,
    schema: &SchemaRef,
    mut rows: SendableRecordBatchStream,
) -> Result<u64, Error> {
    let schema = plain(schema);
    let unwritable = |error| Error::from(datafusion::error::DataFusionError::from(error));
    let mut writer =
        AsyncArrowWriter::try_new(sink, Arc::clone(&schema), None).map_err(unwritable)?;
    let mut count = 0;
    while let Some(batch) = rows.next().await {
        let batch = RecordBatch::try_new(Arc::clone(&schema), batch?.columns().to_vec())?;
        writer.write(&batch).await.map_err(unwritable)?;
        count += batch.num_rows() as u64;
    }
    writer.close().await.map_err(unwritable)?;
    Ok(count)
}

/// The columns under the names that a user sees, without marks of ours.
fn plain(schema: &SchemaRef) -> SchemaRef {
    let field =
        |field: &Arc<Field>| Field::new(shown_name(field.name()), field.data_type().clone(), true);
    Arc::new(Schema::new(schema.fields().iter().map(field).collect::<Vec<_>>()))
}

fn full(error: std::io::Error) -> Error {
    datafusion::error::DataFusionError::from(error).into()
}
