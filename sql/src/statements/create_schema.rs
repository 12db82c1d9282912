//! CREATE SCHEMA [IF NOT EXISTS] name.

use datafusion::sql::sqlparser::ast::SchemaName;

use super::{Context, default_privileges};
use crate::access::{Object, Privileges};
use crate::error::{Error, Result};
use crate::names::folded;
use crate::parse::RoleName;
use crate::{Notice, plan, system};

pub(super) fn run(
    context: &mut Context<'_>,
    name: &SchemaName,
    if_not_exists: bool,
) -> Result<String> {
    let (name, authorization) = match name {
        SchemaName::Simple(name) => (name.clone(), None),
        SchemaName::NamedAuthorization(name, role) => (name.clone(), Some(role)),
        SchemaName::UnnamedAuthorization(role) => {
            (plan::object_name(&[folded(role).as_str()]), Some(role))
        }
    };
    let parts = plan::parts(&name)?;
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
    let reserved = system::is_schema(name);
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
    let authorization = match authorization {
        Some(role) => Some(
            context
                .environment
                .expect_role(context.lakes.main.state(), &RoleName::Named(folded(role)))?,
        ),
        None => None,
    };
    let authority = &context.environment.authority;
    if !authority.superuser {
        let state = context.lakes.main.state();
        let database = Object::database(&context.environment.database);
        authority.require(state, &database, Privileges::CREATE)?;
        if let Some(role) = authorization.as_ref().filter(|r| !authority.may_become(state, r.id)) {
            let message = format!("must be member of role \"{}\"", role.name);
            return Err(Error::new("42501", message));
        }
    }
    context.lakes.main.create_schema(name)?;
    let state = std::sync::Arc::clone(context.lakes.main.state());
    if let Some(schema) = state.schemas.get(name) {
        let object = Object::schema(schema);
        default_privileges::own(context, &object, "")?;
        if let Some(role) = authorization {
            let acl = crate::access::Acl::owned(role.id);
            object.keep(&mut context.lakes.main, &acl)?;
        }
    }
    Ok(tag)
}
