//! `regexp_count`, `_instr`, `_like`, `_match`, `_matches`, `_replace`, `_split_to_array` and
//! `_substr`, and `substring(text from pattern)`, with the expressions of `pattern.rs`.
//!
//! Positions count characters from 1. NULL gives NULL; of `regexp_matches`, which gives rows, none.

pub(crate) mod pattern;
mod task;

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;

use datafusion::arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Int32Array, ListBuilder, StringArray, StringBuilder,
};
use datafusion::arrow::datatypes::{DataType, Field, Int32Type};
use datafusion::common::Result as EngineResult;
use datafusion::logical_expr::{
    ColumnarValue, Expr, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};
use regex::Regex;

use crate::error::Error;
use crate::types::shown;
use pattern::{Flags, compiled};
use task::{Groups, Options, Task};

/// Compiled expressions that a batch of rows keeps.
const KEPT: usize = 64;

/// The functions.
pub(super) fn functions() -> Vec<ScalarUDF> {
    Task::NAMED.iter().map(|task| function(*task)).collect()
}

/// `text ~ pattern`, for a pattern that is not known when the statement is planned.
pub(crate) fn like(text: Expr, pattern: Expr, flags: Option<Expr>) -> Expr {
    function(Task::Like).call([text, pattern].into_iter().chain(flags).collect())
}

/// `substring(text from pattern)`
pub(super) fn substring() -> ScalarUDF {
    function(Task::Substring)
}

fn function(task: Task) -> ScalarUDF {
    ScalarUDF::from(Regexp { task, signature: Signature::user_defined(Volatility::Immutable) })
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Regexp {
    task: Task,
    signature: Signature,
}

impl Regexp {
    fn undefined(&self, given: &[DataType]) -> Error {
        let shown = |of: &DataType| shown(&Field::new("", of.clone(), true));
        let types: Vec<String> = given.iter().map(shown).collect();
        let message = format!("function {}({}) does not exist", self.name(), types.join(", "));
        Error::new("42883", message).with_hint(
            "No function matches the given name and argument types. \
             You might need to add explicit type casts.",
        )
    }
}

fn item(of: DataType) -> Arc<Field> {
    Arc::new(Field::new_list_field(of, true))
}

impl ScalarUDFImpl for Regexp {
    fn name(&self) -> &str {
        self.task.name()
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, given: &[DataType]) -> EngineResult<Vec<DataType>> {
        let kinds = self.task.arguments(given).ok_or_else(|| self.undefined(given))?;
        let typed = given.iter().zip(kinds.chars()).map(|(of, kind)| match kind {
            'i' if of.is_integer() || of.is_null() => Ok(DataType::Int32),
            't' if of.is_string() || of.is_null() => Ok(DataType::Utf8),
            _ => Err(self.undefined(given).into()),
        });
        typed.collect()
    }

    fn return_type(&self, _: &[DataType]) -> EngineResult<DataType> {
        Ok(match self.task {
            Task::Count | Task::Instr => DataType::Int32,
            Task::Like => DataType::Boolean,
            Task::Replace | Task::Substr | Task::Substring => DataType::Utf8,
            Task::Match | Task::SplitToArray => DataType::List(item(DataType::Utf8)),
            Task::Matches => DataType::List(item(DataType::List(item(DataType::Utf8)))),
        })
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> EngineResult<ColumnarValue> {
        let given: Vec<DataType> = arguments.args.iter().map(ColumnarValue::data_type).collect();
        let kinds = self.task.arguments(&given).ok_or_else(|| self.undefined(&given))?;
        let arrays = ColumnarValue::values_to_arrays(&arguments.args)?;
        let mut rows = Rows { task: self.task, kinds, arrays: &arrays, kept: HashMap::new() };
        let all = 0..arrays.first().map_or(0, |array| array.len());
        let answer: ArrayRef = match self.task {
            Task::Count | Task::Instr => {
                let of = |row: &Row| row.options.number(self.task, row.text, row.expression);
                let numbers = all.map(|row| rows.with(row, of)).collect::<Result<Int32Array, _>>();
                Arc::new(numbers?)
            }
            Task::Like => {
                let of = |row: &Row| Ok(row.expression.is_match(row.text));
                let found = all.map(|row| rows.with(row, of)).collect::<Result<BooleanArray, _>>();
                Arc::new(found?)
            }
            Task::Replace => {
                let of = |row: &Row| {
                    let with = row.replacement.unwrap_or_default();
                    Ok(row.options.replaced(row.text, row.expression, with))
                };
                let texts = all.map(|row| rows.with(row, of)).collect::<Result<StringArray, _>>();
                Arc::new(texts?)
            }
            Task::Substr | Task::Substring => {
                let of = |row: &Row| Ok(row.options.part(self.task, row.text, row.expression));
                let found = all.map(|row| rows.with(row, of).map(Option::flatten));
                Arc::new(found.collect::<Result<StringArray, Error>>()?)
            }
            Task::Match | Task::SplitToArray => {
                let mut lists = ListBuilder::new(StringBuilder::new());
                for row in all {
                    let of = |row: &Row| Ok(row.options.list(self.task, row.text, row.expression));
                    lists.append_option(rows.with(row, of)?.flatten());
                }
                Arc::new(lists.finish())
            }
            Task::Matches => {
                let mut lists = ListBuilder::new(ListBuilder::new(StringBuilder::new()));
                for row in all {
                    let of = |row: &Row| Ok(row.options.matches(row.text, row.expression));
                    let found: Vec<Groups> = rows.with(row, of)?.unwrap_or_default();
                    lists.append_value(found.into_iter().map(Some));
                }
                Arc::new(lists.finish())
            }
        };
        Ok(ColumnarValue::Array(answer))
    }
}

/// The rows of a batch.
struct Rows<'a> {
    task: Task,
    kinds: &'static str,
    arrays: &'a [ArrayRef],
    kept: HashMap<(String, String), (Regex, Flags)>,
}

/// One row.
struct Row<'a> {
    text: &'a str,
    expression: &'a Regex,
    replacement: Option<&'a str>,
    options: Options,
}

impl Rows<'_> {
    /// What a row gives; None if an argument is NULL.
    fn with<T>(
        &mut self,
        row: usize,
        answer: impl FnOnce(&Row) -> Result<T, Error>,
    ) -> Result<Option<T>, Error> {
        if self.arrays.iter().any(|array| array.is_null(row)) {
            return Ok(None);
        }
        let mut texts = Vec::with_capacity(4);
        let mut numbers = Vec::with_capacity(4);
        for (array, kind) in self.arrays.iter().zip(self.kinds.chars()) {
            match kind {
                'i' => numbers.push(array.as_primitive::<Int32Type>().value(row)),
                _ => texts.push(array.as_string::<i32>().value(row)),
            }
        }
        let replaces = self.task == Task::Replace;
        let (text, pattern) = (texts.first().copied(), texts.get(1).copied());
        let flags = texts.get(if replaces { 3 } else { 2 }).copied().unwrap_or_default();
        let key = (pattern.unwrap_or_default().to_owned(), flags.to_owned());
        if self.kept.len() >= KEPT && !self.kept.contains_key(&key) {
            self.kept.clear();
        }
        let (expression, flags) = match self.kept.entry(key) {
            Entry::Occupied(kept) => kept.into_mut(),
            Entry::Vacant(place) => {
                let flags = Flags::read(flags, self.task.name(), self.task.repeats())?;
                let expression = compiled(&place.key().0, flags)?;
                place.insert((expression, flags))
            }
        };
        let options = Options::read(self.task, &numbers, *flags)?;
        let replacement = texts.get(2).copied().filter(|_| replaces);
        answer(&Row { text: text.unwrap_or_default(), expression, replacement, options }).map(Some)
    }
}
