//! `cosine_distance(a, b)`: one less the cosine of the angle.

use kernels::vectors::Metric;

use super::distance::between;
use crate::Function;
use crate::arguments::Doc;

/// The function.
pub fn function() -> Function {
    between("cosine_distance", Metric::Cosine, |d| d, DOC)
}

const DOC: Doc = Doc {
    summary: "One less the cosine of the angle between two vectors, NaN for a zero vector; `a <=> b`. NULL for NULL, 22000 for other dimensions.",
    example: ("SELECT cosine_distance('[1,0]', '[0,2]')", "1"),
};
