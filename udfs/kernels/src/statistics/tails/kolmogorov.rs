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
/// the largest |i m - j n|; in as many steps as there are points within the band
/// (`two_sample_steps`).
///
/// The share of lattice paths to (i, j) that have left the band is one outside it, else the mean of
/// its two predecessors weighted by i and j: only additions, so that a small share keeps its
/// digits.
pub fn two_sample_ln_sf(distance: u64, n: u64, m: u64) -> f64 {
    let Some(reach) = distance.checked_sub(1) else { return 0.0 };
    // Shares of a row of i; one outside the band, which only moves up.
    let mut shares = vec![1.0f64; m as usize + 1];
    let mut first = 0;
    for i in 0..=n {
        let low = (i * m).saturating_sub(reach).div_ceil(n);
        let high = ((i * m + reach) / n).min(m);
        shares[first..(low as usize).min(m as usize + 1)].fill(1.0);
        first = low as usize;
        for j in low..=high {
            let at = j as usize;
            let above = if i == 0 { 0.0 } else { shares[at] * i as f64 };
            let left = if j == 0 { 0.0 } else { shares[at - 1] * j as f64 };
            shares[at] = (above + left) / ((i + j) as f64).max(1.0);
        }
    }
    shares.last().map_or(0.0, |share| share.ln())
}

/// About how many steps `two_sample_ln_sf` takes: the points of the band.
pub fn two_sample_steps(distance: f64, n: u64, m: u64) -> f64 {
    let all = n as f64 * m as f64;
    let outside = 1.0 - (distance / all).min(1.0);
    all * (1.0 - outside * outside)
}
