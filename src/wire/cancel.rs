//! Cancel: who runs what, and the key that stops it.

use std::collections::HashMap;
use std::sync::atomic::{AtomicI32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use tokio_util::sync::CancellationToken;

use sql::access::RoleId;

use crate::Error;

/// Connections by process id.
#[derive(Default)]
pub struct Registry {
    last: AtomicI32,
    entries: Mutex<HashMap<i32, Arc<Running>>>,
}

/// What `pg_stat_activity` says of a connection.
#[derive(Debug, Clone)]
pub struct About {
    pub user: String,
    /// None: let in while there were no roles.
    pub role: Option<RoleId>,
    pub superuser: bool,
    pub application: String,
    pub address: String,
    pub since: SystemTime,
    /// The statement that runs, or the last one that did.
    pub query: Arc<str>,
    pub query_since: SystemTime,
    /// `active`, `idle`, `idle in transaction`, `idle in transaction (aborted)`.
    pub state: &'static str,
    pub state_since: SystemTime,
}

impl Default for About {
    fn default() -> Self {
        let now = SystemTime::now();
        Self {
            user: String::new(),
            role: None,
            superuser: true,
            application: String::new(),
            address: String::new(),
            since: now,
            query: Arc::from(""),
            query_since: now,
            state: "idle",
            state_since: now,
        }
    }
}

/// Who asks for a connection.
#[derive(Debug, Clone)]
pub struct Entering {
    pub user: String,
    pub role: Option<RoleId>,
    pub superuser: bool,
    /// The role's own limit; -1: none.
    pub limit: i32,
    /// Connections kept free for superusers.
    pub reserved: usize,
}

/// What one connection does now.
pub struct Running {
    /// The process id the client knows it by.
    pub pid: i32,
    /// The key that a cancel request must carry.
    pub secret: i32,
    token: Mutex<Option<CancellationToken>>,
    about: Mutex<About>,
    /// Set when someone ends the connection as a whole.
    pub terminate: CancellationToken,
}

impl Registry {
    /// Enters a connection unless `most` are in.
    pub fn enter(&self, most: usize, who: &Entering) -> Result<Arc<Running>, Error> {
        let mut secret = [0u8; 4];
        rustls::crypto::ring::default_provider()
            .secure_random
            .fill(&mut secret)
            .map_err(|_| Error::new("58000", "no random numbers for the cancel key"))?;
        let mut entries = lock(&self.entries);
        if entries.len() >= most {
            return Err(Error::new("53300", "sorry, too many clients already")
                .with_hint(format!("The limit is {most}: see --max-connections.")));
        }
        if !who.superuser {
            if entries.len() + who.reserved >= most {
                let message = "remaining connection slots are reserved for roles with the \
                               SUPERUSER attribute";
                return Err(Error::new("53300", message));
            }
            let same = |running: &&Arc<Running>| lock(&running.about).role == who.role;
            let own = entries.values().filter(same).count();
            if usize::try_from(who.limit).is_ok_and(|limit| own >= limit) {
                let message = format!("too many connections for role \"{}\"", who.user);
                return Err(Error::new("53300", message));
            }
        }
        let pid = loop {
            let pid = self.last.fetch_add(1, Ordering::Relaxed).wrapping_add(1) & i32::MAX;
            if pid != 0 && !entries.contains_key(&pid) {
                break pid;
            }
        };
        let running = Arc::new(Running {
            pid,
            secret: i32::from_be_bytes(secret),
            token: Mutex::new(None),
            about: Mutex::new(About {
                user: who.user.clone(),
                role: who.role,
                superuser: who.superuser,
                ..About::default()
            }),
            terminate: CancellationToken::new(),
        });
        entries.insert(pid, Arc::clone(&running));
        Ok(running)
    }

    /// Shows every connection to `look`, in the order of their process ids.
    pub fn each(&self, mut look: impl FnMut(i32, &About)) {
        let mut all: Vec<Arc<Running>> = lock(&self.entries).values().cloned().collect();
        all.sort_by_key(|running| running.pid);
        all.iter().for_each(|running| look(running.pid, &lock(&running.about)));
    }

    /// The role of a connection, and whether it is a superuser; None: there is no such connection.
    pub fn role_of(&self, pid: i32) -> Option<(RoleId, bool)> {
        let found = lock(&self.entries).get(&pid).cloned()?;
        let about = lock(&found.about);
        Some((about.role.unwrap_or(sql::access::BOOTSTRAP), about.superuser))
    }

    /// Forgets a connection that ended.
    pub fn leave(&self, pid: i32) {
        lock(&self.entries).remove(&pid);
    }

    /// Stops what a connection runs, if the key is right; otherwise nothing happens.
    pub fn cancel(&self, pid: i32, secret: i32) {
        let found = lock(&self.entries).get(&pid).cloned();
        if let Some(running) = found.filter(|running| running.secret == secret) {
            running.cancel();
        }
    }

    /// Stops what a connection runs (`pg_cancel_backend`); false: there is none.
    pub fn cancel_backend(&self, pid: i32) -> bool {
        let found = lock(&self.entries).get(&pid).cloned();
        found.inspect(|running| running.cancel()).is_some()
    }

    /// Ends a connection (`pg_terminate_backend`); false: there is none.
    pub fn terminate_backend(&self, pid: i32) -> bool {
        let found = lock(&self.entries).get(&pid).cloned();
        found.inspect(|running| running.terminate.cancel()).is_some()
    }
}

impl Running {
    /// Work begins; a cancel before this had nothing to stop.
    pub fn begin(&self) -> CancellationToken {
        lock(&self.token).get_or_insert_with(CancellationToken::new).clone()
    }

    /// Says who it is.
    pub fn introduce(&self, application: &str, address: String) {
        let mut about = lock(&self.about);
        about.application = application.to_owned();
        about.address = address;
    }

    /// A statement begins.
    pub fn runs(&self, query: &str) {
        let mut about = lock(&self.about);
        about.query = match sql::access::masked(query) {
            Some(masked) => Arc::from(masked),
            None => Arc::from(query),
        };
        about.query_since = SystemTime::now();
        about.state_since = about.query_since;
        about.state = "active";
    }

    /// It waits for the client.
    pub fn waits(&self, state: &'static str) {
        let mut about = lock(&self.about);
        about.state = state;
        about.state_since = SystemTime::now();
    }

    /// Work ended; a late cancel stops nothing.
    pub fn end(&self) {
        lock(&self.token).take();
    }

    fn cancel(&self) {
        if let Some(token) = &*lock(&self.token) {
            token.cancel();
        }
    }
}

/// The maps stay right when a holder panics: every change is one call.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_right_key_stops_only_running_work() {
        let registry = Registry::default();
        let who =
            Entering { user: "me".into(), role: None, superuser: true, limit: -1, reserved: 1 };
        let running = registry.enter(2, &who).unwrap();
        registry.cancel(running.pid, running.secret);
        let token = running.begin();
        registry.cancel(running.pid, running.secret.wrapping_add(1));
        assert!(!token.is_cancelled());
        registry.cancel(running.pid, running.secret);
        assert!(token.is_cancelled());
        running.end();
        assert!(!running.begin().is_cancelled());
        let other = Entering { superuser: false, ..who.clone() };
        assert_eq!(registry.enter(2, &other).err().unwrap().sqlstate, "53300");
        let limited = Entering { superuser: false, limit: 1, reserved: 0, ..who.clone() };
        assert_eq!(registry.enter(2, &limited).err().unwrap().sqlstate, "53300");
        registry.enter(2, &who).unwrap();
        assert_eq!(registry.enter(2, &who).err().unwrap().sqlstate, "53300");
    }
}
