//! The upper incomplete gamma function.

use super::special::{continued_fraction, half_ln_two_pi, ln_complement, ln_minus, stirling_error};

/// ln [x^a e^-x / Γ(a)] in Loader's saddle-point form (Loader 2000): no large terms cancel.
pub fn ln_prefix(a: f64, x: f64) -> f64 {
    a * ln_minus(x / a, (x - a) / a) - stirling_error(a) + 0.5 * a.ln() - half_ln_two_pi()
}

/// ln Q(a, x) = ln [Γ(a, x) / Γ(a)], a > 0, x >= 0: the series DLMF 8.11.4 for P below the mean,
/// the continued fraction DLMF 8.9.2 above it.
pub fn ln_upper_gamma(a: f64, x: f64) -> f64 {
    if x.is_nan() || a.is_nan() {
        return f64::NAN;
    }
    if x <= 0.0 {
        return 0.0;
    }
    if x.is_infinite() {
        return f64::NEG_INFINITY;
    }
    let prefix = ln_prefix(a, x);
    if x < a + 1.0 {
        return ln_complement(prefix - a.ln() + series(a, x).ln());
    }
    let fraction = continued_fraction(x + 1.0 - a, |k| {
        let k = f64::from(k);
        (-k * (k - a), x + 2.0 * k + 1.0 - a)
    });
    prefix - fraction.ln()
}

/// 1 + x/(a+1) + x²/((a+1)(a+2)) + …
fn series(a: f64, x: f64) -> f64 {
    let (mut sum, mut term, mut next) = (1.0, 1.0, a);
    while term > sum * 1e-17 {
        next += 1.0;
        term *= x / next;
        sum += term;
    }
    sum
}
