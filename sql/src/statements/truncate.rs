//! TRUNCATE [TABLE] name, ….

use std::sync::Arc;

use catalog::Relation;
use datafusion::sql::sqlparser::ast::Truncate;

use super::Context;
use crate::access::Privileges;
use crate::error::Result;
use crate::plan::Found;

pub(super) fn run(context: &mut Context<'_>, truncate: &Truncate) -> Result<String> {
    for target in &truncate.table_names {
        if let Some((place, table)) = context.table(&target.name, truncate.if_exists)? {
            let found = Found::Relation(Relation::Table(Arc::clone(&table)));
            let needed = Privileges::TRUNCATE;
            context.environment.require(context.lakes, &place, &found, needed)?;
            context.lakes.of(&place).truncate(table.id);
        }
    }
    Ok("TRUNCATE TABLE".into())
}
