//! The operator: asks the filters, searches the segments, reads the rows that were found; then
//! gives the rows that no segment covers.
//!
//! Of every segment some more than k are taken, by distances that are a little wrong; what stands
//! above orders them by the right ones. Vectors come from the segment, other columns from the
//! table's files. The whole scan takes over, before any row was given, when the query is no vector
//! of the index, a segment cannot be read, too few rows were found for NULLs to stay out, or more
//! rows than were taken may be at the k-th distance and something decides between them.

use std::fmt;
use std::sync::Arc;

use catalog::LakeTable;
use catalog::indexes::{Segment, SegmentFile, TableIndex, candidates};
use datafusion::arrow::array::{Array, FixedSizeListArray, Float32Array, RecordBatch};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, SchemaRef};
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::error::{DataFusionError, Result as EngineResult};
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryReservation};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::{EquivalenceProperties, Partitioning, PhysicalExpr};
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType};
use datafusion::physical_plan::metrics::{
    BaselineMetrics, Count, ExecutionPlanMetricsSet, MetricBuilder, MetricsSet,
};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties, execute_stream,
};
use futures::{StreamExt, TryStreamExt, stream};
use kernels::ann::{Effort, Query};
use kernels::cuda::Unavailable;
use kernels::simd::level::Level;
use kernels::vectors::{Bitmap, Neighbour, Visible, distance};

use super::gpu::{Asked, Gpu};
use super::matching::Matching;
use super::query::{OfEach, Queries};
use super::searches::Searches;
use crate::Notice;

/// An index that is asked for more than this part of its rows reads as much as a scan.
pub(super) const MOST_SHARE: u64 = 8;

/// See the module.
#[derive(Debug)]
pub struct NearestExec {
    search: Arc<Search>,
    /// The scan of everything.
    whole: Arc<dyn ExecutionPlan>,
    /// The scan of what no segment covers.
    pending: Arc<dyn ExecutionPlan>,
    /// None without filters.
    matching: Option<Matching>,
    properties: Arc<PlanProperties>,
    metrics: ExecutionPlanMetricsSet,
}

/// What is searched.
#[derive(Debug)]
pub(super) struct Search {
    pub table: LakeTable,
    pub index: Arc<TableIndex>,
    /// The columns that come out, of the table.
    pub projection: Vec<usize>,
    pub queries: Queries,
    pub k: usize,
    /// Whether rows without a vector count, as the farthest.
    pub nulls: bool,
    /// Whether all rows at the k-th one's distance are wanted.
    pub ties: bool,
    pub recall: f64,
    /// The name of the GPU that searches in the place of the index: exactly.
    pub device: Option<String>,
}

/// What a search took.
#[derive(Debug, Clone)]
struct Counts {
    lists: Count,
    scanned: Count,
    refined: Count,
    matching: Count,
    /// Segments that the GPU has answered for.
    on_device: Count,
}

impl NearestExec {
    pub(super) fn new(
        search: Search,
        whole: Arc<dyn ExecutionPlan>,
        pending: Arc<dyn ExecutionPlan>,
        matching: Option<Matching>,
    ) -> Self {
        let properties = Arc::new(PlanProperties::new(
            EquivalenceProperties::new(whole.schema()),
            Partitioning::UnknownPartitioning(1),
            EmissionType::Incremental,
            Boundedness::Bounded,
        ));
        let metrics = ExecutionPlanMetricsSet::new();
        Self { search: Arc::new(search), whole, pending, matching, properties, metrics }
    }

    /// Where the join above gives what is searched for.
    pub(super) fn of_each(&self) -> Option<Arc<OfEach>> {
        match &self.search.queries {
            Queries::OfEach(queries) => Some(Arc::clone(queries)),
            Queries::One(_) => None,
        }
    }
}

impl DisplayAs for NearestExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter) -> fmt::Result {
        let Search { index, k, recall, device, .. } = self.search.as_ref();
        let segments = index.segments.segments.len();
        write!(f, "NearestExec: index={}, {}", index.name, index.operators())?;
        write!(f, ", k={k}, recall={recall:.3}, segments={segments}")?;
        write!(f, ", indexed_rows={}", index.segments.indexed())?;
        if let Some(device) = device {
            write!(f, ", exact on {device}")?;
        }
        f.write_str(match self.matching {
            None => "",
            Some(Matching::Scanned(_)) => ", filtered",
            Some(Matching::Included(..)) => ", filtered by included columns",
        })
    }
}

impl ExecutionPlan for NearestExec {
    fn name(&self) -> &str {
        "NearestExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        let scan = self.matching.as_ref().and_then(Matching::scan);
        [&self.pending].into_iter().chain(scan).collect()
    }

    fn benefits_from_input_partitioning(&self) -> Vec<bool> {
        vec![false; self.children().len()]
    }

    fn apply_expressions(
        &self,
        visit: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> EngineResult<TreeNodeRecursion>,
    ) -> EngineResult<TreeNodeRecursion> {
        let visited = match &self.search.queries {
            Queries::One(query) => visit(query)?,
            Queries::OfEach(_) => TreeNodeRecursion::Continue,
        };
        match (visited, &self.matching) {
            (TreeNodeRecursion::Continue, Some(Matching::Included(predicate, _))) => {
                visit(predicate)
            }
            (visited, _) => Ok(visited),
        }
    }

    fn with_new_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
    ) -> EngineResult<Arc<dyn ExecutionPlan>> {
        let mut children = children.into_iter();
        let pending = children.next().unwrap_or_else(|| Arc::clone(&self.pending));
        let scan = children.next().map(Matching::Scanned);
        Ok(Arc::new(Self {
            search: Arc::clone(&self.search),
            whole: Arc::clone(&self.whole),
            pending,
            matching: scan.or_else(|| self.matching.clone()),
            properties: Arc::clone(&self.properties),
            metrics: ExecutionPlanMetricsSet::new(),
        }))
    }

    fn execute(
        &self,
        partition: usize,
        context: Arc<TaskContext>,
    ) -> EngineResult<SendableRecordBatchStream> {
        let count = |name: &'static str| MetricBuilder::new(&self.metrics).counter(name, partition);
        let run = Run {
            search: Arc::clone(&self.search),
            whole: Arc::clone(&self.whole),
            pending: Arc::clone(&self.pending),
            matching: self.matching.clone(),
            memory: MemoryConsumer::new("Nearest").register(context.memory_pool()),
            counts: Counts {
                lists: count("lists"),
                scanned: count("scanned"),
                refined: count("refined"),
                matching: count("matching"),
                on_device: count("on_device"),
            },
            schema: self.whole.schema(),
            context,
        };
        let metrics = BaselineMetrics::new(&self.metrics, partition);
        let rows = stream::once(run.rows()).try_flatten().map_ok(move |batch| {
            metrics.record_output(batch.num_rows());
            batch
        });
        Ok(Box::pin(RecordBatchStreamAdapter::new(self.whole.schema(), rows)))
    }

    fn metrics(&self) -> Option<MetricsSet> {
        Some(self.metrics.clone_inner())
    }
}

/// One execution.
struct Run {
    search: Arc<Search>,
    whole: Arc<dyn ExecutionPlan>,
    pending: Arc<dyn ExecutionPlan>,
    matching: Option<Matching>,
    memory: MemoryReservation,
    counts: Counts,
    schema: SchemaRef,
    context: Arc<TaskContext>,
}

/// A row that was found, of a segment.
type Found = (usize, Neighbour);

/// Rows of a segment that were found: numbers, ascending.
type Picked = (usize, Vec<u32>);

impl Run {
    async fn rows(self) -> EngineResult<SendableRecordBatchStream> {
        let whole = || execute_stream(Arc::clone(&self.whole), Arc::clone(&self.context));
        let Some(queries) = self.search.queries.vectors(&self.search.index)? else {
            let error = declined("there is a query without a vector");
            return self.given_up(0, error).and_then(|()| whole());
        };
        let mut batches = Vec::new();
        match self.picked(&queries).await {
            Ok(Some(picked)) => {
                let asks_ties = self.search.ties && self.search.device.is_none();
                if asks_ties && self.may_go_on(&queries, &picked).await? {
                    return whole();
                }
                for (segment, numbers) in picked {
                    match self.read(segment, &numbers).await {
                        Ok(read) => batches.extend(read),
                        Err(error) => return self.given_up(segment, error).and_then(|()| whole()),
                    }
                }
            }
            Ok(None) => return whole(),
            Err((segment, error)) => return self.given_up(segment, error).and_then(|()| whole()),
        }
        self.search.index.lake.trim_segments();
        let pending = execute_stream(Arc::clone(&self.pending), Arc::clone(&self.context))?;
        let found = stream::iter(batches.into_iter().map(Ok));
        Ok(Box::pin(RecordBatchStreamAdapter::new(self.schema, found.chain(pending))))
    }

    /// A segment that cannot be read, or a GPU that does not answer, is told of, and the table is
    /// read whole; else the error.
    fn given_up(&self, segment: usize, error: Failed) -> EngineResult<()> {
        let searches = self.context.session_config().get_extension::<Searches>();
        let error = match error {
            Failed::Catalog(error) => error,
            Failed::Engine(error) => return Err(error),
            Failed::Device(reason) => {
                if let Some(searches) = searches
                    && self.search.device.is_some()
                {
                    searches.decline(&reason);
                }
                return Ok(());
            }
        };
        let index = &self.search.index;
        if !index.lake.note_damage(&index.segments.segments[segment], &error) {
            return Err(DataFusionError::External(Box::new(error)));
        }
        tracing::warn!(index = index.name, %error, "a segment cannot be read");
        if let Some(searches) = searches {
            let message = format!("index \"{}\" cannot be read: {error}", index.name);
            let hint = "The table was scanned; upkeep or REINDEX builds the index anew.";
            let warning = Notice::warning("XX002", message);
            searches.warn(Notice { hint: Some(hint.to_owned()), ..warning });
        }
        Ok(())
    }

    /// The rows to read of each segment; None if the whole table must be.
    async fn picked(&self, queries: &[f32]) -> Result<Option<Vec<Picked>>, (usize, Failed)> {
        let index = &self.search.index;
        let files = &index.segments.segments;
        let visible = self.visible().await?;
        let (k, wanted) = (self.search.k, candidates(self.search.k));
        let mut found: Vec<Vec<Found>> = vec![Vec::new(); queries.len() / index.dimension];
        let bytes = found.len().saturating_mul(wanted * files.len() * size_of::<Found>());
        self.memory.try_grow(bytes).map_err(|error| (0, Failed::Engine(error)))?;
        for (number, file) in files.iter().enumerate() {
            let hidden = self.search.table.hidden(file);
            let filter = visible.as_ref().map(|visible| &visible[number]);
            let visible = Visible { filter, deleted: hidden.as_ref() };
            let near = self.near(file, queries, visible).await.map_err(|e| (number, e))?;
            for (found, near) in found.iter_mut().zip(near) {
                found.extend(near.into_iter().map(|neighbour| (number, neighbour)));
            }
        }
        let has_nulls = self.search.nulls && files.iter().any(|file| file.nulls > 0);
        let mut picked: Vec<Picked> = (0..files.len()).map(|number| (number, Vec::new())).collect();
        for mut found in found {
            if found.len() < k && has_nulls {
                return Ok(None);
            }
            let of = |(segment, near): &Found| Neighbour { key: *segment as u64, ..*near };
            found.sort_by(|a, b| of(a).order(&of(b)).then(a.1.key.cmp(&b.1.key)));
            found.truncate(wanted);
            if self.search.device.is_some() && !is_decided(&found, k, wanted) {
                return Err((0, declined("too many rows are at the distance of the last")));
            }
            for (segment, neighbour) in found {
                picked[segment].1.extend(u32::try_from(neighbour.key));
            }
        }
        for (_, numbers) in &mut picked {
            numbers.sort_unstable();
            numbers.dedup();
        }
        picked.retain(|(_, numbers)| !numbers.is_empty());
        if self.search.device.is_some() {
            let rows = picked.iter().map(|(_, numbers)| numbers.len() as u64).sum::<u64>();
            if rows.saturating_mul(MOST_SHARE) > index.segments.indexed() && rows > wanted as u64 {
                return Err((0, declined("a scan reads the rows that are near to any as quickly")));
            }
            self.counts.on_device.add(files.len());
        }
        Ok(Some(picked))
    }

    /// Whether there may be more rows at the distance of the k-th: as many were found as were
    /// asked for, and all from the k-th on are at one distance.
    async fn may_go_on(&self, vector: &[f32], picked: &[Picked]) -> EngineResult<bool> {
        let (index, k) = (&self.search.index, self.search.k);
        let mut distances = Vec::new();
        for (number, numbers) in picked {
            let file = &index.segments.segments[*number];
            let vectors =
                async { index.lake.segment(file).await?.vectors(&index.lake, numbers).await };
            // Whoever reads the rows tells of a segment that cannot be read.
            let Ok(vectors) = vectors.await else { return Ok(false) };
            for row in vectors.chunks_exact(index.dimension) {
                let near = distance(Level::best(), index.of.measure.metric(), vector, row);
                distances.push(near.map_err(|e| DataFusionError::External(Box::new(e)))?);
            }
        }
        distances.sort_by(f32::total_cmp);
        let full = distances.len() >= candidates(k);
        Ok(full && k > 0 && distances.get(k - 1) == distances.last())
    }

    /// The nearest rows of a segment to each query.
    async fn near(
        &self,
        file: &SegmentFile,
        queries: &[f32],
        visible: Visible<'_>,
    ) -> Result<Vec<Vec<Neighbour>>, Failed> {
        let Search { index, k, recall, device, .. } = self.search.as_ref();
        let k = candidates(*k);
        let segment = index.lake.segment(file).await.map_err(Failed::Catalog)?;
        if device.is_some() {
            let gpu = self.context.session_config().get_extension::<Gpu>();
            let gpu = gpu.ok_or_else(|| declined("it is gone"))?;
            let asked = Asked {
                metric: index.of.measure.metric(),
                queries: queries.to_vec(),
                k,
                filter: visible.filter.cloned(),
                deleted: visible.deleted.cloned(),
            };
            return gpu.nearest((&index.lake, &segment), asked).await;
        }
        let effort = Effort::Recall(*recall as f32);
        let query = Query { vector: queries, k, effort, visible, vectors: None };
        let found = segment.nearest(&index.lake, &query).await.map_err(Failed::Catalog)?;
        self.counts.lists.add(found.report.lists);
        self.counts.scanned.add(found.report.scanned);
        self.counts.refined.add(found.report.refined);
        Ok(vec![found.neighbours])
    }

    /// The rows of each segment that pass the filters; None without filters.
    async fn visible(&self) -> Result<Option<Vec<Bitmap>>, (usize, Failed)> {
        let Some(matching) = &self.matching else { return Ok(None) };
        let rows = self.search.index.segments.segments.iter().map(|segment| segment.rows());
        let bytes = rows.sum::<u64>() as usize / 8;
        self.memory.try_grow(bytes).map_err(|error| (0, Failed::Engine(error)))?;
        let visible = matching.rows(&self.search, &self.context).await?;
        self.counts.matching.add(visible.iter().map(Bitmap::ones).sum());
        Ok(Some(visible))
    }

    /// Rows of a segment: vectors from its object, the other columns from the table's files.
    async fn read(&self, number: usize, numbers: &[u32]) -> Result<Vec<RecordBatch>, Failed> {
        let Search { index, table, projection, .. } = self.search.as_ref();
        let file = &index.segments.segments[number];
        let bytes = numbers.len() * index.dimension * 4 * 2;
        self.memory.try_grow(bytes).map_err(Failed::Engine)?;
        let segment: Arc<Segment> = index.lake.segment(file).await.map_err(Failed::Catalog)?;
        let vectors = segment.vectors(&index.lake, numbers).await.map_err(Failed::Catalog)?;
        let place = projection.iter().position(|column| *column == index.column);
        let others = projection.iter().copied().filter(|column| *column != index.column);
        let others: Vec<usize> = others.collect();
        let batches = match others.is_empty() {
            true => Vec::new(),
            false => {
                let rows = table.numbered(&self.context, file, numbers, &others);
                rows.map_err(Failed::Engine)?.try_collect().await.map_err(Failed::Engine)?
            }
        };
        self.spliced(batches, vectors, numbers.len(), place).map_err(Failed::Engine)
    }

    /// Puts the vectors where they belong.
    fn spliced(
        &self,
        batches: Vec<RecordBatch>,
        vectors: Vec<f32>,
        rows: usize,
        place: Option<usize>,
    ) -> EngineResult<Vec<RecordBatch>> {
        let Some(place) = place else { return Ok(batches) };
        let DataType::FixedSizeList(item, width) = self.schema.field(place).data_type() else {
            return datafusion::common::internal_err!("the column of an index is no vector");
        };
        let values = cast(&Float32Array::from(vectors), item.data_type())?;
        let vectors = FixedSizeListArray::try_new(Arc::clone(item), *width, values, None)?;
        let read = batches.iter().map(RecordBatch::num_rows).sum::<usize>();
        if vectors.len() != rows || !batches.is_empty() && read != rows {
            return datafusion::common::internal_err!("{read} of {rows} nearest rows were read");
        }
        if batches.is_empty() {
            let schema = Arc::clone(&self.schema);
            return Ok(vec![RecordBatch::try_new(schema, vec![Arc::new(vectors)])?]);
        }
        let mut start = 0;
        let mut spliced = Vec::with_capacity(batches.len());
        for batch in batches {
            let mut columns = batch.columns().to_vec();
            columns.insert(place, Arc::new(vectors.slice(start, batch.num_rows())));
            start += batch.num_rows();
            spliced.push(RecordBatch::try_new(Arc::clone(&self.schema), columns)?);
        }
        Ok(spliced)
    }
}

/// Whether the `k` nearest by the order above are among exact ones: it has distances in double
/// precision, which tell more apart, and other keys, but nothing before what is nearer here.
fn is_decided(found: &[Found], k: usize, wanted: usize) -> bool {
    let distance = |place: usize| found.get(place).map(|(_, near)| near.distance);
    found.len() < wanted || k == 0 || distance(k - 1) < distance(wanted - 1)
}

fn declined(reason: &str) -> Failed {
    Failed::Device(Unavailable::new(reason))
}

/// Why a search failed.
pub(super) enum Failed {
    Device(Unavailable),
    Catalog(catalog::Error),
    Engine(DataFusionError),
}
