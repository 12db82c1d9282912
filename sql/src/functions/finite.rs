//! `isfinite(x)`: whether a date or timestamp is none of the infinities, which are the ends of
//! their types. NULL gives NULL.

use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, BooleanArray};
use datafusion::arrow::datatypes::{DataType, Date32Type, TimeUnit, TimestampMicrosecondType};
use datafusion::common::Result as EngineResult;
use datafusion::logical_expr::{
    ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};

use crate::error::Error;

pub(super) fn function() -> ScalarUDF {
    ScalarUDF::from(Finite { signature: Signature::any(1, Volatility::Immutable) })
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Finite {
    signature: Signature,
}

impl ScalarUDFImpl for Finite {
    fn name(&self) -> &str {
        "isfinite"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, given: &[DataType]) -> EngineResult<DataType> {
        match given {
            [DataType::Date32 | DataType::Timestamp(..) | DataType::Interval(_)] => {
                Ok(DataType::Boolean)
            }
            _ => Err(Error::new("42883", "function isfinite() of this type does not exist").into()),
        }
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> EngineResult<ColumnarValue> {
        let values = arguments.args[0].to_array(arguments.number_rows)?;
        let finite: BooleanArray = match values.data_type() {
            DataType::Date32 => {
                let days = values.as_primitive::<Date32Type>().iter();
                days.map(|day| day.map(|day| day.unsigned_abs() < i32::MAX.unsigned_abs()))
                    .collect()
            }
            DataType::Timestamp(TimeUnit::Microsecond, _) => {
                let times = values.as_primitive::<TimestampMicrosecondType>().iter();
                times.map(|us| us.map(|us| us.unsigned_abs() < i64::MAX.unsigned_abs())).collect()
            }
            _ => (0..values.len()).map(|row| values.is_valid(row).then_some(true)).collect(),
        };
        Ok(ColumnarValue::Array(Arc::new(finite) as ArrayRef))
    }
}
