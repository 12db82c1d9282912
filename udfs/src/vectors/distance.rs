//! Functions of one or two vectors; the distances of a column to one vector in one go.

use std::fmt::Debug;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, Float64Array};
use datafusion::arrow::datatypes::DataType;
use datafusion::common::ScalarValue;
use datafusion::error::Result as EngineResult;
use datafusion::logical_expr::{
    ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
};
use kernels::simd::level::Level;
use kernels::vectors::{self, Metric, Rows, double_distances};

use super::of_type::kind;
use super::side::{Side, failed};
use super::spelled;
use crate::arguments::{Call, Doc, Kind, required};
use crate::{Engine, Function};

/// The answer for every row.
type Answer = Box<dyn Fn(&[Side], Given) -> EngineResult<ArrayRef> + Send + Sync>;

/// What there is beside the vectors.
#[derive(Debug, Clone, Copy)]
pub(super) struct Given {
    /// Of all vectors.
    pub kind: vectors::Kind,
    pub rows: usize,
}

/// A function of vectors that answers values of a type.
pub(super) fn function(
    call: Call,
    of: DataType,
    answer: impl Fn(&[Side], Given) -> EngineResult<ArrayRef> + Send + Sync + 'static,
) -> Function {
    let call = Arc::new(call);
    let signature = call.signature();
    let answer: Answer = Box::new(answer);
    let aliases = spelled(call.name);
    let function =
        OfVectors { call: Arc::clone(&call), of: of.clone(), signature, aliases, answer };
    Function { call, engine: Engine::Scalar(ScalarUDF::from(function)), answer: of }
}

/// A distance, or what is made of it.
pub(super) fn between(
    name: &'static str,
    metric: Metric,
    of: fn(f64) -> f64,
    doc: Doc,
) -> Function {
    let arguments = vec![
        required("a", Kind::Vector, "a vector"),
        required("b", Kind::Vector, "another of the same dimension"),
    ];
    function(Call { name, arguments, doc }, DataType::Float64, move |sides, given| {
        let all = all(metric, &sides[0], &sides[1], given)?;
        let all: Float64Array = all.into_iter().map(|one| one.map(of)).collect();
        Ok(Arc::new(all))
    })
}

fn all(metric: Metric, a: &Side, b: &Side, given: Given) -> EngineResult<Vec<Option<f64>>> {
    let level = Level::best();
    let failed = |error: vectors::Error| failed(given.kind, &error);
    let one_to_many = match (a, b) {
        (Side::One(Some(query)), many) | (many, Side::One(Some(query))) => {
            many.matrix().map(|matrix| (query, many, matrix))
        }
        _ => None,
    };
    if let Some((query, many, matrix)) = one_to_many {
        let (first, second) = match a {
            Side::One(_) => (query.len(), matrix.dimension()),
            Side::Many(..) => (matrix.dimension(), query.len()),
        };
        same(first, second).map_err(failed)?;
        let mut out = vec![0.0; matrix.len()];
        double_distances(level, metric, query, matrix, &mut out).map_err(failed)?;
        let valid = |(row, distance): (usize, f64)| many.is_valid(row).then_some(distance);
        return Ok(out.into_iter().enumerate().map(valid).collect());
    }
    let one = |row: usize| match (a.at(row)?, b.at(row)?) {
        (Some(a), Some(b)) => {
            same(a.len(), b.len()).map_err(failed)?;
            let (mut out, b) = ([0.0], Rows::single(&b, b.len()).map_err(failed)?);
            double_distances(level, metric, &a, b, &mut out).map_err(failed)?;
            Ok(Some(out[0]))
        }
        _ => Ok(None),
    };
    (0..given.rows).map(one).collect()
}

fn same(expected: usize, found: usize) -> Result<(), vectors::Error> {
    match expected == found {
        true => Ok(()),
        false => Err(vectors::Error::Dimension { expected, found }),
    }
}

struct OfVectors {
    call: Arc<Call>,
    of: DataType,
    signature: Signature,
    aliases: Vec<String>,
    answer: Answer,
}

impl Debug for OfVectors {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.call.name)
    }
}

impl PartialEq for OfVectors {
    fn eq(&self, other: &Self) -> bool {
        self.call.name == other.call.name
    }
}

impl Eq for OfVectors {}

impl Hash for OfVectors {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.call.name.hash(state);
    }
}

impl ScalarUDFImpl for OfVectors {
    fn name(&self) -> &str {
        self.call.name
    }

    fn aliases(&self) -> &[String] {
        &self.aliases
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> EngineResult<DataType> {
        Ok(self.of.clone())
    }

    fn coerce_types(&self, given: &[DataType]) -> EngineResult<Vec<DataType>> {
        Ok(self.call.coerce(given)?)
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> EngineResult<ColumnarValue> {
        let types: Vec<DataType> = arguments.args.iter().map(ColumnarValue::data_type).collect();
        let kind = kind(&types);
        let sides = arguments.args.iter().map(|value| Side::of(value, kind));
        let sides = sides.collect::<EngineResult<Vec<_>>>()?;
        let constant = sides.iter().all(|side| matches!(side, Side::One(_)));
        let rows = if constant { 1 } else { arguments.number_rows };
        let answers = (self.answer)(&sides, Given { kind, rows })?;
        Ok(match constant {
            true => ColumnarValue::Scalar(ScalarValue::try_from_array(&answers, 0)?),
            false => ColumnarValue::Array(answers),
        })
    }
}
