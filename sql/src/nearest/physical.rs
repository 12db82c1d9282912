//! From the logical node to the operator; to the plain scan where that is better.

use std::sync::Arc;

use async_trait::async_trait;
use catalog::indexes::candidates;
use catalog::{FILE_COLUMN, LakeTable, POSITION_COLUMN};
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::{DFSchema, Result as EngineResult, ScalarValue, ToDFSchema, internal_err};
use datafusion::datasource::source_as_provider;
use datafusion::logical_expr::expr_rewriter::unnormalize_cols;
use datafusion::logical_expr::physical_planning_context::PhysicalPlanningContext;
use datafusion::logical_expr::utils::conjunction;
use datafusion::logical_expr::{Expr, LogicalPlan, UserDefinedLogicalNode};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::filter::FilterExec;
use datafusion::physical_plan::joins::CrossJoinExec;
use datafusion::physical_planner::{ExtensionPlanner, PhysicalPlanner};
use datafusion::prelude::SessionConfig;

use super::each::{NearestToEach, metric};
use super::each_exec::{NearestToEachExec, Terms};
use super::exec::{MOST_SHARE, NearestExec, Search};
use super::gpu;
use super::matching::Matching;
use super::node::Nearest;
use super::query::{OfEach, Queries};
use super::searches::Searches;

/// Rows of each that are gathered without making all pairs.
const MOST_OF_EACH: u64 = 10_000;

/// Plans searches and joins of nearest rows.
#[derive(Debug)]
pub(crate) struct Searching;

#[async_trait]
impl ExtensionPlanner for Searching {
    async fn plan_extension(
        &self,
        planner: &dyn PhysicalPlanner,
        node: &dyn UserDefinedLogicalNode,
        _: &[&LogicalPlan],
        inputs: &[Arc<dyn ExecutionPlan>],
        session: &dyn Session,
        context: &PhysicalPlanningContext,
    ) -> EngineResult<Option<Arc<dyn ExecutionPlan>>> {
        Planner { planner, session, context }.plan(node, inputs).await
    }
}

struct Planner<'a> {
    planner: &'a dyn PhysicalPlanner,
    session: &'a dyn Session,
    context: &'a PhysicalPlanningContext,
}

impl Planner<'_> {
    /// None if the node is neither; a search has the scan of the whole table as input.
    async fn plan(
        &self,
        node: &dyn UserDefinedLogicalNode,
        inputs: &[Arc<dyn ExecutionPlan>],
    ) -> EngineResult<Option<Arc<dyn ExecutionPlan>>> {
        if let Some(each) = node.as_any().downcast_ref::<NearestToEach>() {
            return self.each(each, inputs).map(Some);
        }
        let Some(node) = node.as_any().downcast_ref::<Nearest>() else { return Ok(None) };
        let [input] = inputs else { return internal_err!("a search has one input") };
        let LogicalPlan::TableScan(scan) = &node.input else { return Ok(Some(Arc::clone(input))) };
        let provider = source_as_provider(&scan.source)?;
        let Some(table) = provider.downcast_ref::<LakeTable>() else {
            return Ok(Some(Arc::clone(input)));
        };
        let index = &node.index.0;
        let Ok(Way { k, recall, device }) = way(self.session.config(), node).await else {
            return Ok(Some(Arc::clone(input)));
        };
        let filters = unnormalize_cols(node.filters.iter().cloned());
        let all: Vec<usize> = (0..input.schema().fields().len()).collect();
        let projection = scan.projection.clone().unwrap_or(all);
        let pending = table.pending(index);
        let pending = pending.scan(self.session, Some(&projection), &filters, None).await?;
        let matching = match conjunction(filters) {
            Some(filter) => Some(self.matching(table, node, filter).await?),
            None => None,
        };
        let queries = match node.each {
            true => Queries::OfEach(Arc::default()),
            false => Queries::One(self.planner.create_physical_expr(
                &node.query,
                &DFSchema::empty(),
                self.session,
                self.context,
            )?),
        };
        let search = Search {
            table: table.clone(),
            index: Arc::clone(index),
            projection,
            queries,
            k,
            nulls: node.nulls,
            ties: node.ties,
            recall,
            device,
        };
        Ok(Some(Arc::new(NearestExec::new(search, Arc::clone(input), pending, matching))))
    }

    /// The join; every pair where it is not known how many rows each is to have, or too many.
    fn each(
        &self,
        node: &NearestToEach,
        inputs: &[Arc<dyn ExecutionPlan>],
    ) -> EngineResult<Arc<dyn ExecutionPlan>> {
        let [left, right] = inputs else { return internal_err!("a join has two inputs") };
        let (left, right) = (Arc::clone(left), Arc::clone(right));
        let k = number(&node.k).filter(|k| *k <= MOST_OF_EACH);
        let (Some(k), Some(metric)) = (k, metric(&node.function)) else {
            return Ok(Arc::new(CrossJoinExec::new(left, right)));
        };
        let over = |e: &Expr, schema: &DFSchema| {
            self.planner.create_physical_expr(e, schema, self.session, self.context)
        };
        let terms = Terms {
            query: over(&node.query, node.left.schema())?,
            column: over(&node.column, node.right.schema())?,
            metric,
            queries: of_each(&right),
            wanted: candidates(k as usize),
        };
        let schema = Arc::clone(node.schema().inner());
        Ok(Arc::new(NearestToEachExec::new(left, right, terms, schema)))
    }

    /// By what the index includes, if that is all that the filter asks.
    async fn matching(
        &self,
        table: &LakeTable,
        node: &Nearest,
        filter: Expr,
    ) -> EngineResult<Matching> {
        let covered = table.covered(&node.index.0);
        let schema = covered.schema();
        let mut columns = Vec::new();
        for column in filter.column_refs() {
            columns.push(schema.index_of(&column.name)?);
        }
        columns.sort_unstable();
        if columns.iter().all(|column| node.index.0.included.contains(column)) {
            let over = schema.project(&columns)?.to_dfschema()?;
            let predicate =
                self.planner.create_physical_expr(&filter, &over, self.session, self.context)?;
            return Ok(Matching::Included(predicate, columns));
        }
        columns.push(schema.index_of(FILE_COLUMN)?);
        columns.push(schema.index_of(POSITION_COLUMN)?);
        let filters = [filter.clone()];
        let rows = covered.scan(self.session, Some(&columns), &filters, None).await?;
        let over = rows.schema().as_ref().clone().to_dfschema()?;
        let predicate =
            self.planner.create_physical_expr(&filter, &over, self.session, self.context)?;
        Ok(Matching::Scanned(Arc::new(FilterExec::try_new(predicate, rows)?)))
    }
}

/// Where the search below a join of nearest rows takes the vectors of the left side from.
fn of_each(right: &Arc<dyn ExecutionPlan>) -> Option<Arc<OfEach>> {
    if let Some(search) = right.downcast_ref::<NearestExec>() {
        return search.of_each();
    }
    match right.children().as_slice() {
        [input] => of_each(input),
        _ => None,
    }
}

/// How an index is searched.
pub(super) struct Way {
    k: usize,
    recall: f64,
    /// The name of the GPU that searches exactly.
    device: Option<String>,
}

/// The way of a search; or why the table is scanned in its place, of which those who asked for the
/// GPU are told.
pub(super) async fn way(config: &SessionConfig, node: &Nearest) -> Result<Way, String> {
    let searches = config.get_extension::<Searches>();
    let wanted = searches.as_ref().map(|searches| searches.wanted()).unwrap_or_default();
    let index = &node.index.0;
    let recall = wanted.recall(node.recall.map(f64::from_bits), index.of.recall);
    let k = number(&node.k).unwrap_or(u64::MAX);
    if !wanted.indexes {
        return Err("enable_indexscan is off".to_owned());
    }
    if k.saturating_mul(MOST_SHARE) > index.segments.indexed() {
        return Err("so many rows are found by a scan as quickly".to_owned());
    }
    let k = k as usize;
    if recall < 1.0 {
        return Ok(Way { k, recall, device: None });
    }
    let offered = gpu::offered(config, index).await;
    offered.map(|(_, name)| Way { k, recall, device: Some(name) }).map_err(|reason| {
        if let Some(searches) = searches {
            searches.decline(&reason);
        }
        match node.each {
            true => "LATERAL compares all pairs".to_owned(),
            false => "the query asks for an exact scan".to_owned(),
        }
    })
}

/// A number of rows, once it is known; the optimizer leaves what it has computed its old name.
fn number(expression: &Expr) -> Option<u64> {
    match expression {
        Expr::Alias(alias) => number(&alias.expr),
        Expr::Literal(ScalarValue::Int64(Some(k)), _) => u64::try_from(*k).ok(),
        _ => None,
    }
}
