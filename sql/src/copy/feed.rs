//! The source of COPY FROM's plan: a table whose rows arrive while the plan runs.

use std::sync::{Arc, Mutex, PoisonError};

use catalog::TYPE_KEY;
use datafusion::arrow::datatypes::{Field, FieldRef, Schema, SchemaRef};
use datafusion::catalog::streaming::StreamingTable;
use datafusion::datasource::provider_as_source;
use datafusion::error::DataFusionError;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::{LogicalPlan, LogicalPlanBuilder};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::streaming::PartitionStream;

use crate::error::Result;

/// See the module. One run of the plan takes what `open` put there.
pub struct Feed {
    schema: SchemaRef,
    rows: Mutex<Option<SendableRecordBatchStream>>,
}

impl Feed {
    /// A feed of columns.
    pub(super) fn new(columns: &[FieldRef]) -> Self {
        let schema = Arc::new(Schema::new(columns.iter().map(fed).collect::<Vec<_>>()));
        Self { schema, rows: Mutex::new(None) }
    }

    /// What its batches must be like.
    pub fn fields(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    /// Puts rows where the plan will find them.
    pub fn open(&self, rows: SendableRecordBatchStream) {
        *self.rows.lock().unwrap_or_else(PoisonError::into_inner) = Some(rows);
    }

    /// A scan of it.
    pub(super) fn plan(self: &Arc<Self>) -> Result<LogicalPlan> {
        let partition = Arc::clone(self) as Arc<dyn PartitionStream>;
        let table = StreamingTable::try_new(self.fields(), vec![partition])?;
        let source = provider_as_source(Arc::new(table));
        Ok(LogicalPlanBuilder::scan("copied", source, None)?.build()?)
    }
}

/// A column as it is fed. Text that has only a length is not marked, so that the length is seen to
/// as in INSERT; what has another tag has been read as that type.
fn fed(column: &FieldRef) -> FieldRef {
    let tag = column.metadata().get(TYPE_KEY).map(String::as_str);
    let length = tag.is_some_and(|tag| tag.starts_with("varchar") || tag.starts_with("char"));
    let plain = Field::new(column.name(), column.data_type().clone(), true);
    Arc::new(match length {
        true => plain,
        false => plain.with_metadata(column.metadata().clone()),
    })
}

impl std::fmt::Debug for Feed {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Feed").field("schema", &self.schema).finish_non_exhaustive()
    }
}

impl PartitionStream for Feed {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, _: Arc<TaskContext>) -> SendableRecordBatchStream {
        let rows = self.rows.lock().unwrap_or_else(PoisonError::into_inner).take();
        rows.unwrap_or_else(|| {
            let error = DataFusionError::Internal("nothing was fed to COPY".into());
            let failed = futures::stream::iter([Err(error)]);
            Box::pin(RecordBatchStreamAdapter::new(self.fields(), failed))
        })
    }
}
