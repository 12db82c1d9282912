//! `vector_ne(a, b)`: `a <> b`.

use std::cmp::Ordering;

use super::compare::comparing;
use crate::Function;
use crate::arguments::Doc;

/// The function.
pub fn function() -> Function {
    comparing("vector_ne", Ordering::is_ne, DOC)
}

const DOC: Doc = Doc {
    summary: "Whether two vectors differ; `a <> b`. Zeros of both signs are equal. NULL for NULL.",
    example: ("SELECT vector_ne('[1,0]', '[1,-0]')", "f"),
};
