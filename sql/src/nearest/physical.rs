//! From the logical node to the operator; to the plain scan where that is better.

use std::sync::Arc;

use catalog::{FILE_COLUMN, LakeTable, POSITION_COLUMN};
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::{DFSchema, Result as EngineResult, ScalarValue, ToDFSchema, internal_err};
use datafusion::datasource::source_as_provider;
use datafusion::logical_expr::expr_rewriter::unnormalize_cols;
use datafusion::logical_expr::physical_planning_context::PhysicalPlanningContext;
use datafusion::logical_expr::utils::conjunction;
use datafusion::logical_expr::{Expr, LogicalPlan, UserDefinedLogicalNode};
use datafusion::physical_plan::coalesce_partitions::CoalescePartitionsExec;
use datafusion::physical_plan::filter::FilterExec;
use datafusion::physical_plan::{ExecutionPlan, ExecutionPlanProperties};
use datafusion::physical_planner::PhysicalPlanner;

use super::exec::{NearestExec, Search};
use super::node::Nearest;
use super::searches::Searches;

/// An index that is asked for more than this part of its rows reads as much as a scan.
const MOST_SHARE: u64 = 8;

/// Plans searches; `input` is the scan of the whole table.
pub(crate) struct Planner<'a> {
    pub planner: &'a dyn PhysicalPlanner,
    pub session: &'a dyn Session,
    pub context: &'a PhysicalPlanningContext,
}

impl Planner<'_> {
    /// None if the node is not a search.
    pub(crate) async fn plan(
        &self,
        node: &dyn UserDefinedLogicalNode,
        inputs: &[Arc<dyn ExecutionPlan>],
    ) -> EngineResult<Option<Arc<dyn ExecutionPlan>>> {
        let Some(node) = node.as_any().downcast_ref::<Nearest>() else { return Ok(None) };
        let [input] = inputs else { return internal_err!("a search has one input") };
        let LogicalPlan::TableScan(scan) = &node.input else { return Ok(Some(Arc::clone(input))) };
        let provider = source_as_provider(&scan.source)?;
        let Some(table) = provider.downcast_ref::<LakeTable>() else {
            return Ok(Some(Arc::clone(input)));
        };
        let searches = self.session.config().get_extension::<Searches>();
        let wanted = searches.map(|searches| searches.wanted()).unwrap_or_default();
        let index = &node.index.0;
        let recall = wanted.recall(node.recall.map(f64::from_bits), index.of.recall);
        let k = match &node.k {
            Expr::Literal(ScalarValue::Int64(Some(k)), _) => u64::try_from(*k).unwrap_or(0),
            _ => u64::MAX,
        };
        let few = k.saturating_mul(MOST_SHARE) <= index.segments.indexed();
        if !wanted.indexes || recall >= 1.0 || !few {
            return Ok(Some(Arc::clone(input)));
        }
        let filters = unnormalize_cols(node.filters.iter().cloned());
        let all: Vec<usize> = (0..input.schema().fields().len()).collect();
        let projection = scan.projection.clone().unwrap_or(all);
        let pending = table.pending(index);
        let pending = pending.scan(self.session, Some(&projection), &filters, None).await?;
        let matching = match conjunction(filters) {
            Some(filter) => Some(self.matching(table, node, filter).await?),
            None => None,
        };
        let query = self.planner.create_physical_expr(
            &node.query,
            &DFSchema::empty(),
            self.session,
            self.context,
        )?;
        let search = Search {
            table: table.clone(),
            index: Arc::clone(index),
            projection,
            query,
            k: k as usize,
            recall,
        };
        let whole = single(Arc::clone(input));
        Ok(Some(Arc::new(NearestExec::new(search, whole, single(pending), matching))))
    }

    /// The addresses of the covered rows that pass the filters, in the last two columns.
    async fn matching(
        &self,
        table: &LakeTable,
        node: &Nearest,
        filter: Expr,
    ) -> EngineResult<Arc<dyn ExecutionPlan>> {
        let covered = table.covered(&node.index.0);
        let schema = covered.schema();
        let mut columns = Vec::new();
        for column in filter.column_refs() {
            columns.push(schema.index_of(&column.name)?);
        }
        columns.sort_unstable();
        columns.push(schema.index_of(FILE_COLUMN)?);
        columns.push(schema.index_of(POSITION_COLUMN)?);
        let filters = [filter.clone()];
        let rows = covered.scan(self.session, Some(&columns), &filters, None).await?;
        let over = rows.schema().as_ref().clone().to_dfschema()?;
        let predicate =
            self.planner.create_physical_expr(&filter, &over, self.session, self.context)?;
        Ok(single(Arc::new(FilterExec::try_new(predicate, rows)?)))
    }
}

fn single(plan: Arc<dyn ExecutionPlan>) -> Arc<dyn ExecutionPlan> {
    match plan.output_partitioning().partition_count() {
        1 => plan,
        _ => Arc::new(CoalescePartitionsExec::new(plan)),
    }
}
