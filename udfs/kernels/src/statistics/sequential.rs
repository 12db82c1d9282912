//! Always-valid inference: p-values and intervals that hold at every look, so that peeking is
//! allowed.
//!
//! The evidence is a likelihood ratio, mixed over effects N(0, τ²), of the z statistic. With κ = τ²
//! / se²:
//!
//!   two-sided   E = exp(z² κ / (2 (1 + κ))) / √(1 + κ)                   p = min(1, 1 / E)
//!   one-sided   E = 2 Φ(z √(κ / (1 + κ))) × the same                    (effects on one side only)
//!
//! Asymptotic confidence sequences (Waudby-Smith, Arbour, Sinha, Kennedy & Ramdas, arXiv
//! 2103.06476, eq. 9, and 134/155/161 for p and one side) set κ = n ρ², where ρ makes the interval
//! tightest at `tuning` units. mSPRT (Johari, Koomen, Pekelis & Walsh 2022) sets τ, in units of the
//! metric. Both are closed forms; nothing is clamped.

use super::comparison::{Alternative, Options};
use super::tails::normal_ln_sf;

/// The prior weight of effects.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Mixture {
    /// Asymptotic confidence sequence, tightest at this number of units.
    Tuned(f64),
    /// mSPRT with this standard deviation of effects.
    Effect(f64),
}

impl Default for Mixture {
    fn default() -> Self {
        Self::Tuned(5000.0)
    }
}

/// What holds at every look.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sequential {
    /// ln of the always-valid p-value, at most zero.
    pub ln_p_value: f64,
    /// The confidence sequence at this look.
    pub interval: (f64, f64),
}

impl Mixture {
    /// τ² / se².
    fn ratio(self, std_error: f64, units: u64, alpha: f64) -> f64 {
        match self {
            Self::Tuned(at) => {
                let ln = -2.0 * alpha.ln();
                units as f64 * (ln + (ln + 1.0).ln()) / at
            }
            Self::Effect(deviation) => (deviation / std_error).powi(2),
        }
    }

    /// The always-valid p-value and interval for an estimate with a `statistic` already taken
    /// against the margin.
    pub fn test(
        self,
        diff: f64,
        statistic: f64,
        std_error: f64,
        units: u64,
        options: &Options,
    ) -> Sequential {
        let side = match options.alternative {
            Alternative::TwoSided => {
                let ratio = self.ratio(std_error, units, options.alpha);
                let half = std_error * two_sided_half(ratio, options.alpha);
                return Sequential {
                    ln_p_value: (-ln_evidence(statistic, ratio)).min(0.0),
                    interval: (diff - half, diff + half),
                };
            }
            Alternative::Greater => 1.0,
            Alternative::Less => -1.0,
        };
        // One side spends its error on one side: the tuning of a two-sided 2 alpha.
        let ratio = self.ratio(std_error, units, (2.0 * options.alpha).min(0.999));
        let half = std_error * one_sided_half(ratio, options.alpha);
        Sequential {
            ln_p_value: (-ln_evidence_above(side * statistic, ratio)).min(0.0),
            interval: match side > 0.0 {
                true => (diff - half, f64::INFINITY),
                false => (f64::NEG_INFINITY, diff + half),
            },
        }
    }
}

fn ln_evidence(z: f64, ratio: f64) -> f64 {
    0.5 * z * z * ratio / (1.0 + ratio) - 0.5 * ratio.ln_1p()
}

fn ln_evidence_above(z: f64, ratio: f64) -> f64 {
    let positive = normal_ln_sf(-z * (ratio / (1.0 + ratio)).sqrt());
    ln_evidence(z, ratio) + std::f64::consts::LN_2 + positive
}

/// The z at which the two-sided evidence is 1 / alpha.
fn two_sided_half(ratio: f64, alpha: f64) -> f64 {
    (2.0 * (1.0 + ratio) / ratio * (0.5 * ratio.ln_1p() - alpha.ln())).sqrt()
}

/// The z at which the one-sided evidence, which grows with z, is 1 / alpha: by bisection below the
/// two-sided bound, which is always larger.
fn one_sided_half(ratio: f64, alpha: f64) -> f64 {
    let (mut low, mut high) = (-two_sided_half(ratio, alpha), two_sided_half(ratio, alpha));
    for _ in 0..200 {
        let middle = 0.5 * (low + high);
        if middle <= low || middle >= high {
            break;
        }
        match ln_evidence_above(middle, ratio) < -alpha.ln() {
            true => low = middle,
            false => high = middle,
        }
    }
    high
}
