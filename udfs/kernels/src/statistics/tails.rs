//! Distribution tails: the logarithm of the probability that a variable exceeds a value.
//!
//! Every function computes the tail itself, never one minus the other side, so a p-value stays
//! right down to 1e-308 and its logarithm beyond. `exp` of the logarithm keeps 13 digits even
//! there. A NaN gives a NaN.

mod beta;
mod gamma;
mod kolmogorov;
mod normal;
mod special;
mod student;

pub use kolmogorov::{kolmogorov_ln_sf, two_sample_ln_sf, two_sample_steps};
pub use normal::{normal_ln_sf, normal_quantile};
pub use student::{student_ln_sf, student_ln_two_sided, student_quantile};

use beta::ln_incomplete_beta;
use gamma::ln_upper_gamma;

/// ln P(X > x) for chi-square with `df` > 0 degrees of freedom.
pub fn chi_square_ln_sf(x: f64, df: f64) -> f64 {
    if x <= 0.0 { 0.0 } else { ln_upper_gamma(df / 2.0, x / 2.0) }
}

/// The x with P(X > x) = `alpha`, 0 < alpha < 1, for chi-square.
pub fn chi_square_quantile(alpha: f64, df: f64) -> f64 {
    let shape = df / 2.0;
    let value = |half: f64| ln_upper_gamma(shape, half);
    let slope = |half: f64, ln_sf: f64| -(gamma::ln_prefix(shape, half) - ln_sf).exp();
    2.0 * special::solve_decreasing(shape, alpha.ln(), value, slope)
}

/// ln P(X > x) for the F distribution with `numerator` and `denominator` degrees of freedom.
pub fn f_ln_sf(x: f64, numerator: f64, denominator: f64) -> f64 {
    if x <= 0.0 {
        return 0.0;
    }
    let odds = x * (numerator / denominator);
    let (high, low) = (odds / (1.0 + odds), 1.0 / (1.0 + odds));
    let high = if odds.is_infinite() { 1.0 } else { high };
    ln_incomplete_beta(denominator / 2.0, numerator / 2.0, low, high)
}

/// The x with P(X < x) = `p`, 0 < p < 1, for the beta distribution.
pub fn beta_quantile(p: f64, a: f64, b: f64) -> f64 {
    let (mut low, mut high) = (0.0, 1.0);
    // The interval halves to neighbouring numbers; below 1e-300 nothing is asked.
    for _ in 0..1100 {
        let middle = 0.5 * (low + high);
        if middle <= low || middle >= high {
            break;
        }
        match ln_incomplete_beta(a, b, middle, 1.0 - middle) < p.ln() {
            true => low = middle,
            false => high = middle,
        }
    }
    0.5 * (low + high)
}

/// ln P(X >= successes) for a binomial variable.
pub fn binomial_ln_at_least(successes: u64, trials: u64, probability: f64) -> f64 {
    if successes == 0 {
        return 0.0;
    }
    if successes > trials {
        return f64::NEG_INFINITY;
    }
    let failures = (trials - successes) as f64 + 1.0;
    ln_incomplete_beta(successes as f64, failures, probability, 1.0 - probability)
}
