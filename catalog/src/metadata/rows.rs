//! Reads what a scan of one table needs: its files with statistics and deletions, its inlined rows.

use std::collections::HashMap;
use std::sync::Arc;

use roaring::RoaringTreemap;

use super::{Row, Session, Value, inlined};
use crate::error::{Error, Result};
use crate::model::{
    Column, ColumnStats, DataFile, FileId, InlinedRows, ObjectId, Schema, SnapshotId, Table,
};

/// A delete file that is live.
#[derive(Debug, Clone)]
pub struct DeleteFile {
    pub id: FileId,
    pub data_file: FileId,
    /// Relative to the data path.
    pub path: String,
    pub begin_snapshot: SnapshotId,
}

/// A table's rows before its delete files are read.
#[derive(Debug)]
pub struct Loaded {
    pub files: Vec<DataFile>,
    pub delete_files: Vec<DeleteFile>,
    pub inlined: Vec<InlinedRows>,
}

const LIVE: &str = "table_id = ? AND begin_snapshot <= ? \
                    AND (end_snapshot IS NULL OR end_snapshot > ?)";

pub async fn load(
    session: &mut Session,
    at: SnapshotId,
    schema: &Schema,
    table: &Table,
    roots: &[String],
) -> Result<Loaded> {
    let folder = table.folder(schema);
    let live = [table.id, at, at].map(Value::Integer);
    let sql = format!(
        "SELECT data_file_id, path, path_is_relative, file_size_bytes, footer_size, \
         record_count, row_id_start, begin_snapshot, partial_max, mapping_id \
         FROM ducklake_data_file \
         WHERE {LIVE} ORDER BY data_file_id"
    );
    let rows = session.query(&sql, &live).await?;
    let file = |row: &Row| data_file(row, &folder, roots);
    let mut files = rows.iter().map(file).collect::<Result<Vec<_>>>()?;
    if rows.iter().any(|row| row.integer(9).is_some()) {
        check_mappings(session, table, &live).await?;
    }
    if !files.is_empty() {
        let mut stats = statistics(session, table.id).await?;
        let mut partitions = partition_values(session, table.id).await?;
        let mut deleted = inlined_deletes(session, table.id, at).await?;
        for file in &mut files {
            file.stats = stats.remove(&file.id).unwrap_or_default();
            file.partition_values = partitions.remove(&file.id).unwrap_or_default();
            file.deleted = deleted.remove(&file.id).map(Arc::new);
        }
    }
    let sql = format!(
        "SELECT data_file_id, path, path_is_relative, delete_file_id, begin_snapshot \
         FROM ducklake_delete_file WHERE {LIVE} ORDER BY delete_file_id"
    );
    let rows = session.query(&sql, &live).await?;
    let delete_file = |row: &Row| {
        Ok(DeleteFile {
            data_file: row.id(0)?,
            path: located(&row.name(1), row.boolean(2), &folder, roots)?,
            id: row.id(3)?,
            begin_snapshot: row.id(4)?,
        })
    };
    let delete_files = rows.iter().map(delete_file).collect::<Result<Vec<_>>>()?;
    let mut inlined = Vec::new();
    for layout in inlined::layouts(session, table).await? {
        inlined.extend(inlined::read(session, table, &layout, at).await?);
    }
    Ok(Loaded { files, delete_files, inlined })
}

fn data_file(row: &Row, folder: &str, roots: &[String]) -> Result<DataFile> {
    let size = |index| row.integer(index).unwrap_or_default().unsigned_abs();
    Ok(DataFile {
        id: row.id(0)?,
        path: located(&row.name(1), row.boolean(2), folder, roots)?,
        size: size(3),
        footer_size: size(4),
        rows: size(5),
        row_id_start: row.integer(6),
        begin_snapshot: row.id(7)?,
        partial_max: row.integer(8),
        partition_values: Vec::new(),
        stats: HashMap::new(),
        deleted: None,
    })
}

/// Files that other tools have registered have no field ids and are read by name, so every column
/// must still have the name it has there.
async fn check_mappings(session: &mut Session, table: &Table, live: &[Value]) -> Result<()> {
    let sql = format!(
        "SELECT source_name, target_field_id, is_partition FROM ducklake_name_mapping \
         WHERE parent_column IS NULL AND mapping_id IN \
         (SELECT mapping_id FROM ducklake_data_file WHERE {LIVE})"
    );
    for row in session.query(&sql, live).await? {
        let (source, target) = (row.name(0), row.id(1)?);
        let moved = |column: &Column| (column.id == target) != (column.name == source);
        if row.boolean(2) == Some(true) || table.columns.iter().any(moved) {
            return Err(Error::NotSupported {
                message: format!(
                    "column \"{source}\" of files added to table \"{}\" cannot be read",
                    table.name
                ),
                hint: Some("Rewrite the table with the tool that added the files.".to_owned()),
            });
        }
    }
    Ok(())
}

/// A file's path from the data path.
fn located(path: &str, relative: Option<bool>, folder: &str, roots: &[String]) -> Result<String> {
    if relative != Some(false) {
        return Ok(format!("{folder}{path}"));
    }
    let below = roots.iter().find_map(|root| path.strip_prefix(root.as_str()));
    below.map(str::to_owned).ok_or_else(|| Error::NotSupported {
        message: format!("file \"{path}\" lies outside the data path"),
        hint: None,
    })
}

async fn statistics(
    session: &mut Session,
    table: ObjectId,
) -> Result<HashMap<FileId, HashMap<i64, ColumnStats>>> {
    let sql = "SELECT data_file_id, column_id, column_size_bytes, value_count, null_count, \
               min_value, max_value, contains_nan FROM ducklake_file_column_stats \
               WHERE table_id = ?";
    let mut files: HashMap<FileId, HashMap<i64, ColumnStats>> = HashMap::new();
    for row in session.query(sql, &[table.into()]).await? {
        let count = |index| row.integer(index).unwrap_or_default().unsigned_abs();
        let stats = ColumnStats {
            size: count(2),
            values: count(3),
            nulls: count(4),
            min: row.text(5),
            max: row.text(6),
            contains_nan: row.boolean(7),
        };
        files.entry(row.id(0)?).or_default().insert(row.id(1)?, stats);
    }
    Ok(files)
}

async fn partition_values(
    session: &mut Session,
    table: ObjectId,
) -> Result<HashMap<FileId, Vec<Option<String>>>> {
    let sql = "SELECT data_file_id, partition_value FROM ducklake_file_partition_value \
               WHERE table_id = ? ORDER BY data_file_id, partition_key_index";
    let mut files: HashMap<FileId, Vec<Option<String>>> = HashMap::new();
    for row in session.query(sql, &[table.into()]).await? {
        files.entry(row.id(0)?).or_default().push(row.text(1));
    }
    Ok(files)
}

/// What a file's row says beside `DataFile`.
#[derive(Debug, Clone, Copy)]
pub struct FileOrigin {
    /// The partitioning that its partition values belong to.
    pub partition: Option<i64>,
    /// Another tool has registered it: its columns are found by name.
    pub mapped: bool,
}

pub async fn origins(
    session: &mut Session,
    table: ObjectId,
) -> Result<HashMap<FileId, FileOrigin>> {
    let sql = "SELECT data_file_id, partition_id, mapping_id FROM ducklake_data_file \
               WHERE table_id = ? AND end_snapshot IS NULL";
    let rows = session.query(sql, &[table.into()]).await?;
    let origin = |row: &Row| {
        let mapped = row.integer(2).is_some();
        Ok((row.id(0)?, FileOrigin { partition: row.integer(1), mapped }))
    };
    rows.iter().map(origin).collect()
}

/// Deleted positions that are kept in the database, by file.
pub async fn inlined_deletes(
    session: &mut Session,
    table: ObjectId,
    at: SnapshotId,
) -> Result<HashMap<FileId, RoaringTreemap>> {
    let mut files: HashMap<FileId, RoaringTreemap> = HashMap::new();
    for (file, dated) in dated_deletes(session, table).await? {
        let then = dated.into_iter().filter(|(_, begin)| *begin <= at);
        files.insert(file, then.map(|(position, _)| position).collect());
    }
    Ok(files)
}

/// The same with the snapshot of each.
pub async fn dated_deletes(
    session: &mut Session,
    table: ObjectId,
) -> Result<HashMap<FileId, Vec<(u64, SnapshotId)>>> {
    let mut files: HashMap<FileId, Vec<(u64, SnapshotId)>> = HashMap::new();
    let name = inlined::delete_table(table);
    if !session.table_exists(&name).await? {
        return Ok(files);
    }
    let sql = format!("SELECT file_id, row_id, begin_snapshot FROM {name}");
    for row in session.query(&sql, &[]).await? {
        let own = files.entry(row.id(0)?).or_default();
        own.push((row.id(1)?.unsigned_abs(), row.id(2)?));
    }
    Ok(files)
}
