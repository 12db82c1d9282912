//! The series as rows, made as they are read.

use std::sync::Arc;

use datafusion::arrow::datatypes::{Field, Schema, SchemaRef};
use datafusion::arrow::record_batch::RecordBatch;
use datafusion::catalog::TableProvider;
use datafusion::catalog::streaming::StreamingTable;
use datafusion::common::{Result as EngineResult, ScalarValue};
use datafusion::error::DataFusionError;
use datafusion::execution::TaskContext;
use datafusion::physical_plan::SendableRecordBatchStream;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::streaming::PartitionStream;
use futures::stream;

use super::{NAME, Series};

/// A table of one column; the arguments have the types that `types` says.
pub(crate) fn table(arguments: &[ScalarValue], zone: &str) -> EngineResult<Arc<dyn TableProvider>> {
    let series = Series::of(arguments, zone)?;
    let field = Field::new(NAME, series.of.clone(), false);
    let schema = Arc::new(Schema::new(vec![field]));
    let rows = Arc::new(Rows { schema: Arc::clone(&schema), series });
    Ok(Arc::new(StreamingTable::try_new(schema, vec![rows])?))
}

#[derive(Debug)]
struct Rows {
    schema: SchemaRef,
    series: Series,
}

impl PartitionStream for Rows {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, context: Arc<TaskContext>) -> SendableRecordBatchStream {
        let rows = context.session_config().batch_size();
        let schema = Arc::clone(&self.schema);
        let batches = std::iter::from_fn({
            let (mut series, schema) = (self.series.clone(), Arc::clone(&schema));
            move || batch(&mut series, rows, &schema).transpose()
        });
        Box::pin(RecordBatchStreamAdapter::new(schema, stream::iter(batches)))
    }
}

/// The next rows; None when there are none.
fn batch(
    series: &mut Series,
    rows: usize,
    schema: &SchemaRef,
) -> Result<Option<RecordBatch>, DataFusionError> {
    let values = series.batch(rows)?;
    if values.is_empty() {
        return Ok(None);
    }
    Ok(Some(RecordBatch::try_new(Arc::clone(schema), vec![values])?))
}
