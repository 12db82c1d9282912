//! Functions that make vectors of vectors. Their dimension is told from the types of the arguments
//! alone, for a value that is computed early must be of the type that was planned.

use std::borrow::Cow;
use std::fmt::Debug;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray};
use datafusion::arrow::datatypes::{DataType, Int64Type};
use datafusion::common::ScalarValue;
use datafusion::error::Result as EngineResult;
use datafusion::logical_expr::{
    ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
};
use kernels::vectors::{DIMENSIONS, Error, Kind};

use super::of_type::{VectorType, kind};
use super::side::{Side, failed};
use super::spelled;
use crate::arguments::{self, Argument, Call, Doc};
use crate::{Engine, Function};

/// What a row gives to a function.
pub(super) struct Given<'a> {
    pub kind: Kind,
    pub vectors: Vec<Cow<'a, [f32]>>,
    /// Whole numbers, which come behind the vectors.
    pub numbers: Vec<i32>,
}

/// A vector of what a row gives.
type Make = fn(&Given<'_>) -> Result<Vec<f32>, Error>;

/// The dimension of what is made of vectors of known dimensions, and of unknown ones.
type Dimension = fn(&[Option<usize>]) -> Option<usize>;

/// That of the arguments, which must be one.
pub(super) fn same(known: &[Option<usize>]) -> Option<usize> {
    known.iter().flatten().next().copied()
}

/// That of all arguments together.
pub(super) fn total(known: &[Option<usize>]) -> Option<usize> {
    known.iter().copied().sum()
}

/// Any.
pub(super) fn any(_: &[Option<usize>]) -> Option<usize> {
    None
}

/// A function whose arguments are vectors, and whole numbers behind them.
pub(super) fn making(
    (name, arguments, doc): (&'static str, Vec<Argument>, Doc),
    dimension: Dimension,
    make: Make,
) -> Function {
    let call = Arc::new(Call { name, arguments, doc });
    let signature = call.signature();
    let aliases = spelled(name);
    let function = Made { call: Arc::clone(&call), signature, aliases, dimension, make };
    let answer = VectorType { kind: Kind::Single, dimension: None }.data_type();
    Function { call, engine: Engine::Scalar(ScalarUDF::from(function)), answer }
}

struct Made {
    call: Arc<Call>,
    signature: Signature,
    aliases: Vec<String>,
    dimension: Dimension,
    make: Make,
}

/// The values of one argument.
enum Values {
    Vectors(Side),
    Numbers(ArrayRef),
}

impl Made {
    /// How many arguments are vectors.
    fn vectors(&self) -> usize {
        let is_vector = |argument: &&Argument| argument.kind == arguments::Kind::Vector;
        self.call.arguments.iter().filter(is_vector).count()
    }

    fn row(&self, values: &[Values], kind: Kind, row: usize) -> EngineResult<Option<Vec<f32>>> {
        let mut given = Given { kind, vectors: Vec::new(), numbers: Vec::new() };
        for value in values {
            match value {
                Values::Vectors(side) => match side.at(row)? {
                    Some(vector) => given.vectors.push(vector),
                    None => return Ok(None),
                },
                Values::Numbers(numbers) if numbers.is_null(row) => return Ok(None),
                Values::Numbers(numbers) => {
                    given.numbers.push(whole(numbers.as_primitive::<Int64Type>().value(row)));
                }
            }
        }
        Ok(Some((self.make)(&given).map_err(|error| failed(kind, &error))?))
    }
}

fn whole(number: i64) -> i32 {
    number.clamp(i64::from(i32::MIN), i64::from(i32::MAX)) as i32
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

    fn aliases(&self) -> &[String] {
        &self.aliases
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, given: &[DataType]) -> EngineResult<DataType> {
        let vectors = given.get(..self.vectors()).unwrap_or(given);
        let known = |of: &DataType| VectorType::of(of).and_then(|of| of.dimension);
        let known: Vec<Option<usize>> = vectors.iter().map(known).collect();
        let dimension = (self.dimension)(&known).filter(|n| *n <= DIMENSIONS);
        Ok(VectorType { kind: kind(vectors), dimension }.data_type())
    }

    fn coerce_types(&self, given: &[DataType]) -> EngineResult<Vec<DataType>> {
        Ok(self.call.coerce(given)?)
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> EngineResult<ColumnarValue> {
        let Some(of) = VectorType::of(arguments.return_field.data_type()) else {
            return datafusion::common::internal_err!("a vector is made of no vectors");
        };
        let is_scalar = |value: &ColumnarValue| matches!(value, ColumnarValue::Scalar(_));
        let constant = arguments.args.iter().all(is_scalar);
        let rows = if constant { 1 } else { arguments.number_rows };
        let vectors = self.vectors();
        let values = arguments.args.iter().enumerate().map(|(index, value)| {
            Ok(match index < vectors {
                true => Values::Vectors(Side::of(value, of.kind)?),
                false => Values::Numbers(value.to_array(rows)?),
            })
        });
        let values = values.collect::<EngineResult<Vec<_>>>()?;
        let made = (0..rows).map(|row| self.row(&values, of.kind, row));
        let made = of.array(made.collect::<EngineResult<_>>()?)?;
        Ok(match constant && made.len() == 1 {
            true => ColumnarValue::Scalar(ScalarValue::try_from_array(&made, 0)?),
            false => ColumnarValue::Array(made),
        })
    }
}
