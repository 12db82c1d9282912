//! TRUNCATE [TABLE] name, ….

use datafusion::sql::sqlparser::ast::Truncate;

use super::Context;
use crate::error::Result;

pub(super) fn run(context: &mut Context<'_>, truncate: &Truncate) -> Result<String> {
    for target in &truncate.table_names {
        if let Some((place, table)) = context.table(&target.name, truncate.if_exists)? {
            context.lakes.of(&place).truncate(table.id);
        }
    }
    Ok("TRUNCATE TABLE".into())
}
