//! Snapshot isolation by rows, first committer wins: what others committed since the base must not
//! overlap with what this transaction did.
//!
//! Appends commute with everything but a change of the table itself.

use std::collections::BTreeMap;
use std::sync::Arc;

use roaring::RoaringTreemap;

use crate::ddl::Operation;
use crate::error::{Error, Result};
use crate::lake::Lake;
use crate::model::{
    Definition, FileId, INLINED, ObjectId, PROVISIONAL, Relation, Schema, State, Table, TableRows,
    View,
};
use crate::transaction::{GivenUp, Work};

pub(super) async fn check(lake: &Lake, base: &State, newest: &State, work: &Work) -> Result<()> {
    if base.snapshot.id == newest.snapshot.id {
        return Ok(());
    }
    for operation in &work.operations {
        check_operation(operation, base, newest)?;
    }
    for (id, overlay) in &work.overlays {
        let relevant = overlay.depends || !overlay.is_empty();
        if *id >= PROVISIONAL || !relevant {
            continue;
        }
        let table = unchanged_table(base, newest, *id)?;
        let (from, to) = (base.snapshot.id, newest.snapshot.id);
        if (overlay.truncated || overlay.depends) && lake.cache().written(*id, from, to) {
            return Err(concurrent("change of rows", &table.name));
        }
        if overlay.has_deletes() && lake.cache().touched(*id, from, to) {
            let rows = lake.rows(newest, table).await?;
            check_deletes(&rows, &overlay.deleted, &table.name)?;
        }
    }
    for id in &work.checked {
        let written = lake.cache().written(*id, base.snapshot.id, newest.snapshot.id);
        if *id < PROVISIONAL && written {
            let name = base.table_by_id(*id).map_or("", |(_, table)| &table.name);
            return Err(concurrent("change of rows", name));
        }
    }
    work.named.iter().try_for_each(|id| check_named(base, newest, *id))?;
    let same = |(kind, name): &(String, String)| check_definition(base, newest, kind, name);
    work.copied.iter().try_for_each(same)?;
    work.given_up.iter().try_for_each(|given_up| check_given_up(base, newest, given_up))
}

/// What a new query names must still be where it is found.
fn check_named(base: &State, newest: &State, id: ObjectId) -> Result<()> {
    let Some((schema, old)) = place_of(base, id) else { return Ok(()) };
    match place_of(newest, id) {
        Some((at, new)) if at.name == schema.name && new.name() == old.name() => {
            match has_columns_of(new, old) {
                true => Ok(()),
                false => Err(concurrent("change", old.name())),
            }
        }
        _ => Err(concurrent("change", old.name())),
    }
}

/// Whether a table still has the columns that it had.
fn has_columns_of(new: &Relation, old: &Relation) -> bool {
    let (Relation::Table(new), Relation::Table(old)) = (new, old) else { return true };
    old.columns.iter().all(|column| {
        let now = new.columns.iter().find(|now| now.id == column.id);
        now.is_some_and(|now| now.name == column.name)
    })
}

/// No query kept since the base may name what is no longer there.
fn check_given_up(base: &State, newest: &State, given_up: &GivenUp) -> Result<()> {
    let GivenUp { schema, name, names } = given_up;
    for (key, held) in &newest.schemas {
        let before = base.schemas.get(key);
        if before.is_some_and(|before| Arc::ptr_eq(before, held)) {
            continue;
        }
        for (key, new) in &held.relations {
            let old = before.and_then(|before| before.relations.get(key));
            // One that named it already is written anew or dropped with it.
            let known =
                old.is_some_and(|old| same_relation(old, new) || names(base, old, schema, name));
            if !known && names(newest, new, schema, name) {
                return Err(concurrent("use", name));
            }
        }
    }
    Ok(())
}

fn concurrent(what: &str, name: &str) -> Error {
    Error::Conflict { change: format!("{what} of \"{name}\"") }
}

/// Every row to delete must still be there.
fn check_deletes(
    rows: &TableRows,
    deleted: &BTreeMap<FileId, RoaringTreemap>,
    name: &str,
) -> Result<()> {
    for (file, positions) in deleted {
        let live = if *file == INLINED {
            let ids = rows.inlined.iter().flat_map(|chunk| chunk.positions.iter());
            let ids: RoaringTreemap = ids.map(|id| id.unsigned_abs()).collect();
            positions.is_subset(&ids)
        } else {
            let file = rows.files.iter().find(|f| f.id == *file);
            file.is_some_and(|file| {
                file.deleted.as_ref().is_none_or(|gone| gone.is_disjoint(positions))
            })
        };
        if !live {
            return Err(concurrent("update", name));
        }
    }
    Ok(())
}

fn unchanged_table<'a>(base: &State, newest: &'a State, id: ObjectId) -> Result<&'a Arc<Table>> {
    let old = base.table_by_id(id);
    let name = old.map_or("", |(_, table)| &table.name);
    let Some((_, new)) = newest.table_by_id(id) else {
        return Err(concurrent("drop", name));
    };
    match old {
        Some((_, old)) if same_table(old, new) => Ok(new),
        _ => Err(concurrent("change", name)),
    }
}

fn relation(state: &State, id: ObjectId) -> Option<&Relation> {
    place_of(state, id).map(|(_, relation)| relation)
}

fn place_of(state: &State, id: ObjectId) -> Option<(&Schema, &Relation)> {
    state.schemas.values().find_map(|schema| {
        let relation = schema.relations.values().find(|relation| relation.id() == id)?;
        Some((schema.as_ref(), relation))
    })
}

fn check_relation(base: &State, newest: &State, id: ObjectId) -> Result<()> {
    if id >= PROVISIONAL {
        return Ok(());
    }
    match (relation(base, id), relation(newest, id)) {
        (Some(old), Some(new)) if same_relation(old, new) => Ok(()),
        (Some(Relation::Table(old)), _) => Err(concurrent("change", &old.name)),
        (Some(Relation::View(old)), _) => Err(concurrent("change", &old.name)),
        // Made here under an id of its own, or taken over with a renamed schema.
        (None, _) => Ok(()),
    }
}

fn same_relation(old: &Relation, new: &Relation) -> bool {
    match (old, new) {
        (Relation::Table(old), Relation::Table(new)) => same_table(old, new),
        (Relation::View(old), Relation::View(new)) => same_view(old, new),
        (Relation::Table(_), Relation::View(_)) | (Relation::View(_), Relation::Table(_)) => false,
    }
}

/// Everything but the rows.
pub(super) fn same_table(old: &Arc<Table>, new: &Arc<Table>) -> bool {
    Arc::ptr_eq(old, new)
        || old.name == new.name
            && old.schema_id == new.schema_id
            && old.path == new.path
            && old.columns == new.columns
            && old.partition_by == new.partition_by
            && old.sort_by == new.sort_by
            && old.constraints == new.constraints
            && old.query == new.query
            && old.comment == new.comment
}

pub(super) fn same_view(old: &Arc<View>, new: &Arc<View>) -> bool {
    Arc::ptr_eq(old, new)
        || old.name == new.name
            && old.schema_id == new.schema_id
            && old.sql == new.sql
            && old.search_path == new.search_path
            && old.columns == new.columns
            && old.comment == new.comment
            && old.column_comments == new.column_comments
}

fn check_operation(operation: &Operation, base: &State, newest: &State) -> Result<()> {
    match operation {
        Operation::CreateSchema { .. } => Ok(()),
        Operation::RenameSchema { id, .. } | Operation::CommentSchema { id, .. } => {
            check_schema(base, newest, *id, false)
        }
        Operation::DropSchema { id, .. } => check_schema(base, newest, *id, true),
        Operation::CreateTable { schema, .. } => check_schema(base, newest, *schema, false),
        Operation::CreateView { schema, view, .. } => {
            check_schema(base, newest, *schema, false)?;
            let existing = base.schema_by_id(*schema).and_then(|s| s.relations.get(&view.name));
            existing.map_or(Ok(()), |old| check_relation(base, newest, old.id()))
        }
        Operation::MoveRelation { id, schema } => {
            check_schema(base, newest, *schema, false)?;
            check_relation(base, newest, *id)
        }
        Operation::RenameRelation { id, .. }
        | Operation::AlterTable { id, .. }
        | Operation::CommentView { id, .. } => check_relation(base, newest, *id),
        Operation::DropRelation { id, cascaded } => match *cascaded && is_gone(base, newest, *id) {
            true => Ok(()),
            false => check_relation(base, newest, *id),
        },
        // Finds what there is to write anew once more.
        Operation::Follow(_) => Ok(()),
        Operation::Undefine { kind, name, cascaded: true }
            if !newest.definitions.contains_key(&(kind.clone(), name.clone())) =>
        {
            Ok(())
        }
        Operation::Define { definition, .. } => {
            check_definition(base, newest, &definition.kind, &definition.name)
        }
        Operation::Undefine { kind, name, .. } => check_definition(base, newest, kind, name),
    }
}

/// Whether a relation was dropped, and nothing stands in its place.
fn is_gone(base: &State, newest: &State, id: ObjectId) -> bool {
    let Some((schema, old)) = place_of(base, id) else { return false };
    let now = newest.schema_by_id(schema.id).and_then(|s| s.relations.get(old.name()));
    relation(newest, id).is_none() && now.is_none()
}

fn check_schema(base: &State, newest: &State, id: ObjectId, contents: bool) -> Result<()> {
    let Some(old) = base.schema_by_id(id) else {
        return Ok(());
    };
    let same = newest.schema_by_id(id).is_some_and(|new| same_schema(old, new, contents));
    if same {
        return Ok(());
    }
    Err(concurrent("change", &old.name))
}

fn same_schema(old: &Arc<Schema>, new: &Arc<Schema>, contents: bool) -> bool {
    if Arc::ptr_eq(old, new) {
        return true;
    }
    let same = old.name == new.name && old.comment == new.comment;
    if !contents {
        return same;
    }
    let alike =
        |(old, new): (&Relation, &Relation)| old.id() == new.id() && same_relation(old, new);
    same && old.relations.len() == new.relations.len()
        && old.relations.values().zip(new.relations.values()).all(alike)
}

fn check_definition(base: &State, newest: &State, kind: &str, name: &str) -> Result<()> {
    let key = (kind.to_owned(), name.to_owned());
    let same = match (base.definitions.get(&key), newest.definitions.get(&key)) {
        (Some(old), Some(new)) => Arc::ptr_eq(old, new) || same_definition(old, new),
        (None, None) => true,
        (Some(_), None) | (None, Some(_)) => false,
    };
    if same {
        return Ok(());
    }
    Err(concurrent(&format!("change of {kind}"), name))
}

/// A definition that follows what it reads to another name keeps its snapshot.
fn same_definition(old: &Definition, new: &Definition) -> bool {
    old.id == new.id && old.begin_snapshot == new.begin_snapshot && old.body == new.body
}
