//! A transaction: a state of its own, edited by each statement, and what to do at commit.
//!
//! ```text
//!   base ──operations──▶ state      what exists, with own changes
//!        ──overlays────▶ rows       per table: appended, deleted, truncated
//!   savepoint = (state, number of operations, overlays)
//! ```

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use datafusion::arrow::record_batch::RecordBatch;
use roaring::RoaringTreemap;
use uuid::Uuid;

use crate::alter;
use crate::commit;
use crate::ddl::{self, CommentTarget, NewTable, NewView, Operation, TableChange};
use crate::error::{Error, Result};
use crate::follow::{Follow, Followers};
use crate::lake::{Lake, Reading};
use crate::metadata::inlined;
use crate::model::{
    Constraint, DataFile, Definition, FileId, NewFile, ObjectId, PROVISIONAL, Relation, Schema,
    SnapshotId, State, Table, TableRows, View,
};
use crate::overlay::Overlay;

/// Own changes on top of one snapshot; nobody else sees them before `commit`.
#[derive(Debug)]
pub struct Transaction {
    pub(crate) lake: Arc<Lake>,
    pub(crate) base: Arc<State>,
    pub(crate) work: Work,
    /// Provisional ids are never handed out twice, rolled back or not.
    next_id: i64,
    savepoints: Vec<(String, Work)>,
    patience: Option<Duration>,
    _reading: Reading,
}

/// What a savepoint keeps.
#[derive(Debug, Clone)]
pub(crate) struct Work {
    pub state: Arc<State>,
    pub operations: Vec<Operation>,
    pub overlays: HashMap<ObjectId, Overlay>,
    /// Tables whose rows an ALTER has looked at: a concurrent insert conflicts.
    pub checked: BTreeSet<ObjectId>,
    /// Relations that queries kept here name: one that is dropped or renamed elsewhere conflicts.
    pub named: BTreeSet<ObjectId>,
    /// Definitions that something kept here was made of, by kind and name: a change conflicts.
    pub copied: BTreeSet<(String, String)>,
    /// Relations whose name is given up here: a query kept elsewhere that names one conflicts.
    pub given_up: Vec<GivenUp>,
}

/// A relation that a drop or rename takes from under its name.
#[derive(Debug, Clone)]
pub(crate) struct GivenUp {
    pub schema: String,
    pub name: String,
    pub names: Names,
}

/// Whether a relation's query names another relation: (the lake, the relation, schema, name). The
/// catalog keeps queries without reading them.
pub type Names = fn(&State, &Relation, &str, &str) -> bool;

impl Transaction {
    pub fn begin(lake: Arc<Lake>, base: Arc<State>) -> Self {
        let work = Work {
            state: Arc::clone(&base),
            operations: Vec::new(),
            overlays: HashMap::new(),
            checked: BTreeSet::new(),
            named: BTreeSet::new(),
            copied: BTreeSet::new(),
            given_up: Vec::new(),
        };
        let reading = lake.reading(base.snapshot.id);
        let savepoints = Vec::new();
        let (next_id, patience) = (PROVISIONAL, None);
        Self { lake, base, work, next_id, savepoints, patience, _reading: reading }
    }

    /// What is seen now, for reading while this one waits.
    pub fn copy(&self) -> Self {
        let reading = self.lake.reading(self.base.snapshot.id);
        let (lake, base) = (Arc::clone(&self.lake), Arc::clone(&self.base));
        let (work, next_id, savepoints) = (self.work.clone(), self.next_id, Vec::new());
        let patience = self.patience;
        Self { lake, base, work, next_id, savepoints, patience, _reading: reading }
    }

    /// A copy that shows another state, for lists of what there is.
    pub fn showing(&self, state: Arc<State>) -> Self {
        let mut copy = self.copy();
        copy.work.state = state;
        copy
    }

    /// The lake it changes.
    pub fn lake(&self) -> &Arc<Lake> {
        &self.lake
    }

    /// What exists, with own changes.
    pub fn state(&self) -> &Arc<State> {
        &self.work.state
    }

    /// Nothing to commit.
    pub fn is_empty(&self) -> bool {
        self.work.operations.is_empty() && self.work.overlays.values().all(Overlay::is_empty)
    }

    /// Committed rows of a table with own changes.
    pub async fn rows(&self, table: &Table) -> Result<Arc<TableRows>> {
        let base = self.base.table_by_id(table.id).map(|(_, table)| table);
        let committed = match base {
            Some(base) => self.lake.rows(&self.base, base).await?,
            None => Arc::default(),
        };
        let columns = base.map_or(table.columns.as_slice(), |base| base.columns.as_slice());
        match self.work.overlays.get(&table.id) {
            None if columns == table.columns => Ok(committed),
            None => Ok(Arc::new(Overlay::default().apply(&committed, columns, table)?)),
            Some(overlay) => Ok(Arc::new(overlay.apply(&committed, columns, table)?)),
        }
    }

    pub fn savepoint(&mut self, name: &str) {
        self.savepoints.push((name.to_owned(), self.work.clone()));
    }

    /// Undoes what came after a savepoint; the savepoint stays.
    pub fn rollback_to(&mut self, name: &str) -> Result<()> {
        let index = self.find_savepoint(name)?;
        self.savepoints.truncate(index + 1);
        self.work.clone_from(&self.savepoints[index].1);
        Ok(())
    }

    /// Forgets a savepoint and those after it.
    pub fn release(&mut self, name: &str) -> Result<()> {
        let index = self.find_savepoint(name)?;
        self.savepoints.truncate(index);
        Ok(())
    }

    fn find_savepoint(&self, name: &str) -> Result<usize> {
        let found = self.savepoints.iter().rposition(|(own, _)| own == name);
        found.ok_or_else(|| Error::UndefinedObject {
            kind: "savepoint".to_owned(),
            name: name.to_owned(),
        })
    }

    fn provisional(&mut self) -> i64 {
        self.next_id += 1;
        self.next_id
    }

    /// Edits the state and remembers the operation.
    fn run(&mut self, operation: Operation) -> Result<()> {
        let mut state = State::clone(&self.work.state);
        operation.apply(&mut state)?;
        self.work.state = Arc::new(state);
        self.work.operations.push(operation);
        Ok(())
    }

    fn schema(&self, name: &str) -> Result<&Arc<Schema>> {
        let schema = self.work.state.schemas.get(name);
        schema.ok_or_else(|| Error::UndefinedSchema { name: name.to_owned() })
    }

    fn relation(&self, schema: &str, name: &str) -> Result<&Relation> {
        let relation = self.schema(schema)?.relations.get(name);
        relation.ok_or_else(|| Error::UndefinedTable { name: name.to_owned() })
    }

    fn table(&self, schema: &str, name: &str) -> Result<&Arc<Table>> {
        let table = self.relation(schema, name)?.as_table();
        table.ok_or_else(|| Error::WrongObjectType { name: name.to_owned(), expected: "table" })
    }

    fn view_id(&self, schema: &str, name: &str) -> Result<ObjectId> {
        match self.relation(schema, name)? {
            Relation::View(view) => Ok(view.id),
            Relation::Table(_) => {
                Err(Error::WrongObjectType { name: name.to_owned(), expected: "view" })
            }
        }
    }

    pub fn create_schema(&mut self, name: &str) -> Result<()> {
        let id = self.provisional();
        self.run(Operation::CreateSchema {
            id,
            uuid: Uuid::now_v7().to_string(),
            name: name.to_owned(),
        })
    }

    pub fn rename_schema(&mut self, name: &str, to: &str) -> Result<()> {
        let id = self.schema(name)?.id;
        let renamed = self.provisional();
        let to = to.to_owned();
        self.run(Operation::RenameSchema { id, to, renamed })
    }

    pub fn drop_schema(&mut self, name: &str, cascade: bool) -> Result<()> {
        let schema = Arc::clone(self.schema(name)?);
        let id = schema.id;
        self.run(Operation::DropSchema { id, cascade })?;
        for relation in schema.relations.values() {
            self.work.overlays.remove(&relation.id());
        }
        Ok(())
    }

    /// Columns get ids from 1 on, parts of nested columns after their parents.
    pub fn create_table(&mut self, schema: &str, new: NewTable) -> Result<Arc<Table>> {
        let schema_id = self.schema(schema)?.id;
        let uuid = Uuid::now_v7().to_string();
        let mut table = Table {
            id: self.provisional(),
            path: ddl::folder_name(&new.name, &uuid),
            uuid,
            schema_id,
            name: new.name,
            columns: Vec::new(),
            partition_by: Vec::new(),
            sort_by: new.sort_by,
            constraints: new.constraints,
            query: new.query,
            comment: new.comment,
            schema_version: 0,
            next_column_id: 1,
            begin_snapshot: 0,
        };
        for column in &new.columns {
            alter::add_column(&mut table, column)?;
        }
        table.partition_by = alter::partition_keys(&table, &new.partition_by)?;
        let table = Arc::new(table);
        self.run(Operation::CreateTable { schema: schema_id, table: Arc::clone(&table) })?;
        Ok(table)
    }

    pub fn create_view(&mut self, schema: &str, new: NewView, replace: bool) -> Result<()> {
        let held = self.schema(schema)?;
        let schema = held.id;
        // A view that is replaced is still the same to those who have rights on it, and what was
        // said of it and of columns that it still has holds.
        let old = match held.relations.get(&new.name) {
            Some(Relation::View(old)) if replace => Some(old),
            _ => None,
        };
        let uuid = old.map_or_else(|| Uuid::now_v7().to_string(), |old| old.uuid.clone());
        let comment = new.comment.or_else(|| old.and_then(|old| old.comment.clone()));
        let mut column_comments = old.map(|old| old.column_comments.clone()).unwrap_or_default();
        column_comments.retain(|name, _| new.columns.iter().any(|column| column.name() == name));
        let view = Arc::new(View {
            id: self.provisional(),
            uuid,
            schema_id: schema,
            name: new.name,
            sql: new.sql,
            search_path: new.search_path,
            columns: new.columns,
            dialect: "sextant".to_owned(),
            comment,
            column_comments,
        });
        self.run(Operation::CreateView { schema, view, replace })
    }

    /// Writes anew what names the relation at `from`, which is about to go to `to`; without a name
    /// what names any relation of the schema.
    pub fn follow(
        &mut self,
        from: (&str, Option<&str>),
        to: (&str, Option<&str>),
        followers: Followers,
    ) -> Result<()> {
        let owned =
            |(schema, name): (&str, Option<&str>)| (schema.to_owned(), name.map(str::to_owned));
        self.run(Operation::Follow(Follow { from: owned(from), to: owned(to), followers }))
    }

    /// Renames a table or view.
    pub fn rename_relation(&mut self, schema: &str, name: &str, to: &str) -> Result<()> {
        let id = self.relation(schema, name)?.id();
        let to = to.to_owned();
        self.run(Operation::RenameRelation { id, to })
    }

    pub fn move_relation(&mut self, schema: &str, name: &str, to_schema: &str) -> Result<()> {
        let id = self.relation(schema, name)?.id();
        let schema = self.schema(to_schema)?.id;
        self.run(Operation::MoveRelation { id, schema })
    }

    /// Drops a table or view; who depends on it is not asked here.
    pub fn drop_relation(&mut self, schema: &str, name: &str) -> Result<()> {
        self.take_away(schema, name, false)
    }

    /// Drops a table or view with what it depends on: another may have dropped it meanwhile.
    pub fn drop_dependent(&mut self, schema: &str, name: &str) -> Result<()> {
        self.take_away(schema, name, true)
    }

    fn take_away(&mut self, schema: &str, name: &str, cascaded: bool) -> Result<()> {
        let id = self.relation(schema, name)?.id();
        self.run(Operation::DropRelation { id, cascaded })?;
        self.work.overlays.remove(&id);
        Ok(())
    }

    pub fn alter_table(&mut self, schema: &str, name: &str, change: TableChange) -> Result<()> {
        let id = self.table(schema, name)?.id;
        let checks = match &change {
            TableChange::AddConstraint(constraint) => !matches!(constraint, Constraint::Index(_)),
            change => matches!(change, TableChange::SetNotNull { not_null: true, .. }),
        };
        self.run(Operation::AlterTable { id, change })?;
        if checks {
            self.work.checked.insert(id);
        }
        Ok(())
    }

    pub fn set_comment(&mut self, target: CommentTarget, comment: Option<String>) -> Result<()> {
        let operation = match target {
            CommentTarget::Schema { name } => {
                Operation::CommentSchema { id: self.schema(&name)?.id, comment }
            }
            CommentTarget::View { schema, name } => {
                Operation::CommentView { id: self.view_id(&schema, &name)?, column: None, comment }
            }
            CommentTarget::ViewColumn { schema, name, column } => Operation::CommentView {
                id: self.view_id(&schema, &name)?,
                column: Some(column),
                comment,
            },
        };
        self.run(operation)
    }

    /// Keeps a definition of our own under (kind, name).
    pub fn define(
        &mut self,
        kind: &str,
        name: &str,
        body: serde_json::Value,
        replace: bool,
    ) -> Result<()> {
        let definition = Arc::new(Definition {
            id: self.provisional(),
            kind: kind.to_owned(),
            name: name.to_owned(),
            body,
            begin_snapshot: 0,
        });
        self.run(Operation::Define { definition, replace })
    }

    pub fn undefine(&mut self, kind: &str, name: &str) -> Result<()> {
        let (kind, name) = (kind.to_owned(), name.to_owned());
        self.run(Operation::Undefine { kind, name, cascaded: false })
    }

    /// Forgets what belongs to a relation that is dropped: another may have done so meanwhile.
    pub fn undefine_dependent(&mut self, kind: &str, name: &str) -> Result<()> {
        let (kind, name) = (kind.to_owned(), name.to_owned());
        self.run(Operation::Undefine { kind, name, cascaded: true })
    }

    /// Adds files that were written to the table's folder.
    pub fn append_files(&mut self, table: ObjectId, files: Vec<NewFile>) {
        let Some((schema, found)) = self.work.state.table_by_id(table) else {
            return;
        };
        let folder = found.folder(schema);
        for file in files {
            let id = self.provisional();
            let file = Arc::new(DataFile {
                id,
                path: format!("{folder}{}", file.name),
                size: file.size,
                footer_size: file.footer_size,
                rows: file.rows,
                row_id_start: None,
                begin_snapshot: 0,
                partial_max: None,
                partition_values: file.partition_values,
                stats: file.stats,
                deleted: None,
            });
            self.work.overlays.entry(table).or_default().files.push(file);
        }
    }

    /// Adds rows to be kept in the catalog database; the table's columns in order.
    pub fn append_rows(&mut self, table: ObjectId, batch: RecordBatch) {
        let Some((_, found)) = self.work.state.table_by_id(table) else {
            return;
        };
        let found = Arc::clone(found);
        let rows = batch.num_rows();
        let named = inlined::batch(&found, batch.columns().to_vec(), rows);
        let batch = named.unwrap_or(batch);
        self.work.overlays.entry(table).or_default().append(&found, batch);
    }

    /// Deletes rows by the addresses that scans report.
    pub fn delete(&mut self, table: ObjectId, addresses: &BTreeMap<FileId, RoaringTreemap>) {
        let known = self.lake.cache().rows(table, self.base.snapshot.id);
        let files = known.iter().flat_map(|rows| rows.files.iter());
        let origins = files.filter(|file| addresses.contains_key(&file.id));
        let overlay = self.work.overlays.entry(table).or_default();
        overlay.origins.extend(origins.map(|file| (file.id, Arc::clone(file))));
        overlay.delete(addresses);
    }

    pub fn truncate(&mut self, table: ObjectId) {
        self.work.overlays.entry(table).or_default().truncate();
    }

    /// The statement's result depended on which rows exist (ON CONFLICT, MERGE): a concurrent
    /// insert into the table conflicts.
    pub fn depends_on(&mut self, table: ObjectId) {
        self.work.overlays.entry(table).or_default().depends = true;
    }

    /// A query that is kept names this relation: it must be there under its name at commit.
    pub fn query_names(&mut self, relation: ObjectId) {
        self.work.named.insert(relation);
    }

    /// Something is kept that was made of this definition: it must be the same at commit.
    pub fn copies_definition(&mut self, kind: &str, name: &str) {
        self.work.copied.insert((kind.to_owned(), name.to_owned()));
    }

    /// The relation leaves its name: no query that names it may have been kept since the base.
    pub fn gives_up(&mut self, schema: &str, name: &str, names: Names) {
        let (schema, name) = (schema.to_owned(), name.to_owned());
        self.work.given_up.push(GivenUp { schema, name, names });
    }

    /// Longest wait for other commits; None: as long as it takes.
    pub fn set_lock_timeout(&mut self, timeout: Option<Duration>) {
        self.patience = timeout;
    }

    /// Makes everything visible at once, or nothing.
    pub async fn commit(self) -> Result<SnapshotId> {
        if self.is_empty() {
            return Ok(self.base.snapshot.id);
        }
        commit::commit(&self.lake, &self.base, &self.work, self.patience).await
    }
}
