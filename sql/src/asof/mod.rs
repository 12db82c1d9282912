//! AS OF joins: for each row of the left side, the nearest row of the right side in time.
//!
//! ```text
//!   text ─ tokens ─▶ text ─ syntax ─▶ AST ─ relation ─▶ AsOf ─ push ─▶ AsOf ─ physical ─▶ AsOfExec
//!     all spellings    one form      in parentheses    node   filters             join, keys, keep
//! ```
//! `window` is what windows of rows tell at the label's time, beside the row that it takes: those
//! of feature views, see `features::windows`.
//!
//! The algorithm is `kernels::asof`; this folder adapts types, memory and threads to it. What the
//! engine knows of it is registered in three places: its planner of relations, of queries, and a
//! rule of its optimizer. A version of the engine that brings the form it parses makes `tokens`
//! smaller; it has no tolerance, no kinds and no order of ties.

mod cells;
mod codec;
mod direct;
mod exec;
mod filter;
mod gather;
mod join;
mod keep;
mod keys;
mod node;
mod output;
mod physical;
mod push;
mod relation;
mod sequence;
mod spill;
mod stream;
mod syntax;
#[cfg(test)]
mod tests;
mod times;
mod tokens;
mod tolerance;
mod values;
mod view;
mod window;

pub use codec::AsOfCodec;
pub use exec::AsOfExec;
pub use gather::Gathered;
pub(crate) use node::tells_windows;
pub use node::{AsOf, Kind, Known};
pub use physical::AsOfQueries;
pub use push::optimizer_rules;
pub use relation::AsOfRelations;
pub(crate) use relation::{On, join_plans as join};
pub(crate) use sequence::sequenced;
pub(crate) use syntax::{lacks_time, nest};
pub(crate) use tokens::folded;
pub use window::WindowFeature;
