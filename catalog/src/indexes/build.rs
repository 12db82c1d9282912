//! Building a segment: data files are read twice, once for a sample and once to be encoded.
//!
//! Memory is that of the sample and of the codes (a quarter byte and a byte a dimension), reserved
//! from the query's pool; vectors go to the object as they come. Nothing refers to the object
//! before the commit that names it.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use datafusion::arrow::array::{Array, AsArray, RecordBatch};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, Float32Type, Int64Type};
use datafusion::catalog::TableProvider;
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryReservation};
use datafusion::execution::{SendableRecordBatchStream, SessionState};
use datafusion::physical_plan::execute_stream;
use futures::StreamExt;
use kernels::ann::{self, Builder, Model, Options, Sample, Work, calibrate};
use kernels::simd::level::Level;
use kernels::vectors::Rows;
use object_store::buffered::BufWriter;
use object_store::path::Path;
use tokio::io::AsyncWriteExt;
use uuid::Uuid;

use super::segment::{failed, row_bytes, write_row, wrong};
use super::{Covered, Progress, SegmentFile, TableIndex};
use crate::apart::apart;
use crate::error::{Error, Result};
use crate::model::{DataFile, Table, TableRows};
use crate::scan::LakeTable;
use crate::storage;

/// Rows that are encoded at once.
const CHUNK_ROWS: usize = 16 * 1024;
/// Where the index starts behind the vectors.
const ALIGNMENT: u64 = 64;
/// Row numbers of a segment.
const MOST_ROWS: u64 = u32::MAX as u64;

/// See the module.
pub struct IndexBuild<'a> {
    pub index: &'a TableIndex,
    pub table: &'a Arc<Table>,
    /// The table's folder, from the data path.
    pub folder: &'a str,
    pub engine: &'a SessionState,
    pub progress: &'a Progress,
}

/// Rows of a batch that have vectors.
struct Chunk {
    numbers: Vec<u32>,
    vectors: Vec<f32>,
}

/// The object as it is written.
struct Sink {
    writer: BufWriter,
    path: String,
    dimension: usize,
    /// Rows written, those without a vector as zeros.
    rows: u64,
    buffer: Vec<u8>,
}

impl IndexBuild<'_> {
    /// A segment of files, under a model that there is or a new one; None if no row has a vector.
    ///
    /// # Errors
    /// Those of reading and writing; memory that the pool does not have.
    pub async fn segment(
        &self,
        files: &[Arc<DataFile>],
        model: Option<Arc<Model>>,
    ) -> Result<Option<SegmentFile>> {
        let rows = files.iter().map(|file| file.rows).sum::<u64>();
        if rows > MOST_ROWS {
            return Err(Error::NotSupported {
                message: format!("an index of {rows} rows"),
                hint: Some(format!("An index takes up to {MOST_ROWS} rows.")),
            });
        }
        let pool = self.engine.runtime_env();
        let memory = MemoryConsumer::new("VectorIndex").register(&pool.memory_pool);
        let model = match model {
            Some(model) => model,
            None => match self.train(files, rows, &memory).await? {
                Some(model) => model,
                None => return Ok(None),
            },
        };
        let mut sink = self.sink()?;
        let path = sink.path.clone();
        let made = self.encode(files, model, &memory, &mut sink).await;
        match made {
            Ok(Some(file)) => Ok(Some(file)),
            other => {
                let _ = sink.writer.abort().await;
                crate::write::TableWriter::remove_file(&self.index.lake, &path).await;
                other
            }
        }
    }

    fn sink(&self) -> Result<Sink> {
        let path = format!("{}sextant-{}.ann", self.folder, Uuid::now_v7());
        let location = Path::parse(&path).map_err(|e| storage::error(&path, &e.into()))?;
        let writer = BufWriter::new(Arc::clone(self.index.lake.store()), location);
        Ok(Sink { writer, path, dimension: self.index.dimension, rows: 0, buffer: Vec::new() })
    }

    async fn train(
        &self,
        files: &[Arc<DataFile>],
        rows: u64,
        memory: &MemoryReservation,
    ) -> Result<Option<Arc<Model>>> {
        let dimension = self.index.dimension;
        let options = Options::new(self.index.of.measure.metric(), dimension);
        let capacity = options.sample_for(rows as usize);
        // Training turns the sample into one of its own, and works on a part of that.
        memory.try_grow(capacity * dimension * 4 * 3)?;
        let mut sample = Sample::new(capacity, options.seed);
        let mut seen = 0;
        let mut reader = self.reader(files);
        while let Some(chunk) = reader.next().await? {
            seen += chunk.numbers.len();
            sample.push(Rows::single(&chunk.vectors, dimension).map_err(wrong)?);
        }
        if seen == 0 {
            return Ok(None);
        }
        let model = self.apart(move |work| {
            let rows = Rows::single(sample.rows(), dimension)?;
            match Model::train(options, rows, seen, work) {
                // Zero vectors have no direction: they are scanned.
                Err(ann::Error::NoSample) => Ok(None),
                trained => trained.map(Some),
            }
        });
        let model = model.await?;
        memory.resize(0);
        Ok(model.map(Arc::new))
    }

    /// Encodes the rows, writes their vectors and then the index behind them.
    async fn encode(
        &self,
        files: &[Arc<DataFile>],
        model: Arc<Model>,
        memory: &MemoryReservation,
        sink: &mut Sink,
    ) -> Result<Option<SegmentFile>> {
        let dimension = self.index.dimension;
        let mut builder = Builder::new(model);
        let mut reader = self.reader(files);
        while let Some(chunk) = reader.next().await? {
            // Codes, second numbers and what belongs to a row; twice, for they are put in order.
            memory.try_grow(chunk.numbers.len() * (dimension + dimension / 4 + 40) * 2)?;
            sink.rows(&chunk).await?;
            let pushed = self.apart(move |work| {
                let rows = Rows::single(&chunk.vectors, dimension)?;
                builder.push(rows, &chunk.numbers, work)?;
                Ok(builder)
            });
            builder = pushed.await?;
        }
        if builder.rows() == 0 {
            return Ok(None);
        }
        let segment = self.apart(move |work| {
            let mut segment = builder.finish();
            let calibration = calibrate(&segment, None, work)?;
            segment.set_calibration(calibration);
            Ok(segment)
        });
        let segment = segment.await?;
        let rows = files.iter().map(|file| file.rows).sum::<u64>();
        let bytes = segment.to_bytes();
        memory.try_grow(bytes.len())?;
        let start = sink.finish(rows, &bytes).await?;
        self.sync(&sink.path)?;
        let head_bytes = ann::Head::bytes_from(&bytes).map_err(|e| failed(&sink.path, &e))?;
        let live = files.iter().map(|file| file.live()).sum::<u64>();
        let indexed = segment.head().rows() as u64;
        Ok(Some(SegmentFile {
            path: sink.path.clone(),
            bytes: start + bytes.len() as u64,
            start,
            head_bytes,
            indexed,
            nulls: live.saturating_sub(indexed),
            lists: segment.head().model().lists() as u64,
            drift: segment.head().drift(),
            files: files.iter().map(|f| Covered { file: f.id, rows: f.rows }).collect(),
        }))
    }

    /// Makes a local object durable; object stores are when they answer.
    fn sync(&self, path: &str) -> Result<()> {
        match self.index.lake.local_folder() {
            Some(folder) => storage::sync(&folder.join(path))
                .map_err(|e| Error::Object { path: path.to_owned(), reason: e.to_string() }),
            None => Ok(()),
        }
    }

    /// The files' rows with vectors.
    fn reader<'b>(&'b self, files: &'b [Arc<DataFile>]) -> Reader<'b> {
        let mut engine = self.engine.clone();
        // One stream a file: its rows come by ascending positions.
        engine.config_mut().options_mut().execution.target_partitions = 1;
        Reader { build: self, files, engine, at: 0, first: 0, open: None }
    }

    /// The rows of a file: vector, file, position.
    async fn rows(
        &self,
        engine: &SessionState,
        file: &Arc<DataFile>,
    ) -> Result<SendableRecordBatchStream> {
        let width = self.table.columns.len();
        let columns = vec![self.index.column, width, width + 1];
        let rows = TableRows { files: vec![Arc::clone(file)], inlined: Vec::new() };
        let url = self.index.lake.store_url().clone();
        let scan = LakeTable::new(url, Arc::clone(self.table), Arc::new(rows), true);
        let plan = scan.scan(engine, Some(&columns), &[], None).await?;
        Ok(execute_stream(plan, engine.task_ctx())?)
    }

    /// Work for all threads beside the runtime; it ends with the caller.
    async fn apart<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Work<'_>) -> Result<T, ann::Error> + Send + 'static,
    ) -> Result<T> {
        let threads = self.engine.config().target_partitions();
        let done = apart(move |stopped| {
            let go_on = |_, _, _| !stopped.load(Ordering::Relaxed);
            work(&Work { level: Level::best(), threads, go_on: &go_on })
        });
        done.await?.map_err(|error| match error {
            ann::Error::Vector(error) => Error::InvalidParameter {
                message: format!("the vectors cannot be indexed: {error}"),
                hint: None,
            },
            other => failed(&self.index.name, &other),
        })
    }
}

/// Rows with vectors in the order of their numbers.
struct Reader<'a> {
    build: &'a IndexBuild<'a>,
    files: &'a [Arc<DataFile>],
    engine: SessionState,
    /// The file that is read, and the number of its first row.
    at: usize,
    first: u64,
    open: Option<SendableRecordBatchStream>,
}

impl Reader<'_> {
    /// None at the end.
    async fn next(&mut self) -> Result<Option<Chunk>> {
        let mut chunk = Chunk { numbers: Vec::new(), vectors: Vec::new() };
        loop {
            let Some(batches) = &mut self.open else {
                let Some(file) = self.files.get(self.at) else {
                    return Ok((!chunk.numbers.is_empty()).then_some(chunk));
                };
                self.open = Some(self.build.rows(&self.engine, file).await?);
                continue;
            };
            match batches.next().await.transpose()? {
                Some(batch) => {
                    self.build.progress.add(batch.num_rows());
                    chunk.add(&batch, self.first)?;
                    if chunk.numbers.len() >= CHUNK_ROWS {
                        return Ok(Some(chunk));
                    }
                }
                None => {
                    self.first += self.files[self.at].rows;
                    self.at += 1;
                    self.open = None;
                }
            }
        }
    }
}

impl Chunk {
    /// Adds a batch of (vector, file, position).
    fn add(&mut self, batch: &RecordBatch, first: u64) -> Result<()> {
        let list = batch.column(0).as_fixed_size_list();
        let dimension = list.value_length().unsigned_abs() as usize;
        let values = cast(list.values(), &DataType::Float32);
        let values = values.map_err(|error| Error::Engine(error.into()))?;
        let values = values.as_primitive::<Float32Type>().values();
        let positions = batch.column(2).as_primitive::<Int64Type>();
        for row in (0..batch.num_rows()).filter(|row| list.is_valid(*row)) {
            let start = list.value_offset(row).unsigned_abs() as usize;
            let number = first + positions.value(row).unsigned_abs();
            self.numbers.push(u32::try_from(number).unwrap_or(u32::MAX));
            self.vectors.extend_from_slice(&values[start..start + dimension]);
        }
        Ok(())
    }
}

impl Sink {
    /// Writes vectors, with zeros for the numbers between.
    async fn rows(&mut self, chunk: &Chunk) -> Result<()> {
        self.buffer.clear();
        for (number, vector) in chunk.numbers.iter().zip(chunk.vectors.chunks(self.dimension)) {
            self.skip_to(u64::from(*number)).await?;
            write_row(vector, &mut self.buffer);
            self.rows += 1;
        }
        self.flush().await
    }

    /// Writes zeros up to a row number.
    async fn skip_to(&mut self, number: u64) -> Result<()> {
        while self.rows < number {
            self.buffer.resize(self.buffer.len() + row_bytes(self.dimension), 0);
            self.rows += 1;
            if self.buffer.len() >= CHUNK_ROWS * row_bytes(self.dimension) {
                self.flush().await?;
            }
        }
        Ok(())
    }

    async fn flush(&mut self) -> Result<()> {
        let bytes = Bytes::from(std::mem::take(&mut self.buffer));
        self.writer.put(bytes).await.map_err(|error| storage::error(&self.path, &error))
    }

    /// Writes the rest and the index; says where the index starts.
    async fn finish(&mut self, rows: u64, index: &[u8]) -> Result<u64> {
        self.skip_to(rows).await?;
        let end = rows * row_bytes(self.dimension) as u64;
        let start = end.next_multiple_of(ALIGNMENT);
        self.buffer.resize(self.buffer.len() + (start - end) as usize, 0);
        self.buffer.extend_from_slice(index);
        self.flush().await?;
        let closed = self.writer.shutdown().await;
        closed.map_err(|e| Error::Object { path: self.path.clone(), reason: e.to_string() })?;
        Ok(start)
    }
}
