//! `equal_lengths(list, other)`: the list, if the other is as long; arrays of keys go in pairs.

use std::sync::Arc;

use datafusion::arrow::array::{Array, AsArray, ListArray};
use datafusion::arrow::datatypes::{DataType, FieldRef};
use datafusion::common::Result as EngineResult;
use datafusion::logical_expr::{
    ColumnarValue, Expr, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
    Volatility,
};

use crate::error::Error;

/// The list; 22023 beside another of another length. NULL is as long as an empty one.
pub(super) fn checked(list: Expr, other: Expr) -> Expr {
    let signature = Signature::any(2, Volatility::Immutable);
    ScalarUDF::from(EqualLengths { signature }).call(vec![list, other])
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct EqualLengths {
    signature: Signature,
}

impl ScalarUDFImpl for EqualLengths {
    fn name(&self) -> &str {
        "equal_lengths"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, arguments: &[DataType]) -> EngineResult<DataType> {
        Ok(arguments[0].clone())
    }

    fn return_field_from_args(&self, arguments: ReturnFieldArgs) -> EngineResult<FieldRef> {
        Ok(Arc::clone(&arguments.arg_fields[0]))
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> EngineResult<ColumnarValue> {
        let arrays = ColumnarValue::values_to_arrays(&arguments.args)?;
        let (list, other) = (arrays[0].as_list::<i32>(), arrays[1].as_list::<i32>());
        for row in 0..list.len() {
            let (one, another) = (length(list, row), length(other, row));
            if one != another {
                let message = format!("arrays of keys have {another} and {one} elements");
                return Err(Error::new("22023", message)
                    .with_hint(
                        "Give every key one element for each row, or one value for all rows.",
                    )
                    .into());
            }
        }
        Ok(arguments.args[0].clone())
    }
}

fn length(list: &ListArray, row: usize) -> i32 {
    if list.is_valid(row) { list.value_length(row) } else { 0 }
}
