//! Who may enter: with roles whoever proves a password, without roles this machine.
//!
//! An unknown user and a wrong password are answered alike and after the same work; repeated
//! failures wait longer and longer.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use catalog::State;
use chrono::Utc;
use sql::access::scram::Verifier;
use sql::access::{self, BOOTSTRAP, Role};
use tokio::io::{AsyncRead, AsyncWrite};

use crate::Error;
use crate::session::Login;
use crate::wire::cancel::Entering;
use crate::wire::sasl;

/// Pairs of address and user whose failures are remembered.
const REMEMBERED: usize = 1024;
/// Failures that cost no time.
const FREE_FAILURES: u32 = 3;
const FIRST_DELAY: Duration = Duration::from_millis(250);
const LONGEST_DELAY: Duration = Duration::from_secs(10);

/// Failed log-ins by address and user.
#[derive(Default)]
pub struct Failures(Mutex<HashMap<(IpAddr, String), Failed>>);

struct Failed {
    count: u32,
    /// The next attempt is taken then; attempts at the same time queue up.
    next: Instant,
}

impl Failures {
    /// How long an attempt has to wait, which is reserved for it.
    fn wait(&self, key: &(IpAddr, String)) -> Duration {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(failed) = all.get_mut(key) else { return Duration::ZERO };
        let Some(doublings) = failed.count.checked_sub(FREE_FAILURES) else {
            return Duration::ZERO;
        };
        let delay = FIRST_DELAY.saturating_mul(1 << doublings.min(8)).min(LONGEST_DELAY);
        let now = Instant::now();
        failed.next = failed.next.max(now) + delay;
        failed.next - now
    }

    fn failed(&self, key: (IpAddr, String)) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() >= REMEMBERED && !all.contains_key(&key) {
            let oldest = all.iter().min_by_key(|(_, failed)| failed.next);
            if let Some(oldest) = oldest.map(|(key, _)| key.clone()) {
                all.remove(&oldest);
            }
        }
        let now = Instant::now();
        all.entry(key).or_insert(Failed { count: 0, next: now }).count += 1;
    }

    fn succeeded(&self, key: &(IpAddr, String)) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(key);
    }
}

/// Lets a user in, or says why not.
pub async fn authenticate<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut S,
    failures: &Failures,
    state: &State,
    peer: SocketAddr,
    user: &str,
    binding: Option<&[u8]>,
) -> Result<(Login, Entering), Error> {
    if user.is_empty() {
        return Err(Error::new("28000", "no PostgreSQL user name specified in startup packet"));
    }
    if !access::has_roles(state) {
        return from_here(peer, user);
    }
    let key = (peer.ip().to_canonical(), user.to_owned());
    tokio::time::sleep(failures.wait(&key)).await;
    let role = access::by_name(state, user);
    let kept = role.as_ref().and_then(|role| Verifier::parse(role.password.as_deref()?));
    let verifier = kept.clone().unwrap_or_else(|| Verifier::mock(&secret(state), user));
    let proven = sasl::exchange(stream, &verifier, binding).await?;
    let valid =
        |role: &Role| role.valid_until.is_none_or(|until| until >= Utc::now().timestamp_micros());
    let Some(role) = role.filter(|role| proven && kept.is_some() && valid(role)) else {
        failures.failed(key);
        let message = format!("password authentication failed for user \"{user}\"");
        return Err(Error::new("28P01", message));
    };
    failures.succeeded(&key);
    if !role.login {
        let message = format!("role \"{user}\" is not permitted to log in");
        return Err(Error::new("28000", message));
    }
    let entering = Entering {
        user: user.to_owned(),
        role: Some(role.id),
        superuser: role.superuser,
        limit: role.connection_limit,
        reserved: 0,
    };
    let settings = role.settings.into_iter().collect();
    Ok((Login { user: user.to_owned(), role: Some(role.id), settings }, entering))
}

fn from_here(peer: SocketAddr, user: &str) -> Result<(Login, Entering), Error> {
    if !peer.ip().to_canonical().is_loopback() {
        let message = format!("connection from {} refused: the server has no roles", peer.ip());
        return Err(Error::new("28000", message).with_hint(
            "Without roles only connections from the server's own machine are let in.",
        ));
    }
    let user = user.to_owned();
    let entering =
        Entering { user: user.clone(), role: None, superuser: true, limit: -1, reserved: 0 };
    Ok((Login { user, role: None, settings: Vec::new() }, entering))
}

/// What the salts of names that are no roles are derived from.
fn secret(state: &State) -> Vec<u8> {
    let secret = access::by_id(state, BOOTSTRAP).and_then(|role| role.secret);
    secret.unwrap_or_default().into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_loopback_enters_without_roles() {
        let enter = |text: &str| from_here(text.parse().unwrap(), "me");
        assert!(enter("127.0.0.1:9").is_ok());
        assert!(enter("[::ffff:127.0.0.1]:9").is_ok());
        assert_eq!(enter("10.0.0.1:9").unwrap_err().sqlstate, "28000");
    }

    #[test]
    fn failures_cost_time_and_are_bounded() {
        let failures = Failures::default();
        let key = |name: &str| (IpAddr::from([127, 0, 0, 1]), name.to_owned());
        for _ in 0..FREE_FAILURES + 2 {
            assert!(failures.wait(&key("a")) <= LONGEST_DELAY * 2);
            failures.failed(key("a"));
        }
        let (first, second) = (failures.wait(&key("a")), failures.wait(&key("a")));
        assert!(first > Duration::ZERO && second > first);
        failures.succeeded(&key("a"));
        assert_eq!(failures.wait(&key("a")), Duration::ZERO);
        (0..2 * REMEMBERED).for_each(|n| failures.failed(key(&n.to_string())));
        assert_eq!(failures.0.lock().unwrap().len(), REMEMBERED);
    }
}
