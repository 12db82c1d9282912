//! GRANT and REVOKE of privileges on tables, views, schemas, the database, functions, models and
//! experiments.

use std::sync::Arc;

use catalog::State;
use datafusion::sql::sqlparser::ast::ObjectName;

use super::{Context, experiment, model};
use crate::access::{self, Acl, Authority, Grant, Kind, Object, PUBLIC, Privileges, RoleId};
use crate::error::{Error, Result};
use crate::names::folded;
use crate::parse::{GrantPrivileges, Objects};
use crate::{Notice, plan};

pub(super) fn run(context: &mut Context<'_>, change: &GrantPrivileges) -> Result<String> {
    if change.of_columns {
        return Err(Error::unsupported("a privilege on columns")
            .with_hint("Grant on a view that has only these columns."));
    }
    let (kind, objects) = objects(context, &change.objects)?;
    let privileges = privileges(change, kind)?;
    for (object, temp) in objects {
        let roles = grantees(context, change)?;
        // Nobody else sees a temp table.
        if !temp {
            on_object(context, &object, change, privileges, &roles)?;
        }
    }
    Ok(if change.revoke { "REVOKE" } else { "GRANT" }.into())
}

/// The roles that a statement gives to or takes from.
pub(super) fn grantees(context: &Context<'_>, change: &GrantPrivileges) -> Result<Vec<RoleId>> {
    let state = context.lakes.main.state();
    let roles = change.roles.iter().map(|name| context.environment.grantee(state, name));
    let roles = roles.collect::<Result<Vec<_>>>()?;
    if change.option && !change.revoke && roles.contains(&PUBLIC) {
        return Err(Error::new("0LP01", "grant options can only be granted to roles"));
    }
    Ok(roles)
}

/// The privileges that a statement names; all of them for ALL.
pub(super) fn privileges(change: &GrantPrivileges, kind: Kind) -> Result<Privileges> {
    let Some(names) = &change.privileges else { return Ok(kind.all()) };
    let mut found = Privileges::NONE;
    for name in names {
        let shown = name.to_lowercase();
        let privilege = Privileges::named(name).ok_or_else(|| {
            Error::new("42601", format!("unrecognized privilege type \"{shown}\""))
        })?;
        if !kind.all().has(privilege) {
            let word = if kind == Kind::Table { "table" } else { kind.word() };
            let name = name.to_uppercase();
            let message = format!("invalid privilege type {name} for {word}");
            return Err(Error::new("0LP01", message));
        }
        found = found.with(privilege);
    }
    Ok(found)
}

type Found = Vec<(Object, bool)>;

fn objects(context: &Context<'_>, objects: &Objects) -> Result<(Kind, Found)> {
    let state = context.lakes.main.state();
    let environment = context.environment;
    let last =
        |name: &ObjectName| plan::parts(name).map(|mut parts| parts.pop().unwrap_or_default());
    let mut found = Vec::new();
    let kind = match objects {
        Objects::Tables(names) => {
            for name in names {
                let (place, relation) = environment.expect(context.lakes, name)?;
                found.push((Object::relation(&place, &relation), place.temp));
            }
            Kind::Table
        }
        Objects::Schemas(names) => {
            for name in names {
                found.push((schema(context, state, &last(name)?)?, false));
            }
            Kind::Schema
        }
        Objects::Databases(names) => {
            for name in names {
                found.push((database(context, &last(name)?)?, false));
            }
            Kind::Database
        }
        Objects::Functions(names) => {
            for name in names {
                found.push((function(context, &last(name)?)?, false));
            }
            Kind::Function
        }
        Objects::Models(names) => {
            for name in names {
                found.push((model::object(context, name)?.0, false));
            }
            Kind::Model
        }
        Objects::Experiments(names) => {
            for name in names {
                found.push((experiment::object(context, name)?.0, false));
            }
            Kind::Experiment
        }
        Objects::AllIn("TABLES", schemas) => {
            for name in schemas {
                schema(context, state, &folded(name))?;
                let held = state.schemas.get(&folded(name));
                let relations = held.into_iter().flat_map(|schema| schema.relations.values());
                found.extend(relations.map(|relation| (Object::of(relation), false)));
            }
            Kind::Table
        }
        // Schemas hold no functions and no sequences.
        Objects::AllIn(word, _) => match *word {
            "SEQUENCES" => return Err(unsupported("SEQUENCES")),
            _ => Kind::Function,
        },
        Objects::Future(word) | Objects::Unsupported(word) => return Err(unsupported(word)),
    };
    Ok((kind, found))
}

fn unsupported(word: &str) -> Error {
    Error::unsupported(format!("GRANT or REVOKE ON {word}"))
}

/// A schema that exists.
pub(super) fn schema(context: &Context<'_>, state: &State, name: &str) -> Result<Object> {
    match state.schemas.get(name) {
        Some(schema) => Ok(Object::schema(schema)),
        None => {
            context.environment.check_schema(state, name)?;
            Err(Error::new("3F000", format!("schema \"{name}\" does not exist")))
        }
    }
}

/// The one database.
pub(super) fn database(context: &Context<'_>, name: &str) -> Result<Object> {
    match *name == *context.environment.database {
        true => Ok(Object::database(name)),
        false => Err(Error::new("3D000", format!("database \"{name}\" does not exist"))),
    }
}

fn function(context: &Context<'_>, name: &str) -> Result<Object> {
    let engine = &context.environment.engine;
    let known = engine.scalar_functions().contains_key(name)
        || engine.aggregate_functions().contains_key(name)
        || engine.window_functions().contains_key(name);
    match known {
        true => Ok(Object::function(name)),
        false => Err(Error::new("42883", format!("function \"{name}\" does not exist"))),
    }
}

fn on_object(
    context: &mut Context<'_>,
    object: &Object,
    change: &GrantPrivileges,
    privileges: Privileges,
    roles: &[RoleId],
) -> Result<()> {
    let state = Arc::clone(context.lakes.main.state());
    let mut acl = object.acl(&state);
    let (grantor, privileges) = granted(context, &state, object, &acl, change, privileges)?;
    if let Some(by) = &change.granted_by {
        let by = context.environment.expect_role(&state, by)?.id;
        if by != context.environment.authority.role {
            return Err(Error::new("0LP01", "grantor must be current user"));
        }
    }
    apply(&mut acl, object.kind, change, grantor, privileges, roles)?;
    object.keep(&mut context.lakes.main, &acl)
}

/// Changes a list as a statement says.
pub(super) fn apply(
    acl: &mut Acl,
    kind: Kind,
    change: &GrantPrivileges,
    grantor: RoleId,
    privileges: Privileges,
    roles: &[RoleId],
) -> Result<()> {
    for grantee in roles.iter().copied() {
        match (change.revoke, change.option) {
            (false, option) => {
                // An owner has all options as it is.
                let option = option && grantee != acl.owner;
                let options = if option { privileges } else { Privileges::NONE };
                acl.grant(kind, Grant { grantee, grantor, privileges, options });
            }
            (true, only_option) => {
                let gone = if only_option { Privileges::NONE } else { privileges };
                let gone = Grant { grantee, grantor, privileges: gone, options: privileges };
                acl.revoke(kind, gone, change.cascade)?;
            }
        }
    }
    Ok(())
}

/// As whom the statement's role grants, and what of the privileges it can.
fn granted(
    context: &mut Context<'_>,
    state: &State,
    object: &Object,
    acl: &Acl,
    change: &GrantPrivileges,
    wanted: Privileges,
) -> Result<(RoleId, Privileges)> {
    let authority = &context.environment.authority;
    let (grantor, options) = best_grantor(state, authority, acl, object.kind, wanted);
    if options.is_empty() {
        let (own, _) = authority.privileges(acl, object.kind);
        if own.is_empty() {
            let message = format!("permission denied for {} {}", object.word, object.name);
            return Err(Error::new("42501", message));
        }
    }
    let possible = wanted.both(options);
    let partly = change.privileges.is_some() && possible != wanted;
    if possible.is_empty() || partly {
        let count = if possible.is_empty() { "no" } else { "not all" };
        let (sqlstate, what) = match change.revoke {
            false => ("01007", "were granted"),
            true => ("01006", "could be revoked"),
        };
        let message = format!("{count} privileges {what} for \"{}\"", object.name);
        context.notices.push(Notice::warning(sqlstate, message));
    }
    Ok((grantor, possible))
}

/// The owner for those who have its rights, else the role with most of the grant options.
fn best_grantor(
    state: &State,
    authority: &Authority,
    acl: &Acl,
    kind: Kind,
    wanted: Privileges,
) -> (RoleId, Privileges) {
    if authority.owns(acl) {
        return (acl.owner, kind.all());
    }
    let grants = acl.effective(kind);
    let mut best = (authority.role, Privileges::NONE);
    for role in access::reached(state, authority.role, true) {
        let own = grants.iter().filter(|grant| grant.grantee == role);
        let options = own.fold(Privileges::NONE, |all, grant| all.with(grant.options));
        let count = |options: Privileges| options.both(wanted).0.count_ones();
        if count(options) > count(best.1) || best.1.is_empty() {
            best = (role, options);
        }
    }
    best
}
