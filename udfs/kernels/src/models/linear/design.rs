//! The rows, centred and scaled, and sums over them in a fixed order.

use std::ops::Range;

use rayon::prelude::*;

use super::{Error, Options};

/// Parts whose sums are taken apart and then added in order.
const PARTS: usize = 16;

/// Columns whose deviation is less than this share of their size do not vary.
const STILL: f64 = 1e-13;

/// Rows as the problem sees them.
pub(super) struct Design {
    pub(super) rows: usize,
    pub(super) features: usize,
    /// Row-major.
    values: Vec<f64>,
    /// They add up to one.
    pub(super) weights: Vec<f64>,
    means: Vec<f64>,
    /// What columns are divided by; 0 for one that does not vary, whose coefficient is 0.
    pub(super) scales: Vec<f64>,
}

impl Design {
    pub(super) fn new(
        options: &Options,
        columns: &[&[f64]],
        rows: usize,
        weights: Option<&[f64]>,
    ) -> Result<Self, Error> {
        let mut all = weights.map_or(vec![1.0; rows], <[f64]>::to_vec);
        let total: f64 = all.iter().sum();
        if total <= 0.0 || !total.is_finite() {
            return Err(Error::NoRows);
        }
        all.iter_mut().for_each(|weight| *weight /= total);
        let features = columns.len();
        let moments = |column: &&[f64]| {
            let pairs = || column.iter().zip(&all);
            let mean: f64 = pairs().map(|(x, w)| x * w).sum();
            let square: f64 = pairs().map(|(x, w)| w * (x - mean) * (x - mean)).sum();
            (mean, square.sqrt())
        };
        let moments: Vec<(f64, f64)> = columns.par_iter().map(moments).collect();
        let centre = |(mean, _): &(f64, f64)| if options.intercept { *mean } else { 0.0 };
        let scale = |(mean, deviation): &(f64, f64)| match options.intercept {
            // Without an intercept a column that does not vary is one.
            false if *deviation <= STILL * mean.abs() => mean.abs(),
            true if *deviation <= STILL * mean.abs() => 0.0,
            _ => *deviation,
        };
        let means: Vec<f64> = moments.iter().map(centre).collect();
        let scales: Vec<f64> = moments.iter().map(scale).collect();
        let mut values = vec![0.0; rows * features];
        for (feature, column) in columns.iter().enumerate() {
            let (mean, scale) = (means[feature], scales[feature]);
            if scale > 0.0 {
                let places = values.iter_mut().skip(feature).step_by(features);
                places.zip(*column).for_each(|(place, x)| *place = (x - mean) / scale);
            }
        }
        Ok(Self { rows, features, values, weights: all, means, scales })
    }

    pub(super) fn row(&self, row: usize) -> &[f64] {
        &self.values[row * self.features..][..self.features]
    }

    /// The sums of `length` numbers that `add` adds up over the rows of each part.
    pub(super) fn sum(
        &self,
        length: usize,
        add: impl Fn(Range<usize>, &mut [f64]) + Sync,
    ) -> Vec<f64> {
        let parts: Vec<Vec<f64>> = (0..PARTS)
            .into_par_iter()
            .map(|part| {
                let mut sums = vec![0.0; length];
                add(self.rows * part / PARTS..self.rows * (part + 1) / PARTS, &mut sums);
                sums
            })
            .collect();
        parts.into_iter().fold(vec![0.0; length], |mut all, part| {
            all.iter_mut().zip(part).for_each(|(all, part)| *all += part);
            all
        })
    }

    /// The intercept and coefficients in the columns' own units; coefficients are changed in place.
    pub(super) fn own_units(&self, intercept: f64, coefficients: &mut [f64]) -> f64 {
        let mut intercept = intercept;
        for (feature, coefficient) in coefficients.iter_mut().enumerate() {
            let scale = self.scales[feature];
            *coefficient = if scale > 0.0 { *coefficient / scale } else { 0.0 };
            intercept -= *coefficient * self.means[feature];
        }
        intercept
    }

    /// Penalties of scaled coefficients: those of own units count by the column's scale.
    pub(super) fn penalties(&self, options: &Options) -> Vec<(f64, f64)> {
        let own = |scale: f64| if options.standardise || scale == 0.0 { 1.0 } else { scale };
        let penalty =
            |scale: &f64| (options.l1 / own(*scale), options.l2 / (own(*scale) * own(*scale)));
        self.scales.iter().map(penalty).collect()
    }
}
