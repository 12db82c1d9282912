//! An argument that is a vector: one for all rows, or a column of them. Text is read as pgvector
//! reads it, arrays element by element; beside a halfvec all are halfvecs.

use std::borrow::Cow;

use datafusion::arrow::array::{Array, ArrayRef, AsArray};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, Float16Type, Float32Type};
use datafusion::error::Result as EngineResult;
use datafusion::logical_expr::ColumnarValue;
use kernels::vectors::{self, Elements, Kind, Rows, check, parse};

use super::of_type::{VectorType, bits};
use crate::Error;

pub(super) enum Side {
    One(Option<Vec<f32>>),
    Many(ArrayRef, Kind),
}

impl Side {
    /// A value as vectors of a kind.
    ///
    /// # Errors
    /// 22P02 and its like for text that is no vector, 22000 for elements that none has.
    pub(super) fn of(value: &ColumnarValue, kind: Kind) -> EngineResult<Self> {
        match value {
            ColumnarValue::Array(array) => Ok(Self::Many(ArrayRef::clone(array), kind)),
            ColumnarValue::Scalar(value) => {
                let one = value.to_array()?;
                Ok(Self::One(element(&one, 0, kind)?.map(Cow::into_owned)))
            }
        }
    }

    /// The vector of a row; None for NULL.
    pub(super) fn at(&self, row: usize) -> EngineResult<Option<Cow<'_, [f32]>>> {
        match self {
            Self::One(one) => Ok(one.as_deref().map(Cow::Borrowed)),
            Self::Many(array, kind) => element(array, row, *kind),
        }
    }

    /// All vectors of a column of one dimension, one after the other, whatever stands for NULL.
    pub(super) fn matrix(&self) -> Option<Rows<'_>> {
        let Self::Many(array, kind) = self else { return None };
        let list = array.as_fixed_size_list_opt()?;
        let dimension = usize::try_from(list.value_length()).ok()?;
        let start = list.value_offset(0).unsigned_abs() as usize;
        let range = start..start + list.len() * dimension;
        let elements = match kind {
            Kind::Single => {
                let values = list.values().as_primitive_opt::<Float32Type>()?.values();
                Elements::Single(values.get(range)?)
            }
            Kind::Half => {
                Elements::Half(bits(list.values().as_primitive_opt::<Float16Type>()?).get(range)?)
            }
        };
        Rows::new(elements, dimension).ok()
    }

    /// Whether a row has a vector.
    pub(super) fn is_valid(&self, row: usize) -> bool {
        match self {
            Self::One(one) => one.is_some(),
            Self::Many(array, _) => array.is_valid(row),
        }
    }
}

fn element(array: &ArrayRef, row: usize, kind: Kind) -> EngineResult<Option<Cow<'_, [f32]>>> {
    if array.is_null(row) || *array.data_type() == DataType::Null {
        return Ok(None);
    }
    if let Some(texts) = array.as_string_opt::<i32>() {
        let vector = parse(kind, texts.value(row), None);
        return Ok(Some(Cow::Owned(vector.map_err(|error| Error::vector(&error))?)));
    }
    let own = VectorType::of(array.data_type()).filter(|of| of.kind == kind);
    let values = match (array.as_fixed_size_list_opt(), array.as_list_opt::<i32>()) {
        (Some(list), _) => {
            let dimension = list.value_length().unsigned_abs() as usize;
            let start = list.value_offset(row).unsigned_abs() as usize;
            if let (Some(values), true) =
                (list.values().as_primitive_opt::<Float32Type>(), own.is_some())
            {
                return Ok(values.values().get(start..start + dimension).map(Cow::Borrowed));
            }
            list.value(row)
        }
        (None, Some(list)) => list.value(row),
        (None, None) => return Ok(None),
    };
    elements(&values, kind, own.is_some()).map(|vector| Some(Cow::Owned(vector)))
}

/// The elements of an array as those of a vector; `known` of one that is a vector already.
fn elements(values: &ArrayRef, kind: Kind, known: bool) -> EngineResult<Vec<f32>> {
    if values.data_type().is_nested() {
        return Err(refused("22000", "array must be 1-D".into()));
    }
    if values.null_count() > 0 {
        return Err(refused("22004", "array must not contain nulls".into()));
    }
    let values = cast(values, &DataType::Float32)?;
    let mut vector = values.as_primitive::<Float32Type>().values().to_vec();
    if !known {
        check(kind, &vector, None).map_err(|error| Error::vector(&error))?;
        vector.iter_mut().for_each(|x| *x = kind.rounded(*x));
    }
    Ok(vector)
}

fn refused(sqlstate: &'static str, message: String) -> datafusion::error::DataFusionError {
    Error::Vector { sqlstate, message, detail: None }.into()
}

/// An error of vectors of a kind.
pub(super) fn failed(kind: Kind, error: &vectors::Error) -> Error {
    Error::Vector { sqlstate: error.sqlstate(), message: error.message(kind), detail: None }
}
