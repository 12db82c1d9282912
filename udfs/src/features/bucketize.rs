//! `bucketize(value, edges)`: in which bucket a number falls.

use datafusion::arrow::array::{Array, ArrayRef, AsArray};
use datafusion::arrow::datatypes::Float64Type;
use datafusion::error::Result as EngineResult;

use crate::arguments::{Call, Doc, Given, Kind, required};
use crate::output::{Output, Type};
use crate::scalar::scalar;
use crate::{Error, Function};

/// The function.
pub fn function() -> Function {
    let arguments = vec![
        required("value", Kind::Number, "what is put into a bucket"),
        required("edges", Kind::Numbers, "rising numbers between the buckets, a constant"),
    ];
    scalar(Call { name: "bucketize", arguments, doc: DOC }, vec![("", Type::Count)], answer)
}

fn answer(
    given: &Given,
    columns: &[ArrayRef],
    rows: usize,
    output: &mut Output,
) -> EngineResult<()> {
    let edges = given.numbers("edges")?.unwrap_or_default();
    if edges.is_empty() || !edges.is_sorted_by(|a, b| a < b) {
        let (allowed, given) = ("rising numbers".into(), format!("{edges:?}"));
        return Err(Error::InvalidArgument { name: "edges", allowed, given }.into());
    }
    let values = columns[0].as_primitive::<Float64Type>();
    for row in 0..rows {
        let value = values.is_valid(row).then(|| values.value(row)).filter(|x| !x.is_nan());
        output.count(value.map(|x| edges.partition_point(|edge| *edge <= x) as u64));
    }
    Ok(())
}

const DOC: Doc = Doc {
    summary: "How many of the edges are at most the value: 0 below the first one, as many as there \
              are edges from the last one on. NULL for NULL and NaN.",
    example: ("SELECT bucketize(30, ARRAY[18, 25, 35, 50])", "2"),
};
