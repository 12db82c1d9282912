//! The tables of DuckLake 1.0 as its official implementation makes them, and ours beside them.

use chrono::{DateTime, SecondsFormat, Utc};

use super::{Dialect, Kind, Session, Value, quoted};
use crate::error::{Error, Result};

/// The catalog version this server reads and writes.
pub const VERSION: &str = "1.0";

/// A table of the catalog and its columns: `name` (an integer), `name:type`, `name:key`.
pub struct Layout {
    pub name: &'static str,
    columns: &'static str,
}

const fn table(name: &'static str, columns: &'static str) -> Layout {
    Layout { name, columns }
}

pub const METADATA: Layout = table("ducklake_metadata", "key:text value:text scope:text scope_id");
pub const SNAPSHOT: Layout = table(
    "ducklake_snapshot",
    "snapshot_id:key snapshot_time:time schema_version next_catalog_id next_file_id",
);
pub const SNAPSHOT_CHANGES: Layout = table(
    "ducklake_snapshot_changes",
    "snapshot_id:key changes_made:text author:text commit_message:text \
     commit_extra_info:text",
);
pub const SCHEMA: Layout = table(
    "ducklake_schema",
    "schema_id:key schema_uuid:uuid begin_snapshot end_snapshot schema_name:text path:text \
     path_is_relative:boolean",
);
pub const TABLE: Layout = table(
    "ducklake_table",
    "table_id table_uuid:uuid begin_snapshot end_snapshot schema_id table_name:text \
     path:text path_is_relative:boolean",
);
pub const VIEW: Layout = table(
    "ducklake_view",
    "view_id view_uuid:uuid begin_snapshot end_snapshot schema_id view_name:text \
     dialect:text sql:text column_aliases:text",
);
pub const TAG: Layout =
    table("ducklake_tag", "object_id begin_snapshot end_snapshot key:text value:text");
pub const COLUMN_TAG: Layout = table(
    "ducklake_column_tag",
    "table_id column_id begin_snapshot end_snapshot key:text value:text",
);
pub const DATA_FILE: Layout = table(
    "ducklake_data_file",
    "data_file_id:key table_id begin_snapshot end_snapshot file_order path:text \
     path_is_relative:boolean file_format:text record_count file_size_bytes footer_size \
     row_id_start partition_id encryption_key:text mapping_id partial_max",
);
pub const FILE_COLUMN_STATS: Layout = table(
    "ducklake_file_column_stats",
    "data_file_id table_id column_id column_size_bytes value_count null_count \
     min_value:text max_value:text contains_nan:boolean extra_stats:text",
);
pub const DELETE_FILE: Layout = table(
    "ducklake_delete_file",
    "delete_file_id:key table_id begin_snapshot end_snapshot data_file_id path:text \
     path_is_relative:boolean format:text delete_count file_size_bytes footer_size \
     encryption_key:text partial_max",
);
pub const COLUMN: Layout = table(
    "ducklake_column",
    "column_id begin_snapshot end_snapshot table_id column_order column_name:text \
     column_type:text initial_default:text default_value:text nulls_allowed:boolean \
     parent_column default_value_type:text default_value_dialect:text",
);
pub const TABLE_STATS: Layout =
    table("ducklake_table_stats", "table_id record_count next_row_id file_size_bytes");
pub const TABLE_COLUMN_STATS: Layout = table(
    "ducklake_table_column_stats",
    "table_id column_id contains_null:boolean contains_nan:boolean min_value:text \
     max_value:text extra_stats:text",
);
pub const PARTITION_INFO: Layout =
    table("ducklake_partition_info", "partition_id table_id begin_snapshot end_snapshot");
pub const PARTITION_COLUMN: Layout = table(
    "ducklake_partition_column",
    "partition_id table_id partition_key_index column_id transform:text",
);
pub const FILE_PARTITION_VALUE: Layout = table(
    "ducklake_file_partition_value",
    "data_file_id table_id partition_key_index partition_value:text",
);
pub const INLINED_DATA_TABLES: Layout =
    table("ducklake_inlined_data_tables", "table_id table_name:text schema_version");
pub const SCHEMA_VERSIONS: Layout =
    table("ducklake_schema_versions", "begin_snapshot schema_version table_id");
pub const SORT_INFO: Layout =
    table("ducklake_sort_info", "sort_id table_id begin_snapshot end_snapshot");
pub const SORT_EXPRESSION: Layout = table(
    "ducklake_sort_expression",
    "sort_id table_id sort_key_index expression:text dialect:text sort_direction:text \
     null_order:text",
);
pub const CONSTRAINT: Layout =
    table("sextant_constraint", "table_id begin_snapshot end_snapshot body:text");
/// What DuckLake has no place for: its readers refuse columns with tags other than comments.
pub const OWN_COLUMN_TAG: Layout = table(
    "sextant_column_tag",
    "table_id column_id begin_snapshot end_snapshot key:text value:text",
);
pub const DEFINITION: Layout = table(
    "sextant_definition",
    "definition_id kind:text name:text body:text begin_snapshot end_snapshot",
);
/// What sequences have given: outside of snapshots.
pub const SEQUENCE: Layout = table("sextant_sequence", "sequence_uuid:text last_value is_called");
pub const SCHEDULED: Layout = table(
    "ducklake_files_scheduled_for_deletion",
    "data_file_id path:text path_is_relative:boolean schedule_start:time",
);
/// Tables that only other tools fill.
const FOREIGN: &[Layout] = &[
    table(
        "ducklake_file_variant_stats",
        "data_file_id table_id column_id variant_path:text shredded_type:text column_size_bytes \
     value_count null_count min_value:text max_value:text contains_nan:boolean \
     extra_stats:text",
    ),
    table("ducklake_column_mapping", "mapping_id table_id type:text"),
    table(
        "ducklake_name_mapping",
        "mapping_id column_id source_name:text target_field_id parent_column \
     is_partition:boolean",
    ),
    table("ducklake_macro", "schema_id macro_id macro_name:text begin_snapshot end_snapshot"),
    table("ducklake_macro_impl", "macro_id impl_id dialect:text sql:text type:text"),
    table(
        "ducklake_macro_parameters",
        "macro_id impl_id column_id parameter_name:text parameter_type:text default_value:text \
     default_value_type:text",
    ),
];
const TABLES: &[&Layout] = &[
    &METADATA,
    &SNAPSHOT,
    &SNAPSHOT_CHANGES,
    &SCHEMA,
    &TABLE,
    &VIEW,
    &TAG,
    &COLUMN_TAG,
    &DATA_FILE,
    &FILE_COLUMN_STATS,
    &DELETE_FILE,
    &COLUMN,
    &TABLE_STATS,
    &TABLE_COLUMN_STATS,
    &PARTITION_INFO,
    &PARTITION_COLUMN,
    &FILE_PARTITION_VALUE,
    &INLINED_DATA_TABLES,
    &SCHEMA_VERSIONS,
    &SORT_INFO,
    &SORT_EXPRESSION,
    &SCHEDULED,
];
/// Tables whose rows are looked up by table id.
const BY_TABLE: &[&Layout] = &[
    &DATA_FILE,
    &FILE_COLUMN_STATS,
    &DELETE_FILE,
    &COLUMN,
    &TABLE_STATS,
    &TABLE_COLUMN_STATS,
    &FILE_PARTITION_VALUE,
    &INLINED_DATA_TABLES,
    &SCHEMA_VERSIONS,
];

impl Layout {
    fn create(&self, dialect: Dialect) -> String {
        let column = |text: &str| {
            let (name, kind) = column(text);
            let key = if text.ends_with(":key") { " PRIMARY KEY" } else { "" };
            format!("{} {}{key}", quoted(name), dialect.type_name(kind))
        };
        let columns: Vec<String> = self.columns.split_whitespace().map(column).collect();
        format!("CREATE TABLE IF NOT EXISTS {} ({})", self.name, columns.join(", "))
    }

    pub async fn insert(&self, session: &mut Session, rows: &[Vec<Value>]) -> Result<()> {
        let columns: Vec<_> = self.columns.split_whitespace().map(column).collect();
        session.insert(self.name, &columns, rows).await
    }
}

fn column(text: &str) -> (&str, Kind) {
    let (name, kind) = text.split_once(':').unwrap_or((text, ""));
    let kind = match kind {
        "text" => Kind::Text,
        "boolean" => Kind::Boolean,
        "uuid" => Kind::Uuid,
        "time" => Kind::Time,
        _ => Kind::Integer,
    };
    (name, kind)
}

/// Makes what is missing: everything in an empty database, our own tables in a foreign lake.
pub async fn prepare(session: &mut Session, data_path: &str, now: DateTime<Utc>) -> Result<()> {
    if !session.table_exists(METADATA.name).await? {
        create(session, data_path, now).await?;
    }
    check_version(session).await?;
    let dialect = session.dialect();
    for layout in [&CONSTRAINT, &OWN_COLUMN_TAG, &DEFINITION, &SEQUENCE] {
        session.execute(&layout.create(dialect), &[]).await?;
    }
    for layout in BY_TABLE {
        let name = layout.name;
        let sql = format!("CREATE INDEX IF NOT EXISTS sextant_{name} ON {name} (table_id)");
        session.execute(&sql, &[]).await?;
    }
    Ok(())
}

async fn create(session: &mut Session, data_path: &str, now: DateTime<Utc>) -> Result<()> {
    let dialect = session.dialect();
    for layout in TABLES.iter().copied().chain(FOREIGN) {
        session.execute(&layout.create(dialect), &[]).await?;
    }
    let created_by = concat!("sextant ", env!("CARGO_PKG_VERSION"));
    let metadata = [
        ("version", VERSION),
        ("created_by", created_by),
        ("data_path", data_path),
        ("encrypted", "false"),
    ];
    let metadata = metadata.map(|(k, v)| vec![k.into(), v.into(), Value::Null, Value::Null]);
    METADATA.insert(session, &metadata).await?;
    let snapshot = vec![
        Value::Integer(0),
        time_text(now).into(),
        Value::Integer(0),
        Value::Integer(1),
        Value::Integer(0),
    ];
    SNAPSHOT.insert(session, &[snapshot]).await?;
    let changes = "created_schema:\"main\"";
    let changes = vec![Value::Integer(0), changes.into(), Value::Null, Value::Null, Value::Null];
    SNAPSHOT_CHANGES.insert(session, &[changes]).await?;
    let uuid = uuid::Uuid::now_v7().to_string();
    let main = vec![
        Value::Integer(0),
        uuid.into(),
        Value::Integer(0),
        Value::Null,
        "main".into(),
        "main/".into(),
        true.into(),
    ];
    SCHEMA.insert(session, &[main]).await
}

/// The data path as the catalog records it.
pub async fn data_path(session: &mut Session) -> Result<String> {
    let sql = "SELECT value FROM ducklake_metadata WHERE key = 'data_path' AND scope IS NULL";
    let rows = session.query(sql, &[]).await?;
    let path = rows.first().map(|row| row.name(0)).unwrap_or_default();
    Ok(format!("{}/", path.trim_end_matches('/')))
}

async fn check_version(session: &mut Session) -> Result<()> {
    let sql = "SELECT value FROM ducklake_metadata WHERE key = 'version' AND scope IS NULL";
    let rows = session.query(sql, &[]).await?;
    let found = rows.first().map(|row| row.name(0)).unwrap_or_default();
    if found == VERSION {
        return Ok(());
    }
    Err(Error::CatalogVersion { found, expected: VERSION })
}

/// `2026-11-23 09:59:36.593037+00`
pub fn time_text(time: DateTime<Utc>) -> String {
    let text = time.to_rfc3339_opts(SecondsFormat::Micros, true);
    text.replace('T', " ").replace('Z', "+00")
}

/// Microseconds since 1970 of a time as any writer spells it.
pub fn parse_time(text: &str) -> Result<i64> {
    let bad = || Error::Database(format!("\"{text}\" is not a snapshot time"));
    let mut full = text.trim().replacen(' ', "T", 1);
    let zone = full.rfind(['+', '-']).filter(|at| *at > 10);
    match zone {
        Some(at) if full.len() - at == 3 => full.push_str(":00"),
        Some(_) => {}
        None if full.ends_with('Z') => {}
        None => full.push('Z'),
    }
    let time = DateTime::parse_from_rfc3339(&full).map_err(|_| bad())?;
    Ok(time.timestamp_micros())
}
