//! The operator of `NearestToEach`: the left side is held, the right side streams by in chunks.
//!
//! Where a GPU searches an index (`Queries::OfEach`), the right side has only those rows that are
//! near to some left row, and those that no segment covers; the rest is the same.
//!
//! Of the right side those rows are kept that are among the nearest of some left row so far. Rows
//! without a vector, and those that a left row without one is to have, are kept too, as many as may
//! be asked for: their distances are NULL, and come last.

use std::fmt;
use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, RecordBatch, UInt32Array, UInt64Array};
use datafusion::arrow::compute::{cast, concat_batches, take_record_batch};
use datafusion::arrow::datatypes::{DataType, Float32Type, SchemaRef};
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::error::{DataFusionError, Result as EngineResult};
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryReservation};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::{EquivalenceProperties, Partitioning, PhysicalExpr};
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType};
use datafusion::physical_plan::metrics::{BaselineMetrics, ExecutionPlanMetricsSet, MetricsSet};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, Distribution, ExecutionPlan, PlanProperties,
};
use futures::{StreamExt, TryStreamExt, stream};
use kernels::simd::level::Level;
use kernels::vectors::{self, Bitmap, Metric, Neighbour, Rows, Scan, Visible, nearest_to_each};

use super::query::OfEach;

/// Rows of the right side that are compared at once, and left rows of a step: between steps others
/// get their turn.
const CHUNK_ROWS: usize = 16 * 1024;
const STEP: usize = 256;

/// What is compared.
#[derive(Debug, Clone)]
pub(super) struct Terms {
    pub query: Arc<dyn PhysicalExpr>,
    pub column: Arc<dyn PhysicalExpr>,
    pub metric: Metric,
    /// Where the search that is the right side takes its queries from.
    pub queries: Option<Arc<OfEach>>,
    /// How many rows to give of each.
    pub wanted: usize,
}

/// See the module.
#[derive(Debug)]
pub struct NearestToEachExec {
    left: Arc<dyn ExecutionPlan>,
    right: Arc<dyn ExecutionPlan>,
    terms: Terms,
    schema: SchemaRef,
    properties: Arc<PlanProperties>,
    metrics: ExecutionPlanMetricsSet,
}

impl NearestToEachExec {
    pub(super) fn new(
        left: Arc<dyn ExecutionPlan>,
        right: Arc<dyn ExecutionPlan>,
        terms: Terms,
        schema: SchemaRef,
    ) -> Self {
        let properties = Arc::new(PlanProperties::new(
            EquivalenceProperties::new(Arc::clone(&schema)),
            Partitioning::UnknownPartitioning(1),
            EmissionType::Final,
            Boundedness::Bounded,
        ));
        let metrics = ExecutionPlanMetricsSet::new();
        Self { left, right, terms, schema, properties, metrics }
    }
}

impl DisplayAs for NearestToEachExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter) -> fmt::Result {
        let Terms { query, column, metric, wanted, .. } = &self.terms;
        write!(f, "NearestToEachExec: {column} near {query}, {metric:?}, rows_of_each={wanted}")
    }
}

impl ExecutionPlan for NearestToEachExec {
    fn name(&self) -> &str {
        "NearestToEachExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.left, &self.right]
    }

    fn required_input_distribution(&self) -> Vec<Distribution> {
        vec![Distribution::SinglePartition, Distribution::SinglePartition]
    }

    fn apply_expressions(
        &self,
        visit: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> EngineResult<TreeNodeRecursion>,
    ) -> EngineResult<TreeNodeRecursion> {
        visit(&self.terms.query)?;
        visit(&self.terms.column)
    }

    fn with_new_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
    ) -> EngineResult<Arc<dyn ExecutionPlan>> {
        let Ok([left, right]) = <[_; 2]>::try_from(children) else { return Ok(self) };
        let schema = Arc::clone(&self.schema);
        Ok(Arc::new(Self::new(left, right, self.terms.clone(), schema)))
    }

    fn execute(
        &self,
        partition: usize,
        context: Arc<TaskContext>,
    ) -> EngineResult<SendableRecordBatchStream> {
        let left = self.left.execute(0, Arc::clone(&context))?;
        let right = (Arc::clone(&self.right), Arc::clone(&context));
        let memory = MemoryConsumer::new("NearestToEach").register(context.memory_pool());
        let metrics = BaselineMetrics::new(&self.metrics, partition);
        let rows = joined(left, right, self.terms.clone(), Arc::clone(&self.schema), memory);
        let batch_rows = context.session_config().batch_size();
        let rows = stream::once(rows).map_ok(move |joined| joined.batches(batch_rows));
        let rows = rows.try_flatten().map_ok(move |batch| {
            metrics.record_output(batch.num_rows());
            batch
        });
        Ok(Box::pin(RecordBatchStreamAdapter::new(Arc::clone(&self.schema), rows)))
    }

    fn metrics(&self) -> Option<MetricsSet> {
        Some(self.metrics.clone_inner())
    }
}

/// Both sides and which rows of them belong together.
struct Joined {
    left: RecordBatch,
    right: RecordBatch,
    pairs: Vec<(u32, u64)>,
    schema: SchemaRef,
    _memory: MemoryReservation,
}

impl Joined {
    fn batches(self, rows: usize) -> impl futures::Stream<Item = EngineResult<RecordBatch>> {
        let starts = (0..self.pairs.len()).step_by(rows.max(1));
        let batch = move |start: usize| {
            let pairs = &self.pairs[start..self.pairs.len().min(start + rows)];
            let left = UInt32Array::from_iter_values(pairs.iter().map(|(left, _)| *left));
            let right = UInt64Array::from_iter_values(pairs.iter().map(|(_, right)| *right));
            let left = take_record_batch(&self.left, &left)?;
            let right = take_record_batch(&self.right, &right)?;
            let columns: Vec<ArrayRef> =
                left.columns().iter().chain(right.columns()).cloned().collect();
            Ok(RecordBatch::try_new(Arc::clone(&self.schema), columns)?)
        };
        stream::iter(starts.map(batch).collect::<Vec<_>>())
    }
}

async fn joined(
    left: SendableRecordBatchStream,
    (right, context): (Arc<dyn ExecutionPlan>, Arc<TaskContext>),
    terms: Terms,
    schema: SchemaRef,
    memory: MemoryReservation,
) -> EngineResult<Joined> {
    let of_left = left.schema();
    let left: Vec<RecordBatch> = left.try_collect().await?;
    let left = concat_batches(&of_left, &left)?;
    let (queries, asked) = matrix(&terms.query, &left)?;
    if let Some(of_each) = &terms.queries {
        of_each.give((asked.len() == left.num_rows()).then(|| queries.clone()));
    }
    // Not before it is known what a search on this side is to look for.
    let mut right = right.execute(0, context)?;
    let of_right = right.schema();
    let mut kept = Kept::new(asked.len(), RecordBatch::new_empty(Arc::clone(&of_right)));
    let mut chunk = Vec::new();
    let mut first = 0;
    loop {
        let batch = right.next().await.transpose()?;
        let is_last = batch.is_none();
        chunk.extend(batch);
        let rows = chunk.iter().map(RecordBatch::num_rows).sum::<usize>();
        if rows > 0 && (is_last || rows >= CHUNK_ROWS) {
            let whole = concat_batches(&of_right, &chunk)?;
            chunk.clear();
            let held = [&left, &whole, &kept.rows].map(RecordBatch::get_array_memory_size);
            let pairs = asked.len() * terms.wanted * size_of::<Neighbour>();
            memory.try_resize(held.iter().sum::<usize>() + queries.len() * 4 + pairs)?;
            kept.add(&terms, &queries, &whole, first).await?;
            first += rows as u64;
        }
        if is_last {
            break;
        }
    }
    let pairs = kept.pairs(&terms, left.num_rows(), &asked);
    Ok(Joined { left, right: kept.rows, pairs, schema, _memory: memory })
}

/// Rows of the right side that may come out.
struct Kept {
    /// The nearest of each left row that has a vector; keys are numbers of right rows.
    nearest: Vec<Vec<Neighbour>>,
    /// Rows without a vector, and the first of all.
    nulls: Vec<u64>,
    first: Vec<u64>,
    /// The numbers of `rows`, ascending.
    numbers: Vec<u64>,
    rows: RecordBatch,
}

impl Kept {
    fn new(queries: usize, rows: RecordBatch) -> Self {
        let (nulls, first, numbers) = (Vec::new(), Vec::new(), Vec::new());
        Self { nearest: vec![Vec::new(); queries], nulls, first, numbers, rows }
    }

    /// Compares a chunk, whose first row has a number, with all left rows.
    async fn add(
        &mut self,
        terms: &Terms,
        queries: &[f32],
        chunk: &RecordBatch,
        first: u64,
    ) -> EngineResult<()> {
        let (plain, there) = matrix(&terms.column, chunk)?;
        let numbers = first..first + chunk.num_rows() as u64;
        let lacking = terms.wanted.saturating_sub(self.first.len());
        self.first.extend(numbers.clone().take(lacking));
        let visible: Bitmap = there.iter().copied().collect();
        let lacking = terms.wanted.saturating_sub(self.nulls.len());
        let none = (0..chunk.num_rows() as u32).filter(|row| !visible.contains(*row));
        self.nulls.extend(none.take(lacking).map(|row| first + u64::from(row)));
        let dimension = queries.len() / self.nearest.len().max(1);
        if !there.is_empty() && dimension > 0 {
            let scan = Scan {
                level: Level::best(),
                metric: terms.metric,
                rows: Rows::single(&plain, dimension).map_err(wrong)?,
                visible: Visible::default(),
                first_key: 0,
            };
            let steps = queries.chunks(STEP * dimension).zip(self.nearest.chunks_mut(STEP));
            for (queries, nearest) in steps {
                let found = nearest_to_each(&scan, queries, terms.wanted).map_err(wrong)?;
                for (nearest, found) in nearest.iter_mut().zip(found) {
                    let number = |key: u64| first + u64::from(there[key as usize]);
                    let found = found.iter().map(|n| Neighbour { key: number(n.key), ..*n });
                    let parts = [std::mem::take(nearest), found.collect()];
                    *nearest = vectors::merge(terms.wanted, parts);
                }
                tokio::task::yield_now().await;
            }
        }
        self.keep(chunk, numbers)
    }

    /// Lets go of the rows that nobody asks for any more.
    fn keep(&mut self, chunk: &RecordBatch, numbers: std::ops::Range<u64>) -> EngineResult<()> {
        let nearest = self.nearest.iter().flatten().map(|n| n.key);
        let mut asked: Vec<u64> =
            nearest.chain(self.nulls.iter().copied()).chain(self.first.iter().copied()).collect();
        asked.sort_unstable();
        asked.dedup();
        let split = asked.partition_point(|number| *number < numbers.start);
        let place = |number: &u64| self.numbers.binary_search(number).map(|place| place as u64);
        let old =
            UInt64Array::from_iter_values(asked[..split].iter().filter_map(|n| place(n).ok()));
        let new = asked[split..].iter().map(|number| number - numbers.start);
        let new = UInt64Array::from_iter_values(new);
        let parts = [take_record_batch(&self.rows, &old)?, take_record_batch(chunk, &new)?];
        self.rows = concat_batches(&self.rows.schema(), &parts)?;
        self.numbers = asked;
        Ok(())
    }

    /// Left rows with the places of the right rows that each is to have.
    fn pairs(&self, terms: &Terms, left: usize, asked: &[u32]) -> Vec<(u32, u64)> {
        let mut pairs = Vec::new();
        let mut asked = asked.iter().zip(&self.nearest).peekable();
        for row in 0..left as u32 {
            let nearest = asked.next_if(|(of, _)| **of == row).map(|(_, nearest)| nearest);
            let numbers: Vec<u64> = match nearest {
                None => self.first.clone(),
                Some(nearest) => {
                    let lacking = terms.wanted.saturating_sub(nearest.len());
                    let nulls = self.nulls.iter().copied().take(lacking);
                    nearest.iter().map(|n| n.key).chain(nulls).collect()
                }
            };
            let places = numbers.iter().filter_map(|n| self.numbers.binary_search(n).ok());
            pairs.extend(places.map(|place| (row, place as u64)));
        }
        pairs
    }
}

/// The vectors of a batch one after the other, and the rows that they are of.
fn matrix(
    column: &Arc<dyn PhysicalExpr>,
    batch: &RecordBatch,
) -> EngineResult<(Vec<f32>, Vec<u32>)> {
    let array = column.evaluate(batch)?.into_array(batch.num_rows())?;
    let Some(list) = array.as_fixed_size_list_opt() else {
        return datafusion::common::internal_err!("what is to be near is no vector");
    };
    let dimension = list.value_length().unsigned_abs() as usize;
    let values = cast(list.values(), &DataType::Float32)?;
    let values = values.as_primitive::<Float32Type>().values();
    let (mut plain, mut rows) = (Vec::new(), Vec::new());
    for row in (0..list.len()).filter(|row| list.is_valid(*row)) {
        let start = list.value_offset(row).unsigned_abs() as usize;
        plain.extend_from_slice(&values[start..start + dimension]);
        rows.push(row as u32);
    }
    Ok((plain, rows))
}

fn wrong(error: vectors::Error) -> DataFusionError {
    let error = crate::Error::new(error.sqlstate(), error.to_string());
    DataFusionError::External(Box::new(error))
}
