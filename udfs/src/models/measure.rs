//! Measures of predictions as aggregates: one number from rows of what is true and what was said.
//!
//! A row with a NULL on either side is left out. One that cannot be measured (a NaN, a label that
//! is neither 0 nor 1) makes the answer of its group NULL, and its values are dropped at once.

use std::fmt::Debug;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, Float64Array};
use datafusion::error::Result as EngineResult;

use crate::aggregate::Statistic;
use crate::arguments::{Call, Given};
use crate::output::{Output, Shape, Type};
use crate::two_sample::Side;

/// A mergeable state of rows.
pub trait Rows<O>: Side {
    /// Takes a row; None if it cannot be measured.
    fn take(&mut self, truth: f64, said: f64, options: O) -> Option<()>;
}

/// What is kept of the rows and what is made of it.
pub trait Measure: Debug + Default + Clone + Send + Sync + 'static {
    /// The constant arguments, understood.
    type Options: Debug + Copy + Send + Sync + 'static;
    /// What is kept.
    type State: Rows<Self::Options>;

    /// Name, arguments (the first two are the columns), documentation.
    fn call() -> Call;
    /// Reads the options; wrong ones fail here.
    fn options(given: &Given) -> EngineResult<Self::Options>;
    /// The answer.
    fn value(state: &Self::State, options: Self::Options) -> Option<f64>;
}

/// A group of rows.
#[derive(Debug, Clone, Default)]
pub struct Measured<M: Measure> {
    state: M::State,
    /// A row could not be measured.
    wrong: bool,
}

impl<M: Measure> Measured<M> {
    fn give_up(&mut self) {
        *self = Self { state: M::State::default(), wrong: true };
    }
}

impl<M: Measure> Statistic for Measured<M> {
    type Options = M::Options;
    type Batch<'a> = (&'a Float64Array, &'a Float64Array, M::Options);

    fn call() -> Call {
        M::call()
    }

    fn shape() -> Shape {
        vec![("", Type::Number)]
    }

    fn options(given: &Given) -> EngineResult<M::Options> {
        M::options(given)
    }

    fn batch<'a>(columns: &'a [ArrayRef], options: &M::Options) -> EngineResult<Self::Batch<'a>> {
        let [truth, said] = [0, 1].map(|column: usize| columns[column].as_primitive());
        Ok((truth, said, *options))
    }

    fn push(&mut self, (truth, said, options): &Self::Batch<'_>, rows: &[u32]) {
        for row in rows.iter().map(|row| *row as usize) {
            if self.wrong {
                return;
            }
            let known = truth.is_valid(row) && said.is_valid(row);
            if known && self.state.take(truth.value(row), said.value(row), *options).is_none() {
                self.give_up();
            }
        }
    }

    fn merge(&mut self, other: Self) {
        match self.wrong || other.wrong {
            true => self.give_up(),
            false => self.state.merge(other.state),
        }
    }

    fn encode(&self, bytes: &mut Vec<u8>) {
        bytes.push(u8::from(self.wrong));
        self.state.encode(bytes);
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let (wrong, bytes) = bytes.split_first()?;
        Some(Self { state: M::State::decode(bytes)?, wrong: *wrong != 0 })
    }

    fn heap(&self) -> usize {
        self.state.heap()
    }

    fn finish(&self, options: &M::Options, output: &mut Output) {
        output.number(M::value(&self.state, *options).filter(|_| !self.wrong));
    }
}
