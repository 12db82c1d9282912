//! What a training may be told, and what it does when it is not.

use super::Error;
use crate::models::link::Link;

/// What is learned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Objective {
    /// Numbers, by squared error; they are standardised inside.
    Regression,
    /// The probability of 1 against 0, by logistic loss.
    Binary,
}

impl Objective {
    pub(super) fn link(self) -> Link {
        match self {
            Self::Regression => Link::Identity,
            Self::Binary => Link::Sigmoid { slope: 1.0 },
        }
    }

    /// The loss of a score and its slope.
    pub(super) fn loss(self, score: f64, label: f64) -> (f64, f64) {
        match self {
            Self::Regression => {
                let off = score - label;
                (0.5 * off * off, off)
            }
            Self::Binary => {
                // ln(1 + e^s) without leaving the range of numbers.
                let loss = score.max(0.0) + libm::log1p(libm::exp(-score.abs())) - label * score;
                (loss, 1.0 / (1.0 + libm::exp(-score)) - label)
            }
        }
    }
}

/// Options of a training, with the defaults of `CREATE MODEL`.
#[derive(Debug, Clone, PartialEq)]
pub struct Options {
    pub objective: Objective,
    /// Cross layers: n of them make products of up to n + 1 features.
    pub cross_layers: usize,
    /// Of the cross layers' matrices; 0 is full rank.
    pub rank: usize,
    /// Widths of the deep part's layers (ReLU); none leave it out.
    pub layers: Vec<usize>,
    /// Floats of a category's code at most.
    pub dim: usize,
    /// Passes over the rows; with `early_stop` the most there are.
    pub epochs: usize,
    pub batch_size: usize,
    /// Of Adam in the first step; it falls evenly to nothing in the last.
    pub learning_rate: f32,
    /// Penalty of l2/2 times the squares of all weights but biases; in each step only of rows of
    /// the table that it touches.
    pub l2: f32,
    /// Share of a category's appearances in which it goes by the row for unknown ones.
    pub category_dropout: f32,
    /// Ends when three epochs in a row are not better on the validation part, and keeps the best
    /// epoch's weights.
    pub early_stop: bool,
    pub seed: u64,
}

impl Options {
    pub fn new(objective: Objective) -> Self {
        Self {
            objective,
            cross_layers: 2,
            rank: 0,
            layers: vec![64, 32],
            dim: 8,
            epochs: 20,
            batch_size: 256,
            learning_rate: 0.002,
            l2: 1e-5,
            category_dropout: 0.01,
            early_stop: true,
            seed: 42,
        }
    }

    /// # Errors
    /// `Parameter`, naming the first that is out of its range.
    pub fn check(&self) -> Result<(), Error> {
        let layers = self.layers.len() <= 8 && self.layers.iter().all(|w| (1..=4096).contains(w));
        let rules = [
            (self.cross_layers <= 8, "cross_layers", "from 0 to 8"),
            (self.rank <= 4096, "rank", "from 0 to 4096"),
            (layers, "layers", "at most 8 widths from 1 to 4096"),
            ((1..=1024).contains(&self.dim), "dim", "from 1 to 1024"),
            ((1..=10_000).contains(&self.epochs), "epochs", "from 1 to 10000"),
            ((1..=16_384).contains(&self.batch_size), "batch_size", "from 1 to 16384"),
            (
                self.learning_rate > 0.0 && self.learning_rate <= 1.0,
                "learning_rate",
                "over 0, at most 1",
            ),
            ((0.0..=1000.0).contains(&self.l2), "l2", "from 0 to 1000"),
            (
                (0.0..1.0).contains(&self.category_dropout),
                "category_dropout",
                "at least 0 and under 1",
            ),
        ];
        match rules.into_iter().find(|(kept, _, _)| !kept) {
            Some((_, name, must)) => Err(Error::Parameter { name, must }),
            None => Ok(()),
        }
    }
}
