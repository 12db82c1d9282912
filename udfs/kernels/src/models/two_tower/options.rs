//! What a training may be told, and what it does when it is not.

use super::Error;
use crate::models::held_out::Split;

/// How logits make up for items coming up as negatives as often as they are popular.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogQ {
    Off,
    /// Every logit of the softmax, the positive's too (Yi et al., RecSys 2019).
    Full,
    /// Negatives only, and the example's own item is not among what they are drawn from: it is
    /// always there, so its logit stands for itself (Khrylchenko et al., arXiv 2507.09331).
    Corrected,
}

/// Options of a training, with the defaults of `CREATE MODEL`.
#[derive(Debug, Clone, PartialEq)]
pub struct Options {
    /// Length of the vectors.
    pub dim: usize,
    /// What inner products are divided by before the softmax.
    pub temperature: f32,
    pub logq: LogQ,
    /// Passes over the examples; with `early_stop` the most there are.
    pub epochs: usize,
    /// Examples of one step: their items are each other's negatives.
    pub batch_size: usize,
    /// Of Adam in the first step; it falls evenly to nothing in the last. Moments of a row stay as
    /// they are while no example touches it.
    pub learning_rate: f32,
    /// Widths of hidden layers (ReLU) of both towers; none are linear towers.
    pub layers: Vec<usize>,
    /// Items drawn evenly from the catalogue for each batch, beside those of its examples.
    pub negatives: usize,
    /// For each example, the items that the model as it stands likes best out of a sample of the
    /// catalogue; from the second epoch on.
    pub hard_negatives: usize,
    /// Which rows early stopping is measured on.
    pub split: Split,
    /// Share of each user's rows that early stopping holds out, rounded up; of users with less
    /// than three rows none.
    pub test_fraction: f64,
    /// Ends when three epochs in a row are not better on what is held out, and trains once more on
    /// all rows for as many epochs as were best.
    pub early_stop: bool,
    /// Items of a user's history that are pooled: in training any, then the latest.
    pub history_limit: usize,
    /// Share of a history that an example leaves out.
    pub history_dropout: f32,
    /// Share of an item's appearances in which it goes by the vector of unknown items.
    pub id_dropout: f32,
    pub seed: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            dim: 64,
            temperature: 0.2,
            logq: LogQ::Full,
            epochs: 12,
            batch_size: 512,
            learning_rate: 0.003,
            layers: Vec::new(),
            negatives: 0,
            hard_negatives: 0,
            split: Split::Last,
            test_fraction: 0.1,
            early_stop: true,
            history_limit: 100,
            history_dropout: 0.2,
            id_dropout: 0.02,
            seed: 42,
        }
    }
}

impl Options {
    /// # Errors
    /// `Option`, naming the first that is out of its range.
    pub fn check(&self) -> Result<(), Error> {
        let layers = self.layers.len() <= 8 && self.layers.iter().all(|w| (1..=4096).contains(w));
        let share = |x: f32| (0.0..1.0).contains(&x);
        let rules = [
            ((1..=4096).contains(&self.dim), "dim", "from 1 to 4096"),
            ((0.001..=100.0).contains(&self.temperature), "temperature", "from 0.001 to 100"),
            ((1..=10_000).contains(&self.epochs), "epochs", "from 1 to 10000"),
            ((2..=16_384).contains(&self.batch_size), "batch_size", "from 2 to 16384"),
            (
                self.learning_rate > 0.0 && self.learning_rate <= 1.0,
                "learning_rate",
                "over 0, at most 1",
            ),
            (layers, "layers", "at most 8 widths from 1 to 4096"),
            (self.negatives <= 16_384, "negatives", "at most 16384"),
            (self.hard_negatives <= 16, "hard_negatives", "at most 16"),
            ((0.0..1.0).contains(&self.test_fraction), "test_fraction", "from 0 to under 1"),
            ((1..=100_000).contains(&self.history_limit), "history_limit", "from 1 to 100000"),
            (share(self.history_dropout), "history_dropout", "from 0 to under 1"),
            (share(self.id_dropout), "id_dropout", "from 0 to under 1"),
        ];
        match rules.into_iter().find(|(kept, _, _)| !kept) {
            Some((_, name, allowed)) => Err(Error::Option { name, allowed }),
            None => Ok(()),
        }
    }
}
