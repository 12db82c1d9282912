//! A table as DataFusion reads it: plain Parquet scans, plus the rows kept in the catalog.
//!
//! ```text
//!   UnionExec
//!   ├─ DataSourceExec (parquet)                 files without deletions
//!   ├─ DeletesExec ◀─ DataSourceExec (parquet)  files with deletions: row numbers from Parquet
//!   └─ DataSourceExec (memory)                  inlined rows
//! ```
//! Columns are found by field id, so a renamed column reads its old files and a new column of an
//! old name does not. An addressed scan ends with (file, position) for UPDATE, DELETE and MERGE, a
//! sequenced one with a number that tells what was written later.

mod codec;
mod columns;
mod decode;
mod deletes;
mod lookup;
mod pages;
mod parts;
mod points;
mod prune;
mod sequence;
mod source;
mod text;

use std::sync::Arc;

use async_trait::async_trait;
use datafusion::arrow::array::{ArrayRef, Int64Array};
use datafusion::arrow::datatypes::{DataType, Field, FieldRef, Schema as ArrowSchema, SchemaRef};
use datafusion::arrow::record_batch::RecordBatch;
use datafusion::catalog::Session;
use datafusion::common::config::{ConfigOptions, TableParquetOptions};
use datafusion::common::stats::Precision;
use datafusion::common::{
    Constraint as EngineConstraint, Constraints, ScalarValue, Statistics, internal_err,
};
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::memory::MemorySourceConfig;
use datafusion::datasource::physical_plan::parquet::CachedParquetFileReaderFactory;
use datafusion::datasource::physical_plan::{FileGroup, FileScanConfigBuilder, ParquetSource};
use datafusion::datasource::source::DataSourceExec;
use datafusion::datasource::table_schema::TableSchema;
use datafusion::datasource::{TableProvider, TableType};
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::object_store::ObjectStoreUrl;
use datafusion::execution::runtime_env::RuntimeEnv;
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown};
use datafusion::parquet::arrow::RowNumber;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::empty::EmptyExec;
use datafusion::physical_plan::union::UnionExec;
use object_store::path::Path;

use crate::error::Error;
use crate::indexes::TableIndex;
use crate::model::{
    ADDRESS_TYPE, Constraint, DataFile, FILE_COLUMN, InlinedRows, POSITION_COLUMN, SEQUENCE_COLUMN,
    SnapshotId, Table, TableRows,
};

pub use codec::LakeCodec;
pub(crate) use columns::FIELD_ID;
pub use deletes::DeletesExec;
pub use pages::keep_pages;
pub use source::LakeScan;

/// Bytes at a file's end that are read first: footer and page index of most files.
const FOOTER_HINT: usize = 64 * 1024;

/// See the module.
#[derive(Debug, Clone)]
pub struct LakeTable {
    store_url: ObjectStoreUrl,
    table: Arc<Table>,
    rows: Arc<TableRows>,
    addressed: bool,
    sequenced: bool,
    /// Rows with lesser row ids are left out.
    first_row: Option<i64>,
    unordered: bool,
    past: bool,
    indexes: Arc<[TableIndex]>,
    schema: SchemaRef,
    constraints: Constraints,
}

impl LakeTable {
    /// The table with the rows it has; `addressed`: with each row's file and position.
    pub fn new(
        store_url: ObjectStoreUrl,
        table: Arc<Table>,
        rows: Arc<TableRows>,
        addressed: bool,
    ) -> Self {
        let mut fields = columns::fields(&table);
        if addressed {
            fields.push(file_field());
            fields.push(Arc::new(Field::new(POSITION_COLUMN, ADDRESS_TYPE, false)));
        }
        let constraints = constraints(&table);
        let schema = Arc::new(ArrowSchema::new(fields));
        let (sequenced, past) = (false, false);
        let (first_row, unordered) = (None, false);
        Self {
            store_url,
            table,
            rows,
            addressed,
            sequenced,
            first_row,
            unordered,
            past,
            indexes: Arc::default(),
            schema,
            constraints,
        }
    }

    /// Where its lake's files are: no other lake has the same.
    pub fn store_url(&self) -> &ObjectStoreUrl {
        &self.store_url
    }

    /// The table that is read.
    pub fn table(&self) -> &Arc<Table> {
        &self.table
    }

    /// The same without the rows that have lesser row ids than this: those that were added after a
    /// snapshot, which had none from it on. Row ids of files that were merged have gaps, so that
    /// snapshots tell which files have none of the rows.
    pub fn from_row(self, first: i64, after: SnapshotId) -> Self {
        let newest = |file: &DataFile| file.partial_max.unwrap_or(file.begin_snapshot);
        let files = self.rows.files.iter().filter(|file| newest(file) > after).cloned().collect();
        let rows = TableRows { files, inlined: self.rows.inlined.clone() };
        Self { rows: Arc::new(rows), first_row: Some(first), ..self }
    }

    /// The same, whose rows have no order in which they were written.
    pub fn unordered(self) -> Self {
        Self { unordered: true, ..self }
    }

    /// The same with `SEQUENCE_COLUMN` as its last; None for a table with addresses, or of no
    /// order, or that has such a column.
    pub fn sequenced(&self) -> Option<Self> {
        if self.addressed || self.unordered || self.table.column(SEQUENCE_COLUMN).is_some() {
            return None;
        }
        let mut fields = self.schema.fields().to_vec();
        fields.push(sequence::field());
        Some(Self {
            table: Arc::new(sequence::with_row_ids(&self.table)),
            schema: Arc::new(ArrowSchema::new(fields)),
            sequenced: true,
            ..self.clone()
        })
    }

    /// The same, named by a version or a time and not by the statement's own snapshot.
    pub fn of_the_past(self) -> Self {
        Self { past: true, ..self }
    }

    /// See `of_the_past`.
    pub fn is_past(&self) -> bool {
        self.past
    }

    /// A scan of the rows with row ids from `first` on.
    async fn later(
        &self,
        session: &dyn Session,
        projection: &[usize],
        filters: &[Expr],
        first: i64,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let Some(numbered) = (if self.sequenced { Some(self.clone()) } else { self.sequenced() })
        else {
            return internal_err!("rows that have no order have none that are later");
        };
        let last = numbered.schema.fields().len() - 1;
        let columns = projection.iter().copied().filter(|index| *index != last).chain([last]);
        let columns: Vec<usize> = columns.collect();
        let numbered = Self { first_row: None, ..numbered };
        let rows = numbered.scan(session, Some(&columns), filters, None).await?;
        sequence::later(rows, first, projection.iter().map(|index| self.schema.field(*index)))
    }

    /// A Parquet scan of files; with row numbers where deletions or addresses need them.
    fn files(
        &self,
        session: &dyn Session,
        files: &[Arc<DataFile>],
        projection: &[usize],
        numbered: bool,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let partitions = session.config_options().execution.target_partitions;
        let statistics = self.statistics_of(files);
        let files: Result<Vec<_>> = files.iter().map(|file| partitioned(file, numbered)).collect();
        let groups = FileGroup::new(files?).split_files(partitions);
        let width = self.table.columns.len();
        let projection = projection.iter().copied().filter(|index| *index < width).collect();
        let place = (Arc::clone(session.runtime_env()), session.config_options());
        Ok(self.parquet(place, (groups, statistics), projection, numbered)?)
    }

    /// The same of files in groups.
    fn parquet(
        &self,
        (runtime, config): (Arc<RuntimeEnv>, &ConfigOptions),
        (groups, statistics): (Vec<FileGroup>, Statistics),
        mut projection: Vec<usize>,
        numbered: bool,
    ) -> Result<Arc<DataSourceExec>> {
        let fields = columns::fields(&self.table);
        let width = fields.len();
        let mut schema = TableSchema::builder(Arc::new(ArrowSchema::new(fields)));
        if numbered {
            let position = Field::new(POSITION_COLUMN, DataType::Int64, false);
            let position = Arc::new(position.with_extension_type(RowNumber));
            schema = schema
                .with_table_partition_cols(vec![file_field(), sequence::start_field()])
                .with_virtual_columns(vec![position]);
            if self.sequenced {
                // The row id takes the place of the number that is made of it.
                projection.retain(|index| *index + 1 < width);
                projection.extend([width - 1, width + 1]);
            }
            projection.extend([width, width + 2]);
        }
        let store = runtime.object_store(&self.store_url)?;
        let cache = runtime.cache_manager.get_file_metadata_cache();
        let options = TableParquetOptions {
            global: config.execution.parquet.clone(),
            ..TableParquetOptions::default()
        };
        let source = ParquetSource::new(schema.build())
            .with_table_parquet_options(options)
            .with_metadata_size_hint(FOOTER_HINT)
            .with_parquet_file_reader_factory(Arc::new(CachedParquetFileReaderFactory::new(
                store, cache,
            )));
        let config = FileScanConfigBuilder::new(self.store_url.clone(), Arc::new(source))
            .with_file_groups(groups)
            .with_statistics(statistics)
            .with_expr_adapter(Some(Arc::new(columns::ByFieldId)))
            .with_projection_indices(Some(projection))?
            .build();
        Ok(DataSourceExec::from_data_source(LakeScan::new(config)))
    }

    /// What the catalog knows of the files, for the optimizer to choose join sides by. Bounds are
    /// inexact: long text is cut, and NaN is in none.
    fn statistics_of(&self, files: &[Arc<DataFile>]) -> Statistics {
        let fields = columns::fields(&self.table);
        let mut statistics = Statistics::new_unknown(&ArrowSchema::new(fields));
        let rows: u64 = files.iter().map(|f| f.rows).sum();
        let bytes: u64 = files.iter().map(|f| f.size).sum();
        statistics.num_rows = Precision::Exact(rows as usize);
        statistics.total_byte_size = Precision::Inexact(bytes as usize);
        let known = self.table.columns.iter().zip(&mut statistics.column_statistics);
        for (column, known) in known {
            let (min, max) = prune::bounds(column, files);
            known.min_value = min.map_or(Precision::Absent, Precision::Inexact);
            known.max_value = max.map_or(Precision::Absent, Precision::Inexact);
            let nulls = files.iter().map(|f| f.stats.get(&column.id).map(|s| s.nulls));
            if let Some(nulls) = nulls.sum::<Option<u64>>() {
                known.null_count = Precision::Inexact(nulls as usize);
            }
        }
        statistics
    }

    /// Inlined rows, projected like the others.
    fn inlined(
        &self,
        inlined: &[InlinedRows],
        projection: &[usize],
    ) -> Result<Option<Arc<dyn ExecutionPlan>>> {
        let mut batches = Vec::with_capacity(inlined.len());
        for rows in inlined.iter().filter(|rows| rows.batch.num_rows() > 0) {
            let mut arrays: Vec<ArrayRef> = rows.batch.columns().to_vec();
            if self.addressed {
                let file = Int64Array::from_value(rows.file, rows.batch.num_rows());
                arrays.push(Arc::new(file));
                arrays.push(Arc::new(Int64Array::from(rows.positions.as_ref().clone())));
            }
            if self.sequenced {
                arrays.push(sequence::of_inlined(rows));
            }
            batches.push(RecordBatch::try_new(Arc::clone(&self.schema), arrays)?);
        }
        if batches.is_empty() {
            return Ok(None);
        }
        let schema = Arc::clone(&self.schema);
        let projection = Some(projection.to_vec());
        Ok(Some(MemorySourceConfig::try_new_exec(&[batches], schema, projection)?))
    }
}

#[async_trait]
impl TableProvider for LakeTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn constraints(&self) -> Option<&Constraints> {
        Some(&self.constraints)
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn supports_filters_pushdown(
        &self,
        filters: &[&Expr],
    ) -> Result<Vec<TableProviderFilterPushDown>> {
        Ok(vec![TableProviderFilterPushDown::Inexact; filters.len()])
    }

    fn statistics(&self) -> Option<Statistics> {
        let mut statistics = Statistics::new_unknown(&self.schema);
        let rows = self.rows.count() as usize;
        statistics.num_rows = match self.first_row {
            None => Precision::Exact(rows),
            Some(_) => Precision::Inexact(rows),
        };
        Some(statistics)
    }

    async fn scan(
        &self,
        session: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        _limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let all: Vec<usize> = (0..self.schema.fields().len()).collect();
        let projection = projection.unwrap_or(&all);
        if let Some(first) = self.first_row {
            return self.later(session, projection, filters, first).await;
        }
        let kept = prune::files(session, &self.table, &self.rows.files, filters)?;
        let has_deletes =
            |file: &Arc<DataFile>| file.deleted.as_ref().is_some_and(|d| !d.is_empty());
        let (dirty, clean): (Vec<_>, Vec<_>) = kept.into_iter().partition(has_deletes);
        let mut parts: Vec<Arc<dyn ExecutionPlan>> = Vec::new();
        let is_asked = |name: &str| projection.iter().any(|c| self.schema.field(*c).name() == name);
        let sequenced = self.sequenced && is_asked(SEQUENCE_COLUMN);
        if self.addressed {
            let files: Vec<_> = clean.into_iter().chain(dirty).collect();
            if !files.is_empty() {
                let input = self.files(session, &files, projection, true)?;
                parts.push(Arc::new(DeletesExec::new(input, &files, true)?));
            }
        } else {
            if !clean.is_empty() {
                let rows = self.files(session, &clean, projection, sequenced)?;
                parts.push(if sequenced { sequence::numbered(rows)? } else { rows });
            }
            if !dirty.is_empty() {
                let input = self.files(session, &dirty, projection, true)?;
                let rows = Arc::new(DeletesExec::new(input, &dirty, sequenced)?);
                parts.push(if sequenced { sequence::numbered(rows)? } else { rows });
            }
        }
        let parts: Result<Vec<_>> = parts
            .into_iter()
            .map(|part| deletes::reordered(part, &self.schema, projection))
            .collect();
        let mut parts = parts?;
        parts.extend(self.inlined(&self.rows.inlined, projection)?);
        match parts.len() {
            0 => Ok(Arc::new(EmptyExec::new(Arc::new(self.schema.project(projection)?)))),
            1 => Ok(parts.swap_remove(0)),
            _ => UnionExec::try_new(parts),
        }
    }
}

/// The hidden column that tells a row's file.
fn file_field() -> FieldRef {
    Arc::new(Field::new(FILE_COLUMN, ADDRESS_TYPE, false))
}

/// The catalog's path is the object's name as it is: what looks encoded in it is not decoded.
fn partitioned(file: &DataFile, numbered: bool) -> Result<PartitionedFile> {
    let mut partitioned = PartitionedFile::new("", file.size);
    partitioned.object_meta.location = Path::parse(&file.path).map_err(|error| {
        let (path, reason) = (file.path.clone(), error.to_string());
        DataFusionError::External(Box::new(Error::Object { path, reason }))
    })?;
    if numbered {
        partitioned.partition_values =
            vec![ScalarValue::Int64(Some(file.id)), sequence::start(file)];
    }
    Ok(partitioned)
}

/// Keys as the optimizer knows them. They are informational, so none is claimed to be unique:
/// a plan that trusted a broken key would give wrong answers.
fn constraints(table: &Table) -> Constraints {
    let enforced = |constraint: &Constraint| match constraint {
        Constraint::Check { .. }
        | Constraint::Unique { .. }
        | Constraint::ForeignKey { .. }
        | Constraint::Generated { .. }
        | Constraint::Index(_) => None::<EngineConstraint>,
    };
    Constraints::new_unverified(table.constraints.iter().filter_map(enforced).collect())
}
