//! Pages of a row group, decoded or as they were kept, and rows taken out of them.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef};
use datafusion::arrow::compute::{concat_batches, interleave};
use datafusion::arrow::record_batch::RecordBatch;
use datafusion::common::{HashMap, exec_err, internal_err};
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::{FileSource, ParquetSource};
use datafusion::error::Result;
use datafusion::parquet::arrow::arrow_reader::{RowSelection, RowSelector};
use datafusion::parquet::arrow::{ParquetRecordBatchStreamBuilder, ProjectionMask};
use datafusion::parquet::file::page_index::offset_index::PageLocation;
use datafusion::physical_plan::metrics::MetricBuilder;
use futures::{StreamExt, TryStreamExt, stream};

use super::lookup::reader;
use super::pages::{self, Opened};

/// Ranges of pages that are read at once.
const AT_ONCE: usize = 16;

/// Which rows of a row group are in which page.
pub(super) struct Layout {
    opened: Arc<Opened>,
    row_group: usize,
}

impl Layout {
    /// The layout of a file that has an offset index.
    pub fn new(opened: &Arc<Opened>, row_group: usize) -> Self {
        Self { opened: Arc::clone(opened), row_group }
    }

    /// Where the pages of a column start; those of its first leaf if it is nested.
    fn locations(&self, column: usize) -> &[PageLocation] {
        let leaf = self.opened.leaves[column];
        let index = self.opened.metadata.metadata().offset_index();
        index.map_or(&[], |index| index[self.row_group][leaf].page_locations())
    }

    /// The rows of a page, counted from the start of the row group.
    pub fn rows(&self, column: usize, page: usize) -> Range<usize> {
        let locations = self.locations(column);
        let start = |page: usize| locations.get(page).map(|page| page.first_row_index as usize);
        let row_group = self.opened.metadata.metadata().row_group(self.row_group);
        let end = || row_group.num_rows() as usize;
        start(page).unwrap_or_else(end)..start(page + 1).unwrap_or_else(end)
    }

    /// The page that has a row.
    pub fn page_of(&self, column: usize, row: usize) -> usize {
        let locations = self.locations(column);
        locations.partition_point(|page| page.first_row_index as usize <= row).saturating_sub(1)
    }

    /// Rows of the row groups before.
    pub fn rows_before(&self) -> i64 {
        let groups = self.opened.metadata.metadata().row_groups();
        groups.iter().take(self.row_group).map(|group| group.num_rows()).sum()
    }

    fn key(&self, column: usize, page: usize) -> pages::PageKey {
        (self.opened.number, self.row_group as u32, column as u32, page as u32)
    }
}

/// Pages of one row group, as far as they have been asked for.
pub(super) struct Reading<'a> {
    pub layout: Layout,
    source: &'a ParquetSource,
    file: &'a PartitionedFile,
    pages: HashMap<(usize, usize), ArrayRef>,
}

impl<'a> Reading<'a> {
    pub fn new(layout: Layout, source: &'a ParquetSource, file: &'a PartitionedFile) -> Self {
        Self { layout, source, file, pages: HashMap::new() }
    }

    /// Gets pages (column, page), reading those that are not kept.
    pub async fn fetch(&mut self, wanted: &[(usize, usize)]) -> Result<()> {
        let mut missing: BTreeMap<(usize, usize), Vec<(usize, usize)>> = BTreeMap::new();
        let (mut read, mut kept) = (0, 0);
        for &(column, page) in wanted {
            if self.pages.contains_key(&(column, page)) {
                continue;
            }
            match pages::page(&self.layout.key(column, page)) {
                Some(page_kept) => {
                    kept += 1;
                    self.pages.insert((column, page), page_kept);
                }
                None => {
                    read += 1;
                    let rows = self.layout.rows(column, page);
                    missing.entry((rows.start, rows.end)).or_default().push((column, page));
                }
            }
        }
        self.count("pages_read", read);
        self.count("pages_kept", kept);
        let this = &*self;
        let read = stream::iter(missing).map(async |((start, end), mut wanted)| {
            wanted.sort_unstable();
            wanted.dedup();
            let columns = wanted.iter().map(|(column, _)| *column);
            let batch = this.decoded(start..end, columns).await?;
            if batch.num_columns() != wanted.len() || batch.num_rows() != end - start {
                return exec_err!(
                    "pages of {} are not as they say",
                    this.file.object_meta.location
                );
            }
            Ok(wanted.into_iter().zip(batch.columns().to_vec()).collect::<Vec<_>>())
        });
        let read: Vec<Vec<_>> = read.buffer_unordered(AT_ONCE).try_collect().await?;
        for ((column, page), array) in read.into_iter().flatten() {
            pages::keep_page(self.layout.key(column, page), Arc::clone(&array));
            self.pages.insert((column, page), array);
        }
        Ok(())
    }

    fn count(&self, what: &'static str, pages: usize) {
        MetricBuilder::new(self.source.metrics()).global_counter(what).add(pages);
    }

    async fn decoded(
        &self,
        rows: Range<usize>,
        columns: impl Iterator<Item = usize>,
    ) -> Result<RecordBatch> {
        let Some(reader) = reader(self.source, self.file)? else {
            return internal_err!("a scan without a reader");
        };
        let metadata = self.layout.opened.metadata.clone();
        let mask = ProjectionMask::roots(metadata.parquet_schema(), columns);
        let selectors = vec![RowSelector::skip(rows.start), RowSelector::select(rows.len())];
        let stream = ParquetRecordBatchStreamBuilder::new_with_metadata(reader, metadata)
            .with_row_groups(vec![self.layout.row_group])
            .with_projection(mask)
            .with_row_selection(RowSelection::from(selectors))
            .with_batch_size(rows.len().max(1))
            .build()?;
        let schema = Arc::clone(stream.schema());
        let batches: Vec<RecordBatch> = stream.try_collect().await?;
        match batches.as_slice() {
            [batch] => Ok(batch.clone()),
            batches => Ok(concat_batches(&schema, batches)?),
        }
    }

    /// A page that was fetched.
    pub fn page(&self, column: usize, page: usize) -> Result<&ArrayRef> {
        match self.pages.get(&(column, page)) {
            Some(page) => Ok(page),
            None => internal_err!("page {page} of column {column} was not fetched"),
        }
    }

    /// Rows of a column, whose pages were fetched.
    pub fn taken(&self, column: usize, rows: &[usize]) -> Result<ArrayRef> {
        let mut parts: Vec<&dyn Array> = Vec::new();
        let mut places = Vec::with_capacity(rows.len());
        let mut current: Option<(usize, Range<usize>)> = None;
        for row in rows {
            if current.as_ref().is_none_or(|(_, range)| !range.contains(row)) {
                let page = self.layout.page_of(column, *row);
                parts.push(self.page(column, page)?.as_ref());
                current = Some((page, self.layout.rows(column, page)));
            }
            let start = current.as_ref().map_or(0, |(_, range)| range.start);
            places.push((parts.len() - 1, row - start));
        }
        Ok(interleave(&parts, &places)?)
    }
}
