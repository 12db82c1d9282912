//! Deleted rows of a commit.
//!
//! ```text
//!   deleted rows of a file ── all of them ──────────▶ the file is closed
//!                          ── few in this commit ──▶ ducklake_inlined_delete_<table>
//!                          ── many ────────────────▶ a new delete file with the old ones too
//! ```

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use roaring::RoaringTreemap;

use super::Commit;
use crate::deletes::{self, Deletion};
use crate::error::{Error, Result};
use crate::lake::Lake;
use crate::metadata::{Kind, Value, inlined, layout, rows};
use crate::model::{
    DataFile, FileId, INLINED, ObjectId, PROVISIONAL, Schema, SnapshotId, State, Table,
};
use crate::overlay::Overlay;
use crate::transaction::Work;

/// Row ids that one statement names.
const IDS: usize = 500;

/// What is done about the deleted rows of one file.
#[derive(Debug)]
pub(super) enum FileDelete {
    Close,
    Inline(RoaringTreemap),
    File(DeleteFile),
}

/// A delete file that has been uploaded.
#[derive(Debug)]
pub(crate) struct DeleteFile {
    name: String,
    size: u64,
    footer_size: u64,
    count: u64,
    /// First and last snapshot of the deletions, if they are not all of the commit itself.
    snapshots: Option<(SnapshotId, SnapshotId)>,
}

impl DeleteFile {
    /// Uploads a delete file of `data_file` (a path from the data path) to a table's folder.
    pub async fn upload(
        lake: &Lake,
        folder: &str,
        data_file: &str,
        deletions: &[Deletion],
    ) -> Result<Self> {
        let path = format!("{}{data_file}", lake.data_path());
        let (bytes, footer_size) = deletes::encode(&path, deletions)?;
        let name = format!("ducklake-{}-delete.parquet", uuid::Uuid::now_v7());
        let size = bytes.len() as u64;
        lake.storage.put(&format!("{folder}{name}"), bytes).await?;
        let at = || deletions.iter().filter_map(|(_, at)| *at);
        let snapshots = at().min().zip(at().max());
        Ok(Self { name, size, footer_size, count: deletions.len() as u64, snapshots })
    }

    /// Its row in the catalog.
    pub async fn register(
        &self,
        commit: &mut Commit<'_>,
        table: ObjectId,
        data_file: FileId,
    ) -> Result<()> {
        let id = commit.next_file_id;
        commit.next_file_id += 1;
        let row = vec![
            id.into(),
            table.into(),
            self.snapshots.map_or(commit.snapshot, |(first, _)| first).into(),
            Value::Null,
            data_file.into(),
            self.name.as_str().into(),
            true.into(),
            "parquet".into(),
            self.count.into(),
            self.size.into(),
            self.footer_size.into(),
            Value::Null,
            self.snapshots.map(|(_, last)| last).into(),
        ];
        layout::DELETE_FILE.insert(&mut commit.session, &[row]).await
    }
}

/// By table (as the transaction knows it) and file, which may be one of this transaction.
pub(super) type Deletes = HashMap<ObjectId, BTreeMap<FileId, FileDelete>>;

/// Decides about deleted rows and uploads delete files, before the database is locked.
pub(super) async fn prepare(
    lake: &Lake,
    newest: &State,
    state: &State,
    work: &Work,
    ids: &HashMap<ObjectId, ObjectId>,
) -> Result<Deletes> {
    let mut deletes = Deletes::new();
    for (id, overlay) in &work.overlays {
        let last = ids.get(id).copied().unwrap_or(*id);
        let Some((schema, table)) = state.table_by_id(last) else {
            continue;
        };
        let files = deleted_files(lake, newest, overlay, *id).await?;
        if files.is_empty() {
            continue;
        }
        let own = prepare_table(lake, newest, schema, table, files).await?;
        deletes.insert(*id, own);
    }
    Ok(deletes)
}

/// Files with rows to delete: (file as it is, positions to delete).
async fn deleted_files(
    lake: &Lake,
    newest: &State,
    overlay: &Overlay,
    id: ObjectId,
) -> Result<Vec<(Arc<DataFile>, RoaringTreemap)>> {
    let mut files = Vec::new();
    for file in &overlay.files {
        if let Some(deleted) = &file.deleted {
            let written = DataFile { deleted: None, ..DataFile::clone(file) };
            files.push((Arc::new(written), RoaringTreemap::clone(deleted)));
        }
    }
    let committed = overlay.deleted.iter().filter(|(file, _)| **file != INLINED);
    let committed: Vec<_> = committed.filter(|(_, positions)| !positions.is_empty()).collect();
    let Some((_, table)) = newest.table_by_id(id).filter(|_| !committed.is_empty()) else {
        return Ok(files);
    };
    let rows = lake.rows(newest, table).await?;
    for (id, positions) in committed {
        let file = rows.files.iter().find(|file| file.id == *id);
        let file = file
            .ok_or_else(|| Error::Conflict { change: format!("update of \"{}\"", table.name) })?;
        files.push((Arc::clone(file), positions.clone()));
    }
    Ok(files)
}

async fn prepare_table(
    lake: &Lake,
    newest: &State,
    schema: &Schema,
    table: &Table,
    files: Vec<(Arc<DataFile>, RoaringTreemap)>,
) -> Result<BTreeMap<FileId, FileDelete>> {
    let mut prepared = BTreeMap::new();
    let mut partial = Vec::new();
    for (file, positions) in files {
        let mut gone = positions.clone();
        if let Some(deleted) = &file.deleted {
            gone |= deleted.as_ref();
        }
        if gone.len() >= file.rows {
            prepared.insert(file.id, FileDelete::Close);
        } else {
            partial.push((file, positions, gone));
        }
    }
    let rows: u64 = partial.iter().map(|(_, positions, _)| positions.len()).sum();
    if rows <= lake.inline_row_limit() as u64 {
        let inline =
            |(file, positions, _): (Arc<DataFile>, _, _)| (file.id, FileDelete::Inline(positions));
        prepared.extend(partial.into_iter().map(inline));
        return Ok(prepared);
    }
    let mut session = lake.database.read().await?;
    let kept = rows::inlined_deletes(&mut session, table.id, newest.snapshot.id).await;
    session.rollback().await?;
    let kept = kept?;
    let folder = table.folder(schema);
    for (file, _, mut gone) in partial {
        // What the database keeps stays there: readers add both.
        if let Some(inlined) = kept.get(&file.id) {
            gone -= inlined;
        }
        let deletions: Vec<Deletion> = gone.iter().map(|position| (position, None)).collect();
        let file_delete = DeleteFile::upload(lake, &folder, &file.path, &deletions).await?;
        prepared.insert(file.id, FileDelete::File(file_delete));
    }
    Ok(prepared)
}

/// Writes what was prepared, and closes inlined rows.
pub(super) async fn write(
    commit: &mut Commit<'_>,
    id: ObjectId,
    overlay: &Overlay,
    deletes: Option<&BTreeMap<FileId, FileDelete>>,
    files: &[DataFile],
) -> Result<()> {
    let mut inline = Vec::new();
    let mut in_files = false;
    // New files keep the order of the overlay's, closed ones left out.
    let mut new_ids = files.iter().map(|file| file.id);
    let closed = |id: &FileId| {
        matches!(deletes.and_then(|deletes| deletes.get(id)), Some(FileDelete::Close))
    };
    let own: HashMap<FileId, FileId> = overlay
        .files
        .iter()
        .filter(|file| !closed(&file.id))
        .filter_map(|file| Some((file.id, new_ids.next()?)))
        .collect();
    for (file, delete) in deletes.into_iter().flatten() {
        let last = own.get(file).copied().unwrap_or(*file);
        match delete {
            FileDelete::Close if *file >= PROVISIONAL => {}
            FileDelete::Close => {
                in_files = true;
                commit.close("ducklake_data_file", "data_file_id = ?", &[last.into()]).await?;
                commit.close("ducklake_delete_file", "data_file_id = ?", &[last.into()]).await?;
            }
            FileDelete::Inline(positions) => {
                let row =
                    |position| vec![last.into(), Value::from(position), commit.snapshot.into()];
                inline.extend(positions.iter().map(row));
            }
            FileDelete::File(file) => {
                in_files = true;
                commit.close("ducklake_delete_file", "data_file_id = ?", &[last.into()]).await?;
                file.register(commit, id, last).await?;
            }
        }
    }
    let rows = overlay.deleted.get(&INLINED).filter(|rows| !rows.is_empty());
    if let Some(rows) = rows {
        close_inlined(commit, id, rows).await?;
    }
    if in_files {
        commit.changes.push(format!("deleted_from_table:{id}"));
    }
    if !inline.is_empty() || rows.is_some() {
        commit.changes.push(format!("inlined_delete:{id}"));
    }
    write_inlined_deletes(commit, id, &inline).await
}

async fn write_inlined_deletes(
    commit: &mut Commit<'_>,
    id: ObjectId,
    rows: &[Vec<Value>],
) -> Result<()> {
    if rows.is_empty() {
        return Ok(());
    }
    let name = inlined::delete_table(id);
    let columns = ["file_id", "row_id", "begin_snapshot"].map(|name| (name, Kind::Integer));
    let definition = columns.map(|(name, _)| format!("{name} BIGINT")).join(", ");
    let sql = format!("CREATE TABLE IF NOT EXISTS {name} ({definition})");
    commit.session.execute(&sql, &[]).await?;
    commit.session.insert(&name, &columns, rows).await
}

pub(crate) async fn inlined_tables(commit: &mut Commit<'_>, id: ObjectId) -> Result<Vec<String>> {
    let sql = "SELECT table_name FROM ducklake_inlined_data_tables WHERE table_id = ?";
    let rows = commit.session.query(sql, &[id.into()]).await?;
    Ok(rows.iter().map(|row| row.name(0)).collect())
}

/// Closes inlined rows by row id; each must be open, and as it was seen: DuckDB's UPDATE gives the
/// new row the id of the old one.
async fn close_inlined(commit: &mut Commit<'_>, id: ObjectId, rows: &RoaringTreemap) -> Result<()> {
    let ids: Vec<i64> = rows.iter().map(u64::cast_signed).collect();
    let mut closed = 0;
    for table in inlined_tables(commit, id).await? {
        for ids in ids.chunks(IDS) {
            let places = vec!["?"; ids.len()].join(", ");
            let mut values: Vec<Value> = ids.iter().copied().map(Value::Integer).collect();
            values.push(commit.base.into());
            let condition = format!("row_id IN ({places}) AND begin_snapshot <= ?");
            closed += commit.close(&table, &condition, &values).await?;
        }
    }
    if closed == rows.len() {
        return Ok(());
    }
    Err(Error::Conflict { change: "update of inlined rows".to_owned() })
}

/// Closes every row of a table.
pub(super) async fn close_rows(commit: &mut Commit<'_>, id: ObjectId) -> Result<()> {
    for table in ["ducklake_data_file", "ducklake_delete_file"] {
        commit.close(table, "table_id = ?", &[id.into()]).await?;
    }
    for table in inlined_tables(commit, id).await? {
        commit.close(&table, "1 = 1", &[]).await?;
    }
    Ok(())
}
