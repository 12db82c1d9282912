//! Whose rights a statement has, and the checks against them.

use catalog::State;

use super::acl::{Acl, Privileges};
use super::object::{Kind, Object};
use super::role::{
    self, BOOTSTRAP, DATABASE_OWNER, PUBLIC, READ_ALL_DATA, READ_SERVER_FILES, Role, RoleId,
    WRITE_ALL_DATA, WRITE_SERVER_FILES, by_id,
};
use crate::error::{Error, Result};
use crate::plan::{Environment, Found, Lakes, Place};

/// The rights of a role at one state of the lake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Authority {
    pub role: RoleId,
    pub superuser: bool,
    /// The role itself and all whose rights it has without SET ROLE.
    holds: Vec<RoleId>,
}

impl Authority {
    /// The rights of everybody as long as there are no roles.
    pub fn everything() -> Self {
        Self { role: BOOTSTRAP, superuser: true, holds: vec![BOOTSTRAP] }
    }

    /// The rights of a role; of one that is gone, none.
    pub fn of(state: &State, id: RoleId) -> Self {
        let superuser = by_id(state, id).is_some_and(|role| role.superuser);
        let holds = if superuser { vec![id] } else { reached(state, id, true) };
        Self { role: id, superuser, holds }
    }

    /// Whether it has the rights of `role`.
    pub fn holds(&self, role: RoleId) -> bool {
        self.superuser || self.holds.contains(&role)
    }

    /// Whether it owns what has this list.
    pub fn owns(&self, acl: &Acl) -> bool {
        self.holds(acl.owner)
    }

    /// What it may do with an object, and what of that it may pass on.
    pub fn privileges(&self, acl: &Acl, kind: Kind) -> (Privileges, Privileges) {
        if self.superuser {
            return (kind.all(), kind.all());
        }
        let mut privileges = Privileges::NONE;
        let mut options = Privileges::NONE;
        for grant in acl.effective(kind) {
            if grant.grantee == PUBLIC || self.holds.contains(&grant.grantee) {
                privileges = privileges.with(grant.privileges);
                options = options.with(grant.options);
            }
        }
        if self.owns(acl) {
            options = kind.all();
        }
        let reads = match kind {
            Kind::Table => Privileges::SELECT,
            Kind::Schema => Privileges::USAGE,
            Kind::Database | Kind::Function | Kind::Model | Kind::Experiment => Privileges::NONE,
        };
        let writes = match kind {
            Kind::Table => Privileges::INSERT.with(Privileges::UPDATE).with(Privileges::DELETE),
            _ => reads,
        };
        if self.holds.contains(&READ_ALL_DATA) {
            privileges = privileges.with(reads);
        }
        if self.holds.contains(&WRITE_ALL_DATA) {
            privileges = privileges.with(writes);
        }
        (privileges, options)
    }

    /// Whether it may do all that with an object.
    pub fn may(&self, state: &State, object: &Object, needed: Privileges) -> bool {
        self.superuser || self.privileges(&object.acl(state), object.kind).0.has(needed)
    }

    /// Fails unless it may.
    pub fn require(&self, state: &State, object: &Object, needed: Privileges) -> Result<()> {
        match self.may(state, object, needed) {
            true => Ok(()),
            false => Err(denied(object)),
        }
    }

    /// Fails unless it owns an object.
    pub fn must_own(&self, state: &State, object: &Object) -> Result<()> {
        if self.superuser || self.owns(&object.acl(state)) {
            return Ok(());
        }
        let message = format!("must be owner of {} {}", object.word, object.name);
        Err(Error::new("42501", message))
    }

    /// Fails unless it is a superuser.
    pub fn must_be_superuser(&self, to: &str) -> Result<()> {
        match self.superuser {
            true => Ok(()),
            false => Err(Error::new("42501", format!("must be superuser to {to}"))),
        }
    }

    /// Whether it may become `role` with SET ROLE.
    pub fn may_become(&self, state: &State, role: RoleId) -> bool {
        self.superuser || reached(state, self.role, false).contains(&role)
    }

    /// Whether it may give and take membership in `role`.
    pub fn administers(&self, state: &State, role: RoleId) -> bool {
        let admin = |id: &RoleId| {
            let member = by_id(state, *id);
            member.is_some_and(|m| m.member_of.iter().any(|m| m.role == role && m.admin))
        };
        self.superuser || reached(state, self.role, false).iter().any(admin)
    }
}

/// A role and those that it is a member of, directly or not; `inherited`: whose rights it has.
pub(crate) fn reached(state: &State, id: RoleId, inherited: bool) -> Vec<RoleId> {
    let mut found = vec![id];
    let mut next = 0;
    while next < found.len() {
        let role = by_id(state, found[next]);
        next += 1;
        let Some(Role { inherit, member_of, id, .. }) = role else { continue };
        if inherited && !inherit {
            continue;
        }
        let owner = Object::database("").acl(state).owner;
        let implied = (id == owner).then_some(DATABASE_OWNER);
        for role in member_of.iter().map(|member| member.role).chain(implied) {
            if !found.contains(&role) {
                found.push(role);
            }
        }
    }
    found
}

fn denied(object: &Object) -> Error {
    let word = if object.word == "foreign table" { "foreign table" } else { object.word };
    Error::new("42501", format!("permission denied for {word} {}", object.name))
}

impl Environment {
    /// Fails unless the statement's role may do that with a relation.
    pub fn require(
        &self,
        lakes: &Lakes,
        place: &Place,
        found: &Found,
        needed: Privileges,
    ) -> Result<()> {
        if self.authority.superuser || place.temp {
            return Ok(());
        }
        let object = Object::relation(place, found);
        self.authority.require(lakes.main.state(), &object, needed)
    }

    /// Fails unless the statement's role owns a relation.
    pub fn must_own(&self, lakes: &Lakes, place: &Place, found: &Found) -> Result<()> {
        if self.authority.superuser || place.temp {
            return Ok(());
        }
        self.authority.must_own(lakes.main.state(), &Object::relation(place, found))
    }

    /// Whether names are looked up in a schema; without USAGE they are not.
    pub(crate) fn may_look_in(&self, state: &State, schema: &str) -> bool {
        self.authority.superuser
            || state.schemas.get(schema).is_none_or(|schema| {
                self.authority.may(state, &Object::schema(schema), Privileges::USAGE)
            })
    }

    /// Fails unless relations may be made in a schema.
    pub(crate) fn require_create(&self, state: &State, schema: &str) -> Result<()> {
        match state.schemas.get(schema) {
            Some(schema) if !self.authority.superuser => {
                self.authority.require(state, &Object::schema(schema), Privileges::CREATE)
            }
            _ => Ok(()),
        }
    }

    /// Fails unless the statement's role may read (or write) files and URLs of the server's.
    pub fn may_use_files(&self, write: bool) -> Result<()> {
        let (needed, word, role) = match write {
            false => (READ_SERVER_FILES, "read", "pg_read_server_files"),
            true => (WRITE_SERVER_FILES, "write", "pg_write_server_files"),
        };
        if self.authority.holds(needed) {
            return Ok(());
        }
        let message = format!("permission denied to {word} files or URLs on the server");
        Err(Error::new("42501", message).with_detail(format!(
            "Only superusers and roles with privileges of the \"{role}\" role may do that."
        )))
    }

    /// Fails for relations of `pg_catalog` that hold secrets.
    pub(crate) fn may_read_system(&self, name: &str) -> Result<()> {
        match matches!(name, "pg_authid" | "pg_shadow") && !self.authority.superuser {
            true => Err(Error::new("42501", format!("permission denied for table {name}"))),
            false => Ok(()),
        }
    }
}

/// The role that owns an object, for planning a view with its owner's rights.
pub(crate) fn owner_of(state: &State, object: &Object) -> Authority {
    match role::has_roles(state) {
        true => Authority::of(state, object.acl(state).owner),
        false => Authority::everything(),
    }
}
