//! `array_dims(a)`, `array_fill(value, dimensions)` and `trim_array(a, n)`. NULL gives NULL.

use std::fmt::Write;
use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, ListArray, StringArray, UInt32Array};
use datafusion::arrow::buffer::{NullBuffer, OffsetBuffer};
use datafusion::arrow::compute::{cast, take};
use datafusion::arrow::datatypes::{DataType, Field, Int32Type};
use datafusion::common::Result as EngineResult;
use datafusion::logical_expr::{
    ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};

use crate::error::Error;

/// The most elements that `array_fill` makes for a batch of rows.
const ELEMENTS: usize = 100_000_000;

pub(super) fn functions() -> [ScalarUDF; 3] {
    [Task::Dims, Task::Fill, Task::Trim].map(|task| {
        let arity = if task == Task::Dims { 1 } else { 2 };
        let signature = Signature::any(arity, Volatility::Immutable);
        ScalarUDF::from(Arrays { task, signature })
    })
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Task {
    Dims,
    Fill,
    Trim,
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Arrays {
    task: Task,
    signature: Signature,
}

impl ScalarUDFImpl for Arrays {
    fn name(&self) -> &str {
        match self.task {
            Task::Dims => "array_dims",
            Task::Fill => "array_fill",
            Task::Trim => "trim_array",
        }
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, given: &[DataType]) -> EngineResult<DataType> {
        match (self.task, given) {
            (Task::Dims, [DataType::List(_)]) => Ok(DataType::Utf8),
            (Task::Trim, [of @ DataType::List(_), _]) => Ok(of.clone()),
            (Task::Fill, [of, DataType::List(_)]) => {
                Ok(DataType::List(Arc::new(Field::new_list_field(of.clone(), true))))
            }
            _ => {
                let message = format!("function {} of these types does not exist", self.name());
                Err(Error::new("42883", message).into())
            }
        }
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> EngineResult<ColumnarValue> {
        let arrays = ColumnarValue::values_to_arrays(&arguments.args)?;
        let answer: ArrayRef = match self.task {
            Task::Dims => {
                let lists = arrays[0].as_list::<i32>();
                let row =
                    |row| lists.is_valid(row).then(|| dimensions(&lists.value(row))).flatten();
                Arc::new((0..lists.len()).map(row).collect::<StringArray>())
            }
            Task::Fill => filled(&arrays[0], arrays[1].as_list::<i32>())?,
            Task::Trim => trimmed(arrays[0].as_list::<i32>(), &arrays[1])?,
        };
        Ok(ColumnarValue::Array(answer))
    }
}

/// `[1:2][1:3]`; None: it has no elements.
fn dimensions(values: &ArrayRef) -> Option<String> {
    let mut text = String::new();
    let mut values = Arc::clone(values);
    while !values.is_empty() {
        write!(text, "[1:{}]", values.len()).ok()?;
        values = match values.as_list_opt::<i32>() {
            Some(inner) => inner.value(0),
            None => break,
        };
    }
    (!text.is_empty()).then_some(text)
}

fn filled(values: &ArrayRef, dimensions: &ListArray) -> EngineResult<ArrayRef> {
    let (mut indices, mut lengths, mut known) = (Vec::new(), Vec::new(), Vec::new());
    for row in 0..dimensions.len() {
        let of = match dimensions.is_valid(row) {
            true => Some(cast(&dimensions.value(row), &DataType::Int32)?),
            false => None,
        };
        let count = match &of {
            None => {
                return Err(Error::new(
                    "22004",
                    "dimension array or low bound array cannot be null",
                )
                .into());
            }
            Some(of) if of.len() > 1 => {
                return Err(Error::unsupported("array_fill of several dimensions").into());
            }
            Some(of) => of.as_primitive::<Int32Type>().iter().next().flatten().unwrap_or(0),
        };
        let count = usize::try_from(count).unwrap_or(0);
        if indices.len() + count > ELEMENTS {
            return Err(Error::new("54000", "array size exceeds the maximum allowed").into());
        }
        indices.extend(std::iter::repeat_n(u32::try_from(row).unwrap_or(0), count));
        lengths.push(count);
        known.push(true);
    }
    let items = take(values, &UInt32Array::from(indices), None)?;
    let item = Arc::new(Field::new_list_field(values.data_type().clone(), true));
    let offsets = OffsetBuffer::from_lengths(lengths);
    Ok(Arc::new(ListArray::try_new(item, offsets, items, Some(NullBuffer::from(known)))?))
}

fn trimmed(lists: &ListArray, counts: &ArrayRef) -> EngineResult<ArrayRef> {
    let counts = cast(counts, &DataType::Int32)?;
    let counts = counts.as_primitive::<Int32Type>();
    let (mut indices, mut lengths, mut known) = (Vec::new(), Vec::new(), Vec::new());
    for row in 0..lists.len() {
        let valid = lists.is_valid(row) && counts.is_valid(row);
        let mut kept = 0;
        if valid {
            let (start, length) = (lists.value_offsets()[row], lists.value_length(row));
            let count = counts.value(row);
            if !(0..=length).contains(&count) {
                let message = format!("number of elements to trim must be between 0 and {length}");
                return Err(Error::new("2202E", message).into());
            }
            kept = length - count;
            indices.extend((start..start + kept).filter_map(|at| u32::try_from(at).ok()));
        }
        lengths.push(usize::try_from(kept).unwrap_or(0));
        known.push(valid);
    }
    let DataType::List(item) = lists.data_type() else {
        return Err(Error::unsupported("this list").into());
    };
    let items = take(lists.values(), &UInt32Array::from(indices), None)?;
    let offsets = OffsetBuffer::from_lengths(lengths);
    let nulls = Some(NullBuffer::from(known));
    Ok(Arc::new(ListArray::try_new(Arc::clone(item), offsets, items, nulls)?))
}
