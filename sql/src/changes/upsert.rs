//! INSERT … ON CONFLICT: the rows to insert, joined to the rows that have their keys.

use std::sync::Arc;

use catalog::Table;
use datafusion::catalog::view::ViewTable;
use datafusion::datasource::provider_as_source;
use datafusion::functions_window::expr_fn::row_number;
use datafusion::logical_expr::{LogicalPlan, LogicalPlanBuilder};
use datafusion::sql::sqlparser::ast::{
    BinaryOperator, ConflictTarget, Expr, JoinOperator, OnConflict, OnConflictAction,
};

use super::insert::keys;
use super::merge::{Clause, SOURCE_COLUMN, and, clause_items, is_not_null, is_null, joined, on};
use super::update::assignments;
use super::{
    Change, INSERT, Own, Planner, Twice, UPDATE, column_index, columns_at, qualified, select,
    table_alias,
};
use crate::error::{Error, Result};
use crate::plan::{self, Given};

/// The name under which the rows to insert are planned.
const ROWS: &str = "\u{3}rows";
const EXCLUDED: &str = "excluded";
const AGAIN: &str = "ON CONFLICT DO UPDATE command cannot affect row a second time";

impl Planner<'_> {
    /// Turns a planned INSERT into an upsert.
    pub(super) async fn upsert(
        &self,
        change: &mut Change,
        conflict: OnConflict,
        alias: &str,
    ) -> Result<()> {
        let keys = conflict_keys(&change.table, conflict.conflict_target.as_ref())?;
        let updates = matches!(conflict.action, OnConflictAction::DoUpdate(_));
        if updates && conflict.conflict_target.is_none() {
            let message =
                "ON CONFLICT DO UPDATE requires inference specification or constraint name";
            return Err(
                Error::new("42601", message).with_hint("For example, ON CONFLICT (column_name).")
            );
        }
        let Some(condition) = key_condition(&change.table, &keys, alias) else {
            return Ok(());
        };
        let own = self.own(&change.place, &change.table);
        let clauses = clauses((&change.table, &own), conflict.action, alias)?;
        let rows = numbered(std::mem::take(&mut change.plan))?;
        let rows = provider_as_source(Arc::new(ViewTable::new(rows, None)));
        let source = plan::table_factor(plan::object_name(&[ROWS]), Some(table_alias(EXCLUDED)));
        let from = joined(source, JoinOperator::LeftOuter(on(condition)), alias);
        let mut query = select(clause_items(&clauses, &change.table, alias), vec![from], None)?;
        // The first of several rows with one key is inserted: the order must be the source's.
        query.order_by = crate::parse::parse_query(&format!(
            "SELECT 1 ORDER BY \"{EXCLUDED}\".\"{SOURCE_COLUMN}\""
        ))?
        .order_by;
        let target = self.addressed(&change.place, &change.table).await?;
        let given = [
            (super::TARGET.to_string(), Given::Table(target)),
            (ROWS.to_string(), Given::Table(rows)),
        ];
        let plan = self.plan_given(query, self.types, given).await?;
        let values = columns_at(&plan, 3..3 + change.table.columns.len());
        let target = (change.place.clone(), Arc::clone(&change.table));
        *change = Change::of_actions(self, target, change.tag, plan, values, &[])?;
        change.depends = true;
        let twice = if updates { Twice::Fail(AGAIN) } else { Twice::First };
        change.distinct = keys.into_iter().next().map(|key| (key, twice.clone()));
        change.twice = twice;
        Ok(())
    }
}

/// The rows with their running number.
fn numbered(rows: LogicalPlan) -> Result<LogicalPlan> {
    let plan = LogicalPlanBuilder::from(rows).window(vec![row_number().alias(SOURCE_COLUMN)])?;
    Ok(plan.build()?)
}

/// The declared keys that the conflict target names; all of them without a target.
fn conflict_keys(table: &Table, target: Option<&ConflictTarget>) -> Result<Vec<Vec<usize>>> {
    let keys = keys(table);
    match target {
        None => Ok(keys.into_iter().map(|(_, columns)| columns).collect()),
        Some(ConflictTarget::OnConstraint(name)) => {
            let name = plan::parts(name)?.pop().unwrap_or_default();
            let found = keys.into_iter().find(|(other, _)| *other == name);
            found.map(|(_, columns)| vec![columns]).ok_or_else(|| {
                let message =
                    format!("constraint \"{name}\" for table \"{}\" does not exist", table.name);
                Error::new("42704", message)
            })
        }
        Some(ConflictTarget::Columns(names)) => {
            let wanted: Result<Vec<usize>> =
                names.iter().map(|n| column_index(table, &crate::names::folded(n))).collect();
            let mut wanted = wanted?;
            wanted.sort_unstable();
            let found = keys.into_iter().map(|(_, columns)| columns).find(|columns| {
                let mut sorted = columns.clone();
                sorted.sort_unstable();
                sorted == wanted
            });
            found.map(|columns| vec![columns]).ok_or_else(|| {
                let message = "there is no unique or exclusion constraint matching the \
                               ON CONFLICT specification";
                Error::new("42P10", message)
                    .with_hint("Declare PRIMARY KEY or UNIQUE on these columns.")
            })
        }
    }
}

/// `t.a = excluded.a AND … OR …`; None without keys.
fn key_condition(table: &Table, keys: &[Vec<usize>], alias: &str) -> Option<Expr> {
    let equal = |index: &usize| Expr::BinaryOp {
        left: Box::new(qualified(alias, &table.columns[*index].name)),
        op: BinaryOperator::Eq,
        right: Box::new(qualified(EXCLUDED, &table.columns[*index].name)),
    };
    let all = |key: &Vec<usize>| key.iter().map(equal).reduce(and);
    keys.iter().filter_map(all).reduce(|left, right| Expr::BinaryOp {
        left: Box::new(Expr::Nested(Box::new(left))),
        op: BinaryOperator::Or,
        right: Box::new(Expr::Nested(Box::new(right))),
    })
}

fn clauses(
    (table, own): (&Arc<Table>, &Own),
    action: OnConflictAction,
    alias: &str,
) -> Result<Vec<Clause>> {
    let position = qualified(alias, catalog::POSITION_COLUMN);
    let insert = Clause {
        condition: is_null(position.clone()),
        action: INSERT,
        values: table.columns.iter().map(|c| qualified(EXCLUDED, &c.name)).collect(),
    };
    let OnConflictAction::DoUpdate(update) = action else { return Ok(vec![insert]) };
    let mut values: Vec<Expr> = table.columns.iter().map(|c| qualified(alias, &c.name)).collect();
    for (index, value) in assignments(table, own, &update.assignments)?.expressions() {
        values[index] = value;
    }
    let mut condition = is_not_null(position);
    if let Some(predicate) = update.selection {
        condition = and(condition, Expr::Nested(Box::new(predicate)));
    }
    Ok(vec![insert, Clause { condition, action: UPDATE, values }])
}
