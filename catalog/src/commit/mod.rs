//! Commit: the operations made once more on the newest snapshot, in one database transaction.
//!
//! ```text
//!   newest ──follow moved rows──check conflicts──replay──▶ next state ──number──┐
//!   big deletes ──▶ delete files, uploaded                                      │
//!                 BEGIN · still newest? · rows of the next snapshot · COMMIT · cache
//! ```
//! When another process has committed in between, the whole is done again on its snapshot.

mod conflicts;
pub(crate) mod data;
pub(crate) mod deletions;
mod moved;
mod records;
mod statistics;
mod tables;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};

use crate::cache::Changed;
use crate::error::{Error, Result};
use crate::lake::Lake;
use crate::metadata::{self, Session, Value, layout, load};
use crate::model::{
    FileId, ObjectId, PROVISIONAL, Relation, Schema, Snapshot, SnapshotId, State, TableRows,
};
use crate::transaction::Work;

/// How often a commit starts over because other processes were faster.
const ATTEMPTS: usize = 100;

/// What the steps of one commit share.
pub(crate) struct Commit<'a> {
    pub lake: &'a Lake,
    pub session: Session,
    purpose: Purpose,
    pub snapshot: SnapshotId,
    /// What the work was done on.
    pub base: SnapshotId,
    pub schema_version: i64,
    pub next_catalog_id: ObjectId,
    pub next_file_id: FileId,
    /// Tokens of `changes_made`.
    pub changes: Vec<String>,
}

/// Who commits; names the fault points.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    Transaction,
    Upkeep,
}

/// The next state before it is written.
struct Replayed {
    state: State,
    ids: HashMap<ObjectId, ObjectId>,
    next_catalog_id: ObjectId,
}

/// Writes the work of a transaction that began at `base`; says which snapshot it became.
/// `patience` is how long each lock may take.
pub(crate) async fn commit(
    lake: &Lake,
    base: &State,
    work: &Work,
    patience: Option<Duration>,
) -> Result<SnapshotId> {
    let _turn = within(patience, async { Ok(lake.committing.lock().await) }).await?;
    let known = lake.cache().newest().cloned();
    let mut newest = match known {
        Some(newest) => newest,
        None => lake.current().await?,
    };
    for _ in 0..ATTEMPTS {
        match attempt(lake, base, work, &newest, patience).await {
            Ok(Some(snapshot)) => return Ok(snapshot),
            Ok(None) => newest = lake.current().await?,
            Err(error) if metadata::is_duplicate_key(&error) => newest = lake.current().await?,
            Err(error) => return Err(error),
        }
    }
    Err(Error::Conflict { change: "commits of other servers".to_owned() })
}

async fn within<T>(
    patience: Option<Duration>,
    waiting: impl Future<Output = Result<T>>,
) -> Result<T> {
    match patience {
        None => waiting.await,
        Some(longest) => {
            tokio::time::timeout(longest, waiting).await.unwrap_or(Err(Error::LockTimeout))
        }
    }
}

/// None: somebody else has committed.
async fn attempt(
    lake: &Lake,
    base: &State,
    work: &Work,
    newest: &Arc<State>,
    patience: Option<Duration>,
) -> Result<Option<SnapshotId>> {
    if base.snapshot.id > newest.snapshot.id {
        return Ok(None);
    }
    let work = &*moved::followed(lake, base, newest, work).await?;
    conflicts::check(lake, base, newest, work).await?;
    let replayed = replay(base, newest, work)?;
    let deletes = deletions::prepare(lake, newest, &replayed.state, work, &replayed.ids).await?;
    let begin = Commit::begin(lake, newest, Purpose::Transaction);
    let Some(mut commit) = within(patience, begin).await? else {
        return Ok(None);
    };
    commit.next_catalog_id = replayed.next_catalog_id;
    commit.base = base.snapshot.id;
    let mut state = replayed.state;
    match write(&mut commit, newest, &mut state, work, &replayed.ids, &deletes).await {
        Ok(rows) => commit.finish(newest, state, rows).await.map(Some),
        Err(error) => Err(commit.abandon(error).await),
    }
}

impl<'a> Commit<'a> {
    /// Keeps other commits out of the database; None: one has come in between.
    pub(crate) async fn begin(
        lake: &'a Lake,
        newest: &State,
        purpose: Purpose,
    ) -> Result<Option<Self>> {
        lake.fault(purpose, "before-begin");
        let mut session = lake.database.write().await?;
        if load::newest(&mut session).await?.id != newest.snapshot.id {
            session.rollback().await?;
            return Ok(None);
        }
        Ok(Some(Commit {
            lake,
            session,
            purpose,
            snapshot: newest.snapshot.id + 1,
            base: newest.snapshot.id,
            schema_version: newest.snapshot.schema_version,
            next_catalog_id: newest.snapshot.next_catalog_id,
            next_file_id: newest.snapshot.next_file_id,
            changes: Vec::new(),
        }))
    }

    /// Writes the snapshot, makes all durable and tells the cache.
    pub(crate) async fn finish(
        mut self,
        newest: &State,
        mut state: State,
        rows: NewRows,
    ) -> Result<SnapshotId> {
        state.snapshot = Snapshot {
            id: self.snapshot,
            time_us: Utc::now().timestamp_micros().max(newest.snapshot.time_us + 1),
            schema_version: self.schema_version,
            next_catalog_id: self.next_catalog_id,
            next_file_id: self.next_file_id,
        };
        if let Err(error) = write_snapshot(&mut self, &state.snapshot).await {
            return Err(self.abandon(error).await);
        }
        let (lake, snapshot) = (self.lake, self.snapshot);
        lake.fault(self.purpose, "before-commit");
        self.session.commit().await?;
        lake.fault(self.purpose, "after-commit");
        let changed = Changed::parse(&self.changes.join(","));
        publish(lake, newest, state, changed, rows);
        Ok(snapshot)
    }

    /// Makes all durable without a snapshot: what can be read has not changed.
    pub(crate) async fn keep_snapshot(self) -> Result<()> {
        let lake = self.lake;
        lake.fault(self.purpose, "before-commit");
        self.session.commit().await?;
        lake.fault(self.purpose, "after-commit");
        Ok(())
    }

    /// Undoes everything because of an error.
    pub(crate) async fn abandon(self, error: Error) -> Error {
        // Fails after errors that have ended the transaction; what counts is the first one.
        let _ = self.session.rollback().await;
        error
    }
}

/// Makes the operations on the newest state and gives new objects their ids.
fn replay(base: &State, newest: &State, work: &Work) -> Result<Replayed> {
    let mut state = if base.snapshot.id == newest.snapshot.id {
        State::clone(&work.state)
    } else {
        let mut state = newest.clone();
        for operation in &work.operations {
            let conflict = |error: Error| Error::Conflict { change: format!("change: {error}") };
            operation.apply(&mut state).map_err(conflict)?;
        }
        state
    };
    let mut next_catalog_id = newest.snapshot.next_catalog_id;
    let ids = number(&mut state, &mut next_catalog_id);
    Ok(Replayed { state, ids, next_catalog_id })
}

/// Replaces provisional ids by final ones, in the order the objects were made.
fn number(state: &mut State, next: &mut ObjectId) -> HashMap<ObjectId, ObjectId> {
    let mut provisional = Vec::new();
    for schema in state.schemas.values() {
        provisional.push(schema.id);
        provisional.extend(schema.relations.values().map(Relation::id));
    }
    provisional.extend(state.definitions.values().map(|definition| definition.id));
    provisional.retain(|id| *id >= PROVISIONAL);
    provisional.sort_unstable();
    let mut ids = HashMap::new();
    for id in provisional {
        ids.insert(id, *next);
        *next += 1;
    }
    if ids.is_empty() {
        return ids;
    }
    for schema in state.schemas.values_mut() {
        let new = |id: ObjectId| ids.contains_key(&id);
        if new(schema.id) || schema.relations.values().any(|relation| new(relation.id())) {
            number_schema(Arc::make_mut(schema), &ids);
        }
    }
    for definition in state.definitions.values_mut() {
        if let Some(id) = ids.get(&definition.id) {
            Arc::make_mut(definition).id = *id;
        }
    }
    ids
}

fn number_schema(schema: &mut Schema, ids: &HashMap<ObjectId, ObjectId>) {
    let last = |id: ObjectId| ids.get(&id).copied().unwrap_or(id);
    schema.id = last(schema.id);
    for relation in schema.relations.values_mut() {
        let new = ids.contains_key(&relation.id());
        match relation {
            Relation::Table(table) if new || table.schema_id != schema.id => {
                let table = Arc::make_mut(table);
                table.id = last(table.id);
                table.schema_id = schema.id;
            }
            Relation::View(view) if new || view.schema_id != schema.id => {
                let view = Arc::make_mut(view);
                view.id = last(view.id);
                view.schema_id = schema.id;
            }
            Relation::Table(_) | Relation::View(_) => {}
        }
    }
}

/// Rows of tables in the new snapshot, where they are known without reading.
pub(crate) type NewRows = BTreeMap<ObjectId, TableRows>;

async fn write(
    commit: &mut Commit<'_>,
    newest: &Arc<State>,
    state: &mut State,
    work: &Work,
    ids: &HashMap<ObjectId, ObjectId>,
    deletes: &deletions::Deletes,
) -> Result<NewRows> {
    records::write(commit, newest, state).await?;
    let mut rows = NewRows::new();
    let mut overlays: Vec<_> = work
        .overlays
        .iter()
        .map(|(id, overlay)| (ids.get(id).copied().unwrap_or(*id), *id, overlay))
        .collect();
    overlays.sort_by_key(|(id, ..)| *id);
    for (id, provisional, overlay) in overlays {
        if overlay.is_empty() {
            continue;
        }
        let own = deletes.get(&provisional);
        if let Some(new) = data::write(commit, newest, state, id, overlay, own).await? {
            rows.insert(id, new);
        }
    }
    Ok(rows)
}

async fn write_snapshot(commit: &mut Commit<'_>, snapshot: &Snapshot) -> Result<()> {
    let time = DateTime::from_timestamp_micros(snapshot.time_us).unwrap_or_default();
    let row = vec![
        snapshot.id.into(),
        layout::time_text(time).into(),
        snapshot.schema_version.into(),
        snapshot.next_catalog_id.into(),
        snapshot.next_file_id.into(),
    ];
    layout::SNAPSHOT.insert(&mut commit.session, &[row]).await?;
    let changes = vec![
        snapshot.id.into(),
        commit.changes.join(",").into(),
        Value::Null,
        Value::Null,
        Value::Null,
    ];
    layout::SNAPSHOT_CHANGES.insert(&mut commit.session, &[changes]).await
}

/// Tells the cache, so that the next statement reads nothing again.
fn publish(lake: &Lake, newest: &State, state: State, changed: Changed, rows: NewRows) {
    let snapshot = state.snapshot.id;
    let mut cache = lake.cache();
    for table in rows.keys() {
        cache.drop_rows(*table, newest.snapshot.id);
    }
    cache.advance(Arc::new(state), vec![(snapshot, changed)]);
    for (table, rows) in rows {
        cache.keep_rows(table, snapshot, Arc::new(rows));
    }
}
