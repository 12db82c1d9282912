//! `pg_typeof(x)`: the name of an expression's type.

use catalog::TYPE_KEY;
use datafusion::arrow::datatypes::{DataType, Field};
use datafusion::common::{Result as EngineResult, ScalarValue};
use datafusion::logical_expr::{
    ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};

pub(super) fn function() -> ScalarUDF {
    ScalarUDF::from(TypeOf { signature: Signature::any(1, Volatility::Immutable) })
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct TypeOf {
    signature: Signature,
}

impl ScalarUDFImpl for TypeOf {
    fn name(&self) -> &str {
        "pg_typeof"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> EngineResult<DataType> {
        Ok(DataType::Utf8)
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> EngineResult<ColumnarValue> {
        let name = shown(&arguments.arg_fields[0]);
        Ok(ColumnarValue::Scalar(ScalarValue::Utf8(Some(name))))
    }
}

fn shown(field: &Field) -> String {
    match field.data_type() {
        DataType::Null => "unknown".into(),
        DataType::List(element) if !field.metadata().contains_key(TYPE_KEY) => {
            format!("{}[]", shown(element))
        }
        _ => crate::types::describe(field).data_type,
    }
}
