//! CREATE, ALTER and DROP ROLE (USER, GROUP), and membership.
//!
//! The first role must be a superuser that can log in, else nobody could make the second one; it
//! is the bootstrap role and owns whatever was there before.

use catalog::State;

use super::Context;
use crate::Notice;
use crate::access::{self, BOOTSTRAP, KIND, Member, Role, has_roles, scram};
use crate::error::{Error, Result};
use crate::parse::{GrantRole, OfRole, RoleName, RoleOption};
use crate::plan;

/// Bytes of the secret that the first role keeps.
const SECRET_BYTES: usize = 32;

pub(super) fn run(context: &mut Context<'_>, statement: &OfRole) -> Result<Option<String>> {
    let tag = match statement {
        OfRole::Create { name, user, options } => create(context, name, *user, options)?,
        OfRole::Alter { name, options } => alter(context, name, options)?,
        OfRole::Rename { name, to } => rename(context, name, to)?,
        OfRole::Setting { name, setting, value } => set(context, name, setting, value)?,
        OfRole::Group { name, members, add } => {
            let change = GrantRole {
                revoke: !add,
                roles: vec![name.clone()],
                members: members.clone(),
                admin: false,
                granted_by: None,
            };
            grant(context, &change)?;
            "ALTER ROLE"
        }
        OfRole::Drop { names, if_exists } => {
            for name in names {
                super::drop_role::run(context, name, *if_exists)?;
            }
            "DROP ROLE"
        }
        // The session's own.
        OfRole::Become { .. } | OfRole::Authorize { .. } => return Ok(None),
    };
    Ok(Some(tag.into()))
}

/// Keeps a role; one that was there is replaced.
pub(super) fn keep(context: &mut Context<'_>, role: &Role, new: bool) -> Result<()> {
    Ok(context.lakes.main.define(KIND, &role.name, role.body()?, !new)?)
}

pub(super) fn denied(message: impl Into<String>) -> Error {
    Error::new("42501", message)
}

fn state(context: &Context<'_>) -> std::sync::Arc<State> {
    std::sync::Arc::clone(context.lakes.main.state())
}

/// Whether the statement's role has CREATEROLE, which superusers need not.
pub(super) fn creates_roles(context: &Context<'_>) -> bool {
    let authority = &context.environment.authority;
    let own = || access::by_id(context.lakes.main.state(), authority.role);
    authority.superuser || own().is_some_and(|role| role.createrole)
}

/// A name that a role may get.
fn new_name(context: &Context<'_>, name: &RoleName) -> Result<String> {
    let reserved = |name: &str| Error::new("42939", format!("role name \"{name}\" is reserved"));
    let name = match name {
        RoleName::Named(name) => name,
        RoleName::Public => return Err(reserved("public")),
        RoleName::CurrentUser | RoleName::SessionUser => {
            return Err(Error::new("42601", "CURRENT_USER cannot be used as a role name here"));
        }
    };
    if name == "none" {
        return Err(reserved(name));
    }
    if name.is_empty() {
        return Err(Error::new("42601", "zero-length delimited identifier"));
    }
    if name.starts_with("pg_") {
        let detail = "Role names starting with \"pg_\" are reserved.";
        return Err(reserved(name).with_detail(detail));
    }
    if access::by_name(context.lakes.main.state(), name).is_some() {
        return Err(Error::new("42710", format!("role \"{name}\" already exists")));
    }
    Ok(name.clone())
}

fn create(
    context: &mut Context<'_>,
    name: &RoleName,
    user: bool,
    options: &[RoleOption],
) -> Result<&'static str> {
    if !creates_roles(context) {
        return Err(denied("permission denied to create role"));
    }
    let state = state(context);
    let mut role = Role { name: new_name(context, name)?, login: user, ..Role::default() };
    apply(context, &mut role, options)?;
    if !context.environment.authority.superuser {
        for (wanted, message) in [
            (role.superuser, "must be superuser to create superusers"),
            (role.replication, "must be superuser to create replication users"),
            (role.bypassrls, "must be superuser to change bypassrls attribute"),
        ] {
            if wanted {
                return Err(denied(message));
            }
        }
    }
    if has_roles(&state) {
        role.id = access::new_id(&state);
    } else {
        first(context, &mut role)?;
    }
    keep(context, &role, true)?;
    let own = RoleName::Named(role.name.clone());
    for option in options {
        let (roles, members, admin) = match option {
            RoleOption::InRole(roles) => (roles.clone(), vec![own.clone()], false),
            RoleOption::Members(members, admin) => (vec![own.clone()], members.clone(), *admin),
            _ => continue,
        };
        grant(context, &GrantRole { revoke: false, roles, members, admin, granted_by: None })?;
    }
    Ok("CREATE ROLE")
}

/// The first role: whoever made it must be able to come back.
fn first(context: &mut Context<'_>, role: &mut Role) -> Result<()> {
    if !role.superuser || !role.login || role.password.is_none() {
        let message = "the first role must be a superuser that can log in with a password";
        return Err(Error::new("55000", message).with_hint(
            "CREATE ROLE admin SUPERUSER LOGIN PASSWORD '…', then the others: from the first \
             role on everybody has to log in.",
        ));
    }
    role.id = BOOTSTRAP;
    let secret = scram::random::<SECRET_BYTES>()?;
    role.secret = Some(secret.iter().map(|byte| format!("{byte:02x}")).collect());
    context.notices.push(Notice {
        hint: Some("Connections that are open keep the rights of this role until they end.".into()),
        ..Notice::notice("from now on connections have to log in as a role with a password")
    });
    Ok(())
}

/// Puts options on a role.
fn apply(context: &mut Context<'_>, role: &mut Role, options: &[RoleOption]) -> Result<()> {
    let mut seen: Vec<std::mem::Discriminant<RoleOption>> = Vec::new();
    let mut flags: Vec<&str> = Vec::new();
    for option in options {
        let kind = std::mem::discriminant(option);
        let again = match option {
            RoleOption::Flag(flag, _) => {
                let again = flags.contains(flag);
                flags.push(flag);
                again
            }
            RoleOption::Members(..) => false,
            _ => seen.contains(&kind),
        };
        if again {
            return Err(Error::new("42601", "conflicting or redundant options"));
        }
        seen.push(kind);
        match option {
            RoleOption::Flag(flag, on) => *flag_of(role, flag) = *on,
            RoleOption::ConnectionLimit(limit) => {
                role.connection_limit =
                    i32::try_from(*limit).ok().filter(|limit| *limit >= -1).ok_or_else(|| {
                        Error::new("22023", format!("invalid connection limit: {limit}"))
                    })?;
            }
            RoleOption::Password(None) => role.password = None,
            RoleOption::Password(Some(text)) if text.is_empty() => {
                let message = "empty string is not a valid password, clearing password";
                context.notices.push(Notice::notice(message));
                role.password = None;
            }
            RoleOption::Password(Some(text)) => role.password = Some(scram::verifier_text(text)?),
            RoleOption::ValidUntil(text) => role.valid_until = valid_until(context, text)?,
            RoleOption::InRole(_) | RoleOption::Members(..) => {}
        }
    }
    Ok(())
}

fn flag_of<'a>(role: &'a mut Role, flag: &str) -> &'a mut bool {
    match flag {
        "SUPERUSER" => &mut role.superuser,
        "CREATEDB" => &mut role.createdb,
        "CREATEROLE" => &mut role.createrole,
        "INHERIT" => &mut role.inherit,
        "LOGIN" => &mut role.login,
        "REPLICATION" => &mut role.replication,
        _ => &mut role.bypassrls,
    }
}

/// A time as timestamptz reads it; None for `infinity`.
fn valid_until(context: &Context<'_>, text: &str) -> Result<Option<i64>> {
    if text.eq_ignore_ascii_case("infinity") {
        return Ok(None);
    }
    let quoted = text.replace('\'', "''");
    let expression = crate::parse::parse_expression(&format!("timestamptz '{quoted}'"))?;
    plan::time_us(plan::constant(&context.environment.engine, expression)?).map(Some)
}

/// A role that a statement changes: not one that Postgres has built in.
fn changed(context: &Context<'_>, name: &RoleName) -> Result<Role> {
    let state = context.lakes.main.state();
    let role = context.environment.expect_role(state, name)?;
    if role.name.starts_with("pg_") {
        return Err(Error::new("42939", format!("role name \"{}\" is reserved", role.name))
            .with_detail("Cannot alter reserved roles."));
    }
    if !has_roles(state) {
        return Err(Error::new("42704", format!("role \"{}\" does not exist", role.name)));
    }
    Ok(role)
}

fn alter(
    context: &mut Context<'_>,
    name: &RoleName,
    options: &[RoleOption],
) -> Result<&'static str> {
    let mut role = changed(context, name)?;
    let of_superuser = role.superuser
        || options.iter().any(|option| matches!(option, RoleOption::Flag("SUPERUSER", _)));
    let own_password = role.id == context.environment.authority.role
        && options.iter().all(|option| matches!(option, RoleOption::Password(_)));
    if of_superuser && !own_password && !context.environment.authority.superuser {
        let message = "must be superuser to alter superuser roles or change superuser attribute";
        return Err(denied(message));
    }
    for (flag, what) in [("REPLICATION", "replication"), ("BYPASSRLS", "bypassrls")] {
        let named = |option: &RoleOption| matches!(option, RoleOption::Flag(f, _) if *f == flag);
        if options.iter().any(named) && !context.environment.authority.superuser {
            return Err(denied(match what {
                "replication" => {
                    "must be superuser to alter replication roles or change replication attribute"
                }
                _ => "must be superuser to change bypassrls attribute",
            }));
        }
    }
    if !own_password && !creates_roles(context) {
        return Err(denied("permission denied"));
    }
    if role.id == BOOTSTRAP && options.contains(&RoleOption::Flag("SUPERUSER", false)) {
        let message = "permission denied: bootstrap user must be superuser";
        return Err(Error::new("0A000", message));
    }
    apply(context, &mut role, options)?;
    keep(context, &role, false)?;
    let own = RoleName::Named(role.name.clone());
    for option in options {
        if let RoleOption::Members(members, admin) = option {
            let (roles, members, admin) = (vec![own.clone()], members.clone(), *admin);
            grant(context, &GrantRole { revoke: false, roles, members, admin, granted_by: None })?;
        }
    }
    someone_can_enter(context)?;
    Ok("ALTER ROLE")
}

/// Refuses what would leave nobody who can repair it.
pub(super) fn someone_can_enter(context: &Context<'_>) -> Result<()> {
    let roles = access::roles(context.lakes.main.state());
    let enters = |role: &Role| role.superuser && role.login && role.password.is_some();
    if roles.is_empty() || roles.iter().any(enters) {
        return Ok(());
    }
    let message = "no superuser would be left that can log in with a password";
    Err(Error::new("55000", message).with_hint("Give another superuser LOGIN and a password."))
}

fn rename(context: &mut Context<'_>, name: &RoleName, to: &RoleName) -> Result<&'static str> {
    let mut role = changed(context, name)?;
    let authority = &context.environment.authority;
    for (id, word) in [(context.environment.session_role, "session"), (authority.role, "current")] {
        if id == role.id {
            return Err(Error::new("0A000", format!("{word} user cannot be renamed")));
        }
    }
    let to = new_name(context, to)?;
    if role.superuser && !authority.superuser {
        return Err(denied("must be superuser to rename superusers"));
    }
    if !creates_roles(context) {
        return Err(denied("permission denied to rename role"));
    }
    context.lakes.main.undefine(KIND, &role.name)?;
    role.name = to;
    keep(context, &role, true)?;
    Ok("ALTER ROLE")
}

fn set(
    context: &mut Context<'_>,
    name: &RoleName,
    setting: &Option<String>,
    value: &Option<String>,
) -> Result<&'static str> {
    if *name == RoleName::Public {
        return Err(Error::unsupported("ALTER ROLE ALL").with_hint("Name a role."));
    }
    let mut role = changed(context, name)?;
    let authority = &context.environment.authority;
    if role.superuser && !authority.superuser {
        return Err(denied("must be superuser to alter superusers"));
    }
    if role.id != authority.role && !creates_roles(context) {
        return Err(denied("permission denied"));
    }
    match (setting, value) {
        (None, _) => role.settings.clear(),
        (Some(setting), None) => {
            role.settings.remove(&setting.to_lowercase());
        }
        (Some(setting), Some(value)) => {
            role.settings.insert(setting.to_lowercase(), value.clone());
        }
    }
    keep(context, &role, false)?;
    Ok("ALTER ROLE")
}

/// GRANT role TO role, REVOKE role FROM role.
pub(super) fn grant(context: &mut Context<'_>, change: &GrantRole) -> Result<String> {
    for name in &change.roles {
        let of = context.environment.expect_role(context.lakes.main.state(), name)?;
        may_grant(context, &of)?;
        for member in &change.members {
            match change.revoke {
                true => leave(context, &of, member, change.admin)?,
                false => join(context, &of, member, change)?,
            }
        }
    }
    Ok(if change.revoke { "REVOKE ROLE" } else { "GRANT ROLE" }.into())
}

fn may_grant(context: &Context<'_>, of: &Role) -> Result<()> {
    let authority = &context.environment.authority;
    if of.superuser && !authority.superuser {
        return Err(denied("must be superuser to alter superusers"));
    }
    if of.name == "pg_database_owner" {
        let message = format!("role \"{}\" cannot have explicit members", of.name);
        return Err(Error::new("0LP01", message));
    }
    let admin = authority.administers(context.lakes.main.state(), of.id);
    match admin || creates_roles(context) {
        true => Ok(()),
        false => Err(denied(format!("must have admin option on role \"{}\"", of.name))),
    }
}

fn join(context: &mut Context<'_>, of: &Role, member: &RoleName, change: &GrantRole) -> Result<()> {
    let state = state(context);
    let mut member = changed(context, member)?;
    let grantor = match &change.granted_by {
        Some(name) => context.environment.expect_role(&state, name)?.id,
        None => context.environment.authority.role,
    };
    if access::reached(&state, of.id, false).contains(&member.id) {
        let message = format!("role \"{}\" is a member of role \"{}\"", of.name, member.name);
        return Err(Error::new("0LP01", message));
    }
    match member.member_of.iter_mut().find(|m| m.role == of.id) {
        Some(known) if known.admin || !change.admin => {
            let (member, of) = (&member.name, &of.name);
            let message = format!("role \"{member}\" is already a member of role \"{of}\"");
            context.notices.push(Notice::notice(message));
            return Ok(());
        }
        Some(known) => known.admin = true,
        None => member.member_of.push(Member { role: of.id, admin: change.admin, grantor }),
    }
    keep(context, &member, false)
}

fn leave(context: &mut Context<'_>, of: &Role, member: &RoleName, admin: bool) -> Result<()> {
    let mut member = changed(context, member)?;
    let Some(at) = member.member_of.iter().position(|m| m.role == of.id) else {
        let message = format!("role \"{}\" is not a member of role \"{}\"", member.name, of.name);
        context.notices.push(Notice::warning("01000", message));
        return Ok(());
    };
    match admin {
        true => member.member_of[at].admin = false,
        false => {
            member.member_of.remove(at);
        }
    }
    keep(context, &member, false)
}
