//! Expire: snapshots that nobody keeps stop being readable, and what only they saw is let go.
//!
//! Kept are the newest snapshot, tagged ones, those that transactions of this server read, and all
//! that are young enough. Columns of living tables stay known when they are dropped: their ids are
//! field ids in files and must not be given out again.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use chrono::Utc;

use super::{is_seen, retained};
use crate::commit::Commit;
use crate::commit::Purpose;
use crate::error::Result;
use crate::lake::Lake;
use crate::metadata::{Row, Session, Value, inlined};
use crate::model::{FileId, ObjectId, SnapshotId, State, TRAINING_SET};

/// Kind of the definitions that keep a snapshot; their bodies name it.
const TAG: &str = "tag";
const TAGGED: &str = "snapshot_id";
/// Ids that one statement names.
const IDS: usize = 500;
/// What lives from a snapshot to a snapshot and nobody else refers to.
const LIVING: [&str; 8] = [
    "ducklake_view",
    "ducklake_schema",
    "ducklake_table",
    "ducklake_tag",
    "ducklake_column_tag",
    "sextant_column_tag",
    "sextant_constraint",
    "sextant_definition",
];
/// What goes with the last row of a table.
const OF_TABLES: [&str; 12] = [
    "ducklake_column",
    "ducklake_column_tag",
    "ducklake_table_stats",
    "ducklake_table_column_stats",
    "ducklake_schema_versions",
    "ducklake_partition_info",
    "ducklake_partition_column",
    "ducklake_sort_info",
    "ducklake_sort_expression",
    "ducklake_inlined_data_tables",
    "sextant_column_tag",
    "sextant_constraint",
];

impl Lake {
    /// Forgets snapshots older than an age; says how many.
    pub async fn expire(&self, age: Duration) -> Result<u64> {
        let since = Instant::now();
        let age_us = i64::try_from(age.as_micros()).unwrap_or(i64::MAX);
        let before_us = Utc::now().timestamp_micros().saturating_sub(age_us);
        let expired = self.expire_before(before_us).await?;
        self.ran("expire", None, since, (expired, 0));
        Ok(expired)
    }

    /// Forgets snapshots older than a time (microseconds since 1970); says how many.
    pub(crate) async fn expire_before(&self, before_us: i64) -> Result<u64> {
        let _turn = self.committing.lock().await;
        let newest = self.current().await?;
        let kept = kept(&newest, &self.open_bases());
        let old = self
            .snapshots()
            .await?
            .into_iter()
            .filter(|snapshot| snapshot.time_us < before_us && !kept.contains(&snapshot.id));
        let old: Vec<SnapshotId> = old.map(|snapshot| snapshot.id).collect();
        if old.is_empty() {
            return Ok(0);
        }
        let Some(mut commit) = Commit::begin(self, &newest, Purpose::Upkeep).await? else {
            return Ok(0);
        };
        match expire(&mut commit, &old).await {
            Ok(()) => {
                commit.keep_snapshot().await?;
                self.cache().forget(&old);
                Ok(old.len() as u64)
            }
            Err(error) => Err(commit.abandon(error).await),
        }
    }
}

fn kept(newest: &State, open: &BTreeSet<SnapshotId>) -> BTreeSet<SnapshotId> {
    let keeps = |kind: &str| kind == TAG || kind == TRAINING_SET;
    let tags = newest.definitions.values().filter(|definition| keeps(&definition.kind));
    let mut kept: BTreeSet<SnapshotId> = tags.filter_map(|tag| tag.body[TAGGED].as_i64()).collect();
    kept.insert(newest.snapshot.id);
    kept.extend(open);
    kept
}

async fn expire(commit: &mut Commit<'_>, old: &[SnapshotId]) -> Result<()> {
    for table in ["ducklake_snapshot", "ducklake_snapshot_changes"] {
        delete(&mut commit.session, table, "snapshot_id", old).await?;
    }
    let retained = retained(&mut commit.session).await?;
    let files = unseen_files(&mut commit.session, "data", &retained, &commit.lake.roots).await?;
    let delete_files =
        unseen_files(&mut commit.session, "delete", &retained, &commit.lake.roots).await?;
    let ids: Vec<FileId> = files.keys().copied().collect();
    let delete_ids: Vec<FileId> = delete_files.keys().copied().collect();
    let session = &mut commit.session;
    for table in ["data_file", "file_column_stats", "file_partition_value", "file_variant_stats"] {
        delete(session, &format!("ducklake_{table}"), "data_file_id", &ids).await?;
    }
    delete(session, "ducklake_delete_file", "delete_file_id", &delete_ids).await?;
    commit.schedule(&files.into_iter().collect::<Vec<_>>()).await?;
    commit.schedule(&delete_files.into_iter().collect::<Vec<_>>()).await?;
    inlined_rows(&mut commit.session, &ids).await?;
    let unseen = "end_snapshot IS NOT NULL AND NOT EXISTS (SELECT 1 FROM ducklake_snapshot s \
                  WHERE s.snapshot_id >= begin_snapshot AND s.snapshot_id < end_snapshot)";
    for table in LIVING {
        commit.session.execute(&format!("DELETE FROM {table} WHERE {unseen}"), &[]).await?;
    }
    let gone = "table_id NOT IN (SELECT table_id FROM ducklake_table)";
    let sql = format!("SELECT table_id, table_name FROM ducklake_inlined_data_tables WHERE {gone}");
    for row in commit.session.query(&sql, &[]).await? {
        let rows = inlined::delete_table(row.id(0)?);
        for name in [row.name(1), rows] {
            commit.session.execute(&format!("DROP TABLE IF EXISTS {name}"), &[]).await?;
        }
    }
    for table in OF_TABLES {
        commit.session.execute(&format!("DELETE FROM {table} WHERE {gone}"), &[]).await?;
    }
    Ok(())
}

async fn delete(session: &mut Session, table: &str, key: &str, ids: &[i64]) -> Result<()> {
    for ids in ids.chunks(IDS) {
        let places = vec!["?"; ids.len()].join(", ");
        let values: Vec<Value> = ids.iter().copied().map(Value::Integer).collect();
        let sql = format!("DELETE FROM {table} WHERE {key} IN ({places})");
        session.execute(&sql, &values).await?;
    }
    Ok(())
}

/// Files that no snapshot sees, with their paths from the data path. `kind`: `data` or `delete`.
async fn unseen_files(
    session: &mut Session,
    kind: &str,
    retained: &BTreeSet<SnapshotId>,
    roots: &[String],
) -> Result<BTreeMap<FileId, String>> {
    let mut unseen = BTreeMap::new();
    for file in super::clean::files(session, kind, roots).await? {
        if !is_seen(retained, file.begin_snapshot, file.end_snapshot) {
            unseen.insert(file.id, file.path);
        }
    }
    Ok(unseen)
}

/// Rows that the catalog keeps and no snapshot sees, and deletions in files that are gone.
async fn inlined_rows(session: &mut Session, files: &[FileId]) -> Result<()> {
    let sql = "SELECT table_id, table_name FROM ducklake_inlined_data_tables";
    let rows = session.query(sql, &[]).await?;
    let named = |row: &Row| Ok((row.id(0)?, row.name(1)));
    let tables: Vec<(ObjectId, String)> = rows.iter().map(named).collect::<Result<_>>()?;
    for (table, name) in tables {
        let sql = format!(
            "DELETE FROM {name} WHERE end_snapshot IS NOT NULL AND NOT EXISTS \
             (SELECT 1 FROM ducklake_snapshot s WHERE s.snapshot_id >= {name}.begin_snapshot \
             AND s.snapshot_id < {name}.end_snapshot)"
        );
        session.execute(&sql, &[]).await?;
        let deletes = inlined::delete_table(table);
        if session.table_exists(&deletes).await? {
            delete(session, &deletes, "file_id", files).await?;
        }
    }
    Ok(())
}
