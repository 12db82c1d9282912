//! The types of vectors as the engine has them.
//!
//! ```text
//!   vector(3)    list of 3 floats          halfvec(3)   list of 3 half floats
//!   vector       list of any length, its element called `vector`
//! ```
//! The catalog knows them likewise.

use std::sync::Arc;

use datafusion::arrow::array::{
    ArrayRef, FixedSizeListArray, Float16Array, Float32Array, ListArray, new_empty_array,
};
use datafusion::arrow::buffer::{NullBuffer, OffsetBuffer};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::error::Result as EngineResult;
use kernels::vectors::Kind;

/// `vector(n)` or `halfvec(n)`; without a dimension, vectors of any.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VectorType {
    /// Which of the two.
    pub kind: Kind,
    /// How many elements each has, if all have as many.
    pub dimension: Option<usize>,
}

impl VectorType {
    /// None of another type.
    pub fn of(of: &DataType) -> Option<Self> {
        let kind = |element: &FieldRef| match element.data_type() {
            DataType::Float32 => Some(Kind::Single),
            DataType::Float16 => Some(Kind::Half),
            _ => None,
        };
        match of {
            DataType::FixedSizeList(element, n) => {
                Some(Self { kind: kind(element)?, dimension: usize::try_from(*n).ok() })
            }
            DataType::List(element) => {
                let kind = kind(element)?;
                (element.name() == kind.name()).then_some(Self { kind, dimension: None })
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

    /// An array of vectors, which have the dimension if there is one.
    pub(super) fn array(self, vectors: Vec<Option<Vec<f32>>>) -> EngineResult<ArrayRef> {
        let data_type = self.data_type();
        let nulls: NullBuffer = vectors.iter().map(Option::is_some).collect();
        let empty = vec![0.0; self.dimension.unwrap_or(0)];
        let vectors: Vec<Vec<f32>> =
            vectors.into_iter().map(|one| one.unwrap_or_else(|| empty.clone())).collect();
        let values = Float32Array::from(vectors.concat());
        let array: ArrayRef = match &data_type {
            DataType::FixedSizeList(element, n) => {
                let values = cast(&values, element.data_type())?;
                Arc::new(FixedSizeListArray::try_new(element.clone(), *n, values, Some(nulls))?)
            }
            DataType::List(element) => {
                let values = cast(&values, element.data_type())?;
                let ends = OffsetBuffer::from_lengths(vectors.iter().map(Vec::len));
                Arc::new(ListArray::try_new(element.clone(), ends, values, Some(nulls))?)
            }
            other => new_empty_array(other),
        };
        Ok(array)
    }
}

/// The kind of the vectors among arguments: half floats, where one is of them.
pub(super) fn kind<'a>(given: impl IntoIterator<Item = &'a DataType>) -> Kind {
    let is_half = |of: &DataType| VectorType::of(of).is_some_and(|of| of.kind == Kind::Half);
    if given.into_iter().any(is_half) { Kind::Half } else { Kind::Single }
}

/// The bits of half floats.
pub(super) fn bits(halves: &Float16Array) -> &[u16] {
    halves.values().inner().typed_data()
}
