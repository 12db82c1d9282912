//! Comparisons of vectors: element by element, the shorter first where one begins the other.

use std::cmp::Ordering;
use std::sync::Arc;

use datafusion::arrow::array::{BooleanArray, Int32Array};
use datafusion::arrow::datatypes::DataType;
use datafusion::error::Result as EngineResult;
use kernels::vectors::compare;

use super::distance::{self, Given};
use super::side::Side;
use crate::Function;
use crate::arguments::{Argument, Call, Doc, Kind, required};

fn arguments() -> Vec<Argument> {
    vec![required("a", Kind::Vector, "a vector"), required("b", Kind::Vector, "another")]
}

/// Whether the order of two vectors is one that `holds`.
pub(super) fn comparing(name: &'static str, holds: fn(Ordering) -> bool, doc: Doc) -> Function {
    let call = Call { name, arguments: arguments(), doc };
    distance::function(call, DataType::Boolean, move |sides, given| {
        let answers = orders(sides, given).map(|order| Ok(order?.map(holds)));
        Ok(Arc::new(answers.collect::<EngineResult<BooleanArray>>()?))
    })
}

/// The order as a number.
pub(super) fn ordering(name: &'static str, doc: Doc) -> Function {
    let call = Call { name, arguments: arguments(), doc };
    distance::function(call, DataType::Int32, |sides, given| {
        let answers = orders(sides, given).map(|order| Ok(order?.map(|order| order as i32)));
        Ok(Arc::new(answers.collect::<EngineResult<Int32Array>>()?))
    })
}

fn orders(
    sides: &[Side],
    given: Given,
) -> impl Iterator<Item = EngineResult<Option<Ordering>>> + '_ {
    (0..given.rows).map(|row| {
        let (a, b) = (sides[0].at(row)?, sides[1].at(row)?);
        Ok(a.zip(b).map(|(a, b)| compare(&a, &b)))
    })
}
