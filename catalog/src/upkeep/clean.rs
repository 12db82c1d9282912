//! Clean-up: objects that were replaced or expired, and objects that no commit ever named.
//!
//! Nothing is removed that a transaction of this server may still read or has just written; other
//! servers have the retention time for theirs. Only names that lakes give their files are touched.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use futures::TryStreamExt;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};

use crate::error::Result;
use crate::indexes::{self, VECTOR_INDEX};
use crate::lake::Lake;
use crate::metadata::{Row, Session, layout};
use crate::model::{FileId, SnapshotId};
use crate::registry::{self, MODEL};
use crate::storage;

/// Youngest object that counts as forgotten, seconds: a commit of another server may take long.
const ORPHAN_SECONDS: i64 = 24 * 3600;

/// What a clean-up has removed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Removed {
    /// Replaced or expired.
    pub files: u64,
    /// Never part of a commit.
    pub orphans: u64,
}

/// A file as the catalog names it.
pub(super) struct Named {
    pub id: FileId,
    /// From the data path.
    pub path: String,
    pub begin_snapshot: SnapshotId,
    pub end_snapshot: Option<SnapshotId>,
}

impl Lake {
    /// Removes objects that nobody has needed for so long.
    pub async fn clean_up(&self, age: Duration) -> Result<Removed> {
        let since = Instant::now();
        let age = chrono::Duration::from_std(age).unwrap_or(chrono::Duration::MAX);
        let before = Utc::now().checked_sub_signed(age).unwrap_or(DateTime::<Utc>::MIN_UTC);
        let before = self.oldest_open().map_or(before, |open| before.min(open));
        let files = self.remove_scheduled(before).await?;
        let orphans = before.min(Utc::now() - chrono::Duration::seconds(ORPHAN_SECONDS));
        let orphans = self.remove_orphans(orphans).await?;
        self.ran("clean_up", None, since, (0, files + orphans));
        Ok(Removed { files, orphans })
    }

    async fn remove_scheduled(&self, before: DateTime<Utc>) -> Result<u64> {
        let sql = "SELECT data_file_id, path, path_is_relative, CAST(schedule_start AS VARCHAR) \
                   FROM ducklake_files_scheduled_for_deletion";
        let mut removed = 0;
        for row in self.database.query(sql, &[]).await? {
            if layout::parse_time(&row.name(3))? >= before.timestamp_micros() {
                continue;
            }
            let Some(path) = from_data_path(&row.name(1), row.boolean(2), "", &self.roots) else {
                continue;
            };
            self.remove(&path).await?;
            let mut session = self.database.write().await?;
            let sql = "DELETE FROM ducklake_files_scheduled_for_deletion \
                       WHERE data_file_id = ? AND path = ?";
            session.execute(sql, &[row.id(0)?.into(), row.name(1).into()]).await?;
            session.commit().await?;
            removed += 1;
        }
        Ok(removed)
    }

    /// Objects named like a lake's files that the catalog does not know.
    async fn remove_orphans(&self, before: DateTime<Utc>) -> Result<u64> {
        let mut old = Vec::new();
        let mut listed = self.store().list(None);
        let failed = |e| storage::error(self.data_path(), &e);
        while let Some(object) = listed.try_next().await.map_err(failed)? {
            let name = object.location.filename().unwrap_or_default();
            let own = name.starts_with("ducklake-") && name.ends_with(".parquet");
            let segment = name.starts_with("sextant-") && name.ends_with(".ann");
            let model = registry::folder_of(object.location.as_ref()).is_some();
            if (own || segment || model) && object.last_modified < before {
                old.push(object.location.to_string());
            }
        }
        if old.is_empty() {
            return Ok(0);
        }
        // Read after the listing: what is named by then is not an orphan.
        let mut session = self.database.read().await?;
        let known = known(&mut session, &self.roots).await;
        session.rollback().await?;
        let known = known?;
        let mut removed = 0;
        let is_known = |path: &String| known.contains(registry::folder_of(path).unwrap_or(path));
        for path in old.into_iter().filter(|path| !is_known(path)) {
            tracing::info!(path, "removing a file that no commit has named");
            self.remove(&path).await?;
            removed += 1;
        }
        Ok(removed)
    }

    /// Removes an object; one that is gone already is no error.
    async fn remove(&self, path: &str) -> Result<()> {
        let location = Path::parse(path).map_err(|e| storage::error(path, &e.into()))?;
        match self.store().delete(&location).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(storage::error(path, &error)),
        }
    }
}

/// A path as the catalog keeps it, seen from the data path; None: it lies outside.
fn from_data_path(
    path: &str,
    relative: Option<bool>,
    folder: &str,
    roots: &[String],
) -> Option<String> {
    if relative != Some(false) {
        return Some(format!("{folder}{path}"));
    }
    roots.iter().find_map(|root| path.strip_prefix(root.as_str())).map(str::to_owned)
}

/// Every path that the catalog names.
async fn known(session: &mut Session, roots: &[String]) -> Result<HashSet<String>> {
    let mut known = HashSet::new();
    for kind in ["data", "delete"] {
        known.extend(files(session, kind, roots).await?.into_iter().map(|file| file.path));
    }
    let sql = "SELECT path, path_is_relative FROM ducklake_files_scheduled_for_deletion";
    let rows = session.query(sql, &[]).await?;
    let path = |row: &Row| from_data_path(&row.name(0), row.boolean(1), "", roots);
    known.extend(rows.iter().filter_map(path));
    // Those of snapshots that can still be read too: expiry removes the rows that none sees.
    let sql = format!("SELECT body FROM sextant_definition WHERE kind = '{VECTOR_INDEX}'");
    let rows = session.query(&sql, &[]).await?;
    known.extend(rows.iter().flat_map(|row| indexes::paths(&row.name(0))));
    let sql = format!("SELECT body FROM sextant_definition WHERE kind = '{MODEL}'");
    let rows = session.query(&sql, &[]).await?;
    known.extend(rows.iter().flat_map(|row| registry::folders(&row.name(0))));
    Ok(known)
}

/// Data or delete files of all tables, those that have ended included. A file appears once for each
/// way in which the catalog has named its table's folder.
pub(super) async fn files(
    session: &mut Session,
    kind: &str,
    roots: &[String],
) -> Result<Vec<Named>> {
    let sql = format!(
        "SELECT f.{kind}_file_id, f.begin_snapshot, f.end_snapshot, f.path, f.path_is_relative, \
         t.path, t.path_is_relative, s.path, s.path_is_relative FROM ducklake_{kind}_file f \
         JOIN ducklake_table t ON t.table_id = f.table_id \
         JOIN ducklake_schema s ON s.schema_id = t.schema_id"
    );
    let mut named = Vec::new();
    for row in session.query(&sql, &[]).await? {
        let at = |index: usize, folder: &str| {
            from_data_path(&row.name(index), row.boolean(index + 1), folder, roots)
        };
        let path = at(7, "").and_then(|schema| at(5, &schema)).and_then(|table| at(3, &table));
        let Some(path) = path else { continue };
        named.push(Named {
            id: row.id(0)?,
            path,
            begin_snapshot: row.id(1)?,
            end_snapshot: row.integer(2),
        });
    }
    Ok(named)
}
