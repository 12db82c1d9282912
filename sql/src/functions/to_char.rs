//! `to_char(value, format)`: times, intervals and numbers as Postgres' templates write them, in the
//! C locale. Letters that are no word of a template stand for themselves, as they do in Postgres.
//! NULL gives NULL.

mod digits;
mod number;
mod places;
mod time;

use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, StringArray};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{
    DataType, Decimal128Type, Field, Float32Type, Float64Type, Int64Type, IntervalMonthDayNanoType,
    IntervalUnit, TimeUnit, TimestampMicrosecondType,
};
use datafusion::common::Result as EngineResult;
use datafusion::logical_expr::{
    ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, TypeSignature,
    Volatility,
};

use crate::error::Error;
use digits::Number;
use time::Fields;

const MICROS: i64 = 1_000_000;

/// `to_char`. A third argument is the instant whose clock the first one is: their difference is
/// what OF, TZH and TZM show.
pub(super) fn to_char() -> ScalarUDF {
    let counts = vec![TypeSignature::Any(2), TypeSignature::Any(3)];
    let signature = Signature::one_of(counts, Volatility::Immutable);
    ScalarUDF::from(ToChar { signature })
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct ToChar {
    signature: Signature,
}

impl ScalarUDFImpl for ToChar {
    fn name(&self) -> &str {
        "to_char"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, arguments: &[DataType]) -> EngineResult<DataType> {
        use DataType::*;
        match &arguments[0] {
            Timestamp(..) | Date32 | Time64(_) | Interval(_) | Null | Float32 | Float64
            | Decimal128(..) => Ok(Utf8),
            other if other.is_integer() => Ok(Utf8),
            other => {
                let field = Field::new("", other.clone(), true);
                let name = crate::types::describe(&field).data_type;
                let message = format!("function to_char({name}, text) does not exist");
                Err(Error::new("42883", message).into())
            }
        }
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> EngineResult<ColumnarValue> {
        let rows = arguments.number_rows;
        let values = arguments.args[0].to_array(rows)?;
        let formats = cast(&arguments.args[1].to_array(rows)?, &DataType::Utf8)?;
        let formats = formats.as_string::<i32>();
        let instants = arguments.args.get(2).map(|a| micros(&a.to_array(rows)?)).transpose()?;
        let texts = match values.data_type() {
            DataType::Null => vec![None; rows],
            DataType::Timestamp(..) | DataType::Date32 => {
                // A day is taken for the instant at which it begins.
                let zoned = !matches!(values.data_type(), DataType::Timestamp(_, None));
                clocks(&micros(&values)?, formats, instants.as_ref(), zoned)?
            }
            DataType::Interval(_) | DataType::Time64(_) => intervals(&values, formats)?,
            _ => numbers(&values, formats)?,
        };
        Ok(ColumnarValue::Array(Arc::new(StringArray::from(texts))))
    }
}

/// Times as microseconds of their clock.
fn micros(array: &ArrayRef) -> EngineResult<ArrayRef> {
    Ok(cast(array, &DataType::Timestamp(TimeUnit::Microsecond, None))?)
}

/// What `one` writes of each row under its format's `parsed` form, which is kept from row to row.
fn each<T>(
    formats: &StringArray,
    is_null: impl Fn(usize) -> bool,
    parsed: impl Fn(&str) -> Result<T, Error>,
    one: impl Fn(&T, usize) -> Result<Option<String>, Error>,
) -> Result<Vec<Option<String>>, Error> {
    let mut texts = Vec::with_capacity(formats.len());
    let mut last: Option<(&str, T)> = None;
    for row in 0..formats.len() {
        if is_null(row) || formats.is_null(row) {
            texts.push(None);
            continue;
        }
        let format = formats.value(row);
        let known = match last.take() {
            Some((text, known)) if text == format => known,
            _ => parsed(format)?,
        };
        texts.push(one(&known, row)?);
        last = Some((format, known));
    }
    Ok(texts)
}

fn clocks(
    clocks: &ArrayRef,
    formats: &StringArray,
    instants: Option<&ArrayRef>,
    zoned: bool,
) -> Result<Vec<Option<String>>, Error> {
    let clocks = clocks.as_primitive::<TimestampMicrosecondType>();
    let instants = instants.map(|array| array.as_primitive::<TimestampMicrosecondType>());
    let one = |template: &time::Template, row: usize| {
        let clock = clocks.value(row);
        let offset = instants.map(|instants| (clock - instants.value(row)) / MICROS);
        template.write(&Fields::of_clock(clock, offset.or(zoned.then_some(0)))?)
    };
    each(formats, |row| clocks.is_null(row), |text| Ok(time::Template::new(text)), one)
}

/// A time of day is an interval.
fn intervals(values: &ArrayRef, formats: &StringArray) -> EngineResult<Vec<Option<String>>> {
    let values = match values.data_type() {
        DataType::Time64(unit) => {
            &cast(&cast(values, &DataType::Int64)?, &DataType::Duration(*unit))?
        }
        _ => values,
    };
    let values = cast(values, &DataType::Interval(IntervalUnit::MonthDayNano))?;
    let values = values.as_primitive::<IntervalMonthDayNanoType>();
    let one = |template: &time::Template, row: usize| {
        template.write(&Fields::of_interval(values.value(row)))
    };
    Ok(each(formats, |row| values.is_null(row), |text| Ok(time::Template::new(text)), one)?)
}

fn numbers(values: &ArrayRef, formats: &StringArray) -> EngineResult<Vec<Option<String>>> {
    let number: Box<dyn Fn(usize) -> Number> = match values.data_type() {
        DataType::Float32 => {
            let values = values.as_primitive::<Float32Type>().clone();
            Box::new(move |row| Number::Real(values.value(row)))
        }
        DataType::Float64 => {
            let values = values.as_primitive::<Float64Type>().clone();
            Box::new(move |row| Number::Double(values.value(row)))
        }
        DataType::Decimal128(_, scale) => {
            let (values, scale) = (values.as_primitive::<Decimal128Type>().clone(), *scale);
            Box::new(move |row| Number::Decimal(values.value(row), scale))
        }
        _ => {
            let values = cast(values, &DataType::Int64)?.as_primitive::<Int64Type>().clone();
            Box::new(move |row| Number::Integer(values.value(row)))
        }
    };
    let one = |template: &number::Template, row: usize| template.write(&number(row)).map(Some);
    Ok(each(formats, |row| values.is_null(row), number::Template::new, one)?)
}
