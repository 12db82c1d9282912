//! The nouns of the lake: what the catalog says exists at one snapshot. Values only: no I/O.
//!
//! A `State` is immutable and shared. A transaction edits a clone of it (cheap: everything below
//! is behind `Arc`), so a savepoint is one more pointer.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, Field, Schema as ArrowSchema, SchemaRef};
use datafusion::arrow::record_batch::RecordBatch;
use roaring::RoaringTreemap;

use crate::indexes::VectorIndex;

/// Ids of schemas, tables, views and definitions; one sequence (`next_catalog_id`) as in DuckLake.
pub type ObjectId = i64;
/// Ids of data and delete files (`next_file_id`).
pub type FileId = i64;
/// A commit. All tables share one sequence.
pub type SnapshotId = i64;

/// Ids from here on are private to a transaction and replaced at commit.
pub const PROVISIONAL: i64 = 1 << 56;
/// Stands for "rows inlined in the catalog database" where a row is addressed as (file, position):
/// the position of a committed inlined row is its row id.
pub const INLINED: FileId = -1;
/// Stands for "inlined rows this transaction has inserted": the position is their running number.
pub const INLINED_LOCAL: FileId = -2;
/// Hidden columns of a scan made for UPDATE, DELETE and MERGE: the address of each row.
pub const FILE_COLUMN: &str = "__sextant_file";
/// See `FILE_COLUMN`.
pub const POSITION_COLUMN: &str = "__sextant_position";
/// Column of a file's rows: the row id, where it is not the first row's plus the position.
pub(crate) const ROW_ID_COLUMN: &str = "_ducklake_internal_row_id";
pub(crate) const ROW_ID_FIELD: i64 = 2_147_483_540;
/// Hidden column of a scan made for an AS OF join: a greater number was written later.
pub const SEQUENCE_COLUMN: &str = "__sextant_sequence";
/// Arrow field metadata: the Postgres spelling of a type that Arrow cannot tell apart (`uuid`,
/// `jsonb`, `vector(3)`, `varchar(20)`, …).
pub const TYPE_KEY: &str = "sextant.type";
/// Field metadata: the model version that vectors are of, its name and the folder that tells it
/// from all others. A column made by a query keeps it.
pub const MODEL_KEY: &str = "sextant.model";

/// Kind of the definitions that hold owners and grants, named by the object's uuid: they go when
/// the object goes.
pub const ACCESS: &str = "access";
/// Kind of the definitions that are manifests of training sets; like tags they keep a snapshot.
pub const TRAINING_SET: &str = "training_set";

/// Arrow field metadata: what a view's query calls a column that the view names otherwise.
pub const VIEW_COLUMN_OF: &str = "sextant.column_of";

/// Columns that tables of inlined rows have in front of the table's own.
pub const INLINED_COLUMNS: [&str; 3] = ["row_id", "begin_snapshot", "end_snapshot"];

/// One row of `ducklake_snapshot`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Snapshot {
    pub id: SnapshotId,
    /// Commit time, microseconds since 1970 UTC.
    pub time_us: i64,
    pub schema_version: i64,
    pub next_catalog_id: ObjectId,
    pub next_file_id: FileId,
}

/// A commit as the list of snapshots shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SnapshotInfo {
    pub id: SnapshotId,
    pub time_us: i64,
    pub schema_version: i64,
    /// Comma-separated tokens as in `ducklake_snapshot_changes`.
    pub changes: String,
}

/// Everything that exists at one snapshot.
#[derive(Debug, Clone)]
pub struct State {
    pub snapshot: Snapshot,
    pub schemas: BTreeMap<String, Arc<Schema>>,
    /// Our own definitions by (kind, name): snapshot tags now, models and feature views later.
    pub definitions: BTreeMap<(String, String), Arc<Definition>>,
}

#[derive(Debug, Clone)]
pub struct Schema {
    pub id: ObjectId,
    pub uuid: String,
    pub name: String,
    /// Relative to the data path, with a trailing slash; see `folder`.
    pub path: String,
    pub relations: BTreeMap<String, Relation>,
    pub comment: Option<String>,
}

#[derive(Debug, Clone)]
pub enum Relation {
    Table(Arc<Table>),
    View(Arc<View>),
}

#[derive(Debug, Clone)]
pub struct Table {
    pub id: ObjectId,
    pub uuid: String,
    pub schema_id: ObjectId,
    pub name: String,
    /// Relative to the schema's path, with a trailing slash; a table that was moved to another
    /// schema keeps its files and has a path from the data path, which starts with a slash.
    pub path: String,
    pub columns: Vec<Column>,
    pub partition_by: Vec<PartitionKey>,
    pub sort_by: Vec<SortKey>,
    pub constraints: Vec<Constraint>,
    /// Set for a materialized view, which other readers of the lake take for a table.
    pub query: Option<StoredQuery>,
    pub comment: Option<String>,
    /// The lake's schema version at the last change of this table's layout: names its table
    /// of inlined rows. 0: it has none yet.
    pub schema_version: i64,
    /// Ids of columns are never reused, those of dropped columns included.
    pub next_column_id: i64,
    pub begin_snapshot: SnapshotId,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Column {
    /// Field id in Parquet; unique in the table, never reused. Children of nested types have their
    /// own, kept in `children`.
    pub id: i64,
    /// Where it stands among the table's columns: the id of the first that stood there.
    pub order: i64,
    pub name: String,
    /// Engine type, with `TYPE_KEY` metadata where Postgres' name cannot be read off it.
    pub field: Arc<Field>,
    /// Nested children in DuckLake order (list: `element`; struct: its fields).
    pub children: Vec<Column>,
    pub nullable: bool,
    /// DEFAULT as SQL text; evaluated at insert.
    pub default: Option<String>,
    /// Constant that rows of files older than the column read as; text form, None is NULL.
    pub initial_default: Option<String>,
    pub comment: Option<String>,
}

impl Column {
    /// A number that files carry beside the table's columns.
    pub(crate) fn origin(id: i64, name: &str) -> Self {
        Self {
            id,
            order: id,
            name: name.to_owned(),
            field: Arc::new(Field::new(name, DataType::Int64, true)),
            children: Vec::new(),
            nullable: true,
            default: None,
            initial_default: None,
            comment: None,
        }
    }
}

#[derive(Debug, Clone, PartialEq)]
pub struct PartitionKey {
    pub column_id: i64,
    /// `identity`, `year`, `month`, `day`, `hour`, `bucket(n)`.
    pub transform: String,
}

#[derive(Debug, Clone, PartialEq)]
pub struct SortKey {
    pub column: String,
    pub descending: bool,
    pub nulls_first: bool,
}

/// What a materialized view is filled from.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct StoredQuery {
    /// Query text as the user wrote it.
    pub sql: String,
    /// Schemas that unqualified names in `sql` are looked up in.
    pub search_path: Vec<String>,
    /// Whether it was filled since it was made or emptied.
    pub populated: bool,
}

/// Constraints beyond NOT NULL: kept in `sextant_*`, invisible to other DuckLake readers.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub enum Constraint {
    Check {
        name: String,
        expression: String,
    },
    /// Informational; names the columns by id. Used by ON CONFLICT and the planner.
    Unique {
        name: String,
        columns: Vec<i64>,
        primary: bool,
    },
    ForeignKey {
        name: String,
        columns: Vec<i64>,
        references: String,
        referred: Vec<String>,
    },
    /// The column is computed from the others, whatever is given for it. Tools that share the lake
    /// do not know of it and must give the value themselves.
    Generated {
        /// None of the names that a user gives.
        name: String,
        column: i64,
        expression: String,
    },
    /// CREATE INDEX: remembered for the tools that look for it; only one over vectors is built.
    Index(Index),
}

impl Constraint {
    /// The columns that it names by id.
    pub(crate) fn columns_mut(&mut self) -> Vec<&mut i64> {
        match self {
            Self::Check { .. } => Vec::new(),
            Self::Unique { columns, .. } | Self::ForeignKey { columns, .. } => {
                columns.iter_mut().collect()
            }
            Self::Generated { column, .. } => vec![column],
            Self::Index(index) => {
                let keys = index.keys.iter_mut().map(|key| &mut key.column);
                keys.chain(&mut index.included).collect()
            }
        }
    }
}

/// What CREATE INDEX said.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Index {
    pub name: String,
    /// `btree`, `hash` and their like; `ivf`.
    pub method: String,
    pub unique: bool,
    pub keys: Vec<IndexKey>,
    /// Columns of INCLUDE.
    pub included: Vec<i64>,
    /// Set for an index over vectors, which is built.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vectors: Option<VectorIndex>,
}

#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct IndexKey {
    pub column: i64,
    pub descending: bool,
    pub nulls_first: bool,
}

#[derive(Debug, Clone)]
pub struct View {
    pub id: ObjectId,
    pub uuid: String,
    pub schema_id: ObjectId,
    pub name: String,
    /// Query text as the user wrote it.
    pub sql: String,
    /// Schemas that unqualified names in `sql` are looked up in.
    pub search_path: Vec<String>,
    /// Output columns as they were when the view was made.
    pub columns: Vec<Arc<Field>>,
    /// `duckdb` for views made by other tools.
    pub dialect: String,
    pub comment: Option<String>,
    pub column_comments: BTreeMap<String, String>,
}

#[derive(Debug, Clone)]
pub struct Definition {
    pub id: ObjectId,
    pub kind: String,
    pub name: String,
    pub body: serde_json::Value,
    pub begin_snapshot: SnapshotId,
}

/// One Parquet file of a table, with its deletions at the snapshot it was read for.
#[derive(Debug, Clone)]
pub struct DataFile {
    pub id: FileId,
    /// Relative to the lake's data path (already joined from schema, table and file path).
    pub path: String,
    pub size: u64,
    pub footer_size: u64,
    pub rows: u64,
    /// Row id of the file's first row; None when the file carries its own (merged, flushed).
    pub row_id_start: Option<i64>,
    pub begin_snapshot: SnapshotId,
    /// Set when the file holds rows of several snapshots (flush, merge) and thus an embedded
    /// snapshot column.
    pub partial_max: Option<SnapshotId>,
    pub partition_values: Vec<Option<String>>,
    /// By column id (leaves of nested columns have their own).
    pub stats: HashMap<i64, ColumnStats>,
    pub deleted: Option<Arc<RoaringTreemap>>,
}

impl DataFile {
    /// Rows that are deleted.
    pub fn gone(&self) -> u64 {
        self.deleted.as_ref().map_or(0, |deleted| deleted.len())
    }

    /// Rows that are not.
    pub fn live(&self) -> u64 {
        self.rows - self.gone()
    }
}

/// Statistics in DuckLake's text form.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ColumnStats {
    pub size: u64,
    pub values: u64,
    pub nulls: u64,
    pub min: Option<String>,
    pub max: Option<String>,
    pub contains_nan: Option<bool>,
}

/// Rows kept in the catalog database, decoded.
#[derive(Debug, Clone)]
pub struct InlinedRows {
    /// `INLINED` or `INLINED_LOCAL`.
    pub file: FileId,
    /// Positions in the sense of `file`, one per row.
    pub positions: Arc<Vec<i64>>,
    /// The table's columns in order.
    pub batch: RecordBatch,
}

/// What a scan of one table reads: already without what this transaction has deleted.
#[derive(Debug, Clone, Default)]
pub struct TableRows {
    pub files: Vec<Arc<DataFile>>,
    pub inlined: Vec<InlinedRows>,
}

/// A Parquet file this transaction has written and not yet committed.
#[derive(Debug, Clone)]
pub struct NewFile {
    /// Relative to the table's folder.
    pub name: String,
    pub size: u64,
    pub footer_size: u64,
    pub rows: u64,
    pub partition_values: Vec<Option<String>>,
    pub stats: HashMap<i64, ColumnStats>,
}

impl State {
    /// The schema with an id.
    pub fn schema_by_id(&self, id: ObjectId) -> Option<&Arc<Schema>> {
        self.schemas.values().find(|schema| schema.id == id)
    }

    /// The table with an id, and its schema.
    pub fn table_by_id(&self, id: ObjectId) -> Option<(&Arc<Schema>, &Arc<Table>)> {
        self.schemas.values().find_map(|schema| {
            let tables = schema.relations.values().filter_map(Relation::as_table);
            tables.into_iter().find(|t| t.id == id).map(|t| (schema, t))
        })
    }
}

impl Schema {
    /// Where the files of its tables are, relative to the data path.
    pub fn folder(&self) -> &str {
        self.path.trim_start_matches('/')
    }
}

impl Relation {
    pub fn id(&self) -> ObjectId {
        match self {
            Self::Table(table) => table.id,
            Self::View(view) => view.id,
        }
    }

    pub fn uuid(&self) -> &str {
        match self {
            Self::Table(table) => &table.uuid,
            Self::View(view) => &view.uuid,
        }
    }

    pub fn name(&self) -> &str {
        match self {
            Self::Table(table) => &table.name,
            Self::View(view) => &view.name,
        }
    }

    pub fn as_table(&self) -> Option<&Arc<Table>> {
        match self {
            Self::Table(table) => Some(table),
            Self::View(_) => None,
        }
    }
}

impl Constraint {
    /// A column that is computed from an expression of the table's others.
    pub fn generated(column: i64, expression: String) -> Self {
        Self::Generated { name: format!("\u{3}generated {column}"), column, expression }
    }

    pub fn name(&self) -> &str {
        match self {
            Self::Check { name, .. }
            | Self::Unique { name, .. }
            | Self::Generated { name, .. }
            | Self::ForeignKey { name, .. } => name,
            Self::Index(index) => &index.name,
        }
    }

    pub(crate) fn name_mut(&mut self) -> &mut String {
        match self {
            Self::Check { name, .. }
            | Self::Unique { name, .. }
            | Self::Generated { name, .. }
            | Self::ForeignKey { name, .. } => name,
            Self::Index(index) => &mut index.name,
        }
    }
}

impl Index {
    /// Its columns, those of INCLUDE last.
    pub fn columns(&self) -> Vec<i64> {
        self.keys.iter().map(|key| key.column).chain(self.included.iter().copied()).collect()
    }
}

impl Table {
    /// Where its files are, relative to the data path, with a trailing slash.
    pub fn folder(&self, schema: &Schema) -> String {
        match self.path.strip_prefix('/') {
            Some(path) => path.to_owned(),
            None => format!("{}{}", schema.folder(), self.path),
        }
    }

    /// Whether its rows may be kept in the catalog database: other tools would take columns of
    /// these names for their own.
    pub fn can_inline(&self) -> bool {
        let names: Vec<String> = self.columns.iter().map(|c| c.name.to_lowercase()).collect();
        let clash = |(index, name): (usize, &String)| {
            INLINED_COLUMNS.contains(&name.as_str()) || names[..index].contains(name)
        };
        !names.iter().enumerate().any(clash)
    }

    /// The table's columns as the engine sees them.
    pub fn arrow_schema(&self) -> SchemaRef {
        let fields: Vec<_> = self.columns.iter().map(|c| Arc::clone(&c.field)).collect();
        Arc::new(ArrowSchema::new(fields))
    }

    pub fn column(&self, name: &str) -> Option<&Column> {
        self.columns.iter().find(|c| c.name == name)
    }

    /// What a column is computed from, if it is.
    pub fn generation(&self, column: i64) -> Option<&str> {
        self.constraints.iter().find_map(|constraint| match constraint {
            Constraint::Generated { column: own, expression, .. } if *own == column => {
                Some(expression.as_str())
            }
            _ => None,
        })
    }
}

impl TableRows {
    /// Live rows: file rows less deletions, plus inlined ones.
    pub fn count(&self) -> u64 {
        let live = |file: &Arc<DataFile>| file.live();
        let inlined = self.inlined.iter().map(|i| i.batch.num_rows() as u64).sum::<u64>();
        self.files.iter().map(live).sum::<u64>() + inlined
    }
}

/// Type of the hidden address columns.
pub const ADDRESS_TYPE: DataType = DataType::Int64;
