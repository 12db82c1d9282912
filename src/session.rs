//! One connection: its settings, its transaction, its temp tables, its prepared statements.
//!
//! ```text
//!   outside a block: each statement is its own transaction, run again on a conflict;
//!   in a block:      Lakes live from BEGIN to COMMIT, an error fails the block (25P02)
//! ```

mod commands;
mod copy;
mod cursors;
mod identity;
mod isolation;
mod live;
mod plans;
mod progress;
mod retry;
mod statements;
mod temp;
mod words;

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::Duration;

use catalog::{ObjectId, Transaction};
use chrono::{DateTime, Utc};
use datafusion::execution::SessionState;
use datafusion::scalar::ScalarValue;
use sql::features::Leaks;
use sql::models::UnderWay;
use sql::nearest::Searches;
use sql::plan::Lakes;
use sql::system::functions::{Connection, Seen};
use sql::system::sizes::Sizes;
use sql::system::{self, Live};

use crate::run::{self, Optimized, Outcome, Plan, Prepared, Statement};
use crate::settings::Settings;
use crate::{Error, Server, functions};

use cursors::Cursors;
use plans::Recent;
use statements::Statements;

pub use identity::{Login, SharedWho, Who};
pub(crate) use plans::Planned;
pub use progress::Progress;
pub use statements::{Named, same_columns};

/// Something the client is told beside the answer.
#[derive(Debug, Clone)]
pub struct Notice {
    /// `NOTICE` or `WARNING`.
    pub severity: &'static str,
    pub code: &'static str,
    pub message: String,
    pub detail: Option<String>,
    pub hint: Option<String>,
}

impl From<sql::Notice> for Notice {
    fn from(notice: sql::Notice) -> Self {
        let sql::Notice { severity, sqlstate, message, hint } = notice;
        Self { severity, code: sqlstate, message, detail: None, hint }
    }
}

/// What ReadyForQuery says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TransactionStatus {
    Idle,
    InBlock,
    Failed,
}

/// See the module.
pub struct Session {
    server: Arc<Server>,
    login: Login,
    who: SharedWho,
    database: String,
    settings: Arc<RwLock<Settings>>,
    engine: SessionState,
    /// What `pg_catalog` knows of the connection.
    catalog: Connection,
    open: Option<Open>,
    temp: Option<temp::TempLake>,
    statements: Statements,
    cursors: Cursors,
    notices: Vec<sql::Notice>,
    /// The statements of a message, or up to Sync, are one transaction.
    several: bool,
    /// The version of the settings that planning and execution have seen.
    followed: u64,
    /// Counts changes of who the session is and of the lake of its temp tables.
    renewed: u64,
    /// Counts statements that changed something, in all transactions.
    changed: u64,
    /// Counts statements run and transactions ended.
    moment: u64,
    parsed: Recent<Vec<Statement>>,
    /// Queries without parameters that may come again.
    kept: Recent<Prepared>,
    /// The `timezone` setting.
    zone: String,
    /// What training sets have matched that was not yet known.
    leaks: Arc<Leaks>,
    /// What is said of vector indexes, and what they have to tell.
    searches: Arc<Searches>,
}

/// A transaction under way.
struct Open {
    lakes: Lakes,
    block: Option<Block>,
    /// The session's `changed` after its last change; 0: it has made none.
    changes: u64,
    /// What `now()` answers.
    started: DateTime<Utc>,
}

/// BEGIN … COMMIT.
#[derive(Debug, Default)]
struct Block {
    failed: bool,
    read_only: bool,
    /// Tables that it has read, if it is serializable; going back to a savepoint forgets none.
    reads: BTreeSet<ObjectId>,
    /// Savepoints with the cursors that were there before them.
    savepoints: Vec<(String, u64)>,
}

impl Session {
    /// A session for a user that has been let in.
    pub fn new(
        server: Arc<Server>,
        login: Login,
        database: String,
        options: HashMap<String, String>,
        pid: i32,
    ) -> Result<Self, Error> {
        let (of_role, notices) = identity::usable(&login.settings);
        let given = identity::configured(server.config()).into_iter().chain(of_role).chain(options);
        let settings = Settings::new(given)?;
        let who = Arc::new(RwLock::new(Who::new(&login)));
        let settings = Arc::new(RwLock::new(settings));
        let cursors = Cursors::default();
        let statements = Statements::default();
        let seen = Seen::default();
        let live: Arc<dyn Live> = Arc::new(live::View {
            server: Arc::clone(&server),
            who: Arc::clone(&who),
            database: database.clone(),
            settings: Arc::clone(&settings),
            cursors: cursors.open(),
            statements: statements.clone(),
            sizes: Sizes::default(),
            seen: Arc::clone(&seen),
        });
        let mut session = Self {
            engine: server.engine().session_state(),
            server,
            login,
            who,
            database,
            settings,
            catalog: Connection { seen, path: Arc::new(Vec::new), live },
            open: None,
            temp: None,
            statements,
            cursors,
            notices,
            several: false,
            followed: u64::MAX,
            renewed: 0,
            changed: 0,
            moment: 0,
            parsed: Recent::default(),
            kept: Recent::default(),
            zone: String::new(),
            leaks: Arc::default(),
            searches: Arc::default(),
        };
        session.engine.config_mut().set_extension(Arc::clone(&session.leaks));
        session.engine.config_mut().set_extension(Arc::clone(&session.searches));
        session.engine.config_mut().set_extension(Arc::new(UnderWay::default()));
        let (settings, who) = (Arc::clone(&session.settings), Arc::clone(&session.who));
        let own = functions::of_session(&session.server, &who, &session.database, pid, &settings);
        let path = move || {
            let user = who.read().map(|who| who.current.clone()).unwrap_or_default();
            settings.read().map(|settings| settings.search_path(&user)).unwrap_or_default()
        };
        session.catalog.path = Arc::new(path);
        let rights = identity::privileges(&session.catalog.seen, &session.who);
        let seen = system::functions::of_connection(&session.catalog);
        for function in own.into_iter().chain(seen).chain(rights) {
            datafusion::execution::FunctionRegistry::register_udf(
                &mut session.engine,
                Arc::new(function),
            )?;
        }
        session.settings_changed()?;
        Ok(session)
    }

    /// The statement at hand is not the only one of its transaction.
    pub fn more_follows(&mut self) {
        self.several = true;
    }

    /// Runs a statement until its rows can stream; plans again if the catalog has changed since.
    pub async fn execute(
        &mut self,
        prepared: &Prepared,
        parameters: Vec<ScalarValue>,
    ) -> Result<Outcome, Error> {
        self.searches.begin();
        let outcome = self.execute_now(prepared, parameters).await;
        self.moment += 1;
        outcome
    }

    async fn execute_now(
        &mut self,
        prepared: &Prepared,
        parameters: Vec<ScalarValue>,
    ) -> Result<Outcome, Error> {
        self.check_not_failed(&prepared.statement)?;
        if let Some(outcome) = self.command(&prepared.statement).await? {
            return Ok(outcome);
        }
        let mut attempt = 0;
        loop {
            let result = self.attempt(prepared, &parameters).await;
            let retry = match &result {
                Err(error) => error.sqlstate == "40001" && self.alone(),
                Ok(_) => false,
            };
            if !retry || attempt == retry::LIMIT {
                return result;
            }
            self.drop_open();
            attempt += 1;
            tokio::time::sleep(retry::pause(attempt)).await;
        }
    }

    /// Whether the statement is a transaction of its own.
    pub(super) fn alone(&self) -> bool {
        !self.several && self.open.as_ref().is_none_or(|open| open.block.is_none())
    }

    async fn attempt(
        &mut self,
        prepared: &Prepared,
        parameters: &[ScalarValue],
    ) -> Result<Outcome, Error> {
        let needs_temp = sql::statements::needs_temp(&prepared.statement);
        self.open(needs_temp).await?;
        let plan = self.ready(prepared, parameters).await?;
        let writes = plan.changes();
        let value = |(at, value)| run::parameter(value, prepared.parameters.get(at));
        let mut values: Vec<_> = parameters.iter().enumerate().map(value).collect();
        if let Plan::Optimized(Optimized { calls, .. }) = &plan
            && !calls.is_empty()
        {
            values.extend(sql::plan::answers(&self.engine, self.now(), calls)?);
        }
        let plan = run::bind(&self.engine, plan, values)?;
        self.depend(&plan)?;
        if let Plan::Optimized(Optimized { plan, schema, .. }) = plan {
            return run::optimized(&self.engine, &plan, schema).await;
        }
        let environment = self.environment();
        let writes_now =
            matches!(plan, Plan::Change(_) | Plan::With(..) | Plan::Command | Plan::CopyIn(_));
        let refused = writes_now && self.is_read_only();
        let Some(open) = &mut self.open else {
            return Err(Error::new("XX000", "the transaction is gone"));
        };
        if refused {
            let what = words::what(&prepared.statement);
            let message = format!("cannot execute {what} in a read-only transaction");
            return Err(Error::new("25006", message));
        }
        let declare = match &plan {
            Plan::Cursor(declare, _) => Some(declare.clone()),
            _ => None,
        };
        let outcome = run::execute(
            &environment,
            &mut open.lakes,
            &mut self.notices,
            &prepared.statement,
            plan,
        )
        .await?;
        if writes {
            self.changed += 1;
            open.changes = self.changed;
        }
        let outcome = outcome.ok_or_else(|| words::unsupported(&prepared.statement))?;
        let outcome = match (declare, outcome) {
            (Some(declare), Outcome::Rows { rows, .. }) => {
                let pool = &environment.engine.runtime_env().memory_pool;
                self.cursors.declare(&declare, &prepared.statement.text, rows, pool)?;
                Outcome::Done { tag: "DECLARE CURSOR".into() }
            }
            (_, outcome) => outcome,
        };
        self.see();
        self.identify();
        if writes && self.alone() {
            self.commit().await?;
        }
        Ok(outcome)
    }

    /// End of a message or Sync: commits or rolls back what is not in a block.
    pub async fn finish(&mut self, ok: bool) -> Result<(), Error> {
        self.several = false;
        self.moment += 1;
        if self.open.as_ref().is_some_and(|open| open.block.is_some()) {
            return Ok(());
        }
        match ok {
            true => self.commit().await,
            false => {
                self.drop_open();
                Ok(())
            }
        }
    }

    /// Rolls back.
    fn drop_open(&mut self) {
        self.open = None;
        self.cursors.end(false);
    }

    /// An error has reached the client: an open block is failed, anything else is dropped.
    pub fn fail(&mut self) {
        match self.open.as_mut().and_then(|open| open.block.as_mut()) {
            Some(block) => block.failed = true,
            None => self.drop_open(),
        }
    }

    /// The open cursors.
    pub fn cursors(&self) -> &Cursors {
        &self.cursors
    }

    /// For ReadyForQuery.
    pub fn transaction_status(&self) -> TransactionStatus {
        match self.open.as_ref().and_then(|open| open.block.as_ref()) {
            None => TransactionStatus::Idle,
            Some(Block { failed: true, .. }) => TransactionStatus::Failed,
            Some(_) => TransactionStatus::InBlock,
        }
    }

    /// What the client is to be told, once.
    pub fn take_notices(&mut self) -> Vec<Notice> {
        let told = std::mem::take(&mut self.notices).into_iter().chain(self.leaks.take());
        let told: Vec<_> = told.chain(self.searches.take()).collect();
        let tells = |severity| self.read_settings().is_ok_and(|settings| settings.tells(severity));
        told.into_iter().filter(|notice| tells(notice.severity)).map(Notice::from).collect()
    }

    /// Settings that changed and that clients follow, once.
    pub fn take_reports(&mut self) -> Vec<(String, String)> {
        self.write_settings().map(|mut s| s.take_reports()).unwrap_or_default()
    }

    /// What `pg_catalog` knows of the connection, for names of objects.
    pub fn catalog(&self) -> &Connection {
        &self.catalog
    }

    /// The zone in which timestamptz is shown.
    pub fn time_zone(&self) -> &str {
        &self.zone
    }

    /// Longest run of a statement.
    pub fn statement_timeout(&self) -> Option<Duration> {
        self.read_settings().ok()?.duration("statement_timeout")
    }

    /// How long the client may stay silent now, and what it is told when it has been for longer.
    pub fn patience(&self) -> Option<(Duration, Error)> {
        let (setting, sqlstate, what) = match self.transaction_status() {
            TransactionStatus::Idle => ("idle_session_timeout", "57P05", "idle-session"),
            TransactionStatus::InBlock | TransactionStatus::Failed => {
                ("idle_in_transaction_session_timeout", "25P03", "idle-in-transaction")
            }
        };
        let limit = self.read_settings().ok()?.duration(setting)?;
        let message = format!("terminating connection due to {what} timeout");
        Some((limit, Error::new(sqlstate, message)))
    }

    fn setting(&self, name: &str) -> Option<String> {
        self.read_settings().ok()?.get(name).map(str::to_string)
    }

    fn read_settings(&self) -> Result<RwLockReadGuard<'_, Settings>, Error> {
        self.settings.read().map_err(|_| Error::new("XX000", "settings are poisoned"))
    }

    fn write_settings(&self) -> Result<RwLockWriteGuard<'_, Settings>, Error> {
        self.settings.write().map_err(|_| Error::new("XX000", "settings are poisoned"))
    }

    /// Carries settings that changed to where planning and execution read them.
    fn settings_changed(&mut self) -> Result<(), Error> {
        let version = self.read_settings()?.version();
        if std::mem::replace(&mut self.followed, version) == version {
            return Ok(());
        }
        self.zone = self.setting("timezone").unwrap_or_else(|| "UTC".into());
        self.engine.config_mut().options_mut().execution.time_zone = Some(self.zone.clone());
        self.searches.want(self.read_settings()?.searches());
        self.identify();
        Ok(())
    }

    /// Drops the temp tables; a new lake for them counts its snapshots from the start.
    fn forget_temp(&mut self) {
        self.temp = None;
        self.renewed += 1;
    }

    /// Makes sure that a transaction is under way, and a lake for temp tables if asked for.
    async fn open(&mut self, with_temp: bool) -> Result<(), Error> {
        self.settings_changed()?;
        let lake = Arc::clone(self.server.lake());
        if self.open.is_none() {
            let main = Transaction::begin(Arc::clone(&lake), lake.current().await?);
            let temp = match &self.temp {
                Some(temp) => Some(temp.begin().await?),
                None => None,
            };
            let started = Utc::now();
            self.open =
                Some(Open { lakes: Lakes { main, temp }, block: None, changes: 0, started });
        }
        if with_temp && self.temp.is_none() {
            self.temp = Some(temp::TempLake::open(&self.server).await?);
        }
        if let (Some(temp), Some(open)) = (&self.temp, &mut self.open)
            && open.lakes.temp.is_none()
        {
            open.lakes.temp = Some(temp.begin().await?);
        }
        self.see();
        self.identify();
        Ok(())
    }

    /// Shows the transaction's state to `pg_catalog`.
    fn see(&self) {
        if let Some(open) = &self.open {
            self.catalog.live.see(&open.lakes);
        }
    }

    /// Commits what is open; nothing open is nothing to do.
    async fn commit(&mut self) -> Result<(), Error> {
        let lock_timeout = self.read_settings()?.duration("lock_timeout");
        let Some(mut open) = self.open.take() else { return Ok(()) };
        open.lakes.main.set_lock_timeout(lock_timeout);
        let reads = open.block.iter().flat_map(|block| &block.reads);
        reads.for_each(|table| open.lakes.main.depends_on(*table));
        let committed = commit(open.lakes).await;
        self.cursors.end(committed.is_ok());
        committed
    }

    fn check_not_failed(&self, statement: &Statement) -> Result<(), Error> {
        if self.transaction_status() != TransactionStatus::Failed || commands::ends_block(statement)
        {
            return Ok(());
        }
        let message =
            "current transaction is aborted, commands ignored until end of transaction block";
        Err(Error::new("25P02", message))
    }
}

async fn commit(lakes: Lakes) -> Result<(), Error> {
    if !lakes.main.is_empty() {
        lakes.main.commit().await?;
    }
    match lakes.temp {
        Some(temp) if !temp.is_empty() => Ok(temp.commit().await?).map(|_| ()),
        _ => Ok(()),
    }
}
