//! Stand-in run path.

use datafusion::arrow::datatypes::{FieldRef, SchemaRef};
use datafusion::execution::SendableRecordBatchStream;
use datafusion::logical_expr::LogicalPlan;

#[derive(Debug, Clone)]
pub struct Statement {
    pub text: String,
}

#[derive(Clone)]
pub struct Prepared {
    pub parameters: Vec<FieldRef>,
    pub columns: Option<SchemaRef>,
    pub(crate) text: String,
    pub(crate) plan: Option<LogicalPlan>,
}

impl Prepared {
    pub(crate) fn new(
        text: String,
        parameters: Vec<FieldRef>,
        columns: Option<SchemaRef>,
        plan: Option<LogicalPlan>,
    ) -> Self {
        Self {
            parameters,
            columns,
            text,
            plan,
        }
    }
}

pub enum Outcome {
    Rows {
        schema: SchemaRef,
        rows: SendableRecordBatchStream,
        tag: &'static str,
        count: bool,
    },
    Done {
        tag: String,
    },
    Empty,
}
