//! `vector_add(a, b)`: the sum, element by element.

use kernels::vectors::add;

use super::made::{making, same};
use crate::Function;
use crate::arguments::{Doc, Kind, required};

/// The function.
pub fn function() -> Function {
    let arguments = vec![
        required("a", Kind::Vector, "a vector"),
        required("b", Kind::Vector, "another of the same dimension"),
    ];
    making(("vector_add", arguments, DOC), same, |given| {
        add(given.kind, &given.vectors[0], &given.vectors[1])
    })
}

const DOC: Doc = Doc {
    summary: "The sum of two vectors; `a + b`. NULL for NULL, 22000 for other dimensions, 22003 for what no float holds.",
    example: ("SELECT vector_add('[1,2,3]', '[4,5,6]')", "[5,7,9]"),
};
