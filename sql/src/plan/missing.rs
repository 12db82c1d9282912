//! A function that is not there, planned so that the error can name the types of its arguments:
//! `function lenght(text) does not exist`, 42883, with names that are near.

use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, FieldRef};
use datafusion::common::{Result as EngineResult, ScalarValue, TableReference};
use datafusion::logical_expr::{
    ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
    TypeSignature, Volatility,
};

use crate::error::{Error, near_names};
use crate::parse::EXCLUDE_CURRENT;
use crate::system::own_functions;
use crate::types::shown;

/// What the planner makes itself, or reads as a column when it has no parentheses.
const PLANNED: &[&str] = &[
    "current_catalog",
    "current_role",
    "current_schema",
    "current_user",
    "session_user",
    "unnest",
    "unnest_outer",
    "user",
];

/// The function under a name that nothing has; None: the planner knows the name itself.
pub(super) fn function<'n>(
    name: &str,
    names: impl IntoIterator<Item = &'n str>,
) -> Option<Arc<ScalarUDF>> {
    if PLANNED.contains(&name) {
        return None;
    }
    let any = TypeSignature::OneOf(vec![TypeSignature::Nullary, TypeSignature::VariadicAny]);
    let signature = Signature::new(any, Volatility::Volatile);
    let is_relation = own_functions::relations().any(|relation| relation.name == name);
    let near = match is_relation {
        true => Some(format!("It answers rows: SELECT * FROM {name}(…).")),
        false => near_names(name, names),
    };
    let name = name.to_owned();
    Some(Arc::new(ScalarUDF::from(Missing { name, near, signature })))
}

/// The same of a function in FROM, whose arguments are not planned.
pub(super) fn in_from(name: &TableReference) -> Error {
    Error::new("42883", format!("function {}() does not exist", name.table()))
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Missing {
    name: String,
    near: Option<String>,
    signature: Signature,
}

impl Missing {
    fn error(&self, types: &[String]) -> Error {
        if self.name == EXCLUDE_CURRENT {
            return Error::unsupported("EXCLUDE CURRENT ROW outside a feature view");
        }
        let message = format!("function {}({}) does not exist", self.name, types.join(", "));
        let cast = "No function matches the given name and argument types. \
                    You might need to add explicit type casts.";
        Error::new("42883", message).with_hint(self.near.as_deref().unwrap_or(cast))
    }
}

/// The type of an argument as Postgres names it: a literal in quotes has none yet.
fn argument(field: &FieldRef, value: Option<&ScalarValue>) -> String {
    match (field.data_type(), value) {
        (DataType::Null, _) | (_, Some(ScalarValue::Utf8(_))) => "unknown".into(),
        _ => shown(field),
    }
}

impl ScalarUDFImpl for Missing {
    fn name(&self) -> &str {
        &self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, types: &[DataType]) -> EngineResult<DataType> {
        let types: Vec<String> = types.iter().map(ToString::to_string).collect();
        Err(self.error(&types).into())
    }

    fn return_field_from_args(&self, arguments: ReturnFieldArgs) -> EngineResult<FieldRef> {
        let given = arguments.arg_fields.iter().zip(arguments.scalar_arguments);
        let types: Vec<String> = given.map(|(field, value)| argument(field, *value)).collect();
        Err(self.error(&types).into())
    }

    fn invoke_with_args(&self, _: ScalarFunctionArgs) -> EngineResult<ColumnarValue> {
        Err(self.error(&[]).into())
    }
}
