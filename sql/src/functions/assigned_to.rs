//! `assigned_to(value, NULL::t, 'c')`: a value of VALUES that goes to a column `c` of type `t`,
//! while an INSERT is planned. Beside the values of other rows the engine would make it another's
//! type: `('01'), (2)` both numbers, in a column of text too.

use datafusion::arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::{Result as EngineResult, ScalarValue};
use datafusion::logical_expr::{
    ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
    Volatility,
};
use std::sync::Arc;

/// Its name.
pub(crate) const NAME: &str = "assigned_to";

pub(super) fn function() -> ScalarUDF {
    ScalarUDF::from(AssignedTo { signature: Signature::any(3, Volatility::Immutable) })
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct AssignedTo {
    signature: Signature,
}

impl ScalarUDFImpl for AssignedTo {
    fn name(&self) -> &str {
        NAME
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, arguments: &[DataType]) -> EngineResult<DataType> {
        Ok(arguments[1].clone())
    }

    fn return_field_from_args(&self, arguments: ReturnFieldArgs) -> EngineResult<FieldRef> {
        Ok(Arc::new(Field::new(NAME, arguments.arg_fields[1].data_type().clone(), true)))
    }

    /// Only where nothing has put the assignment for it, which is nowhere.
    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> EngineResult<ColumnarValue> {
        let value = arguments.args[0].to_array(arguments.number_rows)?;
        let to = arguments.return_field.data_type();
        let value = datafusion::arrow::compute::cast(&value, to)?;
        match value.len() {
            1 => Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(&value, 0)?)),
            _ => Ok(ColumnarValue::Array(value)),
        }
    }
}
