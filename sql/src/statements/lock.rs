//! LOCK [TABLE] name, … [IN mode MODE] [NOWAIT].
//!
//! Nobody waits here: a transaction that has locked a table against changes and commits work of its
//! own fails with 40001 if others have changed the table's rows meanwhile.

use catalog::Relation;
use datafusion::sql::sqlparser::ast::ObjectName;

use super::Context;
use crate::access::Privileges;
use crate::error::{Error, Result};
use crate::parse::Lock;
use crate::plan::Found;

pub(super) fn run(context: &mut Context<'_>, lock: &Lock) -> Result<String> {
    lock.tables.iter().try_for_each(|name| self::lock(context, name, lock.excludes_changes))?;
    Ok("LOCK TABLE".to_owned())
}

fn lock(context: &mut Context<'_>, name: &ObjectName, excludes_changes: bool) -> Result<()> {
    let (place, found) = context.environment.expect(context.lakes, name)?;
    let needed = if excludes_changes { Privileges::UPDATE } else { Privileges::SELECT };
    context.environment.require(context.lakes, &place, &found, needed)?;
    match found {
        Found::Relation(Relation::Table(table)) if excludes_changes => {
            context.lakes.of(&place).depends_on(table.id);
            Ok(())
        }
        Found::Relation(_) => Ok(()),
        Found::External(_) => {
            Err(Error::new("42809", format!("\"{}\" is not a table or view", place.name)))
        }
    }
}
