//! What the catalog keeps of a file's columns, read from its footer.

use std::collections::HashMap;

use datafusion::arrow::array::{Array, ArrayRef};
use datafusion::arrow::compute::{SortOptions, sort_to_indices};
use datafusion::arrow::datatypes::{DataType, Schema as ArrowSchema};
use datafusion::parquet::arrow::arrow_reader::statistics::StatisticsConverter;
use datafusion::parquet::file::metadata::ParquetMetaData;

use super::floats::Floats;
use crate::error::{Error, Result};
use crate::model::{ColumnStats, Table};
use crate::types;

/// Statistics by column id: top-level columns with an order; the others have sizes and counts.
pub(super) fn of_file(
    table: &Table,
    schema: &ArrowSchema,
    metadata: &ParquetMetaData,
    floats: &Floats,
) -> Result<HashMap<i64, ColumnStats>> {
    let parquet = metadata.file_metadata().schema_descr();
    let mut found = HashMap::new();
    for column in &table.columns {
        if column.field.data_type().is_nested() {
            continue;
        }
        let mut stats = ColumnStats::default();
        for group in metadata.row_groups() {
            for chunk in group.columns() {
                if chunk.column_path().parts().first() == Some(&column.name) {
                    stats.size += chunk.compressed_size() as u64;
                    stats.values += chunk.num_values() as u64;
                }
            }
        }
        if floats.complete(column.id, &mut stats) {
            found.insert(column.id, stats);
            continue;
        }
        let converter = StatisticsConverter::try_new(&column.name, schema, parquet);
        let converter = converter.map_err(|e| Error::Engine(e.into()))?;
        let groups = metadata.row_groups();
        let failed = |e| Error::Engine(datafusion::error::DataFusionError::from(e));
        let nulls = converter.row_group_null_counts(groups).map_err(failed)?;
        stats.nulls = nulls.iter().flatten().sum();
        let low = converter.row_group_mins(groups).map_err(failed)?;
        let high = converter.row_group_maxes(groups).map_err(failed)?;
        let complete = groups.iter().zip(0..).all(|(group, index)| {
            low.is_valid(index) || nulls.value(index) == group.num_rows() as u64
        });
        if complete && ordered(column.field.data_type()) {
            stats.min = extreme(&low, false)?;
            stats.max = extreme(&high, true)?;
        }
        found.insert(column.id, stats);
    }
    Ok(found)
}

/// Types whose footer statistics are the values' own order.
fn ordered(data_type: &DataType) -> bool {
    !matches!(data_type, DataType::Interval(_) | DataType::Binary)
}

/// The least or greatest value's text.
fn extreme(values: &ArrayRef, greatest: bool) -> Result<Option<String>> {
    if values.null_count() == values.len() {
        return Ok(None);
    }
    let options = SortOptions { descending: greatest, nulls_first: false };
    let order = sort_to_indices(values, Some(options), Some(1));
    let order = order.map_err(|e| Error::Engine(e.into()))?;
    let first = order.value(0);
    Ok(types::value_text(values.as_ref(), first as usize))
}

/// Bytes of the footer, as DuckLake records them: readers fetch it in one request.
pub(super) fn footer_size(metadata: &ParquetMetaData, file_size: u64) -> u64 {
    let data_end = metadata
        .row_groups()
        .iter()
        .flat_map(|group| group.columns())
        .map(|chunk| {
            let (start, length) = chunk.byte_range();
            let offset = chunk.offset_index_offset().zip(chunk.offset_index_length());
            let column = chunk.column_index_offset().zip(chunk.column_index_length());
            let bloom = chunk.bloom_filter_offset().zip(chunk.bloom_filter_length());
            let ends = [offset, column, bloom].into_iter().flatten();
            let ends = ends.map(|(at, length)| at as u64 + length as u64);
            ends.fold(start + length, u64::max)
        })
        .max()
        .unwrap_or(4);
    // The last eight bytes are the footer's length and the magic word.
    file_size.saturating_sub(data_end).saturating_sub(8)
}
