//! Runs a change's plan and writes what it says: deletions as positions, rows to Parquet or, when
//! they are few, into the catalog.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use catalog::{FileId, Lake, NewFile, ObjectId, TableWriter};
use datafusion::arrow::array::{Array, ArrayRef, AsArray, BooleanArray, Int64Array, RecordBatch};
use datafusion::arrow::compute::filter_record_batch;
use datafusion::arrow::datatypes::{Int64Type, Schema, SchemaRef};
use datafusion::arrow::row::{OwnedRow, RowConverter, SortField};
use datafusion::common::runtime::JoinSet;
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryReservation};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::{LogicalPlan, LogicalPlanBuilder};
use datafusion::physical_plan::{ExecutionPlanProperties, execute_stream};
use datafusion::prelude::col;
use futures::StreamExt;
use roaring::RoaringTreemap;

use super::check::Checker;
use super::kept::Kept;
use super::{Change, DELETE, INSERT, Shape, Twice, ident, returning};
use crate::error::{Error, Result};
use crate::plan::{Environment, Lakes};

/// What a change did.
pub struct Applied {
    /// Rows inserted, updated or deleted.
    pub count: u64,
    /// RETURNING's rows, all of them: an error in one is the statement's.
    pub returned: Option<Kept>,
}

/// Rows of one table by file and position.
type Addresses = BTreeMap<FileId, RoaringTreemap>;

/// Rows that earlier parts of a statement have changed, by table and whether it is temporary: a
/// later part leaves them alone.
#[derive(Default)]
pub struct Touched(BTreeMap<(bool, ObjectId), Addresses>);

/// Runs the change inside the statement's transaction. A failed one leaves nothing.
pub async fn apply(
    environment: &Environment,
    lakes: &mut Lakes,
    change: &Change,
) -> Result<Applied> {
    apply_after(environment, lakes, change, &mut Touched::default()).await
}

/// `apply` of one part of a statement, after others.
pub async fn apply_after(
    environment: &Environment,
    lakes: &mut Lakes,
    change: &Change,
    touched: &mut Touched,
) -> Result<Applied> {
    let touched = touched.0.entry((change.place.temp, change.table.id)).or_default();
    let lake = Arc::clone(lakes.view(&change.place).lake());
    let plan = sorted(change)?;
    let physical = environment.engine.create_physical_plan(&plan).await?;
    let task = environment.engine.task_ctx();
    let plain = change.shape == Shape::Rows && change.returning.is_none();
    let outcome = if plain && physical.output_partitioning().partition_count() > 1 {
        parallel_insert(environment, &lake, change, physical, &task).await?
    } else {
        let stream = execute_stream(physical, Arc::clone(&task))?;
        let mut run = Run::new(environment, &lake, (change, touched), &task)?;
        match run.consume(stream).await {
            Ok(()) => run.finish().await?,
            Err(error) => {
                run.writer.abort().await;
                return Err(error);
            }
        }
    };
    record(lakes, change, &outcome);
    let returned = match &change.returning {
        None => None,
        Some(returning) => {
            returning.rows.fill(outcome.returned);
            let physical = environment.engine.create_physical_plan(&returning.plan).await;
            returning.rows.fill(Vec::new());
            let rows = execute_stream(physical?, Arc::clone(&task))?;
            Some(Kept::collect(rows, &returning.schema(), &task).await?)
        }
    };
    drop(outcome.memory);
    for (file, positions) in outcome.deleted {
        *touched.entry(file).or_default() |= positions;
    }
    Ok(Applied { count: outcome.count, returned })
}

/// Tells the transaction what was written.
fn record(lakes: &mut Lakes, change: &Change, outcome: &Outcome) {
    let transaction = lakes.of(&change.place);
    let table = change.table.id;
    if change.depends {
        transaction.depends_on(table);
    }
    if !outcome.deleted.is_empty() {
        transaction.delete(table, &outcome.deleted);
    }
    for batch in &outcome.inlined {
        transaction.append_rows(table, batch.clone());
    }
    if !outcome.files.is_empty() {
        transaction.append_files(table, outcome.files.clone());
    }
}

/// New rows in the table's sort order.
fn sorted(change: &Change) -> Result<LogicalPlan> {
    if change.table.sort_by.is_empty() || change.shape == Shape::Actions {
        return Ok(change.plan.clone());
    }
    let keys = change.table.sort_by.iter();
    let keys = keys.map(|k| col(ident(&k.column)).sort(!k.descending, k.nulls_first));
    let plan = LogicalPlanBuilder::from(change.plan.clone()).sort(keys.collect::<Vec<_>>())?;
    Ok(plan.build()?)
}

#[derive(Default)]
struct Outcome {
    count: u64,
    deleted: Addresses,
    inlined: Vec<RecordBatch>,
    files: Vec<NewFile>,
    returned: Vec<RecordBatch>,
    /// What `returned` takes.
    memory: Option<MemoryReservation>,
}

/// Rows on their way out: held back while they may yet be few enough to be inlined.
struct Writer {
    writer: Option<TableWriter>,
    held: Vec<RecordBatch>,
    held_rows: usize,
    limit: usize,
    lake: Arc<Lake>,
    table: Arc<catalog::Table>,
    folder: String,
}

impl Writer {
    async fn write(&mut self, batch: RecordBatch) -> Result<()> {
        if self.writer.is_none() {
            self.held_rows += batch.num_rows();
            self.held.push(batch);
            if self.held_rows <= self.limit {
                return Ok(());
            }
            let mut writer = TableWriter::new(&self.lake, &self.folder, &self.table)?;
            for batch in self.held.drain(..) {
                writer.write(batch).await?;
            }
            self.writer = Some(writer);
            return Ok(());
        }
        match &mut self.writer {
            Some(writer) => Ok(writer.write(batch).await?),
            None => Ok(()),
        }
    }

    async fn finish(mut self) -> Result<(Vec<RecordBatch>, Vec<NewFile>)> {
        match self.writer.take() {
            Some(writer) => Ok((Vec::new(), writer.finish().await?)),
            None => Ok((self.held, Vec::new())),
        }
    }

    async fn abort(&mut self) {
        if let Some(writer) = self.writer.take() {
            writer.abort().await;
        }
    }
}

fn writer(lake: &Arc<Lake>, change: &Change, folder: &str, limit: usize) -> Writer {
    Writer {
        writer: None,
        held: Vec::new(),
        held_rows: 0,
        limit,
        lake: Arc::clone(lake),
        table: Arc::clone(&change.table),
        folder: folder.to_string(),
    }
}

/// One consumer of a change's plan.
struct Run<'a> {
    change: &'a Change,
    checker: Checker,
    writer: Writer,
    outcome: Outcome,
    /// Rows of the table that earlier parts of the statement have changed.
    earlier: &'a Addresses,
    keys: Option<(RowConverter, HashSet<OwnedRow>)>,
    memory: MemoryReservation,
}

impl<'a> Run<'a> {
    fn new(
        environment: &Environment,
        lake: &Arc<Lake>,
        (change, earlier): (&'a Change, &'a Addresses),
        task: &TaskContext,
    ) -> Result<Self> {
        let keys = match &change.distinct {
            None => None,
            Some((columns, _)) => {
                let fields = columns.iter().map(|index| {
                    SortField::new(change.table.columns[*index].field.data_type().clone())
                });
                let converter = RowConverter::new(fields.collect());
                Some((converter.map_err(arrow)?, HashSet::new()))
            }
        };
        let memory = MemoryConsumer::new(format!("{} {}", change.tag, change.table.name));
        Ok(Self {
            change,
            checker: Checker::new(environment, &change.place, &change.table)?,
            writer: writer(lake, change, &change.folder, lake.inline_row_limit()),
            outcome: Outcome::default(),
            earlier,
            keys,
            memory: memory.register(task.memory_pool()),
        })
    }

    async fn consume(&mut self, mut stream: SendableRecordBatchStream) -> Result<()> {
        while let Some(batch) = stream.next().await {
            let batch = batch?;
            match self.change.shape {
                Shape::Rows => self.rows(batch, &[], None).await?,
                Shape::Actions => self.actions(batch).await?,
            }
        }
        Ok(())
    }

    async fn finish(self) -> Result<Outcome> {
        let mut outcome = self.outcome;
        (outcome.inlined, outcome.files) = self.writer.finish().await?;
        outcome.memory = Some(self.memory);
        Ok(outcome)
    }

    /// Rows with what to do with them.
    async fn actions(&mut self, batch: RecordBatch) -> Result<()> {
        let batch = self.once(batch)?;
        if batch.num_rows() == 0 {
            return Ok(());
        }
        let actions = batch.column(0).as_primitive::<Int64Type>().clone();
        let table = &self.change.table;
        let (own, beside) = batch.columns()[3..].split_at(table.columns.len());
        let rows = RecordBatch::try_new(nullable(table), own.to_vec()).map_err(arrow)?;
        self.rows(rows, beside, Some(&actions)).await
    }

    /// Counts, checks, returns and writes rows; without actions all are new.
    async fn rows(
        &mut self,
        rows: RecordBatch,
        beside: &[ArrayRef],
        actions: Option<&Int64Array>,
    ) -> Result<()> {
        self.outcome.count += rows.num_rows() as u64;
        let new = match actions {
            None => rows.clone(),
            Some(actions) => {
                let new: BooleanArray = actions.iter().map(|a| Some(a != Some(DELETE))).collect();
                filter_record_batch(&rows, &new).map_err(arrow)?
            }
        };
        self.checker.check(&new)?;
        if let Some(returning) = &self.change.returning {
            let columns = rows.columns().iter().chain(beside).cloned();
            let batch = returning::batch(returning, columns, rows.num_rows(), actions)?;
            self.memory.try_grow(batch.get_array_memory_size())?;
            self.outcome.returned.push(batch);
        }
        match new.num_rows() {
            0 => Ok(()),
            _ => self.writer.write(new).await,
        }
    }

    /// Drops (or refuses) rows that an earlier one of this statement has dealt with; notes which
    /// are deleted.
    fn once(&mut self, batch: RecordBatch) -> Result<RecordBatch> {
        let actions = batch.column(0).as_primitive::<Int64Type>();
        let files = batch.column(1).as_primitive::<Int64Type>();
        let positions = batch.column(2).as_primitive::<Int64Type>();
        let keys = match (&mut self.keys, &self.change.distinct) {
            (Some((converter, _)), Some((columns, _))) => {
                let arrays: Vec<_> =
                    columns.iter().map(|c| Arc::clone(batch.column(c + 3))).collect();
                Some(converter.convert_columns(&arrays).map_err(arrow)?)
            }
            _ => None,
        };
        let mut keep = Vec::with_capacity(batch.num_rows());
        for row in 0..batch.num_rows() {
            let fresh = match actions.value(row) {
                INSERT => match (&keys, &mut self.keys, &self.change.distinct) {
                    (Some(keys), Some((_, seen)), Some((columns, twice))) => {
                        let null = columns.iter().any(|c| batch.column(c + 3).is_null(row));
                        null || seen_first(seen.insert(keys.row(row).owned()), twice)?
                    }
                    _ => true,
                },
                _ if self.is_gone(files.value(row), positions.value(row)) => false,
                _ => {
                    let deleted = self.outcome.deleted.entry(files.value(row)).or_default();
                    let fresh = deleted.insert(positions.value(row).unsigned_abs());
                    seen_first(fresh, &self.change.twice)?
                }
            };
            keep.push(fresh);
        }
        // A position takes two bytes at most; of keys each is kept.
        let held = match &keys {
            Some(keys) => keys.size() + batch.num_rows() * size_of::<OwnedRow>(),
            None => batch.num_rows() * size_of::<u16>(),
        };
        self.memory.try_grow(held)?;
        filter_record_batch(&batch, &BooleanArray::from(keep)).map_err(arrow)
    }

    /// Whether an earlier part of the statement has changed a row.
    fn is_gone(&self, file: FileId, position: i64) -> bool {
        let positions = self.earlier.get(&file);
        positions.is_some_and(|positions| positions.contains(position.unsigned_abs()))
    }
}

/// The table's columns; those of a deleted row are NULL unless RETURNING shows them.
fn nullable(table: &catalog::Table) -> SchemaRef {
    let fields = table.columns.iter().map(|c| c.field.as_ref().clone().with_nullable(true));
    Arc::new(Schema::new(fields.collect::<Vec<_>>()))
}

fn seen_first(fresh: bool, twice: &Twice) -> Result<bool> {
    match (fresh, twice) {
        (false, Twice::Fail(message)) => Err(Error::new("21000", *message)
            .with_hint("Ensure that no two rows of the source have one key.")),
        (fresh, _) => Ok(fresh),
    }
}

fn arrow(error: datafusion::arrow::error::ArrowError) -> Error {
    Error::Engine(error.into())
}

/// One writer per partition; the rows of all are inlined if they are few together.
async fn parallel_insert(
    environment: &Environment,
    lake: &Arc<Lake>,
    change: &Change,
    plan: Arc<dyn datafusion::physical_plan::ExecutionPlan>,
    task: &Arc<TaskContext>,
) -> Result<Outcome> {
    let partitions = plan.output_partitioning().partition_count();
    let limit = lake.inline_row_limit() / partitions;
    let mut tasks = JoinSet::new();
    for partition in 0..partitions {
        let stream = plan.execute(partition, Arc::clone(task))?;
        let checker = Checker::new(environment, &change.place, &change.table)?;
        let writer = writer(lake, change, &change.folder, limit);
        tasks.spawn(write_partition(stream, checker, writer));
    }
    let mut outcome = Outcome::default();
    let mut failed = None;
    while let Some(joined) = tasks.join_next().await {
        match joined {
            Ok(Ok((count, inlined, files))) => {
                outcome.count += count;
                outcome.inlined.extend(inlined);
                outcome.files.extend(files);
            }
            Ok(Err(error)) => {
                failed.get_or_insert(error);
            }
            Err(error) => {
                let error = datafusion::error::DataFusionError::ExecutionJoin(Box::new(error));
                failed.get_or_insert(Error::Engine(error));
            }
        }
    }
    match failed {
        None => Ok(outcome),
        Some(error) => {
            TableWriter::remove(lake, &change.folder, &outcome.files).await;
            Err(error)
        }
    }
}

async fn write_partition(
    mut stream: SendableRecordBatchStream,
    checker: Checker,
    mut writer: Writer,
) -> Result<(u64, Vec<RecordBatch>, Vec<NewFile>)> {
    let mut count = 0;
    while let Some(batch) = stream.next().await {
        let written = match batch.map_err(Error::Engine) {
            Ok(batch) => {
                count += batch.num_rows() as u64;
                match checker.check(&batch) {
                    Ok(()) => writer.write(batch).await,
                    Err(error) => Err(error),
                }
            }
            Err(error) => Err(error),
        };
        if let Err(error) = written {
            writer.abort().await;
            return Err(error);
        }
    }
    let (inlined, files) = writer.finish().await?;
    Ok((count, inlined, files))
}
