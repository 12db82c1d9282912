//! Models that learn from slices, are kept as bytes, and answer slices.

mod parallel;
pub mod ranking_eval;
mod tensors;
pub mod two_tower;
