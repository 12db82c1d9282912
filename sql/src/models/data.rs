//! The rows that a query gives, all in memory, in the order in which they come.

use std::sync::Arc;

use catalog::registry::{Told, Training};
use datafusion::arrow::array::{RecordBatch, UInt64Array};
use datafusion::arrow::compute::{concat_batches, filter_record_batch, take_record_batch};
use datafusion::arrow::datatypes::Schema;
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryReservation};
use datafusion::physical_plan::execute_stream;
use datafusion::sql::sqlparser::ast;
use futures::StreamExt;

use crate::error::{Error, Result};
use crate::names::shown;
use crate::plan::{self, Environment, Lakes};

/// Rows and the memory that they take.
pub(super) struct Rows {
    pub batch: RecordBatch,
    pub memory: MemoryReservation,
}

/// Runs a query.
///
/// # Errors
/// Those of the query; 42701 for columns of one name; 53200 for more rows than fit in memory.
pub(super) async fn collect(
    environment: &Environment,
    lakes: &Lakes,
    query: ast::Query,
    training: Option<&Training>,
) -> Result<Rows> {
    let plan = plan::plan_query(environment, lakes, query, &[], Vec::new()).await?;
    let engine = &environment.engine;
    let physical = engine.create_physical_plan(&plan).await?;
    let given = physical.schema();
    let pool = &engine.runtime_env().memory_pool;
    let memory = MemoryConsumer::new("CreateModel").register(pool);
    let mut stream = execute_stream(physical, engine.task_ctx())?;
    let (mut batches, mut rows) = (Vec::new(), 0);
    while let Some(batch) = stream.next().await.transpose()? {
        // Once as they come, once put together and ordered.
        memory.try_grow(2 * batch.get_array_memory_size())?;
        rows += batch.num_rows() as u64;
        if let Some(training) = training {
            training.tell(Told { phase: "reading rows", done: rows, ..Told::default() });
        }
        batches.push(batch);
    }
    let engine = |error| Error::Engine(datafusion::error::DataFusionError::from(error));
    let whole = concat_batches(&given, &batches).map_err(engine)?;
    drop(batches);
    let mut names: Vec<&str> = given.fields().iter().map(|field| shown(field.name())).collect();
    let fields = given.fields().iter().zip(&names);
    let fields = fields.map(|(field, name)| field.as_ref().clone().with_name(*name));
    let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
    names.sort_unstable();
    if let Some(twice) = names.windows(2).find(|pair| pair[0] == pair[1]) {
        let message = format!("column \"{}\" specified more than once", twice[0]);
        return Err(Error::new("42701", message).with_hint("Give one of them another name."));
    }
    let batch = RecordBatch::try_new(schema, whole.columns().to_vec()).map_err(engine)?;
    Ok(Rows { batch, memory })
}

/// The rows for which `keep` holds.
pub(super) fn kept(batch: &RecordBatch, keep: &[bool]) -> Result<RecordBatch> {
    if keep.iter().all(|keep| *keep) {
        return Ok(batch.clone());
    }
    filter_record_batch(batch, &keep.to_vec().into()).map_err(|error| Error::Engine(error.into()))
}

/// The rows of these numbers, in their order.
pub(super) fn taken(batch: &RecordBatch, rows: impl Iterator<Item = u64>) -> Result<RecordBatch> {
    let rows = UInt64Array::from_iter_values(rows);
    take_record_batch(batch, &rows).map_err(|error| Error::Engine(error.into()))
}

/// The place of a column that an option names.
///
/// # Errors
/// 42703 with near names.
pub(super) fn column(batch: &RecordBatch, option: &str, name: &str) -> Result<usize> {
    let schema = batch.schema();
    schema.index_of(name).map_err(|_| {
        let error =
            Error::new("42703", format!("column \"{name}\" of option \"{option}\" does not exist"));
        let names: Vec<&str> = schema.fields().iter().map(|field| field.name().as_str()).collect();
        let near = crate::error::near_names(name, names.iter().copied());
        let all = || format!("The query's columns are {}.", names.join(", "));
        error.with_hint(near.unwrap_or_else(all))
    })
}
