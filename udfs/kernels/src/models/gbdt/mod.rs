//! Gradient boosted trees: histograms, grown best leaf first; names and meaning of the parameters
//! are LightGBM's (Ke et al., NeurIPS 2017).
//!
//! ```text
//!   columns ─bins─▶ one byte a value        gradients ─▶ whole numbers
//!                        └─────────┬─────────────────────────┘
//!             histogram of a leaf: Σ gradient, Σ hessian, rows, for each bin of each feature
//!                                  │ best split of each feature, best of all leaves
//!                                  ▼
//!             two leaves: the smaller one is summed, the larger one is parent − smaller
//! ```
//!
//! Gradients are summed as whole numbers, whose unit is chosen for each tree so that no sum can
//! overflow: sums are exact in any order, so the trees do not depend on the number of threads, and
//! the subtraction loses nothing.
//!
//! NaN is a missing value; each split learns where it goes, and goes with the larger part where
//! training saw none. Categories are whole numbers; missing, rare and unknown ones go right.

mod bins;
mod categorical;
mod grow;
mod histogram;
mod lambdarank;
mod objective;
mod parameters;
mod quantised;
mod split;
mod train;

pub use super::refused::Error;
pub use parameters::{Objective, Parameters};
pub use train::{Progress, Round, Run, Trained, memory_bytes, train};

/// A column of values, NaN where missing.
#[derive(Debug, Clone, Copy)]
pub enum Feature<'a> {
    Numeric(&'a [f64]),
    /// Codes: whole numbers from 0 on. Others count as missing.
    Categorical(&'a [f64]),
}

impl<'a> Feature<'a> {
    pub fn values(self) -> &'a [f64] {
        match self {
            Self::Numeric(values) | Self::Categorical(values) => values,
        }
    }
}

/// Rows to learn from or to validate with.
#[derive(Debug, Clone, Copy)]
pub struct Part<'a> {
    pub features: &'a [Feature<'a>],
    /// 0 or 1 (binary), classes from 0 on (multiclass), grades from 0 on (lambdarank), any number
    /// (regression).
    pub labels: &'a [f64],
    /// At least 0; all 1 if absent.
    pub weights: Option<&'a [f64]>,
    /// Rows of each group, in order, for lambdarank: a group's rows lie together.
    pub groups: &'a [usize],
}
