//! Losses: where boosting starts, gradients of each row, and what validation measures.
//!
//! | objective | gradient g | hessian h | start | validation |
//! |---|---|---|---|---|
//! | regression | s - y | 1 | mean | mean square |
//! | binary | p - y, p = 1/(1+e^-s) | p (1 - p) | log odds | logistic loss |
//! | multiclass | p_k - [y = k] | K/(K-1) p_k (1 - p_k) | ln share | softmax loss |
//! | lambdarank | Σ over pairs, see `lambdarank` | | 0 | 1 - NDCG |
//!
//! Each is times the row's weight; `scale_pos_weight` counts in gradients only, as LightGBM has it.

use rayon::prelude::*;

use super::lambdarank::Lambda;
use super::{Error, Objective, Part};
use crate::models::link::{Link, softmax};

/// Rows that a thread takes at once.
const CHUNK: usize = 4096;

/// Where shares are cut, so that logarithms are finite.
const LEAST: f64 = 1e-15;

impl Objective {
    pub(super) fn link(&self) -> Link {
        match self {
            Self::Regression | Self::Lambdarank { .. } => Link::Identity,
            Self::Binary { .. } => Link::Sigmoid { slope: 1.0 },
            Self::Multiclass { .. } => Link::Softmax,
        }
    }

    /// Whether the labels mean something, and differ in a training part.
    pub(super) fn check_labels(&self, part: &Part<'_>, training: bool) -> Result<(), Error> {
        let (must, holds): (_, &dyn Fn(f64) -> bool) = match self {
            Self::Regression => ("finite", &f64::is_finite),
            Self::Binary { .. } => ("0 or 1", &|y| y == 0.0 || y == 1.0),
            Self::Multiclass { num_class } => ("a class from 0 to num_class - 1", &|y| {
                y.fract() == 0.0 && y >= 0.0 && y < *num_class as f64
            }),
            Self::Lambdarank { label_gain, .. } => {
                let grades = if label_gain.is_empty() { 31 } else { label_gain.len() };
                ("a grade that has a gain", &move |y| {
                    y.fract() == 0.0 && y >= 0.0 && y < grades as f64
                })
            }
        };
        if let Some(row) = part.labels.iter().position(|label| !holds(*label)) {
            return Err(Error::Label { row, must });
        }
        let differ = part.labels.windows(2).any(|pair| pair[0] != pair[1]);
        match self {
            Self::Binary { .. } | Self::Multiclass { .. } if training && !differ => {
                Err(Error::OneClass)
            }
            _ => Ok(()),
        }
    }

    /// Whether the groups of a ranking hold the rows, each once.
    pub(super) fn check_groups(&self, part: &Part<'_>) -> Result<(), Error> {
        let rows = part.labels.len();
        let found = part.groups.iter().fold(0usize, |sum, rows| sum.saturating_add(*rows));
        match Lambda::of(self) {
            Some(_) if found != rows => Err(Error::Lengths { what: "groups", found, rows }),
            _ => Ok(()),
        }
    }

    fn weight(&self, part: &Part<'_>, row: usize) -> f64 {
        let weight = part.weights.map_or(1.0, |weights| weights[row]);
        match self {
            Self::Binary { scale_pos_weight } if part.labels[row] > 0.0 => {
                weight * scale_pos_weight
            }
            _ => weight,
        }
    }

    /// The score of each output that is best without any tree.
    pub(super) fn start(&self, part: &Part<'_>) -> Vec<f64> {
        let mut sums = vec![0.0; self.outputs()];
        let mut total = 0.0;
        for (row, label) in part.labels.iter().enumerate() {
            let weight = part.weights.map_or(1.0, |weights| weights[row]);
            total += weight;
            match self {
                Self::Regression | Self::Binary { .. } => sums[0] += weight * label,
                Self::Multiclass { .. } => sums[*label as usize] += weight,
                Self::Lambdarank { .. } => {}
            }
        }
        let start = |sum: f64| {
            let share = if total > 0.0 { sum / total } else { 0.0 };
            match self {
                Self::Regression => share,
                Self::Lambdarank { .. } => 0.0,
                Self::Binary { .. } => {
                    let share = share.clamp(LEAST, 1.0 - LEAST);
                    libm::log(share / (1.0 - share))
                }
                Self::Multiclass { .. } => libm::log(share.max(LEAST)),
            }
        };
        sums.into_iter().map(start).collect()
    }

    /// Gradients and hessians, of each output its own rows.
    pub(super) fn gradients(
        &self,
        part: &Part<'_>,
        scores: &[Vec<f64>],
        out: &mut [Vec<[f64; 2]>],
    ) {
        match self {
            Self::Regression => self.each(part, scores, out, |score, label| [score - label, 1.0]),
            Self::Binary { .. } => self.each(part, scores, out, |score, label| {
                let p = 1.0 / (1.0 + libm::exp(-score));
                [p - label, p * (1.0 - p)]
            }),
            Self::Multiclass { num_class } => {
                let factor = *num_class as f64 / (*num_class as f64 - 1.0);
                let mut row_scores = vec![0.0; *num_class];
                for (row, label) in part.labels.iter().enumerate() {
                    for (to, scores) in row_scores.iter_mut().zip(scores) {
                        *to = scores[row];
                    }
                    softmax(&mut row_scores);
                    let weight = self.weight(part, row);
                    for (class, (p, out)) in row_scores.iter().zip(&mut *out).enumerate() {
                        let hit = f64::from(u8::from(*label as usize == class));
                        out[row] = [weight * (p - hit), weight * factor * p * (1.0 - p)];
                    }
                }
            }
            Self::Lambdarank { .. } => {
                if let (Some(lambda), Some(out)) = (Lambda::of(self), out.first_mut()) {
                    lambda.gradients(part, &scores[0], out);
                }
            }
        }
    }

    fn each(
        &self,
        part: &Part<'_>,
        scores: &[Vec<f64>],
        out: &mut [Vec<[f64; 2]>],
        gradient: impl Fn(f64, f64) -> [f64; 2] + Sync,
    ) {
        let (Some(scores), Some(out)) = (scores.first(), out.first_mut()) else { return };
        out.par_chunks_mut(CHUNK).enumerate().for_each(|(chunk, out)| {
            for (place, out) in out.iter_mut().enumerate() {
                let row = chunk * CHUNK + place;
                let weight = self.weight(part, row);
                *out = gradient(scores[row], part.labels[row]).map(|x| x * weight);
            }
        });
    }

    /// What validation measures; less is better.
    pub(super) fn loss(&self, part: &Part<'_>, scores: &[Vec<f64>]) -> f64 {
        if let Some(lambda) = Lambda::of(self) {
            return lambda.loss(part, &scores[0]);
        }
        let (mut sum, mut total) = (0.0, 0.0);
        let mut row_scores = vec![0.0; scores.len()];
        for (row, label) in part.labels.iter().enumerate() {
            let weight = part.weights.map_or(1.0, |weights| weights[row]);
            for (to, scores) in row_scores.iter_mut().zip(scores) {
                *to = scores[row];
            }
            self.link().apply(&mut row_scores);
            let loss = match self {
                Self::Regression => (row_scores[0] - label) * (row_scores[0] - label),
                Self::Binary { .. } => {
                    let p = if *label > 0.0 { row_scores[0] } else { 1.0 - row_scores[0] };
                    -libm::log(p.max(LEAST))
                }
                Self::Multiclass { .. } => -libm::log(row_scores[*label as usize].max(LEAST)),
                Self::Lambdarank { .. } => 0.0,
            };
            sum += weight * loss;
            total += weight;
        }
        if total > 0.0 { sum / total } else { 0.0 }
    }
}
