//! `vector_le(a, b)`: `a <= b`.

use std::cmp::Ordering;

use super::compare::comparing;
use crate::Function;
use crate::arguments::Doc;

/// The function.
pub fn function() -> Function {
    comparing("vector_le", Ordering::is_le, DOC)
}

const DOC: Doc = Doc {
    summary: "Whether a vector comes before another or is equal; `a <= b`. Zeros of both signs are equal. NULL for NULL.",
    example: ("SELECT vector_le('[1,0]', '[1,-0]')", "t"),
};
