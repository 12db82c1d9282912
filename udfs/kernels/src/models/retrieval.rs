//! What models of retrieval share: their errors.

pub use super::work::{Progress, Work};

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
