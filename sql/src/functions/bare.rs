//! `bare(x)`: a value without what its column's metadata say of where it comes from. The engine
//! refuses VALUES whose rows come from different columns: `LATERAL (VALUES (t.a), (t.b))`. NULL
//! stays NULL.

use datafusion::arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::Result as EngineResult;
use datafusion::logical_expr::{
    ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
    Volatility,
};
use std::collections::HashMap;
use std::sync::Arc;

use catalog::TYPE_KEY;

/// Its name.
pub(crate) const NAME: &str = "bare";

pub(super) fn function() -> ScalarUDF {
    ScalarUDF::from(Bare { signature: Signature::any(1, Volatility::Immutable) })
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Bare {
    signature: Signature,
}

impl ScalarUDFImpl for Bare {
    fn name(&self) -> &str {
        NAME
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, arguments: &[DataType]) -> EngineResult<DataType> {
        Ok(arguments[0].clone())
    }

    /// Which type it is stays, its length does not: `varchar(3)` beside others is text.
    fn return_field_from_args(&self, arguments: ReturnFieldArgs) -> EngineResult<FieldRef> {
        let given = &arguments.arg_fields[0];
        let tag = given.metadata().get(TYPE_KEY).filter(|tag| !tag.contains('('));
        let metadata: HashMap<_, _> =
            tag.map(|tag| (TYPE_KEY.to_owned(), tag.clone())).into_iter().collect();
        let field = Field::new(NAME, given.data_type().clone(), true);
        Ok(Arc::new(field.with_metadata(metadata)))
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> EngineResult<ColumnarValue> {
        Ok(arguments.args[0].clone())
    }
}
