//! `nextval`, `currval`, `lastval`, `setval` and `pg_get_serial_sequence`.
//!
//! Numbers are taken when a statement runs, outside of its transaction, and waited for: the
//! functions are the only ones that ask the catalog's database while they run.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, Mutex, PoisonError};

use catalog::{Given, Lake, State};
use datafusion::arrow::array::{Array, ArrayRef, AsArray, BooleanArray, Int64Array};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, Int64Type};
use datafusion::common::Result as EngineResult;
use datafusion::logical_expr::{
    ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};

use super::definitions::quoted;
use super::functions::{Argument, Connection, find};
use super::oid;
use super::references::parts;
use crate::error::{Error, Result};
use crate::plan::TEMP_SCHEMA;
use crate::sequences::{Kept, all, owned};

/// What a connection has taken.
#[derive(Debug, Default)]
struct Taken {
    /// By uuid, the last number of this connection.
    last: HashMap<String, i64>,
    /// The sequence that was asked last.
    latest: Option<String>,
    /// Sequences of temp tables, which nobody else sees.
    temp: HashMap<String, Given>,
}

pub(super) fn functions(connection: &Connection) -> Vec<ScalarUDF> {
    let taken = Arc::new(Mutex::new(Taken::default()));
    let function = |task: Task| {
        let signature = match task {
            Task::Last => Signature::nullary(Volatility::Volatile),
            Task::Next | Task::Current | Task::Set => Signature::variadic_any(Volatility::Volatile),
        };
        let (connection, taken) = (connection.clone(), Arc::clone(&taken));
        ScalarUDF::from(Numbers { task, connection, taken, signature })
    };
    [Task::Next, Task::Current, Task::Last, Task::Set].into_iter().map(function).collect()
}

/// The name of the sequence that a column of a table owns.
pub(super) fn of_column(state: &State, oid: i64, arguments: &[Argument]) -> Option<String> {
    let Some(Argument::Text(column)) = arguments.first() else { return None };
    let table = find(state, oid)?.relation.as_table()?;
    let column = table.column(column)?;
    let owned = owned(state, table);
    let (schema, name, _) = owned.iter().find(|(.., kept)| kept.owned_by(table, column))?;
    Some(format!("{}.{}", quoted(schema), quoted(name)))
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Task {
    Next,
    Current,
    Last,
    Set,
}

#[derive(Debug)]
struct Numbers {
    task: Task,
    connection: Connection,
    taken: Arc<Mutex<Taken>>,
    signature: Signature,
}

impl PartialEq for Numbers {
    fn eq(&self, other: &Self) -> bool {
        self.task == other.task && Arc::ptr_eq(&self.taken, &other.taken)
    }
}

impl Eq for Numbers {}

impl std::hash::Hash for Numbers {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.task.hash(state);
    }
}

impl ScalarUDFImpl for Numbers {
    fn name(&self) -> &str {
        match self.task {
            Task::Next => "nextval",
            Task::Current => "currval",
            Task::Last => "lastval",
            Task::Set => "setval",
        }
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, given: &[DataType]) -> EngineResult<DataType> {
        let wanted = match self.task {
            Task::Next | Task::Current => 1..=1,
            Task::Last => 0..=0,
            Task::Set => 2..=3,
        };
        match wanted.contains(&given.len()) {
            true => Ok(DataType::Int64),
            false => {
                let message = format!("function {} takes other arguments", self.name());
                Err(Error::new("42883", message).into())
            }
        }
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> EngineResult<ColumnarValue> {
        let rows = arguments.number_rows;
        let state = self.connection.state();
        let state = state.ok_or_else(|| Error::new("55000", "no sequence can be seen"))?;
        let numbers = match (self.task, arguments.args.as_slice()) {
            (Task::Last, _) => Int64Array::from(vec![self.latest()?; rows]),
            // A default: one sequence for all rows.
            (Task::Next, [ColumnarValue::Scalar(name)]) if !name.is_null() => {
                let name = Names::of(&name.to_array()?)?.at(0).unwrap_or_default();
                Int64Array::from(self.next(&self.found(&state, &name)?, rows)?)
            }
            (task, given) => {
                let arrays = given.iter().map(|value| value.to_array(rows));
                self.each(task, &state, &arrays.collect::<EngineResult<Vec<_>>>()?, rows)?
            }
        };
        Ok(ColumnarValue::Array(Arc::new(numbers)))
    }
}

impl Numbers {
    /// The answer for every row.
    fn each(
        &self,
        task: Task,
        state: &State,
        arrays: &[ArrayRef],
        rows: usize,
    ) -> EngineResult<Int64Array> {
        let names = Names::of(&arrays[0])?;
        let mut found: HashMap<String, Found> = HashMap::new();
        let mut answers = Vec::with_capacity(rows);
        for row in 0..rows {
            let Some(name) = names.at(row) else {
                answers.push(None);
                continue;
            };
            let found = match found.entry(name) {
                Entry::Occupied(held) => held.into_mut(),
                Entry::Vacant(place) => {
                    let sequence = self.found(state, place.key())?;
                    place.insert(sequence)
                }
            };
            answers.push(match task {
                Task::Next => self.next(found, 1)?.pop(),
                Task::Current => Some(self.current(found)?),
                Task::Set => self.set(found, &arrays[1..], row)?,
                Task::Last => None,
            });
        }
        Ok(answers.into_iter().collect())
    }

    /// The sequence of a name, which may be used so.
    fn found(&self, state: &State, name: &str) -> Result<Found> {
        let found = look_up(state, &self.connection.path(), name)?;
        let at = (found.schema.as_str(), found.name.as_str());
        let who = self.connection.live.authority();
        match self.task {
            Task::Set => found.kept.must_own(state, at, &who)?,
            Task::Next | Task::Current | Task::Last => found.kept.may_take(state, at, &who)?,
        }
        Ok(found)
    }

    fn next(&self, found: &Found, count: usize) -> Result<Vec<i64>> {
        let sequence = &found.kept.numbers;
        let numbers = match self.lake(found) {
            Some(lake) => wait(lake.next_numbers(sequence, count))??,
            None => {
                let mut taken = self.taken();
                let given = taken.temp.entry(sequence.uuid.clone());
                let given = given.or_insert_with(|| sequence.fresh());
                (0..count).map_while(|_| sequence.next(given)).collect()
            }
        };
        if numbers.len() < count {
            let up = sequence.increment > 0;
            let (word, end) = match up {
                true => ("maximum", sequence.maximum),
                false => ("minimum", sequence.minimum),
            };
            let name = &found.name;
            let message = format!("nextval: reached {word} value of sequence \"{name}\" ({end})");
            return Err(Error::new("2200H", message));
        }
        if let Some(last) = numbers.last() {
            self.note(found, *last);
        }
        Ok(numbers)
    }

    fn note(&self, found: &Found, last: i64) {
        let mut taken = self.taken();
        taken.last.insert(found.kept.numbers.uuid.clone(), last);
        taken.latest = Some(found.kept.numbers.uuid.clone());
    }

    fn current(&self, found: &Found) -> Result<i64> {
        self.taken().last.get(&found.kept.numbers.uuid).copied().ok_or_else(|| {
            let name = &found.name;
            let message =
                format!("currval of sequence \"{name}\" is not yet defined in this session");
            Error::new("55000", message)
        })
    }

    fn latest(&self) -> Result<i64> {
        let taken = self.taken();
        let last = taken.latest.as_ref().and_then(|uuid| taken.last.get(uuid));
        last.copied()
            .ok_or_else(|| Error::new("55000", "lastval is not yet defined in this session"))
    }

    fn set(&self, found: &Found, arrays: &[ArrayRef], row: usize) -> EngineResult<Option<i64>> {
        let values = cast(&arrays[0], &DataType::Int64)?;
        let called = arrays.get(1).map(|array| cast(array, &DataType::Boolean)).transpose()?;
        let called: Option<&BooleanArray> = called.as_ref().map(AsArray::as_boolean);
        if values.is_null(row) || called.is_some_and(|called| called.is_null(row)) {
            return Ok(None);
        }
        let last = values.as_primitive::<Int64Type>().value(row);
        let called = called.is_none_or(|called| called.value(row));
        let sequence = &found.kept.numbers;
        let (least, most) = (sequence.minimum, sequence.maximum);
        if !(least..=most).contains(&last) {
            let message = format!(
                "setval: value {last} is out of bounds for sequence \"{}\" ({least}..{most})",
                found.name
            );
            return Err(Error::new("22003", message).into());
        }
        let given = Given { last, called };
        match self.lake(found) {
            Some(lake) => wait(lake.set_number(sequence, given))?.map_err(Error::from)?,
            None => drop(self.taken().temp.insert(sequence.uuid.clone(), given)),
        }
        if called {
            self.taken().last.insert(sequence.uuid.clone(), last);
        }
        Ok(Some(last))
    }

    /// Where the numbers are kept; None: with the connection.
    fn lake(&self, found: &Found) -> Option<Arc<Lake>> {
        (found.schema != TEMP_SCHEMA).then(|| self.connection.live.lake())
    }

    fn taken(&self) -> std::sync::MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Waits for the catalog's database where functions cannot.
fn wait<T>(future: impl Future<Output = T>) -> Result<T> {
    let runtime = tokio::runtime::Handle::try_current()
        .map_err(|error| Error::new("55000", format!("sequences cannot be asked: {error}")))?;
    Ok(tokio::task::block_in_place(|| runtime.block_on(future)))
}

/// Names as text, or numbers of objects.
struct Names(ArrayRef);

impl Names {
    fn of(array: &ArrayRef) -> EngineResult<Self> {
        Ok(Self(cast(array, &DataType::Utf8)?))
    }

    fn at(&self, row: usize) -> Option<String> {
        let texts = self.0.as_string::<i32>();
        (!texts.is_null(row)).then(|| texts.value(row).to_owned())
    }
}

struct Found {
    schema: String,
    name: String,
    kept: Kept,
}

/// The sequence of a name, or of an object's number.
fn look_up(state: &State, path: &[String], text: &str) -> Result<Found> {
    let undefined = || Error::undefined_table(text);
    let found = |schema: &str, name: &str| {
        let kept = Kept::of(state, schema, name)?;
        Some(Found { schema: schema.to_owned(), name: name.to_owned(), kept })
    };
    if let Ok(number) = text.parse::<i64>() {
        let mut all = all(state);
        let id = |schema: &str, id| oid::of(id, schema == TEMP_SCHEMA);
        let place = all.find(|(schema, _, of, _)| id(schema, *of) == number);
        return place.and_then(|(schema, name, ..)| found(schema, name)).ok_or_else(undefined);
    }
    let parts = parts(text)?;
    let sequence = match parts.as_slice() {
        [name] => {
            let schemas = [TEMP_SCHEMA].into_iter().chain(path.iter().map(String::as_str));
            schemas.into_iter().find_map(|schema| found(schema, name))
        }
        [.., schema, name] => found(schema, name),
        [] => None,
    };
    sequence.ok_or_else(|| match super::functions::named(state, text) {
        Some(_) => Error::new("42809", format!("\"{text}\" is not a sequence")),
        None => undefined(),
    })
}
