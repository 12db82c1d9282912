//! Which rows are learned from, which stop training early, and which the metrics are of.
//!
//! Rows are put in an order that is theirs, not the scan's: by a hash of their values, or of their
//! group's. So the parts, and sums over them, are the same at any number of threads and files. Rows
//! of one group are never in two parts; equal rows are drawn one by one, as their number among
//! their like is hashed with them: otherwise all rows of one value and label would be in one part.

use std::ops::Range;

use datafusion::arrow::array::{ArrayRef, RecordBatch, UInt64Array};
use datafusion::arrow::compute::take_record_batch;
use datafusion::arrow::row::{RowConverter, Rows, SortField};
use twox_hash::XxHash64;

use crate::error::{Error, Result};

/// What a split is by.
#[derive(Debug, Clone, Default)]
pub(super) struct By {
    /// Rows of one group stay together.
    pub group: Option<usize>,
    /// The last in time are tested on.
    pub time: Option<usize>,
    pub test_fraction: f64,
    /// Of the rows that are not tested on.
    pub validation_fraction: f64,
    pub seed: u64,
}

/// Rows in their order, and the parts of them.
#[derive(Debug)]
pub(super) struct Parts {
    pub rows: RecordBatch,
    pub training: Range<usize>,
    pub validation: Range<usize>,
    pub test: Range<usize>,
}

/// Orders and cuts rows.
pub(super) fn split(rows: &RecordBatch, by: &By) -> Result<Parts> {
    let count = rows.num_rows();
    let all = encoded(rows.columns())?;
    let group = by.group.map(|column| encoded(&[rows.column(column).clone()])).transpose()?;
    let time = by.time.map(|column| encoded(&[rows.column(column).clone()])).transpose()?;
    let own = hashes_of(&all, by.seed);
    let hashes: Vec<u64> = match &group {
        Some(group) => {
            (0..count).map(|row| XxHash64::oneshot(by.seed, group.row(row).as_ref())).collect()
        }
        None => own.clone(),
    };
    let mut order: Vec<usize> = (0..count).collect();
    order.sort_unstable_by(|a, b| {
        let times = time.as_ref().map(|time| time.row(*a).cmp(&time.row(*b)));
        let groups = || group.as_ref().map(|group| group.row(*a).cmp(&group.row(*b)));
        times
            .unwrap_or(std::cmp::Ordering::Equal)
            .then_with(|| hashes[*a].cmp(&hashes[*b]))
            .then_with(|| groups().unwrap_or(std::cmp::Ordering::Equal))
            .then_with(|| own[*a].cmp(&own[*b]))
            .then_with(|| all.row(*a).cmp(&all.row(*b)))
    });
    // The first `share` of the hashes, or the last of the times.
    let cut = |share: f64| match &time {
        None => {
            let below = (share * 2.0_f64.powi(64)) as u64;
            let inside = order.iter().take_while(|row| hashes[**row] < below);
            inside.count()
        }
        Some(time) => {
            let mut at = count - (count as f64 * share).ceil().min(count as f64) as usize;
            // A moment is in one part.
            while at > 0 && at < count && time.row(order[at - 1]) == time.row(order[at]) {
                at += 1;
            }
            at
        }
    };
    let held = by.test_fraction + (1.0 - by.test_fraction) * by.validation_fraction;
    let (test, held) = (cut(by.test_fraction), cut(held));
    let [training, validation, test] = match time {
        None => [held..count, test..held, 0..test],
        Some(_) => [0..held, held..test, test..count],
    };
    let order = UInt64Array::from_iter_values(order.into_iter().map(|row| row as u64));
    let rows = take_record_batch(rows, &order).map_err(|error| Error::Engine(error.into()))?;
    Ok(Parts { rows, training, validation, test })
}

/// A hash of each row and of its number among the rows that are equal to it.
fn hashes_of(rows: &Rows, seed: u64) -> Vec<u64> {
    let count = rows.num_rows();
    let plain = (0..count).map(|row| XxHash64::oneshot(seed, rows.row(row).as_ref()));
    let mut hashes: Vec<u64> = plain.collect();
    let mut order: Vec<usize> = (0..count).collect();
    order.sort_unstable_by(|a, b| {
        hashes[*a].cmp(&hashes[*b]).then_with(|| rows.row(*a).cmp(&rows.row(*b)))
    });
    let mut number = 0_u64;
    let plain = hashes.clone();
    for place in 1..count {
        let (before, row) = (order[place - 1], order[place]);
        let is_equal = plain[before] == plain[row] && rows.row(before) == rows.row(row);
        number = if is_equal { number + 1 } else { 0 };
        if number > 0 {
            hashes[row] = XxHash64::oneshot(plain[row], &number.to_le_bytes());
        }
    }
    hashes
}

/// Rows in the order that is theirs.
pub(super) fn in_order(rows: &RecordBatch, seed: u64) -> Result<RecordBatch> {
    split(rows, &By { seed, ..By::default() }).map(|parts| parts.rows)
}

fn encoded(columns: &[ArrayRef]) -> Result<Rows> {
    let fields = columns.iter().map(|column| SortField::new(column.data_type().clone()));
    let failed = |error| Error::Engine(datafusion::error::DataFusionError::from(error));
    let converter = RowConverter::new(fields.collect()).map_err(failed)?;
    converter.convert_columns(columns).map_err(failed)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use datafusion::arrow::array::{AsArray, Int64Array};
    use datafusion::arrow::datatypes::Int64Type;

    use super::*;

    fn rows(values: impl Iterator<Item = i64>, modulus: i64) -> RecordBatch {
        let values: Vec<i64> = values.collect();
        let groups: Vec<i64> = values.iter().map(|value| value % modulus).collect();
        let columns: [(&str, ArrayRef); 2] = [
            ("value", Arc::new(Int64Array::from(values))),
            ("group", Arc::new(Int64Array::from(groups))),
        ];
        RecordBatch::try_from_iter(columns).unwrap()
    }

    fn values(parts: &Parts, part: Range<usize>, column: usize) -> Vec<i64> {
        let column = parts.rows.column(column).as_primitive::<Int64Type>();
        part.map(|row| column.value(row)).collect()
    }

    #[test]
    fn parts_do_not_depend_on_the_order_of_rows() {
        let by = By { test_fraction: 0.2, validation_fraction: 0.1, seed: 7, ..By::default() };
        let one = split(&rows(0..10_000, 10), &by).unwrap();
        let other = split(&rows((0..10_000).rev(), 10), &by).unwrap();
        assert_eq!(one.rows, other.rows);
        assert_eq!((&one.training, &one.test), (&other.training, &other.test));
        // Binomial, 2,000 and 800 expected: five deviations.
        assert!((1800..2200).contains(&one.test.len()), "{:?}", one.test);
        assert!((660..940).contains(&one.validation.len()), "{:?}", one.validation);
        assert_eq!(one.training.end - one.test.start, 10_000);
    }

    #[test]
    fn equal_rows_are_drawn_one_by_one() {
        // Two values, as often as each other in both parts.
        let equal = rows((0..8_000).map(|row| row % 2), 2);
        let by = By { test_fraction: 0.25, ..By::default() };
        let parts = split(&equal, &by).unwrap();
        assert!((1_800..2_200).contains(&parts.test.len()), "{:?}", parts.test);
        for part in [parts.training.clone(), parts.test.clone()] {
            let ones = values(&parts, part.clone(), 0).iter().sum::<i64>() as f64;
            assert!((ones / part.len() as f64 - 0.5).abs() < 0.06, "{ones} of {part:?}");
        }
    }

    #[test]
    fn a_group_is_in_one_part_and_together() {
        let by = By { group: Some(1), test_fraction: 0.3, ..By::default() };
        let parts = split(&rows(0..5_000, 50), &by).unwrap();
        let test: std::collections::BTreeSet<i64> =
            values(&parts, parts.test.clone(), 1).into_iter().collect();
        let training = values(&parts, parts.training.clone(), 1);
        assert!(!test.is_empty() && training.iter().all(|group| !test.contains(group)));
        let all = values(&parts, 0..5_000, 1);
        let changes = all.windows(2).filter(|pair| pair[0] != pair[1]).count();
        assert_eq!(changes, 49);
    }

    #[test]
    fn the_last_moments_are_tested_on_whole() {
        let by = By { time: Some(1), test_fraction: 0.25, ..By::default() };
        let parts = split(&rows(0..1_000, 10), &by).unwrap();
        // A quarter begins within moment 7, which stays with what is before it.
        assert_eq!(values(&parts, parts.test.clone(), 1), vec![[8; 100], [9; 100]].concat());
        assert_eq!(parts.training, 0..800);
    }
}
