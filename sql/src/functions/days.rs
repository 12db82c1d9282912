//! Days as numbers: of a date or timestamp those since 1970, of a number itself; NULL stays NULL.

use datafusion::arrow::array::{Array, AsArray, Float64Array};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, Int64Type, TimeUnit};
use datafusion::common::Result as EngineResult;
use datafusion::logical_expr::{
    ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};
use std::sync::Arc;

use crate::error::Error;

/// The name that relations call it by; nobody can write it.
pub(crate) const DAYS: &str = "\u{2}days";

const DAY_US: f64 = 86_400e6;

pub(super) fn function() -> ScalarUDF {
    ScalarUDF::from(Days { signature: Signature::any(1, Volatility::Immutable) })
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Days {
    signature: Signature,
}

impl ScalarUDFImpl for Days {
    fn name(&self) -> &str {
        DAYS
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, given: &[DataType]) -> EngineResult<DataType> {
        match given {
            [DataType::Timestamp(..) | DataType::Date32 | DataType::Null] => Ok(DataType::Float64),
            [of] if of.is_numeric() => Ok(DataType::Float64),
            _ => Err(Error::new("42804", "a day is a date, a timestamp or a number").into()),
        }
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> EngineResult<ColumnarValue> {
        let values = arguments.args[0].to_array(arguments.number_rows)?;
        let days = match values.data_type() {
            DataType::Timestamp(_, zone) => {
                let micros = DataType::Timestamp(TimeUnit::Microsecond, zone.clone());
                let micros = cast(&cast(&values, &micros)?, &DataType::Int64)?;
                let micros = micros.as_primitive::<Int64Type>();
                let days: Float64Array = micros.unary(|us| us as f64 / DAY_US);
                return Ok(ColumnarValue::Array(Arc::new(days)));
            }
            DataType::Date32 => cast(&values, &DataType::Int32)?,
            _ => values,
        };
        Ok(ColumnarValue::Array(cast(&days, &DataType::Float64)?))
    }
}
