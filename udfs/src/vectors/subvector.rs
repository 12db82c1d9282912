//! `subvector(v, start, count)`: a part of a vector.

use kernels::vectors;

use super::made::{any, making};
use crate::Function;
use crate::arguments::{Doc, Kind, required};

/// The function.
pub fn function() -> Function {
    let arguments = vec![
        required("v", Kind::Vector, "a vector"),
        required("start", Kind::Integer, "the first element, counted from 1"),
        required("count", Kind::Integer, "how many"),
    ];
    making(("subvector", arguments, DOC), any, |given| {
        let part = vectors::subvector(&given.vectors[0], given.numbers[0], given.numbers[1]);
        part.map(<[f32]>::to_vec)
    })
}

const DOC: Doc = Doc {
    summary: "The elements of a vector from one on, which are counted from 1, as many as there are of so many. NULL for NULL, 22000 if none is left.",
    example: ("SELECT subvector('[1,2,3,4,5]', 2, 3)", "[2,3,4]"),
};
