//! What feature views say of keys at a moment: the seam between those who ask and where it is kept.
//!
//! ```text
//!   keys, one row a question ─┐
//!   views with their rows ────┼─▶ values ─▶ keys │ features of each view │ a status of each view
//!   the moment ───────────────┘
//! ```
//! The answer is that of a training set whose labels have the moment for their time. It is joined
//! without TTL: the greatest row decides whether a key has a row that is too old or none. If the
//! greatest row is too old, so are all.

use datafusion::common::Column;
use datafusion::logical_expr::expr::BinaryExpr;
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder, Operator, lit, when};

use super::point_in_time::{self, Taking, binary, column};
use super::windows::Under;
use super::{Rows, ServiceView, Version, status, training_set};
use crate::asof::Kind;
use crate::error::{Error, Result};
use crate::plan::{Environment, Lakes};

/// The qualifier of the columns of keys.
pub(super) const KEYS: &str = "keys";

/// A view of a service, ready to be asked.
#[derive(Debug, Clone)]
pub(super) struct ServedView {
    pub of: ServiceView,
    pub version: Version,
    /// Keys, times and features.
    pub rows: Rows,
}

/// The views of a service; the statement's role must be allowed to read each.
pub(super) async fn views(
    environment: &Environment,
    lakes: &Lakes,
    of: &[ServiceView],
    depth: usize,
) -> Result<Vec<ServedView>> {
    let mut found = Vec::with_capacity(of.len());
    for of in of {
        let (version, rows) = training_set::rows(environment, lakes, of, depth).await?;
        found.push(ServedView { of: of.clone(), version, rows });
    }
    Ok(found)
}

/// One row for each of `keys`, in their order: its columns, then features, then statuses.
/// `keys` has a column for every key of every view; `moment` is over it.
///
/// Errors: 42701 for columns of one name.
pub(super) fn values(
    keys: LogicalPlan,
    names: &[String],
    moment: &Expr,
    views: &[ServedView],
    full_names: bool,
) -> Result<LogicalPlan> {
    let key = |name: &str| Expr::Column(Column::new(Some(KEYS), name));
    let mut output: Vec<(Expr, String)> =
        names.iter().map(|name| (key(name), name.clone())).collect();
    let mut statuses = Vec::with_capacity(views.len());
    let mut plan = keys;
    for (index, ServedView { of, version, rows }) in views.iter().enumerate() {
        let alias = format!("{}\u{3}{index}", of.alias);
        let wanted = training_set::features(of, version);
        let is_wanted = |column: &str| wanted.iter().any(|(feature, _)| feature == column);
        let Under { rows, features, columns } = rows.under(&alias, is_wanted)?;
        let on = of.key.iter().zip(&version.key).map(|(of_key, name)| {
            Ok(binary(key(of_key), Operator::Eq, column(rows.schema(), name)?))
        });
        let on = on.collect::<Result<Vec<_>>>()?;
        let row_time = row_time(version, moment, &plan, &rows)?;
        // Windows must not see what is too old: of such views EXPIRED is not told from NOT_FOUND.
        let ttl_us = version.ttl_us.filter(|_| version.has_windows());
        let untimed = Version { ttl_us, ..version.clone() };
        let taking = Taking {
            version: &untimed,
            kind: Kind::Left,
            keys: on,
            label_time: moment.clone(),
            strict: false,
            known: None,
            of_training_set: false,
            features,
        };
        plan = point_in_time::join(plan, rows, taking)?;
        let mut values = Vec::with_capacity(wanted.len());
        for (name, shown) in wanted {
            let found = columns.iter().find(|(column, _)| *column == name);
            let (_, value) = found.ok_or_else(|| {
                let message = format!("feature \"{name}\" of \"{}\" is gone", of.view);
                Error::new("42703", message)
            })?;
            values.push((value.clone(), shown));
        }
        let filled = values.iter().map(|(value, _)| value.clone().is_not_null());
        let filled = filled.reduce(Expr::or).unwrap_or_else(|| lit(true));
        let status = status::of(row_time, version.ttl_us, filled);
        for (value, shown) in values {
            let kept = match untimed.ttl_us == version.ttl_us {
                true => value,
                false => {
                    let expired = status.clone().eq(lit(status::EXPIRED));
                    when(!expired, value).end()?
                }
            };
            let shown = match full_names {
                true => format!("{}__{shown}", of.alias),
                false => shown,
            };
            output.push((kept, shown));
        }
        statuses.push((status, format!("{}_status", of.alias)));
    }
    output.extend(statuses);
    training_set::check_names(&output, "the features")?;
    let items = output.into_iter().map(|(value, name)| value.alias(name));
    Ok(LogicalPlanBuilder::from(plan).project(items.collect::<Vec<_>>())?.build()?)
}

/// The moment and the time of a view's row, both as moments.
fn row_time(
    version: &Version,
    moment: &Expr,
    keys: &LogicalPlan,
    rows: &LogicalPlan,
) -> Result<(Expr, Expr)> {
    let moment = (moment.clone(), keys.schema().as_ref());
    match point_in_time::time(version, moment, rows.schema(), false)? {
        Expr::BinaryExpr(BinaryExpr { left, right, .. }) => Ok((*left, *right)),
        _ => Err(Error::new("XX000", "the times of a feature view are not compared")),
    }
}
