//! The rows of `reference/linear.py`, and its values.

use std::ops::ControlFlow;

use kernels::models::linear::{Error, Fitted, Options, Run, train};

fn series(step: u64, seed: u64, modulus: u64) -> Vec<f64> {
    (0..500).map(|i| ((i * step + seed) % modulus) as f64).collect()
}

fn map(series: Vec<f64>, f: impl Fn(f64) -> f64) -> Vec<f64> {
    series.into_iter().map(f).collect()
}

pub fn columns() -> Vec<Vec<f64>> {
    vec![
        map(series(7919, 13, 101), |x| x / 8.0),
        map(series(104_729, 7, 53), |x| x - 20.0),
        map(series(31, 5, 97), |x| x / 64.0 + 3.0),
        series(211, 3, 11),
        map(series(57, 2, 29), |x| x * 100.0),
    ]
}

/// What labels follow.
pub fn scores() -> Vec<f64> {
    let (columns, noise) = (columns(), map(series(263, 5, 83), |x| x / 83.0 - 0.5));
    let score = |i: usize| {
        columns[0][i] / 4.0 - columns[1][i] / 16.0 + columns[2][i] - columns[3][i] / 8.0
            + noise[i] * 6.0
            - 3.0
    };
    (0..500).map(score).collect()
}

pub fn weights() -> Vec<f64> {
    map(series(57, 11, 7), |x| 1.0 + x / 4.0)
}

pub fn fit(
    options: &Options,
    columns: &[Vec<f64>],
    labels: &[f64],
    weights: Option<&[f64]>,
    threads: usize,
) -> Result<Fitted, Error> {
    let columns: Vec<&[f64]> = columns.iter().map(Vec::as_slice).collect();
    let run = Run { threads, progress: &|_, _| ControlFlow::Continue(()) };
    train(options, &columns, labels, weights, &run)
}

/// Of each output, intercept and coefficients.
pub fn expected(name: &str) -> Vec<f64> {
    let lines = include_str!("../reference/linear.txt").lines();
    let mut found = lines.filter_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    let line = found.next().unwrap_or_else(|| panic!("no line {name}"));
    line.split(' ').map(|word| word.parse().unwrap()).collect()
}
