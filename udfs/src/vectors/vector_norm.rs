//! `vector_norm(v)`: the Euclidean length of a vector.

use std::sync::Arc;

use datafusion::arrow::array::Float64Array;
use datafusion::arrow::datatypes::DataType;
use kernels::vectors::norm;

use super::distance;
use crate::Function;
use crate::arguments::{Call, Doc, Kind, required};

/// The function.
pub fn function() -> Function {
    let arguments = vec![required("v", Kind::Vector, "a vector")];
    let call = Call { name: "vector_norm", arguments, doc: DOC };
    distance::function(call, DataType::Float64, |sides, given| {
        let norms = (0..given.rows).map(|row| Ok(sides[0].at(row)?.map(|v| norm(&v))));
        Ok(Arc::new(norms.collect::<datafusion::error::Result<Float64Array>>()?))
    })
}

const DOC: Doc = Doc {
    summary: "The Euclidean length of a vector, summed in double precision. NULL for NULL.",
    example: ("SELECT vector_norm('[1,2,2]')", "3"),
};
