//! Point reads: a few rows by the values of a column, from decoded pages that are kept.
//!
//! ```text
//!   k IN (3, 900) ─▶ page index of k ─▶ pages of k ─▶ rows ─▶ pages of other columns ─▶ rows
//!                                        └──────── kept decoded ────────┘
//! ```
//! Whether a scan is one is decided when its first rows are asked for, once for all partitions: by
//! then a join has found what it asks for, and the page index tells how much would be read. What
//! is read of a page has the whole filter applied to it.

use std::any::Any;
use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use datafusion::arrow::array::{
    Array, ArrayRef, AsArray, DynComparator, Int64Array, Scalar, make_comparator, new_empty_array,
};
use datafusion::arrow::compute::kernels::cmp;
use datafusion::arrow::compute::{SortOptions, filter_record_batch};
use datafusion::arrow::datatypes::{DataType, Schema as ArrowSchema, SchemaRef};
use datafusion::arrow::record_batch::{RecordBatch, RecordBatchOptions};
use datafusion::common::{ScalarValue, internal_err};
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::parquet::ParquetRowSelection;
use datafusion::datasource::physical_plan::{FileScanConfig, FileSource, ParquetSource};
use datafusion::error::Result;
use datafusion::parquet::arrow::arrow_reader::statistics::StatisticsConverter;
use datafusion::parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions};
use datafusion::parquet::arrow::async_reader::AsyncFileReader;
use datafusion::parquet::file::metadata::{PageIndexPolicy, ParquetMetaData};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::Literal;
use datafusion::physical_expr::projection::ProjectionExprs;
use datafusion::physical_expr::simplifier::PhysicalExprSimplifier;
use datafusion::physical_expr::utils::{collect_columns, reassign_expr_columns};
use datafusion::physical_expr_adapter::replace_columns_with_literals;
use datafusion::physical_expr_common::physical_expr::snapshot_physical_expr;

use futures::future::try_join_all;
use futures::{Stream, StreamExt, TryStreamExt, stream};

use super::decode;
use super::pages::{self, Opened};
use super::points::{Points, points};
use crate::model::POSITION_COLUMN;

/// Pages of a file in which each of the values may be, at most: in more of them it is where the
/// column has no order, and all of the file would be read.
const PAGES_A_VALUE: usize = 2;
/// The same of all the values together, besides.
const PAGES_BESIDES: usize = 4;
/// Pages of the column that is asked that are read at once.
const PAGES_AT_ONCE: usize = 16;
/// Rows after which no more pages are read for a batch.
const BATCH_ROWS: usize = 8192;
/// Files that are looked into.
const FILES: usize = 64;

/// What the partitions of one execution share.
#[derive(Debug, Default)]
pub(super) struct Shared {
    /// The same of the scan that reads whole pages.
    pub inner: Option<Arc<dyn Any + Send + Sync>>,
    pub lookup: tokio::sync::OnceCell<Option<Arc<Lookup>>>,
}

/// A scan that reads a few rows: of each partition its files.
#[derive(Debug)]
pub(super) struct Lookup {
    partitions: Vec<Vec<FileLookup>>,
}

/// The rows that a file may have.
#[derive(Debug)]
struct FileLookup {
    file: PartitionedFile,
    opened: Arc<Opened>,
    /// Columns of the file, and then the row's number if it is asked for.
    schema: SchemaRef,
    filter: Arc<dyn PhysicalExpr>,
    projection: ProjectionExprs,
    output: SchemaRef,
    points: Points,
    pages: Candidates,
}

/// A page of the column that is asked, and the values that may be in it.
#[derive(Debug, Clone)]
struct Candidate {
    page: usize,
    values: Range<usize>,
}

/// Of each row group its candidates.
type Candidates = Vec<(usize, Vec<Candidate>)>;

impl Lookup {
    /// Looks at what is asked; None: the scan is to be an ordinary one.
    pub async fn plan(config: &FileScanConfig) -> Result<Option<Arc<Self>>> {
        let Some(source) = config.file_source.downcast_ref::<ParquetSource>() else {
            return Ok(None);
        };
        let files = config.file_groups.iter().map(|group| group.len()).sum::<usize>();
        let Some(filter) = source.filter().filter(|_| files <= FILES && config.limit.is_none())
        else {
            return Ok(None);
        };
        let filter = snapshot_physical_expr(filter)?;
        if points(&filter).is_empty() {
            return Ok(None);
        }
        let filter = &filter;
        let partitions = config.file_groups.iter().map(|group| {
            let files = group.files().iter();
            try_join_all(files.map(|file| FileLookup::plan(config, source, file, filter)))
        });
        let partitions = try_join_all(partitions).await?;
        let partitions = partitions.into_iter().map(|files| files.into_iter().collect());
        let partitions: Option<Vec<Vec<FileLookup>>> = partitions.collect();
        Ok(partitions.map(|partitions| Arc::new(Self { partitions })))
    }

    /// The rows of a partition.
    pub fn read(
        self: Arc<Self>,
        partition: usize,
        config: Arc<FileScanConfig>,
    ) -> impl Stream<Item = Result<RecordBatch>> + Send {
        let files = self.partitions.get(partition).map_or(0, Vec::len);
        let places: Vec<(usize, usize)> = (0..files)
            .flat_map(|file| {
                (0..self.partitions[partition][file].pages.len()).map(move |g| (file, g))
            })
            .collect();
        let groups = places.into_iter().map(move |(file, group)| {
            let (lookup, config) = (Arc::clone(&self), Arc::clone(&config));
            stream::try_unfold(0, move |page| {
                let (lookup, config) = (Arc::clone(&lookup), Arc::clone(&config));
                async move { lookup.partitions[partition][file].read(group, page, &config).await }
            })
        });
        stream::iter(groups).flatten().try_filter_map(async |batch| Ok(batch))
    }
}

/// A reader of a file's bytes.
pub(super) fn reader(
    source: &ParquetSource,
    file: &PartitionedFile,
) -> Result<Option<Box<dyn AsyncFileReader>>> {
    let Some(factory) = source.parquet_file_reader_factory() else { return Ok(None) };
    let hint = file.metadata_size_hint.or(Some(super::FOOTER_HINT));
    Ok(Some(factory.create_reader(0, file.clone(), hint, source.metrics())?))
}

async fn open(
    config: &FileScanConfig,
    source: &ParquetSource,
    file: &PartitionedFile,
) -> Result<Option<Arc<Opened>>> {
    let object = &file.object_meta;
    let key = (config.object_store_url.clone(), object.location.to_string(), object.size);
    if let Some(opened) = pages::opened(&key) {
        return Ok(Some(opened));
    }
    let Some(mut reader) = reader(source, file)? else { return Ok(None) };
    let options = ArrowReaderOptions::new().with_page_index_policy(PageIndexPolicy::Optional);
    let metadata = reader.get_metadata(Some(&options)).await?;
    let opened = Arc::new(Opened::new(ArrowReaderMetadata::try_new(metadata, options)?));
    pages::keep_opened(key, Arc::clone(&opened));
    Ok(Some(opened))
}

impl FileLookup {
    async fn plan(
        config: &FileScanConfig,
        source: &ParquetSource,
        file: &PartitionedFile,
        filter: &Arc<dyn PhysicalExpr>,
    ) -> Result<Option<Self>> {
        if file.extension::<ParquetRowSelection>().is_some() {
            return Ok(None);
        }
        let Some(opened) = open(config, source, file).await? else { return Ok(None) };
        if opened.metadata.metadata().offset_index().is_none() {
            return Ok(None);
        }
        let virtual_columns = config.file_source.table_schema().virtual_columns();
        let with = |schema: &ArrowSchema| {
            let fields = schema.fields().iter().chain(virtual_columns).cloned();
            Arc::new(ArrowSchema::new(fields.collect::<Vec<_>>()))
        };
        let schema = with(opened.metadata.schema());
        let adapter = match &config.expr_adapter_factory {
            Some(factory) => factory.create(with(config.file_schema()), Arc::clone(&schema))?,
            None => return Ok(None),
        };
        let simplifier = PhysicalExprSimplifier::new(&schema);
        let constants = constants(config, file);
        let in_file = |expression: Arc<dyn PhysicalExpr>| {
            let expression = replace_columns_with_literals(expression, &constants)?;
            simplifier.simplify(adapter.rewrite(expression)?)
        };
        let filter = in_file(Arc::clone(filter))?;
        let Some(projection) = config.file_source.projection() else { return Ok(None) };
        let projection = projection.clone().try_map_exprs(in_file)?;
        let output = config.projected_schema()?;
        let Some((points, pages)) = chosen(&opened, file, &filter)? else { return Ok(None) };
        let file = file.clone();
        Ok(Some(Self { file, opened, schema, filter, projection, output, points, pages }))
    }

    /// Rows of a row group that match, from a page of the column that is asked on: as many pages as
    /// make a batch. With them the page to go on from; None: there is none.
    async fn read(
        &self,
        group: usize,
        from: usize,
        config: &FileScanConfig,
    ) -> Result<Option<(Option<RecordBatch>, usize)>> {
        let Some(source) = config.file_source.downcast_ref::<ParquetSource>() else {
            return internal_err!("a scan of other files");
        };
        let (row_group, candidates) = &self.pages[group];
        if from >= candidates.len() {
            return Ok(None);
        }
        let layout = decode::Layout::new(&self.opened, *row_group);
        let key = self.schema.index_of(&self.points.column)?;
        let mut reading = decode::Reading::new(layout, source, &self.file);
        let (mut rows, mut next) = (Vec::new(), from);
        for pages in candidates[from..].chunks(PAGES_AT_ONCE) {
            if rows.len() >= BATCH_ROWS {
                break;
            }
            let wanted: Vec<_> = pages.iter().map(|of| (key, of.page)).collect();
            reading.fetch(&wanted).await?;
            for Candidate { page, values } in pages {
                let first = reading.layout.rows(key, *page).start;
                let values = self.points.values.slice(values.start, values.len());
                let matching = matching(reading.page(key, *page)?, &values)?;
                rows.extend(matching.into_iter().map(|row| first + row));
            }
            next += pages.len();
        }
        if rows.is_empty() {
            return Ok(Some((None, next)));
        }
        self.rows(reading, &rows).await.map(|batch| Some((Some(batch), next)))
    }

    /// These rows of a row group: what the filter leaves of them, as the scan gives them.
    async fn rows(&self, mut reading: decode::Reading<'_>, rows: &[usize]) -> Result<RecordBatch> {
        let asked = self.projection.column_indices();
        let filtered = collect_columns(&self.filter);
        let mut columns: Vec<usize> =
            asked.into_iter().chain(filtered.iter().map(|column| column.index())).collect();
        columns.sort_unstable();
        columns.dedup();
        let in_file = self.opened.metadata.schema().fields().len();
        let mut wanted = Vec::new();
        for column in columns.iter().filter(|column| **column < in_file) {
            let pages = rows.iter().map(|row| reading.layout.page_of(*column, *row));
            let mut pages: Vec<usize> = pages.collect();
            pages.dedup();
            wanted.extend(pages.into_iter().map(|page| (*column, page)));
        }
        reading.fetch(&wanted).await?;
        let array = |column: &usize| match *column < in_file {
            true => reading.taken(*column, rows),
            false => self.numbers(*column, &reading, rows),
        };
        let arrays: Vec<ArrayRef> = columns.iter().map(array).collect::<Result<_>>()?;
        let schema = Arc::new(self.schema.project(&columns)?);
        let options = RecordBatchOptions::new().with_row_count(Some(rows.len()));
        let batch = RecordBatch::try_new_with_options(Arc::clone(&schema), arrays, &options)?;
        let filter = reassign_expr_columns(Arc::clone(&self.filter), &schema)?;
        let kept = filter.evaluate(&batch)?.into_array(batch.num_rows())?;
        let batch = filter_record_batch(&batch, kept.as_boolean())?;
        let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
        let projected = self.projection.expr_iter().map(|expression| {
            let expression = reassign_expr_columns(expression, &schema)?;
            expression.evaluate(&batch)?.into_array(batch.num_rows())
        });
        let projected: Vec<ArrayRef> = projected.collect::<Result<_>>()?;
        Ok(RecordBatch::try_new_with_options(Arc::clone(&self.output), projected, &options)?)
    }

    /// Places of rows in the whole file.
    fn numbers(
        &self,
        column: usize,
        reading: &decode::Reading<'_>,
        rows: &[usize],
    ) -> Result<ArrayRef> {
        if self.schema.field(column).name() != POSITION_COLUMN {
            return internal_err!("column {} of no file", self.schema.field(column).name());
        }
        let before = reading.layout.rows_before();
        let numbers = rows.iter().map(|row| before + *row as i64);
        Ok(Arc::new(Int64Array::from_iter_values(numbers)))
    }
}

/// What a file says of itself: its columns in no file.
fn constants(config: &FileScanConfig, file: &PartitionedFile) -> HashMap<String, ScalarValue> {
    let columns = config.file_source.table_schema().table_partition_cols().iter();
    let named = columns.zip(&file.partition_values);
    named.map(|(field, value)| (field.name().clone(), value.clone())).collect()
}

/// The condition with the fewest pages to look into, and which these are; None: there is none, and
/// all has to be read.
fn chosen(
    opened: &Opened,
    file: &PartitionedFile,
    filter: &Arc<dyn PhysicalExpr>,
) -> Result<Option<(Points, Candidates)>> {
    if let Some(constant) = filter.downcast_ref::<Literal>() {
        let never = *constant.value() != ScalarValue::Boolean(Some(true));
        let nothing = Points { column: String::new(), values: new_empty_array(&DataType::Null) };
        return Ok(never.then(|| (nothing, Vec::new())));
    }
    let mut best: Option<(usize, (Points, Candidates))> = None;
    for points in points(filter) {
        let Some(pages) = candidates(opened, file, &points)? else { continue };
        let count = pages.iter().map(|(_, pages)| pages.len()).sum::<usize>();
        if best.as_ref().is_none_or(|(least, _)| count < *least) {
            best = Some((count, (points, pages)));
        }
    }
    Ok(best.map(|(_, chosen)| chosen))
}

/// The pages in which values may be; None: the file does not say, or they are too many.
fn candidates(
    opened: &Opened,
    file: &PartitionedFile,
    points: &Points,
) -> Result<Option<Candidates>> {
    let (schema, metadata) = (opened.metadata.schema(), opened.metadata.metadata());
    let Ok(field) = schema.field_with_name(&points.column) else { return Ok(None) };
    let indexes = (metadata.column_index(), metadata.offset_index());
    let (Some(index), Some(offsets)) = indexes else { return Ok(None) };
    if field.data_type() != points.values.data_type() || field.data_type().is_nested() {
        return Ok(None);
    }
    let parquet = opened.metadata.parquet_schema();
    let converter = StatisticsConverter::try_new(&points.column, schema, parquet)?;
    let (mut found, mut left) = (Vec::new(), PAGES_A_VALUE * points.values.len() + PAGES_BESIDES);
    for row_group in 0..metadata.num_row_groups() {
        if !is_in_range(metadata, row_group, file) || metadata.row_group(row_group).num_rows() == 0
        {
            continue;
        }
        let mins = converter.data_page_mins(index, offsets, [&row_group])?;
        let maxes = converter.data_page_maxes(index, offsets, [&row_group])?;
        let nulls = converter.data_page_null_counts(index, offsets, [&row_group])?;
        let counts =
            converter.data_page_row_counts(offsets, metadata.row_groups(), [&row_group])?;
        let Some(counts) = counts else { return Ok(None) };
        let between = Between::new(&mins, &maxes, &points.values)?;
        let mut pages = Vec::new();
        for page in 0..mins.len() {
            if mins.is_null(page) || maxes.is_null(page) {
                // Only NULLs are without bounds; who does not say so may hold anything.
                match nulls.is_valid(page) && nulls.value(page) == counts.value(page) {
                    true => continue,
                    false => return Ok(None),
                }
            }
            let values = between.range(page);
            let Some(rest) = left.checked_sub(values.len()) else { return Ok(None) };
            left = rest;
            if !values.is_empty() {
                pages.push(Candidate { page, values });
            }
        }
        if !pages.is_empty() {
            found.push((row_group, pages));
        }
    }
    Ok(Some(found))
}

/// A file that is read by several partitions: a row group is of the one in whose range it starts.
fn is_in_range(metadata: &ParquetMetaData, row_group: usize, file: &PartitionedFile) -> bool {
    let column = metadata.row_group(row_group).column(0);
    let start = column.dictionary_page_offset().unwrap_or_else(|| column.data_page_offset());
    file.range.as_ref().is_none_or(|range| range.contains(start))
}

/// Which of ascending values are between the bounds of a page.
struct Between<'a> {
    with_min: DynComparator,
    with_max: DynComparator,
    values: &'a ArrayRef,
}

impl<'a> Between<'a> {
    fn new(mins: &ArrayRef, maxes: &ArrayRef, values: &'a ArrayRef) -> Result<Self> {
        let order = SortOptions::default();
        let with_min = make_comparator(values, mins, order)?;
        let with_max = make_comparator(values, maxes, order)?;
        Ok(Self { with_min, with_max, values })
    }

    fn range(&self, page: usize) -> Range<usize> {
        let start = self.first(|value| (self.with_min)(value, page).is_ge());
        start..self.first(|value| (self.with_max)(value, page).is_gt()).max(start)
    }

    /// The first value of which something holds that holds of all after it.
    fn first(&self, holds: impl Fn(usize) -> bool) -> usize {
        let (mut low, mut high) = (0, self.values.len());
        while low < high {
            let middle = low.midpoint(high);
            match holds(middle) {
                true => high = middle,
                false => low = middle + 1,
            }
        }
        low
    }
}

/// Which rows of a page have one of the values, in their order.
fn matching(page: &ArrayRef, values: &ArrayRef) -> Result<Vec<usize>> {
    let mut rows: Vec<usize> = Vec::new();
    for value in 0..values.len() {
        let equal = cmp::eq(page, &Scalar::new(values.slice(value, 1)))?;
        let is = match equal.nulls() {
            None => equal.values().clone(),
            Some(valid) => equal.values() & valid.inner(),
        };
        rows.extend(is.set_indices());
    }
    if values.len() > 1 {
        rows.sort_unstable();
    }
    Ok(rows)
}
