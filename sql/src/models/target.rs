//! Labels as numbers, and predictions as labels.

use datafusion::arrow::array::{Array, ArrayRef, AsArray, StringArray};
use datafusion::arrow::compute::{cast, sort_to_indices, take};
use datafusion::arrow::datatypes::{DataType, Field};
use serde::{Deserialize, Serialize};

use super::features::{numbers, texts};
use crate::error::{Error, Result};
use crate::types::shown;

/// Classes that a model may tell apart.
const MOST_CLASSES: usize = 1000;

/// What a model predicts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Target {
    /// A number.
    Number,
    /// One of several values, ascending in their own type; of two the second is the positive one.
    Classes { values: Vec<String>, data_type: ClassType },
}

/// Types of labels that are classes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum ClassType {
    Boolean,
    Bigint,
    Text,
}

impl ClassType {
    pub fn arrow(self) -> DataType {
        match self {
            Self::Boolean => DataType::Boolean,
            Self::Bigint => DataType::Int64,
            Self::Text => DataType::Utf8,
        }
    }

    fn of(field: &Field) -> Option<Self> {
        match field.data_type() {
            DataType::Boolean => Some(Self::Boolean),
            of if of.is_integer() => Some(Self::Bigint),
            DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => Some(Self::Text),
            _ => None,
        }
    }
}

impl Target {
    /// The classes of a label.
    ///
    /// # Errors
    /// 42804 for a type that has no classes, 22000 for only one, 54000 for too many.
    pub fn classes(field: &Field, labels: &ArrayRef) -> Result<Self> {
        let name = field.name();
        let Some(data_type) = ClassType::of(field) else {
            let message = format!("label \"{name}\" of type {} has no classes", shown(field));
            return Err(Error::new("42804", message)
                .with_hint("Labels of classes are boolean, integer or text."));
        };
        let engine = |error| Error::Engine(datafusion::error::DataFusionError::from(error));
        let order = sort_to_indices(labels, None, None).map_err(engine)?;
        let sorted = texts(&take(labels, &order, None).map_err(engine)?)?;
        let mut values: Vec<String> =
            sorted.as_string::<i32>().iter().flatten().map(str::to_owned).collect();
        values.dedup();
        match values.len() {
            2..=MOST_CLASSES => Ok(Self::Classes { values, data_type }),
            0 => Err(Error::new("22000", format!("label \"{name}\" has no value"))),
            1 => {
                let message = format!("label \"{name}\" has only one value: {}", values[0]);
                Err(Error::new("22000", message)
                    .with_hint("There is nothing to tell apart. Look at the query's WHERE."))
            }
            count => {
                let message = format!("label \"{name}\" has {count} values");
                Err(Error::new("54000", message).with_hint(format!(
                    "A model tells apart at most {MOST_CLASSES} classes. A number is predicted \
                     with objective = 'regression'."
                )))
            }
        }
    }

    /// Labels as kernels take them.
    ///
    /// # Errors
    /// 42804 for a label that is no number, 22000 for one that is no class.
    pub fn encode(&self, field: &Field, labels: &ArrayRef) -> Result<Vec<f64>> {
        match self {
            Self::Number if field.data_type().is_numeric() => numbers(labels),
            Self::Number => {
                let (name, of) = (field.name(), shown(field));
                let message = format!("label \"{name}\" of type {of} is no number");
                Err(Error::new("42804", message)
                    .with_hint("Classes are told apart by logistic models and by gbdt."))
            }
            Self::Classes { values, data_type } => {
                let engine = |error| Error::Engine(datafusion::error::DataFusionError::from(error));
                let as_trained = cast(labels, &data_type.arrow()).map_err(engine)?;
                let found = texts(&as_trained)?;
                let code = |(row, text): (usize, Option<&str>)| match text {
                    Some(text)
                        if let Some(code) = values.iter().position(|value| value == text) =>
                    {
                        Ok(code as f64)
                    }
                    None if labels.is_null(row) => Ok(f64::NAN),
                    _ => Err(no_class(field, text, values)),
                };
                found.as_string::<i32>().iter().enumerate().map(code).collect()
            }
        }
    }

    /// How many numbers a kernel gives for a row.
    pub fn outputs(&self) -> usize {
        match self {
            Self::Number => 1,
            Self::Classes { values, .. } if values.len() == 2 => 1,
            Self::Classes { values, .. } => values.len(),
        }
    }

    /// The class of each row's probabilities; of equal ones the first, NULL where one is NaN.
    pub fn decode(&self, probabilities: &[f64]) -> Result<Option<ArrayRef>> {
        let Self::Classes { values, data_type } = self else { return Ok(None) };
        let class = |row: &[f64]| match row {
            [positive] => usize::from(*positive > 0.5),
            many => {
                let mut best = 0;
                for (class, probability) in many.iter().enumerate() {
                    if *probability > many[best] {
                        best = class;
                    }
                }
                best
            }
        };
        let name = |row: &[f64]| {
            let known = !row.iter().any(|probability| probability.is_nan());
            known.then(|| values[class(row)].as_str())
        };
        let names: StringArray = probabilities.chunks_exact(self.outputs()).map(name).collect();
        let classes = cast(&names, &data_type.arrow());
        classes.map(Some).map_err(|error| Error::Engine(error.into()))
    }
}

fn no_class(field: &Field, found: Option<&str>, values: &[String]) -> Error {
    let (name, of) = (field.name(), shown(field));
    let found = found.map_or_else(|| format!("of type {of}"), |found| format!("\"{found}\""));
    let message = format!("label {found} in \"{name}\" is no class of the model");
    let few: Vec<&str> = values.iter().take(5).map(String::as_str).collect();
    Error::new("22000", message).with_hint(format!("Its classes are {}.", few.join(", ")))
}

/// Rows whose label is there: a row without says nothing.
pub(super) fn labelled(labels: &ArrayRef) -> Vec<bool> {
    (0..labels.len()).map(|row| labels.is_valid(row)).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use datafusion::arrow::array::{BooleanArray, Int32Array};
    use datafusion::arrow::datatypes::Int64Type;

    use super::*;

    #[test]
    fn classes_are_in_the_order_of_their_type() {
        let labels: ArrayRef = Arc::new(Int32Array::from(vec![Some(10), Some(9), None, Some(100)]));
        let field = Field::new("y", DataType::Int32, true);
        let target = Target::classes(&field, &labels).unwrap();
        let codes = target.encode(&field, &labels).unwrap();
        assert_eq!((codes[0], codes[1], codes[3]), (1.0, 0.0, 2.0));
        let classes = target.decode(&[0.1, 0.2, 0.7, 0.4, 0.4, 0.2]).unwrap().unwrap();
        assert_eq!(classes.as_primitive::<Int64Type>().values(), &[100, 9]);
    }

    #[test]
    fn of_two_classes_the_greater_is_positive() {
        let labels: ArrayRef = Arc::new(BooleanArray::from(vec![true, false]));
        let field = Field::new("y", DataType::Boolean, true);
        let target = Target::classes(&field, &labels).unwrap();
        assert_eq!(target.outputs(), 1);
        let classes = target.decode(&[0.5, 0.51]).unwrap().unwrap();
        assert_eq!(classes.as_boolean(), &BooleanArray::from(vec![false, true]));
        let one: ArrayRef = Arc::new(BooleanArray::from(vec![true, true]));
        assert!(Target::classes(&field, &one).is_err());
    }
}
