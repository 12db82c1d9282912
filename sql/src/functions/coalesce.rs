//! `coalesce(…)`: the engine's, that takes quoted text beside an array too, `coalesce(tags, '{}')`:
//! the text has no type yet, and is read as what the others are (`plan::convert::unify`).

use datafusion::arrow::datatypes::{DataType, FieldRef};
use datafusion::common::Result;
use datafusion::functions::core;
use datafusion::logical_expr::simplify::{ExprSimplifyResult, SimplifyContext};
use datafusion::logical_expr::{
    ColumnarValue, Documentation, Expr, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF,
    ScalarUDFImpl, Signature,
};
use std::sync::Arc;

pub(super) fn function() -> ScalarUDF {
    ScalarUDF::from(Coalesce { engine: core::coalesce() })
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Coalesce {
    engine: Arc<ScalarUDF>,
}

impl ScalarUDFImpl for Coalesce {
    fn name(&self) -> &str {
        self.engine.name()
    }

    fn signature(&self) -> &Signature {
        self.engine.signature()
    }

    fn return_type(&self, arguments: &[DataType]) -> Result<DataType> {
        self.engine.return_type(arguments)
    }

    fn return_field_from_args(&self, arguments: ReturnFieldArgs) -> Result<FieldRef> {
        self.engine.return_field_from_args(arguments)
    }

    fn coerce_types(&self, arguments: &[DataType]) -> Result<Vec<DataType>> {
        let engine = self.engine.coerce_types(arguments);
        let open = |of: &DataType| matches!(of, DataType::Utf8 | DataType::Null);
        let mut typed = arguments.iter().filter(|of| !open(of));
        match (engine, typed.next()) {
            (Err(_), Some(list @ (DataType::List(_) | DataType::FixedSizeList(..))))
                if typed.all(|of| of == list) =>
            {
                Ok(vec![list.clone(); arguments.len()])
            }
            (engine, _) => engine,
        }
    }

    fn simplify(&self, arguments: Vec<Expr>, info: &SimplifyContext) -> Result<ExprSimplifyResult> {
        self.engine.simplify(arguments, info)
    }

    fn conditional_arguments<'a>(
        &self,
        arguments: &'a [Expr],
    ) -> Option<(Vec<&'a Expr>, Vec<&'a Expr>)> {
        self.engine.conditional_arguments(arguments)
    }

    fn short_circuits(&self) -> bool {
        self.engine.short_circuits()
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> Result<ColumnarValue> {
        self.engine.invoke_with_args(arguments)
    }

    fn documentation(&self) -> Option<&Documentation> {
        self.engine.documentation()
    }
}
