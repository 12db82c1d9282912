//! Functions about the catalog that answer from what the connection sees.

use std::sync::{Arc, RwLock};

use catalog::{Relation, State, Table};
use datafusion::arrow::array::{Array, ArrayRef, AsArray, BooleanArray, Int64Array, StringArray};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, Int64Type};
use datafusion::common::{Result as EngineResult, ScalarValue};
use datafusion::logical_expr::{
    ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, TypeSignature,
    Volatility,
};

use super::own_functions::OwnFunction;
use super::pg_catalog::{Live, built_in};
use super::{
    definitions, encodings, oid, references, routines, schemas, sequences, sizes, type_names,
    updatable,
};
use crate::error::Result;
use crate::plan::TEMP_SCHEMA;

/// The state that the connection sees now, temp tables under `pg_temp`.
pub type Seen = Arc<RwLock<Option<Arc<State>>>>;

/// What functions about the catalog know of the connection that calls them.
#[derive(Clone)]
pub struct Connection {
    pub seen: Seen,
    /// Schemas in which names without one are looked up.
    pub path: Arc<dyn Fn() -> Vec<String> + Send + Sync>,
    pub live: Arc<dyn Live>,
}

impl Connection {
    pub(super) fn state(&self) -> Option<Arc<State>> {
        self.seen.read().ok().and_then(|seen| seen.as_ref().map(super::shown))
    }

    pub(super) fn path(&self) -> Vec<String> {
        (self.path)()
    }
}

impl std::fmt::Debug for Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Connection")
    }
}

impl PartialEq for Connection {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.seen, &other.seen)
    }
}

impl Eq for Connection {}

impl std::hash::Hash for Connection {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        Arc::as_ptr(&self.seen).hash(state);
    }
}

/// The functions over what a connection sees.
pub fn of_connection(connection: &Connection) -> Vec<ScalarUDF> {
    let by_oid = |name: &'static str, answer: fn(&State, i64, &[Argument]) -> Option<String>| {
        let answer = move |state: &State, oid, others: &[Argument]| Ok(answer(state, oid, others));
        ScalarUDF::from(OfObject::text(name, connection, answer))
    };
    let mut all = references::functions(connection);
    all.push(is_visible(connection));
    all.push(type_is_visible());
    all.push(updatable::function(connection));
    all.extend(sizes::functions(connection));
    all.extend(schemas::functions(connection));
    all.extend(sequences::functions(connection));
    all.extend(routines::functions(connection).into_iter().map(ScalarUDF::from));
    let live = Arc::clone(&connection.live);
    let said = move |state: &State, oid, others: &[Argument]| {
        Ok(description(state, live.functions(), oid, others))
    };
    all.push(OfObject::text("obj_description", connection, said).into());
    all.extend([
        by_oid("pg_get_viewdef", |state, oid, _| {
            definitions::query(find(state, oid)?.relation).map(|query| query.definition())
        }),
        by_oid("pg_get_indexdef", index_definition),
        by_oid("pg_get_constraintdef", |state, oid, arguments| {
            let (_, table, index) = constraint(state, oid)?;
            let pretty = matches!(arguments.first(), Some(Argument::Number(1)));
            Some(definitions::constraint(table, table.constraints.get(index)?, pretty))
        }),
        by_oid("col_description", |state, oid, arguments| {
            let Some(Argument::Number(position)) = arguments.first() else { return None };
            let index = usize::try_from(position.checked_sub(1)?).ok()?;
            match find(state, oid)?.relation {
                Relation::Table(table) => table.columns.get(index)?.comment.clone(),
                Relation::View(view) => {
                    view.column_comments.get(view.columns.get(index)?.name()).cloned()
                }
            }
        }),
        by_oid("pg_get_serial_sequence", sequences::of_column),
    ]);
    let own = connection.clone();
    let formatted = move |_: &State, oid, arguments: &[Argument]| {
        let modifier = match arguments.first() {
            Some(Argument::Number(modifier)) => i32::try_from(*modifier).ok(),
            _ => None,
        };
        Ok(Some(type_name(oid, modifier, &own)))
    };
    all.push(OfObject::text("format_type", connection, formatted).into());
    all
}

/// The comment on an object; with the name of its catalog, on one of that catalog.
fn description(
    state: &State,
    functions: &[OwnFunction],
    oid: i64,
    arguments: &[Argument],
) -> Option<String> {
    let catalog = arguments.first().map(|argument| match argument {
        Argument::Text(name) => name.as_str(),
        Argument::Number(_) | Argument::Other => "",
    });
    let of = |name: &str| catalog.is_none_or(|catalog| catalog == name);
    match find(state, oid).filter(|_| of("pg_class")) {
        Some(Place { relation: Relation::Table(table), .. }) => table.comment.clone(),
        Some(Place { relation: Relation::View(view), .. }) => view.comment.clone(),
        None => {
            let mut schemas = state.schemas.values().filter(|_| of("pg_namespace"));
            let schema = schemas.find(|schema| oid::of(schema.id, false) == oid);
            let own = schema.and_then(|schema| schema.comment.clone());
            let function = functions.iter().find(|f| of("pg_proc") && f.oid() == oid);
            let own = own.or_else(|| function.map(|function| function.comment.clone()));
            own.or_else(|| built_in::description(oid, catalog))
        }
    }
}

/// The name of a type; Postgres shows what is none as question marks.
fn type_name(oid: i64, modifier: Option<i32>, connection: &Connection) -> String {
    match oid {
        0 => "-".into(),
        // Most have one; only for others is it worth to look at the relations there are.
        oid => type_names::shown(oid, modifier)
            .or_else(|| references::type_name(oid, modifier, connection))
            .unwrap_or_else(|| "???".into()),
    }
}

/// The functions whose answer is always the same here.
pub fn constant() -> Vec<ScalarUDF> {
    let yes = ScalarValue::Boolean(Some(true));
    let no = ScalarValue::Boolean(Some(false));
    let none = ScalarValue::Utf8(None);
    let text = |text: &str| ScalarValue::Utf8(Some(text.to_owned()));
    let zero = ScalarValue::Int64(Some(0));
    [
        ("pg_function_is_visible", &yes),
        ("pg_operator_is_visible", &yes),
        ("pg_collation_is_visible", &yes),
        ("pg_conversion_is_visible", &yes),
        ("pg_opclass_is_visible", &yes),
        ("pg_opfamily_is_visible", &yes),
        ("pg_statistics_obj_is_visible", &yes),
        ("pg_ts_config_is_visible", &yes),
        ("pg_ts_dict_is_visible", &yes),
        ("pg_ts_parser_is_visible", &yes),
        ("pg_ts_template_is_visible", &yes),
        ("has_language_privilege", &yes),
        ("has_sequence_privilege", &yes),
        ("has_type_privilege", &yes),
        ("pg_is_in_recovery", &no),
        ("pg_jit_available", &no),
        ("row_security_active", &no),
        ("pg_is_other_temp_schema", &no),
        ("pg_relation_is_publishable", &no),
        ("pg_my_temp_schema", &zero),
        ("shobj_description", &none),
        ("pg_get_function_sqlbody", &none),
        ("pg_get_partition_constraintdef", &none),
        ("pg_get_partkeydef", &none),
        ("pg_get_ruledef", &none),
        ("pg_get_statisticsobjdef", &none),
        ("pg_get_statisticsobjdef_columns", &none),
        ("pg_get_triggerdef", &none),
        ("pg_get_function_arg_default", &none),
        ("pg_get_statisticsobjdef_expressions", &none),
        ("pg_relation_filenode", &none),
        ("pg_relation_filepath", &none),
        ("pg_tablespace_location", &text("")),
        ("pg_trigger_depth", &ScalarValue::Int32(Some(0))),
        ("pg_encoding_max_length", &ScalarValue::Int32(Some(4))),
        ("pg_stat_get_numscans", &zero),
        ("pg_client_encoding", &text("UTF8")),
        ("getdatabaseencoding", &text("UTF8")),
    ]
    .map(|(name, value)| same(name, value.clone()))
    .into_iter()
    .chain(encodings::functions())
    .collect()
}

fn same(name: &str, value: ScalarValue) -> ScalarUDF {
    let signature =
        Signature::one_of(vec![TypeSignature::Nullary, TypeSignature::VariadicAny], VOLATILITY);
    ScalarUDF::from(Same { name: name.to_owned(), value, signature })
}

/// The answer may change with the next statement.
const VOLATILITY: Volatility = Volatility::Stable;

#[derive(Debug, PartialEq, Eq, Hash)]
struct Same {
    name: String,
    value: ScalarValue,
    signature: Signature,
}

impl ScalarUDFImpl for Same {
    fn name(&self) -> &str {
        &self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> EngineResult<DataType> {
        Ok(self.value.data_type())
    }

    fn invoke_with_args(&self, _: ScalarFunctionArgs) -> EngineResult<ColumnarValue> {
        Ok(ColumnarValue::Scalar(self.value.clone()))
    }
}

/// An argument after the first.
pub(super) enum Argument {
    Number(i64),
    Text(String),
    Other,
}

type Answer = dyn Fn(&State, i64, &[Argument]) -> Result<Option<String>> + Send + Sync;

/// A function of an object's id, NULL for NULL and for what is not there.
pub(super) struct OfObject {
    name: &'static str,
    seen: Seen,
    answer: Arc<Answer>,
    signature: Signature,
}

impl OfObject {
    /// A function that answers with text.
    pub(super) fn text(
        name: &'static str,
        connection: &Connection,
        answer: impl Fn(&State, i64, &[Argument]) -> Result<Option<String>> + Send + Sync + 'static,
    ) -> Self {
        let signature = Signature::variadic_any(VOLATILITY);
        Self { name, seen: Arc::clone(&connection.seen), answer: Arc::new(answer), signature }
    }
}

impl std::fmt::Debug for OfObject {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)
    }
}

impl PartialEq for OfObject {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name && Arc::ptr_eq(&self.seen, &other.seen)
    }
}

impl Eq for OfObject {}

impl std::hash::Hash for OfObject {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.name.hash(state);
    }
}

impl ScalarUDFImpl for OfObject {
    fn name(&self) -> &str {
        self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> EngineResult<DataType> {
        Ok(DataType::Utf8)
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> EngineResult<ColumnarValue> {
        let arrays = ColumnarValue::values_to_arrays(&arguments.args)?;
        let state = self.seen.read().ok().and_then(|seen| seen.as_ref().map(super::shown));
        let Some((objects, others)) = arrays.split_first() else {
            return Ok(ColumnarValue::Scalar(ScalarValue::Utf8(None)));
        };
        let objects = ids(objects, state.as_deref())?;
        let row = |row: usize| {
            let Some(state) = state.as_deref().filter(|_| objects.is_valid(row)) else {
                return Ok(None);
            };
            let others: Vec<Argument> = others.iter().map(|array| argument(array, row)).collect();
            (self.answer)(state, objects.value(row), &others)
        };
        let texts: StringArray = (0..objects.len()).map(row).collect::<Result<_>>()?;
        Ok(ColumnarValue::Array(Arc::new(texts) as ArrayRef))
    }
}

/// Ids, or the relations that texts name.
pub(super) fn ids(array: &ArrayRef, state: Option<&State>) -> EngineResult<Int64Array> {
    if array.data_type().is_string() {
        let texts = cast(array, &DataType::Utf8)?;
        let id = |text: Option<&str>| {
            let text = text?;
            text.parse().ok().or_else(|| named(state?, text))
        };
        return Ok(texts.as_string::<i32>().iter().map(id).collect());
    }
    Ok(cast(array, &DataType::Int64)?.as_primitive::<Int64Type>().clone())
}

fn argument(array: &ArrayRef, row: usize) -> Argument {
    if array.is_null(row) {
        return Argument::Other;
    }
    match ScalarValue::try_from_array(array, row) {
        Ok(value) if array.data_type().is_integer() => match value.cast_to(&DataType::Int64) {
            Ok(ScalarValue::Int64(Some(number))) => Argument::Number(number),
            _ => Argument::Other,
        },
        Ok(ScalarValue::Utf8(Some(text))) => Argument::Text(text),
        Ok(ScalarValue::Boolean(Some(flag))) => Argument::Number(i64::from(flag)),
        _ => Argument::Other,
    }
}

pub(super) struct Place<'a> {
    pub schema: &'a str,
    pub name: &'a str,
    pub relation: &'a Relation,
}

pub(super) fn relations(state: &State) -> impl Iterator<Item = (Place<'_>, bool)> {
    state.schemas.iter().flat_map(|(schema, held)| {
        let temp = schema == TEMP_SCHEMA;
        held.relations.iter().map(move |(name, relation)| (Place { schema, name, relation }, temp))
    })
}

pub(super) fn find(state: &State, oid: i64) -> Option<Place<'_>> {
    let mut all = relations(state);
    all.find(|(place, temp)| oid::of(place.relation.id(), *temp) == oid).map(|(place, _)| place)
}

/// The relation of a name that may have its schema in front.
pub(super) fn named(state: &State, text: &str) -> Option<i64> {
    let plain = text.replace('"', "");
    let (schema, name) = match plain.rsplit_once('.') {
        Some((schema, name)) => (Some(schema.rsplit('.').next().unwrap_or(schema)), name),
        None => (None, plain.as_str()),
    };
    let mut all = relations(state);
    let found = all.find(|(p, _)| p.name == name && schema.is_none_or(|s| s == p.schema));
    found.map(|(place, temp)| oid::of(place.relation.id(), temp))
}

fn tables(state: &State) -> impl Iterator<Item = (&str, &Table, bool)> {
    relations(state).filter_map(|(place, temp)| match place.relation {
        Relation::Table(table) => Some((place.schema, table.as_ref(), temp)),
        Relation::View(_) => None,
    })
}

/// The table and number of the constraint with an id.
pub(super) fn constraint(state: &State, oid: i64) -> Option<(&str, &Table, usize)> {
    tables(state).find_map(|(schema, table, temp)| {
        let mut all = 0..table.constraints.len();
        let index = all.find(|index| oid::of_constraint(table, temp, *index) == oid)?;
        Some((schema, table, index))
    })
}

/// Of the whole index, or of the column with a number.
fn index_definition(state: &State, oid: i64, arguments: &[Argument]) -> Option<String> {
    let (schema, table, index) = constraint(state, oid - 1)?;
    match arguments.first() {
        Some(Argument::Number(column)) if *column > 0 => {
            let columns = definitions::index_columns(table.constraints.get(index)?)?;
            let id = columns.get(usize::try_from(column - 1).ok()?)?;
            Some(definitions::column_list(table, &[*id]))
        }
        _ => definitions::index(schema, table, index),
    }
}

/// Whether a relation is found by its bare name: the first of its name on the search path.
fn is_visible(connection: &Connection) -> ScalarUDF {
    let connection = connection.clone();
    let answer = move |arguments: &[ColumnarValue]| {
        let state = connection.state();
        let arrays = ColumnarValue::values_to_arrays(arguments)?;
        let objects = ids(&arrays[0], state.as_deref())?;
        let path = connection.path();
        let row = |oid: Option<i64>| {
            let (oid, state) = (oid?, state.as_deref()?);
            if let Some(class) = built_in::class(oid) {
                return Some(class.schema == "pg_catalog");
            }
            if let Some((schema, ..)) = constraint(state, oid - 1) {
                return Some(path.iter().any(|held| held == schema));
            }
            if let Some((schema, _)) = references::sequence(state, oid) {
                return Some(schema == TEMP_SCHEMA || path.iter().any(|held| held == schema));
            }
            find(state, oid).map(|place| visible(state, &path, &place))
        };
        let answers: BooleanArray = objects.iter().map(row).collect();
        Ok(ColumnarValue::Array(Arc::new(answers) as ArrayRef))
    };
    datafusion::logical_expr::create_udf(
        "pg_table_is_visible",
        vec![DataType::Int64],
        DataType::Boolean,
        VOLATILITY,
        Arc::new(answer),
    )
}

/// Whether a type is found by its bare name; the domains of `information_schema` are not.
fn type_is_visible() -> ScalarUDF {
    let answer = |arguments: &[ColumnarValue]| {
        let arrays = ColumnarValue::values_to_arrays(arguments)?;
        let oids = arrays[0].as_primitive::<Int64Type>().iter();
        let answers: BooleanArray =
            oids.map(|oid| oid.map(|oid| !built_in::type_is_hidden(oid))).collect();
        Ok(ColumnarValue::Array(Arc::new(answers) as ArrayRef))
    };
    datafusion::logical_expr::create_udf(
        "pg_type_is_visible",
        vec![DataType::Int64],
        DataType::Boolean,
        VOLATILITY,
        Arc::new(answer),
    )
}

/// Whether a bare name means the relation here.
pub(super) fn visible(state: &State, path: &[String], place: &Place<'_>) -> bool {
    let schemas = [TEMP_SCHEMA].into_iter().chain(path.iter().map(String::as_str));
    let mut holders = schemas.filter(|schema| {
        state.schemas.get(*schema).is_some_and(|held| held.relations.contains_key(place.name))
    });
    holders.next() == Some(place.schema)
}
