//! `vector_lt(a, b)`: `a < b`.

use std::cmp::Ordering;

use super::compare::comparing;
use crate::Function;
use crate::arguments::Doc;

/// The function.
pub fn function() -> Function {
    comparing("vector_lt", Ordering::is_lt, DOC)
}

const DOC: Doc = Doc {
    summary: "Whether a vector comes before another; `a < b`. Zeros of both signs are equal. NULL for NULL.",
    example: ("SELECT vector_lt('[1,0]', '[1,-0]')", "f"),
};
