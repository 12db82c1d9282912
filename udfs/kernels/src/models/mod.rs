//! Models that learn from rows: what trains them and what scores with them.

pub mod gbdt;
pub mod linear;
pub mod link;
mod text;
pub mod trees;
