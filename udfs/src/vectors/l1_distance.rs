//! `l1_distance(a, b)`: the sum of absolute differences.

use kernels::vectors::Metric;

use super::distance::between;
use crate::Function;
use crate::arguments::Doc;

/// The function.
pub fn function() -> Function {
    between("l1_distance", Metric::L1, |d| d, DOC)
}

const DOC: Doc = Doc {
    summary: "The sum of absolute differences of two vectors; `a <+> b`. NULL for NULL, 22000 for other dimensions.",
    example: ("SELECT l1_distance('[1,2,2]', '[3,2,1]')", "3"),
};
