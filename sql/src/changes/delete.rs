//! DELETE FROM … [USING …] [WHERE …]: `SELECT 3, address, old column values`.

use datafusion::sql::sqlparser::ast::{self, FromTable, TableWithJoins};

use super::{
    Change, DELETE, Planner, address_items, alias_of, all_columns, columns_at, item, null, number,
    qualified, select, source_columns, target_factor, target_of,
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
        let mut items = address_items(number(DELETE), &alias);
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
        if delete.returning.is_some() && from.len() > 1 {
            items.push(all_columns());
        }
        let query = select(items, from, delete.selection)?;
        let plan = self.plan(query, &place, &table).await?;
        let own = 3..3 + table.columns.len();
        let sources = source_columns(&plan, own.end, &alias);
        let values = columns_at(&plan, own);
        let target = (place, table);
        let mut change = Change::of_actions(self, target, "DELETE", plan, values, &sources)?;
        if let Some(items) = delete.returning {
            change.returning = Some(self.returning(&change, items, &alias).await?);
        }
        Ok(change)
    }
}
