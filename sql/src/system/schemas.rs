//! `current_schema` and `current_schemas`: the schemas of the search path that there are.

use std::sync::Arc;

use catalog::TYPE_KEY;
use datafusion::arrow::array::{ArrayRef, AsArray, ListBuilder, StringBuilder};
use datafusion::arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::{Result as EngineResult, ScalarValue};
use datafusion::logical_expr::{
    ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
    TypeSignature, Volatility,
};

use super::functions::Connection;
use super::is_schema;
use crate::plan::TEMP_SCHEMA;

/// The functions of a connection.
pub(super) fn functions(connection: &Connection) -> Vec<ScalarUDF> {
    let one = Signature::nullary(Volatility::Stable);
    let forms = vec![TypeSignature::Exact(vec![DataType::Boolean])];
    let all = Signature::one_of(forms, Volatility::Stable);
    [("current_schema", one), ("current_schemas", all)]
        .map(|(name, signature)| {
            ScalarUDF::from(Schemas { name, connection: connection.clone(), signature })
        })
        .into()
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Schemas {
    name: &'static str,
    connection: Connection,
    signature: Signature,
}

impl Schemas {
    /// Those in which names are looked up; `implicit`: also those that no path has to name.
    fn held(&self, implicit: bool) -> Vec<String> {
        let Some(state) = self.connection.state() else { return Vec::new() };
        let path = self.connection.path();
        let named = path.iter().any(|schema| schema == "pg_catalog");
        let temp = state.schemas.contains_key(TEMP_SCHEMA).then(|| TEMP_SCHEMA.to_owned());
        let catalog = (!named).then(|| "pg_catalog".to_owned());
        let before = temp.into_iter().chain(catalog).filter(|_| implicit);
        let found = path.iter().filter(|name| state.schemas.contains_key(*name) || is_schema(name));
        let mut all: Vec<String> = before.collect();
        found.for_each(|name| {
            if !all.contains(name) {
                all.push(name.clone());
            }
        });
        all
    }

    fn item() -> FieldRef {
        let name = [(TYPE_KEY.to_owned(), "name".to_owned())];
        Arc::new(Field::new_list_field(DataType::Utf8, true).with_metadata(name.into()))
    }
}

impl ScalarUDFImpl for Schemas {
    fn name(&self) -> &str {
        self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, arguments: &[DataType]) -> EngineResult<DataType> {
        Ok(match arguments {
            [] => DataType::Utf8,
            _ => DataType::List(Self::item()),
        })
    }

    fn return_field_from_args(&self, arguments: ReturnFieldArgs) -> EngineResult<FieldRef> {
        if !arguments.arg_fields.is_empty() {
            let list = DataType::List(Self::item());
            return Ok(Arc::new(Field::new(self.name, list, true)));
        }
        Ok(Arc::new(Self::item().as_ref().clone().with_name(self.name)))
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> EngineResult<ColumnarValue> {
        let Some(implicit) = arguments.args.first() else {
            let first = self.held(false).into_iter().next();
            return Ok(ColumnarValue::Scalar(ScalarValue::Utf8(first)));
        };
        let implicit = implicit.to_array(arguments.number_rows)?;
        let mut lists = ListBuilder::new(StringBuilder::new()).with_field(Self::item());
        for implicit in implicit.as_boolean() {
            let held = implicit.map(|implicit| self.held(implicit));
            lists.append_option(held.map(|held| held.into_iter().map(Some)));
        }
        Ok(ColumnarValue::Array(Arc::new(lists.finish()) as ArrayRef))
    }
}
