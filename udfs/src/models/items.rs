//! The items of one ranked list: their state and their arguments.

use datafusion::error::Result as EngineResult;
use kernels::metrics::lists::List;

use super::measure::Rows;
use crate::Error;
use crate::arguments::{Argument, Given, Kind, required};
use crate::bytes::take_numbers;
use crate::two_sample::Side;

/// The columns of a list.
pub fn items() -> Vec<Argument> {
    vec![
        required("relevance", Kind::Number, "of an item: true, or over zero, is relevant"),
        required("score", Kind::Number, "that the list is ordered by, greatest first"),
    ]
}

/// The columns of a list and its length.
pub fn first_items() -> Vec<Argument> {
    let mut arguments = items();
    arguments.push(required("k", Kind::Integer, "the first places, which count"));
    arguments
}

/// The option of `first_items`.
pub fn k(given: &Given) -> EngineResult<usize> {
    let hint = "Say how many places of the list count: k => 10.";
    let missing = Error::MissingArgument { function: given.function(), name: "k", hint };
    given.number("k")?.ok_or(missing)?;
    Ok(usize::try_from(given.whole("k", 1, 1)?).unwrap_or(usize::MAX))
}

/// Items in any order.
#[derive(Debug, Clone, Default)]
pub struct Items {
    relevances: Vec<f64>,
    scores: Vec<f64>,
}

impl Items {
    /// The list; None without items.
    pub fn list(&self) -> Option<List> {
        let list = List::new(&self.relevances, &self.scores);
        list.filter(|_| !self.scores.is_empty())
    }
}

impl<O> Rows<O> for Items {
    fn take(&mut self, relevance: f64, score: f64, _: O) -> Option<()> {
        if relevance.is_nan() || relevance < 0.0 || score.is_nan() {
            return None;
        }
        self.relevances.push(relevance);
        self.scores.push(score);
        Some(())
    }
}

impl Side for Items {
    fn merge(&mut self, other: Self) {
        self.relevances.extend(other.relevances);
        self.scores.extend(other.scores);
    }

    fn encode(&self, bytes: &mut Vec<u8>) {
        let numbers = self.relevances.iter().chain(&self.scores);
        numbers.for_each(|number| bytes.extend(number.to_le_bytes()));
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let mut relevances: Vec<f64> = take_numbers(bytes)?.map(f64::from_bits).collect();
        let scores = relevances.split_off(relevances.len() / 2);
        (relevances.len() == scores.len()).then_some(Self { relevances, scores })
    }

    fn heap(&self) -> usize {
        (self.relevances.capacity() + self.scores.capacity()) * size_of::<f64>()
    }
}
