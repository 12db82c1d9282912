//! Rows that one part of a statement has changed, held for another part of it to read.
//!
//! A plan over them is made before the rows are there: it reads what `fill` has put when it runs.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::Result as EngineResult;
use datafusion::datasource::memory::MemorySourceConfig;
use datafusion::datasource::provider_as_source;
use datafusion::logical_expr::{Expr, LogicalPlanBuilder, TableType};
use datafusion::physical_plan::ExecutionPlan;

/// See the module.
#[derive(Debug)]
pub(crate) struct Held {
    schema: SchemaRef,
    rows: Mutex<Vec<RecordBatch>>,
}

impl Held {
    pub(crate) fn new(schema: SchemaRef) -> Arc<Self> {
        Arc::new(Self { schema, rows: Mutex::default() })
    }

    /// Replaces the rows; none are held after `fill(Vec::new())`.
    pub(crate) fn fill(&self, rows: Vec<RecordBatch>) {
        *self.lock() = rows;
    }

    /// What its batches must be like.
    pub(crate) fn fields(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    /// A scan of the rows.
    pub(crate) fn scan(self: &Arc<Self>, name: &str) -> EngineResult<LogicalPlanBuilder> {
        let source = provider_as_source(Arc::clone(self) as Arc<dyn TableProvider>);
        LogicalPlanBuilder::scan(name, source, None)
    }

    fn lock(&self) -> MutexGuard<'_, Vec<RecordBatch>> {
        self.rows.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl TableProvider for Held {
    fn schema(&self) -> SchemaRef {
        self.fields()
    }

    fn table_type(&self) -> TableType {
        TableType::Temporary
    }

    async fn scan(
        &self,
        _: &dyn Session,
        projection: Option<&Vec<usize>>,
        _: &[Expr],
        _: Option<usize>,
    ) -> EngineResult<Arc<dyn ExecutionPlan>> {
        let rows = self.lock().clone();
        let plan = MemorySourceConfig::try_new_exec(&[rows], self.fields(), projection.cloned())?;
        Ok(plan)
    }
}
