//! Changes of what exists, as values: made once on the transaction's own state and, at commit,
//! once more on the newest one.
//!
//! Operations name objects by id, so that a concurrent rename is noticed and not followed.

use std::collections::BTreeMap;
use std::sync::Arc;

use datafusion::arrow::datatypes::Field;

use crate::alter::{alter, undefined_column};
use crate::columns;
use crate::error::{Error, Result};
use crate::follow::Follow;
use crate::indexes;
use crate::model::{
    ACCESS, Constraint, Definition, ObjectId, Relation, Schema, SortKey, State, StoredQuery, Table,
    View,
};
use crate::sequences::SEQUENCE;

/// A column of a table to be made or of ADD COLUMN.
#[derive(Debug, Clone)]
pub struct NewColumn {
    pub name: String,
    pub field: Field,
    pub nullable: bool,
    /// DEFAULT as SQL text.
    pub default: Option<String>,
    /// What existing rows read as (ADD COLUMN): the default's value in text form. None: taken
    /// from a `default` that is a literal.
    pub initial_default: Option<String>,
    pub comment: Option<String>,
}

#[derive(Debug, Clone, Default)]
pub struct NewTable {
    pub name: String,
    pub columns: Vec<NewColumn>,
    /// `Constraint::Unique` and `ForeignKey` name columns by id: see `column_ids`.
    pub constraints: Vec<Constraint>,
    pub partition_by: Vec<(String, String)>,
    pub sort_by: Vec<SortKey>,
    pub query: Option<StoredQuery>,
    pub comment: Option<String>,
}

impl NewTable {
    /// The ids that the columns will have, for the constraints to name.
    pub fn column_ids(&self) -> Vec<i64> {
        let mut next = 1;
        let number =
            |column: &NewColumn| columns::number(&column.name, &column.field, &mut next).id;
        self.columns.iter().map(number).collect()
    }
}

#[derive(Debug, Clone)]
pub struct NewView {
    pub name: String,
    pub sql: String,
    pub search_path: Vec<String>,
    pub columns: Vec<Arc<Field>>,
    pub comment: Option<String>,
}

/// One action of ALTER TABLE.
#[derive(Debug, Clone)]
pub enum TableChange {
    AddColumn(NewColumn),
    DropColumn {
        name: String,
    },
    RenameColumn {
        name: String,
        to: String,
    },
    WidenColumn {
        name: String,
        field: Field,
    },
    /// A column gives its type and values to another, which stays where it is in all else.
    TakePlace {
        from: String,
        of: String,
    },
    SetDefault {
        name: String,
        default: Option<String>,
    },
    SetNotNull {
        name: String,
        not_null: bool,
    },
    SetSortedBy(Vec<SortKey>),
    /// Column and transform.
    SetPartitionedBy(Vec<(String, String)>),
    /// The model version whose vectors a column has from now on, see `MODEL_KEY`.
    SetModel {
        name: String,
        model: Option<String>,
    },
    SetComment(Option<String>),
    SetColumnComment {
        name: String,
        comment: Option<String>,
    },
    AddConstraint(Constraint),
    DropConstraint {
        name: String,
    },
    RenameConstraint {
        name: String,
        to: String,
    },
    /// What a materialized view is filled from, and whether it was.
    SetQuery(StoredQuery),
}

/// What COMMENT ON names, tables apart.
#[derive(Debug, Clone)]
pub enum CommentTarget {
    Schema { name: String },
    View { schema: String, name: String },
    ViewColumn { schema: String, name: String, column: String },
}

/// One change, its objects named by id.
#[derive(Debug, Clone)]
pub enum Operation {
    CreateSchema {
        id: ObjectId,
        uuid: String,
        name: String,
    },
    /// DuckLake keeps one row per schema id: the renamed schema is a new one at the old path.
    RenameSchema {
        id: ObjectId,
        to: String,
        renamed: ObjectId,
    },
    DropSchema {
        id: ObjectId,
        cascade: bool,
    },
    CreateTable {
        schema: ObjectId,
        table: Arc<Table>,
    },
    CreateView {
        schema: ObjectId,
        view: Arc<View>,
        replace: bool,
    },
    RenameRelation {
        id: ObjectId,
        to: String,
    },
    MoveRelation {
        id: ObjectId,
        schema: ObjectId,
    },
    /// `cascaded`: with what it depends on, so that it may be gone already.
    DropRelation {
        id: ObjectId,
        cascaded: bool,
    },
    /// Queries follow a relation that is about to move.
    Follow(Follow),
    AlterTable {
        id: ObjectId,
        change: TableChange,
    },
    CommentSchema {
        id: ObjectId,
        comment: Option<String>,
    },
    CommentView {
        id: ObjectId,
        column: Option<String>,
        comment: Option<String>,
    },
    Define {
        definition: Arc<Definition>,
        replace: bool,
    },
    /// `cascaded` as in `DropRelation`.
    Undefine {
        kind: String,
        name: String,
        cascaded: bool,
    },
}

impl Operation {
    /// Makes the change on a state; an error leaves the state in between.
    pub fn apply(&self, state: &mut State) -> Result<()> {
        match self {
            Self::CreateSchema { id, uuid, name } => create_schema(state, *id, uuid, name),
            Self::RenameSchema { id, to, renamed } => rename_schema(state, *id, to, *renamed),
            Self::DropSchema { id, cascade } => drop_schema(state, *id, *cascade),
            Self::CreateTable { schema, table } => {
                let relation = Relation::Table(Arc::clone(table));
                insert(state, *schema, &table.name, relation)
            }
            Self::CreateView { schema, view, replace } => {
                create_view(state, *schema, view, *replace)
            }
            Self::RenameRelation { id, to } => {
                let (schema, relation) = take(state, *id)?;
                insert(state, schema, to, relation)
            }
            Self::MoveRelation { id, schema } => move_relation(state, *id, *schema),
            Self::DropRelation { id, cascaded } => match take(state, *id) {
                Ok((_, relation)) => {
                    forget_access(state, relation.uuid());
                    Ok(())
                }
                Err(_) if *cascaded => Ok(()),
                Err(error) => Err(error),
            },
            Self::Follow(follow) => follow.apply(state),
            Self::AlterTable { id, change } => alter_table(state, *id, change),
            Self::CommentSchema { id, comment } => {
                schema_mut(state, *id)?.comment.clone_from(comment);
                Ok(())
            }
            Self::CommentView { id, column, comment } => {
                comment_view(view_mut(state, *id)?, column.as_deref(), comment.as_deref())
            }
            Self::Define { definition, replace } => define(state, definition, *replace),
            Self::Undefine { kind, name, cascaded } => match undefine(state, kind, name) {
                Err(_) if *cascaded => Ok(()),
                done => done,
            },
        }
    }
}

/// An index's segments end with it.
fn alter_table(state: &mut State, id: ObjectId, change: &TableChange) -> Result<()> {
    let table = table_mut(state, id)?;
    alter(table, change)?;
    if matches!(change, TableChange::DropConstraint { .. } | TableChange::DropColumn { .. }) {
        let (uuid, constraints) = (table.uuid.clone(), table.constraints.clone());
        indexes::forget(state, &uuid, &constraints);
    }
    Ok(())
}

fn gone(id: ObjectId) -> Error {
    Error::UndefinedTable { name: format!("id {id}") }
}

fn schema_mut(state: &mut State, id: ObjectId) -> Result<&mut Schema> {
    let schema = state.schemas.values_mut().find(|schema| schema.id == id);
    schema.map(Arc::make_mut).ok_or_else(|| gone(id))
}

pub(crate) fn relation_mut(state: &mut State, id: ObjectId) -> Result<&mut Relation> {
    let holds = |schema: &&mut Arc<Schema>| schema.relations.values().any(|r| r.id() == id);
    let schema = state.schemas.values_mut().find(holds).ok_or_else(|| gone(id))?;
    let mut relations = Arc::make_mut(schema).relations.values_mut();
    relations.find(|r| r.id() == id).ok_or_else(|| gone(id))
}

fn table_mut(state: &mut State, id: ObjectId) -> Result<&mut Table> {
    match relation_mut(state, id)? {
        Relation::Table(table) => Ok(Arc::make_mut(table)),
        Relation::View(view) => {
            Err(Error::WrongObjectType { name: view.name.clone(), expected: "table" })
        }
    }
}

fn view_mut(state: &mut State, id: ObjectId) -> Result<&mut View> {
    match relation_mut(state, id)? {
        Relation::View(view) => Ok(Arc::make_mut(view)),
        Relation::Table(table) => {
            Err(Error::WrongObjectType { name: table.name.clone(), expected: "view" })
        }
    }
}

fn create_schema(state: &mut State, id: ObjectId, uuid: &str, name: &str) -> Result<()> {
    if state.schemas.contains_key(name) {
        return Err(Error::DuplicateSchema { name: name.to_owned() });
    }
    let schema = Schema {
        id,
        uuid: uuid.to_owned(),
        name: name.to_owned(),
        path: folder_name(name, uuid),
        relations: BTreeMap::new(),
        comment: None,
    };
    state.schemas.insert(name.to_owned(), Arc::new(schema));
    Ok(())
}

/// Folders are named after what they hold as long as every file system takes the name.
pub fn folder_name(name: &str, uuid: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    let safe = !name.is_empty() && name.len() <= 128 && name.chars().all(plain);
    format!("{}/", if safe { name } else { uuid })
}

fn rename_schema(state: &mut State, id: ObjectId, to: &str, renamed: ObjectId) -> Result<()> {
    if state.schemas.contains_key(to) {
        return Err(Error::DuplicateSchema { name: to.to_owned() });
    }
    let name = schema_mut(state, id)?.name.clone();
    let mut schema = state.schemas.remove(&name).ok_or_else(|| gone(id))?;
    let inner = Arc::make_mut(&mut schema);
    inner.id = renamed;
    inner.name = to.to_owned();
    for relation in inner.relations.values_mut() {
        match relation {
            Relation::Table(table) => Arc::make_mut(table).schema_id = renamed,
            Relation::View(view) => Arc::make_mut(view).schema_id = renamed,
        }
    }
    state.schemas.insert(to.to_owned(), schema);
    Ok(())
}

fn drop_schema(state: &mut State, id: ObjectId, cascade: bool) -> Result<()> {
    let schema = schema_mut(state, id)?;
    let name = schema.name.clone();
    if !cascade && let Some(relation) = schema.relations.keys().next() {
        return Err(Error::DependentObjects {
            name: format!("schema {name}"),
            detail: format!("table {relation} depends on schema {name}"),
        });
    }
    if let Some(schema) = state.schemas.remove(&name) {
        forget_access(state, &schema.uuid);
        schema.relations.values().for_each(|relation| forget_access(state, relation.uuid()));
    }
    Ok(())
}

/// An object's owner, grants, sequences and what is built of its indexes end with it.
fn forget_access(state: &mut State, uuid: &str) {
    state.definitions.remove(&(ACCESS.to_owned(), uuid.to_owned()));
    state.definitions.retain(|(kind, _), definition| {
        kind != SEQUENCE || definition.body["owner"]["table"].as_str() != Some(uuid)
    });
    indexes::forget(state, uuid, &[]);
}

/// Takes a relation out of its schema.
fn take(state: &mut State, id: ObjectId) -> Result<(ObjectId, Relation)> {
    for schema in state.schemas.values_mut() {
        let found = schema.relations.iter().find(|(_, r)| r.id() == id);
        let Some(name) = found.map(|(name, _)| name.clone()) else {
            continue;
        };
        let schema = Arc::make_mut(schema);
        let relation = schema.relations.remove(&name).ok_or_else(|| gone(id))?;
        return Ok((schema.id, relation));
    }
    Err(gone(id))
}

/// Refuses a name that differs from another only by case: to DuckDB, which shares the lake, the
/// two are one, and it reads and writes the wrong one or nothing at all.
pub fn check_case<'a>(
    kind: &str,
    name: &str,
    others: impl IntoIterator<Item = &'a str>,
) -> Result<()> {
    let folded = name.to_lowercase();
    match others.into_iter().find(|other| other.to_lowercase() == folded) {
        None => Ok(()),
        Some(other) => Err(Error::NotSupported {
            message: format!("{kind} names \"{name}\" and \"{other}\" differ only by case"),
            hint: Some("Other readers of the lake take them for one name.".into()),
        }),
    }
}

/// Puts a relation into a schema under a name.
fn insert(state: &mut State, schema: ObjectId, name: &str, relation: Relation) -> Result<()> {
    let schema = schema_mut(state, schema)?;
    if schema.relations.contains_key(name) {
        return Err(Error::DuplicateTable { name: name.to_owned() });
    }
    check_case("relation", name, schema.relations.keys().map(String::as_str))?;
    let id = schema.id;
    let relation = match relation {
        Relation::Table(mut table) => {
            let inner = Arc::make_mut(&mut table);
            inner.name = name.to_owned();
            inner.schema_id = id;
            Relation::Table(table)
        }
        Relation::View(mut view) => {
            let inner = Arc::make_mut(&mut view);
            inner.name = name.to_owned();
            inner.schema_id = id;
            Relation::View(view)
        }
    };
    schema.relations.insert(name.to_owned(), relation);
    Ok(())
}

fn create_view(state: &mut State, schema: ObjectId, view: &Arc<View>, replace: bool) -> Result<()> {
    let existing = schema_mut(state, schema)?.relations.get(&view.name);
    match existing {
        Some(Relation::Table(_)) => {
            return Err(Error::WrongObjectType { name: view.name.clone(), expected: "view" });
        }
        Some(Relation::View(old)) if replace => {
            let id = old.id;
            take(state, id)?;
        }
        Some(Relation::View(_)) | None => {}
    }
    insert(state, schema, &view.name, Relation::View(Arc::clone(view)))
}

fn move_relation(state: &mut State, id: ObjectId, to: ObjectId) -> Result<()> {
    let (from, mut relation) = take(state, id)?;
    if from == to {
        let name = relation_name(&relation).to_owned();
        return insert(state, to, &name, relation);
    }
    if let Relation::Table(table) = &mut relation {
        let folder = table.folder(schema_mut(state, from)?);
        Arc::make_mut(table).path = format!("/{folder}");
    }
    let name = relation_name(&relation).to_owned();
    insert(state, to, &name, relation)
}

fn relation_name(relation: &Relation) -> &str {
    match relation {
        Relation::Table(table) => &table.name,
        Relation::View(view) => &view.name,
    }
}

fn comment_view(view: &mut View, column: Option<&str>, comment: Option<&str>) -> Result<()> {
    let Some(column) = column else {
        view.comment = comment.map(str::to_owned);
        return Ok(());
    };
    if !view.columns.iter().any(|field| field.name() == column) {
        return Err(undefined_column(&view.name, column));
    }
    match comment {
        Some(text) => view.column_comments.insert(column.to_owned(), text.to_owned()),
        None => view.column_comments.remove(column),
    };
    Ok(())
}

fn define(state: &mut State, definition: &Arc<Definition>, replace: bool) -> Result<()> {
    let key = (definition.kind.clone(), definition.name.clone());
    if !replace && state.definitions.contains_key(&key) {
        return Err(Error::DuplicateObject { kind: key.0, name: key.1 });
    }
    state.definitions.insert(key, Arc::clone(definition));
    Ok(())
}

fn undefine(state: &mut State, kind: &str, name: &str) -> Result<()> {
    let key = (kind.to_owned(), name.to_owned());
    let removed = state.definitions.remove(&key).map(|_| ());
    removed.ok_or(Error::UndefinedObject { kind: key.0, name: key.1 })
}
