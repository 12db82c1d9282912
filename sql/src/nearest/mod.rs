//! Nearest rows by a vector index: `ORDER BY embedding <-> $1 LIMIT k`.
//!
//! ```text
//!   Sort d, fetch k                     Sort d, fetch k             orders by exact distances
//!   └ Projection d = embedding <-> q    └ Projection
//!     └ Filter price < 50                 └ Filter
//!       └ TableScan              ──▶        └ Nearest               at least the k nearest that pass
//!                                             └ TableScan           read whole where that is better
//! ```
//!
//! Only the scan is replaced, by one that gives fewer rows: those that the index finds, and all that
//! no segment covers. What stands above computes distances from the vectors themselves, filters and
//! orders as ever, so that a wrong row cannot come out, and the recall of the index is all that
//! differs from an exact answer. Filters are asked first, and the index looks among the rows that
//! pass. Deleted rows are hidden; an index has what its snapshot had.
//!
//! A NULL query, one of another dimension, a segment that is damaged: the table is read whole.

mod ann_topk;
mod exec;
mod node;
mod physical;
mod recall;
mod rule;
mod searches;
mod told;

pub(crate) use ann_topk::{expand, listed};
pub use exec::NearestExec;
pub(crate) use physical::Planner;
pub(crate) use recall::with_recall;
pub use rule::NearestRule;
pub use searches::{Searches, Wanted};
pub use told::told;
