//! Values of other types as vectors: `vector`, `halfvec`, arrays of numbers, text.

use std::fmt::Debug;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use datafusion::arrow::array::Array;
use datafusion::arrow::datatypes::DataType;
use datafusion::common::ScalarValue;
use datafusion::error::Result as EngineResult;
use datafusion::logical_expr::{
    ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
};
use kernels::vectors::{Cause, Kind, TextError};

use super::of_type::VectorType;
use super::side::Side;
use crate::arguments::{self, Call, Doc, option, required};
use crate::{Engine, Error, Function};

/// The cast to a kind of vectors.
pub(super) fn converting(name: &'static str, kind: Kind, doc: Doc) -> Function {
    let arguments = vec![
        required("value", arguments::Kind::Vector, "a vector, an array of numbers, or text"),
        option(
            "like",
            arguments::Kind::Vector,
            "a vector, or NULL, of the dimension that is wanted",
        ),
    ];
    let call = Arc::new(Call { name, arguments, doc });
    let signature = call.signature();
    let engine = ScalarUDF::from(Converted { call: Arc::clone(&call), signature, kind });
    let answer = VectorType { kind, dimension: None }.data_type();
    Function { call, engine: Engine::Scalar(engine), answer }
}

struct Converted {
    call: Arc<Call>,
    signature: Signature,
    kind: Kind,
}

impl Debug for Converted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.call.name)
    }
}

impl PartialEq for Converted {
    fn eq(&self, other: &Self) -> bool {
        self.kind == other.kind
    }
}

impl Eq for Converted {}

impl Hash for Converted {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.call.name.hash(state);
    }
}

impl Converted {
    fn vector(
        &self,
        side: &Side,
        row: usize,
        wanted: Option<usize>,
    ) -> EngineResult<Option<Vec<f32>>> {
        let Some(vector) = side.at(row)? else { return Ok(None) };
        match wanted {
            Some(expected) if expected != vector.len() => {
                let cause = Cause::Expected { expected, found: vector.len() };
                Err(Error::vector(&TextError { kind: self.kind, cause }).into())
            }
            _ => Ok(Some(vector.into_owned())),
        }
    }
}

impl ScalarUDFImpl for Converted {
    fn name(&self) -> &str {
        self.call.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, given: &[DataType]) -> EngineResult<DataType> {
        let known = |of: &DataType| VectorType::of(of).and_then(|of| of.dimension);
        let dimension = given.get(1).and_then(known).or(given.first().and_then(known));
        Ok(VectorType { kind: self.kind, dimension }.data_type())
    }

    fn coerce_types(&self, given: &[DataType]) -> EngineResult<Vec<DataType>> {
        // An array is looked at as it is: its own numbers decide what is too great.
        let kept = |(own, of): (&DataType, DataType)| match own {
            DataType::List(_) => own.clone(),
            _ => of,
        };
        Ok(given.iter().zip(self.call.coerce(given)?).map(kept).collect())
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> EngineResult<ColumnarValue> {
        let Some(of) = VectorType::of(arguments.return_field.data_type()) else {
            return datafusion::common::internal_err!("a vector is cast to none");
        };
        let value = &arguments.args[0];
        let side = Side::of(value, self.kind)?;
        let constant = matches!(value, ColumnarValue::Scalar(_));
        let rows = if constant { 1 } else { arguments.number_rows };
        let made = (0..rows).map(|row| self.vector(&side, row, of.dimension));
        let made = of.array(made.collect::<EngineResult<_>>()?)?;
        Ok(match constant && made.len() == 1 {
            true => ColumnarValue::Scalar(ScalarValue::try_from_array(&made, 0)?),
            false => ColumnarValue::Array(made),
        })
    }
}
