//! Functions that make vectors of vectors: what they answer has as many elements as the same
//! function makes of zeros, which is told when the statement is planned.

use std::borrow::Cow;
use std::fmt::Debug;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, FixedSizeListArray};
use datafusion::arrow::datatypes::{DataType, Field, FieldRef, Float32Type};
use datafusion::common::ScalarValue;
use datafusion::error::Result as EngineResult;
use datafusion::logical_expr::{
    ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
};
use kernels::vectors;

use super::side::Side;
use crate::arguments::{Argument, Call, Doc};
use crate::{Engine, Error, Function};

/// A vector of vectors.
type Make = fn(&[Cow<'_, [f32]>]) -> Result<Vec<f32>, vectors::Error>;

/// A function whose arguments are vectors.
pub(super) fn making(
    name: &'static str,
    arguments: Vec<Argument>,
    doc: Doc,
    make: Make,
) -> Function {
    let call = Arc::new(Call { name, arguments, doc });
    let signature = call.signature();
    let function = Made { call: Arc::clone(&call), signature, make };
    Function { call, engine: Engine::Scalar(ScalarUDF::from(function)), answer: vector(1) }
}

fn vector(dimension: usize) -> DataType {
    let element = Arc::new(Field::new("element", DataType::Float32, true));
    DataType::FixedSizeList(element, i32::try_from(dimension).unwrap_or(i32::MAX))
}

struct Made {
    call: Arc<Call>,
    signature: Signature,
    make: Make,
}

impl Made {
    fn failed(error: &vectors::Error) -> Error {
        let (sqlstate, message) = (error.sqlstate(), error.to_string());
        Error::Vector { sqlstate, message, detail: None }
    }

    fn unknown(&self) -> Error {
        Error::Vector {
            sqlstate: "0A000",
            message: format!("{} of vectors of unknown dimensions", self.call.name),
            detail: Some("Cast them to vector(n)."),
        }
    }

    /// The number of elements of an argument; None for NULL.
    fn dimension(
        &self,
        field: &FieldRef,
        value: Option<&ScalarValue>,
    ) -> EngineResult<Option<usize>> {
        if let DataType::FixedSizeList(_, n) = field.data_type() {
            return Ok(usize::try_from(*n).ok());
        }
        let Some(value) = value else { return Err(self.unknown().into()) };
        match Side::of(&ColumnarValue::Scalar(value.clone()))? {
            Side::One(one) => Ok(one.map(|vector| vector.len())),
            Side::Many(_) => Ok(None),
        }
    }
}

impl Debug for Made {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.call.name)
    }
}

impl PartialEq for Made {
    fn eq(&self, other: &Self) -> bool {
        self.call.name == other.call.name
    }
}

impl Eq for Made {}

impl Hash for Made {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.call.name.hash(state);
    }
}

impl ScalarUDFImpl for Made {
    fn name(&self) -> &str {
        self.call.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, given: &[DataType]) -> EngineResult<DataType> {
        Ok(given.first().cloned().unwrap_or_else(|| vector(1)))
    }

    fn return_field_from_args(&self, given: ReturnFieldArgs<'_>) -> EngineResult<FieldRef> {
        let count = given.arg_fields.len();
        let mut zeros = Vec::with_capacity(count);
        for (field, value) in given.arg_fields.iter().zip(given.scalar_arguments) {
            if let Some(dimension) = self.dimension(field, *value)? {
                zeros.push(Cow::Owned(vec![0.0; dimension]));
            }
        }
        let dimension = match zeros.len() == count {
            true => (self.make)(&zeros).map_err(|error| Self::failed(&error))?.len(),
            // NULL, of whatever dimension.
            false => zeros.first().map_or(1, |zeros| zeros.len()),
        };
        Ok(Arc::new(Field::new(self.name(), vector(dimension), true)))
    }

    fn coerce_types(&self, given: &[DataType]) -> EngineResult<Vec<DataType>> {
        // What is a literal stays one, so that dimensions are told from it.
        let kept = |(own, of): (&DataType, DataType)| match own {
            DataType::Null => DataType::Null,
            _ => of,
        };
        Ok(given.iter().zip(self.call.coerce(given)?).map(kept).collect())
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> EngineResult<ColumnarValue> {
        let sides = arguments.args.iter().map(Side::of).collect::<EngineResult<Vec<_>>>()?;
        let constant = sides.iter().all(|side| matches!(side, Side::One(_)));
        let rows = if constant { 1 } else { arguments.number_rows };
        let DataType::FixedSizeList(_, dimension) = arguments.return_field.data_type() else {
            return datafusion::common::internal_err!("a vector is made of no vectors");
        };
        let mut made = Vec::with_capacity(rows);
        for row in 0..rows {
            let vectors = sides.iter().map(|side| side.at(row));
            let vectors = vectors.collect::<EngineResult<Option<Vec<_>>>>()?;
            let one = vectors.map(|vectors| (self.make)(&vectors)).transpose();
            made.push(one.map_err(|error| Self::failed(&error))?);
        }
        let lists = made.into_iter().map(|one| one.map(|one| one.into_iter().map(Some)));
        let made = FixedSizeListArray::from_iter_primitive::<Float32Type, _, _>(lists, *dimension);
        let (_, _, values, nulls) = made.into_parts();
        let element = Arc::new(Field::new("element", DataType::Float32, true));
        let made: ArrayRef =
            Arc::new(FixedSizeListArray::try_new(element, *dimension, values, nulls)?);
        Ok(match constant && made.len() == 1 {
            true => ColumnarValue::Scalar(ScalarValue::try_from_array(&made, 0)?),
            false => ColumnarValue::Array(made),
        })
    }
}
