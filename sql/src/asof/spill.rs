//! More labels than memory holds: both sides go to disk in parts by key, and part after part is
//! joined as if it were all.
//!
//! ```text
//!   left  ─▶ part 0 … 31 ─┐  a part: labels held, rows streamed
//!   right ─▶ part 0 … 31 ─┴▶ joined 0 … 31 ─▶ merged by the labels' numbers ─▶ in order
//! ```
//! A part whose labels do not fit either fails with 53200: one key may have that many.

use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, Int64Array, RecordBatch, UInt32Array};
use datafusion::arrow::compute::{concat_batches, take_record_batch};
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::common::Result as EngineResult;
use datafusion::common::hash_utils::{RandomState, create_hashes};
use datafusion::common::runtime::JoinSet;
use datafusion::common::utils::memory::get_record_batch_memory_size;
use datafusion::error::DataFusionError;
use datafusion::execution::{SendableRecordBatchStream, SpillFile, TaskContext};
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_expr::{LexOrdering, PhysicalSortExpr};
use datafusion::physical_plan::ExecutionPlanProperties;
use datafusion::physical_plan::sorts::streaming_merge::StreamingMergeBuilder;
use datafusion::physical_plan::spill::SpillManager;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use futures::{StreamExt, TryStreamExt};

use super::exec::Side;
use super::join::{Counts, Work, evaluated, failed};
use super::times;

/// Parts that both sides are cut into.
const PARTS: usize = 32;
/// Rows of a part that wait until they are written.
const WAITING_ROWS: usize = 1024;
/// Not the engine's: what it has partitioned by key is cut again.
const SEED: u64 = 0x5e_87a7;
/// Labels of one partition, at most; beyond them numbers of partitions would meet.
const PARTITION_SHIFT: u32 = 40;
/// The labels' numbers.
const NUMBER_COLUMN: &str = "__sextant_label";

type Files = Vec<Option<Arc<dyn SpillFile>>>;
/// A file being written, whose type the engine does not name: takes batches, and None to end.
type Writer =
    Box<dyn FnMut(Option<&RecordBatch>) -> EngineResult<Option<Arc<dyn SpillFile>>> + Send>;

fn writer(manager: &SpillManager) -> EngineResult<Writer> {
    let mut file = manager.create_in_progress_file("AsOf")?;
    Ok(Box::new(move |batch| match batch {
        Some(batch) => file.append_batch(batch).map(|_| None),
        None => file.finish(),
    }))
}

/// Rows on their way to disk, by key.
pub(super) struct Parts {
    manager: SpillManager,
    keys: Vec<Side>,
    files: Vec<Option<Writer>>,
    waiting: Vec<Vec<RecordBatch>>,
    /// The number of the next label; rows have none.
    next: Option<i64>,
}

impl Parts {
    /// For labels, which get their numbers.
    pub fn of_labels(
        context: &Arc<TaskContext>,
        counts: &Counts,
        schema: &Schema,
        keys: Vec<Side>,
        partition: usize,
    ) -> Self {
        let schema = numbered(schema);
        Self::new(context, counts, schema, keys, Some((partition as i64) << PARTITION_SHIFT))
    }

    fn new(
        context: &Arc<TaskContext>,
        counts: &Counts,
        schema: SchemaRef,
        keys: Vec<Side>,
        next: Option<i64>,
    ) -> Self {
        let manager = SpillManager::new(context.runtime_env(), counts.spill.clone(), schema);
        let files = (0..PARTS).map(|_| None).collect();
        Self { manager, keys, files, waiting: vec![Vec::new(); PARTS], next }
    }

    /// Cuts a batch up. Where a key is NULL nothing matches: such labels go anywhere, not all to
    /// one part, and such rows nowhere.
    pub fn write(&mut self, batch: &RecordBatch) -> EngineResult<()> {
        let rows = batch.num_rows();
        let keys = self.keys.iter().map(|key| times::comparable(&evaluated(key, batch)?));
        let keys = keys.collect::<EngineResult<Vec<ArrayRef>>>()?;
        let mut hashes = vec![0; rows];
        create_hashes(&keys, &RandomState::with_seed(SEED), &mut hashes)?;
        let nulls = super::keys::nulls(&keys);
        let mut columns = batch.columns().to_vec();
        if let Some(next) = &mut self.next {
            let end = *next + rows as i64;
            columns.push(Arc::new(Int64Array::from_iter_values(*next..end)));
            *next = end;
        }
        let batch = RecordBatch::try_new(Arc::clone(self.manager.schema()), columns)?;
        let mut places = vec![Vec::new(); PARTS];
        for (row, hash) in hashes.into_iter().enumerate() {
            match nulls.as_ref().is_some_and(|nulls| nulls.is_null(row)) {
                false => places[(hash % PARTS as u64) as usize].push(row as u32),
                true if self.next.is_some() => places[row % PARTS].push(row as u32),
                true => {}
            }
        }
        for (part, places) in places.into_iter().enumerate().filter(|(_, p)| !p.is_empty()) {
            let rows = take_record_batch(&batch, &UInt32Array::from(places))?;
            self.waiting[part].push(rows);
            let waiting: usize = self.waiting[part].iter().map(RecordBatch::num_rows).sum();
            if waiting >= WAITING_ROWS {
                self.flush(part)?;
            }
        }
        Ok(())
    }

    fn flush(&mut self, part: usize) -> EngineResult<()> {
        let waiting = std::mem::take(&mut self.waiting[part]);
        if waiting.is_empty() {
            return Ok(());
        }
        let batch = concat_batches(self.manager.schema(), &waiting)?;
        let file = match &mut self.files[part] {
            Some(file) => file,
            empty => empty.insert(writer(&self.manager)?),
        };
        file(Some(&batch))?;
        Ok(())
    }

    /// The files of all parts.
    pub fn finish(mut self) -> EngineResult<Finished> {
        (0..PARTS).try_for_each(|part| self.flush(part))?;
        let finish = |file: Option<Writer>| match file {
            Some(mut file) => file(None),
            None => Ok(None),
        };
        let files = self.files.into_iter().map(finish).collect::<EngineResult<Files>>()?;
        Ok(Finished { manager: self.manager, files })
    }
}

/// One partition's parts on disk.
pub(super) struct Finished {
    manager: SpillManager,
    files: Files,
}

impl Finished {
    fn read(&self, part: usize) -> EngineResult<Option<SendableRecordBatchStream>> {
        let file = self.files[part].as_ref();
        file.map(|file| self.manager.read_spill_as_stream(Arc::clone(file), None)).transpose()
    }
}

/// With the labels' numbers behind all columns.
fn numbered(schema: &Schema) -> SchemaRef {
    let number = Arc::new(Field::new(NUMBER_COLUMN, DataType::Int64, false));
    let fields = schema.fields().iter().cloned().chain([number]);
    Arc::new(Schema::new_with_metadata(fields.collect::<Vec<_>>(), schema.metadata().clone()))
}

/// The joined rows of labels that are on disk, in their order.
pub(super) async fn joined(
    work: Arc<Work>,
    labels: Vec<Finished>,
) -> EngineResult<SendableRecordBatchStream> {
    let rows = rows(&work).await?;
    let schema = numbered(&work.schema);
    let runtime = work.context.runtime_env();
    let manager = SpillManager::new(runtime, work.counts.spill.clone(), Arc::clone(&schema));
    let mut results = Vec::new();
    for part in 0..PARTS {
        let memory = work.memory("AsOfLabels");
        let mut batches = Vec::new();
        for partition in &labels {
            let Some(mut stream) = partition.read(part)? else { continue };
            while let Some(batch) = stream.next().await.transpose()? {
                memory.try_grow(get_record_batch_memory_size(&batch))?;
                batches.push(batch);
            }
        }
        let streams = rows.iter().filter_map(|partition| partition.read(part).transpose());
        let mut streams = streams.collect::<EngineResult<Vec<_>>>()?;
        let held = memory.size();
        let (arranged, memory) = match work.arranged(batches.clone(), memory, streams.len()).await {
            Ok(arranged) => arranged,
            Err(error) if streams.len() < 2 || !is_exhausted(&error) => return Err(error),
            // Each stream has a state of its own: one after the other they need one.
            Err(_) => {
                let memory = work.memory("AsOfLabels");
                memory.try_grow(held)?;
                let schema = work.right.schema();
                let all = futures::stream::iter(std::mem::take(&mut streams)).flatten();
                streams.push(Box::pin(RecordBatchStreamAdapter::new(schema, all)));
                work.arranged(batches, memory, 1).await?
            }
        };
        let output = work.joined(arranged, streams, Arc::clone(&schema), memory).await?;
        let mut output = output.stream();
        let mut file = manager.create_in_progress_file("AsOf")?;
        while let Some(batch) = output.next().await.transpose()? {
            file.append_batch(&batch)?;
        }
        results.extend(file.finish()?);
    }
    merged(&work, &manager, results)
}

fn is_exhausted(error: &DataFusionError) -> bool {
    matches!(error.find_root(), DataFusionError::ResourcesExhausted(_))
}

/// The right side in parts.
async fn rows(work: &Work) -> EngineResult<Vec<Finished>> {
    let mut tasks = JoinSet::new();
    for partition in 0..work.right.output_partitioning().partition_count() {
        let mut rows = work.right.execute(partition, Arc::clone(&work.context))?;
        let keys = work.terms.keys.iter().map(|(_, row)| Arc::clone(row)).collect();
        let schema = work.right.schema();
        let mut parts = Parts::new(&work.context, &work.counts, schema, keys, None);
        tasks.spawn(async move {
            while let Some(batch) = rows.next().await.transpose()? {
                parts.write(&batch)?;
            }
            parts.finish()
        });
    }
    let mut all = Vec::new();
    while let Some(parts) = tasks.join_next().await {
        all.push(parts.map_err(failed)??);
    }
    Ok(all)
}

/// The parts' results by the labels' numbers, without them.
fn merged(
    work: &Work,
    manager: &SpillManager,
    results: Vec<Arc<dyn SpillFile>>,
) -> EngineResult<SendableRecordBatchStream> {
    let schema = Arc::clone(&work.schema);
    if results.is_empty() {
        let nothing = futures::stream::empty();
        return Ok(Box::pin(RecordBatchStreamAdapter::new(schema, nothing)));
    }
    let streams = results.into_iter().map(|file| manager.read_spill_as_stream(file, None));
    let width = schema.fields().len();
    let number = Arc::new(Column::new(NUMBER_COLUMN, width));
    let order = LexOrdering::from([PhysicalSortExpr::new_default(number)]);
    let merged = StreamingMergeBuilder::new()
        .with_streams(streams.collect::<EngineResult<Vec<_>>>()?)
        .with_schema(Arc::clone(manager.schema()))
        .with_expressions(&order)
        .with_metrics(work.counts.baseline.intermediate())
        .with_batch_size(work.context.session_config().batch_size())
        .with_reservation(work.memory("AsOfMerge"))
        .build()?;
    let shown: Vec<usize> = (0..width).collect();
    let rows = merged.map(move |batch| {
        batch.and_then(|batch| batch.project(&shown).map_err(DataFusionError::from))
    });
    Ok(Box::pin(RecordBatchStreamAdapter::new(schema, rows.into_stream())))
}
