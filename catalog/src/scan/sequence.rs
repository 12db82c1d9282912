//! The order in which rows were written, as a column: the row id, which a file's rows have from its
//! first row's on, or carry themselves once files are merged.
//!
//! Rows of this transaction have no row ids yet; they come after all others.

use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, Int64Array};
use datafusion::arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::ScalarValue;
use datafusion::error::Result;
use datafusion::logical_expr::Operator;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::{BinaryExpr, CaseExpr, Column, IsNotNullExpr, lit};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::filter::FilterExec;
use datafusion::physical_plan::projection::ProjectionExec;

use crate::model::{
    self, DataFile, INLINED_LOCAL, InlinedRows, POSITION_COLUMN, ROW_ID_COLUMN, ROW_ID_FIELD,
    SEQUENCE_COLUMN, Table,
};

/// Partition column of a numbered scan: the number of a file's first row.
const START_COLUMN: &str = "__sextant_start";
/// Where numbers of rows that this transaction has inserted begin: in the catalog, in files.
const LOCAL_ROWS: i64 = 1 << 60;
const LOCAL_FILES: i64 = 1 << 61;
/// Local files, and rows of one, that are told apart.
const FILES: i64 = 1 << 20;
const ROWS: i64 = 1 << 40;

/// The column as the table's scan shows it.
pub(super) fn field() -> FieldRef {
    Arc::new(Field::new(SEQUENCE_COLUMN, DataType::Int64, true))
}

/// See `START_COLUMN`.
pub(super) fn start_field() -> FieldRef {
    Arc::new(Field::new(START_COLUMN, DataType::Int64, false))
}

/// The number of the file's first row.
pub(super) fn start(file: &DataFile) -> ScalarValue {
    let local = || LOCAL_FILES + (file.id % FILES) * ROWS;
    ScalarValue::Int64(Some(file.row_id_start.unwrap_or_else(local)))
}

/// The table with the row ids that merged files carry.
pub(super) fn with_row_ids(table: &Table) -> Table {
    let mut table = table.clone();
    table.columns.push(model::Column::origin(ROW_ID_FIELD, ROW_ID_COLUMN));
    table
}

/// The numbers of rows kept in the catalog.
pub(super) fn of_inlined(rows: &InlinedRows) -> ArrayRef {
    let first = if rows.file == INLINED_LOCAL { LOCAL_ROWS } else { 0 };
    Arc::new(Int64Array::from_iter_values(rows.positions.iter().map(|row| first + row)))
}

/// Of rows that end with the number those with at least `first`, in the columns of `fields`.
pub(super) fn later<'f>(
    input: Arc<dyn ExecutionPlan>,
    first: i64,
    fields: impl Iterator<Item = &'f Field>,
) -> Result<Arc<dyn ExecutionPlan>> {
    let schema = input.schema();
    let number = Arc::new(Column::new_with_schema(SEQUENCE_COLUMN, &schema)?);
    let is_later = BinaryExpr::new(number, Operator::GtEq, lit(first));
    let rows = Arc::new(FilterExec::try_new(Arc::new(is_later), input)?);
    let mut items: Vec<(Arc<dyn PhysicalExpr>, String)> = Vec::new();
    for field in fields {
        let column = Column::new_with_schema(field.name(), &schema)?;
        items.push((Arc::new(column), field.name().clone()));
    }
    Ok(Arc::new(ProjectionExec::try_new(items, rows)?))
}

/// A scan's columns with the number in place of what it is made of.
pub(super) fn numbered(input: Arc<dyn ExecutionPlan>) -> Result<Arc<dyn ExecutionPlan>> {
    let schema = input.schema();
    let column = |name: &str| {
        let index = schema.index_of(name)?;
        Ok::<_, datafusion::error::DataFusionError>(Arc::new(Column::new(name, index)) as _)
    };
    let (carried, start): (Arc<dyn PhysicalExpr>, _) =
        (column(ROW_ID_COLUMN)?, column(START_COLUMN)?);
    let counted = BinaryExpr::new(start, Operator::Plus, column(POSITION_COLUMN)?);
    let is_carried = Arc::new(IsNotNullExpr::new(Arc::clone(&carried)));
    let sequence = CaseExpr::try_new(None, vec![(is_carried, carried)], Some(Arc::new(counted)))?;
    let mut items: Vec<(Arc<dyn PhysicalExpr>, String)> = Vec::new();
    for field in schema.fields() {
        let name = field.name();
        if name == ROW_ID_COLUMN {
            break;
        }
        items.push((column(name)?, name.clone()));
    }
    items.push((Arc::new(sequence), SEQUENCE_COLUMN.to_owned()));
    Ok(Arc::new(ProjectionExec::try_new(items, input)?))
}
