//! What windows gather of rows, by type: the states of one feature, as arrays go in and out.
//!
//! | function               | argument           | of nothing | result                             |
//! |------------------------|--------------------|------------|------------------------------------|
//! | count, count distinct  | any, or none       | 0          | bigint                             |
//! | sum                    | integer, numeric   | NULL       | bigint of small ones, else numeric |
//! | sum                    | float              | NULL       | double, exact before it is rounded |
//! | avg, stddev (sample)   | number             | NULL       | double                             |
//! | min, max               | any that has order | NULL       | as the argument                    |
//! | last n, first n        | any that has order | empty      | list, newest or oldest first       |
//!
//! NULLs are passed over. Values of any type are kept in the row form of Arrow, whose bytes compare
//! as the values do.

use std::collections::HashSet;
use std::sync::Arc;

use datafusion::arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Decimal128Array, Float64Array, Int64Array, ListArray,
};
use datafusion::arrow::buffer::{NullBuffer, OffsetBuffer};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, Decimal128Type, Field, Float64Type};
use datafusion::arrow::row::{RowConverter, SortField};
use datafusion::common::{Result as EngineResult, internal_err};
use kernels::asof::{Ends, Extremes, Labels, Spread, State, Whole, Windows, merge_cells};

use crate::error::Error;

/// What a window tells of its rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd)]
pub enum Gathered {
    Count,
    Distinct,
    Sum,
    Avg,
    Stddev,
    Min,
    Max,
    /// So many values, newest first.
    Last(usize),
    /// So many values, oldest first.
    First(usize),
}

/// A value in Arrow's row form.
type Value = Box<[u8]>;

/// What `numeric` sums are.
const WIDE: u8 = 38;

impl Gathered {
    /// The type of the answer; 42883 if there is none for the argument's.
    pub fn result(self, of: &DataType) -> Result<DataType, Error> {
        let is_number =
            of.is_integer() || of.is_floating() || matches!(of, DataType::Decimal128(..));
        Ok(match self {
            Self::Count | Self::Distinct => DataType::Int64,
            Self::Sum => match of {
                DataType::Int8 | DataType::Int16 | DataType::Int32 => DataType::Int64,
                DataType::Decimal128(_, scale) => DataType::Decimal128(WIDE, *scale),
                of if of.is_integer() => DataType::Decimal128(WIDE, 0),
                of if of.is_floating() => DataType::Float64,
                of => return Err(undefined("sum", of)),
            },
            Self::Avg if is_number => DataType::Float64,
            Self::Stddev if is_number => DataType::Float64,
            Self::Avg => return Err(undefined("avg", of)),
            Self::Stddev => return Err(undefined("stddev", of)),
            Self::Min | Self::Max => of.clone(),
            Self::Last(_) | Self::First(_) => {
                DataType::List(Arc::new(Field::new_list_field(of.clone(), true)))
            }
        })
    }

    /// Empty states for as many cells.
    pub(super) fn cells(self, of: &DataType, count: usize) -> EngineResult<Cells> {
        let is_whole = of.is_integer() || matches!(of, DataType::Decimal128(..));
        let states = match self {
            Self::Count => States::Counts(vec![0; count]),
            Self::Sum if is_whole => States::Wholes(vec![Whole::default(); count]),
            Self::Sum | Self::Avg | Self::Stddev => States::Spreads(vec![Spread::default(); count]),
            Self::Min | Self::Max => States::Extremes(vec![Extremes::default(); count]),
            Self::Last(_) | Self::First(_) => States::Ends(vec![Ends::default(); count]),
            Self::Distinct => States::Distinct(vec![HashSet::new(); count]),
        };
        let converter = RowConverter::new(vec![SortField::new(of.clone())])?;
        Ok(Cells { function: self, of: of.clone(), states, converter })
    }
}

fn undefined(function: &str, of: &DataType) -> Error {
    let of = crate::types::describe(&Field::new("", of.clone(), true)).data_type;
    Error::new("42883", format!("function {function}({of}) does not exist"))
}

/// The states of one feature, one a cell.
#[derive(Debug)]
pub(super) struct Cells {
    function: Gathered,
    of: DataType,
    states: States,
    converter: RowConverter,
}

#[derive(Debug)]
enum States {
    Counts(Vec<u64>),
    Wholes(Vec<Whole>),
    Spreads(Vec<Spread>),
    Extremes(Vec<Extremes<Value>>),
    Ends(Vec<Ends<Value>>),
    Distinct(Vec<HashSet<Value>>),
}

/// Rows of a batch that are in windows: row, cell, time and number.
pub(super) type Placed = (usize, usize, i64, i64);

impl Cells {
    /// Bytes of a state, without what it may point to.
    pub fn state_bytes(&self) -> usize {
        match &self.states {
            States::Counts(_) => size_of::<u64>(),
            States::Wholes(_) => size_of::<Whole>(),
            // The sums have a few parts.
            States::Spreads(_) => 3 * size_of::<Spread>(),
            States::Extremes(_) => size_of::<Extremes<Value>>(),
            States::Ends(_) => size_of::<Ends<Value>>(),
            States::Distinct(_) => size_of::<HashSet<Value>>(),
        }
    }

    /// Adds rows of a batch; `values`: the argument, None for `count(*)`. Bytes that were kept.
    pub fn offer(
        &mut self,
        values: Option<&ArrayRef>,
        filter: Option<&BooleanArray>,
        rows: &[Placed],
    ) -> EngineResult<usize> {
        let nulls = values.and_then(|values| values.logical_nulls());
        let counts = |row: usize| {
            nulls.as_ref().is_none_or(|nulls| nulls.is_valid(row))
                && filter.is_none_or(|filter| filter.is_valid(row) && filter.value(row))
        };
        let rows = rows.iter().copied().filter(|(row, ..)| counts(*row));
        let Some(values) = values else {
            let States::Counts(states) = &mut self.states else {
                return internal_err!("only a count has no argument");
            };
            rows.for_each(|(_, cell, ..)| states[cell] += 1);
            return Ok(0);
        };
        match &mut self.states {
            States::Counts(states) => rows.for_each(|(_, cell, ..)| states[cell] += 1),
            States::Wholes(states) => {
                let values = match self.of {
                    DataType::Decimal128(..) => Arc::clone(values),
                    _ => cast(values, &DataType::Decimal128(WIDE, 0))?,
                };
                let values = values.as_primitive::<Decimal128Type>();
                rows.for_each(|(row, cell, ..)| states[cell].push(values.value(row)));
            }
            States::Spreads(states) => {
                let values = cast(values, &DataType::Float64)?;
                let values = values.as_primitive::<Float64Type>();
                rows.for_each(|(row, cell, ..)| states[cell].push(values.value(row)));
            }
            States::Extremes(_) | States::Ends(_) | States::Distinct(_) => {
                return self.offer_values(values, rows);
            }
        }
        Ok(0)
    }

    fn offer_values(
        &mut self,
        values: &ArrayRef,
        rows: impl Iterator<Item = Placed>,
    ) -> EngineResult<usize> {
        let values = self.converter.convert_columns(&[Arc::clone(values)])?;
        let mut bytes = 0;
        for (row, cell, ts, seq) in rows {
            let value: Value = values.row(row).data().into();
            bytes += value.len();
            match (&mut self.states, self.function) {
                (States::Extremes(states), _) => states[cell].push(value),
                (States::Ends(states), Gathered::Last(limit)) => {
                    states[cell].push((limit, false), ts, seq, value);
                }
                (States::Ends(states), Gathered::First(limit)) => {
                    states[cell].push((limit, true), ts, seq, value);
                }
                (States::Distinct(states), _) => {
                    states[cell].insert(value);
                }
                _ => return internal_err!("a feature's states are of another kind"),
            }
        }
        Ok(bytes)
    }

    /// Adds what another stream has gathered.
    pub fn merge(&mut self, other: &Self) {
        match (&mut self.states, &other.states) {
            (States::Counts(states), States::Counts(others)) => merge_cells(states, others),
            (States::Wholes(states), States::Wholes(others)) => merge_cells(states, others),
            (States::Spreads(states), States::Spreads(others)) => merge_cells(states, others),
            (States::Extremes(states), States::Extremes(others)) => merge_cells(states, others),
            (States::Ends(states), States::Ends(others)) => merge_cells(states, others),
            (States::Distinct(states), States::Distinct(others)) => merge_cells(states, others),
            // Streams of one feature are of one kind.
            _ => {}
        }
    }

    /// The answer of each place, and that of an empty window behind them.
    pub fn answers(&self, windows: &Windows, labels: &Labels) -> EngineResult<ArrayRef> {
        fn slid<S: State>(windows: &Windows, labels: &Labels, cells: &[S]) -> Vec<S> {
            let mut states = windows.slide(labels, cells);
            states.push(S::default());
            states
        }
        Ok(match &self.states {
            States::Counts(cells) => {
                let counts = slid(windows, labels, cells);
                Arc::new(Int64Array::from_iter_values(counts.into_iter().map(count)))
            }
            States::Distinct(cells) => {
                let sets = slid(windows, labels, cells);
                Arc::new(Int64Array::from_iter_values(sets.iter().map(|s| count(s.len() as u64))))
            }
            States::Wholes(cells) => self.sums(&slid(windows, labels, cells))?,
            States::Spreads(cells) => {
                let answer = |spread: &Spread| match self.function {
                    Gathered::Sum => spread.sum(),
                    Gathered::Avg => spread.mean(),
                    _ => spread.deviation(),
                };
                let answers = slid(windows, labels, cells);
                Arc::new(answers.iter().map(answer).collect::<Float64Array>())
            }
            States::Extremes(cells) => {
                let states = slid(windows, labels, cells);
                let least = self.function == Gathered::Min;
                let pick = |state: &Extremes<Value>| {
                    state.values().map(|(low, high)| if least { low.clone() } else { high.clone() })
                };
                self.values(states.iter().map(pick))?
            }
            States::Ends(cells) => self.lists(&slid(windows, labels, cells))?,
        })
    }

    fn sums(&self, states: &[Whole]) -> EngineResult<ArrayRef> {
        let sums = states.iter().map(|state| (state.count > 0).then_some(state.sum));
        match self.function.result(&self.of)? {
            DataType::Int64 => {
                let out = || Error::new("22003", "bigint out of range");
                let sum = |sum: Option<i128>| sum.map(i64::try_from).transpose();
                let sums: Result<Int64Array, _> = sums.map(sum).collect();
                Ok(Arc::new(sums.map_err(|_| out())?))
            }
            DataType::Decimal128(precision, scale) => {
                let sums: Decimal128Array = sums.collect();
                let sums = sums.with_precision_and_scale(precision, scale)?;
                sums.validate_decimal_precision(precision).map_err(|_| {
                    Error::new("22003", "a sum is out of range for numeric of 38 digits")
                })?;
                Ok(Arc::new(sums))
            }
            other => internal_err!("a sum of whole numbers is no {other}"),
        }
    }

    fn values(&self, values: impl Iterator<Item = Option<Value>>) -> EngineResult<ArrayRef> {
        let parser = self.converter.parser();
        let null = self
            .converter
            .convert_columns(&[datafusion::arrow::array::new_null_array(&self.of, 1)])?;
        let null: Value = null.row(0).data().into();
        let values: Vec<Value> =
            values.map(|value| value.unwrap_or_else(|| null.clone())).collect();
        let rows = values.iter().map(|value| parser.parse(value));
        let mut columns = self.converter.convert_rows(rows)?;
        Ok(columns.swap_remove(0))
    }

    fn lists(&self, states: &[Ends<Value>]) -> EngineResult<ArrayRef> {
        let lengths = states.iter().map(|state| state.values().count());
        let offsets = OffsetBuffer::from_lengths(lengths);
        let values = self.values(states.iter().flat_map(|s| s.values().cloned().map(Some)))?;
        let field = Arc::new(Field::new_list_field(self.of.clone(), true));
        let nulls: Option<NullBuffer> = None;
        Ok(Arc::new(ListArray::try_new(field, offsets, values, nulls)?))
    }
}

fn count(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
