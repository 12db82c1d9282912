//! The join itself: labels are collected, rows stream by in all threads, what wins is put beside.
//!
//! ```text
//!   left  ═▶ batches ─ keys, times ─▶ Labels ──┐ shared
//!   right ─▶ partition 0 ─▶ Winners, Kept ─────┤
//!         ─▶ partition 1 ─▶ Winners, Kept ─────┴▶ merged ─▶ settled ─▶ one row a label, in order
//! ```

use std::sync::Arc;

use datafusion::arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, RecordBatch, RecordBatchOptions, new_null_array,
};
use datafusion::arrow::compute::{filter_record_batch, interleave};
use datafusion::arrow::datatypes::{Int64Type, Schema, SchemaRef};
use datafusion::common::Result as EngineResult;
use datafusion::common::runtime::JoinSet;
use datafusion::common::utils::memory::get_record_batch_memory_size;
use datafusion::error::DataFusionError;
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryReservation};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::expressions::DynamicFilterPhysicalExpr;
use datafusion::physical_plan::metrics::{
    BaselineMetrics, Count, ExecutionPlanMetricsSet, MetricBuilder,
};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{ExecutionPlan, ExecutionPlanProperties};
use futures::{StreamExt, TryStreamExt};
use kernels::asof::{Labels, NOWHERE, Row, Settled, Winners};

use super::exec::{AsOfExec, Side, Terms};
use super::keep::{self, Kept};
use super::keys::Keys;
use super::node::Kind;
use super::{filter, times};

/// The joined rows, once all is read.
pub(super) fn stream(
    exec: &AsOfExec,
    schema: SchemaRef,
    context: Arc<TaskContext>,
    metrics: &ExecutionPlanMetricsSet,
) -> EngineResult<SendableRecordBatchStream> {
    let work = Work {
        left: Arc::clone(&exec.left),
        right: Arc::clone(&exec.right),
        terms: Arc::clone(&exec.terms),
        filter: exec.filter.clone(),
        schema: Arc::clone(&schema),
        context,
        counts: Counts::new(metrics),
    };
    let rows = futures::stream::once(work.run()).try_flatten();
    Ok(Box::pin(RecordBatchStreamAdapter::new(schema, rows)))
}

/// What EXPLAIN ANALYZE tells.
#[derive(Debug, Clone)]
struct Counts {
    baseline: BaselineMetrics,
    labels: Count,
    rows: Count,
    /// Rows whose key a label has.
    candidates: Count,
    matches: Count,
}

impl Counts {
    fn new(metrics: &ExecutionPlanMetricsSet) -> Self {
        let count = |name: &'static str| MetricBuilder::new(metrics).counter(name, 0);
        Self {
            baseline: BaselineMetrics::new(metrics, 0),
            labels: count("labels"),
            rows: count("rows"),
            candidates: count("candidates"),
            matches: count("matches"),
        }
    }
}

struct Work {
    left: Arc<dyn ExecutionPlan>,
    right: Arc<dyn ExecutionPlan>,
    terms: Arc<Terms>,
    filter: Option<Arc<DynamicFilterPhysicalExpr>>,
    schema: SchemaRef,
    context: Arc<TaskContext>,
    counts: Counts,
}

/// The labels, arranged.
#[derive(Debug)]
struct Arranged {
    batches: Vec<RecordBatch>,
    keys: Keys,
    labels: Labels,
}

impl Work {
    async fn run(self) -> EngineResult<SendableRecordBatchStream> {
        let memory = self.memory("AsOfLabels");
        let batches = self.labels(&memory).await?;
        let arranged = Arc::new(self.arranged(batches, &memory)?);
        self.counts.labels.add(arranged.labels.len());
        let (settled, kept) = self.matched(&arranged).await?;
        let output = Output {
            kind: self.terms.kind,
            null_batch: kept.batches().len(),
            columns: columns(&kept, &self.right.schema().project(&self.terms.shown)?),
            settled,
            arranged,
            terms: self.terms,
            schema: Arc::clone(&self.schema),
            counts: self.counts,
            _memory: (memory, kept),
        };
        let rows =
            futures::stream::try_unfold((output, 0, 0), |(output, index, label)| async move {
                let Some(batch) = output.arranged.batches.get(index) else { return Ok(None) };
                let next = label + batch.num_rows();
                let rows = output.batch(batch, label)?;
                Ok::<_, DataFusionError>(Some((rows, (output, index + 1, next))))
            });
        let rows = rows.try_filter(|batch| std::future::ready(batch.num_rows() > 0));
        Ok(Box::pin(RecordBatchStreamAdapter::new(self.schema, rows)))
    }

    fn memory(&self, name: &'static str) -> MemoryReservation {
        MemoryConsumer::new(name).register(self.context.memory_pool())
    }

    /// All of the left side, its partitions one after the other.
    async fn labels(&self, memory: &MemoryReservation) -> EngineResult<Vec<RecordBatch>> {
        let mut tasks = JoinSet::new();
        for partition in 0..self.left.output_partitioning().partition_count() {
            let mut rows = self.left.execute(partition, Arc::clone(&self.context))?;
            let memory = memory.new_empty();
            tasks.spawn(async move {
                let mut batches = Vec::new();
                while let Some(batch) = rows.next().await.transpose()? {
                    memory.try_grow(get_record_batch_memory_size(&batch))?;
                    batches.push(batch);
                }
                Ok::<_, DataFusionError>((partition, batches, memory))
            });
        }
        let mut parts = Vec::new();
        while let Some(part) = tasks.join_next().await {
            let (partition, batches, taken) = part.map_err(failed)??;
            memory.grow(taken.size());
            parts.push((partition, batches));
        }
        parts.sort_by_key(|(partition, _)| *partition);
        Ok(parts.into_iter().flat_map(|(_, batches)| batches).collect())
    }

    fn arranged(
        &self,
        batches: Vec<RecordBatch>,
        memory: &MemoryReservation,
    ) -> EngineResult<Arranged> {
        let rows: usize = batches.iter().map(RecordBatch::num_rows).sum();
        if rows >= NOWHERE as usize {
            let message = format!("an AS OF join of {rows} labels at once");
            return Err(crate::Error::unsupported(message).into());
        }
        memory.try_grow(rows * Labels::BYTES)?;
        let keys = batches.iter().map(|batch| {
            let labels = self.terms.keys.iter().map(|(label, _)| label);
            labels.map(|label| evaluated(label, batch)).collect::<EngineResult<Vec<_>>>()
        });
        let keys = keys.collect::<EngineResult<Vec<_>>>()?;
        let (numbers, mut slots) = Keys::number(&keys, rows)?;
        memory.try_grow(numbers.bytes())?;
        let slot_count = numbers.slot_count(&slots);
        let mut instants = Vec::with_capacity(rows);
        for batch in &batches {
            let times = times::ticks(&evaluated(&self.terms.time.0, batch)?)?;
            let guard = self.terms.guard.as_ref().map(|guard| evaluated(guard, batch));
            let guard = guard.transpose()?;
            let guard = guard.as_ref().map(|guard| guard.as_boolean());
            for (row, time) in times.iter().enumerate() {
                let passes = guard.is_none_or(|guard| guard.is_valid(row) && guard.value(row));
                if time.is_none() || !passes {
                    slots[instants.len()] = NOWHERE;
                }
                instants.push(time.unwrap_or_default());
            }
        }
        let labels = Labels::new(slot_count, &slots, &instants);
        if let Some(filter) = &self.filter {
            let schema = self.right.schema();
            filter.update(filter::expression(&self.terms, &keys, &labels, &schema)?)?;
        }
        Ok(Arranged { batches, keys: numbers, labels })
    }

    /// What every label takes, and the rows taken.
    async fn matched(&self, arranged: &Arc<Arranged>) -> EngineResult<(Settled, Kept)> {
        let mut tasks = JoinSet::new();
        let mut winners = Winners::new(self.terms.rule, &arranged.labels);
        let mut kept = Kept::new(self.memory("AsOfRows"));
        let bytes = Winners::bytes(self.terms.rule, arranged.labels.place_count());
        let states = self.memory("AsOfStates");
        states.try_grow(bytes)?;
        if arranged.labels.place_count() > 0 {
            for partition in 0..self.right.output_partitioning().partition_count() {
                states.try_grow(bytes)?;
                let rows = self.right.execute(partition, Arc::clone(&self.context))?;
                let stream = Stream {
                    terms: Arc::clone(&self.terms),
                    arranged: Arc::clone(arranged),
                    winners: Winners::new(self.terms.rule, &arranged.labels),
                    kept: Kept::new(self.memory("AsOfRows")),
                    counts: self.counts.clone(),
                };
                tasks.spawn(stream.drained(rows));
            }
        }
        while let Some(part) = tasks.join_next().await {
            let (mut part, rows) = part.map_err(failed)??;
            let offset = kept.append(rows);
            part.handles_mut().for_each(|handle| *handle += offset);
            winners.merge(&part, |held, other| kept.is_later(held, other));
            states.shrink(bytes);
        }
        Ok((winners.settle(&arranged.labels), kept))
    }
}

fn failed(error: tokio::task::JoinError) -> DataFusionError {
    DataFusionError::ExecutionJoin(Box::new(error))
}

fn evaluated(side: &Side, batch: &RecordBatch) -> EngineResult<ArrayRef> {
    side.evaluate(batch)?.into_array(batch.num_rows())
}

/// One partition of the rows.
struct Stream {
    terms: Arc<Terms>,
    arranged: Arc<Arranged>,
    winners: Winners,
    kept: Kept,
    counts: Counts,
}

impl Stream {
    async fn drained(
        mut self,
        mut rows: SendableRecordBatchStream,
    ) -> EngineResult<(Winners, Kept)> {
        while let Some(batch) = rows.next().await.transpose()? {
            let elapsed = self.counts.baseline.elapsed_compute().clone();
            let _timer = elapsed.timer();
            self.offer(&batch)?;
        }
        Ok((self.winners, self.kept))
    }

    fn offer(&mut self, batch: &RecordBatch) -> EngineResult<()> {
        let rows = batch.num_rows();
        let keys = self.terms.keys.iter().map(|(_, row)| evaluated(row, batch));
        let slots = self.arranged.keys.find(&keys.collect::<EngineResult<Vec<_>>>()?, rows)?;
        let times = times::ticks(&evaluated(&self.terms.time.1, batch)?)?;
        let payload = match self.terms.kind {
            Kind::Inner | Kind::Left => batch.project(&self.terms.shown)?,
            // Only whether there is one is of use.
            Kind::Semi | Kind::Anti => batch.project(&[0])?,
        };
        let sequence = self.terms.sequence.as_ref().map(|side| evaluated(side, batch));
        let sequence = sequence.transpose()?;
        let sequence = sequence.as_ref().map(|array| array.as_primitive::<Int64Type>().values());
        self.kept.begin(payload);
        let mut candidates = 0;
        for (row, slot) in slots.into_iter().enumerate() {
            if slot == NOWHERE || times.is_null(row) {
                continue;
            }
            candidates += 1;
            let seq = sequence.map_or(0, |sequence| sequence[row]);
            let offered = Row { ts: times.value(row), created: None, seq };
            self.winners.offer(&self.arranged.labels, slot, offered, self.kept.offering(row));
        }
        self.counts.rows.add(rows);
        self.counts.candidates.add(candidates);
        self.kept.finish(&mut self.winners)
    }
}

/// The columns of the kept rows, each by batch, and a NULL of each at the end.
fn columns(kept: &Kept, schema: &Schema) -> Vec<Vec<ArrayRef>> {
    let fields = schema.fields().iter().enumerate();
    let column = |index: usize| kept.batches().iter().filter_map(move |b| b.columns().get(index));
    let null = |data_type| new_null_array(data_type, 1);
    fields
        .map(|(index, field)| column(index).cloned().chain([null(field.data_type())]).collect())
        .collect()
}

/// Labels and what they take.
struct Output {
    kind: Kind,
    arranged: Arc<Arranged>,
    settled: Settled,
    columns: Vec<Vec<ArrayRef>>,
    null_batch: usize,
    terms: Arc<Terms>,
    schema: SchemaRef,
    counts: Counts,
    /// Held until the last row is out.
    _memory: (MemoryReservation, Kept),
}

impl Output {
    /// The rows of one batch of labels, the first of which is number `first`.
    fn batch(&self, batch: &RecordBatch, first: usize) -> EngineResult<RecordBatch> {
        let timer = self.counts.baseline.elapsed_compute().timer();
        let found: Vec<Option<u64>> =
            (first..first + batch.num_rows()).map(|label| self.taken(label)).collect();
        let matches = found.iter().flatten().count();
        self.counts.matches.add(matches);
        let keep = |wanted: bool| {
            let keep: BooleanArray = found.iter().map(|f| Some(f.is_some() == wanted)).collect();
            filter_record_batch(batch, &keep)
        };
        let rows = match self.kind {
            Kind::Semi => keep(true)?,
            Kind::Anti => keep(false)?,
            Kind::Inner => {
                let places: Vec<_> = found.iter().flatten().map(|h| keep::place(*h)).collect();
                self.beside(&keep(true)?, &places)?
            }
            Kind::Left => {
                let place = |found: &Option<u64>| found.map_or((self.null_batch, 0), keep::place);
                self.beside(batch, &found.iter().map(place).collect::<Vec<_>>())?
            }
        };
        timer.done();
        self.counts.baseline.record_output(rows.num_rows());
        let options = RecordBatchOptions::new().with_row_count(Some(rows.num_rows()));
        let schema = Arc::clone(&self.schema);
        Ok(RecordBatch::try_new_with_options(schema, rows.columns().to_vec(), &options)?)
    }

    /// The row that a label takes.
    fn taken(&self, label: usize) -> Option<u64> {
        let labels = &self.arranged.labels;
        let place = labels.place(label);
        if place == NOWHERE {
            return None;
        }
        let axis = times::axis(&self.terms.time_type);
        let bounds = match self.terms.tolerance {
            Some(tolerance) => tolerance.bounds(labels.time(place), axis),
            None => (i64::MIN, i64::MAX),
        };
        self.settled.at(labels, place, axis, bounds).map(|found| found.handle)
    }

    /// Labels and the rows at `places` beside them.
    fn beside(&self, labels: &RecordBatch, places: &[(usize, usize)]) -> EngineResult<RecordBatch> {
        let mut columns = labels.columns().to_vec();
        for column in &self.columns {
            let sources: Vec<&dyn Array> = column.iter().map(|array| array.as_ref()).collect();
            columns.push(interleave(&sources, places)?);
        }
        let options = RecordBatchOptions::new().with_row_count(Some(places.len()));
        Ok(RecordBatch::try_new_with_options(Arc::clone(&self.schema), columns, &options)?)
    }
}
