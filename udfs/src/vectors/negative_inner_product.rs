//! `negative_inner_product(a, b)`: the sum of products, negated.

use kernels::vectors::Metric;

use super::distance::between;
use crate::Function;
use crate::arguments::Doc;

/// The function.
pub fn function() -> Function {
    between("negative_inner_product", Metric::InnerProduct, |d| d, DOC)
}

const DOC: Doc = Doc {
    summary: "The inner product of two vectors, negated, so that less is nearer; `a <#> b`. NULL for NULL, 22000 for other dimensions.",
    example: ("SELECT negative_inner_product('[1,2,2]', '[3,2,1]')", "-9"),
};
