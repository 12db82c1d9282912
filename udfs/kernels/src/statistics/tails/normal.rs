//! The normal distribution.

use super::special::half_ln_two_pi;

/// ln P(Z > z): by erfc near the middle, by Mills' ratio (Laplace's continued fraction, DLMF 7.9.3)
/// beyond.
pub fn normal_ln_sf(z: f64) -> f64 {
    if z < -1.0 {
        return (-normal_ln_sf(-z).exp()).ln_1p();
    }
    if z <= 5.0 {
        return (0.5 * libm::erfc(z * std::f64::consts::FRAC_1_SQRT_2)).ln();
    }
    mills(z).ln() - 0.5 * z * z - half_ln_two_pi()
}

/// P(Z > z) over the density at z.
fn mills(z: f64) -> f64 {
    1.0 / (1..=100).rev().fold(z, |rest, k| z + f64::from(k) / rest)
}

/// The z with P(Z > z) = `p`, 0 < p < 1, by Newton's method on the logarithm of the tail, which is
/// concave.
pub fn normal_quantile(p: f64) -> f64 {
    if p > 0.5 {
        return -normal_quantile(1.0 - p);
    }
    let target = p.ln();
    // Hastings' start, right to 4.5e-4 (Abramowitz & Stegun 26.2.23).
    let t = (-2.0 * target).sqrt();
    let above = 2.515517 + t * (0.802853 + t * 0.010328);
    let below = 1.0 + t * (1.432788 + t * (0.189269 + t * 0.001308));
    let mut z = t - above / below;
    for _ in 0..60 {
        let value = normal_ln_sf(z);
        let density = -0.5 * z * z - half_ln_two_pi();
        let next = z + (value - target) * (value - density).exp();
        // The error after a step is of the order of its square.
        if (next - z).abs() <= 1e-9 {
            return next;
        }
        z = next;
    }
    z
}
