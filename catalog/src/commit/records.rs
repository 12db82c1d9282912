//! What exists, as rows: those of the last snapshot that changed are closed, new ones opened.
//!
//! A commit is written as the difference of two states, so an object that was made and dropped in
//! one transaction leaves no row and two changes of one column leave one.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{Commit, conflicts, tables};
use crate::columns::{self, COMMENT_TAG, Tags};
use crate::error::{Error, Result};
use crate::metadata::load::{COLUMN_COMMENTS_TAG, COLUMNS_TAG, SEARCH_PATH_TAG};
use crate::metadata::{Value, layout};
use crate::model::{Definition, ObjectId, Relation, Schema, State, Table, View};

/// An object before and after.
pub(super) struct Change<T> {
    pub old: Option<T>,
    pub new: Option<T>,
}

type Changes<T> = BTreeMap<ObjectId, Change<T>>;

struct Difference {
    schemas: Changes<Arc<Schema>>,
    tables: Changes<Arc<Table>>,
    views: Changes<Arc<View>>,
    definitions: Changes<Arc<Definition>>,
}

/// Writes the difference and completes `state` with what only the commit knows.
pub(super) async fn write(commit: &mut Commit<'_>, old: &State, state: &mut State) -> Result<()> {
    let mut difference = difference(old, state);
    if difference.is_empty() {
        return Ok(());
    }
    commit.schema_version += 1;
    stamp(commit, &mut difference, state);
    for (id, change) in &difference.schemas {
        write_schema(commit, *id, change).await?;
    }
    for (id, change) in &difference.tables {
        tables::write(commit, *id, change, state).await?;
    }
    for (id, change) in &difference.views {
        write_view(commit, *id, change, state).await?;
    }
    for (id, change) in &difference.definitions {
        write_definition(commit, *id, change).await?;
    }
    // DuckLake lists drops first.
    commit.changes.sort_by_key(|change| !change.starts_with("dropped"));
    Ok(())
}

impl Difference {
    fn is_empty(&self) -> bool {
        self.schemas.is_empty()
            && self.tables.is_empty()
            && self.views.is_empty()
            && self.definitions.is_empty()
    }
}

fn note<T>(changes: &mut Changes<T>, id: ObjectId, value: T, new: bool) {
    let change = changes.entry(id).or_insert(Change { old: None, new: None });
    if new {
        change.new = Some(value);
    } else {
        change.old = Some(value);
    }
}

fn difference(old: &State, new: &State) -> Difference {
    let mut difference = Difference {
        schemas: BTreeMap::new(),
        tables: BTreeMap::new(),
        views: BTreeMap::new(),
        definitions: BTreeMap::new(),
    };
    let shared = |schema: &Arc<Schema>| {
        let pair = (old.schemas.get(&schema.name), new.schemas.get(&schema.name));
        matches!(pair, (Some(a), Some(b)) if Arc::ptr_eq(a, b))
    };
    for (state, is_new) in [(old, false), (new, true)] {
        for schema in state.schemas.values().filter(|schema| !shared(schema)) {
            note(&mut difference.schemas, schema.id, Arc::clone(schema), is_new);
            for relation in schema.relations.values() {
                match relation {
                    Relation::Table(table) => {
                        note(&mut difference.tables, table.id, Arc::clone(table), is_new);
                    }
                    Relation::View(view) => {
                        note(&mut difference.views, view.id, Arc::clone(view), is_new);
                    }
                }
            }
        }
        for definition in state.definitions.values() {
            note(&mut difference.definitions, definition.id, Arc::clone(definition), is_new);
        }
    }
    difference
        .schemas
        .retain(|_, change| differs(change, |a, b| a.name == b.name && a.comment == b.comment));
    difference.tables.retain(|_, change| differs(change, conflicts::same_table));
    difference.views.retain(|_, change| differs(change, conflicts::same_view));
    difference.definitions.retain(|_, change| differs(change, |a, b| a.body == b.body));
    difference
}

fn differs<T>(change: &Change<T>, same: impl Fn(&T, &T) -> bool) -> bool {
    match (&change.old, &change.new) {
        (Some(old), Some(new)) => !same(old, new),
        _ => true,
    }
}

/// Gives changed objects the numbers of this commit, in the state and in the difference.
fn stamp(commit: &Commit<'_>, difference: &mut Difference, state: &mut State) {
    for change in difference.tables.values_mut() {
        let Some(new) = &mut change.new else {
            continue;
        };
        let table = Arc::make_mut(new);
        let old = change.old.as_deref();
        let inlines = table.can_inline() || old.is_some_and(|old| old.schema_version > 0);
        if inlines && old.is_none_or(|old| new_layout(old, table)) {
            table.schema_version = commit.schema_version;
        }
        if change.old.as_ref().is_none_or(|old| moved(old, table)) {
            table.begin_snapshot = commit.snapshot;
        }
        let relation = Relation::Table(Arc::clone(new));
        let schema = state.schemas.values_mut().find(|schema| schema.id == new.schema_id);
        if let Some(schema) = schema {
            Arc::make_mut(schema).relations.insert(new.name.clone(), relation);
        }
    }
    for change in difference.definitions.values_mut() {
        let Some(new) = &mut change.new else {
            continue;
        };
        Arc::make_mut(new).begin_snapshot = commit.snapshot;
        let key = (new.kind.clone(), new.name.clone());
        state.definitions.insert(key, Arc::clone(new));
    }
}

/// Its row in `ducklake_table` changes.
pub(super) fn moved(old: &Table, new: &Table) -> bool {
    old.name != new.name || old.schema_id != new.schema_id || old.path != new.path
}

/// The official implementation opens a new table of inlined rows.
pub(super) fn new_layout(old: &Table, new: &Table) -> bool {
    let shape = |table: &Table| -> Vec<_> {
        let column = |c: &crate::model::Column| (c.id, c.name.clone(), Arc::clone(&c.field));
        table.columns.iter().map(column).collect()
    };
    old.name != new.name || old.partition_by != new.partition_by || shape(old) != shape(new)
}

/// A name in `changes_made`.
pub(super) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

pub(super) fn full_name(state: &State, schema: ObjectId, name: &str) -> String {
    let schema = state.schema_by_id(schema).map_or("", |schema| &schema.name);
    format!("{}.{}", quoted(schema), quoted(name))
}

impl Commit<'_> {
    /// Closes the open rows of a table that meet a condition.
    pub(crate) async fn close(
        &mut self,
        table: &str,
        condition: &str,
        values: &[Value],
    ) -> Result<u64> {
        let sql = format!(
            "UPDATE {table} SET end_snapshot = ? WHERE end_snapshot IS NULL AND {condition}"
        );
        let mut arguments = vec![Value::Integer(self.snapshot)];
        arguments.extend_from_slice(values);
        self.session.execute(&sql, &arguments).await
    }

    pub(super) fn opened(&self) -> [Value; 2] {
        [Value::Integer(self.snapshot), Value::Null]
    }

    /// A path as the catalog keeps it, and whether it is relative.
    pub(super) fn path(&self, path: &str) -> (Value, Value) {
        match path.strip_prefix('/') {
            Some(path) => (format!("{}{path}", self.lake.data_path()).into(), false.into()),
            None => (path.into(), true.into()),
        }
    }

    /// Tags of one object: changed ones closed and opened.
    pub(super) async fn write_tags(&mut self, id: ObjectId, old: &Tags, new: &Tags) -> Result<()> {
        for key in old.keys().filter(|key| old.get(*key) != new.get(*key)) {
            let values = [id.into(), key.as_str().into()];
            self.close("ducklake_tag", "object_id = ? AND key = ?", &values).await?;
        }
        let fresh = new.iter().filter(|(key, value)| old.get(*key) != Some(*value));
        let [begin, end] = self.opened();
        let row = |(key, value): (&String, &String)| {
            let (key, value) = (key.as_str().into(), value.as_str().into());
            vec![id.into(), begin.clone(), end.clone(), key, value]
        };
        let rows: Vec<Vec<Value>> = fresh.map(row).collect();
        layout::TAG.insert(&mut self.session, &rows).await
    }
}

async fn write_schema(
    commit: &mut Commit<'_>,
    id: ObjectId,
    change: &Change<Arc<Schema>>,
) -> Result<()> {
    let tags = |schema: &Option<Arc<Schema>>| comment_tags(schema.as_ref()?.comment.as_ref());
    if change.old.is_some() && change.new.is_none() {
        commit.close("ducklake_schema", "schema_id = ?", &[id.into()]).await?;
        commit.changes.push(format!("dropped_schema:{id}"));
    }
    if let (None, Some(schema)) = (&change.old, &change.new) {
        let (path, relative) = commit.path(&schema.path);
        let [begin, end] = commit.opened();
        let (uuid, name) = (schema.uuid.as_str().into(), schema.name.as_str().into());
        let row = vec![id.into(), uuid, begin, end, name, path, relative];
        layout::SCHEMA.insert(&mut commit.session, &[row]).await?;
        commit.changes.push(format!("created_schema:{}", quoted(&schema.name)));
    }
    let old = tags(&change.old).unwrap_or_default();
    let new = tags(&change.new).unwrap_or_default();
    commit.write_tags(id, &old, &new).await
}

pub(super) fn comment_tags(comment: Option<&String>) -> Option<Tags> {
    let comment = comment?;
    Some(Tags::from([(COMMENT_TAG.to_owned(), comment.clone())]))
}

pub(super) fn json<T: serde::Serialize + ?Sized>(value: &T) -> Result<Value> {
    Ok(json_text(value)?.into())
}

pub(super) fn json_text<T: serde::Serialize + ?Sized>(value: &T) -> Result<String> {
    serde_json::to_string(value).map_err(|e| Error::Database(e.to_string()))
}

fn view_tags(view: Option<&View>) -> Result<Tags> {
    let Some(view) = view else {
        return Ok(Tags::new());
    };
    let mut tags = comment_tags(view.comment.as_ref()).unwrap_or_default();
    let columns: Result<Vec<_>> = view.columns.iter().map(|f| columns::to_json(f)).collect();
    let mut add = |key: &str, value: serde_json::Value| {
        tags.insert(key.to_owned(), value.to_string());
    };
    add(SEARCH_PATH_TAG, view.search_path.clone().into());
    add(COLUMNS_TAG, columns?.into());
    if !view.column_comments.is_empty() {
        let comments = view.column_comments.iter();
        let comments = comments.map(|(k, v)| (k.clone(), v.clone().into()));
        add(COLUMN_COMMENTS_TAG, serde_json::Value::Object(comments.collect()));
    }
    Ok(tags)
}

async fn write_view(
    commit: &mut Commit<'_>,
    id: ObjectId,
    change: &Change<Arc<View>>,
    state: &State,
) -> Result<()> {
    let row = |view: &View| (view.name.clone(), view.schema_id, view.sql.clone());
    let (old, new) = (change.old.as_deref(), change.new.as_deref());
    let changed = old.map(row) != new.map(row);
    if changed && old.is_some() {
        commit.close("ducklake_view", "view_id = ?", &[id.into()]).await?;
    }
    if let Some(view) = new.filter(|_| changed) {
        let [begin, end] = commit.opened();
        let row = vec![
            id.into(),
            view.uuid.as_str().into(),
            begin,
            end,
            view.schema_id.into(),
            view.name.as_str().into(),
            view.dialect.as_str().into(),
            view.sql.as_str().into(),
            "".into(),
        ];
        layout::VIEW.insert(&mut commit.session, &[row]).await?;
        let name = full_name(state, view.schema_id, &view.name);
        commit.changes.push(format!("created_view:{name}"));
    }
    match new {
        None => commit.changes.push(format!("dropped_view:{id}")),
        Some(_) if !changed => commit.changes.push(format!("altered_view:{id}")),
        Some(_) => {}
    }
    // Views of other tools have no tags of ours until somebody comments on them.
    let tags = if new.is_some() { view_tags(new)? } else { Tags::new() };
    commit.write_tags(id, &view_tags(old)?, &tags).await
}

async fn write_definition(
    commit: &mut Commit<'_>,
    id: ObjectId,
    change: &Change<Arc<Definition>>,
) -> Result<()> {
    if change.old.is_some() {
        commit.close("sextant_definition", "definition_id = ?", &[id.into()]).await?;
    }
    let Some(new) = &change.new else {
        return Ok(());
    };
    let [begin, end] = commit.opened();
    let (kind, name) = (new.kind.as_str().into(), new.name.as_str().into());
    let row = vec![id.into(), kind, name, json(&new.body)?, begin, end];
    layout::DEFINITION.insert(&mut commit.session, &[row]).await
}
