//! `vector_dims(v)`: how many elements a vector has.

use std::sync::Arc;

use datafusion::arrow::array::Int32Array;
use datafusion::arrow::datatypes::DataType;

use super::distance;
use crate::Function;
use crate::arguments::{Call, Doc, Kind, required};

/// The function.
pub fn function() -> Function {
    let arguments = vec![required("v", Kind::Vector, "a vector")];
    let call = Call { name: "vector_dims", arguments, doc: DOC };
    distance::function(call, DataType::Int32, |sides, given| {
        let dims = |row| Ok(sides[0].at(row)?.map(|v| i32::try_from(v.len()).unwrap_or(i32::MAX)));
        let dims = (0..given.rows).map(dims).collect::<datafusion::error::Result<Int32Array>>()?;
        Ok(Arc::new(dims))
    })
}

const DOC: Doc = Doc {
    summary: "How many elements a vector has. NULL for NULL.",
    example: ("SELECT vector_dims('[1,2,2]')", "3"),
};
