//! Training, by family.

use std::ops::ControlFlow;

use super::design::Design;
use super::minimise::minimise;
use super::squares::regression;
use super::{Error, Family, Linear, Options};
use crate::models::link::{Link, softmax};
use crate::models::refused::check_rows;

/// Threads to train with, and whom to tell iteration and loss; `Break` ends it with `Cancelled`.
#[derive(Clone, Copy)]
pub struct Run<'a> {
    pub threads: usize,
    pub progress: &'a (dyn Fn(usize, f64) -> ControlFlow<()> + Sync),
}

/// How training ended.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Report {
    pub iterations: usize,
    /// Mean loss with penalties.
    pub loss: f64,
    /// The greatest slope that is left, of the scaled problem.
    pub slope: f64,
    pub converged: bool,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Fitted {
    /// Features are named `Column_0` and on.
    pub model: Linear,
    pub report: Report,
}

/// Bytes that training holds beside the columns it is given.
pub fn memory_bytes(rows: usize, features: usize, options: &Options) -> usize {
    let outputs = options.family.outputs();
    let sums = match options.family {
        Family::Regression => features * features,
        Family::Binary | Family::Multinomial { .. } => outputs * (features + 1),
    };
    // The rows and their weights; sums of each part; steps and slopes of the search.
    8 * (rows * (features + 1) + 17 * sums + 32 * outputs * (features + 1))
}

impl Family {
    fn outputs(self) -> usize {
        match self {
            Self::Regression | Self::Binary => 1,
            Self::Multinomial { num_class } => num_class,
        }
    }

    fn check_labels(self, labels: &[f64]) -> Result<(), Error> {
        let (must, holds): (_, &dyn Fn(f64) -> bool) = match self {
            Self::Regression => ("finite", &f64::is_finite),
            Self::Binary => ("0 or 1", &|y| y == 0.0 || y == 1.0),
            Self::Multinomial { num_class } => ("a class from 0 to num_class - 1", &move |y| {
                y.fract() == 0.0 && y >= 0.0 && y < num_class as f64
            }),
        };
        if let Some(row) = labels.iter().position(|label| !holds(*label)) {
            return Err(Error::Label { row, must });
        }
        let differ = labels.windows(2).any(|pair| pair[0] != pair[1]);
        if self == Self::Regression || differ { Ok(()) } else { Err(Error::OneClass) }
    }
}

impl Options {
    /// Whether all are in their ranges.
    pub fn check(&self) -> Result<(), Error> {
        const AT_LEAST_ZERO: &str = "finite and at least 0";
        let not_negative = |x: f64| x.is_finite() && x >= 0.0;
        let classes = match self.family {
            Family::Multinomial { num_class } => (2..=10_000).contains(&num_class),
            Family::Regression | Family::Binary => true,
        };
        let rules = [
            ("l1", not_negative(self.l1), AT_LEAST_ZERO),
            ("l2", not_negative(self.l2), AT_LEAST_ZERO),
            ("tolerance", not_negative(self.tolerance), AT_LEAST_ZERO),
            ("num_class", classes, "2 to 10000"),
        ];
        match rules.iter().find(|(_, holds, _)| !holds) {
            Some((name, _, must)) => Err(Error::Parameter { name, must }),
            None => Ok(()),
        }
    }
}

/// Trains; the same numbers for the same input, whatever the threads. `columns` hold finite
/// numbers, `weights` numbers of at least zero (1 if absent).
pub fn train(
    options: &Options,
    columns: &[&[f64]],
    labels: &[f64],
    weights: Option<&[f64]>,
    run: &Run<'_>,
) -> Result<Fitted, Error> {
    options.check()?;
    let rows = labels.len();
    check_rows(columns.iter().map(|column| column.len()), rows, weights)?;
    for (feature, column) in columns.iter().enumerate() {
        if let Some(row) = column.iter().position(|value| !value.is_finite()) {
            return Err(Error::Value { feature, row });
        }
    }
    options.family.check_labels(labels)?;
    let pool = rayon::ThreadPoolBuilder::new().num_threads(run.threads.max(1)).build();
    let fit = || {
        let design = Design::new(options, columns, rows, weights)?;
        match options.family {
            Family::Regression => regression(options, &design, labels, run),
            Family::Binary | Family::Multinomial { .. } => classes(options, &design, labels, run),
        }
    };
    match pool {
        Ok(pool) => pool.install(fit),
        Err(_) => Err(Error::Threads),
    }
}

pub(super) fn fitted(
    options: &Options,
    design: &Design,
    mut coefficients: Vec<f64>,
    intercepts: Vec<f64>,
    report: Report,
) -> Fitted {
    let rows = coefficients.chunks_exact_mut(design.features);
    let intercepts = rows
        .zip(intercepts)
        .map(|(coefficients, intercept)| design.own_units(intercept, coefficients));
    let intercepts = intercepts.collect();
    let link = match options.family {
        Family::Regression => Link::Identity,
        Family::Binary => Link::Sigmoid { slope: 1.0 },
        Family::Multinomial { .. } => Link::Softmax,
    };
    let features = (0..design.features).map(|number| format!("Column_{number}")).collect();
    Fitted { model: Linear { features, intercepts, coefficients, link }, report }
}

/// Logistic and softmax regression. Of each output: its coefficients, then its intercept.
fn classes(
    options: &Options,
    design: &Design,
    labels: &[f64],
    run: &Run<'_>,
) -> Result<Fitted, Error> {
    let (features, outputs) = (design.features, options.family.outputs());
    let width = features + 1;
    let penalties = design.penalties(options);
    let of = |place: usize| match penalties.get(place % width) {
        Some(penalty) => *penalty,
        None => (0.0, 0.0),
    };
    let sizes: Vec<f64> = (0..outputs * width).map(|place| of(place).0).collect();
    let mut function = |x: &[f64], slopes: &mut [f64]| {
        let sums = design.sum(outputs * width + 1, |rows, sums| {
            let mut scores = vec![0.0; outputs];
            for row in rows {
                add_row(
                    options,
                    design.row(row),
                    (labels[row], design.weights[row]),
                    x,
                    &mut scores,
                    sums,
                );
            }
        });
        let mut loss = sums[outputs * width];
        for (place, slope) in slopes.iter_mut().enumerate() {
            let l2 = of(place).1;
            *slope = sums[place] + l2 * x[place];
            loss += l2 / 2.0 * x[place] * x[place];
        }
        loss
    };
    let mut x = vec![0.0; outputs * width];
    let mut go_on = |iteration: usize, loss: f64| (run.progress)(iteration, loss).is_continue();
    let limits = (options.tolerance, options.max_iterations);
    let end =
        minimise(&mut function, &mut x, &sizes, limits, &mut go_on).ok_or(Error::Cancelled)?;
    let coefficients = x.chunks_exact(width).flat_map(|of| of[..features].to_vec()).collect();
    let intercepts = x.chunks_exact(width).map(|of| of[features]).collect();
    let converged = end.slope <= options.tolerance;
    let report = Report { iterations: end.iterations, loss: end.loss, slope: end.slope, converged };
    Ok(fitted(options, design, coefficients, intercepts, report))
}

/// Adds a row's slopes, and at the end its loss.
fn add_row(
    options: &Options,
    values: &[f64],
    (label, weight): (f64, f64),
    x: &[f64],
    scores: &mut [f64],
    sums: &mut [f64],
) {
    let width = values.len() + 1;
    for (score, x) in scores.iter_mut().zip(x.chunks_exact(width)) {
        *score = x[width - 1] + x.iter().zip(values).map(|(x, value)| x * value).sum::<f64>();
    }
    let last = sums.len() - 1;
    // Slopes of the loss by each score.
    if let [score] = scores {
        let softplus = score.max(0.0) + libm::log1p(libm::exp(-score.abs()));
        sums[last] += weight * (softplus - label * *score);
        *score = 1.0 / (1.0 + libm::exp(-*score)) - label;
    } else {
        let class = label as usize;
        let greatest = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let sum: f64 = scores.iter().map(|score| libm::exp(score - greatest)).sum();
        sums[last] += weight * (libm::log(sum) + greatest - scores[class]);
        softmax(scores);
        scores[class] -= 1.0;
    }
    for (slope, sums) in scores.iter().zip(sums.chunks_exact_mut(width)) {
        let weighted = weight * slope;
        sums.iter_mut().zip(values).for_each(|(sum, value)| *sum += weighted * value);
        if options.intercept {
            sums[width - 1] += weighted;
        }
    }
}
