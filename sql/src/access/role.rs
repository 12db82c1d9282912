//! Roles: those that users make, kept as definitions, and those that Postgres has built in.

use std::collections::BTreeMap;

use catalog::{Definition, State};
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::parse::RoleName;
use crate::plan::Environment;

/// A role's id, the same on every server and after a rename.
pub type RoleId = i64;

/// The first role that was made: it owns what nobody else does and is a superuser always.
pub const BOOTSTRAP: RoleId = 10;
/// Everybody, as the grantee of a grant.
pub const PUBLIC: RoleId = 0;
/// The kind of the definitions that roles are.
pub const KIND: &str = "role";
/// Ids of roles that are made start here, as in Postgres.
const FIRST: RoleId = 16_384;
/// Ids stay below, so that they fit an `oid` also as a signed number.
const END: RoleId = 1 << 30;

/// A role; `name` is the definition's name.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Role {
    #[serde(skip)]
    pub name: String,
    pub id: RoleId,
    pub superuser: bool,
    pub inherit: bool,
    pub createrole: bool,
    pub createdb: bool,
    pub login: bool,
    pub replication: bool,
    pub bypassrls: bool,
    /// Sessions at the same time; -1: as many as the server takes.
    pub connection_limit: i32,
    /// A SCRAM verifier, never a password.
    pub password: Option<String>,
    /// Microseconds since 1970 after which the password is not taken any more.
    pub valid_until: Option<i64>,
    /// What the role's sessions start with.
    pub settings: BTreeMap<String, String>,
    pub member_of: Vec<Member>,
    /// Secret from which the salts of names that are no roles are derived.
    pub secret: Option<String>,
}

/// A role that another one is a member of.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Member {
    pub role: RoleId,
    pub admin: bool,
    pub grantor: RoleId,
}

impl Default for Role {
    fn default() -> Self {
        Self {
            name: String::new(),
            id: 0,
            superuser: false,
            inherit: true,
            createrole: false,
            createdb: false,
            login: false,
            replication: false,
            bypassrls: false,
            connection_limit: -1,
            password: None,
            valid_until: None,
            settings: BTreeMap::new(),
            member_of: Vec::new(),
            secret: None,
        }
    }
}

impl Role {
    fn read(definition: &Definition) -> Option<Self> {
        let mut role: Self = serde_json::from_value(definition.body.clone()).ok()?;
        role.name.clone_from(&definition.name);
        Some(role)
    }

    /// What the catalog keeps.
    pub fn body(&self) -> Result<serde_json::Value> {
        serde_json::to_value(self)
            .map_err(|error| Error::new("XX000", format!("role \"{}\": {error}", self.name)))
    }
}

/// The built-in roles with their ids in Postgres.
pub fn predefined() -> impl Iterator<Item = (&'static str, RoleId)> {
    PREDEFINED.iter().copied()
}

pub(crate) const DATABASE_OWNER: RoleId = 6171;
pub(crate) const READ_ALL_DATA: RoleId = 6181;
pub(crate) const WRITE_ALL_DATA: RoleId = 6182;
pub const READ_ALL_STATS: RoleId = 3375;
pub(crate) const READ_SERVER_FILES: RoleId = 4569;
pub(crate) const WRITE_SERVER_FILES: RoleId = 4570;
pub const SIGNAL_BACKEND: RoleId = 4200;

const PREDEFINED: &[(&str, RoleId)] = &[
    ("pg_checkpoint", 4544),
    ("pg_database_owner", DATABASE_OWNER),
    ("pg_execute_server_program", 4571),
    ("pg_monitor", 3373),
    ("pg_read_all_data", READ_ALL_DATA),
    ("pg_read_all_settings", 3374),
    ("pg_read_all_stats", READ_ALL_STATS),
    ("pg_read_server_files", READ_SERVER_FILES),
    ("pg_signal_backend", SIGNAL_BACKEND),
    ("pg_stat_scan_tables", 3377),
    ("pg_write_all_data", WRITE_ALL_DATA),
    ("pg_write_server_files", WRITE_SERVER_FILES),
];

/// `pg_monitor` is a member of these.
const MONITOR: [RoleId; 3] = [3374, READ_ALL_STATS, 3377];

fn built_in(name: &str, id: RoleId) -> Role {
    let member_of = if name == "pg_monitor" { MONITOR.as_slice() } else { &[] };
    let member = |role: &RoleId| Member { role: *role, admin: false, grantor: BOOTSTRAP };
    Role {
        name: name.to_owned(),
        id,
        member_of: member_of.iter().map(member).collect(),
        ..Role::default()
    }
}

fn definitions(state: &State) -> impl Iterator<Item = &Definition> {
    let from = (KIND.to_owned(), String::new());
    let all = state.definitions.range(from..);
    all.take_while(|((kind, _), _)| kind == KIND).map(|(_, definition)| definition.as_ref())
}

/// Whether anybody has made a role: else all may do everything.
pub fn has_roles(state: &State) -> bool {
    definitions(state).next().is_some()
}

/// The roles that were made, by name.
pub fn roles(state: &State) -> Vec<Role> {
    definitions(state).filter_map(Role::read).collect()
}

/// The role of a name, built-in ones included.
pub fn by_name(state: &State, name: &str) -> Option<Role> {
    if let Some((name, id)) = PREDEFINED.iter().find(|(known, _)| *known == name) {
        return Some(built_in(name, *id));
    }
    let key = (KIND.to_owned(), name.to_owned());
    state.definitions.get(&key).and_then(|definition| Role::read(definition))
}

/// The role with an id, built-in ones included.
pub fn by_id(state: &State, id: RoleId) -> Option<Role> {
    if let Some((name, id)) = PREDEFINED.iter().find(|(_, known)| *known == id) {
        return Some(built_in(name, *id));
    }
    let found = definitions(state).find(|definition| definition.body["id"] == id);
    found.and_then(Role::read)
}

impl Environment {
    /// The role of a name; without roles, the user is the bootstrap role.
    pub fn role_named(&self, state: &State, name: &str) -> Option<Role> {
        by_name(state, name).or_else(|| self.alone(state).filter(|role| role.name == name))
    }

    /// The name of a role for messages and lists; the number of one that is gone.
    pub fn role_name(&self, state: &State, id: RoleId) -> String {
        if id == PUBLIC {
            return "public".to_owned();
        }
        let role = by_id(state, id);
        let role = role.or_else(|| self.alone(state).filter(|role| role.id == id));
        role.map_or_else(|| id.to_string(), |role| role.name)
    }

    /// The user of a lake without roles as a role.
    pub(crate) fn alone(&self, state: &State) -> Option<Role> {
        let role = || Role {
            name: self.user.clone(),
            id: BOOTSTRAP,
            superuser: true,
            createrole: true,
            createdb: true,
            login: true,
            replication: true,
            bypassrls: true,
            ..Role::default()
        };
        (!has_roles(state)).then(role)
    }

    /// The role that a statement names.
    pub(crate) fn expect_role(&self, state: &State, name: &RoleName) -> Result<Role> {
        let by_id = |id| by_id(state, id).or_else(|| self.alone(state));
        let (role, name) = match name {
            RoleName::Named(name) => (self.role_named(state, name), name.as_str()),
            RoleName::CurrentUser => (by_id(self.authority.role), self.user.as_str()),
            RoleName::SessionUser => (by_id(self.session_role), self.user.as_str()),
            RoleName::Public => (None, "public"),
        };
        role.ok_or_else(|| Error::new("42704", format!("role \"{name}\" does not exist")))
    }

    /// Like `expect_role`, PUBLIC included.
    pub(crate) fn grantee(&self, state: &State, name: &RoleName) -> Result<RoleId> {
        match name {
            RoleName::Public => Ok(PUBLIC),
            name => self.expect_role(state, name).map(|role| role.id),
        }
    }
}

/// An id that no role has.
pub fn new_id(state: &State) -> RoleId {
    loop {
        let random = uuid::Uuid::new_v4().as_u128() % (END - FIRST) as u128;
        let id = FIRST + i64::try_from(random).unwrap_or(0);
        if by_id(state, id).is_none() {
            return id;
        }
    }
}
