//! The first exchange of a connection: TLS, cancel requests, hello, and what the client is told.

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::{BufMut, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::session::{Login, Session};
use crate::wire::cancel::Running;
use crate::wire::connection::Connection;
use crate::wire::message::{Startup, read_startup};
use crate::wire::{auth, reply};
use crate::{Error, Server};

/// A client that has not said hello by then is dropped.
const STARTUP_LIMIT: Duration = Duration::from_secs(60);

/// A plain or encrypted stream.
pub trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

struct Hello {
    stream: Box<dyn Stream>,
    encrypted: bool,
    minor: u16,
    parameters: Vec<(String, String)>,
}

/// Serves one connection from its first byte to its last.
pub async fn serve(server: Arc<Server>, socket: TcpStream, peer: SocketAddr) {
    let _ = socket.set_nodelay(true);
    let hello = tokio::select! {
        () = server.stop().cancelled() => return,
        hello = tokio::time::timeout(STARTUP_LIMIT, greet(&server, socket)) => hello,
    };
    let Ok(Some(mut hello)) = hello else { return };
    let admitting = tokio::time::timeout(STARTUP_LIMIT, admit(&server, &mut hello, peer));
    let admitted = tokio::select! {
        () = server.stop().cancelled() => return,
        admitted = admitting => admitted,
    };
    let admitted = admitted
        .unwrap_or_else(|_| Err(Error::new("57014", "canceling authentication due to timeout")));
    let (login, running) = match admitted {
        Ok(admitted) => admitted,
        Err(error) => return refuse(&mut hello.stream, &error).await,
    };
    let pid = running.pid;
    match open(&server, &hello, login, pid) {
        Ok(mut session) => {
            let application = parameter(&hello, "application_name");
            running.introduce(application, peer.ip().to_string());
            let mut out = BytesMut::with_capacity(1 << 10);
            welcome(&mut out, &hello, &mut session);
            reply::message(&mut out, b'K', |out| {
                out.put_i32(running.pid);
                out.put_i32(running.secret);
            });
            let stop = server.stop().clone();
            Connection::new(hello.stream, session, running, stop, out).run().await;
        }
        Err(error) => refuse(&mut hello.stream, &error).await,
    }
    server.cancels.leave(pid);
}

/// Everything up to the client's hello; None when there is nothing more to do.
async fn greet(server: &Arc<Server>, socket: TcpStream) -> Option<Hello> {
    let mut first = [0];
    let direct = matches!(socket.peek(&mut first).await, Ok(1)) && first[0] == 0x16;
    let mut stream: Box<dyn Stream> = match (&server.tls, direct) {
        (Some(tls), true) => Box::new(tls.accept(socket).await.ok()?),
        (None, true) => return None,
        (_, false) => Box::new(socket),
    };
    let mut encrypted = direct;
    loop {
        match read_startup(&mut stream).await {
            Ok(Some(Startup::Tls)) => {
                let tls = server.tls.as_ref().filter(|_| !encrypted);
                stream.write_all(if tls.is_some() { b"S" } else { b"N" }).await.ok()?;
                stream.flush().await.ok()?;
                if let Some(tls) = tls {
                    stream = Box::new(tls.accept(stream).await.ok()?);
                    encrypted = true;
                }
            }
            Ok(Some(Startup::Gss)) => {
                stream.write_all(b"N").await.ok()?;
                stream.flush().await.ok()?;
            }
            Ok(Some(Startup::Cancel { pid, secret })) => {
                server.cancels.cancel(pid, secret);
                return None;
            }
            Ok(Some(Startup::Hello { minor, parameters })) => {
                return Some(Hello { stream, encrypted, minor, parameters });
            }
            Ok(None) => return None,
            Err(error) => {
                refuse(&mut stream, &error).await;
                return None;
            }
        }
    }
}

fn parameter<'a>(hello: &'a Hello, wanted: &str) -> &'a str {
    let found = hello.parameters.iter().find(|(name, _)| name == wanted);
    found.map_or("", |(_, value)| value)
}

/// Checks the password and takes a slot.
async fn admit(
    server: &Arc<Server>,
    hello: &mut Hello,
    peer: SocketAddr,
) -> Result<(Login, Arc<Running>), Error> {
    let config = server.config();
    if config.tls_require && !hello.encrypted {
        return Err(Error::new("28000", "this server takes encrypted connections only")
            .with_hint("Connect with sslmode=require, or verify-full."));
    }
    let user = parameter(hello, "user").to_owned();
    let state = server.lake().current().await?;
    let binding = server.end_point.as_deref().filter(|_| hello.encrypted);
    let (login, mut entering) =
        auth::authenticate(&mut hello.stream, &server.failures, &state, peer, &user, binding)
            .await?;
    entering.reserved = config.superuser_reserved_connections;
    let running = server.cancels.enter(config.max_connections, &entering)?;
    Ok((login, running))
}

fn open(server: &Arc<Server>, hello: &Hello, login: Login, pid: i32) -> Result<Session, Error> {
    let mut options: HashMap<String, String> = HashMap::new();
    let mut database = None;
    for (name, value) in &hello.parameters {
        match name.as_str() {
            "user" => {}
            "database" => database = Some(value.clone()),
            "options" => options.extend(command_line(value)?),
            "replication" if !matches!(value.as_str(), "false" | "off" | "no" | "0") => {
                return Err(Error::new("0A000", "replication connections are not supported"));
            }
            name if name == "replication" || name.starts_with("_pq_.") => {}
            name => {
                options.insert(name.to_owned(), value.clone());
            }
        }
    }
    let database = database.filter(|name| !name.is_empty()).unwrap_or_else(|| login.user.clone());
    if database != server.config().database {
        let hint = format!("This server has one database: \"{}\".", server.config().database);
        let message = format!("database \"{database}\" does not exist");
        return Err(Error::new("3D000", message).with_hint(hint));
    }
    Session::new(Arc::clone(server), login, database, options, pid)
}

/// `-c name=value`, `-cname=value`, `--name=value`; a backslash keeps the next character.
fn command_line(text: &str) -> Result<HashMap<String, String>, Error> {
    let mut words = vec![String::new()];
    let mut characters = text.chars();
    while let Some(c) = characters.next() {
        match (c, words.last_mut()) {
            ('\\', Some(word)) => word.extend(characters.next()),
            (c, Some(word)) if !c.is_whitespace() => word.push(c),
            _ => words.push(String::new()),
        }
    }
    let mut found = HashMap::new();
    let mut words = words.into_iter().filter(|word| !word.is_empty());
    while let Some(word) = words.next() {
        let setting = match (word.strip_prefix("--"), word.strip_prefix("-c")) {
            (Some(setting), _) => setting.replace('-', "_"),
            (None, Some("")) => words.next().unwrap_or_default(),
            (None, Some(setting)) => setting.to_owned(),
            (None, None) => String::new(),
        };
        let (name, value) = setting.split_once('=').ok_or_else(|| {
            let message = format!("invalid command-line argument for server process: {word}");
            Error::new("42601", message)
        })?;
        found.insert(name.trim().to_owned(), value.to_owned());
    }
    Ok(found)
}

/// AuthenticationOk and the settings drivers wait for.
fn welcome(out: &mut BytesMut, hello: &Hello, session: &mut Session) {
    let extensions: Vec<&str> = hello
        .parameters
        .iter()
        .map(|(name, _)| name.as_str())
        .filter(|name| name.starts_with("_pq_."))
        .collect();
    if hello.minor > 0 || !extensions.is_empty() {
        reply::message(out, b'v', |out| {
            out.put_i32(3 << 16);
            out.put_i32(i32::try_from(extensions.len()).unwrap_or(0));
            extensions.iter().for_each(|name| reply::text(out, name));
        });
    }
    reply::message(out, b'R', |out| out.put_i32(0));
    let version = format!("15.0 (Sextant {})", env!("CARGO_PKG_VERSION"));
    let mut settings: BTreeMap<String, String> = BTreeMap::new();
    for (name, value) in [
        ("server_version", version.as_str()),
        ("server_encoding", "UTF8"),
        ("client_encoding", "UTF8"),
        ("application_name", parameter(hello, "application_name")),
        ("default_transaction_read_only", "off"),
        ("in_hot_standby", "off"),
        ("is_superuser", "on"),
        ("session_authorization", parameter(hello, "user")),
        ("DateStyle", "ISO, MDY"),
        ("IntervalStyle", "postgres"),
        ("TimeZone", session.time_zone()),
        ("integer_datetimes", "on"),
        ("standard_conforming_strings", "on"),
    ] {
        settings.insert(name.to_owned(), value.to_owned());
    }
    settings.extend(session.take_reports());
    settings.iter().for_each(|(name, value)| reply::parameter(out, name, value));
}

/// Tells why not, as a proper message, and closes.
async fn refuse(stream: &mut Box<dyn Stream>, error: &Error) {
    let mut out = BytesMut::new();
    reply::error(&mut out, "FATAL", error);
    if stream.write_all(&out).await.is_ok() {
        let _ = stream.shutdown().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_split_as_postgres_does() {
        let text = r"-c statement_timeout=5s --search-path=a\ b -cTimeZone=UTC";
        let found = command_line(text).unwrap();
        assert_eq!(found["statement_timeout"], "5s");
        assert_eq!(found["search_path"], "a b");
        assert_eq!(found["TimeZone"], "UTC");
        assert!(command_line("nonsense").is_err());
    }
}
