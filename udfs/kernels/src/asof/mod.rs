//! AS OF join: for each label, the greatest row that it may take. Labels are held, rows stream by.
//!
//! ```text
//!   labels of a key   ───t1─────────t2────t3──────▶ time      sorted, each time once
//!   a row at ts           └▶ ● is for t2, and for t3 unless a greater one is
//!   winners              [   ,     ●  ,      ]                one place a label time
//!   filled               [   ,     ●  ,  ●   ]                greatest so far, from left to right
//! ```
//!
//! A row can be taken by every label from its place on, so it is kept at that place only, if it is
//! the greatest by (`ts`, `created` NULLS FIRST, `seq`) that came there; one pass at the end fills
//! the other places. Rows may come in any order and through any number of states that are merged:
//! the answer is the same. Rows that come sorted by (key, time) are placed by a step of a cursor,
//! which is a merge join; others are ordered by key as they are offered, and searched for. Memory
//! is that of the labels.
//!
//! Looking forward is the same with the order of times reversed; nearest is both.
//! How old a match may be is asked at the end: what is eligible and greatest is also the youngest,
//! so if it is too old, all are.
//!
//! NULL keys and times are in no place: labels say so by `NOWHERE`, rows are not offered.

mod direct;
mod labels;
mod offer;
mod states;
#[cfg(test)]
mod tests;
mod time;
mod windows;
mod winners;

pub use direct::ByKey;
pub use labels::{Cursor, Labels, NOWHERE};
pub use offer::{by_slot, comes_by_key};
pub use states::{Ends, Extremes, Instant, Spread, Sum, Total, Whole, insert_end};
pub use time::{Axis, float_of, time_of_float};
pub use windows::{Frame, State, Windows, merge_cells};
pub use winners::{Match, Settled, Winners};

/// Where a label looks for its row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// The latest row with `ts + delay <= t`; `known`: and with `created <= t`, NULL excluded.
    Backward { delay: i64, known: bool },
    /// The earliest row with `t <= ts`.
    Forward,
    /// Whichever of both is nearer; the earlier one if neither is.
    Nearest,
}

/// Which rows a label may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rule {
    pub direction: Direction,
    /// `<` in place of `<=`: a row of the label's own time is not taken.
    pub strict: bool,
    /// Whether rows have `created`; if not, what they say is passed over.
    pub created: bool,
    /// Whether rows have `seq`, likewise.
    pub seq: bool,
}

/// A row of the other side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Row {
    pub ts: i64,
    /// When it became known; of two rows with one `ts` the later wins, NULL being the earliest.
    pub created: Option<i64>,
    /// Decides between rows that agree in both.
    pub seq: i64,
}

/// Rows that are offered together, as columns of one length.
#[derive(Debug, Clone, Copy)]
pub struct Rows<'a> {
    /// Slots of the rows' keys; `NOWHERE` for one that no label can take.
    pub slots: &'a [u32],
    pub ts: &'a [i64],
    /// See `Row`; None: unknown of all rows.
    pub created: Option<&'a [Option<i64>]>,
    /// See `Row`; None: 0 of all rows.
    pub seq: Option<&'a [i64]>,
    /// The rows in the order that they are looked at; None: as they are. `by_slot` gives it to rows
    /// of mixed keys.
    pub order: Option<&'a [u32]>,
}

/// Keeps the rows that win a place, under handles of its own; all but `u64::MAX` will do. Rows are
/// numbered as they are offered together.
pub trait Keeper {
    /// Whether a row comes after the one of a handle, both agreeing in all of `Row`.
    fn is_later(&mut self, row: usize, held: u64) -> bool;
    /// The handle of a row which has won a cell; `replaced` is out of it. There are as many cells
    /// as `Winners::cells` says.
    fn keep(&mut self, row: usize, cell: usize, replaced: Option<u64>) -> u64;
    /// The same for two rows that are held: whether the first comes after the second.
    fn comes_after(&self, held: u64, other: u64) -> bool;
}
