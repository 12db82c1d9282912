//! `array_or_empty(list)`: the list, or an empty one for NULL, as ARRAY(query) gives without rows.

use datafusion::arrow::array::{Array, ArrayRef, AsArray, GenericListArray};
use datafusion::arrow::buffer::OffsetBuffer;
use datafusion::arrow::datatypes::{DataType, FieldRef};
use datafusion::common::Result as EngineResult;
use datafusion::logical_expr::{
    ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
    Volatility,
};
use std::sync::Arc;

pub(super) fn function() -> ScalarUDF {
    ScalarUDF::from(ArrayOrEmpty { signature: Signature::any(1, Volatility::Immutable) })
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct ArrayOrEmpty {
    signature: Signature,
}

impl ScalarUDFImpl for ArrayOrEmpty {
    fn name(&self) -> &str {
        "array_or_empty"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, arguments: &[DataType]) -> EngineResult<DataType> {
        Ok(arguments[0].clone())
    }

    fn return_field_from_args(&self, arguments: ReturnFieldArgs) -> EngineResult<FieldRef> {
        Ok(FieldRef::clone(&arguments.arg_fields[0]))
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> EngineResult<ColumnarValue> {
        let array = arguments.args[0].to_array(arguments.number_rows)?;
        let DataType::List(item) = array.data_type() else {
            return Ok(arguments.args[0].clone());
        };
        let list = array.as_list::<i32>();
        if list.null_count() == 0 {
            return Ok(ColumnarValue::Array(array));
        }
        // What lies behind a NULL must not show.
        let lengths = (0..list.len()).map(|row| match list.is_null(row) {
            true => 0,
            false => list.value(row).len(),
        });
        let rows: Vec<ArrayRef> =
            (0..list.len()).filter(|row| list.is_valid(*row)).map(|row| list.value(row)).collect();
        let rows: Vec<&dyn Array> = rows.iter().map(AsRef::as_ref).collect();
        let values = match rows.is_empty() {
            true => datafusion::arrow::array::new_empty_array(item.data_type()),
            false => datafusion::arrow::compute::concat(&rows)?,
        };
        let offsets = OffsetBuffer::<i32>::from_lengths(lengths);
        let lists = GenericListArray::try_new(Arc::clone(item), offsets, values, None)?;
        Ok(ColumnarValue::Array(Arc::new(lists)))
    }
}
