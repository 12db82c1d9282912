//! Roles, memberships, owners and access lists as rows of `pg_catalog`.

use catalog::State;
use datafusion::common::ScalarValue;

use super::super::Row;
use super::{Objects, Placed, text};
use crate::access::{self, Acl, Object, Role, RoleId};
use crate::plan::{Environment, Lakes};
use crate::statements::default_privileges;
use crate::system::oid;

/// The rows of a relation about roles; none for any other one.
pub(super) fn rows(environment: &Environment, lakes: &Lakes, name: &str) -> Vec<Row> {
    let state = lakes.main.state();
    let all = all(environment, state);
    match name {
        "pg_roles" => all.iter().map(|role| role_row(role, None)).collect(),
        "pg_authid" => all.iter().map(|role| role_row(role, role.password.clone())).collect(),
        "pg_user" => all.iter().filter(|r| r.login).map(|role| user_row(role, None)).collect(),
        "pg_shadow" => {
            let users = all.iter().filter(|role| role.login);
            users.map(|role| user_row(role, role.password.clone())).collect()
        }
        "pg_group" => {
            let members = |of: &Role| {
                let in_it = all.iter().filter(|r| r.member_of.iter().any(|m| m.role == of.id));
                in_it.map(|role| ScalarValue::from(role.id)).collect::<Vec<_>>()
            };
            let groups = all.iter().filter(|role| !role.login);
            let row = |role: &Role| {
                let list = ScalarValue::new_list_nullable(
                    &members(role),
                    &datafusion::arrow::datatypes::DataType::Int64,
                );
                vec![
                    ("groname", text(&role.name)),
                    ("grosysid", role.id.into()),
                    ("grolist", ScalarValue::List(list)),
                ]
            };
            groups.map(row).collect()
        }
        "pg_auth_members" => {
            let members = all.iter().flat_map(|role| role.member_of.iter().map(move |m| (role, m)));
            let row = |(role, member): (&Role, &access::Member)| {
                vec![
                    ("roleid", member.role.into()),
                    ("member", role.id.into()),
                    ("grantor", member.grantor.into()),
                    ("admin_option", member.admin.into()),
                ]
            };
            members.map(row).collect()
        }
        "pg_default_acl" => Objects { environment, lakes }.default_access(),
        _ => Vec::new(),
    }
}

/// Built-in roles and those that were made; without any, the user.
fn all(environment: &Environment, state: &State) -> Vec<Role> {
    let built_in = access::predefined().filter_map(|(_, id)| access::by_id(state, id));
    let alone = environment.alone(state);
    alone.into_iter().chain(access::roles(state)).chain(built_in).collect()
}

fn time(micros: Option<i64>) -> ScalarValue {
    ScalarValue::TimestampMicrosecond(micros, Some("UTC".into()))
}

fn role_row(role: &Role, password: Option<String>) -> Row {
    let hidden = || ScalarValue::from("********");
    vec![
        ("oid", role.id.into()),
        ("rolname", text(&role.name)),
        ("rolsuper", role.superuser.into()),
        ("rolinherit", role.inherit.into()),
        ("rolcreaterole", role.createrole.into()),
        ("rolcreatedb", role.createdb.into()),
        ("rolcanlogin", role.login.into()),
        ("rolreplication", role.replication.into()),
        ("rolbypassrls", role.bypassrls.into()),
        ("rolconnlimit", role.connection_limit.into()),
        ("rolpassword", password.map_or_else(hidden, text)),
        ("rolvaliduntil", time(role.valid_until)),
        ("rolconfig", config(role)),
    ]
}

fn config(role: &Role) -> ScalarValue {
    let pair = |(name, value): (&String, &String)| ScalarValue::from(format!("{name}={value}"));
    let pairs: Vec<ScalarValue> = role.settings.iter().map(pair).collect();
    texts((!pairs.is_empty()).then_some(pairs))
}

fn texts(values: Option<Vec<ScalarValue>>) -> ScalarValue {
    let of = datafusion::arrow::datatypes::DataType::Utf8;
    match values {
        Some(values) => ScalarValue::List(ScalarValue::new_list_nullable(&values, &of)),
        None => ScalarValue::Null,
    }
}

fn user_row(role: &Role, password: Option<String>) -> Row {
    let hidden = || ScalarValue::from("********");
    vec![
        ("usename", text(&role.name)),
        ("usesysid", role.id.into()),
        ("usecreatedb", role.createdb.into()),
        ("usesuper", role.superuser.into()),
        ("userepl", role.replication.into()),
        ("usebypassrls", role.bypassrls.into()),
        ("passwd", password.map_or_else(hidden, text)),
        ("valuntil", time(role.valid_until)),
        ("useconfig", config(role)),
    ]
}

impl Objects<'_> {
    fn state(&self) -> &State {
        self.lakes.main.state()
    }

    fn list(&self, acl: &Acl) -> ScalarValue {
        let state = self.state();
        let items = acl.items(|id: RoleId| self.environment.role_name(state, id));
        texts(items.map(|items| items.into_iter().map(ScalarValue::from).collect()))
    }

    /// What new objects are granted.
    fn default_access(&self) -> Vec<Row> {
        let state = self.state();
        let row = |kept: default_privileges::Kept| {
            let mut schemas = state.schemas.values();
            let schema = schemas.find(|schema| schema.uuid == kept.schema);
            let kind = match kept.word.as_str() {
                "schema" => "n",
                "function" => "f",
                _ => "r",
            };
            let acl = Acl { owner: kept.owner, grants: Some(kept.grants) };
            vec![
                ("oid", oid::of_name(&kept.name).into()),
                ("defaclrole", kept.owner.into()),
                ("defaclnamespace", schema.map_or(0, |schema| oid::of(schema.id, false)).into()),
                ("defaclobjtype", text(kind)),
                ("defaclacl", self.list(&acl)),
            ]
        };
        default_privileges::all(state).into_iter().map(row).collect()
    }

    fn set(&self, row: &mut Row, owner: &'static str, list: &'static str, object: &Object) {
        let acl = object.acl(self.state());
        row.retain(|(name, _)| *name != owner);
        row.push((owner, acl.owner.into()));
        row.push((list, self.list(&acl)));
    }

    /// Whose a relation is, and who was granted what.
    pub(super) fn access_of_relation(&self, row: &mut Row, placed: &Placed<'_>) {
        if !placed.temp {
            self.set(row, "relowner", "relacl", &Object::of(placed.relation));
        }
    }

    /// The same of a schema, whose id the row has.
    pub(super) fn access_of_schema(&self, row: &mut Row) {
        let id = row.iter().find(|(name, _)| *name == "oid").map(|(_, id)| id.clone());
        let mut schemas = self.state().schemas.values();
        let found = schemas.find(|s| id == Some(ScalarValue::from(oid::of(s.id, false))));
        if let Some(schema) = found {
            let object = Object::schema(schema);
            let mut acl = object.acl(self.state());
            if acl.owner == access::DATABASE_OWNER {
                acl.grants = Some(acl.effective(object.kind));
            }
            self.set(row, "nspowner", "nspacl", &object);
            row.retain(|(name, _)| *name != "nspacl");
            row.push(("nspacl", self.list(&acl)));
        }
    }

    /// The same of the database.
    pub(super) fn access_of_database(&self, row: &mut Row) {
        self.set(row, "datdba", "datacl", &Object::database(&self.environment.database));
    }

    /// The name of a relation's owner.
    pub(super) fn owner_name(&self, placed: &Placed<'_>) -> String {
        match placed.temp {
            true => self.environment.user.clone(),
            false => {
                let owner = Object::of(placed.relation).acl(self.state()).owner;
                self.environment.role_name(self.state(), owner)
            }
        }
    }
}
