//! Which of the rows that segments cover pass the filters.

use std::collections::HashMap;
use std::sync::Arc;

use catalog::FileId;
use datafusion::arrow::array::{Array, AsArray, RecordBatch};
use datafusion::arrow::datatypes::Int64Type;
use datafusion::error::Result as EngineResult;
use datafusion::execution::TaskContext;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_plan::{ExecutionPlan, execute_stream};
use futures::StreamExt;
use kernels::vectors::Bitmap;

use super::exec::{Failed, Search};

/// How they are found.
#[derive(Debug, Clone)]
pub(super) enum Matching {
    /// By a scan that gives their addresses in its last two columns.
    Scanned(Arc<dyn ExecutionPlan>),
    /// By a predicate over columns that the index includes, of these places in the table: they are
    /// held in memory.
    Included(Arc<dyn PhysicalExpr>, Vec<usize>),
}

impl Matching {
    /// The scan, if there is one.
    pub fn scan(&self) -> Option<&Arc<dyn ExecutionPlan>> {
        match self {
            Self::Scanned(scan) => Some(scan),
            Self::Included(..) => None,
        }
    }

    /// The rows of each segment that pass; a segment that failed is told of with its number.
    pub async fn rows(
        &self,
        search: &Search,
        context: &Arc<TaskContext>,
    ) -> Result<Vec<Bitmap>, (usize, Failed)> {
        let files = &search.index.segments.segments;
        let mut rows: Vec<Bitmap> =
            files.iter().map(|segment| Bitmap::new(segment.rows() as usize)).collect();
        match self {
            Self::Scanned(scan) => {
                let read = scanned(scan, search, context, &mut rows).await;
                read.map_err(|error| (0, Failed::Engine(error)))?;
            }
            Self::Included(predicate, columns) => {
                for (number, rows) in rows.iter_mut().enumerate() {
                    let read = included((predicate, columns), (search, number), context, rows);
                    read.await.map_err(|error| (number, error))?;
                }
            }
        }
        Ok(rows)
    }
}

async fn scanned(
    scan: &Arc<dyn ExecutionPlan>,
    search: &Search,
    context: &Arc<TaskContext>,
    rows: &mut [Bitmap],
) -> EngineResult<()> {
    let mut places: HashMap<FileId, (usize, u64)> = HashMap::new();
    for (number, segment) in search.index.segments.segments.iter().enumerate() {
        places.extend(segment.numbered().map(|(of, first)| (of.file, (number, first))));
    }
    let mut batches = execute_stream(Arc::clone(scan), Arc::clone(context))?;
    while let Some(batch) = batches.next().await {
        let batch = batch?;
        let width = batch.num_columns();
        let of = batch.column(width - 2).as_primitive::<Int64Type>().values();
        let positions = batch.column(width - 1).as_primitive::<Int64Type>().values();
        let mut last = None;
        for (file, position) in of.iter().zip(positions) {
            if last.is_none_or(|(known, _)| known != *file) {
                last = places.get(file).map(|place| (*file, *place));
            }
            let Some((_, (segment, first))) = last else { continue };
            let number = first + position.unsigned_abs();
            rows[segment].insert(u32::try_from(number).unwrap_or(u32::MAX));
        }
    }
    Ok(())
}

async fn included(
    (predicate, columns): (&Arc<dyn PhysicalExpr>, &[usize]),
    (search, number): (&Search, usize),
    context: &Arc<TaskContext>,
    rows: &mut Bitmap,
) -> Result<(), Failed> {
    let lake = &search.index.lake;
    let segment = lake.segment(&search.index.segments.segments[number]).await;
    let segment = segment.map_err(Failed::Catalog)?;
    let files = search.table.included(context, &segment, columns).await.map_err(Failed::Engine)?;
    for (first, batches) in files {
        let mut start = first as usize;
        for batch in batches.iter() {
            passing(predicate, batch, start, rows).map_err(Failed::Engine)?;
            start += batch.num_rows();
        }
    }
    Ok(())
}

/// Adds the rows of a batch that pass; the first of them is number `start`.
fn passing(
    predicate: &Arc<dyn PhysicalExpr>,
    batch: &RecordBatch,
    start: usize,
    rows: &mut Bitmap,
) -> EngineResult<()> {
    let passes = predicate.evaluate(batch)?.into_array(batch.num_rows())?;
    let passes = passes.as_boolean();
    let bits = match passes.nulls() {
        Some(known) => passes.values() & known.inner(),
        None => passes.values().clone(),
    };
    bits.set_indices().for_each(|row| rows.insert((start + row) as u32));
    Ok(())
}
