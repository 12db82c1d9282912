//! `unknown('text')`: a literal of VALUES that has no type yet, beside others that have one. The
//! engine counts it as NULL when it looks for the type of the column, and casts it to that.

use datafusion::arrow::datatypes::DataType;
use datafusion::common::{Result as EngineResult, internal_err};
use datafusion::logical_expr::{
    ColumnarValue, Expr, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};

/// Its name.
pub(crate) const NAME: &str = "unknown_literal";

pub(super) fn function() -> ScalarUDF {
    ScalarUDF::from(Unknown { signature: Signature::any(1, Volatility::Immutable) })
}

/// The literal in a call of it.
pub(crate) fn literal(value: &Expr) -> Option<&Expr> {
    match value {
        Expr::ScalarFunction(call) if call.func.name() == NAME => call.args.first(),
        _ => None,
    }
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Unknown {
    signature: Signature,
}

impl ScalarUDFImpl for Unknown {
    fn name(&self) -> &str {
        NAME
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> EngineResult<DataType> {
        Ok(DataType::Null)
    }

    fn invoke_with_args(&self, _: ScalarFunctionArgs) -> EngineResult<ColumnarValue> {
        internal_err!("a literal of VALUES was not given a type")
    }
}
