//! What a stored reference holds of one feature, in little memory.
//!
//! Categories, and numbers with few distinct values, keep their counts. Other numbers are a sketch
//! of ranks: what is computed from it is off by at most `rank_error(SKETCH)`, 0.14 percent of the
//! rows, with 99 % probability; counts, NULLs, the least and the greatest value are exact.

use kernels::statistics::kll::Kll;
use kernels::statistics::sample::Sample;

use super::sampled::{Column, Sampled};
use crate::bytes::{put_slice, take_slice, take_u64};
use crate::two_sample::Side;

/// Distinct numbers up to which counts are kept.
const DISTINCT: usize = 4096;
/// Numbers that wait before they are looked at.
const PENDING: u64 = 65_536;
/// The sketch's k.
const SKETCH: usize = 2048;
/// Marks the bytes of a profile, and their layout.
const VERSION: u64 = 1;

/// See the module.
#[derive(Debug, Clone, Default)]
pub struct Profile {
    counted: Sampled,
    sketch: Option<Kll>,
    /// Numbers that were waiting when their distinct ones were counted last.
    looked_at: u64,
}

impl Profile {
    /// Takes rows of a column.
    pub fn push(&mut self, column: &Column<'_>, rows: &[u32]) {
        column.push(&mut self.counted, rows);
        self.reduce(false);
    }

    /// Adds the rows of another.
    pub fn merge(&mut self, other: Self) {
        self.counted.merge(other.counted);
        match (&mut self.sketch, other.sketch) {
            (Some(sketch), Some(other)) => sketch.merge(&other),
            (sketch @ None, other) => *sketch = other,
            (Some(_), None) => {}
        }
        self.reduce(false);
    }

    /// Numbers that are waiting go into the sketch, if there are many (or all are to) and they are
    /// not few distinct ones.
    fn reduce(&mut self, all: bool) {
        let waiting = self.counted.values.sample.count();
        if waiting == 0 || (!all && waiting < self.looked_at + PENDING) {
            return;
        }
        let ranked = self.counted.values.sample.ranked();
        if self.sketch.is_none() && ranked.runs().count() <= DISTINCT {
            self.looked_at = waiting;
            return;
        }
        let sketch = self.sketch.get_or_insert_with(|| Kll::new(SKETCH));
        ranked.runs().for_each(|(value, count)| sketch.push_many(value, count));
        self.counted.values.sample = Sample::default();
        self.looked_at = 0;
    }

    /// Nothing waits any more.
    pub fn reduced(&self) -> Self {
        let mut profile = self.clone();
        profile.reduce(true);
        profile
    }

    /// Whether all counts are exact.
    pub fn is_exact(&self) -> bool {
        self.sketch.is_none()
    }

    /// The values that stand for all.
    pub fn sampled(&self) -> Sampled {
        let mut sampled = self.counted.clone();
        if let Some(sketch) = &self.sketch {
            let runs = Sample::of_parts(sketch.runs(), Vec::new());
            sampled.values.sample.merge(&runs);
        }
        sampled
    }

    /// As bytes.
    pub fn encode(&self, bytes: &mut Vec<u8>) {
        let mut counted = Vec::new();
        self.counted.encode(&mut counted);
        bytes.extend(VERSION.to_le_bytes());
        put_slice(bytes, &self.sketch.as_ref().map(Kll::to_bytes).unwrap_or_default());
        put_slice(bytes, &counted);
    }

    /// Reads what `encode` wrote; no bytes are an empty profile.
    pub fn decode(mut bytes: &[u8]) -> Option<Self> {
        if bytes.is_empty() {
            return Some(Self::default());
        }
        let version = take_u64(&mut bytes)?;
        let sketch = take_slice(&mut bytes)?;
        let sketch = match sketch.is_empty() {
            true => None,
            false => Some(Kll::from_bytes(sketch)?),
        };
        let counted = Sampled::decode(take_slice(&mut bytes)?)?;
        (version == VERSION && bytes.is_empty()).then_some(Self { counted, sketch, looked_at: 0 })
    }

    /// Bytes held outside the value itself.
    pub fn heap(&self) -> usize {
        self.counted.heap() + self.sketch.as_ref().map_or(0, Kll::size)
    }
}
