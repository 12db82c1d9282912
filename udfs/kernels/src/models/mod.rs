//! Models that learn from slices, are kept as bytes, and answer slices: of tables, and of what
//! users took.

pub mod als;
pub mod dcn;
pub mod gbdt;
pub mod held_out;
pub mod linear;
pub mod link;
mod nets;
pub mod onnx;
pub(crate) mod parallel;
mod ragged;
pub mod ranking_eval;
mod refused;
pub mod retrieval;
mod tensors;
mod text;
pub mod trees;
pub mod two_tower;
pub mod work;
