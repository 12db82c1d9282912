//! The lake: one catalog database and one data path, shared by all sessions.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use chrono::{DateTime, Utc};
use datafusion::execution::object_store::ObjectStoreUrl;
use futures::future::try_join_all;
use object_store::ObjectStore;

use crate::cache::{self, Cache, Changed, Since};
use crate::commit::Purpose;
use crate::deletes;
use crate::error::{Error, Result};
use crate::indexes;
use crate::metadata::rows::{self, Loaded};
use crate::metadata::{Database, Dialect, Session, Value, layout, load};
use crate::model::{
    DataFile, ObjectId, Snapshot, SnapshotId, SnapshotInfo, State, Table, TableRows,
};
use crate::overlay;
use crate::registry;
use crate::sequences::Taken;
use crate::storage::Storage;
use crate::upkeep::Run;

/// Rows up to which an insert or delete is kept in the catalog database.
pub const INLINE_ROW_LIMIT: usize = 1000;
/// Delete files that are read at once.
const READS: usize = 16;
/// Names the step of a commit at which the process aborts; for tests of durability.
const FAULT_VARIABLE: &str = "SEXTANT_FAULT";

#[derive(Debug, Clone)]
pub struct LakeOptions {
    /// Folder, or `s3://bucket/prefix`, `gs://…`, `az://…`.
    pub data: String,
    /// `postgres://…` or the path of a SQLite file; None: `catalog.sqlite` in the data folder.
    pub catalog: Option<String>,
    /// Commits of up to so many rows per table go to the catalog database.
    pub inline_row_limit: usize,
    /// Nobody needs it after a crash: commits do not wait for the disk.
    pub ephemeral: bool,
    /// Columns of one file that are encoded at the same time.
    pub write_threads: usize,
}

#[derive(Debug)]
pub struct Lake {
    pub(crate) database: Database,
    pub(crate) storage: Storage,
    /// Spellings of the data path that absolute paths in the catalog may start with.
    pub(crate) roots: Vec<String>,
    inline_row_limit: usize,
    write_threads: usize,
    cache: Mutex<Cache>,
    /// One commit at a time in this process; other processes are kept out by the database.
    pub(crate) committing: tokio::sync::Mutex<()>,
    fault: Option<String>,
    readers: Mutex<BTreeMap<u64, (SnapshotId, DateTime<Utc>)>>,
    runs: Mutex<VecDeque<Run>>,
    pub(crate) sequences: tokio::sync::Mutex<Taken>,
    segments: Mutex<indexes::Cache>,
    models: Mutex<registry::Cache>,
}

/// Keeps the snapshot that a transaction reads, and the files of it, from upkeep until dropped.
#[derive(Debug)]
pub(crate) struct Reading {
    lake: Arc<Lake>,
    key: u64,
}

impl Drop for Reading {
    fn drop(&mut self) {
        self.lake.readers().remove(&self.key);
    }
}

impl LakeOptions {
    pub fn new(data: impl Into<String>) -> Self {
        Self {
            data: data.into(),
            catalog: None,
            inline_row_limit: INLINE_ROW_LIMIT,
            ephemeral: false,
            write_threads: 1,
        }
    }
}

impl Lake {
    /// Opens a lake, or makes one if the catalog database is empty.
    pub async fn open(options: LakeOptions) -> Result<Arc<Self>> {
        let storage = Storage::open(&options.data)?;
        let location = match (&options.catalog, &storage.folder) {
            (Some(location), _) => location.clone(),
            (None, Some(folder)) => folder.join("catalog.sqlite").display().to_string(),
            (None, None) => {
                return Err(Error::InvalidParameter {
                    message: format!("data path \"{}\" needs a catalog database", options.data),
                    hint: Some("Give a SQLite file or postgres:// as catalog.".to_owned()),
                });
            }
        };
        let database = Database::connect(&location, options.ephemeral).await?;
        let mut session = database.write().await?;
        layout::prepare(&mut session, &storage.data_path, Utc::now()).await?;
        let recorded = layout::data_path(&mut session).await?;
        session.commit().await?;
        let mut roots = vec![storage.data_path.clone()];
        if recorded != storage.data_path {
            tracing::warn!(recorded, opened = storage.data_path, "the lake was made elsewhere");
            roots.push(recorded);
        }
        let lake = Arc::new(Self {
            database,
            storage,
            roots,
            inline_row_limit: options.inline_row_limit,
            write_threads: options.write_threads.max(1),
            cache: Mutex::default(),
            committing: tokio::sync::Mutex::new(()),
            fault: std::env::var(FAULT_VARIABLE).ok().filter(|_| !options.ephemeral),
            readers: Mutex::default(),
            runs: Mutex::default(),
            sequences: tokio::sync::Mutex::default(),
            segments: Mutex::default(),
            models: Mutex::default(),
        });
        lake.current().await?;
        Ok(lake)
    }

    /// Rooted at the data path: `DataFile::path` is relative to it.
    pub fn store(&self) -> &Arc<dyn ObjectStore> {
        &self.storage.store
    }

    /// Under this the store is registered with the engine; no other lake has it.
    pub fn store_url(&self) -> &ObjectStoreUrl {
        &self.storage.url
    }

    /// As the catalog records it: absolute, with a trailing slash.
    pub fn data_path(&self) -> &str {
        &self.storage.data_path
    }

    /// The data folder, if it is on this machine.
    pub fn local_folder(&self) -> Option<&std::path::Path> {
        self.storage.folder.as_deref()
    }

    pub(crate) fn write_threads(&self) -> usize {
        self.write_threads
    }

    pub fn inline_row_limit(&self) -> usize {
        self.inline_row_limit
    }

    /// Closes the connections to the catalog database.
    pub async fn close(&self) {
        self.database.close().await;
    }

    pub(crate) fn cache(&self) -> MutexGuard<'_, Cache> {
        self.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn runs(&self) -> MutexGuard<'_, VecDeque<Run>> {
        self.runs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn segments(&self) -> MutexGuard<'_, indexes::Cache> {
        self.segments.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn models(&self) -> MutexGuard<'_, registry::Cache> {
        self.models.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn readers(&self) -> MutexGuard<'_, BTreeMap<u64, (SnapshotId, DateTime<Utc>)>> {
        self.readers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Says that a snapshot is being read from now on.
    pub(crate) fn reading(self: &Arc<Self>, snapshot: SnapshotId) -> Reading {
        let mut open = self.readers();
        let key = open.last_key_value().map_or(0, |(key, _)| key + 1);
        open.insert(key, (snapshot, Utc::now()));
        Reading { lake: Arc::clone(self), key }
    }

    /// Snapshots that transactions of this server read.
    pub(crate) fn open_bases(&self) -> BTreeSet<SnapshotId> {
        self.readers().values().map(|(snapshot, _)| *snapshot).collect()
    }

    /// When the oldest transaction of this server began.
    pub(crate) fn oldest_open(&self) -> Option<DateTime<Utc>> {
        self.readers().values().map(|(_, since)| *since).min()
    }

    /// The newest state; one cheap query when nothing has changed.
    pub async fn current(&self) -> Result<Arc<State>> {
        let stamp = self.database.stamp();
        if let Some(known) = self.cache().newest_at(stamp) {
            return Ok(Arc::clone(known));
        }
        let rows = self.database.query(load::NEWEST, &[]).await?;
        let snapshot = load::snapshot(rows.first().ok_or_else(load::no_snapshot)?)?;
        let known = self.cache().newest().cloned();
        let newest = match known {
            Some(known) if known.snapshot.id >= snapshot.id => known,
            known => self.advance(known.as_deref(), snapshot).await?,
        };
        self.cache().asked(stamp);
        Ok(newest)
    }

    async fn advance(&self, known: Option<&State>, snapshot: Snapshot) -> Result<Arc<State>> {
        let mut session = self.database.read().await?;
        let changes = match known {
            None => Vec::new(),
            Some(known) => changes(&mut session, known.snapshot.id, snapshot.id).await?,
        };
        let state = match known {
            Some(known) if known.snapshot.schema_version == snapshot.schema_version => {
                State { snapshot, ..known.clone() }
            }
            _ => load::state(&mut session, snapshot, &self.roots).await?,
        };
        session.rollback().await?;
        let state = Arc::new(state);
        self.cache().advance(Arc::clone(&state), changes);
        Ok(state)
    }

    /// What existed at a snapshot.
    pub async fn at_snapshot(&self, id: SnapshotId) -> Result<Arc<State>> {
        if let Some(state) = self.cache().state(id) {
            return Ok(state);
        }
        let mut session = self.database.read().await?;
        let snapshot = load::snapshot_by_id(&mut session, id).await?;
        let state = Arc::new(load::state(&mut session, snapshot, &self.roots).await?);
        session.rollback().await?;
        self.cache().keep_old(Arc::clone(&state));
        Ok(state)
    }

    /// The newest state that is not after a time.
    pub async fn at_time(&self, time_us: i64) -> Result<Arc<State>> {
        let time = DateTime::from_timestamp_micros(time_us).unwrap_or(DateTime::<Utc>::MAX_UTC);
        let parameter = match self.database.dialect() {
            Dialect::Sqlite => "?",
            Dialect::Postgres => "(?::text)::timestamptz",
        };
        let sql = format!(
            "SELECT snapshot_id FROM ducklake_snapshot WHERE snapshot_time <= {parameter} \
             ORDER BY snapshot_id DESC LIMIT 1"
        );
        let time = layout::time_text(time);
        let rows = self.database.query(&sql, &[time.as_str().into()]).await?;
        let row = rows.first().ok_or_else(|| Error::InvalidParameter {
            message: format!("there is no snapshot as old as {time}"),
            hint: Some("List snapshots: SELECT * FROM lake.snapshots.".to_owned()),
        })?;
        self.at_snapshot(row.id(0)?).await
    }

    /// When a snapshot was committed, microseconds since 1970; None: it cannot be read any more.
    pub async fn time_of(&self, snapshot: SnapshotId) -> Result<Option<i64>> {
        let sql = "SELECT CAST(snapshot_time AS VARCHAR) FROM ducklake_snapshot \
                   WHERE snapshot_id = ?";
        let rows = self.database.query(sql, &[snapshot.into()]).await?;
        rows.first().map(|row| layout::parse_time(&row.name(0))).transpose()
    }

    /// Every snapshot, oldest first.
    pub async fn snapshots(&self) -> Result<Vec<SnapshotInfo>> {
        let mut session = self.database.read().await?;
        let snapshots = load::snapshots(&mut session).await;
        session.rollback().await?;
        snapshots
    }

    /// Rows of a table in a state, without what an open transaction has done.
    pub async fn rows(&self, state: &State, table: &Table) -> Result<Arc<TableRows>> {
        let at = state.snapshot.id;
        if let Some(rows) = self.cache().rows(table.id, at) {
            return Ok(rows);
        }
        let (schema, table) = state
            .table_by_id(table.id)
            .ok_or_else(|| Error::UndefinedTable { name: table.name.clone() })?;
        let mut session = self.database.read().await?;
        let loaded = rows::load(&mut session, at, schema, table, &self.roots).await;
        session.rollback().await?;
        let rows = Arc::new(self.with_delete_files(loaded?, at).await?);
        self.cache().keep_rows(table.id, at, Arc::clone(&rows));
        Ok(rows)
    }

    /// What has become of a table's rows after a snapshot, up to a state.
    pub async fn since(&self, state: &State, table: ObjectId, after: SnapshotId) -> Result<Since> {
        let upto = state.snapshot.id;
        if after >= upto {
            return Ok(Since::Same);
        }
        let known = self.cache().since(table, after, upto);
        let known_from = match known {
            Ok(since) => return Ok(since),
            Err(known_from) => known_from,
        };
        let end = known_from.max(upto);
        let mut session = self.database.read().await?;
        let changes = changes(&mut session, after, end).await;
        session.rollback().await?;
        let changes = changes?;
        // Of snapshots that have expired nobody knows what they changed.
        if i64::try_from(changes.len()).ok() != Some(end - after) {
            return Ok(Since::Changed);
        }
        let upto = changes.iter().filter(|(id, _)| *id <= upto);
        let since = cache::all(upto.map(|(_, changed)| changed), table);
        let older = changes.into_iter().filter(|(id, _)| *id <= known_from).collect();
        self.cache().remember(after, older);
        Ok(since)
    }

    async fn with_delete_files(&self, loaded: Loaded, at: SnapshotId) -> Result<TableRows> {
        let mut files = loaded.files;
        let mut read = Vec::new();
        for delete_files in loaded.delete_files.chunks(READS) {
            let mut reads = Vec::new();
            for delete_file in delete_files {
                reads.push(deletes::read(self.store(), &delete_file.path, at));
            }
            let positions = try_join_all(reads).await?;
            read.extend(delete_files.iter().map(|file| file.data_file).zip(positions));
        }
        let mixed: Vec<&DataFile> =
            files.iter().filter(|f| f.partial_max.is_some_and(|max| max > at)).collect();
        for mixed in mixed.chunks(READS) {
            let reads = mixed.iter().map(|file| deletes::later(self.store(), &file.path, at));
            let positions = try_join_all(reads).await?;
            read.extend(mixed.iter().map(|file| file.id).zip(positions));
        }
        for (id, positions) in read {
            let Some(file) = files.iter_mut().find(|file| file.id == id) else {
                continue;
            };
            let mut deleted = file.deleted.as_deref().cloned().unwrap_or_default();
            deleted |= positions;
            file.deleted = Some(Arc::new(deleted));
        }
        let mut inlined = Vec::new();
        for chunk in loaded.inlined {
            overlay::push(&mut inlined, chunk);
        }
        Ok(TableRows { files: files.into_iter().map(Arc::new).collect(), inlined })
    }

    /// Ends the process if a test asks for it here: `before-commit`, `upkeep-before-commit`.
    pub(crate) fn fault(&self, purpose: Purpose, step: &str) {
        let Some(fault) = &self.fault else { return };
        let own = match purpose {
            Purpose::Transaction => Some(fault.as_str()),
            Purpose::Upkeep => fault.strip_prefix("upkeep-"),
        };
        if own == Some(step) {
            std::process::abort();
        }
    }
}

/// What the snapshots after one, up to another, have changed.
pub(crate) async fn changes(
    session: &mut Session,
    after: SnapshotId,
    upto: SnapshotId,
) -> Result<Vec<(SnapshotId, Changed)>> {
    let sql = "SELECT s.snapshot_id, c.changes_made FROM ducklake_snapshot s \
               LEFT JOIN ducklake_snapshot_changes c ON c.snapshot_id = s.snapshot_id \
               WHERE s.snapshot_id > ? AND s.snapshot_id <= ?";
    let rows = session.query(sql, &[Value::Integer(after), Value::Integer(upto)]).await?;
    let change = |row: &crate::metadata::Row| Ok((row.id(0)?, Changed::parse(&row.name(1))));
    rows.iter().map(change).collect()
}
