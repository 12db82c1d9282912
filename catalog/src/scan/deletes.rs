//! `DeletesExec`: drops the rows that have been deleted from Parquet files.
//!
//! Its input ends with (file, position); a row is dropped if its position is in its file's bitmap.
//! The two columns are dropped too, unless the scan is addressed.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use datafusion::arrow::array::{AsArray, BooleanArray, RecordBatch};
use datafusion::arrow::compute::filter_record_batch;
use datafusion::arrow::datatypes::{Int64Type, Schema, SchemaRef};
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_expr::projection::ProjectionMapping;
use datafusion::physical_expr::{EquivalenceProperties, PhysicalExpr};
use datafusion::physical_plan::filter_pushdown::{
    ChildPushdownResult, FilterDescription, FilterPushdownPhase, FilterPushdownPropagation,
};
use datafusion::physical_plan::metrics::{BaselineMetrics, ExecutionPlanMetricsSet, MetricsSet};
use datafusion::physical_plan::projection::ProjectionExec;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, ExecutionPlanProperties, PlanProperties,
};
use futures::StreamExt;
use roaring::RoaringTreemap;

use crate::model::{ADDRESS_TYPE, DataFile, FileId};

/// See the module.
#[derive(Debug, Clone)]
pub struct DeletesExec {
    input: Arc<dyn ExecutionPlan>,
    deleted: BTreeMap<FileId, Arc<RoaringTreemap>>,
    keep_address: bool,
    schema: SchemaRef,
    properties: Arc<PlanProperties>,
    metrics: ExecutionPlanMetricsSet,
}

impl DeletesExec {
    /// Over a scan of `files` whose last two columns are file and position.
    pub fn new(
        input: Arc<dyn ExecutionPlan>,
        files: &[Arc<DataFile>],
        keep_address: bool,
    ) -> Result<Self> {
        let deleted = files.iter().filter_map(|f| Some((f.id, Arc::clone(f.deleted.as_ref()?))));
        Self::with_bitmaps(input, deleted.collect(), keep_address)
    }

    /// The same from bitmaps, as a decoded plan has them.
    pub fn with_bitmaps(
        input: Arc<dyn ExecutionPlan>,
        deleted: BTreeMap<FileId, Arc<RoaringTreemap>>,
        keep_address: bool,
    ) -> Result<Self> {
        let fields = input.schema().fields().clone();
        let addressed = fields.len().checked_sub(2).and_then(|width| fields.get(width..));
        if !addressed.is_some_and(|last| last.iter().all(|f| *f.data_type() == ADDRESS_TYPE)) {
            let message = "the rows to drop deleted ones from have no file and position";
            return Err(DataFusionError::Plan(message.into()));
        }
        let width = if keep_address { fields.len() } else { fields.len() - 2 };
        let fields = fields.iter().take(width).map(|f| {
            let mut metadata = f.metadata().clone();
            metadata.retain(|key, _| !key.starts_with("ARROW:extension"));
            Arc::new(f.as_ref().clone().with_metadata(metadata))
        });
        let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
        let properties = PlanProperties::new(
            kept_order(input.as_ref(), &schema)?,
            input.properties().partitioning.clone(),
            input.properties().emission_type,
            input.properties().boundedness,
        );
        let metrics = ExecutionPlanMetricsSet::new();
        let properties = Arc::new(properties);
        Ok(Self { input, deleted, keep_address, schema, properties, metrics })
    }

    /// Whether file and position are in its output.
    pub fn keeps_address(&self) -> bool {
        self.keep_address
    }

    /// Bitmaps by file.
    pub fn deleted(&self) -> &BTreeMap<FileId, Arc<RoaringTreemap>> {
        &self.deleted
    }
}

/// The input's order: dropping rows keeps it.
fn kept_order(input: &dyn ExecutionPlan, schema: &SchemaRef) -> Result<EquivalenceProperties> {
    let columns = schema.fields().iter().enumerate().map(|(index, field)| {
        let column: Arc<dyn PhysicalExpr> = Arc::new(Column::new(field.name(), index));
        (column, field.name().clone())
    });
    let mapping = ProjectionMapping::try_new(columns, &input.schema())?;
    Ok(input.equivalence_properties().project(&mapping, Arc::clone(schema)))
}

impl DisplayAs for DeletesExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter) -> fmt::Result {
        let rows: u64 = self.deleted.values().map(|d| d.len()).sum();
        write!(f, "DeletesExec: files={}, deleted_rows={rows}", self.deleted.len())
    }
}

impl ExecutionPlan for DeletesExec {
    fn name(&self) -> &str {
        "DeletesExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.input]
    }

    fn maintains_input_order(&self) -> Vec<bool> {
        vec![true]
    }

    fn apply_expressions(
        &self,
        _: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn with_new_children(
        self: Arc<Self>,
        mut children: Vec<Arc<dyn ExecutionPlan>>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let input = children.swap_remove(0);
        Ok(Arc::new(Self::with_bitmaps(input, self.deleted.clone(), self.keep_address)?))
    }

    fn execute(
        &self,
        partition: usize,
        context: Arc<TaskContext>,
    ) -> Result<SendableRecordBatchStream> {
        let input = self.input.execute(partition, context)?;
        let metrics = BaselineMetrics::new(&self.metrics, partition);
        let (deleted, schema) = (self.deleted.clone(), Arc::clone(&self.schema));
        let rows = input.map(move |batch| {
            let _timer = metrics.elapsed_compute().timer();
            let live = live(&batch?, &deleted, &schema)?;
            metrics.record_output(live.num_rows());
            Ok(live)
        });
        Ok(Box::pin(RecordBatchStreamAdapter::new(Arc::clone(&self.schema), rows)))
    }

    fn metrics(&self) -> Option<MetricsSet> {
        Some(self.metrics.clone_inner())
    }

    fn gather_filters_for_pushdown(
        &self,
        _: FilterPushdownPhase,
        parent_filters: Vec<Arc<dyn PhysicalExpr>>,
        _: &ConfigOptions,
    ) -> Result<FilterDescription> {
        FilterDescription::from_children(parent_filters, &self.children())
    }

    fn handle_child_pushdown_result(
        &self,
        _: FilterPushdownPhase,
        result: ChildPushdownResult,
        _: &ConfigOptions,
    ) -> Result<FilterPushdownPropagation<Arc<dyn ExecutionPlan>>> {
        Ok(FilterPushdownPropagation::if_all(result))
    }
}

/// The rows of a batch that are not deleted, without what the output does not have.
fn live(
    batch: &RecordBatch,
    deleted: &BTreeMap<FileId, Arc<RoaringTreemap>>,
    schema: &SchemaRef,
) -> Result<RecordBatch> {
    let width = batch.num_columns();
    let files = batch.column(width - 2).as_primitive::<Int64Type>();
    let positions = batch.column(width - 1).as_primitive::<Int64Type>();
    let mut last: (Option<FileId>, Option<&Arc<RoaringTreemap>>) = (None, None);
    let keep = (0..batch.num_rows()).map(|row| {
        let file = files.value(row);
        if last.0 != Some(file) {
            last = (Some(file), deleted.get(&file));
        }
        Some(!last.1.is_some_and(|d| d.contains(positions.value(row).unsigned_abs())))
    });
    let keep: BooleanArray = keep.collect();
    let kept = match keep.true_count() == batch.num_rows() {
        true => batch.clone(),
        false => filter_record_batch(batch, &keep)?,
    };
    let columns = kept.columns()[..schema.fields().len()].to_vec();
    let options = datafusion::arrow::record_batch::RecordBatchOptions::new()
        .with_row_count(Some(kept.num_rows()));
    Ok(RecordBatch::try_new_with_options(Arc::clone(schema), columns, &options)?)
}

/// The plan's columns in the order that was asked for: addresses may come in any place.
pub(super) fn reordered(
    plan: Arc<dyn ExecutionPlan>,
    schema: &SchemaRef,
    projection: &[usize],
) -> Result<Arc<dyn ExecutionPlan>> {
    let produced = plan.schema();
    let wanted = projection.iter().map(|index| schema.field(*index).name());
    if wanted.clone().eq(produced.fields().iter().map(|f| f.name())) {
        return Ok(plan);
    }
    let mut items: Vec<(Arc<dyn PhysicalExpr>, String)> = Vec::with_capacity(projection.len());
    for name in wanted {
        let index = produced.index_of(name)?;
        items.push((Arc::new(Column::new(name, index)), name.clone()));
    }
    Ok(Arc::new(ProjectionExec::try_new(items, plan)?))
}
