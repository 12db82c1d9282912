//! `vector_mul(a, b)`: the product, element by element.

use kernels::vectors::multiply;

use super::made::{making, same};
use crate::Function;
use crate::arguments::{Doc, Kind, required};

/// The function.
pub fn function() -> Function {
    let arguments = vec![
        required("a", Kind::Vector, "a vector"),
        required("b", Kind::Vector, "another of the same dimension"),
    ];
    making(("vector_mul", arguments, DOC), same, |given| {
        multiply(given.kind, &given.vectors[0], &given.vectors[1])
    })
}

const DOC: Doc = Doc {
    summary: "The product of two vectors, element by element; `a * b`. NULL for NULL, 22000 for other dimensions, 22003 for what no float holds.",
    example: ("SELECT vector_mul('[1,2,3]', '[4,5,6]')", "[4,10,18]"),
};
