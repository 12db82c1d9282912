//! `to_halfvec(value, like)`: the cast to `halfvec`, of the dimension of another.

use kernels::vectors::Kind;

use super::converted::converting;
use crate::Function;
use crate::arguments::Doc;

/// The function.
pub fn function() -> Function {
    converting("to_halfvec", Kind::Half, DOC)
}

const DOC: Doc = Doc {
    summary: "A vector, an array of numbers or text as a halfvec; `value::halfvec`. NULL for NULL, 22000 for another dimension, 22003 for an element that it cannot have.",
    example: ("SELECT to_halfvec(ARRAY[1, 2.5])", "[1,2.5]"),
};
