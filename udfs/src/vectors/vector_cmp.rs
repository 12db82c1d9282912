//! `vector_cmp(a, b)`: which of two vectors comes first.

use super::compare::ordering;
use crate::Function;
use crate::arguments::Doc;

/// The function.
pub fn function() -> Function {
    ordering("vector_cmp", DOC)
}

const DOC: Doc = Doc {
    summary: "-1 if the first vector comes before the second, 1 if after, 0 if they are equal: element by element, the shorter first where one begins the other. NULL for NULL.",
    example: ("SELECT vector_cmp('[1,2]', '[1,2,3]')", "-1"),
};
