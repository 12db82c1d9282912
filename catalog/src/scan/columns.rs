//! Which column of a file is which column of the table: by field id.
//!
//! A file without field ids (written by another tool) is read by name.

use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, Field, FieldRef, Schema, SchemaRef};
use datafusion::common::ScalarValue;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::error::{DataFusionError, Result};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::{Column, Literal};
use datafusion::physical_expr_adapter::{
    DefaultPhysicalExprAdapterFactory, PhysicalExprAdapter, PhysicalExprAdapterFactory,
};

use super::text;
use crate::model::Table;
use crate::types;

/// Field metadata that Parquet's reader and writer keep ids under.
pub(crate) const FIELD_ID: &str = "PARQUET:field_id";
/// Field metadata: what rows of files older than the column read as.
const INITIAL_DEFAULT: &str = "sextant.initial_default";
/// Starts the name of a column that a file does not have.
const MISSING: &str = "\u{4}";

/// The field id of a field.
fn field_id(field: &Field) -> Option<i64> {
    field.metadata().get(FIELD_ID)?.parse().ok()
}

/// The table's fields with their ids and initial defaults.
pub(super) fn fields(table: &Table) -> Vec<FieldRef> {
    let field = |column: &crate::model::Column| {
        let mut metadata = column.field.metadata().clone();
        metadata.insert(FIELD_ID.into(), column.id.to_string());
        if let Some(default) = &column.initial_default {
            metadata.insert(INITIAL_DEFAULT.into(), default.clone());
        }
        Arc::new(column.field.as_ref().clone().with_metadata(metadata))
    };
    table.columns.iter().map(field).collect()
}

/// See the module.
#[derive(Debug)]
pub(super) struct ByFieldId;

impl PhysicalExprAdapterFactory for ByFieldId {
    fn create(
        &self,
        logical_file_schema: SchemaRef,
        physical_file_schema: SchemaRef,
    ) -> Result<Arc<dyn PhysicalExprAdapter>> {
        let has_ids = physical_file_schema.fields().iter().any(|f| field_id(f).is_some());
        let renamed = |field: &FieldRef| match has_ids {
            true => in_file(field, &physical_file_schema),
            false => Arc::clone(field),
        };
        let fields: Vec<FieldRef> = logical_file_schema.fields().iter().map(renamed).collect();
        let schema = Arc::new(Schema::new(fields));
        let inner = DefaultPhysicalExprAdapterFactory
            .create(Arc::clone(&schema), Arc::clone(&physical_file_schema))?;
        let physical = physical_file_schema;
        Ok(Arc::new(Adapter { logical: logical_file_schema, renamed: schema, physical, inner }))
    }
}

/// The field under the name it has in the file, or one that no file has.
fn in_file(field: &FieldRef, file: &Schema) -> FieldRef {
    let Some(id) = field_id(field) else { return Arc::clone(field) };
    let field = field.as_ref().clone().with_nullable(true);
    Arc::new(match file.fields().iter().find(|f| field_id(f) == Some(id)) {
        Some(found) if text::converted(0, found, &field).is_some() => {
            field.with_name(found.name()).with_data_type(found.data_type().clone())
        }
        Some(found) => field.with_name(found.name()),
        None => field.with_name(format!("{MISSING}{id}")),
    })
}

#[derive(Debug)]
struct Adapter {
    logical: SchemaRef,
    renamed: SchemaRef,
    physical: SchemaRef,
    inner: Arc<dyn PhysicalExprAdapter>,
}

impl PhysicalExprAdapter for Adapter {
    fn rewrite(&self, expr: Arc<dyn PhysicalExpr>) -> Result<Arc<dyn PhysicalExpr>> {
        let renamed = expr
            .transform(|node| {
                let Some(column) = node.downcast_ref::<Column>() else {
                    return Ok(Transformed::no(node));
                };
                let Ok(index) = self.logical.index_of(column.name()) else {
                    return Ok(Transformed::no(node));
                };
                types::check_readable(self.logical.field(index)).map_err(external)?;
                let field = self.renamed.field(index);
                if let Some(value) = initial(field)? {
                    return Ok(Transformed::yes(Arc::new(Literal::new(value)) as _));
                }
                refuse_interval(&self.physical, field)?;
                let in_file = self.physical.column_with_name(field.name());
                let new = match in_file {
                    Some((at, found)) => text::converted(at, found, self.logical.field(index)),
                    None => None,
                };
                let new = new.unwrap_or_else(|| Arc::new(Column::new(field.name(), index)));
                Ok(Transformed::yes(new))
            })
            .data()?;
        self.inner.rewrite(renamed)
    }
}

/// The reader takes the months out of Parquet's intervals: no answer is better than a wrong one.
fn refuse_interval(file: &Schema, field: &Field) -> Result<()> {
    match file.column_with_name(field.name()) {
        Some((_, found)) if matches!(found.data_type(), DataType::Interval(_)) => {
            let message = format!("reading interval column \"{}\" from a file", field.name());
            Err(DataFusionError::NotImplemented(message))
        }
        _ => Ok(()),
    }
}

fn external(error: crate::error::Error) -> DataFusionError {
    DataFusionError::External(Box::new(error))
}

/// The constant that a missing column reads as.
fn initial(field: &Field) -> Result<Option<ScalarValue>> {
    if !field.name().starts_with(MISSING) {
        return Ok(None);
    }
    let Some(text) = field.metadata().get(INITIAL_DEFAULT) else { return Ok(None) };
    if *field.data_type() == DataType::Null {
        return Ok(None);
    }
    let parsed = types::parse_values(&[Some(text.clone())], field).map_err(external)?;
    ScalarValue::try_from_array(&parsed, 0).map(Some)
}
