//! A feature view where a statement names it: the view's plan, and what a point-in-time join asks.

use std::borrow::Cow;
use std::sync::Arc;

use async_trait::async_trait;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::catalog::Session;
use datafusion::catalog::view::ViewTable;
use datafusion::common::Result as EngineResult;
use datafusion::datasource::{TableProvider, TableType, source_as_provider};
use datafusion::logical_expr::{Expr, LogicalPlan, TableProviderFilterPushDown, TableSource};
use datafusion::physical_plan::ExecutionPlan;

use super::Version;

/// See the module.
#[derive(Debug)]
pub(crate) struct FeatureViewTable {
    view: ViewTable,
    version: Version,
}

impl FeatureViewTable {
    pub fn new(view: ViewTable, version: Version) -> Self {
        Self { view, version }
    }

    /// What a relation is as a feature view, if it is one.
    pub fn version(source: &Arc<dyn TableSource>) -> Option<Version> {
        let provider = source_as_provider(source).ok()?;
        provider.downcast_ref::<Self>().map(|table| table.version.clone())
    }
}

#[async_trait]
impl TableProvider for FeatureViewTable {
    fn schema(&self) -> SchemaRef {
        self.view.schema()
    }

    fn table_type(&self) -> TableType {
        self.view.table_type()
    }

    fn get_table_definition(&self) -> Option<&str> {
        self.view.get_table_definition()
    }

    fn get_logical_plan(&'_ self) -> Option<Cow<'_, LogicalPlan>> {
        self.view.get_logical_plan()
    }

    fn supports_filters_pushdown(
        &self,
        filters: &[&Expr],
    ) -> EngineResult<Vec<TableProviderFilterPushDown>> {
        self.view.supports_filters_pushdown(filters)
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> EngineResult<Arc<dyn ExecutionPlan>> {
        self.view.scan(state, projection, filters, limit).await
    }
}
