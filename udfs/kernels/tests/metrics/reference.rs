//! The rows of `reference/metrics.py`, and its values.

/// (i step + seed) mod modulus.
pub fn series(step: u64, seed: u64, modulus: u64) -> Vec<f64> {
    (0..1000).map(|i| ((i * step + seed) % modulus) as f64).collect()
}

pub fn labels() -> Vec<bool> {
    series(7919, 13, 101).into_iter().map(|x| x < 37.0).collect()
}

pub fn plus_labels(series: Vec<f64>, times: f64, over: f64) -> Vec<f64> {
    let labels = labels().into_iter().map(|label| f64::from(u8::from(label)));
    series.into_iter().zip(labels).map(|(x, label)| (x + label * times) / over).collect()
}

pub fn scores() -> Vec<f64> {
    plus_labels(series(104_729, 7, 53), 20.0, 8.0)
}

pub fn probabilities() -> Vec<f64> {
    plus_labels(series(31, 5, 997), 400.0, 1400.0)
}

pub fn weights() -> Vec<f64> {
    series(57, 11, 7).into_iter().map(|x| 1.0 + x / 4.0).collect()
}

pub fn targets() -> Vec<f64> {
    series(7919, 13, 1009).into_iter().map(|x| x / 64.0 + 1000.0).collect()
}

pub fn predictions() -> Vec<f64> {
    let errors = series(211, 3, 97).into_iter().map(|x| (x - 40.0) / 32.0);
    targets().into_iter().zip(errors).map(|(target, error)| target + error).collect()
}

pub fn relevances() -> Vec<f64> {
    series(263, 5, 11).into_iter().map(|x| (x / 3.0).floor()).collect()
}

pub fn expected(name: &str) -> f64 {
    let lines = include_str!("../reference/metrics.txt").lines();
    let mut found = lines.filter_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    found.next().unwrap_or_else(|| panic!("no line {name}")).parse().unwrap()
}

#[track_caller]
pub fn assert_near(name: &str, actual: Option<f64>) {
    let (actual, expected) = (actual.unwrap(), expected(name));
    assert!((actual - expected).abs() <= 1e-12 * expected.abs(), "{name}: {actual} {expected}");
}
