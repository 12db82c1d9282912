//! Bins for numbers: explicit edges, half-open [a, b), open at both ends, own bins for NULL and
//! NaN.
//!
//! `k` edges make `k + 1` bins of numbers: below the first edge, …, from the last edge on. Nothing
//! falls outside; infinities fall into the end bins.

use super::sample::{Ranked, together};

/// Up to this many edges are compared one after the other, without branches.
const FEW_EDGES: usize = 32;

/// The cuts between `bins` bins that hold equal shares of the sample: quantiles (type 7), equal
/// ones merged. A value that is more than one bin's share is not merged with those above it, so
/// that what moves away from it is seen; of a sample of one value, nor with those below it.
pub fn quantile_edges(sample: &Ranked, bins: usize) -> Vec<f64> {
    let last = sample.count().saturating_sub(1);
    if sample.count() == 0 {
        return Vec::new();
    }
    let [least, most] = sample.at([0, last]);
    if least == most {
        return vec![least, least.next_up()];
    }
    let quantile = |k: usize| sample.quantile(k as f64 / bins as f64);
    let cuts: Vec<f64> = (0..=bins).map(quantile).collect();
    // A cut at the minimum would leave an empty bin below it.
    let mut edges: Vec<f64> = cuts.iter().copied().take(bins).filter(|cut| *cut > least).collect();
    edges.dedup();
    let mut heavy =
        cuts.windows(2).filter(|pair| pair[0] == pair[1]).map(|pair| pair[0]).peekable();
    let mut runs = sample.runs().map(|(value, _)| value).peekable();
    while heavy.peek().is_some()
        && let Some(value) = runs.next()
    {
        while heavy.next_if(|heavy| *heavy < value).is_some() {}
        if heavy.peek() == Some(&value)
            && let Some(above) = runs.peek()
            && let Err(place) = edges.binary_search_by(|edge| edge.total_cmp(above))
            && (place == 0 || edges[place - 1] <= value)
        {
            edges.insert(place, *above);
        }
    }
    edges
}

/// The cuts between `bins` bins of equal width over the finite values of the sample.
pub fn uniform_edges_of(sample: &Ranked, bins: usize) -> Vec<f64> {
    let finite = || sample.runs().map(|(value, _)| value).filter(|value| value.is_finite());
    match (finite().next(), finite().last()) {
        (Some(low), Some(high)) => uniform_edges(low, high, bins),
        _ => Vec::new(),
    }
}

/// The cuts between `bins` bins of equal width from `low` to `high`.
pub fn uniform_edges(low: f64, high: f64, bins: usize) -> Vec<f64> {
    // As numpy.linspace, so that counts at the edges are numpy's.
    let step = (high - low) / bins as f64;
    let cut = |k: usize| match step.is_finite() {
        true => k as f64 * step + low,
        false => low * (1.0 - k as f64 / bins as f64) + high * (k as f64 / bins as f64),
    };
    let mut edges: Vec<f64> = (1..bins).map(cut).collect();
    edges.dedup();
    edges
}

/// Evidently's bins of a number: one per value while the reference has at most 20, else as many of
/// equal width over both samples as Sturges (1926) says, ceil(log2 n + 1).
pub fn evidently_edges(reference: &Ranked, current: &Ranked) -> Vec<f64> {
    const FEW_VALUES: usize = 20;
    if reference.runs().count() <= FEW_VALUES {
        let mut values = Vec::new();
        together(reference, current, |value, _, _| values.push(value));
        return values.split_off(values.len().min(1));
    }
    let rows = (reference.count() + current.count()) as f64;
    let mut ends = (f64::INFINITY, f64::NEG_INFINITY);
    for sample in [reference, current].into_iter().filter(|sample| sample.count() > 0) {
        let [low, high] = sample.at([0, sample.count() - 1]);
        ends = (ends.0.min(low), ends.1.max(high));
    }
    uniform_edges(ends.0, ends.1, (rows.log2() + 1.0).ceil() as usize)
}

/// NannyML's bins of a number, by the reference alone: one per value while those are at most 50 and
/// a tenth of the rows, else as many of equal width as Doane (1976) says, as NumPy computes it.
/// What lies outside has bins of its own, which are empty in the reference.
pub fn nannyml_edges(reference: &Ranked) -> Vec<f64> {
    const FEW_VALUES: usize = 50;
    let runs: Vec<(f64, u64)> = reference.runs().filter(|run| run.0.is_finite()).collect();
    let rows: u64 = runs.iter().map(|run| run.1).sum();
    let (Some(first), Some(last)) = (runs.first(), runs.last()) else { return Vec::new() };
    if runs.len() <= FEW_VALUES && runs.len() as f64 <= rows as f64 / 10.0 {
        let mut edges: Vec<f64> = runs.iter().flat_map(|run| [run.0, run.0.next_up()]).collect();
        edges.dedup();
        return edges;
    }
    let (low, high) = match first.0 == last.0 {
        true => (first.0 - 0.5, last.0 + 0.5),
        false => (first.0, last.0),
    };
    let bins = doane(&runs, rows as f64, last.0 - first.0);
    let mut edges = vec![low];
    edges.extend(uniform_edges(low, high, bins));
    edges.push(high.next_up());
    edges.dedup();
    edges
}

/// Doane's number of bins for runs of values.
fn doane(runs: &[(f64, u64)], rows: f64, range: f64) -> usize {
    let mean_of = |f: &dyn Fn(f64) -> f64| {
        runs.iter().map(|(value, times)| f(*value) * *times as f64).sum::<f64>() / rows
    };
    let mean = mean_of(&|x| x);
    let deviation = mean_of(&|x| (x - mean).powi(2)).sqrt();
    if rows <= 2.0 || deviation.is_nan() || deviation <= 0.0 {
        return 1;
    }
    let skewness = mean_of(&|x| ((x - mean) / deviation).powi(3));
    let error = (6.0 * (rows - 2.0) / ((rows + 1.0) * (rows + 3.0))).sqrt();
    let width = range / (1.0 + rows.log2() + (1.0 + skewness.abs() / error).log2());
    ((range / width).ceil() as usize).max(1)
}

/// Whether the edges rise and are numbers.
pub fn edges_rise(edges: &[f64]) -> bool {
    edges.iter().all(|edge| !edge.is_nan()) && edges.is_sorted_by(|a, b| a < b)
}

/// The bin of a number that is not NaN.
#[inline]
pub fn bin_of(edges: &[f64], value: f64) -> usize {
    if edges.len() <= FEW_EDGES {
        return edges.iter().map(|edge| usize::from(value >= *edge)).sum();
    }
    edges.partition_point(|edge| value >= *edge)
}

/// Counts of a sample in the bins that `edges` make.
pub fn counts_of(sample: &Ranked, edges: &[f64]) -> Vec<u64> {
    let mut counts = vec![0; edges.len() + 1];
    sample.runs().for_each(|(value, count)| counts[bin_of(edges, value)] += count);
    counts
}
