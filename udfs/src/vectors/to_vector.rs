//! `to_vector(value, like)`: the cast to `vector`, of the dimension of another.

use kernels::vectors::Kind;

use super::converted::converting;
use crate::Function;
use crate::arguments::Doc;

/// The function.
pub fn function() -> Function {
    converting("to_vector", Kind::Single, DOC)
}

const DOC: Doc = Doc {
    summary: "A vector, an array of numbers or text as a vector; `value::vector`. NULL for NULL, 22000 for another dimension, 22003 for an element that it cannot have.",
    example: ("SELECT to_vector(ARRAY[1, 2.5])", "[1,2.5]"),
};
