//! What windows gather of rows, by type: the states of one feature, as arrays go in and out.
//!
//! | function              | argument         | of nothing | result                            |
//! |-----------------------|------------------|------------|-----------------------------------|
//! | count, count distinct | any, or none     | 0          | bigint                            |
//! | sum                   | integer, numeric | NULL       | bigint of small ones, or numeric  |
//! | sum                   | float            | NULL       | double, exact before it is rounded |
//! | avg, stddev (sample)  | number           | NULL       | double                            |
//! | min, max              | any with order   | NULL       | as the argument                   |
//! | last n, first n       | any with order   | empty      | list, newest or oldest first      |
//!
//! NULLs are passed over. Values of any type are kept in the row form of Arrow, whose bytes compare
//! as the values do.

use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;

use catalog::TYPE_KEY;
use datafusion::arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Decimal128Array, Float64Array, Int64Array, ListArray,
};
use datafusion::arrow::buffer::{NullBuffer, OffsetBuffer};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, Decimal128Type, Field, Float64Type};
use datafusion::arrow::row::{RowConverter, SortField};
use datafusion::common::{Result as EngineResult, internal_err};
use datafusion::execution::memory_pool::MemoryReservation;
use kernels::asof::{
    Ends, Extremes, Instant, Labels, Spread, State, Total, Whole, Windows, merge_cells,
};

use super::values::{Value, Values};
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

/// What `numeric` sums are.
const WIDE: u8 = 38;
/// What is kept with a value: where it is and how long, and what a table of values has beside.
const VALUE_BYTES: usize = 32;

impl Gathered {
    /// The column of the answer for an argument, None: rows; 42883 if there is none for its type.
    pub fn field(self, name: &str, of: Option<&Field>) -> Result<Field, Error> {
        let same = |name: &str, of: &Field| {
            let tag = of.metadata().get_key_value(TYPE_KEY);
            let tag = tag.map(|(key, value)| (key.clone(), value.clone()));
            let field = Field::new(name, of.data_type().clone(), true);
            field.with_metadata(tag.into_iter().collect())
        };
        Ok(match (self, of) {
            (Self::Min | Self::Max, Some(of)) => same(name, of),
            (Self::Last(_) | Self::First(_), Some(of)) => {
                let item = same(Field::LIST_FIELD_DEFAULT_NAME, of);
                Field::new(name, DataType::List(Arc::new(item)), true)
            }
            (function, Some(of)) => Field::new(name, function.number(of.data_type())?, true),
            // `count(*)`
            (_, None) => Field::new(name, DataType::Int64, true),
        })
    }

    /// The type of an answer that is a number.
    fn number(self, of: &DataType) -> Result<DataType, Error> {
        let is_number =
            of.is_integer() || of.is_floating() || matches!(of, DataType::Decimal128(..));
        Ok(match self {
            Self::Sum => match of {
                DataType::Int8 | DataType::Int16 | DataType::Int32 => DataType::Int64,
                DataType::Decimal128(_, scale) => DataType::Decimal128(WIDE, *scale),
                of if of.is_integer() => DataType::Decimal128(WIDE, 0),
                of if of.is_floating() => DataType::Float64,
                of => return Err(undefined("sum", of)),
            },
            Self::Avg | Self::Stddev if is_number => DataType::Float64,
            Self::Avg => return Err(undefined("avg", of)),
            Self::Stddev => return Err(undefined("stddev", of)),
            _ => DataType::Int64,
        })
    }

    /// Empty states for as many cells.
    pub(super) fn cells(self, argument: &Field, count: usize) -> EngineResult<Cells> {
        let of = argument.data_type();
        let states = match self {
            Self::Count => States::Counts(vec![0; count]),
            Self::Sum if is_whole(of) => States::Wholes(vec![Whole::default(); count]),
            Self::Sum | Self::Avg => States::Totals(vec![Total::default(); count]),
            Self::Stddev => States::Spreads(vec![Spread::default(); count]),
            Self::Min | Self::Max => States::Extremes(vec![Extremes::default(); count]),
            Self::Last(_) | Self::First(_) => States::Ends(vec![Ends::default(); count]),
            Self::Distinct => States::Distinct(vec![HashSet::new(); count]),
        };
        let told = Told::new(self, argument)?;
        let converter = RowConverter::new(vec![SortField::new(of.clone())])?;
        Ok(Cells { told, states, converter })
    }

    /// Bytes that the values of a cell may need beside its state, of so many bytes each.
    pub(super) fn value_bytes(self, value: usize) -> usize {
        let value = value + VALUE_BYTES;
        match self {
            Self::Count | Self::Sum | Self::Avg | Self::Stddev => 0,
            Self::Min | Self::Max => 2 * value,
            Self::Last(limit) | Self::First(limit) => limit.min(2) * (value + size_of::<Instant>()),
            Self::Distinct => value,
        }
    }
}

impl fmt::Display for Gathered {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(match self {
            Self::Count => "count",
            Self::Distinct => "count distinct",
            Self::Sum => "sum",
            Self::Avg => "avg",
            Self::Stddev => "stddev",
            Self::Min => "min",
            Self::Max => "max",
            Self::Last(limit) => return write!(f, "last {limit}"),
            Self::First(limit) => return write!(f, "first {limit}"),
        })
    }
}

/// Whether sums of a type are those of integers.
pub(super) fn is_whole(of: &DataType) -> bool {
    of.is_integer() || matches!(of, DataType::Decimal128(..))
}

/// What is whole as it is summed up.
pub(super) fn wholes(values: &ArrayRef) -> EngineResult<Decimal128Array> {
    let values = match values.data_type() {
        DataType::Decimal128(..) => Arc::clone(values),
        _ => cast(values, &DataType::Decimal128(WIDE, 0))?,
    };
    Ok(values.as_primitive::<Decimal128Type>().clone())
}

/// The answer of each place from its window's state, and NULL behind them.
fn numbers<S: State>(
    windows: &Windows,
    labels: &Labels,
    cells: &[S],
    answer: impl Fn(&S) -> Option<f64>,
) -> ArrayRef {
    let mut answers = Vec::with_capacity(labels.place_count() + 1);
    windows.slide(labels, cells, |state| answers.push(answer(&state)));
    answers.push(None);
    Arc::new(Float64Array::from(answers))
}

pub(super) fn floats(values: &ArrayRef) -> EngineResult<Float64Array> {
    Ok(cast(values, &DataType::Float64)?.as_primitive::<Float64Type>().clone())
}

fn undefined(function: &str, of: &DataType) -> Error {
    let of = crate::types::describe(&Field::new("", of.clone(), true)).data_type;
    Error::new("42883", format!("function {function}({of}) does not exist"))
}

/// What a feature tells.
#[derive(Debug)]
pub(super) struct Told {
    pub function: Gathered,
    /// Type of the argument, and of the answer.
    of: DataType,
    answer: DataType,
}

impl Told {
    /// A function of an argument.
    pub fn new(function: Gathered, argument: &Field) -> EngineResult<Self> {
        let answer = function.field("", Some(argument))?.data_type().clone();
        Ok(Self { function, of: argument.data_type().clone(), answer })
    }

    /// Type of the argument.
    pub fn of(&self) -> &DataType {
        &self.of
    }

    /// Sums of what is whole.
    pub fn sums(&self, sums: Vec<Option<i128>>) -> EngineResult<ArrayRef> {
        match self.answer {
            DataType::Int64 => {
                let out = || Error::new("22003", "bigint out of range");
                let sum = |sum: Option<i128>| sum.map(i64::try_from).transpose();
                let sums: Result<Int64Array, _> = sums.into_iter().map(sum).collect();
                Ok(Arc::new(sums.map_err(|_| out())?))
            }
            DataType::Decimal128(precision, scale) => {
                let sums = Decimal128Array::from(sums);
                let sums = sums.with_precision_and_scale(precision, scale)?;
                sums.validate_decimal_precision(precision).map_err(|_| {
                    Error::new("22003", "a sum is out of range for numeric of 38 digits")
                })?;
                Ok(Arc::new(sums))
            }
            ref other => internal_err!("a sum of whole numbers is no {other}"),
        }
    }

    /// Lists of so many values each.
    pub fn lists(&self, lengths: Vec<usize>, values: ArrayRef) -> EngineResult<ArrayRef> {
        if i32::try_from(values.len()).is_err() {
            return Err(Error::new("54000", "the lists of windows have too many values").into());
        }
        let DataType::List(item) = &self.answer else { return internal_err!("no list") };
        let nulls: Option<NullBuffer> = None;
        let offsets = OffsetBuffer::from_lengths(lengths);
        Ok(Arc::new(ListArray::try_new(Arc::clone(item), offsets, values, nulls)?))
    }
}

/// The states of one feature, one a cell.
#[derive(Debug)]
pub(super) struct Cells {
    told: Told,
    states: States,
    converter: RowConverter,
}

#[derive(Debug)]
enum States {
    Counts(Vec<u64>),
    Wholes(Vec<Whole>),
    Totals(Vec<Total>),
    Spreads(Vec<Spread>),
    Extremes(Vec<Extremes<Value>>),
    Ends(Vec<Ends<Value>>),
    Distinct(Vec<HashSet<Value>>),
}

/// The argument of a feature, None for `count(*)`, and its filter, over the rows of a batch.
#[derive(Debug)]
pub(super) struct Columns {
    pub argument: Option<ArrayRef>,
    pub filter: Option<BooleanArray>,
}

impl Columns {
    /// Whether both have one argument.
    pub fn has_argument_of(&self, other: &Self) -> bool {
        let pair = self.argument.as_ref().zip(other.argument.as_ref());
        pair.is_some_and(|(a, b)| Arc::ptr_eq(a, b))
    }
}

/// Rows of a batch that are in windows: row, cell, and what it goes by.
pub(super) type Placed = (usize, usize, Instant);

impl Cells {
    /// Bytes of a state, without what it may point to.
    pub fn state_bytes(&self) -> usize {
        match &self.states {
            States::Counts(_) => size_of::<u64>(),
            States::Wholes(_) => size_of::<Whole>(),
            States::Totals(_) => size_of::<Total>(),
            // Squares have more parts than two.
            States::Spreads(_) => 2 * size_of::<Spread>(),
            States::Extremes(_) => size_of::<Extremes<Value>>(),
            States::Ends(_) => size_of::<Ends<Value>>(),
            States::Distinct(_) => size_of::<HashSet<Value>>(),
        }
    }

    /// Adds rows of a batch. By how many bytes more or fewer are kept.
    pub fn offer(&mut self, columns: &Columns, rows: &[Placed]) -> EngineResult<isize> {
        let Columns { argument: values, filter } = columns;
        let values = values.as_ref();
        let nulls = values.and_then(|values| values.logical_nulls());
        let counts = |row: usize| {
            nulls.as_ref().is_none_or(|nulls| nulls.is_valid(row))
                && filter.as_ref().is_none_or(|filter| filter.is_valid(row) && filter.value(row))
        };
        let rows = rows.iter().copied().filter(|(row, ..)| counts(*row));
        let Some(values) = values else {
            let States::Counts(states) = &mut self.states else {
                return internal_err!("only a count has no argument");
            };
            rows.for_each(|(_, cell, _)| states[cell] += 1);
            return Ok(0);
        };
        match &mut self.states {
            States::Counts(states) => rows.for_each(|(_, cell, _)| states[cell] += 1),
            States::Wholes(states) => {
                let values = wholes(values)?;
                rows.for_each(|(row, cell, _)| states[cell].push(values.value(row)));
            }
            States::Totals(states) => {
                let values = floats(values)?;
                rows.for_each(|(row, cell, _)| states[cell].push(values.value(row)));
            }
            States::Spreads(states) => {
                let values = floats(values)?;
                rows.for_each(|(row, cell, _)| states[cell].push(values.value(row)));
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
    ) -> EngineResult<isize> {
        let values = match self.told.function {
            Gathered::Distinct => plain_floats(values)?,
            _ => Arc::clone(values),
        };
        let values = self.converter.convert_columns(&[values])?;
        let size = |value: &Value| (value.len() + VALUE_BYTES) as isize;
        let mut bytes = 0;
        for (row, cell, at) in rows {
            let value: Value = values.row(row).data().into();
            match (&mut self.states, self.told.function) {
                (States::Extremes(states), _) => {
                    let of = |state: &Extremes<Value>| {
                        state.values().map_or(0, |(low, high)| size(low) + size(high))
                    };
                    bytes -= of(&states[cell]);
                    states[cell].push(value);
                    bytes += of(&states[cell]);
                }
                (States::Ends(states), Gathered::Last(limit) | Gathered::First(limit)) => {
                    let first = matches!(self.told.function, Gathered::First(_));
                    bytes += size(&value);
                    let out = states[cell].push((limit, first), at, value);
                    bytes -= out.as_ref().map_or(0, size);
                }
                (States::Distinct(states), _) => {
                    let more = size(&value);
                    bytes += if states[cell].insert(value) { more } else { 0 };
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
            (States::Totals(states), States::Totals(others)) => merge_cells(states, others),
            (States::Spreads(states), States::Spreads(others)) => merge_cells(states, others),
            (States::Extremes(states), States::Extremes(others)) => merge_cells(states, others),
            (States::Ends(states), States::Ends(others)) => merge_cells(states, others),
            (States::Distinct(states), States::Distinct(others)) => merge_cells(states, others),
            // Streams of one feature are of one kind.
            _ => {}
        }
    }

    /// The answer of each place, and that of an empty window behind them.
    pub fn answers(
        &self,
        windows: &Windows,
        labels: &Labels,
        memory: &MemoryReservation,
    ) -> EngineResult<ArrayRef> {
        let places = labels.place_count() + 1;
        memory.try_grow(places * size_of::<Option<f64>>())?;
        Ok(match &self.states {
            States::Counts(cells) => {
                let mut counts = Vec::with_capacity(places);
                windows.slide(labels, cells, |state| counts.push(count(state)));
                counts.push(0);
                Arc::new(Int64Array::from(counts))
            }
            States::Distinct(cells) => {
                let mut counts = Vec::with_capacity(places);
                windows.distinct(labels, cells, |distinct| counts.push(count(distinct)));
                counts.push(0);
                Arc::new(Int64Array::from(counts))
            }
            States::Wholes(cells) => {
                let mut sums = Vec::with_capacity(places);
                let sum = |state: &Whole| (state.count > 0).then_some(state.sum);
                windows.slide(labels, cells, |state| sums.push(sum(&state)));
                sums.push(None);
                self.told.sums(sums)?
            }
            States::Totals(cells) => match self.told.function {
                Gathered::Sum => numbers(windows, labels, cells, Total::sum),
                _ => numbers(windows, labels, cells, Total::mean),
            },
            States::Spreads(cells) => numbers(windows, labels, cells, Spread::deviation),
            States::Extremes(cells) => self.extremes(cells, windows, labels, memory)?,
            States::Ends(cells) => self.lists(cells, windows, labels, memory)?,
        })
    }

    fn extremes(
        &self,
        cells: &[Extremes<Value>],
        windows: &Windows,
        labels: &Labels,
        memory: &MemoryReservation,
    ) -> EngineResult<ArrayRef> {
        let least = self.told.function == Gathered::Min;
        let mut values = Values::new(&self.converter, &self.told.of, memory)?;
        let mut done = Ok(());
        windows.slide(labels, cells, |state| {
            let pick = |(low, high): &(Value, Value)| if least { low } else { high }.clone();
            if done.is_ok() {
                done = values.push(state.values().map(pick));
            }
        });
        done?;
        values.push(None)?;
        values.finish()
    }

    fn lists(
        &self,
        cells: &[Ends<Value>],
        windows: &Windows,
        labels: &Labels,
        memory: &MemoryReservation,
    ) -> EngineResult<ArrayRef> {
        let mut lengths = Vec::with_capacity(labels.place_count() + 1);
        let mut values = Values::new(&self.converter, &self.told.of, memory)?;
        let mut done = Ok(());
        windows.slide(labels, cells, |state| {
            lengths.push(state.values().count());
            if done.is_ok() {
                done = state.values().cloned().try_for_each(|value| values.push(Some(value)));
            }
        });
        done?;
        lengths.push(0);
        self.told.lists(lengths, values.finish()?)
    }
}

/// Floats that are equal in SQL as the same bits.
pub(super) fn plain_floats(values: &ArrayRef) -> EngineResult<ArrayRef> {
    if !values.data_type().is_floating() {
        return Ok(Arc::clone(values));
    }
    let floats = cast(values, &DataType::Float64)?;
    let plain = |value: f64| if value.is_nan() { f64::NAN } else { value + 0.0 };
    let floats: Float64Array = floats.as_primitive::<Float64Type>().unary(plain);
    Ok(cast(&floats, values.data_type())?)
}

pub(super) fn count(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
