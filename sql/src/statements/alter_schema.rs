//! ALTER SCHEMA name RENAME TO other: views go on reading what they read, and columns are numbered
//! from the sequences that they were numbered from.

use datafusion::sql::sqlparser::ast::{AlterSchema, AlterSchemaOperation};

use super::{Context, follow, sequence};
use crate::access::{Object, Privileges};
use crate::error::{Error, Result};
use crate::{features, plan};

pub(super) fn run(context: &mut Context<'_>, alter: &AlterSchema) -> Result<String> {
    let name = plan::parts(&alter.name)?.pop().unwrap_or_default();
    context.environment.check_schema(context.lakes.main.state(), &name)?;
    for operation in &alter.operations {
        let AlterSchemaOperation::Rename { name: to } = operation else {
            return Err(Error::unsupported(format!("ALTER SCHEMA … {operation}")));
        };
        let to = plan::parts(to)?.pop().unwrap_or_default();
        let (environment, state) = (context.environment, context.lakes.main.state());
        if let Some(schema) = state.schemas.get(&name) {
            environment.authority.must_own(state, &Object::schema(schema))?;
            let database = Object::database(&environment.database);
            environment.authority.require(state, &database, Privileges::CREATE)?;
        }
        followed(context, &name, &to)?;
        context.lakes.main.rename_schema(&name, &to)?;
        features::rename_schema(&mut context.lakes.main, &name, &to)?;
    }
    Ok("ALTER SCHEMA".into())
}

/// Writes the queries anew that read relations of the schema.
fn followed(context: &mut Context<'_>, name: &str, to: &str) -> Result<()> {
    let state = context.lakes.main.state();
    if state.schemas.contains_key(to) {
        return Ok(());
    }
    sequence::moved(context, name, to)?;
    follow::follow_schema(context, name, to)
}
