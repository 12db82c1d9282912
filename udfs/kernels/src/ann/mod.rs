//! Approximate nearest neighbours: inverted lists, 4-bit codes of residuals, and a second look.
//!
//! ```text
//!   query ─turn─▶ q ─int8 centres─▶ lists, best first ─4-bit codes─▶ candidates ─int8─▶ nearest
//!                                      │                    │
//!                     stop: at `reach` times the       keep: whose estimate is within the
//!                     mean place of the best so far    error of the k-th best
//! ```
//!
//! Every metric is a greatest score: s = ⟨q, x⟩ for inner products and cosines (of unit vectors),
//! s = ⟨q, x⟩ - |x|²/2 for L2. A row is its list's centre and a residual, so s = (a number for the
//! list) + ⟨q, residual⟩ (+ a number for the row, L2 only), and one table of products serves all
//! lists.
//!
//! Two numbers decide how much is looked at, both relative to what the query finds, so that they
//! fit every query, filter and k: `reach`, how many times as far as the mean place of the best the
//! lists are read, and `margin`, how many standard deviations an estimate may be off. `calibrate`
//! measures what recall they give and stores the curve; a search asks for a recall.
//!
//! A `Model` is what is trained. Segments of one model are immutable and merge by copying; rows not
//! yet in a segment are scanned exactly beside it. Filters and deletions hold during probing, and
//! probing goes on until `min(k, matching rows)` are found.

mod batch;
mod build;
mod calibrate;
mod candidates;
mod clusters;
mod coarse;
mod codes;
pub(crate) mod eigen;
mod format;
mod list;
mod model;
mod parallel;
mod probe;
pub(crate) mod random;
mod search;
mod segment;
mod stand_ins;
mod walk;

pub use batch::search_batch;
pub use build::{Builder, merge};
pub use calibrate::{Calibration, Curve, calibrate};
pub use codes::Grouping;
pub use list::ListSource;
pub use model::{Model, Options, Refine};
pub use parallel::{Phase, Work};
pub use random::{Random, Sample};
pub use search::{Effort, Found, Query, Report, Scratch, search};
pub use segment::{Head, Segment};

use crate::vectors;

/// Why an index cannot be built, opened or searched.
#[derive(Debug, Clone, PartialEq)]
pub enum Error {
    Vector(vectors::Error),
    /// The metric has no index: L1.
    Metric,
    /// A sample without rows.
    NoSample,
    /// A recall that is not over 0 and at most 1.
    Recall,
    /// Row numbers and rows that are not equally many.
    Rows {
        numbers: usize,
        rows: usize,
    },
    /// Bytes that are not what was written; `part` says where.
    Corrupt {
        part: &'static str,
    },
    /// Bytes of a later version.
    Version {
        found: u32,
    },
    /// Segments of different models cannot be merged: build again from the table.
    OtherModel,
    /// Lists that the source does not hold: fetch them and search again.
    Missing {
        lists: Vec<u32>,
    },
    Cancelled,
}

impl std::fmt::Display for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Vector(error) => error.fmt(f),
            Self::Metric => f.write_str("the metric has no index"),
            Self::NoSample => f.write_str("no rows to train an index on"),
            Self::Recall => f.write_str("recall must be greater than 0 and at most 1"),
            Self::Rows { numbers, rows } => write!(f, "{numbers} row numbers for {rows} rows"),
            Self::Corrupt { part } => write!(f, "index segment is corrupted: {part}"),
            Self::Version { found } => write!(f, "index segment has unknown version {found}"),
            Self::OtherModel => f.write_str("index segments were trained apart"),
            Self::Missing { lists } => write!(f, "{} lists are not at hand", lists.len()),
            Self::Cancelled => f.write_str("cancelled"),
        }
    }
}

impl std::error::Error for Error {}

impl From<vectors::Error> for Error {
    fn from(error: vectors::Error) -> Self {
        Self::Vector(error)
    }
}
