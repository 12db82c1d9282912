//! CREATE SCHEMA [IF NOT EXISTS] name.

use datafusion::sql::sqlparser::ast::SchemaName;

use super::Context;
use crate::error::{Error, Result};
use crate::{Notice, plan};

pub(super) fn run(
    context: &mut Context<'_>,
    name: &SchemaName,
    if_not_exists: bool,
) -> Result<String> {
    let (SchemaName::Simple(name) | SchemaName::NamedAuthorization(name, _)) = name else {
        return Err(Error::unsupported("CREATE SCHEMA without a name"));
    };
    let parts = plan::parts(name)?;
    let name = match parts.as_slice() {
        [name] => name,
        [database, name] if *database == context.environment.database => name,
        _ => return Err(Error::new("42601", format!("improper schema name: {name}"))),
    };
    let tag = "CREATE SCHEMA".to_string();
    if name.starts_with("pg_") {
        return Err(Error::new("42939", format!("unacceptable schema name \"{name}\""))
            .with_detail("The prefix \"pg_\" is reserved for system schemas."));
    }
    let reserved = matches!(name.as_str(), "information_schema" | "lake" | "ml");
    if reserved || context.lakes.main.state().schemas.contains_key(name) {
        let message = format!("schema \"{name}\" already exists");
        if !if_not_exists {
            return Err(Error::new("42P06", message));
        }
        context
            .notices
            .push(Notice { sqlstate: "42P06", ..Notice::notice(format!("{message}, skipping")) });
        return Ok(tag);
    }
    context.lakes.main.create_schema(name)?;
    Ok(tag)
}
