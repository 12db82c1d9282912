//! `information_schema`: the SQL standard's description of the database: every relation of
//! PostgreSQL 15 with its columns and types (`relations.txt`, taken from its own catalog).
//!
//! Its types are shown as what they are made of: `sql_identifier` is `name`, `character_data` is
//! `varchar`, `cardinal_number` is `integer`. A column that nothing is known of is NULL.

mod columns;
mod constraints;

use std::sync::{Arc, LazyLock};

use catalog::{Relation, Schema, State, Table, View};
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::arrow::record_batch::RecordBatch;
use datafusion::common::ScalarValue;

use super::pg_catalog::{Row, Schemas, built_in, filled, schemas};
use super::{definitions, oid};
use crate::error::{Error, Result};
use crate::plan::{Environment, Lakes, TEMP_SCHEMA};
use crate::statements::external::is_foreign;

/// Lines of a relation's name and its columns.
const RELATIONS: &str = include_str!("information_schema/relations.txt");

static SCHEMAS: LazyLock<Schemas> = LazyLock::new(|| schemas(RELATIONS));

/// The columns of a relation.
pub(super) fn schema(name: &str) -> Option<SchemaRef> {
    SCHEMAS.get(name).cloned()
}

/// One relation's rows; None if there is no such relation.
pub(super) fn table(
    environment: &Environment,
    lakes: &Lakes,
    name: &str,
) -> Result<Option<RecordBatch>> {
    let Some(schema) = SCHEMAS.get(name) else { return Ok(None) };
    let objects = Objects {
        database: &environment.database,
        user: &environment.user,
        path: &environment.search_path,
        lakes,
    };
    let rows = match name {
        "information_schema_catalog_name" => vec![vec![("catalog_name", objects.database())]],
        "schemata" => objects.schemata(),
        "tables" => objects.tables(),
        "columns" => return objects.columns(schema).map(Some),
        "element_types" => objects.element_types(),
        "views" => objects.views(),
        "view_table_usage" => objects.tables_of_views(),
        "table_constraints" => objects.table_constraints(),
        "key_column_usage" => objects.key_columns(),
        "constraint_column_usage" => objects.columns_of_constraints(),
        "constraint_table_usage" => objects.tables_of_constraints(),
        "referential_constraints" => objects.references(),
        "check_constraints" => objects.checks(),
        "character_sets" => objects.character_sets(),
        "role_table_grants" => {
            let rows = super::grants::role_table_grants(environment, lakes);
            let batch = super::batch(ROLE_TABLE_GRANTS, rows)?;
            let typed = RecordBatch::try_new(Arc::clone(schema), batch.columns().to_vec());
            return typed.map(Some).map_err(|error| Error::Engine(error.into()));
        }
        "enabled_roles" => vec![vec![("role_name", text(objects.user))]],
        // Only functions that users define are routines: there are none.
        _ => Vec::new(),
    };
    rows_of(schema, rows).map(Some)
}

fn rows_of(schema: &SchemaRef, rows: Vec<Row>) -> Result<RecordBatch> {
    filled(schema, rows, |field| {
        ScalarValue::try_from(field.data_type()).unwrap_or(ScalarValue::Null)
    })
}

fn text(value: impl Into<String>) -> ScalarValue {
    ScalarValue::Utf8(Some(value.into()))
}

fn yes(value: bool) -> ScalarValue {
    text(if value { "YES" } else { "NO" })
}

const ROLE_TABLE_GRANTS: super::Columns = &[
    ("grantor", 't'),
    ("grantee", 't'),
    ("table_catalog", 't'),
    ("table_schema", 't'),
    ("table_name", 't'),
    ("privilege_type", 't'),
    ("is_grantable", 't'),
    ("with_hierarchy", 't'),
];

/// What there is to describe.
struct Objects<'a> {
    database: &'a str,
    user: &'a str,
    path: &'a [String],
    lakes: &'a Lakes,
}

/// A relation with its schema.
struct Placed<'a> {
    schema: &'a str,
    namespace: i64,
    name: &'a str,
    relation: &'a Relation,
    oid: i64,
}

impl<'a> Objects<'a> {
    fn database(&self) -> ScalarValue {
        text(self.database)
    }

    /// Every schema with the name that users see; temp tables last.
    fn schemas(&self) -> Vec<(&'a str, &'a Schema, bool)> {
        fn of(state: &State) -> impl Iterator<Item = (&str, &Schema)> {
            state.schemas.iter().map(|(name, schema)| (name.as_str(), schema.as_ref()))
        }
        let main = of(self.lakes.main.state()).map(|(name, schema)| (name, schema, false));
        let mut found: Vec<_> = main.collect();
        if let Some(temp) = &self.lakes.temp {
            found.extend(of(temp.state()).map(|(_, schema)| (TEMP_SCHEMA, schema, true)));
        }
        found
    }

    fn relations(&self) -> Vec<Placed<'a>> {
        let mut found = Vec::new();
        for (schema, held, temp) in self.schemas() {
            // As Postgres has it, materialized views are none of the standard's relations.
            let standard = held.relations.iter().filter(|(_, relation)| {
                relation.as_table().is_none_or(|table| table.query.is_none())
            });
            found.extend(standard.map(|(name, relation)| Placed {
                schema,
                namespace: oid::of(held.id, temp),
                name,
                relation,
                oid: oid::of(relation.id(), temp),
            }));
        }
        found
    }

    fn base_tables(&self) -> Vec<(Placed<'a>, &'a Table)> {
        let table = |placed: Placed<'a>| match placed.relation {
            Relation::Table(table) => Some((placed, table.as_ref())),
            Relation::View(_) => None,
        };
        self.relations().into_iter().filter_map(table).collect()
    }

    fn stored_views(&self) -> Vec<(Placed<'a>, &'a View)> {
        let view = |placed: Placed<'a>| match placed.relation {
            Relation::Table(_) => None,
            Relation::View(view) => (!is_foreign(view)).then(|| (placed, view.as_ref())),
        };
        self.relations().into_iter().filter_map(view).collect()
    }

    fn schemata(&self) -> Vec<Row> {
        let mut names: Vec<&str> = self.schemas().into_iter().map(|(name, ..)| name).collect();
        names.extend(super::SCHEMAS.iter().map(|(name, _)| *name));
        let row = |name: &str| {
            vec![
                ("catalog_name", self.database()),
                ("schema_name", text(name)),
                ("schema_owner", text(self.user)),
            ]
        };
        names.into_iter().map(row).collect()
    }

    fn place(&self, schema: &str, name: &str) -> [(&'static str, ScalarValue); 3] {
        [
            ("table_catalog", self.database()),
            ("table_schema", text(schema)),
            ("table_name", text(name)),
        ]
    }

    fn tables(&self) -> Vec<Row> {
        let row = |schema: &str, name: &str, kind: &str| {
            let mut row = self.place(schema, name).to_vec();
            row.extend([
                ("table_type", text(kind)),
                ("is_insertable_into", yes(!matches!(kind, "VIEW" | "FOREIGN"))),
                ("is_typed", yes(false)),
            ]);
            row
        };
        let own =
            self.relations().into_iter().map(|placed| match (placed.relation, placed.schema) {
                (Relation::Table(_), TEMP_SCHEMA) => {
                    row(TEMP_SCHEMA, placed.name, "LOCAL TEMPORARY")
                }
                (Relation::Table(_), schema) => row(schema, placed.name, "BASE TABLE"),
                (Relation::View(view), schema) => {
                    row(schema, placed.name, if is_foreign(view) { "FOREIGN" } else { "VIEW" })
                }
            });
        let system = built_in::classes().iter().map(|class| match class.kind {
            "r" => row(class.schema, class.name, "BASE TABLE"),
            _ => row(class.schema, class.name, "VIEW"),
        });
        own.chain(system).collect()
    }

    fn views(&self) -> Vec<Row> {
        let row = |(placed, view): (Placed, &View)| {
            let mut row = self.place(placed.schema, placed.name).to_vec();
            row.push(("view_definition", text(view.sql.as_str())));
            row.push(("check_option", text("NONE")));
            let can = [
                "is_updatable",
                "is_insertable_into",
                "is_trigger_updatable",
                "is_trigger_deletable",
                "is_trigger_insertable_into",
            ];
            row.extend(can.map(|name| (name, yes(false))));
            row
        };
        self.stored_views().into_iter().map(row).collect()
    }

    fn tables_of_views(&self) -> Vec<Row> {
        let relations = self.relations();
        let mut rows = Vec::new();
        for (placed, view) in self.stored_views() {
            let Some(query) = definitions::query(placed.relation) else { continue };
            for name in query.reads() {
                let read = relations.iter().find(|other| {
                    other.name == name.table()
                        && match name.schema() {
                            Some(schema) => schema == other.schema,
                            None => view.search_path.iter().any(|schema| schema == other.schema),
                        }
                });
                let Some(read) = read else { continue };
                let mut row = self.place(read.schema, read.name).to_vec();
                row.extend([
                    ("view_catalog", self.database()),
                    ("view_schema", text(placed.schema)),
                    ("view_name", text(placed.name)),
                ]);
                rows.push(row);
            }
        }
        rows
    }

    fn character_sets(&self) -> Vec<Row> {
        vec![vec![
            ("character_set_name", text("UTF8")),
            ("character_repertoire", text("UCS")),
            ("form_of_use", text("UTF8")),
            ("default_collate_catalog", self.database()),
            ("default_collate_schema", text("pg_catalog")),
            ("default_collate_name", text("C")),
        ]]
    }
}
