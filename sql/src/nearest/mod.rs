//! Nearest rows by a vector index: `ORDER BY embedding <-> $1 LIMIT k`.
//!
//! ```text
//!   Sort d, fetch k                     Sort d, fetch k       orders by exact distances
//!   └ Projection d = embedding <-> q    └ Projection
//!     └ Filter price < 50                 └ Filter
//!       └ TableScan             ──▶         └ Nearest         the k nearest that pass, or more
//!                                             └ TableScan     whole where that is better
//! ```
//!
//! Only the scan is replaced, by one that gives fewer rows: those that the index finds, and all
//! that no segment covers. What stands above computes distances from the vectors themselves,
//! filters and orders as ever, so that a wrong row cannot come out, and the recall of the index is
//! all that differs from an exact answer. Filters are asked first, and the index looks among the
//! rows that pass; columns that the index includes stay in memory for that, others are scanned.
//! Deleted rows are hidden; an index has what its snapshot had.
//!
//! A recall of 1 is a scan, but where the server has a GPU: it searches all vectors of the segments
//! (`gpu`), and the rows are those of the scan.
//!
//! A NULL query, one of another dimension, a segment that is damaged: the table is read whole.
//! Many queries at once, as LATERAL has them, are a join of their own (`each`). `embedding_map`
//! lays all vectors out in the plane.

mod ann_topk;
mod each;
mod each_exec;
mod embedding_map;
mod embedding_map_exec;
mod exec;
mod gpu;
mod matching;
mod node;
mod of_index;
mod physical;
mod query;
mod recall;
mod rule;
mod searches;
mod told;

pub(crate) use ann_topk::expand;
pub(crate) use each::{is_each, to_each};
pub use each_exec::NearestToEachExec;
pub(crate) use embedding_map::{NAME as EMBEDDING_MAP, load as embedding_map};
pub use exec::NearestExec;
pub use gpu::Gpu;
pub(crate) use of_index::load as of_index;
pub(crate) use physical::Searching;
pub(crate) use recall::with_recall;
pub use rule::NearestRule;
pub use searches::{Processor, Searches, Wanted};
pub use told::told;

/// Name, arguments, what it is for.
type Listed = (&'static str, &'static [&'static str], &'static str);

/// The relations: name, arguments, what each is for.
pub(crate) fn listed() -> impl Iterator<Item = Listed> {
    [ann_topk::listed(), embedding_map::LISTED].into_iter().chain(of_index::LISTED)
}

/// The name of a relation that is loaded before planning: of the index itself, not of its rows.
pub(crate) fn is_of_index(function: &str) -> Option<&'static str> {
    [of_index::RECALL, of_index::PREWARM].into_iter().find(|name| *name == function)
}
