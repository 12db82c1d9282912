//! `inner_product(a, b)`: the sum of products.

use kernels::vectors::Metric;

use super::distance::between;
use crate::Function;
use crate::arguments::Doc;

/// The function.
pub fn function() -> Function {
    between("inner_product", Metric::InnerProduct, |d| -d, DOC)
}

const DOC: Doc = Doc {
    summary: "The sum of the products of two vectors' elements. NULL for NULL, 22000 for other dimensions.",
    example: ("SELECT inner_product('[1,2,2]', '[3,2,1]')", "9"),
};
