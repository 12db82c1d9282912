//! What models of retrieval share: their errors, and whom training tells how far it is.

use std::ops::ControlFlow;

use crate::simd::level::Level;

/// How far a training is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Progress {
    /// Whether rows are held out to stop early by; the last training is on all.
    pub held_out: bool,
    /// From 1, of at most so many.
    pub epoch: usize,
    pub epochs: usize,
    /// Examples of the epoch that are done, of so many.
    pub examples: usize,
    pub of: usize,
    /// Mean loss of an example so far, when it is known.
    pub loss: Option<f32>,
}

/// Threads to work with, and whom to tell how far the work is.
#[derive(Clone, Copy)]
pub struct Work<'a> {
    pub level: Level,
    pub threads: usize,
    /// Told several times a second, if the machine is not too slow; a break ends the training with
    /// `Cancelled`.
    pub watch: &'a (dyn Fn(Progress) -> ControlFlow<()> + Sync),
}

impl Work<'_> {
    /// All on this thread, and never stopped.
    pub fn alone() -> Self {
        Self { level: Level::best(), threads: 1, watch: &|_| ControlFlow::Continue(()) }
    }
}

/// Why a model cannot be trained, read or asked: the caller's mistake, but for `Cancelled`.
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
