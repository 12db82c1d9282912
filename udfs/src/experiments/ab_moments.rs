//! `ab_moments(y [, x [, d]])`: counts, means and co-moments as a state to store and merge.

use datafusion::arrow::array::ArrayRef;
use datafusion::error::Result as EngineResult;
use kernels::statistics::moments::Moments;

use super::columns::Numbers;
use crate::aggregate::Statistic;
use crate::arguments::{Call, Doc, Given, Kind, option, required};
use crate::output::{Output, Shape, Type};
use crate::two_sample::Side;

/// Moments of as many columns as were given.
#[derive(Debug, Clone, Default)]
pub enum State {
    /// No row yet.
    #[default]
    Empty,
    /// y
    One(Moments<1>),
    /// y, x
    Two(Moments<2>),
    /// y, x, d
    Three(Moments<3>),
}

/// The columns.
pub enum Columns<'a> {
    One(Numbers<'a, 1>),
    Two(Numbers<'a, 2>),
    Three(Numbers<'a, 3>),
}

impl State {
    /// Adds another state; false if it has another number of columns.
    pub fn add(&mut self, other: &Self) -> bool {
        match (&mut *self, other) {
            (_, Self::Empty) => {}
            (Self::Empty, other) => *self = other.clone(),
            (Self::One(to), Self::One(from)) => to.merge(from),
            (Self::Two(to), Self::Two(from)) => to.merge(from),
            (Self::Three(to), Self::Three(from)) => to.merge(from),
            (Self::One(_) | Self::Two(_) | Self::Three(_), _) => return false,
        }
        true
    }

    /// The state as bytes; none if there was no row.
    pub fn bytes(&self) -> Option<Vec<u8>> {
        match self {
            Self::Empty => None,
            Self::One(moments) => Some(moments.to_bytes()),
            Self::Two(moments) => Some(moments.to_bytes()),
            Self::Three(moments) => Some(moments.to_bytes()),
        }
    }

    /// Reads a state of any number of columns.
    pub fn read(bytes: &[u8]) -> Option<Self> {
        let one = || Moments::from_bytes(bytes).map(Self::One);
        let two = || Moments::from_bytes(bytes).map(Self::Two);
        one().or_else(two).or_else(|| Moments::from_bytes(bytes).map(Self::Three))
    }
}

impl Statistic for State {
    type Options = ();
    type Batch<'a> = Columns<'a>;

    fn call() -> Call {
        let arguments = vec![
            required("y", Kind::Number, "the metric"),
            option("x", Kind::Number, "a covariate"),
            option("d", Kind::Number, "a denominator"),
        ];
        Call { name: "ab_moments", arguments, doc: DOC }
    }

    fn shape() -> Shape {
        vec![("", Type::State)]
    }

    fn options(_: &Given) -> EngineResult<()> {
        Ok(())
    }

    fn batch<'a>(columns: &'a [ArrayRef], (): &()) -> EngineResult<Columns<'a>> {
        Ok(match columns.len() {
            1 => Columns::One(Numbers::of(columns, [0])),
            2 => Columns::Two(Numbers::of(columns, [0, 1])),
            _ => Columns::Three(Numbers::of(columns, [0, 1, 2])),
        })
    }

    fn push(&mut self, batch: &Columns<'_>, rows: &[u32]) {
        let added = match batch {
            Columns::One(columns) => Self::One(pushed(columns, rows)),
            Columns::Two(columns) => Self::Two(pushed(columns, rows)),
            Columns::Three(columns) => Self::Three(pushed(columns, rows)),
        };
        self.add(&added);
    }

    fn merge(&mut self, other: Self) {
        self.add(&other);
    }

    fn encode(&self, bytes: &mut Vec<u8>) {
        bytes.extend(self.bytes().unwrap_or_default());
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        if bytes.is_empty() { Some(Self::Empty) } else { Self::read(bytes) }
    }

    fn finish(&self, (): &(), output: &mut Output) {
        output.state(self.bytes().as_deref());
    }
}

fn pushed<const D: usize>(columns: &Numbers<'_, D>, rows: &[u32]) -> Moments<D>
where
    Moments<D>: Side,
{
    let mut moments = Moments::default();
    columns.push(&mut moments, rows);
    moments
}

const DOC: Doc = Doc {
    summary: "Mergeable state of a metric, and of a covariate and a denominator if given: count, \
              means, co-moments, exact to the last digit at any offset, in a versioned binary \
              form. ab_merge adds states up, ab_ttest tests two of them. Rows with a NULL are left \
              out; no rows give NULL.",
    example: ("SELECT left(encode(ab_moments(y), 'hex'), 4) FROM (VALUES (1), (2)) t(y)", "0101"),
};
