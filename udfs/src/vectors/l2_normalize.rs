//! `l2_normalize(v)`: the vector of length one in the same direction.

use kernels::vectors::normalize;

use super::made::{making, same};
use crate::Function;
use crate::arguments::{Doc, Kind, required};

/// The function.
pub fn function() -> Function {
    let arguments = vec![required("v", Kind::Vector, "a vector")];
    making(("l2_normalize", arguments, DOC), same, |given| normalize(given.kind, &given.vectors[0]))
}

const DOC: Doc = Doc {
    summary: "The vector of Euclidean length one in the same direction; zeros stay zeros. NULL for NULL.",
    example: ("SELECT l2_normalize('[3,4]')", "[0.6,0.8]"),
};
