//! Right and wrong answers to a question of two classes.

use super::ratio;
use crate::statistics::double::Double;

/// Weights of rows by label and prediction.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Confusion {
    true_positive: Double,
    false_positive: Double,
    false_negative: Double,
    true_negative: Double,
}

impl Confusion {
    pub fn push(&mut self, label: bool, predicted: bool, weight: f64) {
        let cell = match (label, predicted) {
            (true, true) => &mut self.true_positive,
            (false, true) => &mut self.false_positive,
            (true, false) => &mut self.false_negative,
            (false, false) => &mut self.true_negative,
        };
        *cell = *cell + Double::from(weight);
    }

    pub fn merge(&mut self, other: &Self) {
        self.true_positive = self.true_positive + other.true_positive;
        self.false_positive = self.false_positive + other.false_positive;
        self.false_negative = self.false_negative + other.false_negative;
        self.true_negative = self.true_negative + other.true_negative;
    }

    /// The state, for storing.
    pub fn sums(&self) -> [Double; 4] {
        [self.true_positive, self.false_positive, self.false_negative, self.true_negative]
    }

    /// The state of stored sums.
    pub fn of_sums(sums: [Double; 4]) -> Self {
        let [true_positive, false_positive, false_negative, true_negative] = sums;
        Self { true_positive, false_positive, false_negative, true_negative }
    }

    /// Share of right answers.
    pub fn accuracy(&self) -> Option<f64> {
        let right = self.true_positive + self.true_negative;
        ratio(right, right + self.false_positive + self.false_negative)
    }

    /// Share of the predicted that are; None if none is predicted.
    pub fn precision(&self) -> Option<f64> {
        ratio(self.true_positive, self.true_positive + self.false_positive)
    }

    /// Share of those that are that were predicted; None if none is.
    pub fn recall(&self) -> Option<f64> {
        ratio(self.true_positive, self.true_positive + self.false_negative)
    }

    /// Harmonic mean of precision and recall; None if nothing is or is predicted.
    pub fn f1(&self) -> Option<f64> {
        let twice = self.true_positive * 2.0;
        ratio(twice, twice + self.false_positive + self.false_negative)
    }
}
