//! `pg_typeof(x)`: an expression's type, as a `regtype`.

use std::sync::Arc;

use catalog::TYPE_KEY;
use datafusion::arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::{Result as EngineResult, ScalarValue};
use datafusion::logical_expr::{
    ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
    Volatility,
};

use crate::pg_type::PgType;

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
        Ok(DataType::Int64)
    }

    fn return_field_from_args(&self, _: ReturnFieldArgs) -> EngineResult<FieldRef> {
        let tag = (TYPE_KEY.to_owned(), "regtype".to_owned());
        let field = Field::new(self.name(), DataType::Int64, true);
        Ok(Arc::new(field.with_metadata([tag].into())))
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> EngineResult<ColumnarValue> {
        let field = &arguments.arg_fields[0];
        let oid = match field.data_type() {
            DataType::Null => UNKNOWN,
            _ => i64::from(PgType::of(field).oid),
        };
        Ok(ColumnarValue::Scalar(ScalarValue::Int64(Some(oid))))
    }
}

/// The type of a NULL that nothing gives a type.
const UNKNOWN: i64 = 705;
