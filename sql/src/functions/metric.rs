//! A metric as something to add up: a boolean is 0 or 1, anything else is what it is; NULL
//! stays NULL.

use datafusion::arrow::datatypes::DataType;
use datafusion::common::Result as EngineResult;
use datafusion::logical_expr::simplify::{ExprSimplifyResult, SimplifyContext};
use datafusion::logical_expr::{
    ColumnarValue, Expr, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility, cast,
};

/// The name that relations call it by; nobody can write it.
pub(crate) const METRIC: &str = "\u{2}metric";

pub(super) fn function() -> ScalarUDF {
    ScalarUDF::from(Metric { signature: Signature::any(1, Volatility::Immutable) })
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Metric {
    signature: Signature,
}

impl ScalarUDFImpl for Metric {
    fn name(&self) -> &str {
        METRIC
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, given: &[DataType]) -> EngineResult<DataType> {
        Ok(match given {
            [DataType::Boolean] => DataType::Int32,
            [of] => of.clone(),
            _ => DataType::Null,
        })
    }

    fn simplify(
        &self,
        given: Vec<Expr>,
        info: &SimplifyContext,
    ) -> EngineResult<ExprSimplifyResult> {
        let Ok([given]) = <[Expr; 1]>::try_from(given) else {
            return datafusion::common::internal_err!("a metric is one value");
        };
        Ok(ExprSimplifyResult::Simplified(match info.get_data_type(&given)? {
            DataType::Boolean => cast(given, DataType::Int32),
            _ => given,
        }))
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> EngineResult<ColumnarValue> {
        arguments.args[0].cast_to(arguments.return_field.data_type(), None)
    }
}
