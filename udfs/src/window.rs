//! Window functions that see a whole partition at once.

use std::fmt::Debug;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use datafusion::arrow::array::ArrayRef;
use datafusion::arrow::datatypes::{DataType, FieldRef};
use datafusion::error::Result as EngineResult;
use datafusion::logical_expr::function::{PartitionEvaluatorArgs, WindowUDFFieldArgs};
use datafusion::logical_expr::{PartitionEvaluator, Signature, WindowUDF, WindowUDFImpl};

use crate::arguments::{Call, Given, field};
use crate::output::Type;

/// The answer of every row of a partition from the columns of the arguments.
pub type Rows = Box<dyn Fn(&[ArrayRef]) -> EngineResult<ArrayRef> + Send>;
/// Reads the options.
pub type Options = fn(&Given) -> EngineResult<Rows>;

/// The function of a closure over a partition.
pub fn window(call: Call, answer: Type, options: Options) -> crate::Function {
    let call = Arc::new(call);
    let signature = call.signature();
    let answer = answer.arrow();
    let function = Function { call: Arc::clone(&call), answer: answer.clone(), options, signature };
    crate::Function { call, engine: crate::Engine::Window(WindowUDF::from(function)), answer }
}

struct Function {
    call: Arc<Call>,
    answer: DataType,
    options: Options,
    signature: Signature,
}

impl Debug for Function {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.call.name)
    }
}

impl PartialEq for Function {
    fn eq(&self, other: &Self) -> bool {
        self.call.name == other.call.name
    }
}

impl Eq for Function {}

impl Hash for Function {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.call.name.hash(state);
    }
}

impl WindowUDFImpl for Function {
    fn name(&self) -> &str {
        self.call.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, given: &[DataType]) -> EngineResult<Vec<DataType>> {
        Ok(self.call.coerce(given)?)
    }

    fn field(&self, arguments: WindowUDFFieldArgs) -> EngineResult<FieldRef> {
        Ok(field(arguments.name(), self.answer.clone()))
    }

    fn partition_evaluator(
        &self,
        arguments: PartitionEvaluatorArgs,
    ) -> EngineResult<Box<dyn PartitionEvaluator>> {
        let rows = (self.options)(&self.call.given(arguments.input_exprs()))?;
        Ok(Box::new(Whole(rows)))
    }
}

struct Whole(Rows);

impl Debug for Whole {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Whole")
    }
}

impl PartitionEvaluator for Whole {
    fn evaluate_all(&mut self, values: &[ArrayRef], _: usize) -> EngineResult<ArrayRef> {
        (self.0)(values)
    }
}
