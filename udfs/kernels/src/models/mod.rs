//! Models that learn from slices, are kept as bytes, and answer slices.

pub mod als;
mod parallel;
mod ragged;
pub mod ranking_eval;
pub mod retrieval;
mod tensors;
pub mod two_tower;
