//! One Parquet file, whose columns are encoded side by side.

use std::sync::{Mutex, PoisonError};

use datafusion::arrow::array::Array;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::arrow::record_batch::RecordBatch;
use datafusion::parquet::arrow::ArrowWriter;
use datafusion::parquet::arrow::arrow_writer::{
    ArrowColumnWriter, ArrowRowGroupWriterFactory, compute_leaves,
};
use datafusion::parquet::errors::Result;
use datafusion::parquet::file::metadata::ParquetMetaData;
use datafusion::parquet::file::properties::WriterProperties;
use datafusion::parquet::file::writer::SerializedFileWriter;
use object_store::buffered::BufWriter;
use tokio::io::AsyncWriteExt;

/// Rows and encoded bytes of a row group, whichever comes first.
const GROUP_ROWS: usize = 1024 * 1024;
const GROUP_BYTES: usize = 128 * 1024 * 1024;
/// Rows and bytes that are encoded at once: enough for threads to be worth their start.
const ROUND_ROWS: usize = 64 * 1024;
const ROUND_BYTES: usize = 16 * 1024 * 1024;
/// A round of fewer rows is encoded here.
const FEW_ROWS: usize = 4 * 1024;

/// See the module.
pub(super) struct ColumnsWriter {
    sink: BufWriter,
    file: SerializedFileWriter<Vec<u8>>,
    groups: ArrowRowGroupWriterFactory,
    schema: SchemaRef,
    threads: usize,
    /// The open row group's leaves by column; empty: none is open.
    open: Vec<Vec<ArrowColumnWriter>>,
    open_rows: usize,
    waiting: Vec<RecordBatch>,
    waiting_rows: usize,
    waiting_bytes: usize,
}

impl ColumnsWriter {
    pub(super) fn new(
        sink: BufWriter,
        schema: SchemaRef,
        properties: WriterProperties,
        threads: usize,
    ) -> Result<Self> {
        // It writes the Arrow schema into the file's metadata.
        let writer = ArrowWriter::try_new(Vec::new(), schema.clone(), Some(properties))?;
        let (file, groups) = writer.into_serialized_writer()?;
        Ok(Self {
            sink,
            file,
            groups,
            schema,
            threads,
            open: Vec::new(),
            open_rows: 0,
            waiting: Vec::new(),
            waiting_rows: 0,
            waiting_bytes: 0,
        })
    }

    /// Appends rows.
    pub(super) async fn write(&mut self, mut batch: RecordBatch) -> Result<()> {
        loop {
            let room = GROUP_ROWS - self.open_rows - self.waiting_rows;
            let fits = batch.num_rows().min(room);
            let part = batch.slice(0, fits);
            self.waiting_rows += fits;
            self.waiting_bytes += part.columns().iter().map(sliced_bytes).sum::<usize>();
            self.waiting.push(part);
            let much = self.waiting_rows >= ROUND_ROWS || self.waiting_bytes >= ROUND_BYTES;
            if much || self.threads == 1 {
                self.encode()?;
            }
            if fits == room || self.open_bytes() >= GROUP_BYTES {
                self.close_group().await?;
            }
            if fits == batch.num_rows() {
                return Ok(());
            }
            batch = batch.slice(fits, batch.num_rows() - fits);
        }
    }

    /// Bytes in closed row groups.
    pub(super) fn bytes_written(&self) -> usize {
        self.file.bytes_written()
    }

    /// Completes the file and the object.
    pub(super) async fn finish(&mut self) -> Result<ParquetMetaData> {
        self.close_group().await?;
        let metadata = self.file.finish()?;
        self.send().await?;
        self.sink.shutdown().await?;
        Ok(metadata)
    }

    fn open_bytes(&self) -> usize {
        let leaves = self.open.iter().flatten();
        leaves.map(ArrowColumnWriter::get_estimated_total_bytes).sum()
    }

    /// Encodes what waits.
    fn encode(&mut self) -> Result<()> {
        let batches = std::mem::take(&mut self.waiting);
        let rows = std::mem::take(&mut self.waiting_rows);
        self.waiting_bytes = 0;
        if self.open.is_empty() {
            self.open = self.start_group()?;
        }
        self.open_rows += rows;
        let threads = match rows < FEW_ROWS {
            true => 1,
            false => self.threads.min(self.open.len()),
        };
        let columns = Mutex::new(self.open.iter_mut().enumerate());
        let next = || columns.lock().unwrap_or_else(PoisonError::into_inner).next();
        let work = || -> Result<()> {
            while let Some((index, leaves)) = next() {
                for batch in &batches {
                    let field = self.schema.field(index);
                    let values = compute_leaves(field, batch.column(index))?;
                    for (leaf, values) in leaves.iter_mut().zip(&values) {
                        leaf.write(values)?;
                    }
                }
            }
            Ok(())
        };
        std::thread::scope(|scope| {
            let others: Vec<_> = (1..threads).map(|_| scope.spawn(work)).collect();
            let mut done = work();
            for other in others {
                let result = other.join().unwrap_or_else(|p| std::panic::resume_unwind(p));
                done = done.and(result);
            }
            done
        })
    }

    /// Writers of a row group's leaves, those of one column together.
    fn start_group(&self) -> Result<Vec<Vec<ArrowColumnWriter>>> {
        let at = self.file.flushed_row_groups().len();
        let schema = self.file.schema_descr();
        let mut columns = Vec::new();
        columns.resize_with(self.schema.fields().len(), Vec::new);
        for (leaf, writer) in self.groups.create_column_writers(at)?.into_iter().enumerate() {
            columns[schema.get_column_root_idx(leaf)].push(writer);
        }
        Ok(columns)
    }

    async fn close_group(&mut self) -> Result<()> {
        if !self.waiting.is_empty() {
            self.encode()?;
        }
        if self.open.is_empty() {
            return Ok(());
        }
        self.open_rows = 0;
        let mut group = self.file.next_row_group()?;
        for leaf in std::mem::take(&mut self.open).into_iter().flatten() {
            leaf.close()?.append_to_row_group(&mut group)?;
        }
        group.close()?;
        self.send().await
    }

    async fn send(&mut self) -> Result<()> {
        let bytes = std::mem::take(self.file.inner_mut());
        self.sink.put(bytes.into()).await.map_err(|e| std::io::Error::other(e).into())
    }
}

/// Bytes of the rows an array shows, not of the buffers it shares.
fn sliced_bytes(array: &std::sync::Arc<dyn Array>) -> usize {
    array.to_data().get_slice_memory_size().unwrap_or_else(|_| array.get_array_memory_size())
}
