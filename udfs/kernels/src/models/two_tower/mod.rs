//! Two towers: users and items as unit vectors whose inner product says what a user picks next.
//!
//! ```text
//!   user  categories, numbers, lists, history ──▶ Σ c·T[i] ─(layers)─▶ /|·| ──▶ u
//!                                                                      u·v / temperature
//!   item  id, categories, numbers, lists ───────▶ Σ c·T[i] ─(layers)─▶ /|·| ──▶ v
//! ```
//!
//! All features of both towers are rows of one table T: a category is a row with coefficient 1, a
//! number its row times the standardised value, a list or history of n items n rows with 1/√n. A
//! tower so far is linear; `layers` add a network to it that starts at zero.
//!
//! The loss of an example is a softmax over the items of its batch, and uniform and hard negatives
//! on request, each logit less the logarithm of how often the item is expected there (Yi et al.,
//! RecSys 2019): without that popular items are punished for being popular, and the model falls
//! below a list of the most popular. An item that is the example's own, or that its user is known
//! to like, is never a negative.
//!
//! NULL adds nothing: no category, number or list; NaN is NULL. A category that training has not
//! seen is the feature's vector for unknown ones, which learns from ids left out at random.
//! Infinite numbers are an error; standardised ones are cut at ±10.
//!
//! One input and seed give the same bits on any number of threads.

mod batch;
mod data;
mod describe;
mod features;
mod layers;
mod loss;
mod model;
mod negatives;
mod options;
mod step;
mod train;
mod units;

#[cfg(test)]
mod tests;

pub use data::Examples;
pub use features::{Column, Feature, Lists, Value};
pub use model::Model;
pub use options::{LogQ, Options};
pub use train::{Held, Training, memory_bytes, train};

pub use super::held_out::Split;
pub use super::retrieval::{Error, Progress, Work};
