//! The catalog database: DuckLake's tables in SQLite or Postgres, and the seam between the two.
//!
//! Everything above this module writes one SQL with `?` placeholders and reads rows of `Value`.
//! What differs between the databases (placeholders, casts, booleans, how to begin) is here.

pub mod inlined;
pub mod layout;
pub mod load;
pub mod rows;
mod values;
mod wal_index;

pub use values::{Kind, Row, Value};

use std::fmt::Write as _;
use std::str::FromStr;
use std::time::Duration;

use sqlx::postgres::{PgArguments, PgConnectOptions, PgPoolOptions};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{AssertSqlSafe, Connection as _, PgConnection, PgPool, Postgres, Sqlite, SqlitePool};
use values::{postgres_arguments, postgres_row, sqlite_arguments, sqlite_row};

pub use wal_index::Stamp;
use wal_index::WalIndex;

use crate::error::{Error, Result};

/// Connections that read; writers have one of their own on SQLite.
const READERS: u32 = 4;
/// How long a statement waits for another process that writes.
const BUSY_TIMEOUT: Duration = Duration::from_secs(30);
/// How long a Postgres catalog may take to answer at start.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Prepared statements kept per connection.
const STATEMENTS: usize = 256;
/// Bound parameters of one INSERT (SQLite allows 32,766, Postgres 65,535).
const PARAMETERS: usize = 16_000;
/// Postgres advisory lock that commits of all servers take.
const COMMIT_LOCK: i64 = 0x5e87_a917;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    Sqlite,
    Postgres,
}

#[derive(Debug)]
pub enum Database {
    /// `index` tells of changes; an ephemeral database has none.
    Sqlite {
        writer: SqlitePool,
        readers: SqlitePool,
        index: Option<WalIndex>,
    },
    Postgres(PgPool),
}

/// An open database transaction; dropped without `commit` it leaves nothing.
pub enum Session {
    Sqlite(sqlx::Transaction<'static, Sqlite>),
    Postgres(sqlx::Transaction<'static, Postgres>),
}

impl Database {
    /// `postgres://…` or the path of a SQLite file, which is made if it is missing.
    pub async fn connect(location: &str, ephemeral: bool) -> Result<Self> {
        if location.starts_with("postgres://") || location.starts_with("postgresql://") {
            return Self::connect_postgres(location).await;
        }
        let location = location.strip_prefix("sqlite://").unwrap_or(location);
        if let Some((scheme, _)) = location.split_once("://") {
            return Err(Error::InvalidParameter {
                message: format!("no catalog can be kept in \"{scheme}://…\""),
                hint: Some("Use postgres://… or the path of a SQLite file.".to_owned()),
            });
        }
        // What nobody needs after a crash does not wait for the disk.
        let synchronous = if ephemeral { SqliteSynchronous::Off } else { SqliteSynchronous::Full };
        let options = SqliteConnectOptions::new()
            .filename(location)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(synchronous)
            .busy_timeout(BUSY_TIMEOUT)
            .statement_cache_capacity(STATEMENTS);
        let pool = |connections| {
            SqlitePoolOptions::new()
                .max_connections(connections)
                .idle_timeout(None)
                .max_lifetime(None)
                .test_before_acquire(false)
                // A full disk ends the transaction behind the driver's back: it would believe for
                // ever that one is open. Such a connection is given up.
                .before_acquire(|connection, _| {
                    Box::pin(async move { Ok(!connection.is_in_transaction()) })
                })
        };
        let writer = pool(1).connect_with(options.clone());
        let failed = |error| match database(error) {
            Error::Database(reason) => Error::Database(format!("\"{location}\": {reason}")),
            other => other,
        };
        let writer = writer.await.map_err(failed)?;
        let readers = pool(READERS).connect_with(options);
        let readers = readers.await.map_err(database)?;
        let index = (!ephemeral).then(|| WalIndex::new(location));
        Ok(Self::Sqlite { writer, readers, index })
    }

    async fn connect_postgres(location: &str) -> Result<Self> {
        let options = PgConnectOptions::from_str(location).map_err(database)?;
        let options = options.statement_cache_capacity(STATEMENTS);
        // The pool would try again and again where nobody listens.
        let first = tokio::time::timeout(CONNECT_TIMEOUT, PgConnection::connect_with(&options));
        let first = first.await.map_err(|_| {
            Error::Database(format!("no answer within {} s", CONNECT_TIMEOUT.as_secs()))
        })?;
        first.map_err(database)?.close().await.map_err(database)?;
        let pool = PgPoolOptions::new().max_connections(READERS + 1).connect_with(options);
        Ok(Self::Postgres(pool.await.map_err(database)?))
    }

    /// The same from two calls: nothing has been committed between them. None: it is not known.
    pub fn stamp(&self) -> Option<Stamp> {
        match self {
            Self::Sqlite { index, .. } => index.as_ref()?.stamp(),
            Self::Postgres(_) => None,
        }
    }

    pub fn dialect(&self) -> Dialect {
        match self {
            Self::Sqlite { .. } => Dialect::Sqlite,
            Self::Postgres(_) => Dialect::Postgres,
        }
    }

    /// A transaction that sees one state of the database.
    pub async fn read(&self) -> Result<Session> {
        match self {
            Self::Sqlite { readers, .. } => {
                Ok(Session::Sqlite(readers.begin_with("BEGIN").await.map_err(database)?))
            }
            Self::Postgres(pool) => Ok(Session::Postgres(
                pool.begin_with("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
                    .await
                    .map_err(database)?,
            )),
        }
    }

    /// A transaction that alone may commit until it ends.
    pub async fn write(&self) -> Result<Session> {
        match self {
            Self::Sqlite { writer, .. } => {
                Ok(Session::Sqlite(writer.begin_with("BEGIN IMMEDIATE").await.map_err(database)?))
            }
            Self::Postgres(pool) => {
                let mut session = Session::Postgres(pool.begin().await.map_err(database)?);
                let lock = [Value::Integer(COMMIT_LOCK)];
                session.query("SELECT pg_advisory_xact_lock(?)::text", &lock).await?;
                Ok(session)
            }
        }
    }

    /// One statement outside any transaction.
    pub async fn query(&self, sql: &str, arguments: &[Value]) -> Result<Vec<Row>> {
        match self {
            Self::Sqlite { readers, .. } => {
                let query = sqlx::query_with(AssertSqlSafe(sql), sqlite_arguments(arguments));
                let rows = query.fetch_all(readers).await.map_err(database)?;
                rows.iter().map(sqlite_row).collect()
            }
            Self::Postgres(pool) => {
                let sql = numbered(sql);
                let query = postgres_query(sql, arguments)?;
                let rows = query.fetch_all(pool).await.map_err(database)?;
                rows.iter().map(postgres_row).collect()
            }
        }
    }

    pub async fn close(&self) {
        match self {
            Self::Sqlite { writer, readers, .. } => {
                readers.close().await;
                writer.close().await;
            }
            Self::Postgres(pool) => pool.close().await,
        }
    }
}

impl Session {
    pub fn dialect(&self) -> Dialect {
        match self {
            Self::Sqlite(_) => Dialect::Sqlite,
            Self::Postgres(_) => Dialect::Postgres,
        }
    }

    pub async fn query(&mut self, sql: &str, arguments: &[Value]) -> Result<Vec<Row>> {
        match self {
            Self::Sqlite(transaction) => {
                let query = sqlx::query_with(AssertSqlSafe(sql), sqlite_arguments(arguments));
                let rows = query.fetch_all(&mut **transaction).await;
                rows.map_err(database)?.iter().map(sqlite_row).collect()
            }
            Self::Postgres(transaction) => {
                let sql = numbered(sql);
                let query = postgres_query(sql, arguments)?;
                let rows = query.fetch_all(&mut **transaction).await;
                rows.map_err(database)?.iter().map(postgres_row).collect()
            }
        }
    }

    /// Runs a statement and says how many rows it touched.
    pub async fn execute(&mut self, sql: &str, arguments: &[Value]) -> Result<u64> {
        match self {
            Self::Sqlite(transaction) => {
                let query = sqlx::query_with(AssertSqlSafe(sql), sqlite_arguments(arguments));
                let done = query.execute(&mut **transaction).await;
                Ok(done.map_err(database)?.rows_affected())
            }
            Self::Postgres(transaction) => {
                let sql = numbered(sql);
                let query = postgres_query(sql, arguments)?;
                let done = query.execute(&mut **transaction).await;
                Ok(done.map_err(database)?.rows_affected())
            }
        }
    }

    /// Inserts rows, many to a statement.
    pub async fn insert(
        &mut self,
        table: &str,
        columns: &[(&str, Kind)],
        rows: &[Vec<Value>],
    ) -> Result<()> {
        let per_statement = (PARAMETERS / columns.len().max(1)).clamp(1, 500);
        for rows in rows.chunks(per_statement) {
            let sql = insert_sql(self.dialect(), table, columns, rows.len());
            let arguments: Vec<Value> = rows.iter().flatten().cloned().collect();
            self.execute(&sql, &arguments).await?;
        }
        Ok(())
    }

    /// Sets columns of the rows with a key.
    pub async fn update(
        &mut self,
        table: &str,
        columns: &[(&str, Kind)],
        values: &[Value],
        key: &[(&str, i64)],
    ) -> Result<()> {
        let dialect = self.dialect();
        let numbered = columns.iter().enumerate();
        let set = numbered.map(|(index, (name, kind))| {
            format!("{} = {}", quoted(name), dialect.parameter(*kind, index + 1))
        });
        let set: Vec<String> = set.collect();
        let numbered = key.iter().enumerate();
        let rows = numbered.map(|(index, (name, _))| {
            let number = columns.len() + index + 1;
            format!("{} = {}", quoted(name), dialect.parameter(Kind::Integer, number))
        });
        let rows: Vec<String> = rows.collect();
        let (set, rows) = (set.join(", "), rows.join(" AND "));
        let mut arguments = values.to_vec();
        arguments.extend(key.iter().map(|(_, id)| Value::Integer(*id)));
        self.execute(&format!("UPDATE {table} SET {set} WHERE {rows}"), &arguments).await?;
        Ok(())
    }

    pub async fn table_exists(&mut self, name: &str) -> Result<bool> {
        let sql = match self.dialect() {
            Dialect::Sqlite => "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?",
            Dialect::Postgres => {
                "SELECT 1 FROM information_schema.tables \
                 WHERE table_schema = current_schema() AND table_name = ?"
            }
        };
        Ok(!self.query(sql, &[name.into()]).await?.is_empty())
    }

    pub async fn commit(self) -> Result<()> {
        match self {
            Self::Sqlite(transaction) => transaction.commit().await.map_err(database),
            Self::Postgres(transaction) => transaction.commit().await.map_err(database),
        }
    }

    pub async fn rollback(self) -> Result<()> {
        match self {
            Self::Sqlite(transaction) => transaction.rollback().await.map_err(database),
            Self::Postgres(transaction) => transaction.rollback().await.map_err(database),
        }
    }
}

impl Dialect {
    /// Type of a column in CREATE TABLE.
    pub fn type_name(self, kind: Kind) -> &'static str {
        match (self, kind) {
            (_, Kind::Integer) | (Self::Sqlite, Kind::Boolean | Kind::Whole(_)) => "BIGINT",
            (Self::Sqlite, Kind::Bytes) => "BLOB",
            (_, Kind::Text) | (Self::Sqlite, _) => "VARCHAR",
            (Self::Postgres, Kind::Boolean) => "BOOLEAN",
            (Self::Postgres, Kind::Uuid) => "UUID",
            (Self::Postgres, Kind::Time) => "TIMESTAMP WITH TIME ZONE",
            (Self::Postgres, Kind::Bytes | Kind::Utf8) => "BYTEA",
            (Self::Postgres, Kind::Cast(name) | Kind::Whole(name)) => name,
        }
    }

    /// A column in a select list, in a form that `Value` can hold.
    pub fn selected(self, name: &str, kind: Kind) -> String {
        let name = quoted(name);
        match (self, kind) {
            (Self::Postgres, Kind::Cast(_) | Kind::Whole(_) | Kind::Uuid | Kind::Time) => {
                format!("{name}::text")
            }
            _ => name,
        }
    }

    /// A parameter bound as text (or integer, bytes) in the column's type.
    fn parameter(self, kind: Kind, number: usize) -> String {
        match (self, kind) {
            (Self::Sqlite, _) => "?".to_owned(),
            (Self::Postgres, Kind::Integer) => format!("${number}::bigint"),
            (Self::Postgres, Kind::Text) => format!("${number}::varchar"),
            (Self::Postgres, Kind::Bytes | Kind::Utf8) => format!("${number}::bytea"),
            (Self::Postgres, Kind::Boolean) => format!("(${number}::bigint)::int::boolean"),
            (Self::Postgres, kind) => format!("(${number}::text)::{}", self.type_name(kind)),
        }
    }
}

/// A statement that is kept prepared has the types of its first arguments, and NULL has none: a
/// number after it would be read as text.
fn postgres_query(
    sql: String,
    arguments: &[Value],
) -> Result<sqlx::query::Query<'static, Postgres, PgArguments>> {
    let kept = !arguments.iter().any(|value| matches!(value, Value::Null));
    let query = sqlx::query_with(AssertSqlSafe(sql), postgres_arguments(arguments)?);
    Ok(query.persistent(kept))
}

/// Double quotes an identifier for either database.
pub fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

fn insert_sql(dialect: Dialect, table: &str, columns: &[(&str, Kind)], rows: usize) -> String {
    let names: Vec<String> = columns.iter().map(|(name, _)| quoted(name)).collect();
    let mut sql = format!("INSERT INTO {} ({}) VALUES ", quoted(table), names.join(", "));
    for row in 0..rows {
        let values: Vec<String> = columns
            .iter()
            .enumerate()
            .map(|(column, (_, kind))| dialect.parameter(*kind, row * columns.len() + column + 1))
            .collect();
        let separator = if row == 0 { "" } else { ", " };
        // Writing to a String cannot fail.
        let _ = write!(sql, "{separator}({})", values.join(", "));
    }
    sql
}

/// `?` to `$1`, `$2`, …: our own statements hold no `?` elsewhere.
fn numbered(sql: &str) -> String {
    let mut parts = sql.split('?');
    let mut text = parts.next().unwrap_or_default().to_owned();
    for (index, part) in parts.enumerate() {
        // Writing to a String cannot fail.
        let _ = write!(text, "${}{part}", index + 1);
    }
    text
}

/// A full disk is told apart: the user can do something about it.
pub fn database(error: sqlx::Error) -> Error {
    let code = error.as_database_error().and_then(|e| e.code());
    let code = code.as_deref().unwrap_or_default().to_owned();
    let text = error.to_string();
    let full = matches!(code.as_str(), "13" | "53100")
        || text.contains("No space left")
        || text.contains("database or disk is full");
    if full {
        return Error::DiskFull { path: "catalog database".to_owned() };
    }
    // SQLITE_BUSY after the time-out, lock_not_available.
    if matches!(code.as_str(), "5" | "261" | "517" | "55P03") {
        return Error::LockTimeout;
    }
    Error::Database(text)
}

/// Two servers took the same snapshot id: the later one tries again.
pub fn is_duplicate_key(error: &Error) -> bool {
    match error {
        Error::Database(text) => {
            text.contains("UNIQUE constraint failed") || text.contains("duplicate key")
        }
        _ => false,
    }
}
