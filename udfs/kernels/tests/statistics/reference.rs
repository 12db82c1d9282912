//! The data of `reference/experiments.py` and its results.

/// (i step + seed) mod modulus, in 64ths.
fn series(rows: u64, step: u64, modulus: u64, seed: u64) -> Vec<f64> {
    (0..rows).map(|i| ((i * step + seed) % modulus) as f64 / 64.0).collect()
}

/// The metric of control and of treatment.
pub fn metric() -> [Vec<f64>; 2] {
    let treatment = series(350, 104_729, 1013, 7);
    [series(400, 7919, 1009, 13), treatment.into_iter().map(|y| y + 0.75).collect()]
}

fn raw() -> [Vec<f64>; 2] {
    [series(400, 31, 257, 5), series(350, 57, 263, 11)]
}

/// Covariates that go along with the metric.
pub fn covariate() -> [Vec<f64>; 2] {
    let (y, x) = (metric(), raw());
    [0, 1].map(|arm| y[arm].iter().zip(&x[arm]).map(|(y, x)| y / 2.0 + x).collect())
}

/// Denominators of a ratio.
pub fn denominator() -> [Vec<f64>; 2] {
    raw().map(|x| x.into_iter().map(|x| x + 1.0).collect())
}

/// The numbers of a line of `experiments.txt`.
pub fn expected(name: &str) -> Vec<f64> {
    line(include_str!("../reference/experiments.txt"), name)
}

/// The numbers of a line of `guardrails.txt`.
pub fn guardrail(name: &str) -> Vec<f64> {
    line(include_str!("../reference/guardrails.txt"), name)
}

fn line(text: &str, name: &str) -> Vec<f64> {
    let lines = text.lines();
    let mut found = lines.filter_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    let line = found.next().unwrap_or_else(|| panic!("no line {name}"));
    line.split(' ').map(|word| word.parse().unwrap()).collect()
}

/// Relative distance; infinities must be equal.
pub fn distance(actual: f64, expected: f64) -> f64 {
    if actual == expected { 0.0 } else { ((actual - expected) / expected).abs() }
}

/// Asserts agreement number by number.
#[track_caller]
pub fn assert_near(name: &str, actual: &[f64], expected: &[f64], tolerance: f64) {
    assert_eq!(actual.len(), expected.len(), "{name}: {actual:?} against {expected:?}");
    for (index, (a, e)) in actual.iter().zip(expected).enumerate() {
        let off = distance(*a, *e);
        assert!(off <= tolerance, "{name}[{index}]: {a:e} against {e:e}, off by {off:e}");
    }
}
