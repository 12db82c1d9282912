//! The lake's schemas, tables, views, columns, constraints and comments as rows of `pg_catalog`.

mod foreign;
mod keys;
mod of_system;
mod progress;
mod roles;
mod row_types;
mod sequences;

use std::sync::Arc;

use catalog::{Column, Relation, Schema, State, Table};
use datafusion::arrow::datatypes::Field;
use datafusion::common::ScalarValue;

use super::Row;
use crate::pg_type::PgType;
use crate::plan::{Environment, Lakes, TEMP_SCHEMA};
use crate::sequences::Identity;
use crate::statements::external::is_foreign;
use crate::system::defaults;
use crate::system::definitions::{self, Query};
use crate::system::{self, OwnFunction, oid};
use keys::{is_check, keys};
use of_system::built_in;
pub(super) use of_system::of_system;
pub(in crate::system) use row_types::relation_of;

/// The rows of a relation; none for one that is always empty here.
pub(super) fn rows(environment: &Environment, lakes: &Lakes, name: &str) -> Vec<Row> {
    let view = Objects { environment, lakes };
    match name {
        "pg_namespace" => view.namespaces(),
        "pg_class" => view.classes(),
        "pg_attribute" => view.attributes(),
        "pg_attrdef" => view.defaults(),
        "pg_constraint" => view.constraints(),
        "pg_index" => view.keys(),
        "pg_indexes" => view.indexes(),
        "pg_stat_progress_create_index" => view.index_builds(),
        "pg_description" => view.descriptions(),
        "pg_foreign_data_wrapper" => view.foreign_wrappers(),
        "pg_foreign_server" => view.foreign_servers(),
        "pg_foreign_table" => view.foreign_tables(),
        "pg_rewrite" => view.rules(),
        "pg_depend" => view.dependencies(),
        "pg_sequence" => view.pg_sequence(),
        "pg_sequences" => view.pg_sequences(),
        "pg_tables" => view.tables(),
        "pg_type" => view.row_types(),
        "pg_views" => view.views(),
        "pg_matviews" => view.materialized_views(),
        "pg_database" => view.databases(),
        "pg_proc" => view.own_functions().iter().map(OwnFunction::row).collect(),
        other => roles::rows(environment, lakes, other),
    }
}

struct Objects<'a> {
    environment: &'a Environment,
    lakes: &'a Lakes,
}

/// A relation, where it is, and its id.
struct Placed<'a> {
    schema: &'a str,
    namespace: i64,
    name: &'a str,
    relation: &'a Relation,
    temp: bool,
    oid: i64,
}

fn text(value: impl Into<String>) -> ScalarValue {
    ScalarValue::Utf8(Some(value.into()))
}

fn some_text(value: Option<String>) -> ScalarValue {
    ScalarValue::Utf8(value)
}

fn count(value: usize) -> ScalarValue {
    ScalarValue::Int64(i64::try_from(value).ok())
}

impl<'a> Objects<'a> {
    /// Every schema with the name that users see, and whether it is the temp tables'.
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
            let namespace = oid::of(held.id, temp);
            found.extend(held.relations.iter().map(|(name, relation)| Placed {
                schema,
                namespace,
                name,
                relation,
                temp,
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

    /// Views and materialized views.
    fn stored_queries(&self) -> Vec<(Placed<'a>, Query<'a>)> {
        let query = |placed: Placed<'a>| Some((definitions::query(placed.relation)?, placed));
        self.relations().into_iter().filter_map(query).map(|(q, placed)| (placed, q)).collect()
    }

    fn own_functions(&self) -> &'a [OwnFunction] {
        self.environment.live.as_ref().map_or(&[], |live| live.functions())
    }

    fn namespaces(&self) -> Vec<Row> {
        let own =
            self.schemas().into_iter().map(|(name, schema, temp)| (name, oid::of(schema.id, temp)));
        let row = |(name, oid): (&str, i64)| {
            vec![("oid", oid.into()), ("nspname", text(name)), ("nspowner", oid::OWNER.into())]
        };
        let mut rows: Vec<Row> = own.chain(system::SCHEMAS).map(row).collect();
        for row in &mut rows {
            self.access_of_schema(row);
        }
        rows
    }

    fn classes(&self) -> Vec<Row> {
        let mut rows = Vec::new();
        let referring = self.referring();
        for placed in self.relations() {
            let (kind, columns, checks, indexed) = match placed.relation {
                Relation::Table(table) => {
                    let checks = table.constraints.iter().filter(|c| is_check(c)).count();
                    let kind = if table.query.is_some() { "m" } else { "r" };
                    (kind, table.columns.len(), checks, !keys(table).is_empty())
                }
                Relation::View(view) => {
                    let kind = if is_foreign(view) { "f" } else { "v" };
                    (kind, view.columns.len(), 0, false)
                }
            };
            let mut row = class(&placed, placed.oid, placed.name, kind);
            row.extend([
                ("reltype", oid::of_row_type(placed.oid).into()),
                ("relam", ScalarValue::from(if matches!(kind, "v" | "f") { 0_i64 } else { 2 })),
                ("relnatts", count(columns)),
                ("relchecks", count(checks)),
                ("relhasindex", indexed.into()),
                ("relhasrules", matches!(kind, "v" | "m").into()),
                ("relhastriggers", referring.contains(&placed.oid).into()),
                ("reltuples", ScalarValue::Float32(Some(-1.0))),
            ]);
            self.access_of_relation(&mut row, &placed);
            rows.push(row);
        }
        for (placed, table) in self.base_tables() {
            for key in keys(table) {
                let oid = oid::of_index(table, placed.temp, key.constraint);
                let mut row = class(&placed, oid, key.name, "i");
                row.push(("relam", access_method(key.method).into()));
                row.push(("relnatts", count(key.columns.len())));
                row.push(("relpages", 1_i32.into()));
                row.push(("reltuples", ScalarValue::Float32(Some(0.0))));
                rows.push(row);
            }
        }
        rows.extend(self.classes_of_sequences());
        rows
    }

    fn attributes(&self) -> Vec<Row> {
        let mut rows = Vec::new();
        for placed in self.relations() {
            match placed.relation {
                Relation::Table(table) => {
                    let identities = self.identities(&placed, table);
                    let columns = table.columns.iter().enumerate();
                    rows.extend(columns.map(|(index, column)| {
                        let identity = identities.iter().find(|(at, _)| *at == index);
                        let identity = identity.map(|(_, identity)| *identity);
                        let generated = table.generation(column.id).is_some();
                        let own = Some((column, identity, generated));
                        attribute(placed.oid, index, &column.field, own)
                    }));
                    for key in keys(table) {
                        let oid = oid::of_index(table, placed.temp, key.constraint);
                        let fields = key.columns.iter().enumerate().filter_map(|(at, id)| {
                            let column = table.columns.iter().find(|c| c.id == *id)?;
                            Some(attribute(oid, at, &column.field, None))
                        });
                        rows.extend(fields);
                    }
                }
                Relation::View(view) => {
                    let columns = view.columns.iter().enumerate();
                    rows.extend(columns.map(|(i, field)| attribute(placed.oid, i, field, None)));
                }
            }
        }
        rows
    }

    fn defaults(&self) -> Vec<Row> {
        let (path, mut rows) = (&self.environment.search_path, Vec::new());
        for (placed, table) in self.base_tables() {
            let identities = self.identities(&placed, table);
            for (index, column) in table.columns.iter().enumerate() {
                let shown = match (table.generation(column.id), &column.default) {
                    (Some(expression), _) => expression.to_owned(),
                    (None, Some(_)) if identities.iter().any(|(at, _)| *at == index) => continue,
                    (None, Some(default)) => defaults::shown(default, &column.field, path),
                    (None, None) => continue,
                };
                rows.push(vec![
                    ("oid", oid::of_default(placed.oid, index + 1).into()),
                    ("adrelid", placed.oid.into()),
                    ("adnum", count(index + 1)),
                    ("adbin", text(shown)),
                ]);
            }
        }
        rows
    }

    fn descriptions(&self) -> Vec<Row> {
        let row = |(object, class, part, comment): (i64, &str, usize, &str)| {
            vec![
                ("objoid", object.into()),
                ("classoid", built_in(class).into()),
                ("objsubid", count(part)),
                ("description", text(comment)),
            ]
        };
        let mut found = Vec::new();
        for (_, schema, temp) in self.schemas() {
            let comment = schema.comment.as_deref();
            found.extend(comment.map(|c| (oid::of(schema.id, temp), "pg_namespace", 0, c)));
        }
        for placed in self.relations() {
            let whole = match placed.relation {
                Relation::Table(table) => {
                    let columns = table.columns.iter().enumerate();
                    found.extend(columns.filter_map(|(index, column)| {
                        let comment = column.comment.as_deref()?;
                        Some((placed.oid, "pg_class", index + 1, comment))
                    }));
                    table.comment.as_deref()
                }
                Relation::View(view) => {
                    let columns = view.columns.iter().enumerate();
                    found.extend(columns.filter_map(|(index, field)| {
                        let comment = view.column_comments.get(field.name())?;
                        Some((placed.oid, "pg_class", index + 1, comment.as_str()))
                    }));
                    view.comment.as_deref()
                }
            };
            found.extend(whole.map(|comment| (placed.oid, "pg_class", 0, comment)));
        }
        let own = self.own_functions().iter();
        found.extend(own.map(|function| (function.oid(), "pg_proc", 0, &*function.comment)));
        found.into_iter().map(row).collect()
    }

    /// A view is a rule of its relation; its id is the view's.
    fn rules(&self) -> Vec<Row> {
        let row = |(placed, _): (Placed, Query)| {
            vec![
                ("oid", placed.oid.into()),
                ("rulename", text("_RETURN")),
                ("ev_class", placed.oid.into()),
                ("ev_type", text("1")),
                ("ev_enabled", text("O")),
                ("is_instead", true.into()),
            ]
        };
        self.stored_queries().into_iter().map(row).collect()
    }

    /// The rule of each view, and which relations it reads.
    fn dependencies(&self) -> Vec<Row> {
        let relations = self.relations();
        let mut rows = Vec::new();
        for (view, stored) in self.stored_queries() {
            rows.push(dependency(view.oid, view.oid, "i"));
            for name in stored.reads() {
                let target = relations.iter().find(|placed| {
                    let schemas = match name.schema() {
                        Some(schema) => vec![schema.to_owned()],
                        None => stored.search_path.to_vec(),
                    };
                    placed.name == name.table() && schemas.iter().any(|s| s == placed.schema)
                });
                let Some(target) = target else { continue };
                rows.push(dependency(view.oid, target.oid, "n"));
            }
        }
        rows.extend(self.owned_sequences());
        rows
    }

    fn tables(&self) -> Vec<Row> {
        let tables = self.base_tables().into_iter().filter(|(_, table)| table.query.is_none());
        let row = |(placed, table): (Placed, &Table)| {
            vec![
                ("schemaname", text(placed.schema)),
                ("tablename", text(placed.name)),
                ("tableowner", text(self.owner_name(&placed))),
                ("hasindexes", (!keys(table).is_empty()).into()),
            ]
        };
        tables.map(row).collect()
    }

    fn views(&self) -> Vec<Row> {
        let queries = self.stored_queries().into_iter();
        let views = queries.filter(|(placed, _)| matches!(placed.relation, Relation::View(_)));
        let row = |(placed, query): (Placed, Query)| {
            vec![
                ("schemaname", text(placed.schema)),
                ("viewname", text(placed.name)),
                ("viewowner", text(self.owner_name(&placed))),
                ("definition", text(query.definition())),
            ]
        };
        views.map(row).collect()
    }

    fn materialized_views(&self) -> Vec<Row> {
        let row = |(placed, table): (Placed, &Table)| {
            let stored = table.query.as_ref()?;
            let query = definitions::query(placed.relation)?;
            Some(vec![
                ("schemaname", text(placed.schema)),
                ("matviewname", text(placed.name)),
                ("matviewowner", text(self.owner_name(&placed))),
                ("hasindexes", (!keys(table).is_empty()).into()),
                ("ispopulated", stored.populated.into()),
                ("definition", text(query.definition())),
            ])
        };
        self.base_tables().into_iter().filter_map(row).collect()
    }

    fn databases(&self) -> Vec<Row> {
        let mut row = vec![
            ("oid", oid::DATABASE.into()),
            ("datname", text(&self.environment.database)),
            ("datdba", oid::OWNER.into()),
            ("encoding", 6_i32.into()),
            ("datlocprovider", text("c")),
            ("datallowconn", true.into()),
            ("datconnlimit", (-1_i32).into()),
            ("dattablespace", 1663_i64.into()),
            ("datcollate", text("C")),
            ("datctype", text("C.UTF-8")),
        ];
        self.access_of_database(&mut row);
        vec![row]
    }
}

/// That a view's rule goes with a relation.
fn dependency(rule: i64, relation: i64, kind: &str) -> Row {
    vec![
        ("classid", built_in("pg_rewrite").into()),
        ("objid", rule.into()),
        ("refclassid", built_in("pg_class").into()),
        ("refobjid", relation.into()),
        ("deptype", text(kind)),
    ]
}

/// The id of an index method in `pg_am`.
fn access_method(name: &str) -> i64 {
    match name {
        "hash" => 405,
        "gist" => 783,
        "gin" => 2742,
        "brin" => 3580,
        "spgist" => 4000,
        "ivf" => super::built_in::IVF,
        _ => 403,
    }
}

fn class(placed: &Placed<'_>, oid: i64, name: &str, kind: &str) -> Row {
    vec![
        ("oid", oid.into()),
        ("relname", text(name)),
        ("relnamespace", placed.namespace.into()),
        ("relowner", oid::OWNER.into()),
        ("relkind", text(kind)),
        ("relpersistence", text(if placed.temp { "t" } else { "p" })),
        ("relispopulated", is_populated(placed.relation).into()),
        ("relreplident", text("d")),
    ]
}

/// How Postgres would store values of a type.
fn storage(oid: u32, size: i16) -> &'static str {
    match (oid, size) {
        (1700 | 869, _) => "m",
        (22 | 30, _) | (_, 0..) => "p",
        _ => "x",
    }
}

/// Where Postgres would begin a value of a type; an array's as its items'.
fn alignment(oid: u32, size: i16) -> &'static str {
    match crate::pg_type::element_oid(oid) {
        Some(20 | 701 | 1083 | 1114 | 1184 | 1186) => return "d",
        Some(_) => return "i",
        None => {}
    }
    match (oid, size) {
        (19 | 2950, _) | (_, 1) => "c",
        (1186, _) | (_, 8) => "d",
        (_, 2) => "s",
        _ => "i",
    }
}

fn is_populated(relation: &Relation) -> bool {
    let query = relation.as_table().and_then(|table| table.query.as_ref());
    query.is_none_or(|query| query.populated)
}

fn attribute(
    relation: i64,
    index: usize,
    field: &Arc<Field>,
    column: Option<(&Column, Option<Identity>, bool)>,
) -> Row {
    let generated = column.is_some_and(|(.., generated)| generated);
    let identity = match column.and_then(|(_, identity, _)| identity) {
        None => "",
        Some(Identity::Always) => "a",
        Some(Identity::ByDefault) => "d",
    };
    let has_default = generated
        || column
            .is_some_and(|(column, identity, _)| column.default.is_some() && identity.is_none());
    let of = PgType::of(field);
    let array = i64::from(crate::pg_type::element_oid(of.oid).is_some());
    vec![
        ("attrelid", relation.into()),
        ("attname", text(field.name())),
        ("atttypid", i64::from(of.oid).into()),
        ("attlen", i32::from(of.size).into()),
        ("attnum", count(index + 1)),
        ("attndims", array.into()),
        ("attcacheoff", (-1_i32).into()),
        ("atttypmod", of.modifier.into()),
        ("attbyval", (1..=8).contains(&of.size).into()),
        ("attstorage", text(storage(of.oid, of.size))),
        ("attalign", text(alignment(of.oid, of.size))),
        ("attcompression", text("")),
        ("attidentity", text(identity)),
        ("attgenerated", text(if generated { "s" } else { "" })),
        ("attnotnull", column.is_some_and(|(column, ..)| !column.nullable).into()),
        ("atthasdef", has_default.into()),
        ("attislocal", true.into()),
        ("attstattarget", (-1_i32).into()),
        ("attcollation", collation(of.oid).into()),
    ]
}

/// The collation that a type comes with: `C` for names, the database's for other text.
fn collation(oid: u32) -> i64 {
    match oid {
        19 | 1003 => 950,
        25 | 1042 | 1043 | 1009 | 1014 | 1015 => 100,
        _ => 0,
    }
}
