//! Vectors of users and items.
//!
//! A user or item that training has not seen has no vector, which is NULL, unless its features or
//! history are given.

use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, FixedSizeListArray, Float32Array};
use datafusion::arrow::buffer::NullBuffer;
use datafusion::arrow::datatypes::{DataType, Field};
use kernels::models::two_tower::{self, Value};
use kernels::simd::level::Level;

use super::interactions::{floats, keys, lists};
use super::library::Retrieval;
use super::manifest::{Side, Taken};
use super::outputs::{Asked, With};
use super::retrieval::refused;
use crate::error::{Error, Result};

/// A feature's values.
enum Values {
    Category(Vec<Option<u64>>),
    Number(Vec<f32>),
    List(Vec<usize>, Vec<u64>),
}

/// Arrays are the key, then the side's features and the history, where they are given, and whether
/// the service that gives them knows the user.
pub(super) fn vectors(
    model: &Retrieval,
    (side, asked): (&Side, Asked),
    with: With,
    arrays: &[ArrayRef],
    rows: usize,
) -> Result<ArrayRef> {
    let missing = || Error::new("XX000", "the model takes other features");
    let (key, mut rest) = arrays.split_first().ok_or_else(missing)?;
    let keys = keys(&side.key, key)?;
    let mut features = Vec::new();
    if with.features {
        let (given, others) = rest.split_at_checked(side.features.len()).ok_or_else(missing)?;
        for ((name, taken), array) in side.features.iter().zip(given) {
            features.push(match taken {
                Taken::Category => Values::Category(self::keys(name, array)?),
                Taken::Number => Values::Number(floats(array)?),
                Taken::List => {
                    let (ends, keys) = lists(name, array)?;
                    Values::List(ends, keys)
                }
            });
        }
        rest = others;
    }
    let mut rest = rest.iter();
    let history = match with.history {
        true => Some(lists("history", rest.next().ok_or_else(missing)?)?),
        false => None,
    };
    let known = match with.service {
        true => rest.next().ok_or_else(missing)?.as_boolean_opt(),
        false => None,
    };
    let (dim, level) = (model.dim(), Level::best());
    let (mut all, mut there) = (Vec::with_capacity(rows * dim), Vec::with_capacity(rows));
    for row in 0..rows {
        let given: Vec<Value<'_>> = features.iter().map(|values| values.at(row)).collect();
        let given = with.features.then_some(given.as_slice());
        let history = history.as_ref().map(|(ends, keys)| slice(ends, keys, row));
        // Neither the service nor the training knows anything of them.
        let is_unknown = known.is_some_and(|known| !(known.is_valid(row) && known.value(row)))
            && user(model, level, (keys[row], None, None))?.is_none();
        let found = match asked {
            Asked::User if is_unknown => None,
            Asked::User => user(model, level, (keys[row], given, history))?,
            _ => item(model, level, (keys[row], given))?,
        };
        there.push(found.is_some());
        match found {
            Some(vector) => all.extend(vector),
            None => all.resize(all.len() + dim, 0.0),
        }
    }
    let item = Arc::new(Field::new("element", DataType::Float32, true));
    let values = Arc::new(Float32Array::from(all));
    let width = i32::try_from(dim).unwrap_or(i32::MAX);
    let nulls = Some(NullBuffer::from(there));
    let vectors = FixedSizeListArray::try_new(item, width, values, nulls);
    vectors.map(|vectors| Arc::new(vectors) as ArrayRef).map_err(|e| Error::Engine(e.into()))
}

/// The vector of a user whom training has seen.
pub(super) fn of_user(model: &Retrieval, key: u64) -> Result<Option<Vec<f32>>> {
    user(model, Level::best(), (Some(key), None, None))
}

impl Values {
    fn at(&self, row: usize) -> Value<'_> {
        match self {
            Self::Category(keys) => Value::Category(keys[row]),
            Self::Number(values) => Value::Number(values[row]),
            Self::List(ends, keys) => Value::List(slice(ends, keys, row)),
        }
    }
}

fn slice<'a>(ends: &[usize], keys: &'a [u64], row: usize) -> &'a [u64] {
    let start = row.checked_sub(1).map_or(0, |before| ends[before]);
    &keys[start..ends[row]]
}

/// None for one that is not known.
fn found(vector: Result<Vec<f32>, two_tower::Error>) -> Result<Option<Vec<f32>>> {
    match vector {
        Ok(vector) => Ok(Some(vector)),
        Err(two_tower::Error::Unknown { .. }) => Ok(None),
        Err(error) => Err(refused(&error)),
    }
}

fn user(
    model: &Retrieval,
    level: Level,
    (key, features, history): (Option<u64>, Option<&[Value<'_>]>, Option<&[u64]>),
) -> Result<Option<Vec<f32>>> {
    if key.is_none() && features.is_none() && history.is_none() {
        return Ok(None);
    }
    match (model, history, key) {
        (Retrieval::TwoTower(model), ..) => found(model.embed_user(level, key, features, history)),
        (Retrieval::Als(model), Some(history), _) => Ok(Some(model.fold_in(level, history))),
        (Retrieval::Als(model), None, Some(key)) => {
            found(model.embed_user(key).map(<[f32]>::to_vec))
        }
        (Retrieval::Als(_), None, None) => Ok(None),
    }
}

fn item(
    model: &Retrieval,
    level: Level,
    (key, features): (Option<u64>, Option<&[Value<'_>]>),
) -> Result<Option<Vec<f32>>> {
    match (model, key) {
        (_, None) if features.is_none() => Ok(None),
        (Retrieval::TwoTower(model), key) => found(model.embed_item(level, key, features)),
        (Retrieval::Als(model), Some(key)) => found(model.embed_item(key).map(<[f32]>::to_vec)),
        (Retrieval::Als(_), None) => Ok(None),
    }
}
