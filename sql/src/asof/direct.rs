//! Windows of few rows: rows are kept as they come, and at the end each window's are gone through
//! (`kernels::asof::ByKey`), where states of cells would be many of which each has a row or two.

use std::cmp::Ordering;
use std::collections::HashSet;
use std::ops::Range;
use std::sync::Arc;

use datafusion::arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, DynComparator, Float64Array, Int64Array, UInt32Array,
    make_comparator, new_empty_array,
};
use datafusion::arrow::buffer::{BooleanBuffer, NullBuffer};
use datafusion::arrow::compute::{SortOptions, concat, take};
use datafusion::arrow::datatypes::Int64Type;
use datafusion::arrow::row::{RowConverter, SortField};
use datafusion::common::Result as EngineResult;
use datafusion::execution::memory_pool::MemoryReservation;
use kernels::asof::{ByKey, Labels, Spread, Total, Whole, insert_end};
use kernels::parallel;

use super::gather::{Columns, Gathered, Told, count, floats, is_whole, plain_floats, wholes};
use super::window::{Feature, Instants, Rows};

/// Rows of all windows together, for each row kept and each place: beyond that states are less
/// work.
const MOST_PAIRS: u64 = 8;

/// Rows of one frame that are in some window, in the order that they came.
#[derive(Debug, Default)]
pub(super) struct Kept {
    chunks: Vec<Chunk>,
    rows: usize,
}

/// Those of one batch.
#[derive(Debug)]
pub(super) struct Chunk {
    pub slots: Vec<u32>,
    pub instants: Instants,
    /// Of each feature of the frame.
    pub columns: Vec<Columns>,
}

impl Kept {
    pub fn rows(&self) -> usize {
        self.rows
    }

    pub fn chunks(&self) -> &[Chunk] {
        &self.chunks
    }

    /// Keeps rows of a batch with these columns; by how many bytes more.
    pub fn push(
        &mut self,
        of_batch: &Rows<'_>,
        rows: Vec<u32>,
        columns: &[Columns],
    ) -> EngineResult<usize> {
        if rows.is_empty() {
            return Ok(0);
        }
        let slots: Vec<u32> = rows.iter().map(|row| of_batch.slots[*row as usize]).collect();
        let rows = UInt32Array::from(rows);
        let taken = |array: &dyn Array| take(array, &rows, None);
        let mut kept: Vec<Columns> = Vec::with_capacity(columns.len());
        let mut bytes = slots.len() * size_of::<u32>();
        for (index, of) in columns.iter().enumerate() {
            let same = columns[..index].iter().position(|other| other.has_argument_of(of));
            let argument = match (same, &of.argument) {
                (Some(same), _) => kept[same].argument.clone(),
                (None, Some(argument)) => {
                    let argument = taken(argument)?;
                    bytes += argument.get_array_memory_size();
                    Some(argument)
                }
                (None, None) => None,
            };
            let filter = of.filter.as_ref().map(|filter| taken(filter)).transpose()?;
            kept.push(Columns { argument, filter: filter.map(|f| f.as_boolean().clone()) });
        }
        let numbers = |array: &Int64Array| -> EngineResult<Int64Array> {
            Ok(taken(array)?.as_primitive::<Int64Type>().clone())
        };
        let Instants { times, created, sequence } = of_batch.instants;
        let instants = Instants {
            times: numbers(times)?,
            created: created.as_ref().map(numbers).transpose()?,
            sequence: sequence.as_ref().map(numbers).transpose()?,
        };
        bytes += instants.bytes();
        self.rows += slots.len();
        self.chunks.push(Chunk { slots, instants, columns: kept });
        Ok(bytes)
    }

    /// Takes over the rows of another stream.
    pub fn append(&mut self, other: &mut Self) {
        self.chunks.append(&mut other.chunks);
        self.rows += other.rows;
    }

    /// The answers of each place, and those of an empty window behind them, feature by feature;
    /// None if going through all windows is too much.
    pub fn answers<'a>(
        &'a self,
        features: &[(&Feature, Told)],
        labels: &Labels,
        memory: &MemoryReservation,
        threads: usize,
    ) -> EngineResult<Option<Vec<ArrayRef>>> {
        let Some((Feature { frame, .. }, _)) = features.first() else { return Ok(None) };
        if self.rows >= u32::MAX as usize {
            return Ok(None);
        }
        let (of_slot, of_row) = ByKey::BYTES;
        memory.try_grow(of_slot * labels.slot_count() + (of_row + size_of::<u32>()) * self.rows)?;
        memory.try_grow(labels.place_count() * size_of::<Range<u32>>())?;
        let times = self.numbers(memory, |instants| Some(&instants.times))?;
        let times = times.unwrap_or_else(|| Int64Array::new_null(0));
        let mut instants = Instants { times, created: None, sequence: None };
        let slots: Vec<u32> = self.chunks.iter().flat_map(|chunk| &chunk.slots).copied().collect();
        let mut by_key = ByKey::new(labels, &slots);
        drop(slots);
        if !by_key.rises(instants.times.values()) {
            instants.created = self.numbers(memory, |of| of.created.as_ref())?;
            instants.sequence = self.numbers(memory, |of| of.sequence.as_ref())?;
            by_key.sort(|row| instants.at(row));
        }
        let runs = by_key.runs(frame, labels, instants.times.values());
        let pairs: u64 = runs.iter().map(|run| u64::from(run.end - run.start)).sum();
        if pairs > MOST_PAIRS * (self.rows + labels.place_count()) as u64 {
            return Ok(None);
        }
        let mut work: Vec<(Direct<'_>, &Told)> = Vec::with_capacity(features.len());
        for (index, (feature, told)) in features.iter().enumerate() {
            let known = features[..index].iter().position(|(f, _)| f.argument == feature.argument);
            let argument = match (&feature.argument, known) {
                (None, _) => None,
                (Some(_), Some(known)) => work[known].0.argument.clone(),
                (Some(_), None) => {
                    let of = |chunk: &'a Chunk| Some(chunk.columns[index].argument.as_ref()? as _);
                    let whole = self.joined(memory, of)?;
                    Some(whole.unwrap_or_else(|| new_empty_array(told.of())))
                }
            };
            let filter =
                self.joined(memory, |chunk| Some(chunk.columns[index].filter.as_ref()?))?;
            let nulls = argument.as_ref().and_then(|argument| argument.logical_nulls());
            let filter = filter.map(|filter| filter.as_boolean().clone());
            let counted = counted(nulls, filter.as_ref());
            memory.try_grow(self.answer_bytes(told, argument.as_ref(), runs.len(), pairs))?;
            let of =
                Direct { by_key: &by_key, runs: &runs, argument, counted, instants: &instants };
            work.push((of, told));
        }
        let answers = parallel::map(threads, work.len(), |feature| {
            let (of, told) = &work[feature];
            Some(of.answer(told))
        });
        answers.map(|answers| answers.into_iter().collect()).transpose()
    }

    /// Bytes that a feature's answers take, about, with what is made of the rows on the way.
    fn answer_bytes(
        &self,
        told: &Told,
        argument: Option<&ArrayRef>,
        places: usize,
        pairs: u64,
    ) -> usize {
        let of_row = argument.map_or(0, |values| values.get_array_memory_size()) / self.rows.max(1)
            + size_of::<i128>();
        let values = match told.function {
            Gathered::Last(limit) | Gathered::First(limit) => {
                limit.saturating_mul(places).min(pairs as usize)
            }
            _ => places,
        };
        (values + places + self.rows) * of_row
    }

    /// What rows go by, or a part of it, as one array; None if there is none.
    fn numbers(
        &self,
        memory: &MemoryReservation,
        of: impl Fn(&Instants) -> Option<&Int64Array>,
    ) -> EngineResult<Option<Int64Array>> {
        let whole = self.joined(memory, |chunk| of(&chunk.instants).map(|of| of as &dyn Array))?;
        Ok(whole.map(|whole| whole.as_primitive::<Int64Type>().clone()))
    }

    /// One array of those of all chunks.
    fn joined<'a>(
        &'a self,
        memory: &MemoryReservation,
        of: impl Fn(&'a Chunk) -> Option<&'a dyn Array>,
    ) -> EngineResult<Option<ArrayRef>> {
        let arrays: Vec<&dyn Array> = self.chunks.iter().filter_map(of).collect();
        if arrays.is_empty() {
            return Ok(None);
        }
        memory.try_grow(arrays.iter().map(|array| array.get_array_memory_size()).sum())?;
        Ok(Some(concat(&arrays)?))
    }
}

/// Rows that a feature does not pass over; None: all.
fn counted(nulls: Option<NullBuffer>, filter: Option<&BooleanArray>) -> Option<BooleanBuffer> {
    let nulls = nulls.map(NullBuffer::into_inner);
    let filter = filter.map(|filter| match filter.nulls() {
        Some(nulls) => filter.values() & nulls.inner(),
        None => filter.values().clone(),
    });
    match (nulls, filter) {
        (Some(nulls), Some(filter)) => Some(&nulls & &filter),
        (nulls, filter) => nulls.or(filter),
    }
}

/// The rows of each window, for one feature.
struct Direct<'a> {
    by_key: &'a ByKey,
    /// Of each place.
    runs: &'a [Range<u32>],
    argument: Option<ArrayRef>,
    counted: Option<BooleanBuffer>,
    instants: &'a Instants,
}

impl Direct<'_> {
    /// Whether a feature does not pass a row over.
    fn counts(&self, row: usize) -> bool {
        self.counted.as_ref().is_none_or(|counted| counted.value(row))
    }

    /// The rows of each place's window that count, and none at last.
    fn windows(&self) -> impl Iterator<Item = impl DoubleEndedIterator<Item = usize>> {
        self.runs.iter().chain([&(0..0)]).map(|run| {
            let rows = &self.by_key.rows()[run.start as usize..run.end as usize];
            rows.iter().map(|row| *row as usize).filter(|row| self.counts(*row))
        })
    }

    fn answer(&self, told: &Told) -> EngineResult<ArrayRef> {
        let Some(values) = self.argument.as_ref().filter(|_| told.function != Gathered::Count)
        else {
            return Ok(self.numbers_of_rows());
        };
        Ok(match told.function {
            Gathered::Count => self.numbers_of_rows(),
            Gathered::Distinct => self.distinct(values)?,
            Gathered::Sum if is_whole(values.data_type()) => {
                let values = wholes(values)?;
                let sum = |rows: &mut dyn Iterator<Item = usize>| {
                    let mut whole = Whole::default();
                    rows.for_each(|row| whole.push(values.value(row)));
                    (whole.count > 0).then_some(whole.sum)
                };
                told.sums(self.windows().map(|mut rows| sum(&mut rows)).collect())?
            }
            Gathered::Sum => self.numbers(&floats(values)?, Total::push, Total::sum),
            Gathered::Avg => self.numbers(&floats(values)?, Total::push, Total::mean),
            Gathered::Stddev => self.numbers(&floats(values)?, Spread::push, Spread::deviation),
            Gathered::Min => self.extremes(values, Ordering::Less)?,
            Gathered::Max => self.extremes(values, Ordering::Greater)?,
            Gathered::Last(limit) => self.lists(told, values, limit, false)?,
            Gathered::First(limit) => self.lists(told, values, limit, true)?,
        })
    }

    fn numbers_of_rows(&self) -> ArrayRef {
        let length = |run: &Range<u32>| i64::from(run.end - run.start);
        let counts: Vec<i64> = match self.counted {
            Some(_) => self.windows().map(|rows| count(rows.count() as u64)).collect(),
            None => self.runs.iter().map(length).chain([0]).collect(),
        };
        Arc::new(Int64Array::from(counts))
    }

    fn numbers<S: Default>(
        &self,
        values: &Float64Array,
        push: impl Fn(&mut S, f64),
        answer: impl Fn(&S) -> Option<f64>,
    ) -> ArrayRef {
        let of_window = |rows: &mut dyn Iterator<Item = usize>| {
            let mut state = S::default();
            rows.for_each(|row| push(&mut state, values.value(row)));
            answer(&state)
        };
        let answers = self.windows().map(|mut rows| of_window(&mut rows));
        Arc::new(answers.collect::<Float64Array>())
    }

    fn distinct(&self, values: &ArrayRef) -> EngineResult<ArrayRef> {
        let values = plain_floats(values)?;
        let converter = RowConverter::new(vec![SortField::new(values.data_type().clone())])?;
        let values = converter.convert_columns(&[values])?;
        let mut held = HashSet::new();
        let counts = self.windows().map(|rows| {
            held.clear();
            held.extend(rows.map(|row| values.row(row)));
            count(held.len() as u64)
        });
        Ok(Arc::new(counts.collect::<Int64Array>()))
    }

    fn extremes(&self, values: &ArrayRef, wanted: Ordering) -> EngineResult<ArrayRef> {
        let compare = comparator(values)?;
        let better = |best, row| if compare(row, best) == wanted { row } else { best };
        let found = self.windows().map(|rows| rows.reduce(better).map(|row| row as u32));
        Ok(take(values, &found.collect::<UInt32Array>(), None)?)
    }

    fn lists(
        &self,
        told: &Told,
        values: &ArrayRef,
        limit: usize,
        first: bool,
    ) -> EngineResult<ArrayRef> {
        let mut lengths = Vec::with_capacity(self.runs.len() + 1);
        let mut all: Vec<u32> = Vec::new();
        match self.by_key.has_ties() {
            false => self.windows().for_each(|rows| {
                let before = all.len();
                match first {
                    true => all.extend(rows.take(limit).map(|row| row as u32)),
                    false => all.extend(rows.rev().take(limit).map(|row| row as u32)),
                }
                lengths.push(all.len() - before);
            }),
            // Of rows that agree in what they go by the value decides.
            true => {
                let (compare, mut held) = (comparator(values)?, Vec::new());
                let before = if first { Ordering::Less } else { Ordering::Greater };
                self.windows().for_each(|rows| {
                    held.clear();
                    for row in rows {
                        insert_end(&mut held, limit, (self.instants.at(row), row), |a, b| {
                            a.0.cmp(&b.0).then_with(|| compare(a.1, b.1)) == before
                        });
                    }
                    lengths.push(held.len());
                    all.extend(held.iter().map(|(_, row)| *row as u32));
                });
            }
        }
        told.lists(lengths, take(values, &UInt32Array::from(all), None)?)
    }
}

/// As values in Arrow's row form compare.
fn comparator(values: &ArrayRef) -> EngineResult<DynComparator> {
    Ok(make_comparator(values, values, SortOptions::default())?)
}
