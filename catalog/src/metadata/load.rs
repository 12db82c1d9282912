//! Reads everything that exists at one snapshot, in a dozen queries however many tables there are.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::{Row, Session, Value, layout};
use crate::columns::{self, COMMENT_TAG, ColumnRecord, Tags};
use crate::error::{Error, Result};
use crate::model::{
    Definition, ObjectId, PartitionKey, Relation, Schema, Snapshot, SnapshotId, SnapshotInfo,
    SortKey, State, Table, View,
};

/// Tag of a table that is a materialized view: what it is filled from.
pub const QUERY_TAG: &str = "sextant.query";
/// Tag of a view: JSON list of the schemas its names are looked up in.
pub const SEARCH_PATH_TAG: &str = "sextant.search_path";
/// Tag of a view: JSON list of its output columns.
pub const COLUMNS_TAG: &str = "sextant.columns";
/// Tag of a view: JSON object of the comments on its columns.
pub const COLUMN_COMMENTS_TAG: &str = "sextant.column_comments";

const SNAPSHOT: &str = "SELECT snapshot_id, CAST(snapshot_time AS VARCHAR), schema_version, \
                        next_catalog_id, next_file_id FROM ducklake_snapshot";
/// The newest snapshot: the one query that every statement pays for.
pub const NEWEST: &str = "SELECT snapshot_id, CAST(snapshot_time AS VARCHAR), schema_version, \
                          next_catalog_id, next_file_id FROM ducklake_snapshot \
                          ORDER BY snapshot_id DESC LIMIT 1";

/// Rows of one table by the table's id.
type ByTable<T> = HashMap<ObjectId, T>;

/// Decodes a row of `NEWEST`.
pub fn snapshot(row: &Row) -> Result<Snapshot> {
    Ok(Snapshot {
        id: row.id(0)?,
        time_us: layout::parse_time(&row.name(1))?,
        schema_version: row.id(2)?,
        next_catalog_id: row.id(3)?,
        next_file_id: row.id(4)?,
    })
}

pub async fn newest(session: &mut Session) -> Result<Snapshot> {
    let rows = session.query(NEWEST, &[]).await?;
    let row = rows.first().ok_or_else(no_snapshot)?;
    snapshot(row)
}

pub fn no_snapshot() -> Error {
    Error::Database("the catalog holds no snapshot".to_owned())
}

pub async fn snapshot_by_id(session: &mut Session, id: SnapshotId) -> Result<Snapshot> {
    let sql = format!("{SNAPSHOT} WHERE snapshot_id = ?");
    let rows = session.query(&sql, &[id.into()]).await?;
    rows.first().map_or(Err(Error::UndefinedSnapshot { id }), snapshot)
}

/// Every snapshot with what it changed, oldest first.
pub async fn snapshots(session: &mut Session) -> Result<Vec<SnapshotInfo>> {
    let sql = "SELECT s.snapshot_id, CAST(s.snapshot_time AS VARCHAR), s.schema_version, \
               c.changes_made FROM ducklake_snapshot s LEFT JOIN ducklake_snapshot_changes c \
               ON c.snapshot_id = s.snapshot_id ORDER BY s.snapshot_id";
    let rows = session.query(sql, &[]).await?;
    let info = |row: &Row| {
        Ok(SnapshotInfo {
            id: row.id(0)?,
            time_us: layout::parse_time(&row.name(1))?,
            schema_version: row.id(2)?,
            changes: row.name(3),
        })
    };
    rows.iter().map(info).collect()
}

/// What existed at a snapshot.
pub async fn state(session: &mut Session, snapshot: Snapshot, roots: &[String]) -> Result<State> {
    let mut load = Load { session, roots, at: snapshot.id };
    let tags = load.tags().await?;
    let mut schemas = load.schemas(&tags).await?;
    let mut by_schema = load.tables(&tags).await?;
    for (schema, view) in load.views(&tags).await? {
        let relations = by_schema.entry(schema).or_default();
        relations.insert(view.name.clone(), Relation::View(Arc::new(view)));
    }
    for schema in &mut schemas {
        schema.relations = by_schema.remove(&schema.id).unwrap_or_default();
    }
    let definitions = load.definitions().await?;
    let named = |schema: Schema| (schema.name.clone(), Arc::new(schema));
    Ok(State { snapshot, schemas: schemas.into_iter().map(named).collect(), definitions })
}

struct Load<'a> {
    session: &'a mut Session,
    /// Spellings of the data path, which paths that are not relative start with.
    roots: &'a [String],
    at: SnapshotId,
}

impl Load<'_> {
    /// Rows that are live at the snapshot.
    async fn live(&mut self, columns: &str, from: &str, order: &str) -> Result<Vec<Row>> {
        let sql = format!(
            "SELECT {columns} FROM {from} WHERE begin_snapshot <= ? \
             AND (end_snapshot IS NULL OR end_snapshot > ?) {order}"
        );
        let at = Value::Integer(self.at);
        self.session.query(&sql, &[at.clone(), at]).await
    }

    async fn tags(&mut self) -> Result<ByTable<Tags>> {
        let mut tags = ByTable::<Tags>::new();
        for row in self.live("object_id, key, value", "ducklake_tag", "").await? {
            let own = tags.entry(row.id(0)?).or_default();
            own.insert(row.name(1), row.name(2));
        }
        Ok(tags)
    }

    async fn schemas(&mut self, tags: &ByTable<Tags>) -> Result<Vec<Schema>> {
        let columns = "schema_id, CAST(schema_uuid AS VARCHAR), schema_name, path, \
                       path_is_relative";
        let rows = self.live(columns, "ducklake_schema", "").await?;
        let roots = self.roots;
        let schema = |row: &Row| {
            let id = row.id(0)?;
            Ok(Schema {
                id,
                uuid: row.name(1),
                name: row.name(2),
                path: folder(row, 3, roots),
                relations: BTreeMap::new(),
                comment: tags.get(&id).and_then(|t| t.get(COMMENT_TAG)).cloned(),
            })
        };
        rows.iter().map(schema).collect()
    }

    async fn tables(
        &mut self,
        tags: &ByTable<Tags>,
    ) -> Result<ByTable<BTreeMap<String, Relation>>> {
        let mut columns = self.columns().await?;
        let mut partitions = self.partitions().await?;
        let mut sorts = self.sorts().await?;
        let mut constraints = self.constraints().await?;
        let versions = self.layout_versions().await?;
        let last_ids = self.last_column_ids().await?;
        let selected = "table_id, CAST(table_uuid AS VARCHAR), schema_id, table_name, path, \
                        path_is_relative, begin_snapshot";
        let mut by_schema = ByTable::<BTreeMap<String, Relation>>::new();
        for row in self.live(selected, "ducklake_table", "").await? {
            let id = row.id(0)?;
            let table = Table {
                id,
                uuid: row.name(1),
                schema_id: row.id(2)?,
                name: row.name(3),
                path: folder(&row, 4, self.roots),
                columns: columns.remove(&id).unwrap_or_default(),
                partition_by: partitions.remove(&id).unwrap_or_default(),
                sort_by: sorts.remove(&id).unwrap_or_default(),
                constraints: constraints.remove(&id).unwrap_or_default(),
                query: tags.get(&id).map_or(Ok(None), |tags| json_tag(tags, QUERY_TAG))?,
                comment: tags.get(&id).and_then(|t| t.get(COMMENT_TAG)).cloned(),
                schema_version: versions.get(&id).copied().unwrap_or_default(),
                next_column_id: last_ids.get(&id).copied().unwrap_or_default() + 1,
                begin_snapshot: row.id(6)?,
            };
            let relations = by_schema.entry(table.schema_id).or_default();
            relations.insert(table.name.clone(), Relation::Table(Arc::new(table)));
        }
        Ok(by_schema)
    }

    async fn columns(&mut self) -> Result<ByTable<Vec<crate::model::Column>>> {
        let mut tags = ByTable::<HashMap<i64, Tags>>::new();
        let selected = "table_id, column_id, key, value";
        for kept in ["ducklake_column_tag", "sextant_column_tag"] {
            for row in self.live(selected, kept, "").await? {
                let own = tags.entry(row.id(0)?).or_default();
                own.entry(row.id(1)?).or_default().insert(row.name(2), row.name(3));
            }
        }
        let mut records = ByTable::<Vec<ColumnRecord>>::new();
        for row in self.live(&COLUMNS.join(", "), "ducklake_column", "").await? {
            records.entry(row.id(0)?).or_default().push(column_record(&row)?);
        }
        let none = HashMap::new();
        let table = |(id, records): (ObjectId, Vec<ColumnRecord>)| {
            let tags = tags.get(&id).unwrap_or(&none);
            Ok((id, columns::from_records(&records, tags, None)?))
        };
        records.into_iter().map(table).collect()
    }

    async fn partitions(&mut self) -> Result<ByTable<Vec<PartitionKey>>> {
        let from = "ducklake_partition_info i JOIN ducklake_partition_column c \
                    ON c.partition_id = i.partition_id AND c.table_id = i.table_id";
        let selected = "i.table_id, c.column_id, c.transform";
        let mut keys = ByTable::<Vec<PartitionKey>>::new();
        for row in self.live(selected, from, "ORDER BY c.partition_key_index").await? {
            keys.entry(row.id(0)?)
                .or_default()
                .push(PartitionKey { column_id: row.id(1)?, transform: row.name(2) });
        }
        Ok(keys)
    }

    async fn sorts(&mut self) -> Result<ByTable<Vec<SortKey>>> {
        let from = "ducklake_sort_info i JOIN ducklake_sort_expression e \
                    ON e.sort_id = i.sort_id AND e.table_id = i.table_id";
        let selected = "i.table_id, e.expression, e.sort_direction, e.null_order";
        let mut keys = ByTable::<Vec<SortKey>>::new();
        for row in self.live(selected, from, "ORDER BY e.sort_key_index").await? {
            let expression = row.name(1);
            let inner = expression.strip_prefix('"').and_then(|e| e.strip_suffix('"'));
            keys.entry(row.id(0)?).or_default().push(SortKey {
                column: inner.map_or_else(|| expression.clone(), |e| e.replace("\"\"", "\"")),
                descending: row.name(2).eq_ignore_ascii_case("DESC"),
                nulls_first: row.name(3).eq_ignore_ascii_case("NULLS_FIRST"),
            });
        }
        Ok(keys)
    }

    async fn constraints(&mut self) -> Result<ByTable<Vec<crate::model::Constraint>>> {
        let mut constraints = ByTable::<Vec<crate::model::Constraint>>::new();
        for row in self.live("table_id, body", "sextant_constraint", "").await? {
            let body = serde_json::from_str(&row.name(1));
            let body = body.map_err(|e| Error::Database(format!("damaged constraint: {e}")))?;
            constraints.entry(row.id(0)?).or_default().push(body);
        }
        Ok(constraints)
    }

    /// The newest table of inlined rows per table.
    async fn layout_versions(&mut self) -> Result<ByTable<i64>> {
        let sql = "SELECT table_id, MAX(schema_version) FROM ducklake_inlined_data_tables \
                   WHERE schema_version <= (SELECT schema_version FROM ducklake_snapshot \
                   WHERE snapshot_id = ?) GROUP BY table_id";
        let rows = self.session.query(sql, &[self.at.into()]).await?;
        rows.iter().map(|row| Ok((row.id(0)?, row.id(1)?))).collect()
    }

    /// Of all columns that ever were.
    async fn last_column_ids(&mut self) -> Result<ByTable<i64>> {
        let sql = "SELECT table_id, MAX(column_id) FROM ducklake_column GROUP BY table_id";
        let rows = self.session.query(sql, &[]).await?;
        rows.iter().map(|row| Ok((row.id(0)?, row.id(1)?))).collect()
    }

    async fn views(&mut self, tags: &ByTable<Tags>) -> Result<Vec<(ObjectId, View)>> {
        let selected = "view_id, CAST(view_uuid AS VARCHAR), schema_id, view_name, dialect, sql";
        let rows = self.live(selected, "ducklake_view", "").await?;
        let none = Tags::new();
        let view = |row: &Row| {
            let id = row.id(0)?;
            let tags = tags.get(&id).unwrap_or(&none);
            let schema_id = row.id(2)?;
            let view = View {
                id,
                uuid: row.name(1),
                schema_id,
                name: row.name(3),
                dialect: row.name(4),
                sql: row.name(5),
                search_path: json_tag(tags, SEARCH_PATH_TAG)?,
                columns: view_columns(tags)?,
                comment: tags.get(COMMENT_TAG).cloned(),
                column_comments: json_tag(tags, COLUMN_COMMENTS_TAG)?,
            };
            Ok((schema_id, view))
        };
        rows.iter().map(view).collect()
    }

    async fn definitions(&mut self) -> Result<BTreeMap<(String, String), Arc<Definition>>> {
        let selected = "definition_id, kind, name, body, begin_snapshot";
        let rows = self.live(selected, "sextant_definition", "").await?;
        let definition = |row: &Row| {
            let body = serde_json::from_str(&row.name(3));
            let definition = Definition {
                id: row.id(0)?,
                kind: row.name(1),
                name: row.name(2),
                body: body.map_err(|e| Error::Database(format!("damaged definition: {e}")))?,
                begin_snapshot: row.id(4)?,
            };
            let key = (definition.kind.clone(), definition.name.clone());
            Ok((key, Arc::new(definition)))
        };
        rows.iter().map(definition).collect()
    }
}

/// Columns of `ducklake_column` in the order `column_record` reads them.
const COLUMNS: [&str; 10] = [
    "table_id",
    "column_id",
    "column_order",
    "column_name",
    "column_type",
    "initial_default",
    "default_value",
    "default_value_type",
    "nulls_allowed",
    "parent_column",
];

fn column_record(row: &Row) -> Result<ColumnRecord> {
    Ok(ColumnRecord {
        id: row.id(1)?,
        order: row.id(2)?,
        name: row.name(3),
        type_name: row.name(4),
        initial_default: row.text(5),
        default: row.text(6),
        default_type: row.name(7),
        nullable: row.boolean(8).unwrap_or(true),
        parent: row.integer(9),
    })
}

/// A folder's path; one that is not relative to its parent is made relative to the data path and
/// starts with a slash.
fn folder(row: &Row, index: usize, roots: &[String]) -> String {
    let path = row.name(index);
    if row.boolean(index + 1) != Some(false) {
        return path;
    }
    let below = roots.iter().find_map(|root| path.strip_prefix(root.as_str()));
    format!("/{}", below.unwrap_or(&path))
}

fn json_tag<T: serde::de::DeserializeOwned + Default>(tags: &Tags, key: &str) -> Result<T> {
    let Some(text) = tags.get(key) else {
        return Ok(T::default());
    };
    serde_json::from_str(text).map_err(|e| Error::Database(format!("damaged tag \"{key}\": {e}")))
}

fn view_columns(tags: &Tags) -> Result<Vec<Arc<datafusion::arrow::datatypes::Field>>> {
    let columns: Vec<serde_json::Value> = json_tag(tags, COLUMNS_TAG)?;
    columns.iter().map(|c| columns::from_json(c).map(Arc::new)).collect()
}
