//! `subvector(v, start, count)`: a part of a vector.

use kernels::vectors::subvector;

use super::made::making;
use crate::Function;
use crate::arguments::{Doc, Kind, required};

/// The function.
pub fn function() -> Function {
    let arguments = vec![
        required("v", Kind::Vector, "a vector"),
        required("start", Kind::Integer, "its first element, from 1"),
        required("count", Kind::Integer, "how many"),
    ];
    making("subvector", arguments, DOC, |v, n| subvector(&v[0], n[0], n[1]).map(<[f32]>::to_vec))
}

const DOC: Doc = Doc {
    summary: "Elements of a vector from a place on, cut to what there is; place and number are constants. NULL for NULL, 22000 for none.",
    example: ("SELECT subvector('[1,2,3,4,5]', 2, 3)", "[2,3,4]"),
};
