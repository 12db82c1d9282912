//! The types of vectors as the engine has them.
//!
//! ```text
//!   vector(3)    list of 3 floats          halfvec(3)   list of 3 half floats
//!   vector       list of any length, its element called `vector`
//! ```
//! In the lake they are lists of `float32`: DuckLake has no half floats, and DuckDB reads those of
//! Parquet, in which a `halfvec` takes two bytes an element, as floats.

use datafusion::arrow::datatypes::{DataType, Field};
use kernels::vectors::Kind;

/// `vector(n)` or `halfvec(n)`; without a dimension, vectors of any.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VectorType {
    pub kind: Kind,
    /// How many elements each has, if all have as many.
    pub dimension: Option<usize>,
}

impl VectorType {
    /// None of another type.
    pub fn of(of: &DataType) -> Option<Self> {
        match of {
            DataType::FixedSizeList(element, n) => {
                Some(Self { kind: kind(element)?, dimension: usize::try_from(*n).ok() })
            }
            DataType::List(element) => {
                Some(Self { kind: Self::of_element(element)?, dimension: None })
            }
            _ => None,
        }
    }

    /// Its Arrow type.
    pub fn data_type(self) -> DataType {
        let of = match self.kind {
            Kind::Single => DataType::Float32,
            Kind::Half => DataType::Float16,
        };
        match self.dimension.map(i32::try_from) {
            Some(n) => DataType::FixedSizeList(
                Field::new("element", of, true).into(),
                n.unwrap_or(i32::MAX),
            ),
            None => DataType::List(Field::new(self.kind.name(), of, true).into()),
        }
    }

    /// The kind of vectors of any dimension, if a field is the element of such.
    pub fn of_element(element: &Field) -> Option<Kind> {
        kind(element).filter(|kind| element.name() == kind.name())
    }

    /// `vector(3)`, `halfvec`.
    pub fn name(self) -> String {
        match self.dimension {
            Some(n) => format!("{}({n})", self.kind.name()),
            None => self.kind.name().to_owned(),
        }
    }
}

fn kind(element: &Field) -> Option<Kind> {
    match element.data_type() {
        DataType::Float32 => Some(Kind::Single),
        DataType::Float16 => Some(Kind::Half),
        _ => None,
    }
}
