//! References to objects: `'t'::regclass` and its kin. A value is the object's number, its field
//! says which kind it is, and its text is the name, qualified where it must be.
//!
//! | function                | what it does                                              |
//! |-------------------------|-----------------------------------------------------------|
//! | `regclass_input(value)` | the number of what a text names, or the number itself     |
//! | `to_regclass(text)`     | the same, NULL for what is not there                      |
//! | `reg_name(value, kind)` | the name                                                  |

mod names;

use std::sync::Arc;

use catalog::{State, TYPE_KEY};
use datafusion::arrow::array::{Array, ArrayRef, AsArray, Int64Array, ListArray};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, Field, FieldRef, Int64Type, Schema};
use datafusion::arrow::record_batch::{RecordBatch, RecordBatchOptions};
use datafusion::common::{Result as EngineResult, ScalarValue};
use datafusion::logical_expr::{
    ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
    Volatility,
};

use super::functions::Connection;
use super::oid;
use crate::error::{Error, Result};
use crate::plan::TEMP_SCHEMA;
use crate::sequences;
use names::Names;

pub(crate) use names::parts;

/// The types of references.
pub const KINDS: &[&str] = &[
    "regclass",
    "regtype",
    "regnamespace",
    "regrole",
    "regproc",
    "regprocedure",
    "regoper",
    "regoperator",
    "regconfig",
    "regdictionary",
    "regcollation",
];

/// Types that are numbers of objects.
pub(crate) fn kind(name: &str) -> Option<&'static str> {
    KINDS.iter().chain(&["oid"]).find(|kind| **kind == name).copied()
}

/// The functions of a connection.
pub(super) fn functions(connection: &Connection) -> Vec<ScalarUDF> {
    let reference = |name: String, kind: &'static str, task: Task| {
        let signature = Signature::variadic_any(Volatility::Stable);
        ScalarUDF::from(Reference { name, kind, task, connection: connection.clone(), signature })
    };
    let kinds = KINDS.iter().chain(&["oid"]);
    let mut all: Vec<ScalarUDF> =
        kinds.map(|kind| reference(format!("{kind}_input"), kind, Task::Find)).collect();
    for kind in ["regclass", "regtype", "regnamespace", "regrole", "regproc", "regcollation"] {
        all.push(reference(format!("to_{kind}"), kind, Task::Look));
    }
    all.push(reference("reg_name".into(), "regclass", Task::Name));
    all
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Task {
    /// An error for what is not there.
    Find,
    /// NULL for what is not there.
    Look,
    Name,
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Reference {
    name: String,
    kind: &'static str,
    task: Task,
    connection: Connection,
    signature: Signature,
}

impl ScalarUDFImpl for Reference {
    fn name(&self) -> &str {
        &self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, arguments: &[DataType]) -> EngineResult<DataType> {
        Ok(match (self.task, arguments.first()) {
            (Task::Name, Some(DataType::List(_))) => DataType::new_list(DataType::Utf8, true),
            (Task::Name, _) => DataType::Utf8,
            (Task::Find | Task::Look, _) => DataType::Int64,
        })
    }

    fn return_field_from_args(&self, arguments: ReturnFieldArgs) -> EngineResult<FieldRef> {
        let types: Vec<DataType> =
            arguments.arg_fields.iter().map(|field| field.data_type().clone()).collect();
        let field = Field::new(&self.name, self.return_type(&types)?, true);
        let tag = (TYPE_KEY.to_owned(), self.kind.to_owned());
        Ok(Arc::new(match self.task {
            Task::Name => field,
            Task::Find | Task::Look => field.with_metadata([tag].into()),
        }))
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> EngineResult<ColumnarValue> {
        let Some(first) = arguments.args.first() else {
            let message = format!("function {}() does not exist", self.name);
            return Err(Error::new("42883", message).into());
        };
        let array = first.to_array(arguments.number_rows)?;
        let names = Names::of(&self.connection);
        let array: ArrayRef = match self.task {
            Task::Name => {
                let kind = match arguments.args.get(1) {
                    Some(ColumnarValue::Scalar(kind)) => kind.try_as_str().flatten(),
                    _ => None,
                };
                let kind = kind.unwrap_or(self.kind);
                match array.as_list_opt::<i32>() {
                    Some(list) => {
                        let ids = cast(list.values(), &DataType::Int64)?;
                        let texts = Arc::new(names.shown(kind, ids.as_primitive()));
                        let item = Arc::new(Field::new_list_field(DataType::Utf8, true));
                        let (offsets, nulls) = (list.offsets().clone(), list.nulls().cloned());
                        Arc::new(ListArray::try_new(item, offsets, texts, nulls)?)
                    }
                    None => {
                        let ids = cast(&array, &DataType::Int64)?;
                        Arc::new(names.shown(kind, ids.as_primitive()))
                    }
                }
            }
            Task::Find | Task::Look => Arc::new(self.found(&names, &array)?),
        };
        match first {
            ColumnarValue::Scalar(_) => {
                Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(&array, 0)?))
            }
            ColumnarValue::Array(_) => Ok(ColumnarValue::Array(array)),
        }
    }
}

impl Reference {
    fn found(&self, names: &Names<'_>, values: &ArrayRef) -> EngineResult<Int64Array> {
        if !values.data_type().is_string() {
            return Ok(cast(values, &DataType::Int64)?.as_primitive::<Int64Type>().clone());
        }
        let texts = cast(values, &DataType::Utf8)?;
        let id = |text: Option<&str>| match (text.map(|t| names.id(self.kind, t)), self.task) {
            (None, _) | (Some(Err(_)), Task::Look) => Ok(None),
            (Some(found), _) => found.map(Some),
        };
        Ok(texts.as_string::<i32>().iter().map(id).collect::<Result<Int64Array>>()?)
    }
}

/// The kind of reference that a column or the items of its lists are.
pub fn reference(field: &Field) -> Option<&'static str> {
    let tag = field.metadata().get(TYPE_KEY).map(String::as_str);
    let own = tag.and_then(|tag| KINDS.iter().find(|kind| **kind == tag).copied());
    own.or_else(|| match field.data_type() {
        DataType::List(item) => reference(item),
        _ => None,
    })
}

/// A batch in which references that are sent as text (format 0) are names.
pub fn shown(batch: RecordBatch, formats: &[i16], connection: &Connection) -> RecordBatch {
    let schema = batch.schema();
    let is_shown = |(field, format): (&FieldRef, &i16)| *format == 0 && reference(field).is_some();
    if !schema.fields().iter().zip(formats).any(is_shown) {
        return batch;
    }
    let names = Names::of(connection);
    let mut fields = Vec::new();
    let mut columns = Vec::new();
    for ((field, column), format) in schema.fields().iter().zip(batch.columns()).zip(formats) {
        let shown = reference(field).filter(|_| *format == 0);
        let shown = shown.and_then(|kind| names.column(kind, field, column));
        let (field, column) = shown.unwrap_or_else(|| (Arc::clone(field), Arc::clone(column)));
        fields.push(field);
        columns.push(column);
    }
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    let schema = Arc::new(Schema::new(fields));
    RecordBatch::try_new_with_options(schema, columns, &options).unwrap_or(batch)
}

/// A type as `format_type` writes it; None if there is no such type.
pub(super) fn type_name(id: i64, modifier: Option<i32>, connection: &Connection) -> Option<String> {
    Names::of(connection).type_name(id, modifier)
}

/// The number of what a text names, of a type that is a number of objects (`kind`): 22P02, 42P01
/// and its kin for what is not there.
pub fn number(kind: &str, text: &str, connection: &Connection) -> Result<i64> {
    Names::of(connection).id(kind, text)
}

/// Schema and name of the sequence with a number.
pub(super) fn sequence(state: &State, id: i64) -> Option<(&str, &str)> {
    let mut all = sequences::all(state);
    let found = all.find(|(schema, _, of, _)| oid::of(*of, *schema == TEMP_SCHEMA) == id);
    found.map(|(schema, name, ..)| (schema, name))
}
