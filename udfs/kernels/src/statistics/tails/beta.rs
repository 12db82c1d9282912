//! The regularised incomplete beta function.

use super::special::{continued_fraction, half_ln_two_pi, ln_complement, ln_minus, stirling_error};

/// ln [x^a y^b / B(a, b)], x + y = 1, in Loader's saddle-point form: the deviation of x from its
/// mean a/(a+b) enters as a y - b x, which does not cancel when y is known without error.
pub fn ln_prefix(a: f64, b: f64, x: f64, y: f64) -> f64 {
    let both = a + b;
    let shift = a * y - b * x;
    let deviance = a * ln_minus(both * x / a, -shift / a) + b * ln_minus(both * y / b, shift / b);
    let stirling = stirling_error(both) - stirling_error(a) - stirling_error(b);
    deviance + stirling + 0.5 * (a.ln() + b.ln() - both.ln()) - half_ln_two_pi()
}

/// ln I_x(a, b) for a, b > 0 and y = 1 - x: a continued fraction on the side where it converges
/// fast, the complement of the other side elsewhere (there the answer is not small).
pub fn ln_incomplete_beta(a: f64, b: f64, x: f64, y: f64) -> f64 {
    if x.is_nan() || y.is_nan() {
        return f64::NAN;
    }
    if x <= 0.0 {
        return f64::NEG_INFINITY;
    }
    if y <= 0.0 {
        return 0.0;
    }
    if x < (a + 1.0) / (a + b + 2.0) {
        return ln_prefix(a, b, x, y) - fraction(a, b, x, y).ln();
    }
    ln_complement(ln_prefix(a, b, x, y) - fraction(b, a, y, x).ln())
}

/// The even part of DLMF 8.17.22 (DiDonato & Morris 1992, eq. 9): like the prefix it takes a y - b
/// x, so that x next to one (a huge `df`) loses nothing.
fn fraction(a: f64, b: f64, x: f64, y: f64) -> f64 {
    let denominator = |m: f64| {
        let first = if m == 0.0 { 0.0 } else { m + m * (b - m) * x / (a + 2.0 * m - 1.0) };
        first + (a + m) * (a * y - b * x + 1.0 + m * (1.0 + y)) / (a + 2.0 * m + 1.0)
    };
    continued_fraction(denominator(0.0), |k| {
        let m = f64::from(k);
        let before = a + 2.0 * m - 1.0;
        let numerator =
            (a + m - 1.0) / before * ((a + b + m - 1.0) / before) * (m * (b - m)) * x * x;
        (numerator, denominator(m))
    })
}
