//! Deep and cross network (DCN-V2; Wang et al., WWW 2021): products of features of any order beside
//! a network of layers and a linear part.
//!
//! ```text
//!   fields ──▶ x₀ = [rows of the table, one slot a field]
//!     │         ├─▶ x₁ = x₀ ⊙ (W x₀ + b) + x₀ ─▶ … ─▶ x_L ──┐
//!     │         └─▶ ReLU(W₁ x₀ + b₁) ─▶ … ─▶ h ─────────────┴─▶ head · [x_L, h] ──┐
//!     └─▶ linear part: a weight for each row of the table ────────────────────────┴─▶ + ─▶ score
//! ```
//!
//! With a `rank` r a cross layer's matrix is U Vᵀ, through r numbers. A category of n codes has
//! n + 1 rows of the table; a number has one, which its standardised value multiplies, and one for
//! NULL. A field's slot is as wide as `dim`, or as it has rows: rows span no more.
//!
//! NULL and NaN: a category's row for values without one, a number's row for NULL if training saw
//! any, else its mean. A code that training has not seen goes by the category's row for values
//! without one, which learns from NULLs and from codes left out at random (`category_dropout`).
//! Infinite numbers are an error in training; standardised ones are cut at ±10.
//!
//! One input and seed give the same bits on any number of threads.

mod data;
mod describe;
mod model;
mod net;
mod options;
mod train;

#[cfg(test)]
mod tests;

pub use model::Model;
pub use options::{Objective, Options};
pub use train::{Rows, Training, memory_bytes, train};

pub use super::gbdt::Feature;
pub use super::refused::Error;
pub use super::work::{Progress, Work};
