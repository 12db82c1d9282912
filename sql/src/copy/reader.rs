//! Texts as values of a column: what INSERT of a text literal would store.

use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, RecordBatch, StringArray};
use datafusion::arrow::datatypes::{DataType, Field, Schema};
use datafusion::common::{DFSchema, ToDFSchema};
use datafusion::execution::SessionState;
use datafusion::logical_expr::Expr;
use datafusion::physical_expr::PhysicalExpr;

use crate::changes;
use crate::error::{Error, Result};

/// See the module.
#[derive(Debug, Clone)]
pub struct TextReader {
    expression: Arc<dyn PhysicalExpr>,
    texts: Arc<Schema>,
}

impl TextReader {
    /// A reader for a column; times without a zone are the session's.
    pub fn new(engine: &SessionState, column: &Field) -> Result<Self> {
        let texts = Arc::new(Schema::new(vec![Field::new("text", DataType::Utf8, true)]));
        let schema: DFSchema = Arc::clone(&texts).to_dfschema()?;
        let text = Expr::Column(changes::ident("text"));
        let expression = changes::assigned(text, column, &schema, engine)?;
        let expression = engine.create_physical_expr(expression, &schema)?;
        Ok(Self { expression, texts })
    }

    /// The values; an error does not say of which text.
    pub fn read(&self, texts: &StringArray) -> Result<ArrayRef> {
        let rows = texts.len();
        let batch = RecordBatch::try_new(Arc::clone(&self.texts), vec![Arc::new(texts.clone())]);
        let batch = batch.map_err(|error| Error::Engine(error.into()))?;
        Ok(self.expression.evaluate(&batch)?.into_array(rows)?)
    }
}
