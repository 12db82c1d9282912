//! Statistics of columns in DuckLake's text form, compared in the column's type.

use std::cmp::Ordering;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, make_comparator};
use datafusion::arrow::compute::SortOptions;
use datafusion::arrow::datatypes::{DataType, Float16Type, Float32Type, Float64Type};
use datafusion::arrow::record_batch::RecordBatch;

use super::Commit;
use crate::columns;
use crate::error::{Error, Result};
use crate::metadata::{Kind, Row, Value};
use crate::model::{Column, ColumnStats, Table};
use crate::types;

type Stats = HashMap<i64, ColumnStats>;

/// Statistics of rows, by the id of each leaf column.
pub(super) fn of_batch(table: &Table, batch: &RecordBatch) -> Result<Stats> {
    let mut stats = Stats::new();
    for (column, array) in table.columns.iter().zip(batch.columns()) {
        add(column, array, &mut stats)?;
    }
    Ok(stats)
}

fn add(column: &Column, array: &ArrayRef, stats: &mut Stats) -> Result<()> {
    let part = match array.data_type() {
        DataType::List(_) => {
            let list = array.as_list::<i32>();
            let (first, last) = (list.value_offsets()[0], list.value_offsets()[list.len()]);
            let (first, last) = (first.unsigned_abs() as usize, last.unsigned_abs() as usize);
            vec![list.values().slice(first, last - first)]
        }
        DataType::FixedSizeList(..) => vec![Arc::clone(array.as_fixed_size_list().values())],
        DataType::Struct(_) => array.as_struct().columns().to_vec(),
        _ => {
            stats.insert(column.id, of_array(array)?);
            return Ok(());
        }
    };
    column.children.iter().zip(&part).try_for_each(|(child, array)| add(child, array, stats))
}

fn of_array(array: &ArrayRef) -> Result<ColumnStats> {
    let mut stats = ColumnStats {
        values: array.len() as u64,
        nulls: array.logical_null_count() as u64,
        ..ColumnStats::default()
    };
    if matches!(array.data_type(), DataType::Interval(_) | DataType::Binary) {
        return Ok(stats);
    }
    let is_nan = |row: usize| match array.data_type() {
        DataType::Float16 => array.as_primitive::<Float16Type>().value(row).is_nan(),
        DataType::Float32 => array.as_primitive::<Float32Type>().value(row).is_nan(),
        DataType::Float64 => array.as_primitive::<Float64Type>().value(row).is_nan(),
        _ => false,
    };
    let compare = make_comparator(array, array, SortOptions::default());
    let compare = compare.map_err(|e| Error::Engine(e.into()))?;
    let (mut low, mut high) = (None, None);
    let mut nan = false;
    for row in (0..array.len()).filter(|row| array.is_valid(*row)) {
        if is_nan(row) {
            nan = true;
            continue;
        }
        if low.is_none_or(|low| compare(row, low) == Ordering::Less) {
            low = Some(row);
        }
        if high.is_none_or(|high| compare(row, high) == Ordering::Greater) {
            high = Some(row);
        }
    }
    stats.min = low.and_then(|row| types::value_text(array, row));
    stats.max = high.and_then(|row| types::value_text(array, row));
    stats.contains_nan = array.data_type().is_floating().then_some(nan);
    Ok(stats)
}

/// One row of `ducklake_table_column_stats`.
#[derive(Debug, Clone, PartialEq)]
struct TableColumn {
    contains_null: Option<bool>,
    contains_nan: Option<bool>,
    min: Option<String>,
    max: Option<String>,
}

impl TableColumn {
    fn new(stats: &ColumnStats) -> Self {
        Self {
            contains_null: Some(stats.nulls > 0),
            contains_nan: stats.contains_nan,
            min: stats.min.clone(),
            max: stats.max.clone(),
        }
    }

    fn read(row: &Row) -> Self {
        Self {
            contains_null: row.boolean(1),
            contains_nan: row.boolean(2),
            min: row.text(3),
            max: row.text(4),
        }
    }

    /// A bound that is missing stays missing: it may mean that it is not known.
    fn merge(&mut self, stats: &ColumnStats, column: &Column) -> Result<()> {
        let either = |own: Option<bool>, more: bool| if more { Some(true) } else { own };
        self.contains_null = either(self.contains_null, stats.nulls > 0);
        self.contains_nan = either(self.contains_nan, stats.contains_nan == Some(true));
        let only_nulls = stats.nulls == stats.values || stats.contains_nan == Some(true);
        if stats.min.is_none() && stats.max.is_none() && only_nulls {
            return Ok(());
        }
        self.min = bound(self.min.take(), stats.min.as_ref(), column, Ordering::Less)?;
        self.max = bound(self.max.take(), stats.max.as_ref(), column, Ordering::Greater)?;
        Ok(())
    }

    fn values(&self) -> [Value; 4] {
        [
            self.contains_null.into(),
            self.contains_nan.into(),
            self.min.clone().into(),
            self.max.clone().into(),
        ]
    }
}

/// The one of two bounds that is `wanted` than the other.
fn bound(
    own: Option<String>,
    more: Option<&String>,
    column: &Column,
    wanted: Ordering,
) -> Result<Option<String>> {
    let (Some(own), Some(more)) = (own, more) else {
        return Ok(None);
    };
    if own == *more {
        return Ok(Some(own));
    }
    let pair = [Some(more.clone()), Some(own.clone())];
    let pair = types::parse_values(&pair, &column.field)?;
    let compare = make_comparator(&pair, &pair, SortOptions::default());
    let compare = compare.map_err(|e| Error::Engine(e.into()))?;
    Ok(Some(if compare(0, 1) == wanted { more.clone() } else { own }))
}

/// Widens the statistics of a table by those of new files and rows.
pub(super) async fn widen(commit: &mut Commit<'_>, table: &Table, added: &[&Stats]) -> Result<()> {
    let mut leaves = Vec::new();
    for column in &table.columns {
        columns::leaves(column, &mut leaves);
    }
    let sql = "SELECT column_id, contains_null, contains_nan, min_value, max_value \
               FROM ducklake_table_column_stats WHERE table_id = ?";
    let rows = commit.session.query(sql, &[table.id.into()]).await?;
    let mut known = BTreeMap::new();
    for row in &rows {
        known.insert(row.id(0)?, TableColumn::read(row));
    }
    let mut fresh = Vec::new();
    for leaf in leaves {
        let stats: Vec<_> = added.iter().filter_map(|stats| stats.get(&leaf.id)).collect();
        let Some((first, rest)) = stats.split_first() else {
            continue;
        };
        let before = known.get(&leaf.id).cloned();
        let mut merged = before.clone().unwrap_or_else(|| TableColumn::new(first));
        let rest = if before.is_some() { &stats[..] } else { rest };
        rest.iter().try_for_each(|stats| merged.merge(stats, leaf))?;
        match &before {
            None => fresh.push(insert_values(table, leaf, &merged)),
            Some(before) if *before != merged => update(commit, table, leaf, &merged).await?,
            Some(_) => {}
        }
    }
    crate::metadata::layout::TABLE_COLUMN_STATS.insert(&mut commit.session, &fresh).await
}

fn insert_values(table: &Table, leaf: &Column, merged: &TableColumn) -> Vec<Value> {
    let mut row = vec![Value::Integer(table.id), Value::Integer(leaf.id)];
    row.extend(merged.values());
    row.push(Value::Null);
    row
}

async fn update(
    commit: &mut Commit<'_>,
    table: &Table,
    leaf: &Column,
    merged: &TableColumn,
) -> Result<()> {
    let columns = [
        ("contains_null", Kind::Boolean),
        ("contains_nan", Kind::Boolean),
        ("min_value", Kind::Text),
        ("max_value", Kind::Text),
    ];
    let key = [("table_id", table.id), ("column_id", leaf.id)];
    let name = "ducklake_table_column_stats";
    commit.session.update(name, &columns, &merged.values(), &key).await
}

#[cfg(test)]
mod tests {
    use datafusion::arrow::datatypes::Field;

    use super::*;

    fn column(data_type: DataType) -> Column {
        columns::number("c", &Field::new("c", data_type, true), &mut 1)
    }

    #[test]
    fn bounds_compare_as_values_not_as_text() -> Result<()> {
        let column = column(DataType::Int64);
        let nine = Some("9".to_owned());
        let ten = "10".to_owned();
        let low = bound(nine.clone(), Some(&ten), &column, Ordering::Less)?;
        let high = bound(nine, Some(&ten), &column, Ordering::Greater)?;
        assert_eq!((low.as_deref(), high.as_deref()), (Some("9"), Some("10")));
        Ok(())
    }

    #[test]
    fn nan_is_no_bound() -> Result<()> {
        let values = datafusion::arrow::array::Float64Array::from(vec![f64::NAN, 2.0, 1.0]);
        let stats = of_array(&(Arc::new(values) as ArrayRef))?;
        assert_eq!(stats.contains_nan, Some(true));
        assert!(stats.min.is_some_and(|min| min.starts_with('1')));
        assert!(stats.max.is_some_and(|max| max.starts_with('2')));
        Ok(())
    }
}
