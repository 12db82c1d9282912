//! Cancel: who runs what, and the key that stops it.

use std::collections::HashMap;
use std::sync::atomic::{AtomicI32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio_util::sync::CancellationToken;

use crate::Error;

/// Connections by process id.
#[derive(Default)]
pub struct Registry {
    last: AtomicI32,
    entries: Mutex<HashMap<i32, Arc<Running>>>,
}

/// What one connection does now.
pub struct Running {
    /// The process id the client knows it by.
    pub pid: i32,
    /// The key that a cancel request must carry.
    pub secret: i32,
    token: Mutex<Option<CancellationToken>>,
    /// Set when someone ends the connection as a whole.
    pub terminate: CancellationToken,
}

impl Registry {
    /// Enters a connection unless `most` are in.
    pub fn enter(&self, most: usize) -> Result<Arc<Running>, Error> {
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
            terminate: CancellationToken::new(),
        });
        entries.insert(pid, Arc::clone(&running));
        Ok(running)
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
        found
            .inspect(|running| running.terminate.cancel())
            .is_some()
    }
}

impl Running {
    /// Work begins; a cancel before this had nothing to stop.
    pub fn begin(&self) -> CancellationToken {
        lock(&self.token)
            .get_or_insert_with(CancellationToken::new)
            .clone()
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
        let running = registry.enter(2).unwrap();
        registry.cancel(running.pid, running.secret);
        let token = running.begin();
        registry.cancel(running.pid, running.secret.wrapping_add(1));
        assert!(!token.is_cancelled());
        registry.cancel(running.pid, running.secret);
        assert!(token.is_cancelled());
        running.end();
        assert!(!running.begin().is_cancelled());
        registry.enter(2).unwrap();
        assert_eq!(registry.enter(2).err().unwrap().sqlstate, "53300");
    }
}
