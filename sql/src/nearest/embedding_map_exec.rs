//! The operator of `embedding_map`: reads keys and vectors, maps them on a thread of its own.
//!
//! Rows are put in the order of their keys, and of their vectors where keys are equal, so that the
//! map does not depend on how they came.

use std::cmp::Ordering;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic;

use catalog::apart;
use datafusion::arrow::array::{
    Array, ArrayRef, AsArray, Float64Array, RecordBatch, UInt32Array, new_empty_array,
};
use datafusion::arrow::compute::{cast, concat, take};
use datafusion::arrow::datatypes::{DataType, Float32Type, SchemaRef};
use datafusion::arrow::row::{RowConverter, SortField};
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::error::Result as EngineResult;
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryReservation};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::{EquivalenceProperties, Partitioning, PhysicalExpr};
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType};
use datafusion::physical_plan::metrics::{BaselineMetrics, ExecutionPlanMetricsSet, MetricsSet};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, Distribution, ExecutionPlan, PlanProperties, execute_stream,
};
use futures::{StreamExt, TryStreamExt, stream};
use kernels::maps::{self, Options, Work};
use kernels::simd::level::Level;
use kernels::vectors;

use super::embedding_map::refused;
use crate::error::Error;

/// See the module.
#[derive(Debug)]
pub(super) struct EmbeddingMapExec {
    /// Of two columns, the key and the vector.
    input: Arc<dyn ExecutionPlan>,
    options: Options,
    /// Of all that it may give, and of what it gives.
    whole: SchemaRef,
    schema: SchemaRef,
    projection: Option<Vec<usize>>,
    properties: Arc<PlanProperties>,
    metrics: ExecutionPlanMetricsSet,
}

impl EmbeddingMapExec {
    pub(super) fn new(
        input: Arc<dyn ExecutionPlan>,
        options: Options,
        whole: SchemaRef,
        projection: Option<Vec<usize>>,
    ) -> EngineResult<Self> {
        let schema = match &projection {
            Some(columns) => Arc::new(whole.project(columns)?),
            None => Arc::clone(&whole),
        };
        let properties = Arc::new(PlanProperties::new(
            EquivalenceProperties::new(Arc::clone(&schema)),
            Partitioning::UnknownPartitioning(1),
            EmissionType::Final,
            Boundedness::Bounded,
        ));
        let metrics = ExecutionPlanMetricsSet::new();
        Ok(Self { input, options, whole, schema, projection, properties, metrics })
    }
}

impl DisplayAs for EmbeddingMapExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter) -> fmt::Result {
        let Options { nearness, neighbours, min_dist, seed, .. } = &self.options;
        write!(
            f,
            "EmbeddingMapExec: {nearness:?}, neighbours={neighbours}, min_dist={min_dist}, \
             seed={seed}"
        )
    }
}

impl ExecutionPlan for EmbeddingMapExec {
    fn name(&self) -> &str {
        "EmbeddingMapExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.input]
    }

    fn required_input_distribution(&self) -> Vec<Distribution> {
        vec![Distribution::SinglePartition]
    }

    fn apply_expressions(
        &self,
        _: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> EngineResult<TreeNodeRecursion>,
    ) -> EngineResult<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn with_new_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
    ) -> EngineResult<Arc<dyn ExecutionPlan>> {
        let Ok([input]) = <[_; 1]>::try_from(children) else { return Ok(self) };
        let (whole, projection) = (Arc::clone(&self.whole), self.projection.clone());
        Ok(Arc::new(Self::new(input, self.options, whole, projection)?))
    }

    fn execute(
        &self,
        partition: usize,
        context: Arc<TaskContext>,
    ) -> EngineResult<SendableRecordBatchStream> {
        let input = execute_stream(Arc::clone(&self.input), Arc::clone(&context))?;
        let memory = MemoryConsumer::new("EmbeddingMap").register(context.memory_pool());
        let metrics = BaselineMetrics::new(&self.metrics, partition);
        let config = context.session_config();
        let (threads, batch_rows) = (config.target_partitions(), config.batch_size().max(1));
        let (whole, projection) = (Arc::clone(&self.whole), self.projection.clone());
        let rows = stream::once(mapped(input, self.options, threads, whole, memory));
        let rows = rows.map_ok(move |map| map.batches(batch_rows)).try_flatten();
        let rows = rows.map(move |batch: EngineResult<RecordBatch>| -> EngineResult<_> {
            let batch = match &projection {
                Some(columns) => batch?.project(columns)?,
                None => batch?,
            };
            metrics.record_output(batch.num_rows());
            Ok(batch)
        });
        Ok(Box::pin(RecordBatchStreamAdapter::new(Arc::clone(&self.schema), rows)))
    }

    fn metrics(&self) -> Option<MetricsSet> {
        Some(self.metrics.clone_inner())
    }
}

/// A finished map, and the memory that is its own until all of it is given.
struct Mapped {
    rows: RecordBatch,
    _memory: MemoryReservation,
}

impl Mapped {
    fn batches(self, rows: usize) -> impl futures::Stream<Item = EngineResult<RecordBatch>> {
        stream::unfold((self, 0), move |(map, start)| async move {
            let left = map.rows.num_rows().checked_sub(start).filter(|left| *left > 0)?;
            let batch = map.rows.slice(start, rows.min(left));
            Some((Ok(batch), (map, start + rows)))
        })
    }
}

async fn mapped(
    mut input: SendableRecordBatchStream,
    options: Options,
    threads: usize,
    schema: SchemaRef,
    memory: MemoryReservation,
) -> EngineResult<Mapped> {
    let mut read = Read::default();
    while let Some(batch) = input.next().await.transpose()? {
        read.add(&batch, &memory)?;
    }
    drop(input);
    let (keys, rows, dimension) = read.in_order(schema.field(0).data_type())?;
    let count = keys.len();
    memory.try_grow(maps::memory_bytes(count, dimension, &options, threads))?;
    let places = apart(move |stopped| {
        let go_on = |_, _, _| !stopped.load(atomic::Ordering::Relaxed);
        let work = Work { level: Level::best(), threads, go_on: &go_on };
        maps::map(&rows, dimension, &options, &work)
    });
    let places = places.await?.map_err(|error| refused(&error))?;
    let axis = |axis: usize| -> ArrayRef {
        let along = places.iter().map(|place| f64::from(place[axis]));
        Arc::new(Float64Array::from_iter_values(along))
    };
    let rows = RecordBatch::try_new(schema, vec![keys, axis(0), axis(1)])?;
    memory.try_resize(rows.get_array_memory_size())?;
    Ok(Mapped { rows, _memory: memory })
}

/// What was read, batch by batch: rows that have a vector.
#[derive(Default)]
struct Read {
    keys: Vec<ArrayRef>,
    vectors: Vec<Vec<f32>>,
    dimension: Option<usize>,
}

impl Read {
    fn add(&mut self, batch: &RecordBatch, memory: &MemoryReservation) -> EngineResult<()> {
        let (keys, column) = (batch.column(0), batch.column(1));
        let there = (0..column.len() as u32).filter(|row| column.is_valid(*row as usize));
        let there = UInt32Array::from_iter_values(there);
        if there.is_empty() {
            return Ok(());
        }
        let values = elements(column)?;
        let values = values.as_primitive::<Float32Type>().values();
        // Keys as they are, put together, ordered and as bytes to compare; vectors as they come
        // and in order; the order.
        memory.try_grow(keys.get_array_memory_size() * 4 + values.len() * 8 + there.len() * 8)?;
        let mut vectors = Vec::with_capacity(values.len());
        for row in there.values().iter() {
            let vector = &values[range(column, *row as usize)];
            let dimension = *self.dimension.get_or_insert(vector.len());
            if vector.len() != dimension {
                let wrong = vectors::Error::Dimension { expected: dimension, found: vector.len() };
                return Err(Error::new(wrong.sqlstate(), wrong.to_string()).into());
            }
            vectors.extend_from_slice(vector);
        }
        self.keys.push(take(keys, &there, None)?);
        self.vectors.push(vectors);
        Ok(())
    }

    /// The keys, the vectors one after the other, and their dimension.
    fn in_order(self, of_key: &DataType) -> EngineResult<(ArrayRef, Vec<f32>, usize)> {
        let Some(dimension) = self.dimension else {
            return Ok((new_empty_array(of_key), Vec::new(), 1));
        };
        let keys: Vec<&dyn Array> = self.keys.iter().map(AsRef::as_ref).collect();
        let keys = concat(&keys)?;
        let converter = RowConverter::new(vec![SortField::new(keys.data_type().clone())])?;
        let compared = converter.convert_columns(&[Arc::clone(&keys)])?;
        let vectors: Vec<&[f32]> =
            self.vectors.iter().flat_map(|part| part.chunks_exact(dimension)).collect();
        let mut order: Vec<u32> = (0..keys.len() as u32).collect();
        order.sort_unstable_by(|a, b| {
            let (a, b) = (*a as usize, *b as usize);
            let by_key = compared.row(a).cmp(&compared.row(b));
            by_key.then_with(|| by_elements(vectors[a], vectors[b]))
        });
        let mut ordered = Vec::with_capacity(vectors.len() * dimension);
        for row in &order {
            ordered.extend_from_slice(vectors[*row as usize]);
        }
        let keys = take(&keys, &UInt32Array::from(order), None)?;
        Ok((keys, ordered, dimension))
    }
}

fn by_elements(a: &[f32], b: &[f32]) -> Ordering {
    let pairs = a.iter().zip(b).map(|(a, b)| a.total_cmp(b));
    pairs.fold(Ordering::Equal, Ordering::then)
}

/// The elements of all vectors of a column as floats, those of NULLs among them.
fn elements(column: &ArrayRef) -> EngineResult<ArrayRef> {
    let values = match (column.as_fixed_size_list_opt(), column.as_list_opt::<i32>()) {
        (Some(list), _) => list.values(),
        (None, Some(list)) => list.values(),
        (None, None) => {
            return datafusion::common::internal_err!("the column of a map is no vector");
        }
    };
    Ok(cast(values, &DataType::Float32)?)
}

/// Where the elements of a row are.
fn range(column: &ArrayRef, row: usize) -> std::ops::Range<usize> {
    if let Some(list) = column.as_fixed_size_list_opt() {
        let start = list.value_offset(row).unsigned_abs() as usize;
        return start..start + list.value_length().unsigned_abs() as usize;
    }
    let offsets = column.as_list::<i32>().value_offsets();
    offsets[row] as usize..offsets[row + 1] as usize
}
