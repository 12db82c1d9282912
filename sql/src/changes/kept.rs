//! All rows of an answer, in memory that is accounted for.

use std::sync::Arc;

use datafusion::arrow::array::{RecordBatch, RecordBatchOptions};
use datafusion::arrow::datatypes::{Schema, SchemaRef};
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryReservation};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use futures::{StreamExt, stream};

use crate::error::{Error, Result};

/// Rows computed before the change beside them is committed: an error in one undoes it.
pub struct Kept {
    schema: SchemaRef,
    pub(super) rows: Vec<RecordBatch>,
    pub(super) memory: MemoryReservation,
}

impl Kept {
    /// Reads a stream of `schema` to its end; 53200 where the rows do not fit.
    pub async fn collect(
        mut stream: SendableRecordBatchStream,
        schema: &Schema,
        task: &TaskContext,
    ) -> Result<Self> {
        let schema = nullable(schema);
        let memory = MemoryConsumer::new("returned rows").register(task.memory_pool());
        let mut rows = Vec::new();
        while let Some(batch) = stream.next().await {
            let batch = batch?;
            let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
            let columns = batch.columns().to_vec();
            let batch = RecordBatch::try_new_with_options(Arc::clone(&schema), columns, &options);
            let batch = batch.map_err(|e| Error::Engine(e.into()))?;
            memory.try_grow(batch.get_array_memory_size())?;
            rows.push(batch);
        }
        Ok(Self { schema, rows, memory })
    }

    /// The rows as an answer; their memory is free when it ends.
    pub fn into_stream(self) -> SendableRecordBatchStream {
        let Self { schema, rows, memory } = self;
        let rows = stream::iter(rows).map(move |batch| {
            memory.shrink(batch.get_array_memory_size().min(memory.size()));
            Ok(batch)
        });
        Box::pin(RecordBatchStreamAdapter::new(schema, rows))
    }
}

/// The same columns, of which each may be NULL.
pub(super) fn nullable(schema: &Schema) -> SchemaRef {
    let fields = schema.fields().iter().map(|f| f.as_ref().clone().with_nullable(true));
    Arc::new(Schema::new(fields.collect::<Vec<_>>()))
}
