//! The join itself: labels are collected, rows stream by in all threads, what wins is put beside.
//!
//! ```text
//!   left  ═▶ batches ─ keys, times ─▶ Labels ──┐ shared
//!   right ─▶ partition 0 ─▶ Winners, Kept ─────┤
//!         ─▶ partition 1 ─▶ Winners, Kept ─────┴▶ merged ─▶ settled ─▶ one row a label, in order
//! ```
//! What windows of rows tell is gathered beside: rows while they are few, else states of cells.
//! If memory does not hold the labels, `spill` does the same part by part.

use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, Schema, SchemaRef};
use datafusion::common::Result as EngineResult;
use datafusion::common::runtime::{JoinSet, SpawnedTask};
use datafusion::common::utils::memory::get_record_batch_memory_size;
use datafusion::error::DataFusionError;
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryReservation};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::expressions::DynamicFilterPhysicalExpr;
use datafusion::physical_plan::metrics::{
    BaselineMetrics, Count, ExecutionPlanMetricsSet, MetricBuilder, SpillMetrics, Time,
};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{ExecutionPlan, ExecutionPlanProperties};
use futures::{FutureExt, StreamExt, TryStreamExt};
use kernels::asof::{Labels, NOWHERE, Settled, Winners};

use super::exec::{AsOfExec, Side, Terms};
use super::keep::{Kept, VALUE_BYTES};
use super::keys::Keys;
use super::node::Kind;
use super::output::Output;
use super::spill::{self, Parts};
use super::stream::{Stream, Waiting};
use super::window::{Group, States};
use super::{filter, times, window};
use crate::features::Leaks;

/// The joined rows, once all is read.
pub(super) fn stream(
    exec: &AsOfExec,
    schema: SchemaRef,
    context: Arc<TaskContext>,
    metrics: &ExecutionPlanMetricsSet,
) -> EngineResult<SendableRecordBatchStream> {
    let (inputs, terms) =
        ((Arc::clone(&exec.left), Arc::clone(&exec.right)), Arc::clone(&exec.terms));
    let work = Work::new(inputs, terms, Arc::clone(&schema), context, metrics);
    let work = Arc::new(Work { filter: exec.filter.clone(), ..work });
    let baseline = work.counts.baseline.clone();
    let told = tell(exec.terms.counts_unknown, work.counts.clone(), Arc::clone(&work.context));
    let rows = futures::stream::once(work.run()).try_flatten();
    let rows = rows.inspect_ok(move |batch| baseline.record_output(batch.num_rows()));
    let rows = rows.chain(told.into_stream().filter_map(std::future::ready));
    Ok(Box::pin(RecordBatchStreamAdapter::new(schema, rows)))
}

/// Once all rows are out, says how many were not yet known; gives none itself.
async fn tell(
    counts_unknown: bool,
    counts: Counts,
    context: Arc<TaskContext>,
) -> Option<EngineResult<RecordBatch>> {
    let leaks = context.session_config().get_extension::<Leaks>();
    if let Some(leaks) = leaks.filter(|_| counts_unknown) {
        leaks.add(counts.matches.value() as u64, counts.unknown.value() as u64);
    }
    None
}

/// What EXPLAIN ANALYZE tells.
#[derive(Debug, Clone)]
pub(super) struct Counts {
    pub baseline: BaselineMetrics,
    labels: Count,
    pub rows: Count,
    /// Rows whose key a label has.
    pub candidates: Count,
    pub matches: Count,
    /// Rows in windows, once for each frame.
    pub windowed: Count,
    /// Matches that became known after the label's time.
    pub unknown: Count,
    /// Before rows come: labels by key and time. After the last: all streams in one, and windows.
    arranging: Time,
    settling: Time,
    pub spill: SpillMetrics,
}

impl Counts {
    fn new(metrics: &ExecutionPlanMetricsSet) -> Self {
        let count = |name: &'static str| MetricBuilder::new(metrics).counter(name, 0);
        let time = |name: &'static str| MetricBuilder::new(metrics).subset_time(name, 0);
        Self {
            baseline: BaselineMetrics::new(metrics, 0),
            labels: count("labels"),
            rows: count("rows"),
            candidates: count("candidates"),
            matches: count("matches"),
            windowed: count("windowed"),
            unknown: count("unknown"),
            arranging: time("arranging"),
            settling: time("settling"),
            spill: SpillMetrics::new(metrics, 0),
        }
    }
}

pub(super) struct Work {
    left: Arc<dyn ExecutionPlan>,
    pub right: Arc<dyn ExecutionPlan>,
    pub terms: Arc<Terms>,
    filter: Option<Arc<DynamicFilterPhysicalExpr>>,
    pub schema: SchemaRef,
    pub context: Arc<TaskContext>,
    pub counts: Counts,
}

/// The labels, arranged.
#[derive(Debug)]
pub(super) struct Arranged {
    pub batches: Vec<RecordBatch>,
    pub keys: Keys,
    pub labels: Labels,
    /// The features of windows by frame.
    pub groups: Vec<Group>,
}

/// Labels of one partition: in memory, or in parts on disk.
enum Collected {
    Held(Vec<RecordBatch>),
    Spilled(Parts),
}

impl Work {
    pub fn new(
        (left, right): (Arc<dyn ExecutionPlan>, Arc<dyn ExecutionPlan>),
        terms: Arc<Terms>,
        schema: SchemaRef,
        context: Arc<TaskContext>,
        metrics: &ExecutionPlanMetricsSet,
    ) -> Self {
        let counts = Counts::new(metrics);
        Self { left, right, terms, filter: None, schema, context, counts }
    }

    async fn run(self: Arc<Self>) -> EngineResult<SendableRecordBatchStream> {
        let mut memory = self.memory("AsOfLabels");
        let collected = self.collected(&memory).await?;
        let mut held = Vec::with_capacity(collected.len());
        let mut spilled = Vec::new();
        for (partition, labels) in collected.into_iter().enumerate() {
            match labels {
                Collected::Held(batches) => held.push((partition, batches)),
                Collected::Spilled(parts) => spilled.push((partition, parts)),
            }
        }
        if spilled.is_empty() {
            let batches: Vec<RecordBatch> =
                held.iter().flat_map(|(_, batches)| batches.clone()).collect();
            let partitions = self.right.output_partitioning().partition_count();
            match self.arranged(batches, memory.take(), partitions).await {
                Ok((arranged, memory)) => {
                    let streams = self.streams(&arranged)?;
                    let schema = Arc::clone(&self.schema);
                    return Ok(self.joined(arranged, streams, schema, memory).await?.stream());
                }
                Err(error) if !self.may_spill(&error) => return Err(error),
                Err(_) => {}
            }
        }
        for (partition, batches) in held {
            let mut parts = self.label_parts(partition);
            batches.iter().try_for_each(|batch| parts.write(batch))?;
            spilled.push((partition, parts));
        }
        // All of them are on disk now, those of partitions that had fitted too.
        memory.free();
        spilled.sort_by_key(|(partition, _)| *partition);
        let parts = spilled.into_iter().map(|(_, parts)| parts.finish());
        spill::joined(self, parts.collect::<EngineResult<Vec<_>>>()?).await
    }

    pub fn memory(&self, name: &'static str) -> MemoryReservation {
        MemoryConsumer::new(name).register(self.context.memory_pool())
    }

    /// Whether to go on part by part: without keys there are no parts.
    fn may_spill(&self, error: &DataFusionError) -> bool {
        !self.terms.keys.is_empty()
            && matches!(error.find_root(), DataFusionError::ResourcesExhausted(_))
    }

    fn label_parts(&self, partition: usize) -> Parts {
        let keys = self.terms.keys.iter().map(|(label, _)| Arc::clone(label)).collect();
        Parts::of_labels(&self.context, &self.counts, &self.left.schema(), keys, partition)
    }

    /// All of the left side, by partition.
    async fn collected(&self, memory: &MemoryReservation) -> EngineResult<Vec<Collected>> {
        let mut tasks = JoinSet::new();
        for partition in 0..self.left.output_partitioning().partition_count() {
            let mut rows = self.left.execute(partition, Arc::clone(&self.context))?;
            let memory = memory.new_empty();
            let (mut parts, mut spills) = (self.label_parts(partition), false);
            let may_spill = !self.terms.keys.is_empty();
            tasks.spawn(async move {
                let mut batches: Vec<RecordBatch> = Vec::new();
                while let Some(batch) = rows.next().await.transpose()? {
                    if !spills {
                        match memory.try_grow(get_record_batch_memory_size(&batch)) {
                            Ok(()) => {
                                batches.push(batch);
                                continue;
                            }
                            Err(error) if !may_spill => return Err(error),
                            Err(_) => spills = true,
                        }
                        batches.iter().try_for_each(|batch| parts.write(batch))?;
                        batches.clear();
                        memory.free();
                    }
                    parts.write(&batch)?;
                }
                let labels =
                    if spills { Collected::Spilled(parts) } else { Collected::Held(batches) };
                Ok::<_, DataFusionError>((partition, labels, memory))
            });
        }
        let mut all = Vec::new();
        while let Some(part) = tasks.join_next().await {
            let (partition, labels, taken) = part.map_err(failed)??;
            memory.grow(taken.size());
            taken.free();
            all.push((partition, labels));
        }
        all.sort_by_key(|(partition, _)| *partition);
        Ok(all.into_iter().map(|(_, labels)| labels).collect())
    }

    /// Arranges labels beside the tasks that answer, so that who waits can be told of a cancel; the
    /// rows will come in so many `streams`.
    pub async fn arranged(
        self: &Arc<Self>,
        batches: Vec<RecordBatch>,
        memory: MemoryReservation,
        streams: usize,
    ) -> EngineResult<(Arranged, MemoryReservation)> {
        let work = Arc::clone(self);
        let arrange = move || Ok((work.arrange(batches, &memory, streams)?, memory));
        SpawnedTask::spawn_blocking(arrange).await.map_err(failed)?
    }

    /// Makes sure that there is room for what the labels may take, too.
    fn arrange(
        &self,
        batches: Vec<RecordBatch>,
        memory: &MemoryReservation,
        streams: usize,
    ) -> EngineResult<Arranged> {
        let _timer = self.counts.arranging.timer();
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
        let instants = self.instants(&batches, &mut slots)?;
        let labels = Labels::new(slot_count, &slots, &instants, self.threads());
        let (rule, nothing) = (self.terms.rule, Labels::default());
        let winning = self.winning(&labels, &nothing);
        let states = Winners::bytes(rule, winning) * streams;
        // Once a stream, and values once more when they are merged.
        let of_right = self.right.schema();
        let features = &self.terms.features;
        let groups = window::groups(features);
        let (cuts, of_windows) =
            window::bytes(features, groups.len(), &labels, &of_right, VALUE_BYTES)?;
        memory.try_grow(cuts)?;
        let states = states.saturating_add(of_windows.saturating_mul(streams + 1));
        let taken = Kept::bytes(&self.rows()?, rule, winning, streams);
        memory.try_grow(states.saturating_add(taken))?;
        memory.shrink(states.saturating_add(taken));
        if let Some(filter) = &self.filter {
            let rows = self.right.as_ref();
            filter.update(filter::expression(&self.terms, &keys, &labels, rows)?)?;
        }
        self.counts.labels.add(rows);
        Ok(Arranged { batches, keys: numbers, labels, groups })
    }

    /// The times of labels; one that has none, or that may not match, loses its slot.
    fn instants(&self, batches: &[RecordBatch], slots: &mut [u32]) -> EngineResult<Vec<i64>> {
        let mut instants = Vec::with_capacity(slots.len());
        for batch in batches {
            let times = times::ticks(&evaluated(&self.terms.time.0, batch)?)?;
            let guard = self.terms.guard.as_ref().map(|guard| {
                // A bare NULL is of no type.
                Ok::<_, DataFusionError>(cast(&evaluated(guard, batch)?, &DataType::Boolean)?)
            });
            let guard = guard.transpose()?;
            let guard = guard.as_ref().map(|guard| guard.as_boolean());
            let passes = |row: usize| {
                times.is_valid(row) && guard.is_none_or(|g| g.is_valid(row) && g.value(row))
            };
            if times.null_count() > 0 || guard.is_some() {
                let of_batch = slots[instants.len()..].iter_mut().take(times.len());
                let none = of_batch.enumerate().filter(|(row, _)| !passes(*row));
                none.for_each(|(_, slot)| *slot = NOWHERE);
            }
            instants.extend_from_slice(times.values());
        }
        Ok(instants)
    }

    /// The labels for which rows are kept.
    fn winning<'a>(&self, labels: &'a Labels, nothing: &'a Labels) -> &'a Labels {
        if self.terms.takes_rows() { labels } else { nothing }
    }

    /// The right side's partitions; none if no label can match.
    pub fn streams(&self, arranged: &Arranged) -> EngineResult<Vec<SendableRecordBatchStream>> {
        let partitions = match arranged.labels.place_count() {
            0 => 0,
            _ => self.right.output_partitioning().partition_count(),
        };
        let of = |partition| self.right.execute(partition, Arc::clone(&self.context));
        (0..partitions).map(of).collect()
    }

    /// Columns of the right side that come out.
    fn rows(&self) -> EngineResult<Schema> {
        Ok(match self.terms.kind {
            Kind::Inner | Kind::Left => self.right.schema().project(&self.terms.shown)?,
            Kind::Semi | Kind::Anti => Schema::empty(),
        })
    }

    /// What the labels take of the rows of all `streams`, as batches of `schema`.
    pub async fn joined(
        self: &Arc<Self>,
        arranged: Arranged,
        streams: Vec<SendableRecordBatchStream>,
        schema: SchemaRef,
        memory: MemoryReservation,
    ) -> EngineResult<Output> {
        let arranged = Arc::new(arranged);
        let (settled, kept, mut states) = self.matched(&arranged, streams).await?;
        let threads = self.threads();
        let settling = self.counts.settling.clone();
        // Beside the tasks that answer, so that who waits can be told of a cancel.
        let answers = SpawnedTask::spawn_blocking(move || {
            let _timer = settling.timer();
            Ok::<_, DataFusionError>((states.answers(threads)?, states))
        });
        let (windows, states) = answers.await.map_err(failed)??;
        let (rows, kept) = kept.gathered(&self.rows()?);
        Ok(Output {
            terms: Arc::clone(&self.terms),
            arranged,
            settled,
            windows,
            rows,
            width: self.left.schema().fields().len(),
            schema,
            counts: self.counts.clone(),
            threads,
            _memory: [memory, kept, states.into_memory()],
        })
    }

    /// What every label takes, the rows taken, and what their windows have.
    async fn matched(
        self: &Arc<Self>,
        arranged: &Arc<Arranged>,
        streams: Vec<SendableRecordBatchStream>,
    ) -> EngineResult<(Settled, Kept, States)> {
        let mut tasks = JoinSet::new();
        let nothing = Labels::default();
        let bytes = Winners::bytes(self.terms.rule, self.winning(&arranged.labels, &nothing));
        let states = self.memory("AsOfStates");
        for rows in streams {
            states.try_grow(bytes)?;
            let (work, arranged) = (Arc::clone(self), Arc::clone(arranged));
            tasks.spawn(async move { work.empty(&arranged)?.drained(rows).await });
        }
        let mut whole = None;
        while let Some(part) = tasks.join_next().await {
            let part: Stream = part.map_err(failed)??;
            let _timer = self.counts.settling.timer();
            let Some(whole) = &mut whole else {
                whole = Some(part);
                continue;
            };
            whole.windows.merge(part.windows)?;
            whole.kept.merge(&mut whole.winners, (part.winners, part.kept));
            states.shrink(bytes);
        }
        let Stream { winners, kept, windows, .. } = match whole {
            Some(whole) => whole,
            None => self.empty(arranged)?,
        };
        let _timer = self.counts.settling.timer();
        let axis = times::axis(&self.terms.time_type);
        let bounds = |time: i64| match self.terms.tolerance {
            Some(tolerance) => tolerance.bounds(time, axis),
            None => (i64::MIN, i64::MAX),
        };
        Ok((winners.settle(&arranged.labels, axis, bounds), kept, windows))
    }

    fn threads(&self) -> usize {
        self.context.session_config().target_partitions()
    }

    /// A stream that has seen no rows.
    fn empty(&self, arranged: &Arc<Arranged>) -> EngineResult<Stream> {
        let nothing = Labels::default();
        let labels = self.winning(&arranged.labels, &nothing);
        let cells = Winners::cells(self.terms.rule, labels);
        let (rows, memory) = (self.right.schema(), self.memory("AsOfWindows"));
        Ok(Stream {
            terms: Arc::clone(&self.terms),
            arranged: Arc::clone(arranged),
            winners: Winners::new(self.terms.rule, labels),
            kept: Kept::new(&self.rows()?, cells, self.memory("AsOfRows"))?,
            windows: States::new(&self.terms, arranged, rows, memory)?,
            waiting: Waiting::new(self.memory("AsOfWaiting")),
            counts: self.counts.clone(),
        })
    }
}

pub(super) fn failed(error: tokio::task::JoinError) -> DataFusionError {
    DataFusionError::ExecutionJoin(Box::new(error))
}

pub(super) fn evaluated(side: &Side, batch: &RecordBatch) -> EngineResult<ArrayRef> {
    side.evaluate(batch)?.into_array(batch.num_rows())
}
