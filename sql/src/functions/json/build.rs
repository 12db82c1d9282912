//! JSON made of values: `to_json`, `json_build_object`, `json_object`, and what the aggregates
//! `json_agg` and `json_object_agg` are folded to.
//!
//! ```text
//!   json_agg(x ORDER BY y) ──▶ json_agg_of(array_agg(agg_element(x) ORDER BY y))
//! ```
//!
//! A value that is an array or a row comes with the line break that Postgres puts before it.

use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, StringArray, StructArray};
use datafusion::arrow::datatypes::{DataType, Field, FieldRef, Fields};
use datafusion::common::Result as EngineResult;
use datafusion::logical_expr::{
    ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
    Volatility,
};

use super::document::{normal, quote};
use super::output::{self, Breaks, Zone};
use super::{Call, Definition, Gives, MANY, Result};
use crate::error::Error;

pub(super) const FUNCTIONS: &[Definition] = &[
    Definition::new("to_json", (1, 1), Gives::Json, |call| to_json(call, false)),
    Definition::new("to_jsonb", (1, 1), Gives::Jsonb, |call| to_json(call, true)),
    Definition::new("row_to_json", (1, 2), Gives::Json, |call| to_json(call, false)),
    Definition::new("array_to_json", (1, 2), Gives::Json, |call| to_json(call, false)),
    Definition::new("json_build_object", (0, MANY), Gives::Json, build_object),
    Definition::new("jsonb_build_object", (0, MANY), Gives::Jsonb, build_object),
    Definition::new("json_build_array", (0, MANY), Gives::Json, build_array),
    Definition::new("jsonb_build_array", (0, MANY), Gives::Jsonb, build_array),
    Definition::new("json_object", (1, 2), Gives::Json, object),
    Definition::new("jsonb_object", (1, 2), Gives::Jsonb, object),
    Definition::new("agg_element", (1, 1), Gives::Text, element),
    Definition::new("agg_pair", (2, 2), Gives::Text, pair),
    Definition::new("json_agg_of", (1, 1), Gives::Json, |call| joined(call, ["[", "]"])),
    Definition::new("jsonb_agg_of", (1, 1), Gives::Jsonb, |call| joined(call, ["[", "]"])),
    Definition::new("json_object_agg_of", (1, 1), Gives::Json, |c| joined(c, ["{ ", " }"])),
    Definition::new("jsonb_object_agg_of", (1, 1), Gives::Jsonb, |c| joined(c, ["{ ", " }"])),
];

/// Before a value that is an array or a row.
const LINE: &str = "\n ";

fn wrong(message: impl Into<String>) -> Error {
    Error::new("22023", message)
}

/// The arguments of a call, ready to be written.
struct Columns<'a> {
    columns: Vec<(ArrayRef, &'a Field)>,
    zone: Zone,
}

impl<'a> Columns<'a> {
    fn of(call: &'a Call<'_>) -> Result<Self> {
        let zone = call.arguments.config_options.execution.time_zone.as_deref();
        let column = |index| Ok((output::plain(&call.array(index)?)?, call.field(index)));
        let columns = (0..call.count()).map(column).collect::<Result<_>>()?;
        Ok(Self { columns, zone: Zone::parse(zone) })
    }

    fn write(&self, out: &mut String, column: usize, row: usize, breaks: Breaks) -> Result<()> {
        let (array, field) = &self.columns[column];
        output::write(out, array.as_ref(), field, row, &self.zone, breaks)
    }

    fn is_null(&self, column: usize, row: usize) -> bool {
        let array = &self.columns[column].0;
        array.is_null(row) || array.data_type() == &DataType::Null
    }

    /// A value as a key, in quotes.
    fn key(&self, out: &mut String, column: usize, row: usize) -> Result<()> {
        let of = self.columns[column].0.data_type();
        if of.is_nested() || super::tag(self.columns[column].1).is_some() {
            let message = "key value must be scalar, not array, composite, or json";
            return Err(wrong(message));
        }
        let from = out.len();
        self.write(out, column, row, Breaks::None)?;
        if !out[from..].starts_with('"') {
            let bare = out.split_off(from);
            quote(out, &bare);
        }
        Ok(())
    }
}

fn finished(call: &Call, text: String) -> Result<String> {
    match call.binary {
        true => normal(&text),
        false => Ok(text),
    }
}

fn to_json(call: &Call, binary: bool) -> Result<ArrayRef> {
    let columns = Columns::of(call)?;
    let lines: Vec<Option<bool>> = match call.count() {
        2 => call.boolean(1)?.iter().collect(),
        _ => vec![Some(false); call.rows],
    };
    let row = |row: usize| {
        let Some(lines) = lines[row].filter(|_| !columns.is_null(0, row)) else { return Ok(None) };
        let mut out = String::new();
        let breaks = if lines { Breaks::Lines } else { Breaks::None };
        columns.write(&mut out, 0, row, breaks)?;
        if binary { normal(&out).map(Some) } else { Ok(Some(out)) }
    };
    Ok(Arc::new((0..call.rows).map(row).collect::<Result<StringArray>>()?))
}

fn build_object(call: &Call) -> Result<ArrayRef> {
    let name = if call.binary { "jsonb_build_object" } else { "json_build_object" };
    if !call.count().is_multiple_of(2) {
        let hint =
            format!("The arguments of {name}() must consist of alternating keys and values.");
        return Err(wrong("argument list must have even number of elements").with_hint(hint));
    }
    let columns = Columns::of(call)?;
    let row = |row: usize| {
        let mut out = String::from("{");
        for key in (0..call.count()).step_by(2) {
            if columns.is_null(key, row) {
                let message = match call.binary {
                    true => format!("argument {}: key must not be null", key + 1),
                    false => format!("argument {} cannot be null", key + 1),
                };
                return Err(wrong(message).with_hint("Object keys should be text."));
            }
            out.push_str(if key > 0 { ", " } else { "" });
            columns.key(&mut out, key, row)?;
            out.push_str(" : ");
            columns.write(&mut out, key + 1, row, Breaks::None)?;
        }
        out.push('}');
        finished(call, out).map(Some)
    };
    Ok(Arc::new((0..call.rows).map(row).collect::<Result<StringArray>>()?))
}

fn build_array(call: &Call) -> Result<ArrayRef> {
    let columns = Columns::of(call)?;
    let row = |row: usize| {
        let mut out = String::from("[");
        for column in 0..call.count() {
            out.push_str(if column > 0 { ", " } else { "" });
            columns.write(&mut out, column, row, Breaks::None)?;
        }
        out.push(']');
        finished(call, out).map(Some)
    };
    Ok(Arc::new((0..call.rows).map(row).collect::<Result<StringArray>>()?))
}

/// `json_object('{a,1,b,2}')`, `json_object(keys, values)`
fn object(call: &Call) -> Result<ArrayRef> {
    let first = call.texts(0)?;
    let second = if call.count() > 1 { Some(call.texts(1)?) } else { None };
    let row = |row: usize| {
        let Some(first) = &first[row] else { return Ok(None) };
        let pairs: Vec<(&Option<String>, &Option<String>)> = match &second {
            None if !first.len().is_multiple_of(2) => {
                return Err(Error::new("2202E", "array must have even number of elements"));
            }
            None => first.chunks(2).map(|pair| (&pair[0], &pair[1])).collect(),
            Some(second) => {
                let Some(second) = &second[row] else { return Ok(None) };
                if first.len() != second.len() {
                    return Err(Error::new("2202E", "mismatched array dimensions"));
                }
                first.iter().zip(second).collect()
            }
        };
        let mut out = String::from("{");
        for (index, (key, value)) in pairs.into_iter().enumerate() {
            let Some(key) = key else {
                return Err(Error::new("22004", "null value not allowed for object key"));
            };
            out.push_str(if index > 0 { ", " } else { "" });
            quote(&mut out, key);
            out.push_str(" : ");
            match value {
                Some(value) => quote(&mut out, value),
                None => out.push_str("null"),
            }
        }
        out.push('}');
        finished(call, out).map(Some)
    };
    Ok(Arc::new((0..call.rows).map(row).collect::<Result<StringArray>>()?))
}

fn element(call: &Call) -> Result<ArrayRef> {
    let columns = Columns::of(call)?;
    let line = if output::is_nested(columns.columns[0].0.data_type()) { LINE } else { "" };
    let row = |row: usize| {
        let mut out = String::from(line);
        columns.write(&mut out, 0, row, Breaks::None)?;
        Ok(out)
    };
    let texts = (0..call.rows).map(row).collect::<Result<Vec<String>>>()?;
    Ok(Arc::new(StringArray::from(texts)))
}

fn pair(call: &Call) -> Result<ArrayRef> {
    let columns = Columns::of(call)?;
    let row = |row: usize| {
        if columns.is_null(0, row) {
            return Err(wrong("field name must not be null"));
        }
        let mut out = String::new();
        columns.key(&mut out, 0, row)?;
        out.push_str(" : ");
        columns.write(&mut out, 1, row, Breaks::None)?;
        Ok(out)
    };
    let texts = (0..call.rows).map(row).collect::<Result<Vec<String>>>()?;
    Ok(Arc::new(StringArray::from(texts)))
}

fn joined(call: &Call, [open, close]: [&str; 2]) -> Result<ArrayRef> {
    let array = call.array(0)?;
    let Some(lists) = array.as_list_opt::<i32>() else {
        return Ok(Arc::new(StringArray::new_null(call.rows)));
    };
    let row = |items: Option<ArrayRef>| {
        let Some(items) = items else { return Ok(None) };
        let mut out = String::from(open);
        for (index, item) in items.as_string::<i32>().iter().enumerate() {
            let item = item.unwrap_or("null");
            match index {
                0 => out.push_str(item.strip_prefix(LINE).unwrap_or(item)),
                _ => {
                    out.push_str(", ");
                    out.push_str(item);
                }
            }
        }
        out.push_str(close);
        finished(call, out).map(Some)
    };
    Ok(Arc::new(lists.iter().map(row).collect::<Result<StringArray>>()?))
}

/// `whole_row('a', t.a, 'b', t.b)`: the row of a table, its fields known for what they are.
pub(crate) fn whole_row() -> ScalarUDF {
    ScalarUDF::from(WholeRow { signature: Signature::variadic_any(Volatility::Immutable) })
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct WholeRow {
    signature: Signature,
}

impl ScalarUDFImpl for WholeRow {
    fn name(&self) -> &str {
        "whole_row"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> EngineResult<DataType> {
        Ok(DataType::Struct(Fields::empty()))
    }

    fn return_field_from_args(&self, arguments: ReturnFieldArgs) -> EngineResult<FieldRef> {
        let names = arguments.scalar_arguments.iter().step_by(2);
        let values = arguments.arg_fields.iter().skip(1).step_by(2);
        let fields: Fields = names
            .zip(values)
            .map(|(name, field)| {
                let name = name.and_then(|name| name.try_as_str().flatten()).unwrap_or_default();
                field.as_ref().clone().with_name(name).with_nullable(true)
            })
            .collect();
        Ok(Arc::new(Field::new(self.name(), DataType::Struct(fields), true)))
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> EngineResult<ColumnarValue> {
        let DataType::Struct(fields) = arguments.return_field.data_type() else {
            return Err(Error::unsupported("this row").into());
        };
        let values = arguments.args.iter().skip(1).step_by(2);
        let columns = values.map(|value| value.to_array(arguments.number_rows));
        let columns = columns.collect::<EngineResult<Vec<ArrayRef>>>()?;
        Ok(ColumnarValue::Array(Arc::new(StructArray::try_new(fields.clone(), columns, None)?)))
    }
}
