//! References to objects: `'t'::regclass` and its kin. A value is the object's number, its field
//! says which kind it is, and its text is the name, qualified where it must be.
//!
//! | function                | what it does                                              |
//! |-------------------------|-----------------------------------------------------------|
//! | `regclass_input(value)` | the number of what a text names, or the number itself     |
//! | `to_regclass(text)`     | the same, NULL for what is not there                      |
//! | `reg_name(value, kind)` | the name                                                  |

use std::sync::Arc;

use catalog::{State, TYPE_KEY};
use datafusion::arrow::array::{Array, ArrayRef, AsArray, Int64Array, StringArray};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, Field, FieldRef, Int64Type, Schema};
use datafusion::arrow::record_batch::{RecordBatch, RecordBatchOptions};
use datafusion::common::{Result as EngineResult, ScalarValue};
use datafusion::logical_expr::{
    ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
    Volatility,
};

use super::functions::{Connection, Place, find, relations, visible};
use super::pg_catalog::built_in;
use super::{definitions, oid, type_names};
use crate::error::{Error, Result};
use crate::plan::TEMP_SCHEMA;
use crate::sequences;

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

    fn return_type(&self, _: &[DataType]) -> EngineResult<DataType> {
        Ok(match self.task {
            Task::Name => DataType::Utf8,
            Task::Find | Task::Look => DataType::Int64,
        })
    }

    fn return_field_from_args(&self, _: ReturnFieldArgs) -> EngineResult<FieldRef> {
        let field = Field::new(&self.name, self.return_type(&[])?, true);
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
                let ids = cast(&array, &DataType::Int64)?;
                Arc::new(names.shown(kind.unwrap_or(self.kind), ids.as_primitive()))
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

/// A batch in which references that are sent as text (format 0) are names.
pub fn shown(batch: RecordBatch, formats: &[i16], connection: &Connection) -> RecordBatch {
    fn tag(field: &Field) -> Option<&str> {
        let tag = field.metadata().get(TYPE_KEY)?.as_str();
        KINDS.contains(&tag).then_some(tag)
    }
    let schema = batch.schema();
    let is_shown = |(field, format): (&FieldRef, &i16)| *format == 0 && tag(field).is_some();
    if !schema.fields().iter().zip(formats).any(is_shown) {
        return batch;
    }
    let names = Names::of(connection);
    let mut fields = Vec::new();
    let mut columns = Vec::new();
    for ((field, column), format) in schema.fields().iter().zip(batch.columns()).zip(formats) {
        let numbers = column.as_primitive_opt::<Int64Type>();
        match (tag(field), numbers) {
            (Some(kind), Some(ids)) if *format == 0 => {
                columns.push(Arc::new(names.shown(kind, ids)) as ArrayRef);
                fields.push(Arc::new(field.as_ref().clone().with_data_type(DataType::Utf8)));
            }
            _ => {
                columns.push(Arc::clone(column));
                fields.push(Arc::clone(field));
            }
        }
    }
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    let schema = Arc::new(Schema::new(fields));
    RecordBatch::try_new_with_options(schema, columns, &options).unwrap_or(batch)
}

/// What names mean to a connection now.
struct Names<'a> {
    state: Option<Arc<State>>,
    path: Vec<String>,
    connection: &'a Connection,
}

impl<'a> Names<'a> {
    fn of(connection: &'a Connection) -> Self {
        Self { state: connection.state(), path: connection.path(), connection }
    }

    fn shown(&self, kind: &str, ids: &Int64Array) -> StringArray {
        ids.iter().map(|id| id.map(|id| self.name(kind, id))).collect()
    }

    /// The name, or the number of what is not there.
    fn name(&self, kind: &str, id: i64) -> String {
        if id == 0 {
            return "-".into();
        }
        let listed = |relation: &str| {
            built_in::names(relation).get(&id).map(|name| definitions::quoted(name))
        };
        let name = match kind {
            "regclass" => self.class(id),
            "regtype" => type_names::shown(id, None),
            "regnamespace" => self.schemas().find(|(_, o)| *o == id).map(|(name, _)| name),
            "regrole" => self.roles().into_iter().find(|(_, o)| *o == id).map(|(name, _)| name),
            "regproc" => listed("pg_proc"),
            "regprocedure" => listed("pg_proc").map(|name| {
                let types = super::routines::argument_types(id).unwrap_or_default();
                format!("{name}({types})")
            }),
            "regoper" | "regoperator" => {
                built_in::names("pg_operator").get(&id).map(|name| (*name).to_owned())
            }
            "regconfig" => listed("pg_ts_config"),
            "regdictionary" => listed("pg_ts_dict"),
            "regcollation" => listed("pg_collation"),
            _ => None,
        };
        name.unwrap_or_else(|| id.to_string())
    }

    fn class(&self, id: i64) -> Option<String> {
        if let Some(class) = built_in::class(id) {
            let name = definitions::quoted(class.name);
            return Some(match class.schema {
                "pg_catalog" => name,
                schema => format!("{schema}.{name}"),
            });
        }
        let state = self.state.as_deref()?;
        let qualified = |schema: &str, name: &str, shown: bool| {
            let name = definitions::quoted(name);
            match shown {
                true => name,
                false => format!("{}.{name}", definitions::quoted(schema)),
            }
        };
        if let Some(place) = find(state, id) {
            let shown = visible(state, &self.path, &place);
            return Some(qualified(place.schema, place.name, shown));
        }
        if let Some((schema, name)) = sequence(state, id) {
            return Some(qualified(schema, name, self.path.iter().any(|s| s == schema)));
        }
        let (schema, table, index) = super::functions::constraint(state, id - 1)?;
        let name = table.constraints.get(index)?.name();
        Some(qualified(schema, name, self.path.iter().any(|s| s == schema)))
    }

    fn schemas(&self) -> impl Iterator<Item = (String, i64)> {
        let state = self.state.iter().flat_map(|state| state.schemas.iter());
        let own = state.map(|(name, s)| (name.clone(), oid::of(s.id, name == TEMP_SCHEMA)));
        own.chain(super::SCHEMAS.map(|(name, oid)| (name.to_owned(), oid)))
            .collect::<Vec<_>>()
            .into_iter()
    }

    fn roles(&self) -> Vec<(String, i64)> {
        let rows = self.connection.live.rows("pg_roles").unwrap_or_default();
        let value = |row: &super::Row, name: &str| {
            row.iter().find(|(column, _)| *column == name).map(|(_, value)| value.clone())
        };
        let role = |row: &super::Row| {
            let name = value(row, "rolname")?.try_as_str().flatten()?.to_owned();
            match value(row, "oid")?.cast_to(&DataType::Int64) {
                Ok(ScalarValue::Int64(Some(oid))) => Some((name, oid)),
                _ => None,
            }
        };
        rows.iter().filter_map(role).collect()
    }

    /// The number of what a text names, or that it is.
    fn id(&self, kind: &str, text: &str) -> Result<i64> {
        let text = text.trim();
        if let Ok(number) = text.parse::<u32>() {
            return Ok(i64::from(number));
        }
        if kind == "oid" {
            let message = format!("invalid input syntax for type oid: \"{text}\"");
            return Err(Error::new("22P02", message));
        }
        if text == "-" {
            return Ok(0);
        }
        let missing = |code, what: &str| {
            Err(Error::new(code, format!("{what} \"{}\" does not exist", text.replace('"', ""))))
        };
        let listed = |relation: &str, name: &str| {
            let all = built_in::names(relation).iter();
            all.filter(|(_, other)| **other == name).map(|(id, _)| *id).min()
        };
        if kind == "regtype" {
            return type_names::id(text).map_or_else(|| missing("42704", "type"), Ok);
        }
        if matches!(kind, "regoper" | "regoperator") {
            let name = text.rsplit('.').next().unwrap_or(text);
            return listed("pg_operator", name).map_or_else(|| missing("42883", "operator"), Ok);
        }
        let parts = parts(text)?;
        let name = parts.last().cloned().unwrap_or_default();
        let (found, code, what) = match kind {
            "regclass" => (self.class_id(&parts), "42P01", "relation"),
            "regnamespace" => {
                (self.schemas().find(|(n, _)| *n == name).map(|(_, o)| o), "3F000", "schema")
            }
            "regrole" => {
                let mut roles = self.roles().into_iter();
                (roles.find(|(n, _)| *n == name).map(|(_, o)| o), "42704", "role")
            }
            "regproc" | "regprocedure" => (listed("pg_proc", &name), "42883", "function"),
            "regconfig" => (listed("pg_ts_config", &name), "42704", "text search configuration"),
            "regdictionary" => (listed("pg_ts_dict", &name), "42704", "text search dictionary"),
            _ => (listed("pg_collation", &name), "42704", "collation"),
        };
        found.map_or_else(|| missing(code, what), Ok)
    }

    fn class_id(&self, parts: &[String]) -> Option<i64> {
        let (schema, name) = match parts {
            [name] => (None, name),
            [.., schema, name] => (Some(schema.as_str()), name),
            [] => return None,
        };
        let system = |schema: &str| {
            let mut all = built_in::classes().iter();
            all.find(|c| c.schema == schema && c.name == name).map(|class| class.oid)
        };
        let own = |schema: &str| {
            let found = self.relation(schema, name).or_else(|| self.index(schema, name));
            found.or_else(|| self.sequence(schema, name))
        };
        match schema {
            Some(schema) => system(schema).or_else(|| own(schema)),
            None => own(TEMP_SCHEMA)
                .or_else(|| system("pg_catalog"))
                .or_else(|| self.path.iter().find_map(|schema| own(schema))),
        }
    }

    fn relation(&self, schema: &str, name: &str) -> Option<i64> {
        let relation = self.state.as_ref()?.schemas.get(schema)?.relations.get(name)?;
        Some(oid::of(relation.id(), schema == TEMP_SCHEMA))
    }

    fn sequence(&self, schema: &str, name: &str) -> Option<i64> {
        let mut all = sequences::all(self.state.as_deref()?);
        let found = all.find(|(s, n, ..)| *s == schema && *n == name);
        found.map(|(_, _, id, _)| oid::of(id, schema == TEMP_SCHEMA))
    }

    fn index(&self, schema: &str, name: &str) -> Option<i64> {
        let state = self.state.as_deref()?;
        relations(state).filter(|(place, _)| place.schema == schema).find_map(|(place, temp)| {
            let Place { relation: catalog::Relation::Table(table), .. } = place else {
                return None;
            };
            let index = table.constraints.iter().position(|constraint| {
                matches!(constraint, catalog::Constraint::Unique { .. })
                    && constraint.name() == name
            })?;
            Some(oid::of_index(table, temp, index))
        })
    }
}

/// Schema and name of the sequence with a number.
pub(super) fn sequence(state: &State, id: i64) -> Option<(&str, &str)> {
    let mut all = sequences::all(state);
    let found = all.find(|(schema, _, of, _)| oid::of(*of, *schema == TEMP_SCHEMA) == id);
    found.map(|(schema, name, ..)| (schema, name))
}

/// `a . "B".c` as its names; anything in parentheses behind it is left out.
pub(crate) fn parts(text: &str) -> Result<Vec<String>> {
    let invalid = || Error::new("42602", "invalid name syntax");
    let text = text.split('(').next().unwrap_or(text).trim();
    let mut found = Vec::new();
    let (mut part, mut quoted, mut was_quoted) = (String::new(), false, false);
    // Space ends a name; only a point may follow.
    let mut ended = false;
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        if ended && c != '.' && !c.is_whitespace() {
            return Err(invalid());
        }
        match c {
            '"' if quoted && rest.peek() == Some(&'"') => {
                part.push('"');
                rest.next();
            }
            '"' => {
                quoted = !quoted;
                was_quoted = true;
            }
            '.' if !quoted => {
                if part.is_empty() && !was_quoted {
                    return Err(invalid());
                }
                found.push(std::mem::take(&mut part));
                was_quoted = false;
                ended = false;
            }
            c if quoted => part.push(c),
            c if c.is_whitespace() => ended = was_quoted || !part.is_empty(),
            c => part.extend(c.to_lowercase()),
        }
    }
    if quoted || part.is_empty() {
        return Err(invalid());
    }
    found.push(part);
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_as_identifiers() {
        assert_eq!(parts("Public.\"A.b\"").unwrap(), ["public", "A.b"]);
        assert_eq!(parts("\"a\"\"b\"").unwrap(), ["a\"b"]);
        assert_eq!(parts("\"a\" . b ").unwrap(), ["a", "b"]);
        for wrong in ["", "a b", "\"a\" b", "a. .b", ".a", "\"a"] {
            let error = parts(wrong).unwrap_err();
            assert!(matches!(error, Error::Statement { sqlstate: "42602", .. }), "{wrong}");
        }
    }
}
