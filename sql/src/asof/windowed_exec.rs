//! `WindowedExec`: labels are held, rows stream by into the cells of their windows.
//!
//! ```text
//!   left  ═▶ Labels, Windows ─────────────────┐ shared
//!   right ─▶ partition 0 ─▶ states of cells ──┤
//!         ─▶ partition 1 ─▶ states of cells ──┴▶ merged ─▶ slid over ─▶ one row a label, in order
//! ```
//! Labels are not parted to disk: more than memory holds fail with 53200.

use std::fmt;
use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, RecordBatch, UInt32Array};
use datafusion::arrow::compute::take;
use datafusion::arrow::datatypes::{DataType, Field, Int64Type, Schema, SchemaRef};
use datafusion::common::runtime::{JoinSet, SpawnedTask};
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{Result as EngineResult, internal_err};
use datafusion::error::DataFusionError;
use datafusion::execution::memory_pool::MemoryReservation;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::{EquivalenceProperties, Partitioning, PhysicalExpr};
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType};
use datafusion::physical_plan::metrics::{ExecutionPlanMetricsSet, MetricsSet};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties};
use futures::{StreamExt, TryStreamExt};
use kernels::asof::{NOWHERE, Windows};

use super::exec::{Side, Terms};
use super::gather::{Cells, Gathered, Placed};
use super::join::{Arranged, Work, evaluated, failed};
use super::times;

/// A column that comes out.
#[derive(Debug, Clone)]
pub(super) struct Feature {
    pub name: String,
    pub function: Gathered,
    /// Type of the argument.
    pub of: DataType,
    pub argument: Option<Side>,
    pub filter: Option<Side>,
    pub width: i64,
    pub excludes_current: bool,
}

/// See the module.
#[derive(Debug)]
pub struct WindowedExec {
    left: Arc<dyn ExecutionPlan>,
    right: Arc<dyn ExecutionPlan>,
    terms: Arc<Terms>,
    features: Arc<[Feature]>,
    schema: SchemaRef,
    properties: Arc<PlanProperties>,
    metrics: ExecutionPlanMetricsSet,
}

impl WindowedExec {
    pub(super) fn new(
        left: Arc<dyn ExecutionPlan>,
        right: Arc<dyn ExecutionPlan>,
        terms: Arc<Terms>,
        features: Arc<[Feature]>,
    ) -> EngineResult<Self> {
        let labels = left.schema();
        let mut fields = labels.fields().to_vec();
        for feature in features.iter() {
            let data_type = feature.function.result(&feature.of)?;
            fields.push(Arc::new(Field::new(&feature.name, data_type, true)));
        }
        let schema = Arc::new(Schema::new_with_metadata(fields, labels.metadata().clone()));
        let properties = PlanProperties::new(
            EquivalenceProperties::new(Arc::clone(&schema)),
            Partitioning::UnknownPartitioning(1),
            EmissionType::Final,
            Boundedness::Bounded,
        );
        let (properties, metrics) = (Arc::new(properties), ExecutionPlanMetricsSet::new());
        Ok(Self { left, right, terms, features, schema, properties, metrics })
    }
}

impl DisplayAs for WindowedExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter) -> fmt::Result {
        let (label, row) = &self.terms.time;
        write!(f, "WindowedExec: time={label} over {row}, keys=[")?;
        for (index, (label, row)) in self.terms.keys.iter().enumerate() {
            let comma = if index > 0 { ", " } else { "" };
            write!(f, "{comma}{label} = {row}")?;
        }
        f.write_str("]")?;
        self.features.iter().try_for_each(|feature| {
            write!(f, ", {}={:?} over {}", feature.name, feature.function, feature.width)
        })
    }
}

impl ExecutionPlan for WindowedExec {
    fn name(&self) -> &str {
        "WindowedExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.left, &self.right]
    }

    fn benefits_from_input_partitioning(&self) -> Vec<bool> {
        vec![false, true]
    }

    fn apply_expressions(
        &self,
        f: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> EngineResult<TreeNodeRecursion>,
    ) -> EngineResult<TreeNodeRecursion> {
        let pairs = self.terms.keys.iter().chain([&self.terms.time]);
        let of_features = self.features.iter().flat_map(|f| f.argument.iter().chain(&f.filter));
        let sides = pairs.flat_map(|(label, row)| [label, row]).chain(&self.terms.sequence);
        for side in sides.chain(of_features) {
            if f(side)? == TreeNodeRecursion::Stop {
                return Ok(TreeNodeRecursion::Stop);
            }
        }
        Ok(TreeNodeRecursion::Continue)
    }

    fn with_new_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
    ) -> EngineResult<Arc<dyn ExecutionPlan>> {
        let Ok([left, right]) = <[Arc<dyn ExecutionPlan>; 2]>::try_from(children) else {
            return internal_err!("windows have two inputs");
        };
        let (terms, features) = (Arc::clone(&self.terms), Arc::clone(&self.features));
        Ok(Arc::new(Self::new(left, right, terms, features)?))
    }

    fn execute(
        &self,
        partition: usize,
        context: Arc<TaskContext>,
    ) -> EngineResult<SendableRecordBatchStream> {
        if partition != 0 {
            return internal_err!("windows have one partition");
        }
        let (left, right) = (Arc::clone(&self.left), Arc::clone(&self.right));
        let terms = Arc::clone(&self.terms);
        let schema = Arc::clone(&self.schema);
        let work = Work::new((left, right), terms, Arc::clone(&schema), context, &self.metrics);
        let baseline = work.counts.baseline.clone();
        let rows = futures::stream::once(joined(Arc::new(work), Arc::clone(&self.features)));
        let rows = rows.try_flatten();
        let rows = rows.inspect_ok(move |batch| baseline.record_output(batch.num_rows()));
        Ok(Box::pin(RecordBatchStreamAdapter::new(schema, rows)))
    }

    fn metrics(&self) -> Option<MetricsSet> {
        Some(self.metrics.clone_inner())
    }
}

/// Labels and the windows of each feature; those of one width are one.
struct Shared {
    work: Arc<Work>,
    arranged: Arranged,
    features: Arc<[Feature]>,
    windows: Vec<Arc<Windows>>,
}

async fn joined(
    work: Arc<Work>,
    features: Arc<[Feature]>,
) -> EngineResult<SendableRecordBatchStream> {
    let memory = work.memory("AsOfLabels");
    let batches = work.held(&memory).await?;
    let (arranged, memory) = work.arranged(batches, memory).await?;
    let mut windows: Vec<Arc<Windows>> = Vec::with_capacity(features.len());
    for (index, feature) in features.iter().enumerate() {
        let form = |feature: &Feature| (feature.width, feature.excludes_current);
        let same = features[..index].iter().position(|other| form(other) == form(feature));
        windows.push(match same.and_then(|same| windows.get(same)) {
            Some(same) => Arc::clone(same),
            None => {
                memory.try_grow(arranged.labels.place_count() * Windows::BYTES)?;
                let (width, excludes) = form(feature);
                Arc::new(Windows::new(&arranged.labels, width, excludes))
            }
        });
    }
    let streams = work.streams(&arranged)?;
    let shared = Arc::new(Shared { work, arranged, features, windows });
    let (cells, states) = gathered(&shared, streams).await?;
    let of = Arc::clone(&shared);
    // Beside the tasks that answer, so that who waits can be told of a cancel.
    let answers = SpawnedTask::spawn_blocking(move || {
        let answer = |(cells, w): (&Cells, &Arc<Windows>)| cells.answers(w, &of.arranged.labels);
        cells.iter().zip(&of.windows).map(answer).collect::<EngineResult<Vec<_>>>()
    });
    let answers = answers.await.map_err(failed)??;
    let schema = Arc::clone(&shared.work.schema);
    let start = (shared, answers, (memory, states), 0, 0);
    let rows = futures::stream::try_unfold(start, |(shared, answers, memory, index, label)| {
        let next = shared.arranged.batches.get(index).cloned();
        async move {
            let Some(batch) = next else { return Ok(None) };
            let rows = beside(&shared, &answers, &batch, label)?;
            let label = label + batch.num_rows();
            Ok::<_, DataFusionError>(Some((rows, (shared, answers, memory, index + 1, label))))
        }
    });
    Ok(Box::pin(RecordBatchStreamAdapter::new(schema, rows)))
}

/// A batch of labels, the first of which is number `first`, with their features.
fn beside(
    shared: &Shared,
    answers: &[ArrayRef],
    batch: &RecordBatch,
    first: usize,
) -> EngineResult<RecordBatch> {
    let labels = &shared.arranged.labels;
    // A label without a key or a time has an empty window.
    let place = |label| match labels.place(label) {
        NOWHERE => labels.place_count() as u32,
        place => place,
    };
    let places = (first..first + batch.num_rows()).map(place);
    let places = UInt32Array::from_iter_values(places);
    let mut columns = batch.columns().to_vec();
    for answer in answers {
        columns.push(take(answer, &places, None)?);
    }
    Ok(RecordBatch::try_new(Arc::clone(&shared.work.schema), columns)?)
}

/// What all rows have put into the cells, feature by feature.
async fn gathered(
    shared: &Arc<Shared>,
    streams: Vec<SendableRecordBatchStream>,
) -> EngineResult<(Vec<Cells>, MemoryReservation)> {
    let empty = || {
        let memory = shared.work.memory("AsOfStates");
        let mut all = Vec::with_capacity(shared.features.len());
        for (feature, windows) in shared.features.iter().zip(&shared.windows) {
            let cells = feature.function.cells(&feature.of, 0)?;
            memory.try_grow(cells.state_bytes() * windows.cells())?;
            all.push(feature.function.cells(&feature.of, windows.cells())?);
        }
        Ok::<_, DataFusionError>((all, memory))
    };
    let mut tasks = JoinSet::new();
    for rows in streams {
        let (cells, memory) = empty()?;
        tasks.spawn(drained(Arc::clone(shared), rows, cells, memory));
    }
    let mut whole: Option<(Vec<Cells>, MemoryReservation)> = None;
    while let Some(part) = tasks.join_next().await {
        let (cells, memory) = part.map_err(failed)??;
        match &mut whole {
            Some((whole, held)) => {
                // What is merged is copied.
                held.try_grow(memory.size())?;
                whole.iter_mut().zip(&cells).for_each(|(whole, cells)| whole.merge(cells));
            }
            None => whole = Some((cells, memory)),
        }
    }
    whole.map_or_else(empty, Ok)
}

async fn drained(
    shared: Arc<Shared>,
    mut rows: SendableRecordBatchStream,
    mut cells: Vec<Cells>,
    memory: MemoryReservation,
) -> EngineResult<(Vec<Cells>, MemoryReservation)> {
    while let Some(batch) = rows.next().await.transpose()? {
        let _timer = shared.work.counts.baseline.elapsed_compute().timer();
        let kept = offer(&shared, &mut cells, &batch)?;
        memory.try_grow(kept)?;
    }
    Ok((cells, memory))
}

/// Puts the rows of a batch into their cells; bytes that were kept.
fn offer(shared: &Shared, cells: &mut [Cells], batch: &RecordBatch) -> EngineResult<usize> {
    let terms = &shared.work.terms;
    let keys = terms.keys.iter().map(|(_, row)| evaluated(row, batch));
    let keys = keys.collect::<EngineResult<Vec<_>>>()?;
    let slots = shared.arranged.keys.find(&keys, batch.num_rows())?;
    let times = times::ticks(&evaluated(&terms.time.1, batch)?)?;
    let sequence = terms.sequence.as_ref().map(|side| evaluated(side, batch)).transpose()?;
    let sequence = sequence.as_ref().map(|array| array.as_primitive::<Int64Type>().values());
    shared.work.counts.rows.add(batch.num_rows());
    let mut placed: Vec<(Arc<Windows>, Vec<Placed>)> = Vec::new();
    let mut kept = 0;
    for ((feature, windows), cells) in shared.features.iter().zip(&shared.windows).zip(cells) {
        let known = placed.iter().position(|(other, _)| Arc::ptr_eq(other, windows));
        let known = known.unwrap_or_else(|| {
            let rows = slots.iter().enumerate().filter_map(|(row, slot)| {
                let time = (*slot != NOWHERE && times.is_valid(row)).then(|| times.value(row))?;
                let cell = windows.cell(*slot, time)?;
                Some((row, cell, time, sequence.map_or(0, |sequence| sequence[row])))
            });
            placed.push((Arc::clone(windows), rows.collect()));
            placed.len() - 1
        });
        let argument = feature.argument.as_ref().map(|side| evaluated(side, batch)).transpose()?;
        let filter = feature.filter.as_ref().map(|side| evaluated(side, batch)).transpose()?;
        let filter = filter.as_ref().map(|filter| filter.as_boolean());
        let rows = placed.get(known).map_or(&[][..], |(_, rows)| rows);
        kept += cells.offer(argument.as_ref(), filter, rows)?;
    }
    Ok(kept)
}
