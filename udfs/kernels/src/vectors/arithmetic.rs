//! Vectors from vectors, with pgvector's rules: what overflows is an error, never an infinity.
//!
//! Elements are floats; those of a `halfvec` are computed as such and rounded to half floats, which
//! is what the operation on half floats gives.
//!
//! A NULL argument gives NULL, and aggregates leave NULLs out: both are the caller's.

use std::cmp::Ordering;

use super::{Error, Kind, norm};

/// The two of one length, element by element.
fn zip(kind: Kind, a: &[f32], b: &[f32], f: fn(f32, f32) -> f32) -> Result<Vec<f32>, Error> {
    if a.len() != b.len() {
        return Err(Error::Dimension { expected: a.len(), found: b.len() });
    }
    in_range(kind, a.iter().zip(b).map(|(a, b)| f(*a, *b)))
}

/// The elements as the kind keeps them.
fn in_range(kind: Kind, elements: impl Iterator<Item = f32>) -> Result<Vec<f32>, Error> {
    let vector: Vec<f32> = elements.map(|x| kind.rounded(x)).collect();
    match vector.iter().all(|x| x.is_finite()) {
        true => Ok(vector),
        false => Err(Error::Overflow),
    }
}

/// `a + b`.
///
/// # Errors
/// `Dimension`, `Overflow`.
pub fn add(kind: Kind, a: &[f32], b: &[f32]) -> Result<Vec<f32>, Error> {
    zip(kind, a, b, |a, b| a + b)
}

/// `a - b`; errors as `add`.
pub fn subtract(kind: Kind, a: &[f32], b: &[f32]) -> Result<Vec<f32>, Error> {
    zip(kind, a, b, |a, b| a - b)
}

/// `a * b`, element by element.
///
/// # Errors
/// `Dimension`, `Overflow`, and `Underflow` for a product that is zero of numbers that are not.
pub fn multiply(kind: Kind, a: &[f32], b: &[f32]) -> Result<Vec<f32>, Error> {
    let products = zip(kind, a, b, |a, b| a * b)?;
    let vanished =
        |((product, a), b): ((&f32, &f32), &f32)| *product == 0.0 && *a != 0.0 && *b != 0.0;
    match products.iter().zip(a).zip(b).any(vanished) {
        true => Err(Error::Underflow),
        false => Ok(products),
    }
}

/// `a || b`.
///
/// # Errors
/// `TooMany` when both together have more than a vector can.
pub fn concatenate(a: &[f32], b: &[f32]) -> Result<Vec<f32>, Error> {
    match a.len() + b.len() > super::DIMENSIONS {
        true => Err(Error::TooMany),
        false => Ok([a, b].concat()),
    }
}

/// `l2_normalize`: the vector of length one in the same direction; zeros stay zeros.
///
/// # Errors
/// `Overflow`, for lengths that are too small to divide by.
pub fn normalize(kind: Kind, a: &[f32]) -> Result<Vec<f32>, Error> {
    let length = norm(a);
    if length == 0.0 {
        return Ok(vec![0.0; a.len()]);
    }
    in_range(kind, a.iter().map(|x| (f64::from(*x) / length) as f32))
}

/// `subvector(a, start, count)`: elements from `start`, which counts from 1, as `substring` does;
/// cut to what there is.
///
/// # Errors
/// `Empty` when nothing is left.
pub fn subvector(a: &[f32], start: i32, count: i32) -> Result<&[f32], Error> {
    let (first, count) = (i64::from(start) - 1, i64::from(count));
    let end = (first + count).min(a.len() as i64);
    let first = first.max(0);
    if count < 1 || first >= end {
        return Err(Error::Empty);
    }
    a.get(first as usize..end as usize).ok_or(Error::Empty)
}

/// The order that `<`, `=` and B-trees use: element by element, then the shorter first. Zeros of
/// both signs are equal; elements are finite.
pub fn compare(a: &[f32], b: &[f32]) -> Ordering {
    let pairs = a.iter().zip(b).map(|(a, b)| a.partial_cmp(b).unwrap_or(Ordering::Equal));
    pairs.fold(Ordering::Equal, Ordering::then).then(a.len().cmp(&b.len()))
}

/// The state of `sum` and `avg`: sums in double precision, so that their order hardly matters.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Sum {
    count: u64,
    sums: Vec<f64>,
}

impl Sum {
    /// Adds a vector, not NULL.
    ///
    /// # Errors
    /// `Dimension` when it has another one than the first. pgvector's words for `avg` are those of
    /// `Cause::Expected`.
    pub fn push(&mut self, vector: &[f32]) -> Result<(), Error> {
        self.same_dimension(vector.len())?;
        self.count += 1;
        self.sums.iter_mut().zip(vector).for_each(|(sum, x)| *sum += f64::from(*x));
        Ok(())
    }

    /// Adds the rows of another state; errors as `push`.
    pub fn merge(&mut self, other: &Self) -> Result<(), Error> {
        if other.count == 0 {
            return Ok(());
        }
        self.same_dimension(other.sums.len())?;
        self.count += other.count;
        self.sums.iter_mut().zip(&other.sums).for_each(|(sum, x)| *sum += x);
        Ok(())
    }

    fn same_dimension(&mut self, found: usize) -> Result<(), Error> {
        if self.count == 0 {
            self.sums = vec![0.0; found];
        }
        let expected = self.sums.len();
        if expected == found { Ok(()) } else { Err(Error::Dimension { expected, found }) }
    }

    /// How many vectors came, and the sums of their elements: what a partial state carries.
    pub fn parts(&self) -> (u64, &[f64]) {
        (self.count, &self.sums)
    }

    pub fn from_parts(count: u64, sums: Vec<f64>) -> Self {
        Self { count, sums }
    }

    /// `sum`; `None` without rows.
    ///
    /// # Errors
    /// `Overflow`.
    pub fn sum(&self, kind: Kind) -> Result<Option<Vec<f32>>, Error> {
        self.over(kind, 1.0)
    }

    /// `avg`; `None` without rows; errors as `sum`.
    pub fn mean(&self, kind: Kind) -> Result<Option<Vec<f32>>, Error> {
        self.over(kind, self.count as f64)
    }

    fn over(&self, kind: Kind, divisor: f64) -> Result<Option<Vec<f32>>, Error> {
        if self.count == 0 {
            return Ok(None);
        }
        in_range(kind, self.sums.iter().map(|sum| (sum / divisor) as f32)).map(Some)
    }
}
