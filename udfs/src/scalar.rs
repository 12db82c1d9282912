//! Scalar functions from a closure over their arguments.

use std::fmt::Debug;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef};
use datafusion::arrow::datatypes::DataType;
use datafusion::error::Result as EngineResult;
use datafusion::logical_expr::{
    ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
};

use crate::arguments::{Call, Given};
use crate::output::{Output, Shape, data_type};

/// Writes the answer of each row.
pub type Answer = fn(&Given, &[ArrayRef], rows: usize, &mut Output) -> EngineResult<()>;

/// The function of a closure: arguments come as columns of one length, constants also through
/// `Given`.
pub fn scalar(call: Call, shape: Shape, answer: Answer) -> crate::Function {
    let call = Arc::new(call);
    let signature = call.signature();
    let of = data_type(&shape);
    let function = Function { call: Arc::clone(&call), shape, answer, signature };
    crate::Function { call, engine: crate::Engine::Scalar(ScalarUDF::from(function)), answer: of }
}

struct Function {
    call: Arc<Call>,
    shape: Shape,
    answer: Answer,
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

impl ScalarUDFImpl for Function {
    fn name(&self) -> &str {
        self.call.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> EngineResult<DataType> {
        Ok(data_type(&self.shape))
    }

    fn coerce_types(&self, given: &[DataType]) -> EngineResult<Vec<DataType>> {
        Ok(self.call.coerce(given)?)
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> EngineResult<ColumnarValue> {
        let constant = arguments.args.iter().all(|value| matches!(value, ColumnarValue::Scalar(_)));
        let rows = if constant { 1 } else { arguments.number_rows };
        let columns = arguments.args.iter().map(|value| value.to_array(rows));
        let columns = columns.collect::<EngineResult<Vec<_>>>()?;
        let mut output = Output::new(self.shape.clone());
        (self.answer)(&self.call.given_values(&arguments.args), &columns, rows, &mut output)?;
        let answers = output.finish()?;
        Ok(match constant && answers.len() == 1 {
            true => {
                ColumnarValue::Scalar(datafusion::common::ScalarValue::try_from_array(&answers, 0)?)
            }
            false => ColumnarValue::Array(answers),
        })
    }
}
