//! `sextant_recall(distance, recall)`: the distance; says to the planner how exact the order by it
//! is to be. `ann_topk` writes it.

use datafusion::arrow::datatypes::DataType;
use datafusion::common::{Result as EngineResult, ScalarValue};
use datafusion::logical_expr::{
    ColumnarValue, Expr, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, TypeSignature,
    Volatility,
};

pub(crate) const NAME: &str = "sextant_recall";

#[derive(Debug, PartialEq, Eq, Hash)]
struct Recall {
    signature: Signature,
}

/// See the module. A recall of 1 is an exact scan; NULL is what is usual.
pub(crate) fn with_recall() -> ScalarUDF {
    let signature = TypeSignature::Exact(vec![DataType::Float64, DataType::Float64]);
    ScalarUDF::from(Recall { signature: Signature::new(signature, Volatility::Immutable) })
}

/// The distance and the recall, if an expression is such a call.
pub(super) fn parts(expression: &Expr) -> Option<(&Expr, Option<f64>)> {
    let Expr::ScalarFunction(call) = expression else { return None };
    match call.args.as_slice() {
        [distance, recall] if call.name() == NAME => Some((distance, constant(recall)?)),
        _ => None,
    }
}

/// A number, before and after casts are evaluated.
fn constant(expression: &Expr) -> Option<Option<f64>> {
    match expression {
        Expr::Cast(cast) => constant(&cast.expr),
        Expr::Literal(value, _) => match value.cast_to(&DataType::Float64).ok()? {
            ScalarValue::Float64(recall) => Some(recall),
            _ => None,
        },
        _ => None,
    }
}

impl ScalarUDFImpl for Recall {
    fn name(&self) -> &str {
        NAME
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> EngineResult<DataType> {
        Ok(DataType::Float64)
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> EngineResult<ColumnarValue> {
        let nothing = || ColumnarValue::Scalar(ScalarValue::Float64(None));
        Ok(arguments.args.into_iter().next().unwrap_or_else(nothing))
    }
}
