//! The system relations and their columns, as rows of `pg_class` and `pg_attribute`.

use std::collections::HashMap;
use std::sync::{LazyLock, OnceLock};

use datafusion::arrow::record_batch::RecordBatch;

use super::{attribute, text};
use crate::error::Result;
use crate::system::oid;
use crate::system::pg_catalog::built_in::{Class, classes};
use crate::system::pg_catalog::{self, Row, SCHEMAS, batch};

/// The rows of a relation that are about system relations, made once.
pub(in crate::system) fn of_system(relation: &str) -> Result<Option<RecordBatch>> {
    static MADE: [OnceLock<RecordBatch>; 2] = [OnceLock::new(), OnceLock::new()];
    let (made, make): (_, fn() -> Vec<Row>) = match relation {
        "pg_class" => (&MADE[0], || classes().iter().map(class).collect()),
        "pg_attribute" => (&MADE[1], || classes().iter().flat_map(columns).collect()),
        _ => return Ok(None),
    };
    if let Some(batch) = made.get() {
        return Ok(Some(batch.clone()));
    }
    let rows = batch(&SCHEMAS[relation], make())?;
    Ok(Some(made.get_or_init(|| rows).clone()))
}

/// The id of a system relation.
pub(in crate::system) fn built_in(name: &str) -> i64 {
    static IDS: LazyLock<HashMap<&'static str, i64>> =
        LazyLock::new(|| classes().iter().map(|class| (class.name, class.oid)).collect());
    IDS.get(name).copied().unwrap_or(0)
}

/// The schema of a system relation.
pub(super) fn namespace(class: &Class) -> i64 {
    match class.schema {
        "information_schema" => oid::INFORMATION_SCHEMA,
        "lake" => oid::LAKE,
        "ml" => oid::ML,
        _ => oid::PG_CATALOG,
    }
}

fn class(class: &Class) -> Row {
    vec![
        ("oid", class.oid.into()),
        ("relname", text(class.name)),
        ("relnamespace", namespace(class).into()),
        ("relowner", oid::OWNER.into()),
        ("reltype", class.row_type.into()),
        ("relam", (if class.kind == "r" { 2_i64 } else { 0 }).into()),
        ("relkind", text(class.kind)),
        ("relnatts", class.columns.into()),
        ("relisshared", class.shared.into()),
        ("relhasrules", (class.kind == "v").into()),
        ("relpersistence", text("p")),
        ("relispopulated", true.into()),
        ("relreplident", text("n")),
    ]
}

fn columns(class: &Class) -> Vec<Row> {
    let schema = pg_catalog::schema(class.schema, class.name);
    let Some(schema) = schema else { return Vec::new() };
    let fields = schema.fields().iter().enumerate();
    fields.map(|(index, field)| attribute(class.oid, index, field, None)).collect()
}
