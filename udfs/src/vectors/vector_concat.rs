//! `vector_concat(a, b)`: one vector behind the other.

use kernels::vectors::concatenate;

use super::made::{making, total};
use crate::Function;
use crate::arguments::{Doc, Kind, required};

/// The function.
pub fn function() -> Function {
    let arguments =
        vec![required("a", Kind::Vector, "a vector"), required("b", Kind::Vector, "another")];
    making(("vector_concat", arguments, DOC), total, |given| {
        concatenate(&given.vectors[0], &given.vectors[1])
    })
}

const DOC: Doc = Doc {
    summary: "The elements of both vectors; `a || b` of two vectors. NULL for NULL, 54000 for more than a vector has.",
    example: ("SELECT vector_concat('[1,2]', '[3]')", "[1,2,3]"),
};
