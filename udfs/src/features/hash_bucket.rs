//! `hash_bucket(value, buckets)`: one of so many buckets, by a hash that never changes.

use datafusion::arrow::array::{Array, ArrayRef, AsArray};
use datafusion::arrow::datatypes::Int64Type;
use datafusion::error::Result as EngineResult;
use twox_hash::XxHash64;

use crate::arguments::{Call, Doc, Given, Kind, required};
use crate::output::{Output, Type};
use crate::scalar::scalar;
use crate::{Error, Function};

/// The function.
pub fn function() -> Function {
    let arguments = vec![
        required("value", Kind::Text, "text, or what can be written as text"),
        required("buckets", Kind::Integer, "how many there are, at least 1"),
    ];
    scalar(Call { name: "hash_bucket", arguments, doc: DOC }, vec![("", Type::Count)], answer)
}

fn answer(_: &Given, columns: &[ArrayRef], rows: usize, output: &mut Output) -> EngineResult<()> {
    let (texts, buckets) = (columns[0].as_string::<i32>(), columns[1].as_primitive::<Int64Type>());
    for row in 0..rows {
        if !(texts.is_valid(row) && buckets.is_valid(row)) {
            output.count(None);
            continue;
        }
        let count = buckets.value(row);
        let Some(count) = u64::try_from(count).ok().filter(|count| *count > 0) else {
            let (allowed, given) = ("at least 1".into(), count.to_string());
            return Err(Error::InvalidArgument { name: "buckets", allowed, given }.into());
        };
        output.count(XxHash64::oneshot(0, texts.value(row).as_bytes()) % count);
    }
    Ok(())
}

const DOC: Doc = Doc {
    summary: "xxh64(value as UTF-8 text, seed 0) modulo the number of buckets. NULL for NULL.",
    example: ("SELECT hash_bucket('DE', 64)", "7"),
};
