//! `pg_size_pretty(bytes)`: a size in the unit that keeps it short, as Postgres writes it.

use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, AsArray, StringArray};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, Int64Type};
use datafusion::logical_expr::{ColumnarValue, ScalarUDF, Signature, SimpleScalarUDF, Volatility};

pub(super) fn function() -> ScalarUDF {
    let all = |arguments: &[ColumnarValue]| {
        let arrays = ColumnarValue::values_to_arrays(arguments)?;
        let sizes = cast(&arrays[0], &DataType::Int64)?;
        let sizes = sizes.as_primitive::<Int64Type>();
        let texts: StringArray = sizes.iter().map(|size| size.map(pretty)).collect();
        Ok(ColumnarValue::Array(Arc::new(texts) as ArrayRef))
    };
    // A sum of sizes is numeric.
    ScalarUDF::from(SimpleScalarUDF::new_with_signature(
        "pg_size_pretty",
        Signature::numeric(1, Volatility::Immutable),
        DataType::Utf8,
        Arc::new(all),
    ))
}

/// A unit is used up to 10 times the next; what is left is rounded half away from zero.
fn pretty(size: i64) -> String {
    const LIMIT: u64 = 10 * 1024;
    let mut magnitude = size.unsigned_abs();
    if magnitude < LIMIT {
        return format!("{size} bytes");
    }
    let sign = if size < 0 { "-" } else { "" };
    // One bit below the unit is kept for the rounding.
    magnitude >>= 9;
    for unit in ["kB", "MB", "GB", "TB"] {
        if magnitude < 2 * LIMIT - 1 {
            return format!("{sign}{} {unit}", magnitude.div_ceil(2));
        }
        magnitude >>= 10;
    }
    format!("{sign}{} PB", magnitude.div_ceil(2))
}

#[cfg(test)]
mod tests {
    use super::*;

    // PostgreSQL 15: select pg_size_pretty(…::bigint).
    #[test]
    fn sizes_are_as_postgres_writes_them() {
        for (size, text) in [
            (0, "0 bytes"),
            (10_239, "10239 bytes"),
            (10_240, "10 kB"),
            (-10_240, "-10 kB"),
            (10_485_247, "10239 kB"),
            (10_485_248, "10 MB"),
            (1_000_000_000, "954 MB"),
            (5_000_000_000_000, "4657 GB"),
        ] {
            assert_eq!(pretty(size), text);
        }
    }
}
