//! Measures that are sums over rows: of errors of numbers, and of losses of probabilities.

use super::ratio;
use crate::statistics::double::Double;

/// What a label is given counts as this at least, so that one certain mistake is not infinite.
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

    /// The state, for storing.
    pub fn sums(&self) -> [Double; 5] {
        [self.weight, self.square, self.absolute, self.label, self.label_square]
    }

    /// The state of stored sums.
    pub fn of_sums([weight, square, absolute, label, label_square]: [Double; 5]) -> Self {
        Self { weight, square, absolute, label, label_square }
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
        // Near 1 the rest is exact, near 0 the logarithm of 1 less it.
        let log = match label {
            true => libm::log(p.clamp(LEAST_PROBABILITY, 1.0)),
            false if 1.0 - p < LEAST_PROBABILITY => libm::log(LEAST_PROBABILITY),
            false => libm::log1p(-p),
        };
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

    /// The state, for storing.
    pub fn sums(&self) -> [Double; 3] {
        [self.weight, self.log, self.square]
    }

    /// The state of stored sums.
    pub fn of_sums([weight, log, square]: [Double; 3]) -> Self {
        Self { weight, log, square }
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
