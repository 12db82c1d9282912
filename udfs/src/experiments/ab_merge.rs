//! `ab_merge(state)`: adds up states of `ab_moments`.

use datafusion::arrow::array::{ArrayRef, AsArray};
use datafusion::error::Result as EngineResult;

use super::ab_moments::State;
use crate::Error;
use crate::aggregate::Statistic;
use crate::arguments::{Call, Doc, Given, Kind, required};
use crate::output::{Output, Shape, Type};

/// The sum of the states seen; none once states of different columns met.
#[derive(Debug, Clone)]
pub struct Merged(Option<State>);

impl Default for Merged {
    fn default() -> Self {
        Self(Some(State::Empty))
    }
}

impl Merged {
    fn add(&mut self, other: &State) {
        if self.0.as_mut().is_some_and(|state| !state.add(other)) {
            self.0 = None;
        }
    }
}

impl Statistic for Merged {
    type Options = ();
    type Batch<'a> = Vec<State>;

    fn call() -> Call {
        let arguments = vec![required("state", Kind::State, "a state of ab_moments")];
        Call { name: "ab_merge", arguments, doc: DOC }
    }

    fn shape() -> Shape {
        vec![("", Type::State)]
    }

    fn options(_: &Given) -> EngineResult<()> {
        Ok(())
    }

    fn batch<'a>(columns: &'a [ArrayRef], (): &()) -> EngineResult<Vec<State>> {
        let state = |bytes: Option<&[u8]>| match bytes {
            None => Ok(State::Empty),
            Some(bytes) => State::read(bytes)
                .ok_or_else(|| Error::InvalidState { function: "ab_moments" }.into()),
        };
        columns[0].as_binary::<i32>().iter().map(state).collect()
    }

    fn push(&mut self, batch: &Vec<State>, rows: &[u32]) {
        rows.iter().for_each(|row| self.add(&batch[*row as usize]));
    }

    fn merge(&mut self, other: Self) {
        match other.0 {
            Some(state) => self.add(&state),
            None => self.0 = None,
        }
    }

    fn encode(&self, bytes: &mut Vec<u8>) {
        match &self.0 {
            Some(state) => bytes.extend(state.bytes().unwrap_or_default()),
            None => bytes.push(0),
        }
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        match bytes {
            [] => Some(Self::default()),
            [0] => Some(Self(None)),
            bytes => Some(Self(Some(State::read(bytes)?))),
        }
    }

    fn finish(&self, (): &(), output: &mut Output) {
        output.state(self.0.as_ref().and_then(State::bytes).as_deref());
    }
}

const DOC: Doc = Doc {
    summary: "Adds up states of ab_moments: the same state, to the last digit of its results, as \
              one over all rows. NULL states count as empty; states of different numbers of \
              columns do not add up and give NULL.",
    example: (
        "SELECT (ab_ttest(c, t)).diff FROM (SELECT ab_merge(s) FILTER (WHERE a = 0) AS c, ab_merge(s) FILTER (WHERE a = 1) \
         AS t FROM (SELECT a, ab_moments(y) AS s FROM (VALUES (0, 1), (0, 2), (1, 3), (1, 5)) v(a, y) GROUP BY a) m) q",
        "2.5",
    ),
};
