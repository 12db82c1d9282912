//! Rows of numbers, of probabilities and of two classes: their states and their arguments.

use datafusion::error::Result as EngineResult;
use kernels::metrics::classes::Confusion;
use kernels::metrics::errors::{Errors, Losses};
use kernels::metrics::ranked::Scores;
use kernels::statistics::sample::Sample;

use super::measure::Rows;
use crate::Error;
use crate::arguments::{Argument, Given, Kind, option, required};
use crate::bytes::{put_doubles, put_slice, take_doubles, take_slice};
use crate::two_sample::Side;

/// The columns of `rmse` and its like.
pub fn numbers() -> Vec<Argument> {
    vec![
        required("label", Kind::Number, "the number that came true"),
        required("prediction", Kind::Number, "the number that was predicted"),
    ]
}

/// The columns of `auc` and its like.
pub fn scores() -> Vec<Argument> {
    vec![label(), required("score", Kind::Number, "greater where true is more likely")]
}

/// The columns of `log_loss` and its like.
pub fn probabilities() -> Vec<Argument> {
    vec![label(), required("score", Kind::Number, "probability that the label is true")]
}

/// The arguments of `accuracy` and its like.
pub fn classes() -> Vec<Argument> {
    let meaning = "a score above it predicts true (default 0.5)";
    let mut arguments = scores();
    arguments.push(option("threshold", Kind::Number, meaning));
    arguments
}

fn label() -> Argument {
    required("label", Kind::Number, "true or 1, false or 0")
}

/// The option of `classes`.
pub fn threshold(given: &Given) -> EngineResult<f64> {
    let threshold = given.number("threshold")?.unwrap_or(0.5);
    if !threshold.is_nan() {
        return Ok(threshold);
    }
    let (allowed, given) = ("a number".into(), "NaN".into());
    Err(Error::InvalidArgument { name: "threshold", allowed, given }.into())
}

/// The class of a label.
fn class(label: f64) -> Option<bool> {
    let known = label == 0.0 || label == 1.0;
    known.then_some(label == 1.0)
}

/// The class of a label with the probability that was said of it.
pub fn likely(label: f64, score: f64) -> Option<(bool, f64)> {
    let class = class(label)?;
    (0.0..=1.0).contains(&score).then_some((class, score))
}

impl Rows<()> for Errors {
    fn take(&mut self, label: f64, prediction: f64, (): ()) -> Option<()> {
        let finite = label.is_finite() && prediction.is_finite();
        finite.then(|| self.push(label, prediction, 1.0))
    }
}

impl Side for Errors {
    fn merge(&mut self, other: Self) {
        Self::merge(self, &other);
    }

    fn encode(&self, bytes: &mut Vec<u8>) {
        put_doubles(bytes, &self.sums());
    }

    fn decode(mut bytes: &[u8]) -> Option<Self> {
        take_doubles(&mut bytes).map(Self::of_sums)
    }
}

impl Rows<()> for Losses {
    fn take(&mut self, label: f64, score: f64, (): ()) -> Option<()> {
        let (class, probability) = likely(label, score)?;
        self.push(class, probability, 1.0);
        Some(())
    }
}

impl Side for Losses {
    fn merge(&mut self, other: Self) {
        Self::merge(self, &other);
    }

    fn encode(&self, bytes: &mut Vec<u8>) {
        put_doubles(bytes, &self.sums());
    }

    fn decode(mut bytes: &[u8]) -> Option<Self> {
        take_doubles(&mut bytes).map(Self::of_sums)
    }
}

impl Rows<f64> for Confusion {
    fn take(&mut self, label: f64, score: f64, threshold: f64) -> Option<()> {
        let class = class(label)?;
        (!score.is_nan()).then(|| self.push(class, score > threshold, 1.0))
    }
}

impl Side for Confusion {
    fn merge(&mut self, other: Self) {
        Self::merge(self, &other);
    }

    fn encode(&self, bytes: &mut Vec<u8>) {
        put_doubles(bytes, &self.sums());
    }

    fn decode(mut bytes: &[u8]) -> Option<Self> {
        take_doubles(&mut bytes).map(Self::of_sums)
    }
}

impl Rows<()> for Scores {
    fn take(&mut self, label: f64, score: f64, (): ()) -> Option<()> {
        let class = class(label)?;
        (!score.is_nan()).then(|| self.push(class, score))
    }
}

impl Side for Scores {
    fn merge(&mut self, other: Self) {
        Self::merge(self, &other);
    }

    fn encode(&self, bytes: &mut Vec<u8>) {
        let mut positive = Vec::new();
        self.positive.encode(&mut positive);
        put_slice(bytes, &positive);
        self.negative.encode(bytes);
    }

    fn decode(mut bytes: &[u8]) -> Option<Self> {
        let positive = Sample::decode(take_slice(&mut bytes)?)?;
        Some(Self { positive, negative: Sample::decode(bytes)? })
    }

    fn heap(&self) -> usize {
        self.positive.size() + self.negative.size()
    }
}
