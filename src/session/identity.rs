//! Who a session is: the role it logged in as, the one it has become, and their rights.
//!
//! SET ROLE and SET SESSION AUTHORIZATION are settings, so that they end with a transaction that
//! rolls back; here their names become roles of the state at hand.

use std::sync::{Arc, RwLock};

use catalog::State;
use sql::access::{self, Authority, BOOTSTRAP, RoleId};
use sql::parse::OfRole;
use sql::system::functions::Seen;

use super::Session;
use crate::Error;
use crate::settings::Settings;

/// Who was let in.
#[derive(Debug, Clone)]
pub struct Login {
    pub user: String,
    /// None: let in while there were no roles, with the rights of the first one since.
    pub role: Option<RoleId>,
    /// What the role's sessions start with.
    pub settings: Vec<(String, String)>,
}

/// A session's identity at the state it has seen last.
#[derive(Debug, Clone)]
pub struct Who {
    /// What `session_user` says.
    pub session: String,
    pub session_role: RoleId,
    /// What `current_user` says.
    pub current: String,
    pub authority: Arc<Authority>,
}

/// Shared with the functions that answer it.
pub type SharedWho = Arc<RwLock<Who>>;

impl Who {
    /// Somebody before anything was seen.
    pub fn new(login: &Login) -> Self {
        Self {
            session: login.user.clone(),
            session_role: login.role.unwrap_or(BOOTSTRAP),
            current: login.user.clone(),
            authority: Arc::new(Authority::everything()),
        }
    }

    /// Who it is at a state.
    fn at(login: &Login, state: &State, settings: &Settings) -> Self {
        if !access::has_roles(state) {
            return Self {
                session_role: BOOTSTRAP,
                ..Self::new(&Login { role: None, ..login.clone() })
            };
        }
        let name = |id: RoleId| access::by_id(state, id).map(|role| role.name);
        let mut session = match login.role {
            Some(id) => (name(id).unwrap_or_else(|| login.user.clone()), id),
            None => (login.user.clone(), BOOTSTRAP),
        };
        let chosen = |setting: &str, none: &str| {
            let value = settings.get(setting).filter(|value| *value != none && !value.is_empty());
            value.map(|value| {
                // A role that is gone has no rights.
                let id = access::by_name(state, value).map_or(-1, |role| role.id);
                (value.to_owned(), id)
            })
        };
        if let Some(other) = chosen("session_authorization", "") {
            session = other;
        }
        let current = chosen("role", "none").unwrap_or_else(|| session.clone());
        let authority = Arc::new(Authority::of(state, current.1));
        Self { session: session.0, session_role: session.1, current: current.0, authority }
    }
}

impl Session {
    /// A copy of who the session is.
    pub(super) fn who(&self) -> Who {
        match self.who.read() {
            Ok(who) => who.clone(),
            Err(poisoned) => poisoned.into_inner().clone(),
        }
    }

    /// Finds out anew who the session is; cheap without roles.
    pub(super) fn identify(&mut self) {
        let Some(open) = &self.open else { return };
        let state = open.lakes.main.state();
        let Ok(settings) = self.settings.read() else { return };
        let new = Who::at(&self.login, state, &settings);
        drop(settings);
        let known = self.who();
        if new.current == known.current
            && new.session == known.session
            && new.authority == known.authority
        {
            return;
        }
        let superuser = if new.authority.superuser { "on" } else { "off" };
        if let Ok(mut settings) = self.settings.write() {
            settings.tell("is_superuser", superuser);
            if new.session != known.session {
                settings.tell("session_authorization", &new.session);
            }
        }
        if let Ok(mut who) = self.who.write() {
            *who = new;
        }
        self.renewed += 1;
    }

    /// SET ROLE and SET SESSION AUTHORIZATION.
    pub(super) async fn become_role(&mut self, of: &OfRole) -> Result<(), Error> {
        self.open(false).await?;
        let (setting, name, local) = match of {
            OfRole::Become { role, local, .. } => ("role", role, *local),
            OfRole::Authorize { user, local, .. } => ("session_authorization", user, *local),
            _ => return Ok(()),
        };
        let in_block = self.open.as_ref().is_some_and(|open| open.block.is_some());
        if local && !in_block {
            let message = "SET LOCAL can only be used in transaction blocks";
            self.notices.push(sql::Notice::warning("25P01", message));
            return Ok(());
        }
        if let Some(name) = name {
            self.may_be(setting, name)?;
        }
        {
            let mut settings = self.write_settings()?;
            settings.put_role(setting, name.as_deref(), local);
            if setting == "session_authorization" {
                settings.put_role("role", None, local);
            }
        }
        self.settings_changed()
    }

    fn may_be(&self, setting: &str, name: &str) -> Result<(), Error> {
        let who = self.who();
        let Some(open) = &self.open else { return Ok(()) };
        let state = open.lakes.main.state();
        if !access::has_roles(state) && name == self.login.user {
            return Ok(());
        }
        let role = access::by_name(state, name)
            .ok_or_else(|| Error::new("22023", format!("role \"{name}\" does not exist")))?;
        if setting == "role" {
            let session = Authority::of(state, who.session_role);
            return match session.may_become(state, role.id) {
                true => Ok(()),
                false => {
                    let message = format!("permission denied to set role \"{name}\"");
                    Err(Error::new("42501", message))
                }
            };
        }
        let login = Authority::of(state, self.login.role.unwrap_or(BOOTSTRAP));
        match login.superuser || Some(role.id) == self.login.role {
            true => Ok(()),
            false => Err(Error::new("42501", "permission denied to set session authorization")),
        }
    }

    /// A role's settings are checked when they are kept, as SET checks them.
    pub(super) fn check_role_setting(&self, of: &OfRole) -> Result<(), Error> {
        match of {
            OfRole::Setting { setting: Some(setting), value: Some(value), .. } => {
                Settings::new([(setting.clone(), value.clone())]).map(|_| ())
            }
            _ => Ok(()),
        }
    }
}

/// The role's settings that are still good; the others are told of.
pub(super) fn usable(settings: &[(String, String)]) -> (Vec<(String, String)>, Vec<sql::Notice>) {
    let (mut good, mut notices) = (Vec::new(), Vec::new());
    for setting in settings {
        match Settings::new([setting.clone()]) {
            Ok(_) => good.push(setting.clone()),
            Err(error) => notices.push(sql::Notice::warning(error.sqlstate, error.to_string())),
        }
    }
    (good, notices)
}

/// The functions about rights, which answer for who the session is.
pub(super) fn privileges(seen: &Seen, who: &SharedWho) -> Vec<datafusion::logical_expr::ScalarUDF> {
    let who = Arc::clone(who);
    let answer = move || match who.read() {
        Ok(who) => (who.current.clone(), Arc::clone(&who.authority)),
        Err(poisoned) => {
            let who = poisoned.into_inner();
            (who.current.clone(), Arc::clone(&who.authority))
        }
    };
    sql::system::privileges::functions(seen, Arc::new(answer))
}

/// Settings whose defaults are the server's.
pub(super) fn configured(config: &crate::config::Config) -> [(String, String); 3] {
    let seconds = |seconds: u64| format!("{seconds}s");
    [
        ("statement_timeout".into(), config.statement_timeout_ms.to_string()),
        ("sextant.snapshot_retention".into(), seconds(config.snapshot_retention_seconds)),
        ("sextant.file_retention".into(), seconds(config.file_retention_seconds)),
    ]
}
