//! Two towers: users and items as unit vectors whose inner product says what a user picks next.
//!
//! ```text
//!   user  id, categories, numbers, lists, history ──▶ Σ c·T[i] ─(layers)─▶ /|·| ──▶ u
//!                                                                                    ╲ u·v / temperature
//!   item  id, categories, numbers, lists ───────────▶ Σ c·T[i] ─(layers)─▶ /|·| ──▶ v
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
//! seen is the feature's vector for unknown ones, which learns from ids left out at random. Infinite
//! numbers are an error; standardised ones are cut at ±10.
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
mod rows;
mod step;
mod table;
mod train;

#[cfg(test)]
mod tests;

pub use data::Examples;
pub use features::{Column, Feature, Lists, Value};
pub use model::Model;
pub use options::{LogQ, Options, Split};
pub use train::{Held, Progress, Training, Work, memory_bytes, train};

/// Why a model cannot be trained, read or asked. Each is the caller's mistake but `Cancelled`.
#[derive(Debug, Clone, PartialEq)]
pub enum Error {
    /// No example with a weight above zero.
    NoExamples,
    /// A column of another length than the users.
    Length { column: String, expected: usize, found: usize },
    /// An infinite number, or a weight that is negative or not finite.
    NotFinite { column: String, row: usize },
    /// An option out of its range, which `allowed` tells.
    Option { name: &'static str, allowed: &'static str },
    /// More rows of the table, or of anything counted, than 32 bits can number.
    TooMany { what: &'static str },
    /// Values at serving that are not those that the model was trained with.
    Features { expected: usize, found: usize },
    /// A value of another kind than the feature's.
    Kind { feature: String, expected: &'static str },
    /// A user or item that training has not seen, asked for without features.
    Unknown { key: u64 },
    /// Bytes that are not what was written; `part` says where.
    Corrupt { part: &'static str },
    /// The hook asked for the end.
    Cancelled,
}

impl Error {
    /// The code that PostgreSQL would raise.
    pub fn sqlstate(&self) -> &'static str {
        match self {
            Self::NoExamples | Self::NotFinite { .. } => "22000",
            Self::Length { .. } | Self::Features { .. } | Self::Kind { .. } => "42804",
            Self::Option { .. } => "22023",
            Self::TooMany { .. } => "54000",
            Self::Unknown { .. } => "02000",
            Self::Corrupt { .. } => "XX001",
            Self::Cancelled => "57014",
        }
    }
}

impl std::fmt::Display for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::NoExamples => f.write_str("no training rows with a weight above zero"),
            Self::Length { column, expected, found } => {
                write!(f, "column \"{column}\" has {found} rows, not {expected}")
            }
            Self::NotFinite { column, row } => {
                write!(f, "column \"{column}\" holds an infinite or negative value in row {row}")
            }
            Self::Option { name, allowed } => write!(f, "option \"{name}\" must be {allowed}"),
            Self::TooMany { what } => write!(f, "too many {what}"),
            Self::Features { expected, found } => {
                write!(f, "the model takes {expected} features, not {found}")
            }
            Self::Kind { feature, expected } => {
                write!(f, "feature \"{feature}\" must be a {expected}")
            }
            Self::Unknown { key } => write!(f, "key {key} is not known and has no features"),
            Self::Corrupt { part } => write!(f, "model is corrupted: {part}"),
            Self::Cancelled => f.write_str("cancelled"),
        }
    }
}

impl std::error::Error for Error {}
