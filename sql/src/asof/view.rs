//! What a feature view says of its times, for joins that leave them out.
//!
//! | the join says              | the view adds                                                |
//! |----------------------------|--------------------------------------------------------------|
//! | nothing                    | keys and time by its columns' names, and its limits          |
//! | `AS OF l.ts`, ON its keys  | its time and its limits                                      |
//! | its keys and its time      | its limits: TTL, DELAY, and CREATED between equal times      |
//! | another time or direction  | nothing                                                      |

use datafusion::common::{Column, DFSchema};
use datafusion::logical_expr::expr::BinaryExpr;
use datafusion::logical_expr::planner::RelationPlannerContext;
use datafusion::logical_expr::{Expr, Operator};
use datafusion::sql::sqlparser::ast::TableFactor;

use super::node::Kind;
use super::relation::On;
use crate::error::{Error, Result};
use crate::features::windows::{Under, WindowedView};
use crate::features::{FeatureViewTable, Rows, Version, point_in_time};

/// The feature view that a relation is.
pub(super) fn of(
    relation: &TableFactor,
    context: &dyn RelationPlannerContext,
) -> Option<(Version, Rows)> {
    let TableFactor::Table { name, args: None, .. } = relation else { return None };
    let reference = context.object_name_to_table_reference(name.clone()).ok()?;
    let source = context.context_provider().get_table_source(reference).ok()?;
    FeatureViewTable::of(&source)
}

/// What a join with a feature view has said so far.
pub(super) struct Said<'a> {
    pub left: &'a DFSchema,
    pub right: &'a DFSchema,
    pub keys: &'a mut Vec<Expr>,
    pub time: &'a mut Option<Expr>,
    pub label_time: Option<Expr>,
    pub nearest: bool,
    /// Neither ON nor USING.
    pub bare: bool,
}

/// Adds what the join left out; the answer holds the view's limits. None: the join is one with the
/// view's rows by another time or direction.
pub(super) fn complete(version: &Version, said: Said<'_>) -> Result<Option<On>> {
    let Said { left, right, keys, time, label_time, nearest, bare } = said;
    if bare && keys.is_empty() {
        for key in &version.key {
            let label = of_label(left, key, "KEY")?;
            let row = point_in_time::column(right, key)?;
            keys.push(point_in_time::binary(label, Operator::Eq, row));
        }
    }
    for key in &version.key {
        let row = point_in_time::column(right, key)?;
        let compared = |condition: &Expr| match condition {
            Expr::BinaryExpr(BinaryExpr { right, .. }) => **right == row,
            _ => false,
        };
        if !keys.iter().any(compared) {
            return Err(Error::new(
                "42601",
                format!("the join leaves out the view's key \"{key}\""),
            )
            .with_hint("Compare every key of the feature view with a column of the labels."));
        }
    }
    let label_time = match (&*time, label_time) {
        (None, None) => Some(of_label(left, &version.timestamp, "TIMESTAMP")?),
        (_, label_time) => label_time,
    };
    if let Some(label_time) = label_time {
        *time = Some(point_in_time::time(version, (label_time, left), right, false)?);
        return point_in_time::limits(version, right).map(Some);
    }
    let row = point_in_time::column(right, &version.timestamp)?;
    match time {
        Some(Expr::BinaryExpr(BinaryExpr {
            op: Operator::GtEq | Operator::Gt, right: of, ..
        })) if **of == row && !nearest => point_in_time::limits(version, right).map(Some),
        _ => Ok(None),
    }
}

/// The view's rows and windows in a join of the right side's name; `over`: what the join says of
/// them. Errors: 0A000 where windows cannot be told of.
pub(super) fn windows<'a>(
    view: &WindowedView,
    right: &DFSchema,
    (kind, is_own): (Kind, bool),
    over: impl Iterator<Item = &'a Expr>,
) -> Result<Under> {
    if !is_own {
        let what = "an AS OF join with windows by another time or direction than the view's";
        return Err(Error::unsupported(what)
            .with_hint("Windows look back from the label's time: write AS OF l.ts."));
    }
    let made = |column: &&Column| right.has_column(column) && view.is_made(column.name());
    for expression in over {
        if let Some(column) = expression.column_refs().into_iter().find(made) {
            let what = format!("a join ON \"{}\", which is of a window,", column.name());
            return Err(Error::unsupported(what)
                .with_hint("Put the condition in WHERE, where it filters matches."));
        }
    }
    let Some((Some(name), _)) = right.iter().next() else {
        return Err(Error::unsupported("this form of a feature view with windows"));
    };
    let under = view.under(name, |_| matches!(kind, Kind::Inner | Kind::Left))?;
    if !view.names().eq(right.fields().iter().map(|field| field.name())) {
        return Err(Error::unsupported("other names for columns of a feature view with windows"));
    }
    Ok(under)
}

/// The label's column of this name; of several the leftmost.
fn of_label(labels: &DFSchema, name: &str, what: &str) -> Result<Expr> {
    let columns = labels.columns();
    let found = columns.iter().find(|column| column.name == name).cloned();
    found.map(Expr::Column).ok_or_else(|| {
        let message = format!("the left side has no column \"{name}\", the view's {what} column");
        let names: Vec<&str> = columns.iter().map(|column| column.name.as_str()).collect();
        Error::new("42703", message).with_hint(format!(
            "It has: {}. ON … AND l.time >= v.{name} compares columns of other names.",
            names.join(", ")
        ))
    })
}

/// 42809: the join leaves out what only a feature view says.
pub(super) fn not_one(relation: &TableFactor, place: Option<(u64, u64)>) -> Error {
    let name = match relation {
        TableFactor::Table { name, .. } => name.to_string(),
        TableFactor::Derived { alias: Some(alias), .. } => alias.name.to_string(),
        _ => "the relation".to_owned(),
    };
    let message = format!("\"{}\" is not a feature view", name.trim_matches('"'));
    Error::new("42809", message)
        .with_detail("The join does not say which times it compares.")
        .with_hint("Write ASOF JOIN r MATCH_CONDITION (l.ts >= r.ts) ON l.key = r.key.")
        .at_place(place)
}
