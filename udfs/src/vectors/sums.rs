//! `sum` and `avg` of vectors. A window that moves keeps its vectors, since sums of floats cannot
//! be taken back exactly.

use std::collections::VecDeque;
use std::fmt::Debug;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, Float64Array, ListArray};
use datafusion::arrow::buffer::OffsetBuffer;
use datafusion::arrow::datatypes::{DataType, Field, FieldRef, Float64Type, Int64Type};
use datafusion::common::ScalarValue;
use datafusion::error::Result as EngineResult;
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::utils::format_state_name;
use datafusion::logical_expr::{Accumulator, AggregateUDF, AggregateUDFImpl, Signature};
use kernels::vectors::{self, Cause, Kind, Sum, TextError};

use super::of_type::VectorType;
use super::side::{Side, failed};
use crate::arguments::{self, Call, Doc, field, required};
use crate::{Engine, Error, Function};

/// What is made of the sum.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Of {
    Sum,
    Mean,
}

/// The aggregate.
pub(super) fn aggregate(name: &'static str, of: Of, doc: Doc) -> Function {
    let arguments = vec![required("v", arguments::Kind::Vector, "a vector")];
    let call = Arc::new(Call { name, arguments, doc });
    let signature = call.signature();
    let engine = AggregateUDF::from(Aggregate { call: Arc::clone(&call), signature, of });
    let answer = VectorType { kind: Kind::Single, dimension: None }.data_type();
    Function { call, engine: Engine::Aggregate(engine), answer }
}

struct Aggregate {
    call: Arc<Call>,
    signature: Signature,
    of: Of,
}

impl Debug for Aggregate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.call.name)
    }
}

impl PartialEq for Aggregate {
    fn eq(&self, other: &Self) -> bool {
        self.of == other.of
    }
}

impl Eq for Aggregate {}

impl Hash for Aggregate {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.of.hash(state);
    }
}

impl Aggregate {
    fn totals(&self, arguments: &AccumulatorArgs) -> EngineResult<Totals> {
        if arguments.is_distinct {
            return Err(Error::Distinct { function: self.call.name }.into());
        }
        match VectorType::of(arguments.return_field.data_type()) {
            Some(vectors) => Ok(Totals { of: self.of, vectors, sum: Sum::default() }),
            None => datafusion::common::internal_err!("a sum of vectors is no vector"),
        }
    }
}

impl AggregateUDFImpl for Aggregate {
    fn name(&self) -> &str {
        self.call.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, given: &[DataType]) -> EngineResult<DataType> {
        let other = VectorType { kind: Kind::Single, dimension: None };
        let of = given.first().and_then(VectorType::of).unwrap_or(other);
        Ok(of.data_type())
    }

    fn coerce_types(&self, given: &[DataType]) -> EngineResult<Vec<DataType>> {
        Ok(self.call.coerce(given)?)
    }

    fn state_fields(&self, arguments: StateFieldsArgs) -> EngineResult<Vec<FieldRef>> {
        let named = |part: &str| format_state_name(arguments.name, part);
        let sums = DataType::new_list(DataType::Float64, true);
        Ok(vec![field(&named("count"), DataType::Int64), field(&named("sums"), sums)])
    }

    fn accumulator(&self, arguments: AccumulatorArgs) -> EngineResult<Box<dyn Accumulator>> {
        Ok(Box::new(self.totals(&arguments)?))
    }

    fn create_sliding_accumulator(
        &self,
        arguments: AccumulatorArgs,
    ) -> EngineResult<Box<dyn Accumulator>> {
        let totals = self.totals(&arguments)?;
        Ok(Box::new(Sliding { totals, rows: VecDeque::new() }))
    }
}

/// The sum so far.
#[derive(Debug, Clone)]
struct Totals {
    of: Of,
    vectors: VectorType,
    sum: Sum,
}

impl Totals {
    fn failed(&self, error: &vectors::Error) -> Error {
        let kind = self.vectors.kind;
        match (self.of, error) {
            // As pgvector words it.
            (Of::Mean, vectors::Error::Dimension { expected, found }) => {
                let cause = Cause::Expected { expected: *expected, found: *found };
                Error::vector(&TextError { kind, cause })
            }
            _ => failed(kind, error),
        }
    }

    fn push(&mut self, vector: &[f32]) -> EngineResult<()> {
        Ok(self.sum.push(vector).map_err(|error| self.failed(&error))?)
    }

    fn side(&self, values: &ArrayRef) -> Side {
        Side::Many(Arc::clone(values), self.vectors.kind)
    }
}

impl Accumulator for Totals {
    fn update_batch(&mut self, values: &[ArrayRef]) -> EngineResult<()> {
        let side = self.side(&values[0]);
        for row in 0..values[0].len() {
            if let Some(vector) = side.at(row)? {
                self.push(&vector)?;
            }
        }
        Ok(())
    }

    fn evaluate(&mut self) -> EngineResult<ScalarValue> {
        let made = match self.of {
            Of::Sum => self.sum.sum(self.vectors.kind),
            Of::Mean => self.sum.mean(self.vectors.kind),
        };
        let made = made.map_err(|error| self.failed(&error))?;
        ScalarValue::try_from_array(&self.vectors.array(vec![made])?, 0)
    }

    fn size(&self) -> usize {
        size_of_val(self) + size_of_val(self.sum.parts().1)
    }

    fn state(&mut self) -> EngineResult<Vec<ScalarValue>> {
        let (count, sums) = self.sum.parts();
        let item = Arc::new(Field::new_list_field(DataType::Float64, true));
        let ends = OffsetBuffer::from_lengths([sums.len()]);
        let sums =
            ListArray::try_new(item, ends, Arc::new(Float64Array::from(sums.to_vec())), None)?;
        let count = i64::try_from(count).unwrap_or(i64::MAX);
        Ok(vec![ScalarValue::Int64(Some(count)), ScalarValue::List(Arc::new(sums))])
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> EngineResult<()> {
        let counts = states[0].as_primitive::<Int64Type>();
        let sums = states[1].as_list::<i32>();
        for row in (0..counts.len()).filter(|row| counts.is_valid(*row)) {
            let values = sums.value(row);
            let values = values.as_primitive::<Float64Type>().values().to_vec();
            let other = Sum::from_parts(counts.value(row).unsigned_abs(), values);
            self.sum.merge(&other).map_err(|error| self.failed(&error))?;
        }
        Ok(())
    }
}

/// The vectors of a window that moves.
#[derive(Debug)]
struct Sliding {
    totals: Totals,
    /// NULLs too: as many rows leave as have come.
    rows: VecDeque<Option<Vec<f32>>>,
}

impl Accumulator for Sliding {
    fn update_batch(&mut self, values: &[ArrayRef]) -> EngineResult<()> {
        let side = self.totals.side(&values[0]);
        for row in 0..values[0].len() {
            self.rows.push_back(side.at(row)?.map(|vector| vector.into_owned()));
        }
        Ok(())
    }

    fn retract_batch(&mut self, values: &[ArrayRef]) -> EngineResult<()> {
        self.rows.drain(..values[0].len().min(self.rows.len()));
        Ok(())
    }

    fn supports_retract_batch(&self) -> bool {
        true
    }

    fn evaluate(&mut self) -> EngineResult<ScalarValue> {
        let mut totals = self.totals.clone();
        self.rows.iter().flatten().try_for_each(|vector| totals.push(vector))?;
        totals.evaluate()
    }

    fn size(&self) -> usize {
        let held = self.rows.iter().flatten().map(|vector| size_of_val(vector.as_slice()));
        size_of_val(self) + held.sum::<usize>()
    }

    fn state(&mut self) -> EngineResult<Vec<ScalarValue>> {
        self.totals.state()
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> EngineResult<()> {
        self.totals.merge_batch(states)
    }
}
