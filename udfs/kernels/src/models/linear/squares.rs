//! Least squares from second moments: (A + l2) β = c, or with l1 coordinate descent on the same
//! (Friedman, Hastie and Tibshirani, Journal of Statistical Software 33, 2010).

use super::design::Design;
use super::minimise::pseudo;
use super::train::{Fitted, Report, Run, fitted};
use super::{Error, Options};

/// Second moments of the scaled columns and the labels, both about their means.
struct Moments {
    size: usize,
    /// Row-major; the upper triangle is not set.
    matrix: Vec<f64>,
    products: Vec<f64>,
    /// Σ weight label².
    spread: f64,
    /// l1 of each column.
    sizes: Vec<f64>,
    /// l2 of each column.
    squares: Vec<f64>,
}

pub(super) fn regression(
    options: &Options,
    design: &Design,
    labels: &[f64],
    run: &Run<'_>,
) -> Result<Fitted, Error> {
    let pairs = labels.iter().zip(&design.weights);
    let mean = if options.intercept { pairs.map(|(y, w)| y * w).sum() } else { 0.0 };
    let moments = Moments::new(options, design, labels, mean);
    // Slopes are in units of the labels.
    let limit = options.tolerance * moments.spread.sqrt();
    let (x, iterations) = match options.l1 == 0.0 {
        true => (moments.solve(), 1),
        false => moments.descend(limit, options.max_iterations, run)?,
    };
    let slope = moments.greatest(&x, &moments.slopes(&x));
    let report = Report { iterations, loss: moments.loss(&x), slope, converged: slope <= limit };
    Ok(fitted(options, design, x, vec![mean], report))
}

impl Moments {
    fn new(options: &Options, design: &Design, labels: &[f64], mean: f64) -> Self {
        let size = design.features;
        let mut matrix = design.sum(size * (size + 1), |rows, sums| {
            let (matrix, products) = sums.split_at_mut(size * size);
            for row in rows {
                let (values, weight) = (design.row(row), design.weights[row]);
                let label = labels[row] - mean;
                for (i, value) in values.iter().enumerate() {
                    let weighted = weight * value;
                    let line = &mut matrix[i * size..][..=i];
                    line.iter_mut().zip(values).for_each(|(sum, other)| *sum += weighted * other);
                    products[i] += weighted * label;
                }
            }
        });
        let products = matrix.split_off(size * size);
        let squares = labels.iter().zip(&design.weights);
        let spread = squares.map(|(y, w)| w * (y - mean) * (y - mean)).sum();
        let (sizes, squares) = design.penalties(options).into_iter().unzip();
        Self { size, matrix, products, spread, sizes, squares }
    }

    fn at(&self, i: usize, j: usize) -> f64 {
        self.matrix[i.max(j) * self.size + i.min(j)]
    }

    /// Slopes of all but the l1 part.
    fn slopes(&self, x: &[f64]) -> Vec<f64> {
        let slope = |i: usize| {
            let along: f64 = (0..self.size).map(|j| self.at(i, j) * x[j]).sum();
            along + self.squares[i] * x[i] - self.products[i]
        };
        (0..self.size).map(slope).collect()
    }

    fn greatest(&self, x: &[f64], slopes: &[f64]) -> f64 {
        let slopes = pseudo(x, slopes, &self.sizes);
        slopes.into_iter().fold(0.0, |most: f64, slope| most.max(slope.abs()))
    }

    /// ½ (spread - 2 c·x + x·A x) and penalties.
    fn loss(&self, x: &[f64]) -> f64 {
        let slopes = self.slopes(x);
        let term = |i: usize| {
            // A x = slopes + c - l2 x.
            let smooth = x[i] * (slopes[i] - self.products[i] + self.squares[i] * -x[i]) / 2.0;
            smooth + self.squares[i] / 2.0 * x[i] * x[i] + self.sizes[i] * x[i].abs()
        };
        self.spread / 2.0 + (0..self.size).map(term).sum::<f64>()
    }

    /// By Cholesky; a column that those before it make up gets zero.
    fn solve(&self) -> Vec<f64> {
        let size = self.size;
        let mut factor = vec![0.0; size * size];
        for i in 0..size {
            for j in 0..=i {
                let (row, column) = (&factor[i * size..][..j], &factor[j * size..][..j]);
                let done: f64 = row.iter().zip(column).map(|(a, b)| a * b).sum();
                let whole = self.at(i, j) + if i == j { self.squares[i] } else { 0.0 };
                let left = whole - done;
                let pivot = factor[j * size + j];
                factor[i * size + j] = match i == j {
                    true if left > 1e-11 * whole => left.sqrt(),
                    false if pivot > 0.0 => left / pivot,
                    _ => 0.0,
                };
            }
        }
        let mut x = vec![0.0; size];
        let over = |rest: f64, pivot: f64| if pivot > 0.0 { rest / pivot } else { 0.0 };
        for i in 0..size {
            let done: f64 = (0..i).map(|k| factor[i * size + k] * x[k]).sum();
            x[i] = over(self.products[i] - done, factor[i * size + i]);
        }
        for i in (0..size).rev() {
            let done: f64 = (i + 1..size).map(|k| factor[k * size + i] * x[k]).sum();
            x[i] = over(x[i] - done, factor[i * size + i]);
        }
        x
    }

    /// Coordinate by coordinate until no slope is over the limit; the sweeps taken.
    fn descend(&self, limit: f64, most: usize, run: &Run<'_>) -> Result<(Vec<f64>, usize), Error> {
        let mut x = vec![0.0; self.size];
        let mut slopes = self.slopes(&x);
        let mut sweeps = 0;
        while sweeps < most && self.greatest(&x, &slopes) > limit {
            sweeps += 1;
            for i in 0..self.size {
                let curvature = self.at(i, i) + self.squares[i];
                if curvature <= 0.0 {
                    continue;
                }
                let pull = curvature * x[i] - slopes[i];
                let next = (pull.abs() - self.sizes[i]).max(0.0).copysign(pull) / curvature;
                let change = next - x[i];
                if change != 0.0 {
                    let all = slopes.iter_mut().enumerate();
                    all.for_each(|(j, slope)| *slope += self.at(i, j) * change);
                    slopes[i] += self.squares[i] * change;
                    x[i] = next;
                }
            }
            if (run.progress)(sweeps, self.loss(&x)).is_break() {
                return Err(Error::Cancelled);
            }
        }
        Ok((x, sweeps))
    }
}
