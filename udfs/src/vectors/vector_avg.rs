//! `vector_avg(v)`: `avg` of vectors.

use super::sums::{Of, aggregate};
use crate::Function;
use crate::arguments::Doc;

/// The function.
pub fn function() -> Function {
    aggregate("vector_avg", Of::Mean, DOC)
}

const DOC: Doc = Doc {
    summary: "The mean of vectors, element by element; `avg(v)`. NULL without vectors, 22000 for different dimensions.",
    example: ("SELECT vector_avg(v) FROM (VALUES ('[1,2]'), ('[3,5]')) AS t(v)", "[2,3.5]"),
};
