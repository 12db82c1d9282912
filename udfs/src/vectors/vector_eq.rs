//! `vector_eq(a, b)`: `a = b`.

use std::cmp::Ordering;

use super::compare::comparing;
use crate::Function;
use crate::arguments::Doc;

/// The function.
pub fn function() -> Function {
    comparing("vector_eq", Ordering::is_eq, DOC)
}

const DOC: Doc = Doc {
    summary: "Whether two vectors are equal; `a = b`. Zeros of both signs are equal. NULL for NULL.",
    example: ("SELECT vector_eq('[1,0]', '[1,-0]')", "t"),
};
