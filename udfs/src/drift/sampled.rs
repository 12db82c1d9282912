//! One side of a comparison of distributions, as rows come in.

use std::collections::HashMap;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, Float64Array, StringArray};
use datafusion::arrow::datatypes::{DataType, Float64Type};
use kernels::statistics::divergence::total;
use kernels::statistics::histogram::bin_of;

use crate::bytes::{put_slice, take_numbers, take_slice, take_u64};
use crate::two_sample::{Side, Values};

/// One side: values to rank, counts of categories, or counts over given edges.
#[derive(Debug, Clone, Default)]
pub struct Sampled {
    /// Numbers, while their edges are not known.
    pub values: Values,
    /// How often each category occurs.
    pub(super) categories: HashMap<Box<str>, u64>,
    names: usize,
    /// Over given edges, or those that were given.
    pub(super) counts: Vec<u64>,
    /// Whether it has categories.
    pub(super) text: bool,
    pub(super) nulls: u64,
}

impl Sampled {
    /// Of counts that were given.
    pub fn of_counts(counts: Vec<u64>) -> Self {
        Self { counts, ..Self::default() }
    }

    /// Rows, NULLs and NaNs included.
    pub fn rows(&self) -> u64 {
        let counted = total(self.counts.iter().chain(self.categories.values()));
        let others = self.values.sample.count() + self.values.nans + self.nulls;
        counted.saturating_add(others)
    }

    /// NULLs.
    pub fn nulls(&self) -> u64 {
        self.nulls
    }

    /// Categories with their counts, in any order.
    pub fn categories(&self) -> impl Iterator<Item = (&str, u64)> {
        self.categories.iter().map(|(name, count)| (&**name, *count))
    }

    fn add(&mut self, category: &str, count: u64) {
        match self.categories.get_mut(category) {
            Some(total) => *total += count,
            None => {
                self.names += category.len();
                self.categories.insert(category.into(), count);
            }
        }
    }
}

impl Side for Sampled {
    fn merge(&mut self, other: Self) {
        self.values.merge(other.values);
        other.categories.iter().for_each(|(name, count)| self.add(name, *count));
        if self.counts.len() < other.counts.len() {
            self.counts.resize(other.counts.len(), 0);
        }
        let pairs = self.counts.iter_mut().zip(&other.counts);
        pairs.for_each(|(to, from)| *to = to.saturating_add(*from));
        self.text |= other.text;
        self.nulls += other.nulls;
    }

    fn encode(&self, bytes: &mut Vec<u8>) {
        let mut values = Vec::new();
        self.values.encode(&mut values);
        bytes.extend(self.nulls.to_le_bytes());
        bytes.extend(u64::from(self.text).to_le_bytes());
        put_slice(bytes, &values);
        put_slice(bytes, &self.counts.iter().flat_map(|n| n.to_le_bytes()).collect::<Vec<u8>>());
        for (name, count) in &self.categories {
            put_slice(bytes, name.as_bytes());
            bytes.extend(count.to_le_bytes());
        }
    }

    fn decode(mut bytes: &[u8]) -> Option<Self> {
        let nulls = take_u64(&mut bytes)?;
        let text = take_u64(&mut bytes)? == 1;
        let values = Values::decode(take_slice(&mut bytes)?)?;
        let counts = take_numbers(take_slice(&mut bytes)?)?.collect();
        let mut side = Self { values, counts, text, nulls, ..Self::default() };
        while !bytes.is_empty() {
            let name = std::str::from_utf8(take_slice(&mut bytes)?).ok()?;
            let count = take_u64(&mut bytes)?;
            side.add(name, count);
        }
        Some(side)
    }

    fn heap(&self) -> usize {
        let entry = size_of::<(Box<str>, u64)>() + 1;
        let categories = self.categories.capacity() * entry + self.names;
        self.values.heap() + categories + self.counts.capacity() * size_of::<u64>()
    }
}

/// A column of numbers, with given edges or without, or of categories.
pub enum Column<'a> {
    /// Numbers to rank.
    Numbers(&'a Float64Array),
    /// Numbers to count between edges.
    Binned(&'a Float64Array, Vec<f64>),
    /// Categories.
    Text(&'a StringArray),
}

impl<'a> Column<'a> {
    /// By the column's type.
    pub fn of(column: &'a ArrayRef, edges: Option<&Vec<f64>>) -> Self {
        match (column.data_type(), edges) {
            (DataType::Float64, None) => Self::Numbers(column.as_primitive::<Float64Type>()),
            (DataType::Float64, Some(edges)) => {
                Self::Binned(column.as_primitive::<Float64Type>(), edges.clone())
            }
            (_, _) => Self::Text(column.as_string::<i32>()),
        }
    }

    /// Takes rows.
    pub fn push(&self, side: &mut Sampled, rows: &[u32]) {
        let rows = rows.iter().map(|row| *row as usize);
        match self {
            Self::Numbers(column) => rows.for_each(|row| match column.is_null(row) {
                true => side.nulls += 1,
                false => side.values.push(column.value(row)),
            }),
            Self::Binned(column, edges) => {
                side.counts.resize(edges.len() + 1, 0);
                rows.for_each(|row| match (column.is_null(row), column.value(row)) {
                    (true, _) => side.nulls += 1,
                    (false, value) if value.is_nan() => side.values.nans += 1,
                    (false, value) => side.counts[bin_of(edges, value)] += 1,
                });
            }
            Self::Text(column) => {
                side.text = true;
                rows.for_each(|row| match column.is_null(row) {
                    true => side.nulls += 1,
                    false => side.add(column.value(row), 1),
                });
            }
        }
    }
}
