//! Feature views with windows at label time: `sum(amount) OVER (PARTITION BY user_id ORDER BY ts
//! RANGE INTERVAL '1 hour' PRECEDING)` tells of the hour before the label, not before the last row.
//!
//! ```text
//!   query ─ syntax ─▶ rows, calls, made ─ view ─▶ rows, WindowFeatures, columns over both
//!   joined as of a label     labels ⟕ rows, with the features beside: one AsOf
//!   read as a relation       the same, each row being a label of its own time
//! ```
//! So what a view says of itself is what a training set would be told at the row's key and time.

mod made;
mod spec;
mod syntax;
mod view;

use std::collections::BTreeMap;

use datafusion::sql::sqlparser::ast::Query;

use crate::error::Result;

pub(crate) use view::{Under, WindowedView};

/// The windows of a query by the column that they make, as a user would write them; none: the
/// query has none at label time. Errors: 0A000 for windows that cannot be that.
pub(crate) fn texts(query: &Query) -> Result<BTreeMap<String, String>> {
    let found = syntax::TakenApart::of(query)?;
    let made = found.into_iter().flat_map(|found| found.made);
    Ok(made.map(|made| (made.name, made.text)).collect())
}
