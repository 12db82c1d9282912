//! Values to bins: at most 255 of each feature, so that a value is one byte.
//!
//! Numeric: bins of about equally many rows; a value that alone fills a bin has its own. A bound
//! lies midway between two values, so that rows just off those seen fall on the nearer side. The
//! last bin is that of missing values, if there are any. Categorical: the most frequent codes;
//! bin 0 is all others.
//!
//! Bytes of eight features lie together, row by row: a histogram's sum reads one word a row and
//! writes into 32 kB.

use rayon::prelude::*;

use super::{Feature, Parameters};
use crate::ann::Random;

/// Features whose bytes lie together.
pub(super) const LANES: usize = 8;

/// How the values of a feature become bins.
#[derive(Debug, Clone)]
pub(super) enum Bins {
    /// Bin `i` holds what is at most `bounds[i]` and over the bound before; one more bin has what
    /// is over the last, and another what is missing, if training has any.
    Numeric { bounds: Vec<f64>, missing: bool },
    /// Codes with their bins, ascending by code, and the code of each bin from 1 on.
    Categorical { bins: Vec<(u32, u8)>, codes: Vec<u32> },
}

impl Bins {
    pub(super) fn count(&self) -> usize {
        match self {
            Self::Numeric { bounds, missing } => bounds.len() + 1 + usize::from(*missing),
            Self::Categorical { codes, .. } => codes.len() + 1,
        }
    }

    pub(super) fn of(&self, value: f64) -> u8 {
        match self {
            Self::Numeric { bounds, .. } if value.is_nan() => bounds.len() as u8 + 1,
            Self::Numeric { bounds, .. } => bounds.partition_point(|bound| *bound < value) as u8,
            Self::Categorical { bins, .. } => {
                let place = code(value)
                    .and_then(|code| bins.binary_search_by_key(&code, |(code, _)| *code).ok());
                place.map_or(0, |place| bins[place].1)
            }
        }
    }

    fn find(feature: Feature<'_>, sample: Option<&[u32]>, parameters: &Parameters) -> Self {
        let values = feature.values();
        let mut chosen: Vec<f64> = match sample {
            Some(rows) => rows.iter().map(|row| values[*row as usize]).collect(),
            None => values.to_vec(),
        };
        match feature {
            Feature::Numeric(_) => {
                chosen.retain(|value| !value.is_nan());
                chosen.sort_unstable_by(f64::total_cmp);
                let missing = values.iter().any(|value| value.is_nan());
                let most = parameters.max_bin - usize::from(missing);
                Self::Numeric { bounds: bounds(&counts(&chosen), most, parameters), missing }
            }
            Feature::Categorical(_) => {
                let mut codes: Vec<u32> = chosen.into_iter().filter_map(code).collect();
                codes.sort_unstable();
                let mut counts: Vec<(usize, u32)> =
                    codes.chunk_by(|a, b| a == b).map(|same| (same.len(), same[0])).collect();
                counts.sort_unstable_by_key(|(count, code)| (usize::MAX - count, *code));
                counts.truncate(parameters.max_bin - 1);
                counts.retain(|(count, _)| *count >= parameters.min_data_in_bin);
                let codes: Vec<u32> = counts.into_iter().map(|(_, code)| code).collect();
                let mut bins: Vec<(u32, u8)> = codes.iter().copied().zip(1..=u8::MAX).collect();
                bins.sort_unstable();
                Self::Categorical { bins, codes }
            }
        }
    }
}

/// Codes up to 2^24, so that a split's set of them stays small.
fn code(value: f64) -> Option<u32> {
    (value > -1.0 && value < f64::from(1 << 24)).then_some(value as u32)
}

/// Distinct values of sorted ones, and how many there are of each.
fn counts(sorted: &[f64]) -> Vec<(f64, usize)> {
    sorted.chunk_by(|a, b| a == b).map(|same| (same[0], same.len())).collect()
}

/// The number between two that both are on the right side of: `low <= it < high`.
fn between(low: f64, high: f64) -> f64 {
    let middle = low + (high - low) / 2.0;
    if middle >= low && middle < high { middle } else { low }
}

/// Bounds of at most `most` bins: each gets its share of the rows that are left.
fn bounds(counts: &[(f64, usize)], most: usize, parameters: &Parameters) -> Vec<f64> {
    let total: usize = counts.iter().map(|(_, count)| count).sum();
    let least = parameters.min_data_in_bin.max(1);
    let alone = counts.len() <= most;
    let most = if alone { most } else { most.min(total / least).max(1) };
    let share = total as f64 / most as f64;
    let is_big = |count: usize| !alone && count as f64 >= share;
    let big = counts.iter().filter(|(_, count)| is_big(*count));
    let (bigs, in_big) = big.fold((0, 0), |(bins, rows), (_, count)| (bins + 1, rows + count));
    let (mut rest_bins, mut rest_rows) = (most.saturating_sub(bigs), total - in_big);
    let mut mean = rest_rows as f64 / rest_bins.max(1) as f64;
    let (mut bounds, mut held) = (Vec::new(), 0);
    for pair in counts.windows(2) {
        let ((value, count), (next, next_count)) = (pair[0], pair[1]);
        if !is_big(count) {
            rest_rows -= count;
        }
        held += count;
        let full = match alone {
            true => held >= least,
            false => {
                let half_before_big = is_big(next_count) && held as f64 >= (mean / 2.0).max(1.0);
                is_big(count) || held as f64 >= mean || half_before_big
            }
        };
        if !full || bounds.len() + 1 >= most {
            continue;
        }
        bounds.push(between(value, next));
        held = 0;
        if !is_big(count) {
            rest_bins = rest_bins.saturating_sub(1);
            mean = rest_rows as f64 / rest_bins.max(1) as f64;
        }
    }
    bounds
}

/// The training rows as bytes.
pub(super) struct Binned {
    pub(super) rows: usize,
    /// Of each feature.
    pub(super) bins: Vec<Bins>,
    /// Eight features at a time: a word for each row.
    pub(super) blocks: Vec<Vec<[u8; LANES]>>,
}

impl Binned {
    /// `go_on` is asked for each feature and each eight of them; None when it says no.
    pub(super) fn new(
        features: &[Feature<'_>],
        rows: usize,
        parameters: &Parameters,
        go_on: &(dyn Fn() -> bool + Sync),
    ) -> Option<Self> {
        let sample = sample(rows, parameters);
        let find = |feature: &Feature<'_>| {
            go_on().then(|| Bins::find(*feature, sample.as_deref(), parameters))
        };
        let bins: Vec<Bins> = features.par_iter().map(find).collect::<Option<_>>()?;
        let pieces: Vec<_> = features.chunks(LANES).zip(bins.chunks(LANES)).collect();
        let blocks = pieces.into_par_iter().map(|(features, bins)| {
            if !go_on() {
                return None;
            }
            let mut words = vec![[0; LANES]; rows];
            for (lane, (feature, bins)) in features.iter().zip(bins).enumerate() {
                for (word, value) in words.iter_mut().zip(feature.values()) {
                    word[lane] = bins.of(*value);
                }
            }
            Some(words)
        });
        Some(Self { rows, blocks: blocks.collect::<Option<_>>()?, bins })
    }
}

/// Ascending rows that bins are found from; None: all.
fn sample(rows: usize, parameters: &Parameters) -> Option<Vec<u32>> {
    let wanted = parameters.bin_construct_sample_cnt;
    if rows <= wanted {
        return None;
    }
    let mut random = Random::new(parameters.seed);
    let mut chosen = Vec::with_capacity(wanted);
    for row in 0..rows {
        if random.below(rows - row) < wanted - chosen.len() {
            chosen.push(row as u32);
        }
    }
    Some(chosen)
}
