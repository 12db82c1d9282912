//! A table as rows: its own, those of its columns, tags, keys and constraints.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::records::{Change, comment_tags, full_name, json, json_text, moved, quoted};
use super::{Commit, deletions};
use crate::columns::{self, ColumnRecord, Tags};
use crate::error::Result;
use crate::metadata::load::QUERY_TAG;
use crate::metadata::{Value, inlined, layout};
use crate::model::{ObjectId, State, Table};

/// Writes a table that was made, changed or dropped.
pub(super) async fn write(
    commit: &mut Commit<'_>,
    id: ObjectId,
    change: &Change<Arc<Table>>,
    state: &State,
) -> Result<()> {
    let Some(new) = &change.new else {
        return drop_table(commit, id).await;
    };
    let old = change.old.as_deref();
    if old.is_none_or(|old| moved(old, new)) {
        if old.is_some() {
            commit.close("ducklake_table", "table_id = ?", &[id.into()]).await?;
        }
        let (path, relative) = commit.path(&new.path);
        let [begin, end] = commit.opened();
        let (uuid, name) = (new.uuid.as_str().into(), new.name.as_str().into());
        let row = vec![id.into(), uuid, begin, end, new.schema_id.into(), name, path, relative];
        layout::TABLE.insert(&mut commit.session, &[row]).await?;
    }
    if old.is_none_or(|old| old.name != new.name || old.path != new.path) {
        let name = full_name(state, new.schema_id, &new.name);
        commit.changes.push(format!("created_table:{name}"));
    }
    let columns_changed = write_columns(commit, old, new).await?;
    write_column_tags(commit, old, new).await?;
    commit.write_tags(id, &table_tags(old)?, &table_tags(Some(new))?).await?;
    write_partition(commit, old, new).await?;
    write_sort(commit, old, new).await?;
    write_constraints(commit, old, new).await?;
    let layout_changed = new.schema_version == commit.schema_version;
    if layout_changed {
        create_inlined(commit, new).await?;
    }
    if layout_changed || columns_changed {
        let row = vec![commit.snapshot.into(), commit.schema_version.into(), id.into()];
        layout::SCHEMA_VERSIONS.insert(&mut commit.session, &[row]).await?;
    }
    if old.is_some_and(|old| altered(old, new)) {
        commit.changes.push(format!("altered_table:{id}"));
    }
    Ok(())
}

/// The comment and, of a materialized view, the query.
fn table_tags(table: Option<&Table>) -> Result<Tags> {
    let comment = table.and_then(|table| table.comment.as_ref());
    let mut tags = comment_tags(comment).unwrap_or_default();
    if let Some(query) = table.and_then(|table| table.query.as_ref()) {
        tags.insert(QUERY_TAG.to_owned(), json_text(query)?);
    }
    Ok(tags)
}

fn altered(old: &Table, new: &Table) -> bool {
    old.columns != new.columns
        || old.partition_by != new.partition_by
        || old.sort_by != new.sort_by
        || old.constraints != new.constraints
        || old.query != new.query
        || old.comment != new.comment
}

/// Makes the table that rows of the present layout are inlined in.
pub(super) async fn create_inlined(commit: &mut Commit<'_>, table: &Table) -> Result<()> {
    let sql = inlined::create_sql(commit.session.dialect(), table)?;
    commit.session.execute(&sql, &[]).await?;
    let name = inlined::data_table(table.id, table.schema_version);
    let row = vec![table.id.into(), name.into(), table.schema_version.into()];
    layout::INLINED_DATA_TABLES.insert(&mut commit.session, &[row]).await
}

async fn drop_table(commit: &mut Commit<'_>, id: ObjectId) -> Result<()> {
    for table in [
        "ducklake_table",
        "ducklake_column",
        "ducklake_column_tag",
        "sextant_column_tag",
        "ducklake_partition_info",
        "ducklake_sort_info",
        "sextant_constraint",
    ] {
        commit.close(table, "table_id = ?", &[id.into()]).await?;
    }
    commit.close("ducklake_tag", "object_id = ?", &[id.into()]).await?;
    deletions::close_rows(commit, id).await?;
    commit.changes.push(format!("dropped_table:{id}"));
    Ok(())
}

fn column_records(table: Option<&Table>) -> Result<BTreeMap<i64, ColumnRecord>> {
    let mut records = Vec::new();
    for column in table.into_iter().flat_map(|table| &table.columns) {
        columns::records(column, None, &mut records)?;
    }
    Ok(records.into_iter().map(|record| (record.id, record)).collect())
}

async fn write_columns(commit: &mut Commit<'_>, old: Option<&Table>, new: &Table) -> Result<bool> {
    let (old, records) = (column_records(old)?, column_records(Some(new))?);
    let table = Value::Integer(new.id);
    let mut changed = false;
    for id in old.keys().filter(|id| old.get(*id) != records.get(*id)) {
        changed = true;
        let values = [table.clone(), Value::Integer(*id)];
        commit.close("ducklake_column", "table_id = ? AND column_id = ?", &values).await?;
    }
    let fresh = records.values().filter(|record| old.get(&record.id) != Some(*record));
    let [begin, end] = commit.opened();
    let row = |record: &ColumnRecord| {
        vec![
            record.id.into(),
            begin.clone(),
            end.clone(),
            table.clone(),
            record.order.into(),
            record.name.as_str().into(),
            record.type_name.as_str().into(),
            record.initial_default.clone().into(),
            record.default.clone().into(),
            record.nullable.into(),
            record.parent.into(),
            record.default_type.as_str().into(),
            "duckdb".into(),
        ]
    };
    let rows: Vec<Vec<Value>> = fresh.map(row).collect();
    layout::COLUMN.insert(&mut commit.session, &rows).await?;
    Ok(changed || !rows.is_empty())
}

fn column_tags(table: Option<&Table>) -> Result<BTreeMap<i64, Tags>> {
    let mut tags = BTreeMap::new();
    for column in table.into_iter().flat_map(|table| &table.columns) {
        columns::tags(column, &mut tags)?;
    }
    Ok(tags)
}

async fn write_column_tags(
    commit: &mut Commit<'_>,
    old: Option<&Table>,
    new: &Table,
) -> Result<()> {
    let flat = |tags: BTreeMap<i64, Tags>| -> HashMap<(i64, String), String> {
        let column = |(id, tags): (i64, Tags)| tags.into_iter().map(move |(k, v)| ((id, k), v));
        tags.into_iter().flat_map(column).collect()
    };
    let (old, tags) = (flat(column_tags(old)?), flat(column_tags(Some(new))?));
    let table = Value::Integer(new.id);
    for key in old.keys().filter(|key| old.get(*key) != tags.get(*key)) {
        let values = [table.clone(), key.0.into(), key.1.as_str().into()];
        let condition = "table_id = ? AND column_id = ? AND key = ?";
        commit.close(tag_layout(&key.1).name, condition, &values).await?;
    }
    let [begin, end] = commit.opened();
    let fresh = tags.iter().filter(|(key, value)| old.get(*key) != Some(*value));
    let row = |(key, value): (&(i64, String), &String)| {
        let (id, name) = (key.0.into(), key.1.as_str().into());
        vec![table.clone(), id, begin.clone(), end.clone(), name, value.as_str().into()]
    };
    let (mut comments, mut own) = (Vec::new(), Vec::new());
    for entry in fresh {
        let rows = if tag_layout(&entry.0.1).name == layout::COLUMN_TAG.name {
            &mut comments
        } else {
            &mut own
        };
        rows.push(row(entry));
    }
    for (layout, mut rows) in [(layout::COLUMN_TAG, comments), (layout::OWN_COLUMN_TAG, own)] {
        rows.sort_by_key(|row| format!("{row:?}"));
        layout.insert(&mut commit.session, &rows).await?;
    }
    Ok(())
}

/// DuckLake knows comments only; all other tags of columns are ours.
fn tag_layout(key: &str) -> layout::Layout {
    match key {
        columns::COMMENT_TAG => layout::COLUMN_TAG,
        _ => layout::OWN_COLUMN_TAG,
    }
}

async fn write_partition(commit: &mut Commit<'_>, old: Option<&Table>, new: &Table) -> Result<()> {
    let before = old.map_or(&[][..], |old| &old.partition_by);
    if before == new.partition_by {
        return Ok(());
    }
    let table = Value::Integer(new.id);
    commit.close("ducklake_partition_info", "table_id = ?", &[table.clone()]).await?;
    if new.partition_by.is_empty() {
        return Ok(());
    }
    let id = Value::Integer(commit.next_catalog_id);
    commit.next_catalog_id += 1;
    let [begin, end] = commit.opened();
    let info = vec![id.clone(), table.clone(), begin, end];
    layout::PARTITION_INFO.insert(&mut commit.session, &[info]).await?;
    let row = |(index, key): (usize, &crate::model::PartitionKey)| {
        let index = Value::from(index as u64);
        let transform = key.transform.as_str().into();
        vec![id.clone(), table.clone(), index, key.column_id.into(), transform]
    };
    let rows: Vec<Vec<Value>> = new.partition_by.iter().enumerate().map(row).collect();
    layout::PARTITION_COLUMN.insert(&mut commit.session, &rows).await
}

async fn write_sort(commit: &mut Commit<'_>, old: Option<&Table>, new: &Table) -> Result<()> {
    let before = old.map_or(&[][..], |old| &old.sort_by);
    if before == new.sort_by {
        return Ok(());
    }
    let table = Value::Integer(new.id);
    commit.close("ducklake_sort_info", "table_id = ?", &[table.clone()]).await?;
    if new.sort_by.is_empty() {
        return Ok(());
    }
    let id = Value::Integer(commit.next_catalog_id);
    commit.next_catalog_id += 1;
    let [begin, end] = commit.opened();
    let info = vec![id.clone(), table.clone(), begin, end];
    layout::SORT_INFO.insert(&mut commit.session, &[info]).await?;
    let row = |(index, key): (usize, &crate::model::SortKey)| {
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
        let bare =
            key.column.chars().all(plain) && !key.column.starts_with(|c: char| c.is_ascii_digit());
        let expression = if bare { key.column.clone() } else { quoted(&key.column) };
        vec![
            id.clone(),
            table.clone(),
            Value::from(index as u64),
            expression.into(),
            "duckdb".into(),
            if key.descending { "DESC" } else { "ASC" }.into(),
            if key.nulls_first { "NULLS_FIRST" } else { "NULLS_LAST" }.into(),
        ]
    };
    let rows: Vec<Vec<Value>> = new.sort_by.iter().enumerate().map(row).collect();
    layout::SORT_EXPRESSION.insert(&mut commit.session, &rows).await
}

async fn write_constraints(
    commit: &mut Commit<'_>,
    old: Option<&Table>,
    new: &Table,
) -> Result<()> {
    let before = old.map_or(&[][..], |old| &old.constraints);
    if before == new.constraints {
        return Ok(());
    }
    let table = Value::Integer(new.id);
    commit.close("sextant_constraint", "table_id = ?", &[table.clone()]).await?;
    let [begin, end] = commit.opened();
    let row = |constraint| {
        let body = json(constraint)?;
        Ok(vec![table.clone(), begin.clone(), end.clone(), body])
    };
    let rows: Result<Vec<Vec<Value>>> = new.constraints.iter().map(row).collect();
    layout::CONSTRAINT.insert(&mut commit.session, &rows?).await
}
