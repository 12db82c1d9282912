//! `as_type(x::t, 't')`: a cast with a name of its own while a statement is planned. The engine
//! names a cast like what it casts, and takes `sum(x::int), sum(x::real)` for one column; likewise
//! `unnest((SELECT a)), unnest((SELECT b))`, whose subqueries have no names at all.

use datafusion::arrow::datatypes::{DataType, FieldRef};
use datafusion::common::Result as EngineResult;
use datafusion::logical_expr::{
    ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
    Volatility,
};

/// Its name.
pub(crate) const NAME: &str = "as_type";

pub(super) fn function() -> ScalarUDF {
    ScalarUDF::from(AsType { signature: Signature::any(2, Volatility::Immutable) })
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct AsType {
    signature: Signature,
}

impl ScalarUDFImpl for AsType {
    fn name(&self) -> &str {
        NAME
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
        Ok(arguments.args[0].clone())
    }
}
