//! The Postgres protocol, version 3.0: sockets on one side, a `Session` on the other.
//!
//! ```text
//!   accept ─▶ startup (TLS, cancel, hello) ─▶ connection ─▶ simple | extended ─▶ rows ─▶ encode
//! ```
//!
//! A loop of our own: pgwire's collects messages without a bound, panics on short ones and makes
//! a buffer per row.

mod array_text;
pub(crate) mod auth;
mod binary;
mod calendar;
pub mod cancel;
mod connection;
pub(crate) mod copy;
pub mod decode;
pub mod encode;
mod extended;
mod message;
mod number;
pub(crate) mod output;
mod progress;
mod reply;
mod rows;
mod sasl;
mod startup;
mod text;
pub(crate) mod tls;
mod value;

use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::Server;

/// Sockets beyond `max_connections` that may be saying hello or carrying a cancel.
const EXTRA_SOCKETS: usize = 64;
/// Pause after a failed accept (out of file descriptors), so that it does not spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Accepts connections until the server stops, then waits for those it has.
pub async fn accept(server: Arc<Server>, listener: TcpListener) {
    let sockets = Arc::new(Semaphore::new(server.config().max_connections + EXTRA_SOCKETS));
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            () = server.stop().cancelled() => break,
            Some(_) = connections.join_next() => continue,
            accepted = listener.accept() => accepted,
        };
        let (socket, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!("cannot accept a connection: {error}");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let Ok(permit) = Arc::clone(&sockets).try_acquire_owned() else {
            continue;
        };
        let of = Arc::clone(&server);
        connections.spawn(async move {
            startup::serve(of, socket, peer).await;
            drop(permit);
        });
    }
    drop(listener);
    while connections.join_next().await.is_some() {}
}
