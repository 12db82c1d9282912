//! Vectors: distances as pgvector defines them, and the exact nearest rows.
//!
//! A distance is smaller when rows are nearer; NaN (a cosine with a zero vector) comes after every
//! number, and equal distances go to the smaller key, so an order is total and does not depend on
//! threads, batches or the processor's level beyond the last bits of a distance.
//!
//! Vectors are slices of `f32`, or of `u16` that hold IEEE half floats; a matrix of them is
//! row-major without gaps. NULL vectors are the caller's: they are not offered.

use crate::simd::level::prefetch;

mod arithmetic;
mod bitmap;
mod distances;
mod exact;
mod half;
mod text;
mod tiles;
mod top;

pub use arithmetic::{Sum, add, compare, concatenate, multiply, normalize, subtract, subvector};
pub use bitmap::{Bitmap, Visible};
pub use distances::{distance, distances, dot, double_distances, inner_product, norm};
pub use exact::{Scan, nearest, nearest_into, nearest_to_each};
pub use half::{narrow, narrow_all, widen, widen_all};
pub use text::{Cause, DIMENSIONS, Kind, TextError, check, format, from_bytes, parse, to_bytes};
pub use tiles::Panels;
pub use top::{Neighbour, Top, merge};

/// What "near" means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Metric {
    /// `<->`: the Euclidean distance.
    L2,
    /// `<#>`: the inner product, negated.
    InnerProduct,
    /// `<=>`: one less the cosine of the angle; NaN for a zero vector.
    Cosine,
    /// `<+>`: the sum of absolute differences.
    L1,
}

/// Why vectors cannot be compared or searched: each is the caller's mistake, none a defect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Error {
    /// Two lengths that should be the same.
    Dimension { expected: usize, found: usize },
    /// A vector of no elements.
    Empty,
    /// Elements that are no whole number of rows.
    Ragged { elements: usize, dimension: usize },
    /// NaN, an infinity, or a vector whose squared length is past the range of a float.
    NotFinite { row: usize },
    /// `k` is zero.
    NoLimit,
    /// A result past the range of a float.
    Overflow,
    /// A product that is too small for a float.
    Underflow,
    /// More elements than a vector can have.
    TooMany,
}

impl Error {
    /// What is wrong, in pgvector's words for vectors of a kind.
    pub fn message(&self, kind: Kind) -> String {
        let name = kind.name();
        match self {
            Self::Dimension { expected, found } => {
                format!("different {name} dimensions {expected} and {found}")
            }
            Self::Empty => format!("{name} must have at least 1 dimension"),
            Self::TooMany => format!("{name} cannot have more than {DIMENSIONS} dimensions"),
            Self::Ragged { elements, dimension } => {
                format!("{elements} elements are no rows of {dimension} dimensions")
            }
            Self::NotFinite { row } => {
                format!("vector {row} holds NaN, an infinity or too great a value")
            }
            Self::NoLimit => "k must be greater than 0".to_owned(),
            Self::Overflow => "value out of range: overflow".to_owned(),
            Self::Underflow => "value out of range: underflow".to_owned(),
        }
    }

    /// The code that pgvector raises, or PostgreSQL for the like.
    pub fn sqlstate(&self) -> &'static str {
        match self {
            Self::Dimension { .. } | Self::Empty | Self::Ragged { .. } => "22000",
            Self::NotFinite { .. } => "22000",
            Self::NoLimit => "22023",
            Self::Overflow | Self::Underflow => "22003",
            Self::TooMany => "54000",
        }
    }
}

impl std::fmt::Display for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message(Kind::Single))
    }
}

impl std::error::Error for Error {}

/// The numbers of a matrix.
#[derive(Debug, Clone, Copy)]
pub enum Elements<'a> {
    Single(&'a [f32]),
    /// IEEE half floats, as their bits.
    Half(&'a [u16]),
}

/// Row vectors of one dimension, one after the other.
#[derive(Debug, Clone, Copy)]
pub struct Rows<'a> {
    elements: Elements<'a>,
    dimension: usize,
}

impl<'a> Rows<'a> {
    /// # Errors
    /// `Empty` for dimension zero, `Ragged` when the last row is cut short.
    pub fn new(elements: Elements<'a>, dimension: usize) -> Result<Self, Error> {
        let count = match elements {
            Elements::Single(all) => all.len(),
            Elements::Half(all) => all.len(),
        };
        if dimension == 0 {
            return Err(Error::Empty);
        }
        if !count.is_multiple_of(dimension) {
            return Err(Error::Ragged { elements: count, dimension });
        }
        Ok(Self { elements, dimension })
    }

    /// Rows of `f32`; errors as `new`.
    pub fn single(elements: &'a [f32], dimension: usize) -> Result<Self, Error> {
        Self::new(Elements::Single(elements), dimension)
    }

    pub fn elements(&self) -> Elements<'a> {
        self.elements
    }

    pub fn dimension(&self) -> usize {
        self.dimension
    }

    /// The number of rows.
    pub fn len(&self) -> usize {
        match self.elements {
            Elements::Single(all) => all.len() / self.dimension,
            Elements::Half(all) => all.len() / self.dimension,
        }
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Rows `range`, cut to what there is.
    pub fn slice(&self, range: std::ops::Range<usize>) -> Self {
        let end = range.end.min(self.len());
        let start = range.start.min(end);
        let (start, end) = (start * self.dimension, end * self.dimension);
        let elements = match self.elements {
            Elements::Single(all) => Elements::Single(&all[start..end]),
            Elements::Half(all) => Elements::Half(&all[start..end]),
        };
        Self { elements, dimension: self.dimension }
    }

    /// Asks the memory for a row that will be read soon.
    pub(crate) fn prefetch(&self, row: usize) {
        let range = row * self.dimension..(row + 1) * self.dimension;
        match self.elements {
            Elements::Single(all) => prefetch(all.get(range).unwrap_or(&[])),
            Elements::Half(all) => prefetch(all.get(range).unwrap_or(&[])),
        }
    }

    /// Writes all rows as `f32` over `out`.
    pub fn copy_to(&self, out: &mut Vec<f32>) {
        out.clear();
        match self.elements {
            Elements::Single(all) => out.extend_from_slice(all),
            Elements::Half(all) => out.extend(all.iter().map(|x| widen(*x))),
        }
    }

    /// # Errors
    /// `Dimension` when `other` has another one.
    pub(crate) fn same_dimension(&self, other: usize) -> Result<(), Error> {
        if self.dimension == other {
            return Ok(());
        }
        Err(Error::Dimension { expected: self.dimension, found: other })
    }
}
