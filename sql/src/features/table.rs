//! A feature view where a statement names it: the view's plan, and what a point-in-time join asks.

use std::borrow::Cow;
use std::sync::Arc;

use async_trait::async_trait;
use datafusion::arrow::datatypes::{FieldRef, SchemaRef};
use datafusion::catalog::Session;
use datafusion::catalog::view::ViewTable;
use datafusion::common::{Column, Result as EngineResult, TableReference};
use datafusion::datasource::{TableProvider, TableType, source_as_provider};
use datafusion::logical_expr::{
    Expr, LogicalPlan, LogicalPlanBuilder, TableProviderFilterPushDown, TableSource,
};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::sql::sqlparser::ast::{Query, Statement};

use super::Version;
use super::windows::{Under, WindowedView};
use crate::error::Result;
use crate::plan::{self, Environment, Lakes};

/// What a feature view's query gives, for joins with it.
#[derive(Debug, Clone)]
pub(crate) enum Rows {
    Plain(LogicalPlan),
    Windowed(Arc<WindowedView>),
}

/// The rows of a version of a feature view, of a query of it; `named`: its columns as they are
/// declared, if they are.
pub(crate) async fn rows(
    environment: &Environment,
    lakes: &Lakes,
    query: Query,
    version: &Version,
    named: &[FieldRef],
    depth: usize,
) -> Result<Rows> {
    if version.has_windows() {
        let by = (version.key.as_slice(), version.timestamp.as_str());
        let windowed = WindowedView::plan(environment, lakes, &query, by, named, depth).await?;
        if let Some(windowed) = windowed {
            return Ok(Rows::Windowed(Arc::new(windowed)));
        }
    }
    let statement = Statement::Query(Box::new(query));
    let planned = plan::plan_at_depth(environment, lakes, statement, &[], Vec::new(), depth);
    Ok(Rows::Plain(Box::pin(planned).await?))
}

impl Rows {
    /// The view as a relation.
    pub fn plan(&self, version: &Version) -> Result<LogicalPlan> {
        match self {
            Self::Plain(plan) => Ok(plan.clone()),
            Self::Windowed(windowed) => windowed.at_own_time(version),
        }
    }

    /// The rows under a name, with the columns that are wanted.
    pub fn under(&self, name: &str, wanted: impl Fn(&str) -> bool) -> Result<Under> {
        let name = TableReference::bare(name);
        match self {
            Self::Plain(plan) => {
                let rows = LogicalPlanBuilder::from(plan.clone()).alias(name.clone())?.build()?;
                let names = plan.schema().fields().iter().map(|field| field.name());
                let of = |column: &String| {
                    let of = Column::new(Some(name.clone()), column);
                    (column.clone(), Expr::Column(of))
                };
                let columns = names.filter(|column| wanted(column)).map(of).collect();
                Ok(Under { rows, features: Vec::new(), columns })
            }
            Self::Windowed(windowed) => windowed.under(&name, wanted),
        }
    }
}

/// See the module.
#[derive(Debug)]
pub(crate) struct FeatureViewTable {
    view: ViewTable,
    version: Version,
    rows: Rows,
}

impl FeatureViewTable {
    pub fn new(view: ViewTable, version: Version, rows: Rows) -> Self {
        Self { view, version, rows }
    }

    /// What a relation is as a feature view, if it is one.
    pub fn of(source: &Arc<dyn TableSource>) -> Option<(Version, Rows)> {
        let provider = source_as_provider(source).ok()?;
        let table = provider.downcast_ref::<Self>()?;
        Some((table.version.clone(), table.rows.clone()))
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
