//! How good predictions are: the measures that scikit-learn has, and those of ranked lists.
//!
//! Sums (`errors`, `classes`, `calibration`) are mergeable states; so is `ranked::Scores`, which
//! holds all scores of a class problem. `lists` needs all rows of one list. No answer depends on
//! the order of rows: sums keep 106 bits, and rows of equal score count as the mean over all their
//! orders. Weights are at least zero, 1 if absent. Where there is nothing to measure, or a number
//! is NaN, the answer is None.

pub mod calibration;
pub mod classes;
pub mod errors;
pub mod lists;
pub mod ranked;

use crate::statistics::double::Double;

/// `a / b`; None where that is no number.
fn ratio(a: Double, b: Double) -> Option<f64> {
    let quotient = if b.hi == 0.0 { f64::NAN } else { a.divided(b).value() };
    quotient.is_finite().then_some(quotient)
}
