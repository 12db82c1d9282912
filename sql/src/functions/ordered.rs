//! `percentile_cont`, `percentile_disc` and `mode`, over the list of a group's values in order: the
//! planner writes `percentile_disc(p) WITHIN GROUP (ORDER BY x)` as
//! `percentile_disc_of(array_agg(x ORDER BY x), p)`.
//!
//! ```text
//!   percentile_disc   the first value at which so great a part of the rows has passed
//!   percentile_cont   the place p (n - 1) among n values, between two of them in proportion
//!   mode              the most frequent value, of several the first
//! ```
//!
//! NULLs among the values do not count. No values, or a NULL for the fraction, give NULL; a list of
//! fractions gives a list. A fraction outside of 0 to 1 is 22003.

use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, new_empty_array};
use datafusion::arrow::compute::{cast, is_not_null};
use datafusion::arrow::datatypes::{
    DataType, Field, Float64Type, IntervalMonthDayNano, IntervalMonthDayNanoType, IntervalUnit,
};
use datafusion::common::utils::SingleRowListArrayBuilder;
use datafusion::common::{Result as EngineResult, ScalarValue};
use datafusion::logical_expr::{
    ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};

use super::interval::span_us;
use crate::error::Error;

const INTERVAL: DataType = DataType::Interval(IntervalUnit::MonthDayNano);

/// The aggregates, and the functions that stand for them.
pub(crate) const AGGREGATES: &[(&str, &str)] = &[
    ("percentile_cont", "percentile_cont_of"),
    ("percentile_disc", "percentile_disc_of"),
    ("mode", "mode_of"),
];

pub(super) fn functions() -> [ScalarUDF; 3] {
    [Task::Continuous, Task::Discrete, Task::Mode].map(|task| {
        let signature = Signature::user_defined(Volatility::Immutable);
        ScalarUDF::from(Ordered { task, signature })
    })
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Task {
    Continuous,
    Discrete,
    Mode,
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Ordered {
    task: Task,
    signature: Signature,
}

fn item(of: &DataType) -> Option<&DataType> {
    match of {
        DataType::List(item) => Some(item.data_type()),
        _ => None,
    }
}

fn list(of: DataType) -> DataType {
    DataType::List(Arc::new(Field::new_list_field(of, true)))
}

impl ScalarUDFImpl for Ordered {
    fn name(&self) -> &str {
        match self.task {
            Task::Continuous => "percentile_cont_of",
            Task::Discrete => "percentile_disc_of",
            Task::Mode => "mode_of",
        }
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, given: &[DataType]) -> EngineResult<Vec<DataType>> {
        let of = given.first().and_then(item);
        let values = match (self.task, of) {
            (Task::Continuous, Some(of)) if of.is_numeric() => Some(list(DataType::Float64)),
            (Task::Continuous, Some(DataType::Interval(_))) => Some(list(INTERVAL)),
            (Task::Continuous, _) => None,
            (_, Some(of)) => Some(list(of.clone())),
            (_, None) => None,
        };
        let fraction = match given.get(1) {
            None if self.task == Task::Mode => Some(None),
            Some(of) if of.is_numeric() || of.is_null() => Some(Some(DataType::Float64)),
            Some(of) if item(of).is_some_and(DataType::is_numeric) => {
                Some(Some(list(DataType::Float64)))
            }
            _ => None,
        };
        match (values, fraction) {
            (Some(values), Some(fraction)) => Ok([values].into_iter().chain(fraction).collect()),
            _ => {
                let name = self.name().trim_end_matches("_of");
                let message = format!("function {name} of these types does not exist");
                Err(Error::new("42883", message).into())
            }
        }
    }

    fn return_type(&self, given: &[DataType]) -> EngineResult<DataType> {
        let of = given.first().and_then(item).cloned().unwrap_or(DataType::Null);
        Ok(match given.get(1) {
            Some(DataType::List(_)) => list(of),
            _ => of,
        })
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> EngineResult<ColumnarValue> {
        let to = arguments.return_field.data_type().clone();
        let arrays = ColumnarValue::values_to_arrays(&arguments.args)?;
        let groups = arrays[0].as_list::<i32>();
        let mut answers = Vec::with_capacity(groups.len());
        for row in 0..groups.len() {
            let values = match groups.is_valid(row) {
                true => groups.value(row),
                false => new_empty_array(&groups.value_type()),
            };
            let known = is_not_null(&values)?;
            let values = datafusion::arrow::compute::filter(&values, &known)?;
            let null = ScalarValue::try_from(values.data_type())?;
            answers.push(match arrays.get(1) {
                None => mode(&values)?.unwrap_or(null),
                Some(fractions) if fractions.is_null(row) => ScalarValue::try_from(&to)?,
                Some(fractions) => match fractions.data_type() {
                    DataType::List(_) => {
                        let fractions = fractions.as_list::<i32>().value(row);
                        let one = |p: Option<f64>| match p {
                            Some(p) => self.percentile(&values, p),
                            None => Ok(null.clone()),
                        };
                        let all = fractions.as_primitive::<Float64Type>().iter().map(one);
                        let all = all.collect::<EngineResult<Vec<_>>>()?;
                        match values.is_empty() {
                            true => ScalarValue::try_from(&to)?,
                            false => {
                                let all = ScalarValue::iter_to_array(all)?;
                                SingleRowListArrayBuilder::new(all).build_list_scalar()
                            }
                        }
                    }
                    _ => {
                        let p = fractions.as_primitive::<Float64Type>().value(row);
                        self.percentile(&values, p)?
                    }
                },
            });
        }
        let answers = match answers.is_empty() {
            true => new_empty_array(&to),
            false => cast(&ScalarValue::iter_to_array(answers)?, &to)?,
        };
        Ok(ColumnarValue::Array(answers))
    }
}

impl Ordered {
    fn percentile(&self, values: &ArrayRef, p: f64) -> EngineResult<ScalarValue> {
        if !(0.0..=1.0).contains(&p) {
            let message = format!("percentile value {p} is not between 0 and 1");
            return Err(Error::new("22003", message).into());
        }
        let count = values.len();
        if count == 0 {
            return ScalarValue::try_from(values.data_type());
        }
        if self.task == Task::Discrete {
            let place = (p * count as f64).ceil().max(1.0) as usize;
            return ScalarValue::try_from_array(values, place.min(count) - 1);
        }
        let place = p * (count - 1) as f64;
        let (low, high) = (place.floor() as usize, place.ceil() as usize);
        let part = place - place.floor();
        match values.data_type() {
            DataType::Interval(_) => {
                let values = values.as_primitive::<IntervalMonthDayNanoType>();
                let between = between(values.value(low), values.value(high), part);
                Ok(ScalarValue::IntervalMonthDayNano(Some(between)))
            }
            _ => {
                let values = values.as_primitive::<Float64Type>();
                let (low, high) = (values.value(low), values.value(high));
                let value = if part == 0.0 { low } else { low + part * (high - low) };
                Ok(ScalarValue::Float64(Some(value)))
            }
        }
    }
}

/// `low + part * (high - low)`, what is less than a day in time.
fn between(
    low: IntervalMonthDayNano,
    high: IntervalMonthDayNano,
    part: f64,
) -> IntervalMonthDayNano {
    if part == 0.0 || low == high {
        return low;
    }
    let step = (span_us(high).saturating_sub(span_us(low))) as f64 * part;
    let total = span_us(low).saturating_add(step.round() as i64);
    let day = 86_400_000_000;
    let days = i32::try_from(total / day).unwrap_or(i32::MAX);
    IntervalMonthDayNano::new(0, days, (total % day).saturating_mul(1000))
}

fn mode(values: &ArrayRef) -> EngineResult<Option<ScalarValue>> {
    let mut best: Option<(usize, ScalarValue)> = None;
    let mut run: Option<(usize, ScalarValue)> = None;
    for row in 0..values.len() {
        let value = ScalarValue::try_from_array(values, row)?;
        run = match run.take() {
            Some((count, of)) if of == value => Some((count + 1, of)),
            _ => Some((1, value)),
        };
        if let Some((count, of)) = &run
            && best.as_ref().is_none_or(|(most, _)| count > most)
        {
            best = Some((*count, of.clone()));
        }
    }
    Ok(best.map(|(_, value)| value))
}

#[cfg(test)]
mod tests {
    use super::*;
    use datafusion::arrow::array::Float64Array;

    // PostgreSQL 15: select percentile_cont(p) within group (order by x) from unnest(…) x.
    #[test]
    fn places_are_between_values() {
        let values: ArrayRef = Arc::new(Float64Array::from(vec![1.0, 2.0, 3.0, 10.0]));
        let of = |task, p| {
            let signature = Signature::user_defined(Volatility::Immutable);
            Ordered { task, signature }.percentile(&values, p).unwrap()
        };
        for (p, continuous, discrete) in [
            (0.0, 1.0, 1.0),
            (0.25, 1.75, 1.0),
            (0.5, 2.5, 2.0),
            (0.75, 4.75, 3.0),
            (1.0, 10.0, 10.0),
        ] {
            assert_eq!(of(Task::Continuous, p), ScalarValue::Float64(Some(continuous)), "{p}");
            assert_eq!(of(Task::Discrete, p), ScalarValue::Float64(Some(discrete)), "{p}");
        }
    }
}
