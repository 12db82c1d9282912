//! How far two distributions over the same bins lie apart.
//!
//! With p the shares of the reference, q those of the current data, m = (p + q) / 2:
//!
//!   psi             Σ (q - p) ln(q / p)            kl   Σ q ln(q / p), current from reference
//!   js_divergence   (Σ p ln(p / m) + Σ q ln(q / m)) / 2, js_distance its root
//!   hellinger       √(Σ (√p - √q)² / 2)            tv   Σ |p - q| / 2
//!   l_infinity      max |p - q|
//!
//! Differences of shares are taken before rounding (`Double`), and KL and JS sum terms that cannot
//! be negative, so nearly equal distributions keep their digits. Bins empty on both sides say
//! nothing and drop out, but for Evidently's fill. Only psi and kl need empty bins filled; the
//! others take the shares as they are.

use super::double::Double;
use super::tails::{chi_square_ln_sf, chi_square_quantile};

/// What stands for an empty bin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Fill {
    /// Half an observation; shares sum to one again.
    #[default]
    Half,
    /// Shares below 1e-4 become 1e-4.
    Clamp,
    /// 1e-5 is added to every share (popmon).
    Add,
    /// Empty bins get 1e-4, or a millionth of the smallest share if that is at most 1e-4
    /// (Evidently).
    Evidently,
    /// Nothing: infinite where only one side is empty.
    None,
}

/// Which number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Divergence {
    /// Population stability index: symmetric.
    Psi,
    /// Kullback-Leibler divergence of the current data from the reference, in nats.
    Kl,
    /// Jensen-Shannon divergence, in nats.
    JsDivergence,
    /// Its square root.
    JsDistance,
    /// Hellinger's distance.
    Hellinger,
    /// Total variation.
    TotalVariation,
    /// Largest difference of a share.
    LInfinity,
}

/// The divergence of `current` from `reference`, counts over the same bins. None if one side has no
/// count.
pub fn divergence(kind: Divergence, reference: &[u64], current: &[u64], fill: Fill) -> Option<f64> {
    // Evidently fills bins that are empty on both sides too.
    let pairs: Vec<(u64, u64)> = match fill {
        Fill::Evidently => reference.iter().copied().zip(current.iter().copied()).collect(),
        _ => used(reference, current).collect(),
    };
    if reference.iter().all(|n| *n == 0) || current.iter().all(|n| *n == 0) {
        return None;
    }
    let left: Vec<u64> = pairs.iter().map(|pair| pair.0).collect();
    let right: Vec<u64> = pairs.iter().map(|pair| pair.1).collect();
    let filled =
        |normalise| shares(&left, fill, normalise).into_iter().zip(shares(&right, fill, normalise));
    let plain =
        || shares(&left, Fill::None, true).into_iter().zip(shares(&right, Fill::None, true));
    let total = |terms: &mut dyn Iterator<Item = f64>| {
        let (sum, plain) = terms.fold((Double::default(), 0.0), |(sum, plain), term| {
            (sum + Double::from(term), plain + term)
        });
        // An infinite term has no low part.
        if plain.is_infinite() { plain } else { sum.value() }
    };
    Some(match kind {
        Divergence::Psi => {
            total(&mut filled(false).map(|(p, q)| difference(p, q) * ln_ratio(p, q)))
        }
        Divergence::Kl => total(&mut filled(true).map(|(p, q)| relative_entropy(p, q))),
        Divergence::JsDivergence => total(&mut plain().map(|(p, q)| jensen_shannon(p, q))),
        Divergence::JsDistance => {
            total(&mut plain().map(|(p, q)| jensen_shannon(p, q))).max(0.0).sqrt()
        }
        Divergence::Hellinger => {
            let root = |(p, q): (Double, Double)| {
                (difference(p, q) / (p.value().sqrt() + q.value().sqrt())).powi(2)
            };
            (0.5 * total(&mut plain().map(root))).sqrt()
        }
        Divergence::TotalVariation => {
            0.5 * total(&mut plain().map(|(p, q)| difference(p, q).abs()))
        }
        Divergence::LInfinity => plain().map(|(p, q)| difference(p, q).abs()).fold(0.0, f64::max),
    })
}

/// All of the counts, which may be the caller's: as many as there can be if they are more.
pub fn total<'a>(counts: impl IntoIterator<Item = &'a u64>) -> u64 {
    counts.into_iter().fold(0, |sum, count| sum.saturating_add(*count))
}

/// Bins in which something lies.
fn used<'a>(reference: &'a [u64], current: &'a [u64]) -> impl Iterator<Item = (u64, u64)> + 'a {
    reference.iter().copied().zip(current.iter().copied()).filter(|(p, q)| *p > 0 || *q > 0)
}

/// Bins in which only one side has something.
pub fn empty_bins(reference: &[u64], current: &[u64]) -> u64 {
    used(reference, current).filter(|(p, q)| *p == 0 || *q == 0).count() as u64
}

fn shares(counts: &[u64], fill: Fill, normalise: bool) -> Vec<Double> {
    let sum = total(counts);
    let share = |count: u64| Double::from(count as f64).over(sum as f64);
    let replaced = |empty: f64, counts: &[u64]| -> Vec<Double> {
        let value = |count: &u64| if *count == 0 { Double::from(empty) } else { share(*count) };
        counts.iter().map(value).collect()
    };
    let filled = match fill {
        // In half observations, so that the counts stay whole.
        Fill::Half => {
            let halves: Vec<u64> = counts.iter().map(|n| n.saturating_mul(2).max(1)).collect();
            let sum = total(&halves) as f64;
            return halves.iter().map(|n| Double::from(*n as f64).over(sum)).collect();
        }
        Fill::None => return counts.iter().map(|n| share(*n)).collect(),
        Fill::Clamp => {
            let floor = |n: &u64| if share(*n).value() < 1e-4 { 1e-4.into() } else { share(*n) };
            counts.iter().map(floor).collect()
        }
        Fill::Add => counts.iter().map(|n| share(*n) + Double::from(1e-5)).collect(),
        Fill::Evidently => {
            let least = counts.iter().filter(|n| **n > 0).min().map_or(0.0, |n| share(*n).value());
            replaced(if least <= 1e-4 { least / 1e6 } else { 1e-4 }, counts)
        }
    };
    if !normalise {
        return filled;
    }
    let sum = filled.iter().fold(Double::default(), |a, b| a + *b);
    filled.iter().map(|share| share.divided(sum)).collect()
}

fn difference(p: Double, q: Double) -> f64 {
    (q - p).value()
}

/// ln(q / p); the ratio near one through its distance from one.
fn ln_ratio(p: Double, q: Double) -> f64 {
    let relative = difference(p, q) / p.value();
    if relative.abs() < 0.5 { relative.ln_1p() } else { (q.value() / p.value()).ln() }
}

/// q ln(q / p) - q + p, which is never negative and sums to Σ q ln(q / p).
fn relative_entropy(p: Double, q: Double) -> f64 {
    match (p.value() > 0.0, q.value() > 0.0) {
        (_, false) => p.value(),
        (false, true) => f64::INFINITY,
        (true, true) => p.value() * excess(difference(p, q) / p.value()),
    }
}

/// (1 + r) ln(1 + r) - r for r >= -1. Near zero by its series r²/2 - r³/6 + …: terms r^k / (k (k -
/// 1)).
fn excess(r: f64) -> f64 {
    if r <= -1.0 {
        return 1.0;
    }
    if r.abs() > 0.1 {
        return (1.0 + r) * r.ln_1p() - r;
    }
    let term = |k: u32| 1.0 / f64::from(k * (k - 1));
    r * r * (2..20).rev().fold(0.0, |sum, k| term(k) - r * sum)
}

fn jensen_shannon(p: Double, q: Double) -> f64 {
    let both = (p + q).value();
    let r = difference(p, q) / both;
    0.25 * both * (excess(r) + excess(-r))
}

/// A chi-square test on counts.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ChiSquare {
    /// Pearson's statistic.
    pub statistic: f64,
    /// Degrees of freedom.
    pub df: f64,
    /// ln of the p-value.
    pub ln_p_value: f64,
    /// Cramér's V: √(statistic / n) for two rows; from 0 to 1.
    pub cramers_v: f64,
}

/// Which chi-square test.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ChiSquareKind {
    /// Both sides are samples (2 x k table).
    #[default]
    Contingency,
    /// The reference is the truth; infinite for a new category.
    GoodnessOfFit,
}

/// Pearson's chi-square. None if a side is empty or fewer than two bins are used.
pub fn chi_square(kind: ChiSquareKind, reference: &[u64], current: &[u64]) -> Option<ChiSquare> {
    let pairs: Vec<(u64, u64)> = used(reference, current).collect();
    let n = total(pairs.iter().map(|pair| &pair.0)) as f64;
    let m = total(pairs.iter().map(|pair| &pair.1)) as f64;
    if n == 0.0 || m == 0.0 || pairs.len() < 2 {
        return None;
    }
    // Both cells of a column: d = (b n - a m) / (n m); their terms sum to n m d² / (a + b).
    let term = |(a, b): &(u64, u64)| {
        let (a, b) = (*a as f64, *b as f64);
        let distance = (Double::from(b).over(m) - Double::from(a).over(n)).value();
        match kind {
            ChiSquareKind::Contingency => n * distance * (m * distance) / (a + b),
            ChiSquareKind::GoodnessOfFit => m * distance * (n * distance) / a,
        }
    };
    let statistic: f64 = pairs.iter().map(term).sum();
    let df = (pairs.len() - 1) as f64;
    Some(ChiSquare {
        statistic,
        df,
        ln_p_value: chi_square_ln_sf(statistic, df),
        cramers_v: (statistic / (n + m)).sqrt(),
    })
}

/// The psi that chance alone exceeds with probability `alpha`: under equal distributions psi n m /
/// (n + m) follows chi-square with one degree less than there are used bins (Yurdakul 2018).
pub fn psi_critical(reference: &[u64], current: &[u64], alpha: f64) -> Option<f64> {
    let bins = used(reference, current).count();
    let (n, m) = (total(reference) as f64, total(current) as f64);
    (bins >= 2 && n > 0.0 && m > 0.0)
        .then(|| chi_square_quantile(alpha, (bins - 1) as f64) * (1.0 / n + 1.0 / m))
}
