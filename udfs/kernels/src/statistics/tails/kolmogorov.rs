//! Kolmogorov's distribution, and the exact one of two samples.

use super::special::half_ln_two_pi;

/// ln P(K > x) of Kolmogorov's limiting distribution. Above 0.9 by its alternating series 2 Σ
/// (-1)^(k-1) exp(-2 k² x²), below by the theta function's other form (Feller 1948), where the
/// answer is near one.
pub fn kolmogorov_ln_sf(x: f64) -> f64 {
    if x <= 0.0 {
        return 0.0;
    }
    if x < 0.9 {
        let scale = std::f64::consts::PI.powi(2) / (8.0 * x * x);
        let terms = [1.0f64, 3.0, 5.0, 7.0].map(|k| (-k * k * scale).exp());
        let inside = half_ln_two_pi().exp() / x * terms.iter().sum::<f64>();
        return (-inside).ln_1p();
    }
    let square = -2.0 * x * x;
    let rest: f64 = (2..8)
        .map(|k| f64::from(1 - 2 * ((k + 1) % 2)) * (square * f64::from(k * k - 1)).exp())
        .sum();
    std::f64::consts::LN_2 + square + rest.ln_1p()
}

/// ln P(D >= distance / (n m)) for two samples without ties of sizes `n` and `m`, `distance` being
/// the largest |i m - j n|; in O(n m) steps.
///
/// The share of lattice paths to (i, j) that have left the band is one outside it, else the mean of
/// its two predecessors weighted by i and j: only additions, so that a small share keeps its
/// digits.
pub fn two_sample_ln_sf(distance: u64, n: u64, m: u64) -> f64 {
    let outside = |i: u64, j: u64| (i * m).abs_diff(j * n) >= distance;
    let mut shares = vec![0.0f64; m as usize + 1];
    for i in 0..=n {
        for j in 0..=m {
            let at = j as usize;
            shares[at] = if outside(i, j) {
                1.0
            } else {
                let above = if i == 0 { 0.0 } else { shares[at] * i as f64 };
                let left = if j == 0 { 0.0 } else { shares[at - 1] * j as f64 };
                (above + left) / ((i + j) as f64).max(1.0)
            };
        }
    }
    shares.last().map_or(0.0, |share| share.ln())
}
