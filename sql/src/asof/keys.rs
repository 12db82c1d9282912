//! Keys as dense numbers: the labels' keys are numbered as they come, rows look theirs up.
//!
//! One integer key (dates, timestamps and floats are integers here) needs no hashing while the
//! labels' keys are close to each other, and a plain map when not. All other keys are compared as
//! rows of bytes. A NULL in any key is `NOWHERE`.

use datafusion::arrow::array::{Array, ArrayRef, Int64Array};
use datafusion::arrow::buffer::NullBuffer;
use datafusion::arrow::compute::{max, min};
use datafusion::arrow::datatypes::DataType;
use datafusion::arrow::row::{RowConverter, SortField};
use datafusion::common::{HashMap, Result as EngineResult};
use kernels::asof::NOWHERE;

use super::times;

/// Numbers of the labels' keys.
#[derive(Debug)]
pub(super) enum Keys {
    /// There are no keys: all labels are of slot 0.
    None,
    /// Slot of each integer from `first` on.
    Close {
        first: i64,
        slots: Vec<u32>,
    },
    Integers(HashMap<i64, u32>),
    Rows {
        converter: RowConverter,
        slots: HashMap<Box<[u8]>, u32>,
    },
}

/// A range that is this many times wider than there are labels is still an array.
const SPARSENESS: u64 = 4;
const SMALL_RANGE: u64 = 1 << 16;

impl Keys {
    /// Numbers the keys of `batches`, each a list of key columns; the slot of each row, in order.
    pub fn number(batches: &[Vec<ArrayRef>], rows: usize) -> EngineResult<(Self, Vec<u32>)> {
        let Some(columns) = batches.first() else { return Ok((Self::None, Vec::new())) };
        match columns.as_slice() {
            [] => Ok((Self::None, vec![0; rows])),
            [one] if times::integers(one).is_some() => integers(batches, rows),
            columns => by_rows(batches, columns, rows),
        }
    }

    /// Number of slots.
    pub fn slot_count(&self, slots: &[u32]) -> usize {
        match self {
            Self::None => 1,
            _ => slots.iter().filter(|slot| **slot != NOWHERE).max().map_or(0, |m| *m as usize + 1),
        }
    }

    /// Bytes that the numbers take.
    pub fn bytes(&self) -> usize {
        match self {
            Self::None => 0,
            Self::Close { slots, .. } => slots.len() * size_of::<u32>(),
            Self::Integers(slots) => slots.capacity() * 2 * size_of::<i64>(),
            Self::Rows { slots, .. } => {
                let keys: usize = slots.keys().map(|key| key.len()).sum();
                keys + slots.capacity() * 4 * size_of::<u64>()
            }
        }
    }

    /// The slot of each row of `columns`; `NOWHERE` if no label has its key.
    pub fn find(&self, columns: &[ArrayRef], rows: usize) -> EngineResult<Vec<u32>> {
        match self {
            Self::None => Ok(vec![0; rows]),
            Self::Close { first, slots } => found(columns, |key| {
                let place = usize::try_from(key.checked_sub(*first)?).ok()?;
                slots.get(place).copied()
            }),
            Self::Integers(slots) => found(columns, |key| slots.get(&key).copied()),
            Self::Rows { converter, slots } => {
                let columns = comparable(columns)?;
                let keys = converter.convert_columns(&columns)?;
                let nulls = nulls(&columns);
                let slot = |row: usize| match nulls.as_ref().is_some_and(|n| n.is_null(row)) {
                    true => NOWHERE,
                    false => slots.get(keys.row(row).data()).copied().unwrap_or(NOWHERE),
                };
                Ok((0..rows).map(slot).collect())
            }
        }
    }
}

fn found(columns: &[ArrayRef], slot: impl Fn(i64) -> Option<u32>) -> EngineResult<Vec<u32>> {
    let Some(Ok(keys)) = columns.first().and_then(times::integers) else {
        return datafusion::common::internal_err!("a key is no integer on one side");
    };
    // Rows of one key often follow each other.
    let mut last = (0, slot(0).unwrap_or(NOWHERE));
    let mut of = |key: i64| {
        if key != last.0 {
            last = (key, slot(key).unwrap_or(NOWHERE));
        }
        last.1
    };
    let mut slots = Vec::with_capacity(keys.len());
    each(&keys, |key| slots.push(key.map_or(NOWHERE, &mut of)));
    Ok(slots)
}

fn integers(batches: &[Vec<ArrayRef>], rows: usize) -> EngineResult<(Keys, Vec<u32>)> {
    let keys: Option<EngineResult<Vec<Int64Array>>> =
        batches.iter().map(|columns| times::integers(columns.first()?)).collect();
    let Some(keys) = keys.transpose()? else {
        return datafusion::common::internal_err!("a key changed its type");
    };
    let first = keys.iter().filter_map(min).min().unwrap_or_default();
    let last = keys.iter().filter_map(max).max().unwrap_or_default();
    let width = last.abs_diff(first);
    let mut slots = Vec::with_capacity(rows);
    let mut count = 0;
    if width < SMALL_RANGE.max(SPARSENESS * rows as u64) {
        // In order of keys: what is kept of rows that come by key is one after the other then.
        let mut close = vec![NOWHERE; width as usize + 1];
        let at = |key: i64| key.abs_diff(first) as usize;
        keys.iter()
            .for_each(|keys| each(keys, |key| key.into_iter().for_each(|k| close[at(k)] = 0)));
        for slot in close.iter_mut().filter(|slot| **slot != NOWHERE) {
            *slot = count;
            count += 1;
        }
        for keys in &keys {
            each(keys, |key| slots.push(key.map_or(NOWHERE, |key| close[at(key)])));
        }
        return Ok((Keys::Close { first, slots: close }, slots));
    }
    let mut map = HashMap::new();
    let mut number = |key| {
        *map.entry(key).or_insert_with(|| {
            count += 1;
            count - 1
        })
    };
    for keys in &keys {
        each(keys, |key| slots.push(key.map_or(NOWHERE, &mut number)));
    }
    Ok((Keys::Integers(map), slots))
}

/// Each key in order; most often none is NULL.
fn each(keys: &Int64Array, mut of: impl FnMut(Option<i64>)) {
    match keys.null_count() {
        0 => keys.values().iter().for_each(|key| of(Some(*key))),
        _ => keys.iter().for_each(of),
    }
}

fn by_rows(
    batches: &[Vec<ArrayRef>],
    columns: &[ArrayRef],
    rows: usize,
) -> EngineResult<(Keys, Vec<u32>)> {
    let fields = comparable(columns)?;
    let fields = fields.iter().map(|column| SortField::new(column.data_type().clone()));
    let converter = RowConverter::new(fields.collect())?;
    let mut map: HashMap<Box<[u8]>, u32> = HashMap::new();
    let mut slots = Vec::with_capacity(rows);
    let mut count = 0;
    for columns in batches {
        let columns = comparable(columns)?;
        let keys = converter.convert_columns(&columns)?;
        let nulls = nulls(&columns);
        for (row, key) in keys.iter().enumerate() {
            if nulls.as_ref().is_some_and(|nulls| nulls.is_null(row)) {
                slots.push(NOWHERE);
                continue;
            }
            let slot = match map.get(key.data()) {
                Some(slot) => *slot,
                None => {
                    map.insert(key.data().into(), count);
                    count += 1;
                    count - 1
                }
            };
            slots.push(slot);
        }
    }
    Ok((Keys::Rows { converter, slots: map }, slots))
}

fn comparable(columns: &[ArrayRef]) -> EngineResult<Vec<ArrayRef>> {
    columns.iter().map(times::comparable).collect()
}

/// Rows in which any key is NULL.
pub(super) fn nulls(columns: &[ArrayRef]) -> Option<NullBuffer> {
    let of = |column: &ArrayRef| match column.data_type() {
        DataType::Null => Some(NullBuffer::new_null(column.len())),
        _ => column.logical_nulls(),
    };
    columns.iter().map(of).fold(None, |all, one| NullBuffer::union(all.as_ref(), one.as_ref()))
}
