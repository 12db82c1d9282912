//! DELETE FROM … [USING …] [WHERE …]: `SELECT 3, address, old column values`.

use catalog::{FILE_COLUMN, POSITION_COLUMN};
use datafusion::sql::sqlparser::ast::{self, FromTable, TableWithJoins};

use super::{
    ACTION_COLUMN, Change, DELETE, Planner, Shape, alias_of, item, null, number, qualified, select,
    target_factor, target_of, typed_actions,
};
use crate::error::{Error, Result};

impl Planner<'_> {
    pub(super) async fn delete(&self, delete: ast::Delete) -> Result<Change> {
        let (FromTable::WithFromKeyword(tables) | FromTable::WithoutKeyword(tables)) = &delete.from;
        let [TableWithJoins { relation, .. }] = tables.as_slice() else {
            return Err(Error::unsupported("DELETE from several tables"));
        };
        let (name, alias) = target_of(relation, "DELETE")?;
        let (place, table) = self.target(name)?;
        let alias = alias_of(alias, &place);
        let mut items = vec![
            item(number(DELETE), ACTION_COLUMN),
            item(qualified(&alias, FILE_COLUMN), FILE_COLUMN),
            item(qualified(&alias, POSITION_COLUMN), POSITION_COLUMN),
        ];
        for (index, column) in table.columns.iter().enumerate() {
            // Old values are read only where RETURNING shows them.
            let value = match delete.returning {
                Some(_) => qualified(&alias, &column.name),
                None => null(),
            };
            items.push(item(value, &format!("__sextant_{index}")));
        }
        let mut from = vec![TableWithJoins { relation: target_factor(&alias), joins: Vec::new() }];
        from.extend(delete.using.unwrap_or_default());
        let query = select(items, from, delete.selection)?;
        let plan = self.plan(query, &place, &table).await?;
        let plan = typed_actions(self.environment, plan, &table)?;
        let mut change = Change::new(self.lakes, place, table, "DELETE", Shape::Actions, plan);
        change.returning_items = delete.returning.map(|items| (items, alias));
        Ok(change)
    }
}
