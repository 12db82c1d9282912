//! Measures that are sums over rows: of errors of numbers, and of losses of probabilities.

use super::ratio;
use crate::statistics::double::Double;

/// Probabilities are cut to this and to 1 less this, so that one certain mistake is not infinite.
pub const LEAST_PROBABILITY: f64 = 1e-15;

/// Errors of predicted numbers.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Errors {
    weight: Double,
    square: Double,
    absolute: Double,
    label: Double,
    label_square: Double,
}

impl Errors {
    pub fn push(&mut self, label: f64, prediction: f64, weight: f64) {
        let error = Double::difference(label, prediction);
        let size = if error.hi < 0.0 { -error } else { error };
        let label = Double::from(label);
        self.weight = self.weight + Double::from(weight);
        self.square = self.square + error * error * weight;
        self.absolute = self.absolute + size * weight;
        self.label = self.label + label * weight;
        self.label_square = self.label_square + label * label * weight;
    }

    pub fn merge(&mut self, other: &Self) {
        self.weight = self.weight + other.weight;
        self.square = self.square + other.square;
        self.absolute = self.absolute + other.absolute;
        self.label = self.label + other.label;
        self.label_square = self.label_square + other.label_square;
    }

    /// Mean of the squares of errors.
    pub fn mse(&self) -> Option<f64> {
        ratio(self.square, self.weight)
    }

    pub fn rmse(&self) -> Option<f64> {
        self.mse().map(f64::sqrt)
    }

    /// Mean of the sizes of errors.
    pub fn mae(&self) -> Option<f64> {
        ratio(self.absolute, self.weight)
    }

    /// 1 - Σ error² / Σ (label - mean)²; None if the labels do not differ.
    pub fn r2(&self) -> Option<f64> {
        if self.weight.hi <= 0.0 {
            return None;
        }
        let spread = self.label_square - (self.label * self.label).divided(self.weight);
        // What the sums' rounding leaves is no spread.
        if spread.hi <= self.label_square.hi * 1e-28 {
            return None;
        }
        ratio(spread - self.square, spread)
    }
}

/// Losses of probabilities of the label 1.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Losses {
    weight: Double,
    log: Double,
    square: Double,
}

impl Losses {
    pub fn push(&mut self, label: bool, probability: f64, weight: f64) {
        let p = if probability.is_nan() { f64::NAN } else { probability.clamp(0.0, 1.0) };
        let cut = p.clamp(LEAST_PROBABILITY, 1.0 - LEAST_PROBABILITY);
        let log = if label { libm::log(cut) } else { libm::log1p(-cut) };
        let error = Double::difference(p, f64::from(u8::from(label)));
        self.weight = self.weight + Double::from(weight);
        self.log = self.log + Double::product(-log, weight);
        self.square = self.square + error * error * weight;
    }

    pub fn merge(&mut self, other: &Self) {
        self.weight = self.weight + other.weight;
        self.log = self.log + other.log;
        self.square = self.square + other.square;
    }

    /// Mean of -ln of the label's probability.
    pub fn log_loss(&self) -> Option<f64> {
        ratio(self.log, self.weight)
    }

    /// Mean of the squared distance from the label.
    pub fn brier(&self) -> Option<f64> {
        ratio(self.square, self.weight)
    }
}
