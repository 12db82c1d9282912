//! The series of each row as a list, which the planner unnests.

use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, ListArray, new_empty_array};
use datafusion::arrow::buffer::OffsetBuffer;
use datafusion::arrow::compute::concat;
use datafusion::arrow::datatypes::{DataType, Field};
use datafusion::common::{Result as EngineResult, ScalarValue};
use datafusion::logical_expr::{
    ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, TypeSignature,
    Volatility,
};

use super::{NAME, Series, types, undefined};
use crate::error::Error;

/// The most values that the lists of one batch of rows have together.
const VALUES: usize = 100_000_000;

/// The function; the planner adds the zone as a last argument.
pub(in crate::functions) fn function() -> ScalarUDF {
    let forms = vec![TypeSignature::Any(2), TypeSignature::Any(3), TypeSignature::Any(4)];
    ScalarUDF::from(Lists { signature: Signature::one_of(forms, Volatility::Immutable) })
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Lists {
    signature: Signature,
}

impl ScalarUDFImpl for Lists {
    fn name(&self) -> &str {
        NAME
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, given: &[DataType]) -> EngineResult<DataType> {
        let given = &given[..given.len().min(3)];
        let [of, _] = types(given).ok_or_else(|| undefined(given))?;
        Ok(DataType::List(Arc::new(Field::new_list_field(of, true))))
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> EngineResult<ColumnarValue> {
        let arrays = ColumnarValue::values_to_arrays(&arguments.args)?;
        let DataType::List(item) = arguments.return_field.data_type() else {
            return Err(Error::unsupported("this series").into());
        };
        let mut lists: Vec<ArrayRef> = Vec::new();
        let (mut lengths, mut total) = (Vec::new(), 0);
        for row in 0..arrays.first().map_or(0, |array| array.len()) {
            let values = arrays.iter().map(|array| ScalarValue::try_from_array(array, row));
            let mut values = values.collect::<EngineResult<Vec<_>>>()?;
            let zone = match values.len() {
                4 => values.pop().and_then(|zone| zone.try_as_str().flatten().map(str::to_owned)),
                _ => None,
            };
            let mut series = Series::of(&values, zone.as_deref().unwrap_or("UTC"))?;
            let list = series.batch(VALUES + 1 - total)?;
            total += list.len();
            if total > VALUES {
                let error = Error::new("54000", format!("{NAME} gives too many values here"));
                return Err(error.with_hint(format!("Write it in FROM: FROM {NAME}(…).")).into());
            }
            lengths.push(list.len());
            lists.push(list);
        }
        let all: Vec<_> = lists.iter().map(AsRef::as_ref).collect();
        let all = match all.is_empty() {
            true => new_empty_array(item.data_type()),
            false => concat(&all)?,
        };
        let offsets = OffsetBuffer::from_lengths(lengths);
        let lists = ListArray::try_new(Arc::clone(item), offsets, all, None)?;
        Ok(ColumnarValue::Array(Arc::new(lists)))
    }
}
