//! The SQL language of the lake: text to statements, statements to plans and changes.
//!
//! `src` gives an `Environment` (the connection) and `Lakes` (its transaction) and gets back plans
//! to stream or the tag of a finished command. Nothing here knows the wire.

pub mod access;
pub mod asof;
pub mod changes;
pub mod copy;
pub mod error;
mod experiments;
pub mod features;
pub mod functions;
pub mod models;
pub mod names;
pub mod nearest;
pub mod parse;
pub mod pg_type;
pub mod plan;
mod relations;
mod sequences;
pub mod statements;
pub mod system;
pub mod types;

#[cfg(test)]
mod tests;

pub use error::{Error, ErrorObject, Result};
pub use functions::interval::elapsed_intervals;
pub use parse::{Own, Parsed, Statement};
pub use plan::{Environment, Lakes};
pub use sequences::beside as sequences_beside;

/// Something the client is told beside the answer.
#[derive(Debug, Clone)]
pub struct Notice {
    /// `INFO`, `NOTICE` or `WARNING`.
    pub severity: &'static str,
    pub sqlstate: &'static str,
    pub message: String,
    pub hint: Option<String>,
}

impl Notice {
    /// Something worth knowing.
    pub fn notice(message: impl Into<String>) -> Self {
        Self { severity: "NOTICE", sqlstate: "00000", message: message.into(), hint: None }
    }

    /// What was asked for by VERBOSE.
    pub fn info(message: impl Into<String>) -> Self {
        Self { severity: "INFO", ..Self::notice(message) }
    }

    /// Something probably not meant.
    pub fn warning(sqlstate: &'static str, message: impl Into<String>) -> Self {
        Self { severity: "WARNING", sqlstate, message: message.into(), hint: None }
    }
}
