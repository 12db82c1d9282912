//! Statistics of experiments and of drift: sufficient statistics in, tests and distances out.
//!
//! Everything common is a function of a few mergeable sums (`moments`, counts); ranks need the
//! values themselves (`sample`). P-values are logarithms of tails (`tails`), so that they never
//! become zero. Data never fails: what cannot be computed is None, and a `Status` says why.

pub mod adjust;
pub mod clusters;
pub mod comparison;
pub mod cuped;
pub mod divergence;
pub mod double;
pub mod histogram;
pub mod kll;
pub mod means;
pub mod moments;
pub mod power;
pub mod proportions;
pub mod ranks;
pub mod sample;
pub mod sequential;
pub mod tails;
