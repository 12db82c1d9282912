//! Why a view's features are what they are: one word for each question.
//!
//! | status       | the view's rows for the key, at the moment asked for           | features     |
//! |--------------|----------------------------------------------------------------|--------------|
//! | `PRESENT`    | there is a row, and a feature asked for is not NULL            | that row's   |
//! | `NULL_VALUE` | there is a row, and all features asked for are NULL in it      | NULL         |
//! | `EXPIRED`    | there are rows, and the latest is older than the TTL           | NULL         |
//! | `NOT_FOUND`  | there is none, or only later ones, or a key is NULL            | NULL         |

use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, Int64Array, StringArray};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, Int64Type, TimeUnit};
use datafusion::common::{Result as EngineResult, ScalarValue, exec_err};
use datafusion::logical_expr::{
    ColumnarValue, Expr, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility, lit,
};

pub(super) const EXPIRED: &str = "EXPIRED";

/// The status of a row: (moment, row's time), TTL in microseconds, whether a feature is not NULL.
pub(super) fn of((moment, time): (Expr, Expr), ttl_us: Option<i64>, filled: Expr) -> Expr {
    let function = ScalarUDF::from(Status { signature: Signature::any(4, Volatility::Immutable) });
    function.call(vec![moment, time, lit(ScalarValue::Int64(ttl_us)), filled])
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Status {
    signature: Signature,
}

impl ScalarUDFImpl for Status {
    fn name(&self) -> &str {
        "feature_status"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> EngineResult<DataType> {
        Ok(DataType::Utf8)
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> EngineResult<ColumnarValue> {
        let arrays = ColumnarValue::values_to_arrays(&arguments.args)?;
        let [moment, time, ttl, filled] = arrays.as_slice() else {
            return exec_err!("a status is of four values");
        };
        let (moment, time) = (ticks(moment)?, ticks(time)?);
        let ttl = ttl.as_primitive::<Int64Type>();
        let filled = filled.as_boolean();
        let status = |row: usize| {
            let ttl_us = ttl.is_valid(row).then(|| ttl.value(row));
            word(moment.at(row), time.at(row), ttl_us, filled.value(row))
        };
        let words: StringArray = (0..filled.len()).map(|row| Some(status(row))).collect();
        Ok(ColumnarValue::Array(Arc::new(words) as ArrayRef))
    }
}

/// Times in nanoseconds.
struct Ticks {
    ticks: Int64Array,
    scale: i128,
}

impl Ticks {
    fn at(&self, row: usize) -> Option<i128> {
        self.ticks.is_valid(row).then(|| i128::from(self.ticks.value(row)) * self.scale)
    }
}

fn ticks(array: &ArrayRef) -> EngineResult<Ticks> {
    let scale = match array.data_type() {
        DataType::Timestamp(TimeUnit::Nanosecond, _) => 1,
        DataType::Timestamp(TimeUnit::Microsecond, _) => 1_000,
        other => return exec_err!("a status is of moments, not of {other}"),
    };
    let ticks = cast(array, &DataType::Int64)?.as_primitive::<Int64Type>().clone();
    Ok(Ticks { ticks, scale })
}

fn word(
    moment: Option<i128>,
    time: Option<i128>,
    ttl_us: Option<i64>,
    filled: bool,
) -> &'static str {
    let (Some(moment), Some(time)) = (moment, time) else { return "NOT_FOUND" };
    match ttl_us {
        Some(ttl_us) if moment - time > i128::from(ttl_us) * 1_000 => EXPIRED,
        _ if filled => "PRESENT",
        _ => "NULL_VALUE",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // Rule 3 of the point-in-time rule: a row is in force up to its TTL, inclusive.
    #[test]
    fn a_row_expires_after_its_ttl() {
        let at = |us: i128| Some(us * 1_000);
        assert_eq!(word(at(10), at(4), Some(6), true), "PRESENT");
        assert_eq!(word(at(10), at(4), Some(6), false), "NULL_VALUE");
        assert_eq!(word(at(10), at(3), Some(6), true), "EXPIRED");
        assert_eq!(word(at(10), at(i128::from(i64::MIN)), Some(i64::MAX), true), "EXPIRED");
        assert_eq!(word(at(10), at(3), None, true), "PRESENT");
        assert_eq!(word(at(10), None, Some(6), false), "NOT_FOUND");
    }
}
