//! What training saw of each feature.

use std::ops::Range;

use datafusion::arrow::array::{Array, RecordBatch};

use super::features::{Feature, Kind, numbers};
use super::manifest::Statistics;
use crate::error::Result;

/// Of the rows of the training part; `features` are the columns, in order.
pub(super) fn statistics(
    batch: &RecordBatch,
    rows: &Range<usize>,
    features: &[Feature],
) -> Result<Vec<Statistics>> {
    let of = |(feature, column): (&Feature, &datafusion::arrow::array::ArrayRef)| {
        let column = column.slice(rows.start, rows.len());
        let (mut count, mut mean, mut squares) = (0.0, 0.0, 0.0);
        let (mut least, mut greatest) = (f64::INFINITY, f64::NEG_INFINITY);
        let mut missing = column.null_count();
        if let Kind::Number { .. } = feature.kind {
            // Welford's, of what is a number.
            let values = numbers(&column)?;
            missing = values.iter().filter(|value| value.is_nan()).count();
            for value in values.into_iter().filter(|value| value.is_finite()) {
                count += 1.0;
                let change: f64 = value - mean;
                mean += change / count;
                squares += change * (value - mean);
                (least, greatest) = (least.min(value), greatest.max(value));
            }
        }
        let is_there = count > 0.0;
        Ok(Statistics {
            name: feature.name.clone(),
            null_fraction: missing as f64 / column.len().max(1) as f64,
            mean: is_there.then_some(mean),
            deviation: is_there.then(|| (squares / count).sqrt()),
            least: is_there.then_some(least),
            greatest: is_there.then_some(greatest),
            distinct: match &feature.kind {
                Kind::Category { values } => Some(values.len() as u64),
                Kind::Number { .. } | Kind::Vector { .. } => None,
            },
        })
    };
    features.iter().zip(batch.columns()).map(of).collect()
}
