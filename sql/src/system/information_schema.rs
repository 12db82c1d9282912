//! `information_schema`: the SQL standard's description of the database, with Postgres' type names.

use catalog::{Column, Constraint, Relation, Schema, State, Table};
use datafusion::arrow::datatypes::Field;
use datafusion::arrow::record_batch::RecordBatch;

use super::{Cell, Columns, batch};
use crate::error::Result;
use crate::plan::{Environment, Lakes, TEMP_SCHEMA};
use crate::types::describe;

pub(super) const NAMES: &[&str] = &[
    "schemata",
    "tables",
    "columns",
    "views",
    "table_constraints",
    "key_column_usage",
    "constraint_column_usage",
    "routines",
    "role_table_grants",
];

const SCHEMATA: Columns = &[
    ("catalog_name", 't'),
    ("schema_name", 't'),
    ("schema_owner", 't'),
    ("default_character_set_catalog", 't'),
    ("default_character_set_schema", 't'),
    ("default_character_set_name", 't'),
    ("sql_path", 't'),
];
const TABLES: Columns = &[
    ("table_catalog", 't'),
    ("table_schema", 't'),
    ("table_name", 't'),
    ("table_type", 't'),
    ("self_referencing_column_name", 't'),
    ("reference_generation", 't'),
    ("user_defined_type_catalog", 't'),
    ("user_defined_type_schema", 't'),
    ("user_defined_type_name", 't'),
    ("is_insertable_into", 't'),
    ("is_typed", 't'),
    ("commit_action", 't'),
];
const COLUMNS: Columns = &[
    ("table_catalog", 't'),
    ("table_schema", 't'),
    ("table_name", 't'),
    ("column_name", 't'),
    ("ordinal_position", 'i'),
    ("column_default", 't'),
    ("is_nullable", 't'),
    ("data_type", 't'),
    ("character_maximum_length", 'i'),
    ("character_octet_length", 'i'),
    ("numeric_precision", 'i'),
    ("numeric_precision_radix", 'i'),
    ("numeric_scale", 'i'),
    ("datetime_precision", 'i'),
    ("interval_type", 't'),
    ("collation_name", 't'),
    ("domain_name", 't'),
    ("udt_catalog", 't'),
    ("udt_schema", 't'),
    ("udt_name", 't'),
    ("dtd_identifier", 't'),
    ("is_identity", 't'),
    ("is_generated", 't'),
    ("generation_expression", 't'),
    ("is_updatable", 't'),
];
const VIEWS: Columns = &[
    ("table_catalog", 't'),
    ("table_schema", 't'),
    ("table_name", 't'),
    ("view_definition", 't'),
    ("check_option", 't'),
    ("is_updatable", 't'),
    ("is_insertable_into", 't'),
];
const TABLE_CONSTRAINTS: Columns = &[
    ("constraint_catalog", 't'),
    ("constraint_schema", 't'),
    ("constraint_name", 't'),
    ("table_catalog", 't'),
    ("table_schema", 't'),
    ("table_name", 't'),
    ("constraint_type", 't'),
    ("is_deferrable", 't'),
    ("initially_deferred", 't'),
    ("enforced", 't'),
];
const KEY_COLUMN_USAGE: Columns = &[
    ("constraint_catalog", 't'),
    ("constraint_schema", 't'),
    ("constraint_name", 't'),
    ("table_catalog", 't'),
    ("table_schema", 't'),
    ("table_name", 't'),
    ("column_name", 't'),
    ("ordinal_position", 'i'),
    ("position_in_unique_constraint", 'i'),
];
const CONSTRAINT_COLUMN_USAGE: Columns = &[
    ("table_catalog", 't'),
    ("table_schema", 't'),
    ("table_name", 't'),
    ("column_name", 't'),
    ("constraint_catalog", 't'),
    ("constraint_schema", 't'),
    ("constraint_name", 't'),
];
const ROUTINES: Columns = &[
    ("specific_catalog", 't'),
    ("specific_schema", 't'),
    ("specific_name", 't'),
    ("routine_catalog", 't'),
    ("routine_schema", 't'),
    ("routine_name", 't'),
    ("routine_type", 't'),
    ("data_type", 't'),
];
const ROLE_TABLE_GRANTS: Columns = &[
    ("grantor", 't'),
    ("grantee", 't'),
    ("table_catalog", 't'),
    ("table_schema", 't'),
    ("table_name", 't'),
    ("privilege_type", 't'),
    ("is_grantable", 't'),
    ("with_hierarchy", 't'),
];

/// One relation's rows; None if it is not one of `NAMES`.
pub(super) fn table(
    environment: &Environment,
    lakes: &Lakes,
    name: &str,
) -> Result<Option<RecordBatch>> {
    let view = View { database: &environment.database, user: &environment.user, lakes };
    let (columns, rows) = match name {
        "schemata" => (SCHEMATA, view.schemata()),
        "tables" => (TABLES, view.tables()),
        "columns" => (COLUMNS, view.columns()),
        "views" => (VIEWS, view.views()),
        "table_constraints" => (TABLE_CONSTRAINTS, view.table_constraints()),
        "key_column_usage" => (KEY_COLUMN_USAGE, view.key_columns(true)),
        "constraint_column_usage" => (CONSTRAINT_COLUMN_USAGE, view.key_columns(false)),
        // Only functions that users define are listed, and there are none.
        "routines" => (ROUTINES, Vec::new()),
        "role_table_grants" => {
            (ROLE_TABLE_GRANTS, super::grants::role_table_grants(environment, lakes))
        }
        _ => return Ok(None),
    };
    batch(columns, rows).map(Some)
}

struct View<'a> {
    database: &'a str,
    user: &'a str,
    lakes: &'a Lakes,
}

impl View<'_> {
    /// Every schema with the name that users see; temp tables last.
    fn schemas(&self) -> Vec<(&str, &Schema)> {
        fn of(state: &State) -> impl Iterator<Item = (&str, &Schema)> {
            state.schemas.iter().map(|(name, schema)| (name.as_str(), schema.as_ref()))
        }
        let mut found: Vec<(&str, &Schema)> = of(self.lakes.main.state()).collect();
        if let Some(temp) = &self.lakes.temp {
            found.extend(of(temp.state()).map(|(_, schema)| (TEMP_SCHEMA, schema)));
        }
        found
    }

    fn relations(&self) -> Vec<(&str, &str, &Relation)> {
        let mut found = Vec::new();
        for (name, schema) in self.schemas() {
            found.extend(schema.relations.iter().map(|(r, relation)| (name, r.as_str(), relation)));
        }
        found
    }

    fn base_tables(&self) -> Vec<(&str, &Table)> {
        let table = |(schema, _, relation)| match relation {
            &Relation::Table(ref table) => Some((schema, table.as_ref())),
            Relation::View(_) => None,
        };
        self.relations().into_iter().filter_map(table).collect()
    }

    fn schemata(&self) -> Vec<Vec<Cell>> {
        let mut names: Vec<&str> = self.schemas().into_iter().map(|(name, _)| name).collect();
        names.extend(["information_schema", "lake", "pg_catalog"]);
        let row = |name: &str| {
            let mut row: Vec<Cell> = vec![self.database.into(), name.into(), self.user.into()];
            row.resize_with(SCHEMATA.len(), || Cell::Null);
            row
        };
        names.into_iter().map(row).collect()
    }

    /// As Postgres has it, materialized views are none of them.
    fn standard(&self) -> Vec<(&str, &str, &Relation)> {
        let relations = self.relations().into_iter();
        let standard = |r: &Relation| r.as_table().is_none_or(|table| table.query.is_none());
        relations.filter(|(_, _, relation)| standard(relation)).collect()
    }

    fn tables(&self) -> Vec<Vec<Cell>> {
        let row = |(schema, name, relation): (&str, &str, &Relation)| {
            let (kind, insertable) = match (relation, schema) {
                (Relation::Table(_), TEMP_SCHEMA) => ("LOCAL TEMPORARY", true),
                (Relation::Table(_), _) => ("BASE TABLE", true),
                (Relation::View(_), _) => ("VIEW", false),
            };
            let mut row: Vec<Cell> =
                vec![self.database.into(), schema.into(), name.into(), kind.into()];
            row.resize_with(9, || Cell::Null);
            row.extend([insertable.into(), false.into(), Cell::Null]);
            row
        };
        self.standard().into_iter().map(row).collect()
    }

    fn columns(&self) -> Vec<Vec<Cell>> {
        let mut rows = Vec::new();
        for (schema, name, relation) in self.standard() {
            match relation {
                Relation::Table(table) => {
                    let columns = table.columns.iter().enumerate();
                    rows.extend(
                        columns.map(|(i, c)| self.column(schema, name, i, &c.field, Some(c))),
                    );
                }
                Relation::View(view) => {
                    let columns = view.columns.iter().enumerate();
                    rows.extend(columns.map(|(i, f)| self.column(schema, name, i, f, None)));
                }
            }
        }
        rows
    }

    fn column(
        &self,
        schema: &str,
        relation: &str,
        index: usize,
        field: &Field,
        column: Option<&Column>,
    ) -> Vec<Cell> {
        let described = describe(field);
        let octets = matches!(described.udt_name.as_str(), "text" | "varchar" | "bpchar");
        let radix = match described.data_type.as_str() {
            "numeric" => Some(10),
            _ => described.numeric_precision.map(|_| 2),
        };
        let position = index as i32 + 1;
        vec![
            self.database.into(),
            schema.into(),
            relation.into(),
            field.name().as_str().into(),
            position.into(),
            column.and_then(|c| c.default.clone()).into(),
            column.is_none_or(|c| c.nullable).into(),
            described.data_type.into(),
            described.character_maximum_length.into(),
            octets.then_some(1_073_741_824).into(),
            described.numeric_precision.into(),
            radix.into(),
            described.numeric_scale.into(),
            described.datetime_precision.into(),
            Cell::Null,
            Cell::Null,
            Cell::Null,
            self.database.into(),
            "pg_catalog".into(),
            described.udt_name.into(),
            position.to_string().into(),
            false.into(),
            "NEVER".into(),
            Cell::Null,
            column.is_some().into(),
        ]
    }

    fn views(&self) -> Vec<Vec<Cell>> {
        let row = |(schema, name, relation): (&str, &str, &Relation)| match relation {
            Relation::Table(_) => None,
            Relation::View(view) => Some(vec![
                self.database.into(),
                schema.into(),
                name.into(),
                view.sql.as_str().into(),
                "NONE".into(),
                false.into(),
                false.into(),
            ]),
        };
        self.relations().into_iter().filter_map(row).collect()
    }

    fn table_constraints(&self) -> Vec<Vec<Cell>> {
        let mut rows = Vec::new();
        for (schema, table) in self.base_tables() {
            for constraint in &table.constraints {
                let (name, kind, enforced) = match constraint {
                    Constraint::Check { name, .. } => (name, "CHECK", true),
                    Constraint::Unique { name, primary: true, .. } => (name, "PRIMARY KEY", false),
                    Constraint::Unique { name, .. } => (name, "UNIQUE", false),
                    Constraint::ForeignKey { name, .. } => (name, "FOREIGN KEY", false),
                    Constraint::Index(_) => continue,
                };
                rows.push(vec![
                    self.database.into(),
                    schema.into(),
                    name.as_str().into(),
                    self.database.into(),
                    schema.into(),
                    table.name.as_str().into(),
                    kind.into(),
                    false.into(),
                    false.into(),
                    enforced.into(),
                ]);
            }
        }
        rows
    }

    /// Key columns, in the column order of `key_column_usage` or of `constraint_column_usage`.
    fn key_columns(&self, usage: bool) -> Vec<Vec<Cell>> {
        let mut rows = Vec::new();
        for (schema, table) in self.base_tables() {
            for constraint in &table.constraints {
                let (name, ids) = match constraint {
                    Constraint::Unique { name, columns, .. } => (name, columns),
                    Constraint::ForeignKey { name, columns, .. } if usage => (name, columns),
                    Constraint::ForeignKey { .. }
                    | Constraint::Check { .. }
                    | Constraint::Index(_) => continue,
                };
                let columns =
                    ids.iter().filter_map(|id| table.columns.iter().find(|c| c.id == *id));
                for (index, column) in columns.enumerate() {
                    let key: [Cell; 3] =
                        [self.database.into(), schema.into(), name.as_str().into()];
                    let place: [Cell; 4] = [
                        self.database.into(),
                        schema.into(),
                        table.name.as_str().into(),
                        column.name.as_str().into(),
                    ];
                    let mut row: Vec<Cell> = Vec::with_capacity(9);
                    if usage {
                        row.extend(key);
                        row.extend(place);
                        row.extend([Cell::Integer(index as i32 + 1), Cell::Null]);
                    } else {
                        row.extend(place);
                        row.extend(key);
                    }
                    rows.push(row);
                }
            }
        }
        rows
    }
}
