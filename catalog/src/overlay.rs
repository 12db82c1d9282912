//! What one transaction has done to the rows of one table, and how a table looks with it.
//!
//! ```text
//!   committed rows ── less deleted ──┐
//!   own files      ── less deleted ──┼──▶ TableRows of a scan inside the transaction
//!   own rows       ── less deleted ──┘
//! ```
//! The same function makes the cached rows of the next snapshot out of those of the last one.

use std::collections::BTreeMap;
use std::sync::Arc;

use datafusion::arrow::array::BooleanArray;
use datafusion::arrow::compute::{cast, concat_batches, filter_record_batch};
use datafusion::arrow::record_batch::RecordBatch;
use roaring::RoaringTreemap;

use crate::error::{Error, Result};
use crate::metadata::inlined;
use crate::model::{
    Column, DataFile, FileId, INLINED, INLINED_LOCAL, InlinedRows, PROVISIONAL, Table, TableRows,
};

/// Rows appended in this transaction, as the table was then.
#[derive(Debug, Clone)]
pub struct LocalRows {
    pub table: Arc<Table>,
    pub rows: InlinedRows,
}

#[derive(Debug, Clone, Default)]
pub struct Overlay {
    /// Own files with provisional ids, less their own deletions.
    pub files: Vec<Arc<DataFile>>,
    /// Own rows to be inlined.
    pub rows: Vec<LocalRows>,
    /// Deleted positions of committed files and, under `INLINED`, of committed inlined rows.
    pub deleted: BTreeMap<FileId, RoaringTreemap>,
    /// The files of `deleted` as they were, to find their rows again when upkeep has moved them.
    pub origins: BTreeMap<FileId, Arc<DataFile>>,
    pub deleted_local: RoaringTreemap,
    pub truncated: bool,
    pub depends: bool,
    next_local: i64,
}

impl Overlay {
    pub fn is_empty(&self) -> bool {
        !self.truncated && !self.has_deletes() && self.files.is_empty() && self.rows.is_empty()
    }

    pub fn has_deletes(&self) -> bool {
        self.deleted.values().any(|positions| !positions.is_empty())
    }

    pub fn append(&mut self, table: &Arc<Table>, batch: RecordBatch) {
        let rows = i64::try_from(batch.num_rows()).unwrap_or(i64::MAX);
        if rows == 0 {
            return;
        }
        let positions = (self.next_local..self.next_local + rows).collect();
        self.next_local += rows;
        self.rows.push(LocalRows {
            table: Arc::clone(table),
            rows: InlinedRows { file: INLINED_LOCAL, positions: Arc::new(positions), batch },
        });
        self.compact();
    }

    /// Merges small batches, so that thousands of one-row inserts are a handful of batches.
    fn compact(&mut self) {
        while let [.., first, second] = self.rows.as_slice() {
            let alike = Arc::ptr_eq(&first.table, &second.table);
            let merged = alike.then(|| merge(&first.rows, &second.rows)).flatten();
            let Some(rows) = merged else {
                return;
            };
            let table = Arc::clone(&second.table);
            self.rows.truncate(self.rows.len() - 2);
            self.rows.push(LocalRows { table, rows });
        }
    }

    pub fn delete(&mut self, addresses: &BTreeMap<FileId, RoaringTreemap>) {
        for (file, positions) in addresses {
            if *file == INLINED_LOCAL {
                self.deleted_local |= positions;
            } else if *file < PROVISIONAL {
                *self.deleted.entry(*file).or_default() |= positions;
            } else if let Some(own) = self.files.iter_mut().find(|f| f.id == *file) {
                *own = Arc::new(without(own, positions));
            }
        }
    }

    pub fn truncate(&mut self) {
        *self = Self {
            truncated: true,
            depends: self.depends,
            next_local: self.next_local,
            ..Self::default()
        };
    }

    /// Own rows that live, in the table's present columns.
    pub fn local_rows(&self, table: &Table) -> Result<Vec<InlinedRows>> {
        let live = |local: &LocalRows| {
            let rows = live(&local.rows, &self.deleted_local)?;
            adapt(&rows, &local.table.columns, table)
        };
        let rows: Result<Vec<_>> = self.rows.iter().map(live).collect();
        Ok(rows?.into_iter().filter(|r| r.batch.num_rows() > 0).collect())
    }

    /// The table as this transaction sees it. `columns`: those the committed rows were read with.
    pub fn apply(
        &self,
        committed: &TableRows,
        columns: &[Column],
        table: &Table,
    ) -> Result<TableRows> {
        let mut rows = TableRows::default();
        if !self.truncated {
            rows = remaining(committed, &self.deleted)?;
            for chunk in &mut rows.inlined {
                *chunk = adapt(chunk, columns, table)?;
            }
        }
        rows.files.extend(self.files.iter().filter(|f| has_rows(f)).cloned());
        rows.inlined.extend(self.local_rows(table)?);
        Ok(rows)
    }
}

/// Committed rows less deleted ones.
pub fn remaining(
    rows: &TableRows,
    deleted: &BTreeMap<FileId, RoaringTreemap>,
) -> Result<TableRows> {
    let file = |file: &Arc<DataFile>| match deleted.get(&file.id) {
        None => Arc::clone(file),
        Some(positions) => Arc::new(without(file, positions)),
    };
    let none = RoaringTreemap::new();
    let gone = deleted.get(&INLINED).unwrap_or(&none);
    let inlined: Result<Vec<_>> = rows.inlined.iter().map(|chunk| live(chunk, gone)).collect();
    Ok(TableRows {
        files: rows.files.iter().map(file).filter(has_rows).collect(),
        inlined: inlined?.into_iter().filter(|r| r.batch.num_rows() > 0).collect(),
    })
}

fn has_rows(file: &Arc<DataFile>) -> bool {
    file.deleted.as_ref().is_none_or(|deleted| deleted.len() < file.rows)
}

fn without(file: &DataFile, positions: &RoaringTreemap) -> DataFile {
    let mut deleted = file.deleted.as_deref().cloned().unwrap_or_default();
    deleted |= positions;
    DataFile { deleted: Some(Arc::new(deleted)), ..file.clone() }
}

fn live(rows: &InlinedRows, deleted: &RoaringTreemap) -> Result<InlinedRows> {
    if deleted.is_empty() {
        return Ok(rows.clone());
    }
    let keeps = |position: &i64| !deleted.contains(position.unsigned_abs());
    let keep: BooleanArray = rows.positions.iter().map(|p| Some(keeps(p))).collect();
    if keep.true_count() == rows.positions.len() {
        return Ok(rows.clone());
    }
    let batch = filter_record_batch(&rows.batch, &keep).map_err(|e| Error::Engine(e.into()))?;
    let positions = rows.positions.iter().copied().filter(|p| keeps(p)).collect();
    Ok(InlinedRows { file: rows.file, positions: Arc::new(positions), batch })
}

/// Rows read with some columns as rows of a table that was altered since.
pub fn adapt(rows: &InlinedRows, columns: &[Column], table: &Table) -> Result<InlinedRows> {
    if columns == table.columns {
        return Ok(rows.clone());
    }
    let mut arrays = Vec::with_capacity(table.columns.len());
    for column in &table.columns {
        let Some(index) = columns.iter().position(|old| old.id == column.id) else {
            arrays.push(inlined::constant(column, rows.batch.num_rows())?);
            continue;
        };
        let array = rows.batch.column(index);
        let array = cast(array, column.field.data_type());
        arrays.push(array.map_err(|e| Error::Engine(e.into()))?);
    }
    Ok(InlinedRows {
        file: rows.file,
        positions: Arc::clone(&rows.positions),
        batch: inlined::batch(table, arrays, rows.batch.num_rows())?,
    })
}

/// Appends a chunk of inlined rows; chunks grow geometrically.
pub fn push(chunks: &mut Vec<InlinedRows>, rows: InlinedRows) {
    chunks.push(rows);
    while let [.., first, second] = chunks.as_slice() {
        let Some(merged) = merge(first, second) else {
            return;
        };
        chunks.truncate(chunks.len() - 2);
        chunks.push(merged);
    }
}

/// Two neighbours as one, unless the first is far bigger or they differ in kind.
fn merge(first: &InlinedRows, second: &InlinedRows) -> Option<InlinedRows> {
    let worth = first.batch.num_rows() < 2 * second.batch.num_rows();
    if !worth || first.file != second.file || first.batch.schema() != second.batch.schema() {
        return None;
    }
    let schema = first.batch.schema();
    let batch = concat_batches(&schema, [&first.batch, &second.batch]).ok()?;
    let positions = first.positions.iter().chain(second.positions.iter()).copied();
    Some(InlinedRows { file: first.file, positions: Arc::new(positions.collect()), batch })
}
