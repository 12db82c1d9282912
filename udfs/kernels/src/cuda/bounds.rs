//! How near a row may be at most, by its half floats; and what that proves.
//!
//! For a query q and a row x let x̃ be the half floats, n = ‖x‖ and e = ‖x - x̃‖ as `halves` has
//! them. The device has a product p that is q·x̃ but for rounding, and computes
//!
//! ```text
//!   inner product, L2:  p + error·e + square·n² + length·n
//!   cosine:            (p + error·e) / n + length               q of length 1
//! ```
//!
//! which is no less than the *nearness* of the row: q·x, for L2 q·x - n²/2, for cosine the cosine;
//! and no less than what the CPU computes for these, either. Why:
//!
//! - q·x is at most q·x̃ + ‖q‖·e, by Cauchy and Schwarz. Where the query is in half floats too,
//!   which is δ from it, δ·‖x̃‖ is added, and ‖x̃‖ is at most n + e.
//! - A sum of d products in single precision is off by d·2⁻²⁴ of ‖q‖·‖x‖; one of tensor cores,
//!   which cut digits off, by four times as much; the CPU's dot products, lengths and squares by
//!   d·2⁻²⁴ each. c = (d + 16)·2⁻²¹ is more than all of these together.
//!
//! So `length` = c·‖q‖ + δ, `error` = ‖q‖ + `length`, and for L2 `square` = c - 1/2. Lengths are
//! between 2⁻³⁰ and 2³⁰ here, so that nothing overflows, and what underflows is less than the
//! least error that `halves` gives. Other rows are scored on the host, other queries declined.

use crate::vectors::Metric;

use super::job::Terms;

/// The shortest row whose cosine is bounded, and the shortest query.
pub const LEAST: f32 = f32::from_bits((127 - 30) << 23);
/// The longest row and query; `MOST` in `device.cu`.
pub const MOST: f32 = f32::from_bits((127 + 30) << 23);

/// What is known of a query.
#[derive(Debug, Clone, Copy)]
pub struct Bound {
    metric: Metric,
    dimension: usize,
    /// Squared length of the query.
    square: f64,
}

/// c, see above.
fn rounding(dimension: usize) -> f64 {
    (dimension + 16) as f64 * 2f64.powi(-21)
}

/// The least float that is not less.
fn up(x: f64) -> f32 {
    let near = x as f32;
    if f64::from(near) < x { near.next_up() } else { near }
}

impl Bound {
    /// Of a query of finite elements; None if it is too short or too long for a bound, or zero.
    pub fn new(metric: Metric, query: &[f32]) -> Option<Self> {
        let square = query.iter().map(|x| f64::from(*x) * f64::from(*x)).sum::<f64>();
        let fits = f64::from(LEAST) <= square.sqrt() && square.sqrt() <= f64::from(MOST);
        fits.then_some(Self { metric, dimension: query.len(), square })
    }

    /// The query as the device gets it: for cosine at length 1.
    pub fn queried(&self, query: &[f32]) -> Vec<f32> {
        let divisor = if self.metric == Metric::Cosine { self.square.sqrt() } else { 1.0 };
        query.iter().map(|x| (f64::from(*x) / divisor) as f32).collect()
    }

    /// The terms for a query that comes to the device divided by `scale`, and `off` from itself.
    pub fn terms(&self, scale: f32, off: f32) -> Terms {
        let is_cosine = self.metric == Metric::Cosine;
        let norm = if is_cosine { 1.0 } else { self.square.sqrt() };
        let length = rounding(self.dimension) * norm + f64::from(off);
        let square = match self.metric {
            Metric::L2 => up(rounding(self.dimension) - 0.5),
            Metric::InnerProduct | Metric::Cosine | Metric::L1 => 0.0,
        };
        Terms {
            scale,
            square,
            error: up((norm + length) * (1.0 + 1e-6)),
            length: up(length * (1.0 + 1e-6)),
            least: if is_cosine { LEAST } else { 0.0 },
            cosine: u32::from(is_cosine),
        }
    }

    /// Whether the distance that the CPU gives to a row of at most this nearness is over `limit`,
    /// and not by rounding.
    pub fn is_beyond(&self, nearness: f32, limit: f32) -> bool {
        let (near, limit) = (f64::from(nearness), f64::from(limit));
        match self.metric {
            Metric::L2 => {
                let least = self.square - 2.0 * near - 1e-12 * self.square;
                let relative = (self.dimension + 16) as f64 * 2f64.powi(-22);
                least * (1.0 - relative) > limit * limit * (1.0 + 1e-6)
            }
            Metric::InnerProduct => -near > limit,
            Metric::Cosine => f64::from((1.0 - near) as f32) > limit,
            Metric::L1 => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_farther_is_beyond() {
        let query = [3.0, 4.0];
        let bound = |metric| Bound::new(metric, &query).unwrap();
        // A row at distance 2 has nearness (25 - 4) / 2.
        assert!(bound(Metric::L2).is_beyond(10.5, 1.99));
        assert!(!bound(Metric::L2).is_beyond(10.5, 2.0));
        assert!(bound(Metric::InnerProduct).is_beyond(-1.0, 0.5));
        assert!(!bound(Metric::InnerProduct).is_beyond(-1.0, 1.0));
        assert!(bound(Metric::Cosine).is_beyond(0.5, 0.4999));
        assert!(!bound(Metric::Cosine).is_beyond(0.5, 0.5));
        for metric in [Metric::L2, Metric::InnerProduct, Metric::Cosine] {
            assert!(!bound(metric).is_beyond(f32::NAN, 1.0));
            assert!(!bound(metric).is_beyond(-1e9, f32::NAN));
            assert!(!bound(metric).is_beyond(-1e9, f32::INFINITY));
            assert!(Bound::new(metric, &[0.0, 0.0]).is_none());
            assert!(Bound::new(metric, &[1e10, 0.0]).is_none());
        }
    }
}
