//! The sufficient statistics that an arm can have.

use std::collections::HashMap;
use std::fmt::Debug;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, Float64Array};
use datafusion::error::Result as EngineResult;
use kernels::statistics::clusters::Part;
use kernels::statistics::double::Double;
use kernels::statistics::moments::Moments;
use kernels::statistics::sample::Sample;

use crate::Error;
use crate::bytes::{put_slice, take_numbers, take_slice, take_u64};

/// Mergeable statistics that travel as bytes.
pub trait Side: Default + Clone + Debug + Send + Sync + 'static {
    /// Adds the rows of another.
    fn merge(&mut self, other: Self);
    /// The statistics as bytes.
    fn encode(&self, bytes: &mut Vec<u8>);
    /// Reads what `encode` wrote.
    fn decode(bytes: &[u8]) -> Option<Self>;
    /// Bytes held outside the value itself.
    fn heap(&self) -> usize {
        0
    }
}

impl<const D: usize> Side for Moments<D> {
    fn merge(&mut self, other: Self) {
        Self::merge(self, &other);
    }

    fn encode(&self, bytes: &mut Vec<u8>) {
        bytes.extend(self.to_bytes());
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        Self::from_bytes(bytes)
    }
}

/// Values in ranks, and how many were NaN.
#[derive(Debug, Clone, Default)]
pub struct Values {
    /// Everything but NaN; infinities have their rank.
    pub sample: Sample,
    /// NaNs seen.
    pub nans: u64,
}

impl Values {
    /// Takes a value.
    pub fn push(&mut self, value: f64) {
        match value.is_nan() {
            true => self.nans += 1,
            false => self.sample.push(value),
        }
    }
}

impl Side for Sample {
    fn merge(&mut self, other: Self) {
        match self.count() {
            0 => *self = other,
            _ => Self::merge(self, &other),
        }
    }

    fn encode(&self, bytes: &mut Vec<u8>) {
        let (counted, loose) = self.parts();
        bytes.reserve(size_of::<u64>() * (1 + 2 * counted.len() + loose.len()));
        bytes.extend((counted.len() as u64).to_le_bytes());
        let counted = counted.iter().flat_map(|(key, count)| [key, count]);
        counted.chain(&loose).for_each(|number| bytes.extend(number.to_le_bytes()));
    }

    fn decode(mut bytes: &[u8]) -> Option<Self> {
        let runs = usize::try_from(take_u64(&mut bytes)?).ok()?;
        let (counted, loose) = bytes.split_at_checked(runs.checked_mul(16)?)?;
        let numbers: Vec<u64> = take_numbers(counted)?.collect();
        let (pairs, _) = numbers.as_chunks::<2>();
        let pairs = pairs.iter().map(|[key, count]| (*key, *count)).collect();
        Some(Self::of_parts(pairs, take_numbers(loose)?.collect()))
    }

    fn heap(&self) -> usize {
        self.size()
    }
}

impl Side for Values {
    fn merge(&mut self, other: Self) {
        Side::merge(&mut self.sample, other.sample);
        self.nans += other.nans;
    }

    fn encode(&self, bytes: &mut Vec<u8>) {
        bytes.extend(self.nans.to_le_bytes());
        self.sample.encode(bytes);
    }

    fn decode(mut bytes: &[u8]) -> Option<Self> {
        let nans = take_u64(&mut bytes)?;
        Some(Self { sample: Sample::decode(bytes)?, nans })
    }

    fn heap(&self) -> usize {
        self.sample.size()
    }
}

/// Takes the rows that are not NULL; answers how many were.
pub fn push_values(side: &mut Values, batch: &Float64Array, rows: &[u32]) -> u64 {
    let mut nulls = 0;
    for row in rows.iter().map(|row| *row as usize) {
        match batch.is_null(row) {
            true => nulls += 1,
            false => side.push(batch.value(row)),
        }
    }
    nulls
}

/// Moments from a column of states that `ab_moments` made; NULL is the empty state.
pub fn states(column: &ArrayRef) -> EngineResult<Vec<Moments<1>>> {
    let Some(column) = column.as_binary_opt::<i32>() else { return nothing(column) };
    // Of a state with a covariate or a denominator the metric.
    let read = |bytes: &[u8]| {
        let two = || Moments::<2>::from_bytes(bytes).map(|state| state.column(0));
        let three = || Moments::<3>::from_bytes(bytes).map(|state| state.column(0));
        Moments::<1>::from_bytes(bytes).or_else(two).or_else(three)
    };
    let state = |bytes: Option<&[u8]>| match bytes {
        None => Ok(Moments::default()),
        Some(bytes) => {
            read(bytes).ok_or_else(|| Error::InvalidState { function: "ab_moments" }.into())
        }
    };
    column.iter().map(state).collect()
}

/// The sides of a column that is NULL throughout, beside one that is not.
///
/// # Errors
/// 22023 if it has values.
pub fn nothing<S: Default + Clone>(column: &ArrayRef) -> EngineResult<Vec<S>> {
    if column.logical_null_count() < column.len() {
        let (allowed, given) =
            ("both states, or both arrays of counts".into(), "one of them".into());
        return Err(Error::InvalidArgument { name: "the first two", allowed, given }.into());
    }
    Ok(vec![S::default(); column.len()])
}

/// Sums per cluster of one arm.
#[derive(Debug, Clone, Default)]
pub struct ClusterSums {
    /// By the cluster's name.
    pub parts: HashMap<Box<str>, Part>,
    /// Bytes of the names.
    names: usize,
    /// Values that were NaN or infinite.
    pub not_finite: u64,
}

impl ClusterSums {
    /// Adds to a cluster.
    pub fn add(&mut self, cluster: &str, part: Part) {
        let sum = match self.parts.get_mut(cluster) {
            Some(sum) => sum,
            None => {
                self.names += cluster.len();
                self.parts.entry(cluster.into()).or_default()
            }
        };
        sum.count += part.count;
        sum.sum = sum.sum + part.sum;
    }
}

impl Side for ClusterSums {
    fn merge(&mut self, other: Self) {
        self.not_finite += other.not_finite;
        other.parts.iter().for_each(|(cluster, part)| self.add(cluster, *part));
    }

    fn encode(&self, bytes: &mut Vec<u8>) {
        bytes.extend(self.not_finite.to_le_bytes());
        for (cluster, part) in &self.parts {
            put_slice(bytes, cluster.as_bytes());
            bytes.extend(part.count.to_le_bytes());
            bytes.extend(part.sum.hi.to_le_bytes());
            bytes.extend(part.sum.lo.to_le_bytes());
        }
    }

    fn decode(mut bytes: &[u8]) -> Option<Self> {
        let not_finite = take_u64(&mut bytes)?;
        let mut state = Self { not_finite, ..Self::default() };
        while !bytes.is_empty() {
            let cluster = std::str::from_utf8(take_slice(&mut bytes)?).ok()?;
            let count = take_u64(&mut bytes)?;
            let hi = f64::from_bits(take_u64(&mut bytes)?);
            let lo = f64::from_bits(take_u64(&mut bytes)?);
            state.add(cluster, Part { count, sum: Double { hi, lo } });
        }
        Some(state)
    }

    fn heap(&self) -> usize {
        self.parts.capacity() * (size_of::<(Box<str>, Part)>() + 1) + self.names
    }
}
