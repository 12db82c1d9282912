//! `vector_sum(v)`: `sum` of vectors.

use super::sums::{Of, aggregate};
use crate::Function;
use crate::arguments::Doc;

/// The function.
pub fn function() -> Function {
    aggregate("vector_sum", Of::Sum, DOC)
}

const DOC: Doc = Doc {
    summary: "The sum of vectors, element by element; `sum(v)`. NULL without vectors, 22000 for different dimensions, 22003 for what no float holds.",
    example: ("SELECT vector_sum(v) FROM (VALUES ('[1,2]'), ('[3,5]')) AS t(v)", "[4,7]"),
};
