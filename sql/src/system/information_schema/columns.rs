//! `columns` and `element_types`.

use std::sync::OnceLock;

use catalog::{Column, Relation};
use datafusion::arrow::compute::concat_batches;
use datafusion::arrow::datatypes::{DataType, Field, SchemaRef};
use datafusion::arrow::record_batch::RecordBatch;
use datafusion::common::ScalarValue;

use super::{Objects, Placed, rows_of, text, yes};
use crate::error::{Error, Result};
use crate::plan::TEMP_SCHEMA;
use crate::sequences::{self, Identity};
use crate::statements::external::is_foreign;
use crate::system::defaults;
use crate::system::pg_catalog::{self, Row, built_in};
use crate::types::describe;

impl Objects<'_> {
    pub(super) fn columns(&self, schema: &SchemaRef) -> Result<RecordBatch> {
        let mut rows = Vec::new();
        for placed in self.relations() {
            let identities = self.identities(&placed);
            let fields = fields(&placed).into_iter().enumerate();
            rows.extend(fields.map(|(index, (field, column))| {
                let identity = identities.iter().find(|(at, _)| *at == index);
                let mut row = self.column(placed.schema, placed.name, index, field);
                row.push(("is_updatable", yes(column.is_some())));
                row.push(("is_nullable", yes(column.is_none_or(|column| column.nullable))));
                row.push(("is_identity", yes(identity.is_some())));
                let table = placed.relation.as_table();
                let generation = table.and_then(|table| table.generation(column?.id));
                row.push(("is_generated", text(generation.map_or("NEVER", |_| "ALWAYS"))));
                if let Some(expression) = generation {
                    row.push(("generation_expression", text(format!("({expression})"))));
                } else if let Some((_, identity)) = identity {
                    let generation = match identity {
                        Identity::Always => "ALWAYS",
                        Identity::ByDefault => "BY DEFAULT",
                    };
                    row.push(("identity_generation", text(generation)));
                } else if let Some(default) = column.and_then(|column| column.default.as_ref()) {
                    row.push(("column_default", text(defaults::shown(default, field, self.path))));
                }
                row
            }));
        }
        let parts = [rows_of(schema, rows)?, self.system_columns(schema)?];
        concat_batches(schema, &parts).map_err(|error| Error::Engine(error.into()))
    }

    /// Its identity columns, as positions.
    fn identities(&self, placed: &Placed<'_>) -> Vec<(usize, Identity)> {
        let Some(table) = placed.relation.as_table() else { return Vec::new() };
        let temp = self.lakes.temp.as_ref().filter(|_| placed.schema == TEMP_SCHEMA);
        sequences::identities(temp.unwrap_or(&self.lakes.main).state(), table)
    }

    /// Those of the system relations, made once a process: there is one database.
    fn system_columns(&self, schema: &SchemaRef) -> Result<RecordBatch> {
        static MADE: OnceLock<(String, RecordBatch)> = OnceLock::new();
        if let Some((database, batch)) = MADE.get()
            && database == self.database
        {
            return Ok(batch.clone());
        }
        let mut rows = Vec::new();
        for class in built_in::classes() {
            let Some(held) = pg_catalog::schema(class.schema, class.name) else { continue };
            let fields = held.fields().iter().enumerate();
            rows.extend(fields.map(|(index, field)| {
                let mut row = self.column(class.schema, class.name, index, field);
                row.push(("is_identity", yes(false)));
                row.push(("is_updatable", yes(class.kind == "r")));
                row.push(("is_nullable", yes(true)));
                row.push(("is_generated", text("NEVER")));
                row
            }));
        }
        let batch = rows_of(schema, rows)?;
        let _ = MADE.set((self.database.to_owned(), batch.clone()));
        Ok(batch)
    }

    fn column(&self, schema: &str, relation: &str, index: usize, field: &Field) -> Row {
        let described = describe(field);
        let length = described.character_maximum_length;
        let octets = match described.udt_name.as_str() {
            "text" | "varchar" | "bpchar" => Some(length.map_or(1 << 30, |length| length * 4)),
            _ => None,
        };
        let radix = match described.data_type.as_str() {
            "numeric" => Some(10),
            _ => described.numeric_precision.map(|_| 2),
        };
        let position = i32::try_from(index + 1).unwrap_or(i32::MAX);
        let mut row = self.place(schema, relation).to_vec();
        row.extend([
            ("column_name", text(field.name())),
            ("ordinal_position", position.into()),
            ("data_type", text(described.data_type)),
            ("character_maximum_length", length.into()),
            ("character_octet_length", octets.into()),
            ("numeric_precision", described.numeric_precision.into()),
            ("numeric_precision_radix", radix.into()),
            ("numeric_scale", described.numeric_scale.into()),
            ("datetime_precision", described.datetime_precision.into()),
            ("udt_catalog", self.database()),
            ("udt_schema", text("pg_catalog")),
            ("udt_name", text(described.udt_name)),
            ("dtd_identifier", text(position.to_string())),
        ]);
        let never = ["is_self_referencing", "identity_cycle"];
        row.extend(never.map(|name| (name, yes(false))));
        row
    }

    pub(super) fn element_types(&self) -> Vec<Row> {
        let mut rows = Vec::new();
        for placed in self.relations() {
            let kind = match placed.relation {
                Relation::Table(_) => "TABLE",
                Relation::View(view) if is_foreign(view) => "TABLE",
                Relation::View(_) => "VIEW",
            };
            for (index, (field, _)) in fields(&placed).into_iter().enumerate() {
                let DataType::List(item) = field.data_type() else { continue };
                let described = describe(item);
                rows.push(vec![
                    ("object_catalog", self.database()),
                    ("object_schema", text(placed.schema)),
                    ("object_name", text(placed.name)),
                    ("object_type", text(kind)),
                    ("collection_type_identifier", text((index + 1).to_string())),
                    ("data_type", text(described.data_type)),
                    ("udt_catalog", self.database()),
                    ("udt_schema", text("pg_catalog")),
                    ("udt_name", text(described.udt_name)),
                    ("dtd_identifier", text(format!("a{}", index + 1))),
                ] as Vec<(&'static str, ScalarValue)>);
            }
        }
        rows
    }
}

fn fields<'a>(placed: &Placed<'a>) -> Vec<(&'a Field, Option<&'a Column>)> {
    match placed.relation {
        Relation::Table(table) => {
            table.columns.iter().map(|column| (column.field.as_ref(), Some(column))).collect()
        }
        Relation::View(view) => view.columns.iter().map(|field| (field.as_ref(), None)).collect(),
    }
}
