//! An argument that is a vector: one for all rows, or a column of them. Text is read as pgvector
//! reads it, arrays element by element.

use std::borrow::Cow;

use datafusion::arrow::array::{Array, ArrayRef, AsArray};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, Float32Type};
use datafusion::error::Result as EngineResult;
use datafusion::logical_expr::ColumnarValue;
use kernels::vectors::{Kind, check, parse};

use crate::Error;

pub(super) enum Side {
    One(Option<Vec<f32>>),
    Many(ArrayRef),
}

impl Side {
    /// # Errors
    /// 22P02 and its like for text that is no vector, 22000 for elements that none has.
    pub(super) fn of(value: &ColumnarValue) -> EngineResult<Self> {
        match value {
            ColumnarValue::Array(array) => Ok(Self::Many(ArrayRef::clone(array))),
            ColumnarValue::Scalar(value) => {
                let one = value.to_array()?;
                Ok(Self::One(element(&one, 0)?.map(Cow::into_owned)))
            }
        }
    }

    /// The vector of a row; None for NULL.
    pub(super) fn at(&self, row: usize) -> EngineResult<Option<Cow<'_, [f32]>>> {
        match self {
            Self::One(one) => Ok(one.as_deref().map(Cow::Borrowed)),
            Self::Many(array) => element(array, row),
        }
    }

    /// All vectors of a column of one dimension, one after the other, whatever stands for NULL.
    pub(super) fn matrix(&self) -> Option<(&[f32], usize)> {
        let Self::Many(array) = self else { return None };
        let list = array.as_fixed_size_list_opt()?;
        let dimension = usize::try_from(list.value_length()).ok()?;
        let values = list.values().as_primitive_opt::<Float32Type>()?.values();
        let start = list.value_offset(0).unsigned_abs() as usize;
        Some((values.get(start..start + list.len() * dimension)?, dimension))
    }

    /// Whether a row has a vector.
    pub(super) fn is_valid(&self, row: usize) -> bool {
        match self {
            Self::One(one) => one.is_some(),
            Self::Many(array) => array.is_valid(row),
        }
    }
}

fn element(array: &ArrayRef, row: usize) -> EngineResult<Option<Cow<'_, [f32]>>> {
    if array.is_null(row) || *array.data_type() == DataType::Null {
        return Ok(None);
    }
    if let Some(list) = array.as_fixed_size_list_opt() {
        let dimension = list.value_length().unsigned_abs() as usize;
        let start = list.value_offset(row).unsigned_abs() as usize;
        if let Some(values) = list.values().as_primitive_opt::<Float32Type>() {
            return Ok(values.values().get(start..start + dimension).map(Cow::Borrowed));
        }
    }
    if let Some(texts) = array.as_string_opt::<i32>() {
        let vector = parse(Kind::Single, texts.value(row), None);
        return Ok(Some(Cow::Owned(vector.map_err(|error| Error::vector(&error))?)));
    }
    let Some(list) = array.as_list_opt::<i32>() else { return Ok(None) };
    let values = cast(&list.value(row), &DataType::Float32)?;
    if values.null_count() > 0 {
        return Err(Error::Vector {
            sqlstate: "22004",
            message: "array must not contain nulls".into(),
            detail: None,
        }
        .into());
    }
    let vector = values.as_primitive::<Float32Type>().values().to_vec();
    check(Kind::Single, &vector, None).map_err(|error| Error::vector(&error))?;
    Ok(Some(Cow::Owned(vector)))
}
