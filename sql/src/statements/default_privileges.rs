//! ALTER DEFAULT PRIVILEGES, and the owner and grants that new objects start with.

use std::sync::Arc;

use catalog::State;
use datafusion::sql::sqlparser::ast::Ident;
use serde_json::json;

use super::{Context, grant};
use crate::access::{self, Acl, Grant, Kind, Object, RoleId};
use crate::error::{Error, Result};
use crate::names::folded;
use crate::parse::{GrantPrivileges, Objects, RoleName};

/// Kind of the definitions that default privileges are.
const KIND: &str = "default_access";
/// Between role, schema and kind in a definition's name.
const SEPARATOR: char = '\u{1f}';

fn key(role: RoleId, schema: &str, kind: Kind) -> String {
    format!("{role}{SEPARATOR}{schema}{SEPARATOR}{}", kind.word())
}

fn kept(state: &State, role: RoleId, schema: &str, kind: Kind) -> Option<Vec<Grant>> {
    let definition = state.definitions.get(&(KIND.to_owned(), key(role, schema, kind)))?;
    serde_json::from_value(definition.body["grants"].clone()).ok()
}

pub(super) fn run(
    context: &mut Context<'_>,
    roles: &[RoleName],
    schemas: &[Ident],
    change: &GrantPrivileges,
) -> Result<String> {
    let kind = match &change.objects {
        Objects::Future("TABLES") => Kind::Table,
        Objects::Future("SCHEMAS") if schemas.is_empty() => Kind::Schema,
        Objects::Future("SCHEMAS") => {
            let message = "cannot use IN SCHEMA clause when using GRANT/REVOKE ON SCHEMAS";
            return Err(Error::new("0LP01", message));
        }
        Objects::Future("FUNCTIONS" | "ROUTINES") => Kind::Function,
        _ => return Err(Error::unsupported("ALTER DEFAULT PRIVILEGES on this kind of object")),
    };
    let privileges = grant::privileges(change, kind)?;
    let grantees = grant::grantees(context, change)?;
    let current = [RoleName::CurrentUser];
    for role in if roles.is_empty() { &current } else { roles } {
        let state = Arc::clone(context.lakes.main.state());
        let role = context.environment.expect_role(&state, role)?;
        if !context.environment.authority.holds(role.id) {
            let message = format!("must be member of role \"{}\"", role.name);
            return Err(Error::new("42501", message));
        }
        let mut places = Vec::new();
        for name in schemas {
            grant::schema(context, &state, &folded(name))?;
            places.extend(state.schemas.get(&folded(name)).map(|schema| schema.uuid.clone()));
        }
        if schemas.is_empty() {
            places.push(String::new());
        }
        for place in places {
            // Those of a schema are added to the others; alone they start with nothing.
            let initial = match place.is_empty() {
                true => Acl::initial(kind, role.id),
                false => Vec::new(),
            };
            let grants = kept(&state, role.id, &place, kind).unwrap_or(initial.clone());
            let mut acl = Acl { owner: role.id, grants: Some(grants) };
            grant::apply(&mut acl, kind, change, role.id, privileges, &grantees)?;
            let grants = acl.grants.unwrap_or_default();
            let name = key(role.id, &place, kind);
            let known = kept(&state, role.id, &place, kind).is_some();
            match (grants == initial, known) {
                (true, true) => context.lakes.main.undefine(KIND, &name)?,
                (true, false) => {}
                (false, _) => {
                    context.lakes.main.define(KIND, &name, json!({ "grants": grants }), true)?;
                }
            }
        }
    }
    Ok("ALTER DEFAULT PRIVILEGES".into())
}

/// Gives a new object its owner, and what the owner's default privileges grant.
pub(super) fn own(context: &mut Context<'_>, object: &Object, schema: &str) -> Result<()> {
    let state = Arc::clone(context.lakes.main.state());
    if !access::has_roles(&state) {
        return Ok(());
    }
    let owner = context.environment.authority.role;
    let schema = state.schemas.get(schema).map_or("", |schema| schema.uuid.as_str());
    let everywhere = kept(&state, owner, "", object.kind);
    let here = match schema.is_empty() {
        true => None,
        false => kept(&state, owner, schema, object.kind),
    };
    let grants = match (everywhere, here) {
        (None, None) => None,
        (everywhere, here) => {
            let mut grants = everywhere.unwrap_or_else(|| Acl::initial(object.kind, owner));
            here.into_iter().flatten().for_each(|grant| access::merge(&mut grants, grant));
            Some(grants).filter(|grants| *grants != Acl::initial(object.kind, owner))
        }
    };
    object.keep(&mut context.lakes.main, &Acl { owner, grants })
}

/// Takes a role out of all default privileges, with its own.
pub(super) fn forget(context: &mut Context<'_>, role: RoleId) -> Result<()> {
    let state = Arc::clone(context.lakes.main.state());
    for Kept { name, owner, grants, .. } in all(&state) {
        if owner == role {
            context.lakes.main.undefine(KIND, &name)?;
        } else if grants.iter().any(|grant| grant.grantee == role) {
            let left: Vec<Grant> = grants.into_iter().filter(|g| g.grantee != role).collect();
            context.lakes.main.define(KIND, &name, json!({ "grants": left }), true)?;
        }
    }
    Ok(())
}

/// A role's default privileges.
pub(crate) struct Kept {
    /// The definition's name.
    pub name: String,
    pub owner: RoleId,
    /// The schema's uuid; empty: everywhere.
    pub schema: String,
    /// The kind of objects.
    pub word: String,
    pub grants: Vec<Grant>,
}

/// All of them.
pub(crate) fn all(state: &State) -> Vec<Kept> {
    let from = (KIND.to_owned(), String::new());
    let held = state.definitions.range(from..).take_while(|((kind, _), _)| kind == KIND);
    let read = |((_, name), definition): (&(String, String), &Arc<catalog::Definition>)| {
        let mut parts = name.split(SEPARATOR);
        let owner = parts.next()?.parse().ok()?;
        let (schema, word) = (parts.next()?.to_owned(), parts.next()?.to_owned());
        let grants = serde_json::from_value(definition.body["grants"].clone()).ok()?;
        Some(Kept { name: name.clone(), owner, schema, word, grants })
    };
    held.filter_map(read).collect()
}

/// Why default privileges keep a role from being dropped.
pub(super) fn mentions(context: &Context<'_>, state: &State, role: RoleId) -> Vec<String> {
    let line = |Kept { owner, word, grants, .. }: Kept| {
        let of = context.environment.role_name(state, owner);
        let about = format!("default privileges on new {word}s belonging to role {of}");
        match owner == role {
            true => Some(format!("owner of {about}")),
            false => {
                let named = grants.iter().any(|grant| grant.grantee == role);
                named.then(|| format!("privileges for {about}"))
            }
        }
    };
    all(state).into_iter().filter_map(line).collect()
}
