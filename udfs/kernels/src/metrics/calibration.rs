//! Expected calibration error: how far probabilities are from shares.
//!
//! ece = Σ over bins of (weight of bin / weight) |mean label - mean probability|

use super::ratio;
use crate::statistics::double::Double;

/// Sums of a bin.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
struct Bin {
    weight: Double,
    label: Double,
    probability: Double,
}

/// Bins of probabilities.
#[derive(Debug, Clone, PartialEq)]
pub struct Calibration {
    bins: Vec<Bin>,
}

impl Calibration {
    /// Bins of equal width: bin i of n holds i/n < p <= (i+1)/n, the first one 0 too. At least one.
    pub fn new(bins: usize) -> Self {
        Self { bins: vec![Bin::default(); bins.max(1)] }
    }

    /// Probabilities out of 0 to 1 fall into the first or the last bin.
    pub fn push(&mut self, label: bool, probability: f64, weight: f64) {
        let last = self.bins.len() - 1;
        let place = (probability * self.bins.len() as f64).ceil() as usize;
        self.add(place.saturating_sub(1).min(last), label, probability, weight);
    }

    fn add(&mut self, bin: usize, label: bool, probability: f64, weight: f64) {
        let bin = &mut self.bins[bin];
        bin.weight = bin.weight + Double::from(weight);
        bin.label = bin.label + Double::from(if label { weight } else { 0.0 });
        bin.probability = bin.probability + Double::product(probability, weight);
    }

    /// Of equally many bins; those of more are not taken.
    pub fn merge(&mut self, other: &Self) {
        for (bin, other) in self.bins.iter_mut().zip(&other.bins) {
            bin.weight = bin.weight + other.weight;
            bin.label = bin.label + other.label;
            bin.probability = bin.probability + other.probability;
        }
    }

    pub fn ece(&self) -> Option<f64> {
        let (mut apart, mut weight) = (Double::default(), Double::default());
        for bin in &self.bins {
            let distance = bin.label - bin.probability;
            apart = apart + if distance.hi < 0.0 { -distance } else { distance };
            weight = weight + bin.weight;
        }
        ratio(apart, weight)
    }
}

/// The error by bins of about equally many rows: bin bounds are the quantiles i/n of the
/// probabilities, by linear interpolation; a probability on a bound is in the bin below it.
pub fn ece_equal_mass(labels: &[bool], probabilities: &[f64], bins: usize) -> Option<f64> {
    if labels.len() != probabilities.len() || probabilities.iter().any(|p| p.is_nan()) {
        return None;
    }
    let mut sorted = probabilities.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    let bins = bins.max(1);
    let last = sorted.len().checked_sub(1)? as f64;
    let bound = |number: usize| {
        let place = last * number as f64 / bins as f64;
        let (low, high) = (sorted[place.floor() as usize], sorted[place.ceil() as usize]);
        low + (high - low) * place.fract()
    };
    let bounds: Vec<f64> = (1..bins).map(bound).collect();
    let mut calibration = Calibration::new(bins);
    for (label, p) in labels.iter().zip(probabilities) {
        calibration.add(bounds.partition_point(|bound| bound < p), *label, *p, 1.0);
    }
    calibration.ece()
}
