//! `bounded_repeat(text, n)`, `bounded_pad(text, n)`: the `n` of `repeat`, `lpad` and `rpad`,
//! unless what they would make is too long for the rows of a batch: a few statements like
//! `repeat('x', 2000000000)` would take the server's memory. NULL gives NULL.

use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, Int64Type};
use datafusion::common::Result as EngineResult;
use datafusion::logical_expr::{ColumnarValue, ScalarUDF, Volatility, create_udf};

use crate::error::Error;

/// What the rows of a batch may take together.
const LIMIT: i64 = 256 << 20;

/// Of `repeat`, or of the other two.
pub(crate) fn function(repeats: bool) -> ScalarUDF {
    let check = move |arguments: &[ColumnarValue]| -> EngineResult<ColumnarValue> {
        let arrays = ColumnarValue::values_to_arrays(arguments)?;
        let texts = cast(&arrays[0], &DataType::Utf8)?;
        let (texts, counts) = (texts.as_string::<i32>(), arrays[1].as_primitive::<Int64Type>());
        let mut total = 0_i64;
        for (row, count) in counts.iter().enumerate() {
            let count = count.filter(|_| texts.is_valid(row)).unwrap_or(0).max(0);
            let each = if repeats { i64::from(texts.value_length(row)) } else { 1 };
            total = total.saturating_add(count.saturating_mul(each));
        }
        match total > LIMIT {
            false => Ok(ColumnarValue::Array(Arc::clone(&arrays[1]) as ArrayRef)),
            true => Err(Error::new("54000", "requested length too large")
                .with_hint(format!("The rows of a batch may take {} MB.", LIMIT >> 20))
                .into()),
        }
    };
    let name = if repeats { "bounded_repeat" } else { "bounded_pad" };
    let arguments = vec![DataType::Utf8, DataType::Int64];
    create_udf(name, arguments, DataType::Int64, Volatility::Immutable, Arc::new(check))
}
