//! Vectors as pgvector has them, `vector` and `halfvec`: distances, arithmetic, order, casts, sums.

mod compare;
mod converted;
mod cosine_distance;
mod distance;
mod inner_product;
mod l1_distance;
mod l2_distance;
mod l2_normalize;
mod made;
mod negative_inner_product;
mod of_type;
mod operators;
mod side;
mod subvector;
mod sums;
mod to_halfvec;
mod to_vector;
mod vector_add;
mod vector_avg;
mod vector_cmp;
mod vector_concat;
mod vector_dims;
mod vector_eq;
mod vector_ge;
mod vector_gt;
mod vector_le;
mod vector_lt;
mod vector_mul;
mod vector_ne;
mod vector_norm;
mod vector_sub;
mod vector_sum;

use crate::Function;

pub use of_type::VectorType;
pub use operators::Operators;

/// The functions of this stage.
pub fn functions() -> Vec<Function> {
    vec![
        cosine_distance::function(),
        inner_product::function(),
        l1_distance::function(),
        l2_distance::function(),
        l2_normalize::function(),
        negative_inner_product::function(),
        subvector::function(),
        to_halfvec::function(),
        to_vector::function(),
        vector_add::function(),
        vector_avg::function(),
        vector_cmp::function(),
        vector_concat::function(),
        vector_dims::function(),
        vector_eq::function(),
        vector_ge::function(),
        vector_gt::function(),
        vector_le::function(),
        vector_lt::function(),
        vector_mul::function(),
        vector_ne::function(),
        vector_norm::function(),
        vector_sub::function(),
        vector_sum::function(),
    ]
}

/// The name of the function that an operator between vectors is, where it is something else between
/// others; None of another operator.
fn of_vectors(operator: &str) -> Option<&'static str> {
    Some(match operator {
        "+" => "vector_add",
        "-" => "vector_sub",
        "*" => "vector_mul",
        "||" => "vector_concat",
        "=" => "vector_eq",
        "<>" => "vector_ne",
        "<" => "vector_lt",
        "<=" => "vector_le",
        ">" => "vector_gt",
        ">=" => "vector_ge",
        _ => return None,
    })
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

/// What else pgvector calls a function: one of halfvecs has a name of its own.
fn spelled(name: &str) -> Vec<String> {
    let other = match name {
        "vector_norm" => "l2_norm".to_owned(),
        "vector_dims" => return Vec::new(),
        "negative_inner_product" => {
            return ["vector", "halfvec"].map(|kind| format!("{kind}_{name}")).into();
        }
        name => match name.strip_prefix("vector_") {
            Some(rest) => format!("halfvec_{rest}"),
            None => return Vec::new(),
        },
    };
    vec![other]
}
