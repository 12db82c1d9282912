//! DROP ROLE: refused while the role owns something or has rights on something.

use catalog::State;

use super::Context;
use super::role::{creates_roles, denied, keep, someone_can_enter};
use crate::Notice;
use crate::access::{self, BOOTSTRAP, KIND, Role};
use crate::error::{Error, Result};
use crate::parse::RoleName;

pub(super) fn run(context: &mut Context<'_>, name: &RoleName, if_exists: bool) -> Result<()> {
    if !creates_roles(context) {
        return Err(denied("permission denied to drop role"));
    }
    let state = std::sync::Arc::clone(context.lakes.main.state());
    let role = match name {
        RoleName::Named(name) => access::by_name(&state, name),
        _ => return Err(Error::new("22023", "cannot use special role specifier in DROP ROLE")),
    };
    let Some(role) = role else {
        let RoleName::Named(name) = name else { return Ok(()) };
        let message = format!("role \"{name}\" does not exist");
        if !if_exists {
            return Err(Error::new("42704", message));
        }
        context.notices.push(Notice::notice(format!("{message}, skipping")));
        return Ok(());
    };
    let last = access::roles(&state).len() == 1;
    may_drop(context, &role, last)?;
    let depends = dependencies(context, &state, &role);
    if !depends.is_empty() && !last {
        let message =
            format!("role \"{}\" cannot be dropped because some objects depend on it", role.name);
        return Err(Error::new("2BP01", message).with_detail(depends.join("\n")));
    }
    for mut member in access::roles(&state) {
        if member.member_of.iter().any(|m| m.role == role.id) {
            member.member_of.retain(|m| m.role != role.id);
            keep(context, &member, false)?;
        }
    }
    context.lakes.main.undefine(KIND, &role.name)?;
    if last {
        let message = "there are no roles any more: only this machine may connect, as anybody";
        context.notices.push(Notice::notice(message));
    }
    someone_can_enter(context)
}

/// The last role may go even if it is one's own: then there are none, as in the beginning.
fn may_drop(context: &Context<'_>, role: &Role, last: bool) -> Result<()> {
    let authority = &context.environment.authority;
    if role.superuser && !authority.superuser {
        return Err(denied("must be superuser to drop superusers"));
    }
    if last {
        return Ok(());
    }
    for (id, word) in [(authority.role, "current"), (context.environment.session_role, "session")] {
        if id == role.id {
            return Err(Error::new("55006", format!("{word} user cannot be dropped")));
        }
    }
    if role.id == BOOTSTRAP || role.name.starts_with("pg_") {
        let message =
            format!("cannot drop role {} because it is required by the database system", role.name);
        return Err(Error::new("2BP01", message));
    }
    Ok(())
}

fn dependencies(context: &Context<'_>, state: &State, role: &Role) -> Vec<String> {
    let mut lines = Vec::new();
    for object in access::all(state, &context.environment.database) {
        let acl = object.acl(state);
        if acl.owner == role.id {
            lines.push(format!("owner of {} {}", object.word, object.name));
        } else if acl.mentions(role.id) {
            lines.push(format!("privileges for {} {}", object.word, object.name));
        }
    }
    lines.extend(super::default_privileges::mentions(context, state, role.id));
    lines
}
