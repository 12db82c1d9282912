//! `l2_distance(a, b)`: the Euclidean distance.

use kernels::vectors::Metric;

use super::distance::between;
use crate::Function;
use crate::arguments::Doc;

/// The function.
pub fn function() -> Function {
    between("l2_distance", Metric::L2, |d| d, DOC)
}

const DOC: Doc = Doc {
    summary: "The Euclidean distance of two vectors; `a <-> b`. NULL for NULL, 22000 for other dimensions.",
    example: ("SELECT l2_distance('[1,2,2]', '[3,2,1]')", "2.23606797749979"),
};
