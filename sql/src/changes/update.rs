//! UPDATE … SET … [FROM …] [WHERE …]: `SELECT 2, address, new column values`.

use std::sync::Arc;

use catalog::{FILE_COLUMN, POSITION_COLUMN, Table};
use datafusion::sql::sqlparser::ast::{
    self, Assignment, AssignmentTarget, TableWithJoins, UpdateTableFromKind,
};

use super::{
    ACTION_COLUMN, Change, Planner, Shape, UPDATE, alias_of, assigned_column, item, null, number,
    qualified, select, target_factor, target_of, typed_actions,
};
use crate::error::{Error, Result};
use crate::parse;

impl Planner<'_> {
    pub(super) async fn update(&self, update: ast::Update) -> Result<Change> {
        let (name, alias) = target_of(&update.table.relation, "UPDATE")?;
        let (place, table) = self.target(name)?;
        let alias = alias_of(alias, &place);
        let mut values: Vec<ast::Expr> =
            table.columns.iter().map(|c| qualified(&alias, &c.name)).collect();
        let mut types = self.types.to_vec();
        for (index, value) in assignments(&table, &update.assignments)? {
            super::insert::declare(&mut types, &value, &table.columns[index].field);
            values[index] = value;
        }
        let mut items = vec![
            item(number(UPDATE), ACTION_COLUMN),
            item(qualified(&alias, FILE_COLUMN), FILE_COLUMN),
            item(qualified(&alias, POSITION_COLUMN), POSITION_COLUMN),
        ];
        let named = values.into_iter().enumerate();
        items.extend(named.map(|(index, value)| item(value, &format!("__sextant_{index}"))));
        let mut from = vec![TableWithJoins {
            relation: target_factor(&alias),
            joins: update.table.joins.clone(),
        }];
        match update.from {
            None => {}
            Some(
                UpdateTableFromKind::AfterSet(tables) | UpdateTableFromKind::BeforeSet(tables),
            ) => {
                from.extend(tables);
            }
        }
        let query = select(items, from, update.selection)?;
        let planner = Planner { types: &types, ..*self };
        let plan = planner.plan(query, &place, &table).await?;
        let plan = typed_actions(self.environment, plan, &table)?;
        let mut change = Change::new(self.lakes, place, table, "UPDATE", Shape::Actions, plan);
        change.returning_items = update.returning.map(|items| (items, alias));
        Ok(change)
    }
}

/// SET's columns and values, DEFAULT and `(a, b) = (1, 2)` written out.
pub(super) fn assignments(
    table: &Arc<Table>,
    assignments: &[Assignment],
) -> Result<Vec<(usize, ast::Expr)>> {
    let mut found: Vec<(usize, ast::Expr)> = Vec::new();
    for assignment in assignments {
        let pairs = match &assignment.target {
            AssignmentTarget::ColumnName(name) => vec![(name.clone(), assignment.value.clone())],
            AssignmentTarget::Tuple(names) => match &assignment.value {
                ast::Expr::Tuple(values) if values.len() == names.len() => {
                    names.iter().cloned().zip(values.iter().cloned()).collect()
                }
                ast::Expr::Tuple(_) => {
                    let message = "number of columns does not match number of values";
                    return Err(Error::new("42601", message));
                }
                _ => return Err(Error::unsupported("a subquery for several columns in SET")),
            },
        };
        for (name, value) in pairs {
            let index = assigned_column(table, &name)?;
            if found.iter().any(|(other, _)| *other == index) {
                let name = &table.columns[index].name;
                let message = format!("multiple assignments to same column \"{name}\"");
                return Err(Error::new("42601", message));
            }
            let default = table.columns[index].default.as_deref();
            found.push((index, default_or(value, default)?));
        }
    }
    Ok(found)
}

fn default_or(value: ast::Expr, default: Option<&str>) -> Result<ast::Expr> {
    match (&value, default) {
        (ast::Expr::Identifier(name), default)
            if name.quote_style.is_none() && name.value.eq_ignore_ascii_case("default") =>
        {
            default.map_or_else(|| Ok(null()), parse::parse_expression)
        }
        _ => Ok(value),
    }
}
