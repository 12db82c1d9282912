//! Vectors as pgvector has them: distances, dimension, length.

mod cosine_distance;
mod distance;
mod inner_product;
mod l1_distance;
mod l2_distance;
mod negative_inner_product;
mod operators;
mod side;
mod vector_dims;
mod vector_norm;

use crate::Function;

pub use operators::Operators;

/// The functions of this stage.
pub fn functions() -> Vec<Function> {
    vec![
        cosine_distance::function(),
        inner_product::function(),
        l1_distance::function(),
        l2_distance::function(),
        negative_inner_product::function(),
        vector_dims::function(),
        vector_norm::function(),
    ]
}

/// The name of the function that an operator of pgvector is; None of another operator.
fn of_operator(operator: &str) -> Option<&'static str> {
    Some(match operator {
        "<->" => "l2_distance",
        "<#>" => "negative_inner_product",
        "<=>" => "cosine_distance",
        "<+>" => "l1_distance",
        _ => return None,
    })
}
