//! Least and greatest number of each float column of a file, and whether it holds a NaN.

use std::collections::HashMap;

use datafusion::arrow::array::{Array, AsArray};
use datafusion::arrow::datatypes::{DataType, Float32Type, Float64Type};
use datafusion::arrow::record_batch::RecordBatch;

use crate::model::{ColumnStats, Table};

/// By column id.
#[derive(Default)]
pub(super) struct Floats(HashMap<i64, Seen>);

#[derive(Clone, Copy)]
struct Seen {
    min: f64,
    max: f64,
    nan: bool,
    single: bool,
    nulls: u64,
}

impl Floats {
    /// Takes a batch of the table's columns into account.
    pub(super) fn see(&mut self, table: &Table, batch: &RecordBatch) {
        for (column, array) in table.columns.iter().zip(batch.columns()) {
            let single = match array.data_type() {
                DataType::Float32 => true,
                DataType::Float64 => false,
                _ => continue,
            };
            let empty =
                Seen { min: f64::INFINITY, max: f64::NEG_INFINITY, nan: false, single, nulls: 0 };
            let seen = self.0.entry(column.id).or_insert(empty);
            seen.nulls += array.null_count() as u64;
            match single {
                true => {
                    let values = array.as_primitive::<Float32Type>();
                    values.iter().flatten().for_each(|value| seen.push(f64::from(value)));
                }
                false => {
                    let values = array.as_primitive::<Float64Type>();
                    values.iter().flatten().for_each(|value| seen.push(value));
                }
            }
        }
    }

    /// Completes a column's statistics; false if the column is not a float.
    pub(super) fn complete(&self, id: i64, stats: &mut ColumnStats) -> bool {
        let Some(seen) = self.0.get(&id) else { return false };
        stats.nulls = seen.nulls;
        stats.contains_nan = Some(seen.nan);
        // Nothing but NaN and NULL leaves no bounds.
        if seen.min <= seen.max {
            stats.min = Some(seen.text(seen.min));
            stats.max = Some(seen.text(seen.max));
        }
        true
    }
}

impl Seen {
    fn push(&mut self, value: f64) {
        if value.is_nan() {
            self.nan = true;
            return;
        }
        // The signs of zero are one value for SQL and two for a bound.
        if value <= self.min {
            self.min = if value == 0.0 { -0.0 } else { value };
        }
        if value >= self.max {
            self.max = if value == 0.0 { 0.0 } else { value };
        }
    }

    fn text(self, value: f64) -> String {
        crate::types::float_text(value, self.single)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nan_is_noted_and_no_bound() {
        let mut seen = Seen {
            min: f64::INFINITY,
            max: f64::NEG_INFINITY,
            nan: false,
            single: false,
            nulls: 0,
        };
        for value in [0.0, f64::NAN, -3.5] {
            seen.push(value);
        }
        assert_eq!((seen.min, seen.max, seen.nan), (-3.5, 0.0, true));
    }
}
