//! ALTER … OWNER TO, REASSIGN OWNED, DROP OWNED.

use std::sync::Arc;

use catalog::Relation;
use datafusion::sql::sqlparser::ast::{ObjectName, ObjectType};

use super::role::denied;
use super::{Context, default_privileges, drop, experiment, grant, model};
use crate::access::{self, Acl, Grant, Object, Privileges, RoleId};
use crate::error::{Error, Result};
use crate::experiments;
use crate::parse::RoleName;
use crate::plan::{self, Found, Place};

/// ALTER TABLE | VIEW | SCHEMA | DATABASE | MODEL | EXPERIMENT name OWNER TO role.
pub(super) fn run(
    context: &mut Context<'_>,
    word: &str,
    name: &ObjectName,
    if_exists: bool,
    to: &RoleName,
) -> Result<String> {
    let tag = format!("ALTER {word}");
    let state = Arc::clone(context.lakes.main.state());
    let last = plan::parts(name)?.pop().unwrap_or_default();
    let (object, schema) = match word {
        "SCHEMA" => (grant::schema(context, &state, &last)?, None),
        "DATABASE" => (grant::database(context, &last)?, None),
        "MODEL" => {
            let (object, place) = model::object(context, name)?;
            (object, Some(place.schema))
        }
        "EXPERIMENT" => {
            let (object, place) = experiment::object(context, name)?;
            (object, Some(place.schema))
        }
        _ => {
            let Some((place, found)) = context.relation(name, if_exists)? else { return Ok(tag) };
            let is_view = matches!(found, Found::Relation(Relation::View(_)));
            if word == "VIEW" && !is_view {
                return Err(Error::new("42809", format!("\"{}\" is not a view", place.name)));
            }
            if place.temp {
                return Ok(tag);
            }
            (Object::relation(&place, &found), Some(place.schema))
        }
    };
    let to = context.environment.expect_role(&state, to)?;
    let mut acl = object.acl(&state);
    if acl.owner == to.id {
        return Ok(tag);
    }
    let authority = &context.environment.authority;
    authority.must_own(&state, &object)?;
    if !authority.may_become(&state, to.id) {
        return Err(denied(format!("must be member of role \"{}\"", to.name)));
    }
    if !authority.superuser {
        let new = access::Authority::of(&state, to.id);
        let home = match schema.and_then(|name| state.schemas.get(&name)) {
            Some(schema) => Object::schema(schema),
            None => Object::database(&context.environment.database),
        };
        new.require(&state, &home, Privileges::CREATE)?;
    }
    change(&mut acl, to.id);
    object.keep(&mut context.lakes.main, &acl)?;
    Ok(tag)
}

/// What the old owner has and gave, the new one has and gave.
fn change(acl: &mut Acl, to: RoleId) {
    let from = std::mem::replace(&mut acl.owner, to);
    let moved = |role: RoleId| if role == from { to } else { role };
    if let Some(grants) = acl.grants.take() {
        let mut new = Vec::with_capacity(grants.len());
        for grant in grants {
            let (grantee, grantor) = (moved(grant.grantee), moved(grant.grantor));
            access::merge(&mut new, Grant { grantee, grantor, ..grant });
        }
        acl.grants = Some(new);
    }
}

fn owned_by(context: &Context<'_>, from: &[RoleName]) -> Result<Vec<RoleId>> {
    let state = context.lakes.main.state();
    let mut roles = Vec::with_capacity(from.len());
    for name in from {
        let role = context.environment.expect_role(state, name)?;
        if !context.environment.authority.holds(role.id) {
            return Err(denied("permission denied to reassign objects"));
        }
        roles.push(role.id);
    }
    Ok(roles)
}

/// REASSIGN OWNED BY role, … TO role.
pub(super) fn reassign(
    context: &mut Context<'_>,
    from: &[RoleName],
    to: &RoleName,
) -> Result<String> {
    let from = owned_by(context, from)?;
    let to = owned_by(context, std::slice::from_ref(to))?;
    let state = Arc::clone(context.lakes.main.state());
    for object in access::all(&state, &context.environment.database) {
        let mut acl = object.acl(&state);
        if from.contains(&acl.owner) {
            to.iter().for_each(|to| change(&mut acl, *to));
            object.keep(&mut context.lakes.main, &acl)?;
        }
    }
    Ok("REASSIGN OWNED".into())
}

/// DROP OWNED BY role, …: its objects, and what it was granted.
pub(super) fn drop_owned(
    context: &mut Context<'_>,
    of: &[RoleName],
    cascade: bool,
) -> Result<String> {
    for role in owned_by(context, of)? {
        if role == access::BOOTSTRAP {
            let name = context.environment.role_name(context.lakes.main.state(), role);
            let message = format!(
                "cannot drop objects owned by role {name} because they are required by the \
                 database system"
            );
            return Err(Error::new("2BP01", message));
        }
        drop_objects(context, role, cascade)?;
        let state = Arc::clone(context.lakes.main.state());
        for object in access::all(&state, &context.environment.database) {
            let mut acl = object.acl(&state);
            if let Some(grants) = &mut acl.grants {
                grants.retain(|grant| grant.grantee != role && grant.grantor != role);
            }
            object.keep(&mut context.lakes.main, &acl)?;
        }
        default_privileges::forget(context, role)?;
    }
    Ok("DROP OWNED".into())
}

/// Views before the tables that they may read, relations before their schemas.
fn drop_objects(context: &mut Context<'_>, role: RoleId, cascade: bool) -> Result<()> {
    for object in [ObjectType::View, ObjectType::Table] {
        let state = Arc::clone(context.lakes.main.state());
        let mut owned: Vec<Place> = Vec::new();
        for (schema, held) in &state.schemas {
            for (name, relation) in &held.relations {
                let is_view = matches!(relation, Relation::View(_));
                let own = Object::of(relation).acl(&state).owner == role;
                if own && is_view == (object == ObjectType::View) {
                    owned.push(Place { temp: false, schema: schema.clone(), name: name.clone() });
                }
            }
        }
        for place in owned {
            let there = context.lakes.main.state().schemas.get(&place.schema);
            if there.is_some_and(|schema| schema.relations.contains_key(&place.name)) {
                drop::drop_place(context, &place, object, cascade)?;
            }
        }
    }
    let state = Arc::clone(context.lakes.main.state());
    for (schema, name, experiment) in experiments::experiments(&state) {
        let (schema, name) = (schema.to_owned(), name.to_owned());
        let place = Place { temp: false, schema, name };
        if experiment.object(&place).acl(&state).owner == role {
            experiment::forget(context, &place, experiment)?;
        }
    }
    for schema in state.schemas.values() {
        if Object::schema(schema).acl(&state).owner == role {
            let name = plan::object_name(&[schema.name.as_str()]);
            drop::drop_schema(context, &name, false, cascade)?;
        }
    }
    Ok(())
}
