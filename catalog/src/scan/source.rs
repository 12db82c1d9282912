//! `LakeScan`: a scan of the lake's Parquet files, as DataFusion's own but for how it travels.
//!
//! DataFusion writes its Parquet scans to bytes without asking a codec and leaves out what it does
//! not know: how columns are found, and row numbers. So the scan is one of ours, and passes
//! everything else on.

use std::any::Any;
use std::fmt;
use std::sync::Arc;

use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{Result, Statistics};
use datafusion::datasource::physical_plan::FileScanConfig;
use datafusion::datasource::source::{DataSource, OpenArgs};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::projection::ProjectionExprs;
use datafusion::physical_expr::{
    EquivalenceProperties, LexOrdering, Partitioning, PhysicalExpr, PhysicalSortExpr,
};
use datafusion::physical_plan::execution_plan::SchedulingType;
use datafusion::physical_plan::filter_pushdown::FilterPushdownPropagation;
use datafusion::physical_plan::metrics::ExecutionPlanMetricsSet;
use datafusion::physical_plan::proto::ExecutionPlanEncodeCtx;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{DisplayFormatType, SortOrderPushdownResult};
use datafusion_proto::protobuf::PhysicalPlanNode;
use futures::{TryStreamExt, stream};

use super::lookup::{Lookup, Shared};
use super::{codec, points};

/// See the module.
#[derive(Debug)]
pub struct LakeScan {
    inner: Arc<dyn DataSource>,
}

impl LakeScan {
    pub(super) fn new(config: FileScanConfig) -> Self {
        Self { inner: Arc::new(config) }
    }

    /// The scan that does the work: its files and what has been pushed down into it.
    pub fn config(&self) -> Option<&FileScanConfig> {
        self.inner.downcast_ref()
    }
}

impl LakeScan {
    /// A few rows by the values of a column, or else what the scan reads anyway.
    fn looked_up(
        &self,
        config: &FileScanConfig,
        shared: Arc<Shared>,
        args: OpenArgs,
    ) -> Result<SendableRecordBatchStream> {
        let (config, inner) = (Arc::new(config.clone()), Arc::clone(&self.inner));
        let schema = config.projected_schema()?;
        let rows = async move {
            let lookup = shared.lookup.get_or_try_init(|| Lookup::plan(&config)).await?;
            match lookup.clone() {
                None => inner.open_with_args(args),
                Some(lookup) => {
                    let schema = config.projected_schema()?;
                    let rows = lookup.read(args.partition, config);
                    Ok(Box::pin(RecordBatchStreamAdapter::new(schema, Box::pin(rows))) as _)
                }
            }
        };
        Ok(Box::pin(RecordBatchStreamAdapter::new(schema, stream::once(rows).try_flatten())))
    }
}

fn wrapped(inner: Arc<dyn DataSource>) -> Arc<dyn DataSource> {
    Arc::new(LakeScan { inner })
}

impl DataSource for LakeScan {
    fn open(
        &self,
        partition: usize,
        context: Arc<TaskContext>,
    ) -> Result<SendableRecordBatchStream> {
        self.open_with_args(OpenArgs::new(partition, context))
    }

    fn open_with_args(&self, args: OpenArgs) -> Result<SendableRecordBatchStream> {
        let shared = args.sibling_state.clone().and_then(|state| state.downcast::<Shared>().ok());
        let shared = shared.unwrap_or_default();
        let args = OpenArgs { sibling_state: shared.inner.clone(), ..args };
        let asked = self.config().filter(|config| {
            config.file_source.filter().is_some_and(|filter| points::may_ask(&filter))
        });
        match asked {
            Some(config) => self.looked_up(config, shared, args),
            None => self.inner.open_with_args(args),
        }
    }

    fn create_sibling_state(&self, config: &ConfigOptions) -> Option<Arc<dyn Any + Send + Sync>> {
        let inner = self.inner.create_sibling_state(config);
        Some(Arc::new(Shared { inner, ..Shared::default() }))
    }

    fn fmt_as(&self, format: DisplayFormatType, f: &mut fmt::Formatter) -> fmt::Result {
        self.inner.fmt_as(format, f)
    }

    fn repartitioned(
        &self,
        partitions: usize,
        min_size: usize,
        order: Option<LexOrdering>,
    ) -> Result<Option<Arc<dyn DataSource>>> {
        Ok(self.inner.repartitioned(partitions, min_size, order)?.map(wrapped))
    }

    fn output_partitioning(&self) -> Partitioning {
        self.inner.output_partitioning()
    }

    fn eq_properties(&self) -> EquivalenceProperties {
        self.inner.eq_properties()
    }

    fn scheduling_type(&self) -> SchedulingType {
        self.inner.scheduling_type()
    }

    fn partition_statistics(&self, partition: Option<usize>) -> Result<Arc<Statistics>> {
        self.inner.partition_statistics(partition)
    }

    fn with_fetch(&self, limit: Option<usize>) -> Option<Arc<dyn DataSource>> {
        self.inner.with_fetch(limit).map(wrapped)
    }

    fn fetch(&self) -> Option<usize> {
        self.inner.fetch()
    }

    fn metrics(&self) -> ExecutionPlanMetricsSet {
        self.inner.metrics()
    }

    fn try_swapping_with_projection(
        &self,
        projection: &ProjectionExprs,
    ) -> Result<Option<Arc<dyn DataSource>>> {
        Ok(self.inner.try_swapping_with_projection(projection)?.map(wrapped))
    }

    fn try_pushdown_filters(
        &self,
        filters: Vec<Arc<dyn PhysicalExpr>>,
        config: &ConfigOptions,
    ) -> Result<FilterPushdownPropagation<Arc<dyn DataSource>>> {
        let pushed = self.inner.try_pushdown_filters(filters, config)?;
        let updated_node = pushed.updated_node.map(wrapped);
        Ok(FilterPushdownPropagation { filters: pushed.filters, updated_node })
    }

    fn try_pushdown_sort(
        &self,
        order: &[PhysicalSortExpr],
    ) -> Result<SortOrderPushdownResult<Arc<dyn DataSource>>> {
        self.inner.try_pushdown_sort(order)?.try_map(|inner| Ok(wrapped(inner)))
    }

    fn with_preserve_order(&self, preserve_order: bool) -> Option<Arc<dyn DataSource>> {
        self.inner.with_preserve_order(preserve_order).map(wrapped)
    }

    fn apply_expressions(
        &self,
        visit: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        self.inner.apply_expressions(visit)
    }

    fn with_new_state(&self, state: Arc<dyn Any + Send + Sync>) -> Option<Arc<dyn DataSource>> {
        self.inner.with_new_state(state).map(wrapped)
    }

    fn try_to_proto(&self, context: &ExecutionPlanEncodeCtx) -> Result<Option<PhysicalPlanNode>> {
        self.config().map(|config| codec::scan_node(config, context)).transpose()
    }
}
