//! The server: opens the lake, shares memory and disk among queries, accepts connections.

use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use catalog::{Lake, LakeOptions, Transaction};
use datafusion::execution::disk_manager::{DiskManagerBuilder, DiskManagerMode};
use datafusion::execution::memory_pool::{FairSpillPool, TrackConsumersPool};
use datafusion::execution::runtime_env::{RuntimeEnv, RuntimeEnvBuilder};
use sql::access;
use sql::access::scram::{self, Verifier};
use tokio::net::TcpListener;
use tokio::sync::Mutex;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::Error;
use crate::config::Config;
use crate::engine::Engine;
use crate::spill;
use crate::upkeep;
use crate::wire::auth::Failures;
use crate::wire::cancel::Registry;
use crate::wire::{self, tls};

/// How long a shutdown waits for connections to say good-bye.
const SHUTDOWN_LIMIT: Duration = Duration::from_secs(5);
/// Consumers named when memory runs out.
const CONSUMERS_SHOWN: NonZeroUsize = NonZeroUsize::MIN.saturating_add(4);
/// Decoded pages are kept up to this part of the memory limit, beside it.
const KEPT_PAGES: usize = 8;

/// The schema that unqualified names are made in.
const DEFAULT_SCHEMA: &str = "public";

/// A running server.
pub struct Server {
    config: Config,
    runtime: Arc<RuntimeEnv>,
    engine: Engine,
    lake: Arc<Lake>,
    address: SocketAddr,
    pub(crate) cancels: Registry,
    pub(crate) tls: Option<tokio_rustls::TlsAcceptor>,
    /// The hash of the certificate that clients bind their log-in to.
    pub(crate) end_point: Option<Vec<u8>>,
    pub(crate) failures: Failures,
    stop: CancellationToken,
    accepting: Mutex<Option<JoinHandle<()>>>,
}

impl Server {
    /// Binds the address, opens the lake and starts to accept.
    pub async fn start(config: Config) -> Result<Arc<Self>, Error> {
        let tls = tls::acceptor(&config)?;
        let (tls, end_point) = match tls {
            Some((tls, end_point)) => (Some(tls), end_point),
            None => (None, None),
        };
        writable(&config.data)?;
        let listener = TcpListener::bind(config.listen).await.map_err(|error| {
            Error::new("58000", format!("cannot listen on {}: {error}", config.listen))
        })?;
        let address = listener
            .local_addr()
            .map_err(|error| Error::new("58000", format!("cannot listen: {error}")))?;
        let runtime = runtime(&config)?;
        let lake = open_lake(&config, &runtime).await?;
        superuser(&config, &lake).await?;
        let open = !access::has_roles(lake.current().await?.as_ref());
        let engine = Engine::new(Arc::clone(&runtime), &config)?;
        let server = Arc::new(Self {
            config,
            runtime,
            engine,
            lake,
            address,
            cancels: Registry::default(),
            tls,
            end_point,
            failures: Failures::default(),
            stop: CancellationToken::new(),
            accepting: Mutex::new(None),
        });
        tokio::spawn(upkeep::run(Arc::clone(&server)));
        let accepting = tokio::spawn(wire::accept(Arc::clone(&server), listener));
        *server.accepting.lock().await = Some(accepting);
        tracing::info!(
            "sextant {} ready on {address} (database \"{}\", data {})",
            env!("CARGO_PKG_VERSION"),
            server.config.database,
            server.config.data,
        );
        if open {
            tracing::warn!(
                "there are no roles: only this machine may connect, and anybody on it may do \
                 everything; CREATE ROLE … SUPERUSER LOGIN PASSWORD … ends that"
            );
        }
        Ok(server)
    }

    /// The address clients connect to.
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// The settings it was started with.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Memory, disk and object stores that all queries share.
    pub fn runtime(&self) -> &Arc<RuntimeEnv> {
        &self.runtime
    }

    /// Functions and settings that sessions start from.
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// All tables.
    pub fn lake(&self) -> &Arc<Lake> {
        &self.lake
    }

    /// Cancelled when the server is asked to stop.
    pub(crate) fn stop(&self) -> &CancellationToken {
        &self.stop
    }

    /// Tells clients 57P01 and waits a bounded time for their connections to end.
    pub async fn shutdown(&self) -> Result<(), Error> {
        self.stop.cancel();
        if let Some(accepting) = self.accepting.lock().await.take() {
            let cut = accepting.abort_handle();
            if tokio::time::timeout(SHUTDOWN_LIMIT, accepting).await.is_err() {
                tracing::warn!("some connections did not end in time and were cut off");
                cut.abort();
            }
        }
        Ok(())
    }

    /// Serves until SIGTERM, SIGINT or `shutdown`.
    pub async fn wait(&self) -> Result<(), Error> {
        use tokio::signal::unix::{SignalKind, signal};
        let listen = |kind| {
            signal(kind).map_err(|error| Error::new("58000", format!("no signals: {error}")))
        };
        let mut terminate = listen(SignalKind::terminate())?;
        let mut interrupt = listen(SignalKind::interrupt())?;
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
            () = self.stop.cancelled() => {}
        }
        tracing::info!("shutting down");
        self.shutdown().await
    }
}

/// Opens the lake and makes its files known to the engine; a new one gets the schema `public`.
async fn open_lake(config: &Config, runtime: &RuntimeEnv) -> Result<Arc<Lake>, Error> {
    let mut options = LakeOptions::new(config.data.clone());
    options.catalog = config.catalog.clone();
    options.inline_row_limit = config.inline_row_limit;
    options.write_threads = config.threads;
    let lake = Lake::open(options).await?;
    runtime.register_object_store(lake.store_url().as_ref(), Arc::clone(lake.store()));
    let state = lake.current().await?;
    if !state.schemas.contains_key(DEFAULT_SCHEMA) {
        let mut transaction = Transaction::begin(Arc::clone(&lake), state);
        transaction.create_schema(DEFAULT_SCHEMA)?;
        // Another server may have made it at the same moment; then there is nothing to do.
        if let Err(error) = transaction.commit().await
            && !lake.current().await?.schemas.contains_key(DEFAULT_SCHEMA)
        {
            return Err(error.into());
        }
    }
    Ok(lake)
}

/// The role that `superuser_password_file` asks for.
const SUPERUSER: &str = "sextant";

/// Makes the first role, or gives it the file's password again, so that nobody is locked out.
async fn superuser(config: &Config, lake: &Arc<Lake>) -> Result<(), Error> {
    let Some(path) = &config.superuser_password_file else { return Ok(()) };
    let text = std::fs::read_to_string(path).map_err(|error| {
        Error::new("58030", format!("cannot read \"{}\": {error}", path.display()))
    })?;
    let password = text.trim_end_matches(['\r', '\n']);
    if password.is_empty() {
        let message = format!("the password file \"{}\" is empty", path.display());
        return Err(Error::new("22023", message));
    }
    let state = lake.current().await?;
    let mut role = access::by_name(&state, SUPERUSER).unwrap_or_else(|| access::Role {
        name: SUPERUSER.into(),
        id: match access::has_roles(&state) {
            true => access::new_id(&state),
            false => access::BOOTSTRAP,
        },
        ..access::Role::default()
    });
    let kept = role.password.as_deref().and_then(Verifier::parse);
    let same = kept
        .is_some_and(|kept| Verifier::derive(password, kept.salt.clone(), kept.iterations) == kept);
    if same && role.superuser && role.login {
        return Ok(());
    }
    (role.superuser, role.login) = (true, true);
    role.password = Some(scram::verifier_text(password)?);
    if role.secret.is_none() {
        role.secret = Some(uuid::Uuid::new_v4().simple().to_string());
    }
    let mut transaction = Transaction::begin(Arc::clone(lake), state);
    transaction.define(access::KIND, SUPERUSER, role.body()?, true)?;
    transaction.commit().await?;
    Ok(())
}

fn runtime(config: &Config) -> Result<Arc<RuntimeEnv>, Error> {
    catalog::keep_pages((config.memory_limit_bytes / KEPT_PAGES) as u64);
    let pool =
        TrackConsumersPool::new(FairSpillPool::new(config.memory_limit_bytes), CONSUMERS_SHOWN);
    let mode = match &config.temp_dir {
        Some(folder) => {
            writable(&folder.to_string_lossy())?;
            DiskManagerMode::Directories(vec![spill::folder(folder)?])
        }
        None => DiskManagerMode::Directories(vec![spill::folder(&std::env::temp_dir())?]),
    };
    let disk = DiskManagerBuilder::default()
        .with_mode(mode)
        .with_max_temp_directory_size(config.temp_limit_bytes);
    let built = RuntimeEnvBuilder::new()
        .with_memory_pool(Arc::new(pool))
        .with_disk_manager_builder(disk)
        .build_arc()?;
    Ok(built)
}

/// A local folder is made and tried; a URL is left to the lake.
fn writable(place: &str) -> Result<(), Error> {
    if place.contains("://") {
        return Ok(());
    }
    let failed = |error: std::io::Error| {
        Error::new("58030", format!("cannot write to folder \"{place}\": {error}"))
    };
    let folder = Path::new(place);
    std::fs::create_dir_all(folder).map_err(failed)?;
    let probe = folder.join(format!(".sextant-{}", std::process::id()));
    std::fs::write(&probe, b"").map_err(failed)?;
    std::fs::remove_file(&probe).map_err(failed)
}
