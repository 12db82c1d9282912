//! `vector_ge(a, b)`: `a >= b`.

use std::cmp::Ordering;

use super::compare::comparing;
use crate::Function;
use crate::arguments::Doc;

/// The function.
pub fn function() -> Function {
    comparing("vector_ge", Ordering::is_ge, DOC)
}

const DOC: Doc = Doc {
    summary: "Whether a vector comes after another or is equal; `a >= b`. Zeros of both signs are equal. NULL for NULL.",
    example: ("SELECT vector_ge('[1,0]', '[1,-0]')", "t"),
};
