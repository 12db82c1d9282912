//! Parts of a table's rows: those that a vector index covers, those that it does not, and some by
//! their numbers.

use std::collections::HashSet;
use std::sync::Arc;

use datafusion::arrow::array::RecordBatch;
use datafusion::common::Statistics;
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::FileGroup;
use datafusion::datasource::physical_plan::parquet::ParquetRowSelection;
use datafusion::error::Result;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::parquet::arrow::arrow_reader::{RowSelection, RowSelector};
use datafusion::physical_plan::ExecutionPlan;
use futures::TryStreamExt;
use kernels::vectors::Bitmap;

use super::{LakeTable, partitioned};
use crate::indexes::{Segment, SegmentFile, TableIndex};
use crate::model::{DataFile, TableRows};

impl LakeTable {
    /// The same, with the vector indexes that it has.
    pub fn indexed(self, indexes: Vec<TableIndex>) -> Self {
        Self { indexes: indexes.into(), ..self }
    }

    /// Its vector indexes; none of a part of its rows, or with columns that tables do not have.
    pub fn indexes(&self) -> &[TableIndex] {
        match self.addressed || self.sequenced || self.first_row.is_some() {
            true => &[],
            false => &self.indexes,
        }
    }

    /// The rows that no segment of the index covers.
    pub fn pending(&self, index: &TableIndex) -> Self {
        let covered: HashSet<_> = index.segments.files().collect();
        let files = self.rows.files.iter().filter(|file| !covered.contains(&file.id));
        let files = files.cloned().collect();
        let rows = TableRows { files, inlined: self.rows.inlined.clone() };
        Self { rows: Arc::new(rows), indexes: Arc::default(), ..self.clone() }
    }

    /// The rows that segments cover, with the file and position of each.
    pub fn covered(&self, index: &TableIndex) -> Self {
        let covered: HashSet<_> = index.segments.files().collect();
        let files = self.rows.files.iter().filter(|file| covered.contains(&file.id));
        let rows = TableRows { files: files.cloned().collect(), inlined: Vec::new() };
        Self::new(self.store_url.clone(), Arc::clone(&self.table), Arc::new(rows), true)
    }

    /// The rows of a segment that are gone; None if all are there.
    pub fn hidden(&self, segment: &SegmentFile) -> Option<Bitmap> {
        let mut hidden = Bitmap::default();
        for (covered, first) in segment.numbered() {
            let number = |position: u64| u32::try_from(first + position).unwrap_or(u32::MAX);
            match self.file(covered.file) {
                None => (0..covered.rows).for_each(|position| hidden.insert(number(position))),
                Some(file) => {
                    let deleted = file.deleted.iter().flat_map(|deleted| deleted.iter());
                    deleted.for_each(|position| hidden.insert(number(position)));
                }
            }
        }
        (hidden.ones() > 0).then_some(hidden)
    }

    /// Columns, given by their places, of the rows that a segment covers, file by file with the
    /// number of each one's first row. They stay in memory with the segment. Of files that are gone
    /// there are none, rows that were deleted are there.
    pub async fn included(
        &self,
        context: &Arc<TaskContext>,
        segment: &Segment,
        projection: &[usize],
    ) -> Result<Vec<(u64, Arc<[RecordBatch]>)>> {
        let column = |place: &usize| {
            let column = &self.table.columns[*place];
            (column.id, column.field.data_type().clone())
        };
        let columns: Vec<_> = projection.iter().map(column).collect();
        let mut all = Vec::new();
        for (covered, first) in segment.file().numbered() {
            let Some(file) = self.file(covered.file) else { continue };
            let of = (covered.file, columns.clone());
            let rows = match segment.held_columns(&of) {
                Some(rows) => rows,
                None => {
                    let files = vec![partitioned(file, false)?];
                    let rows: Vec<_> =
                        self.rows_of(context, files, projection)?.try_collect().await?;
                    let rows: Arc<[RecordBatch]> = rows.into();
                    segment.hold_columns(of, Arc::clone(&rows));
                    rows
                }
            };
            all.push((first, rows));
        }
        Ok(all)
    }

    fn file(&self, id: i64) -> Option<&Arc<DataFile>> {
        self.rows.files.iter().find(|file| file.id == id)
    }

    /// Rows of a segment in the order of their numbers, which ascend and are of live files:
    /// `projection` are columns of the table.
    pub fn numbered(
        &self,
        context: &Arc<TaskContext>,
        segment: &SegmentFile,
        numbers: &[u32],
        projection: &[usize],
    ) -> Result<SendableRecordBatchStream> {
        let mut rest = numbers;
        let mut files = Vec::new();
        for (covered, first) in segment.numbered() {
            let end = rest.partition_point(|number| u64::from(*number) < first + covered.rows);
            let (own, later) = rest.split_at(end);
            rest = later;
            if let (Some(file), false) = (self.file(covered.file), own.is_empty()) {
                let positions = own.iter().map(|number| u64::from(*number) - first);
                let selection = selection(positions, file.rows);
                let file = partitioned(file, false)?;
                files.push(file.with_extension(ParquetRowSelection::new(selection)));
            }
        }
        self.rows_of(context, files, projection)
    }

    /// The rows of files one after the other.
    fn rows_of(
        &self,
        context: &Arc<TaskContext>,
        files: Vec<PartitionedFile>,
        projection: &[usize],
    ) -> Result<SendableRecordBatchStream> {
        let unknown = Statistics::new_unknown(&self.table.arrow_schema());
        let place = (context.runtime_env(), context.session_config().options().as_ref());
        let groups = vec![FileGroup::new(files)];
        let scan = self.parquet(place, (groups, unknown), projection.to_vec(), false)?;
        scan.execute(0, Arc::clone(context))
    }
}

/// Single rows of a file.
fn selection(positions: impl Iterator<Item = u64>, rows: u64) -> RowSelection {
    let mut selectors = Vec::new();
    let mut next = 0;
    for position in positions {
        if position > next {
            selectors.push(RowSelector::skip((position - next) as usize));
        }
        selectors.push(RowSelector::select(1));
        next = position + 1;
    }
    if rows > next {
        selectors.push(RowSelector::skip((rows - next) as usize));
    }
    selectors.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_selected_one_by_one() {
        let selected = selection([0, 1, 5].into_iter(), 8);
        let expected = RowSelection::from(vec![
            RowSelector::select(2),
            RowSelector::skip(3),
            RowSelector::select(1),
            RowSelector::skip(2),
        ]);
        assert_eq!(selected, expected);
        assert_eq!(selected.row_count(), 3);
    }
}
