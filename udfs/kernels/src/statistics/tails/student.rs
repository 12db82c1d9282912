//! Student's t distribution, through the incomplete beta function (DLMF 8.17 with x = df / (df +
//! t²)).

use super::beta::{ln_incomplete_beta, ln_prefix};
use super::normal::{normal_ln_sf, normal_quantile};
use super::special::solve_decreasing;

/// Beyond this the normal distribution is the same to the last digit.
const LARGE_DF: f64 = 1e17;

/// ln P(T > t) with `df` > 0 degrees of freedom, not necessarily whole.
pub fn student_ln_sf(t: f64, df: f64) -> f64 {
    if df >= LARGE_DF {
        return normal_ln_sf(t);
    }
    let half = student_ln_two_sided(t, df) - std::f64::consts::LN_2;
    if t < 0.0 { (-half.exp()).ln_1p() } else { half }
}

/// ln P(|T| > |t|).
pub fn student_ln_two_sided(t: f64, df: f64) -> f64 {
    let t = t.abs();
    if df >= LARGE_DF {
        // Twice the tail is one at zero; the logarithm must not exceed zero by a rounding.
        return (normal_ln_sf(t) + std::f64::consts::LN_2).min(0.0);
    }
    let ratio = t / df.sqrt();
    let half = df / 2.0;
    if ratio > 1e9 {
        // The leading term of the series in df / t²; its square would leave the range first.
        let constant = libm::lgamma(half + 0.5) - libm::lgamma(half + 1.0) - libm::lgamma(0.5);
        return constant - df * ratio.ln();
    }
    let (x, y) = parts(ratio);
    ln_incomplete_beta(half, 0.5, x, y)
}

/// df / (df + t²) and t² / (df + t²).
fn parts(ratio: f64) -> (f64, f64) {
    let square = ratio * ratio;
    (1.0 / (1.0 + square), square / (1.0 + square))
}

/// The t with P(T > t) = `p`, 0 < p < 1.
pub fn student_quantile(p: f64, df: f64) -> f64 {
    if df >= LARGE_DF {
        return normal_quantile(p);
    }
    if p > 0.5 {
        return -student_quantile(1.0 - p, df);
    }
    if p == 0.5 {
        return 0.0;
    }
    let root = df.sqrt();
    // d ln P(|T| > t) / d ln t = -2 t density(t) / P, and t density(t) is the prefix of the beta
    // function.
    let slope = |t: f64, ln_sf: f64| {
        let (x, y) = parts(t / root);
        -2.0 * (ln_prefix(df / 2.0, 0.5, x, y) - ln_sf).exp()
    };
    // Cornish & Fisher's expansion about the normal quantile (Abramowitz & Stegun 26.7.5).
    let z = normal_quantile(p);
    let first = z * (z * z + 1.0) / 4.0;
    let second = z * ((5.0 * z * z + 16.0) * z * z + 3.0) / 96.0;
    let start = (z + (first + second / df) / df).max(1e-8);
    solve_decreasing(start, (2.0 * p).ln(), |t| student_ln_two_sided(t, df), slope)
}
