//! Features as columns of numbers, which is what the kernels take.
//!
//! ```text
//!   number, boolean    one column         NULL and NaN: missing, in linear models the mean
//!   text, uuid, …      trees: one column of codes          NULL, unseen: missing
//!                      linear: one column for each value   NULL, unseen: all zero
//!   array, vector      one column for each element
//! ```

use std::collections::HashMap;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, Float64Array};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, Field, Float64Type};
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::types::shown;

/// Values that a category may have.
const MOST_CATEGORIES: usize = 100_000;
/// Columns that all features of a model may make.
const MOST_COLUMNS: usize = 10_000;

/// A feature as training has learned it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Feature {
    pub name: String,
    pub kind: Kind,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Kind {
    Number {
        mean: Option<f64>,
    },
    /// Ascending.
    Category {
        values: Vec<String>,
    },
    Vector {
        means: Vec<f64>,
    },
}

/// How a kernel wants categories.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Layout {
    /// Codes, NaN where missing.
    Codes,
    /// A column each, the mean where missing.
    Indicators,
}

/// Features ready to turn arrays into columns.
#[derive(Debug)]
pub(super) struct Encoder {
    pub features: Vec<Feature>,
    layout: Layout,
    /// Codes of a category's values.
    codes: Vec<HashMap<String, usize>>,
}

/// Columns, and of each whether it holds codes.
#[derive(Debug, Default)]
pub(super) struct Columns {
    pub values: Vec<Vec<f64>>,
    pub categorical: Vec<bool>,
}

impl Feature {
    /// Learns a feature from its training rows; `categorical`: numbers are names of categories.
    ///
    /// # Errors
    /// 42804 for a type that is no feature, 54000 for too many categories.
    pub fn fit(field: &Field, rows: &ArrayRef, categorical: bool) -> Result<Self> {
        let name = field.name().clone();
        let data_type = field.data_type();
        let kind = match data_type {
            _ if categorical && is_number(data_type) => categories(&name, rows)?,
            _ if is_number(data_type) => Kind::Number { mean: mean(numbers(rows)?.iter()) },
            DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => categories(&name, rows)?,
            DataType::FixedSizeList(item, _) | DataType::List(item)
                if is_number(item.data_type()) =>
            {
                vector(&name, rows)?
            }
            _ => return Err(no_feature(field)),
        };
        Ok(Self { name, kind })
    }

    /// Columns that it makes.
    fn width(&self, layout: Layout) -> usize {
        match (&self.kind, layout) {
            (Kind::Number { .. }, _) | (Kind::Category { .. }, Layout::Codes) => 1,
            (Kind::Category { values }, Layout::Indicators) => values.len(),
            (Kind::Vector { means }, _) => means.len(),
        }
    }
}

fn is_number(of: &DataType) -> bool {
    of.is_numeric() || *of == DataType::Boolean || *of == DataType::Null
}

fn no_feature(field: &Field) -> Error {
    let message = format!("column \"{}\" of type {} is no feature", field.name(), shown(field));
    let hint = match field.data_type() {
        DataType::Date32 | DataType::Timestamp(..) => {
            "Say in TRANSFORM what of it counts, as extract(epoch FROM …) or extract(dow FROM …)."
        }
        _ => "Leave it out of the query, or make numbers or text of it in TRANSFORM.",
    };
    Error::new("42804", message).with_hint(hint)
}

fn categories(name: &str, rows: &ArrayRef) -> Result<Kind> {
    let texts = texts(rows)?;
    let mut values: Vec<String> =
        texts.as_string::<i32>().iter().flatten().map(str::to_owned).collect();
    values.sort_unstable();
    values.dedup();
    if values.len() > MOST_CATEGORIES {
        let message = format!("column \"{name}\" has {} different values", values.len());
        return Err(Error::new("54000", message).with_hint(format!(
            "A category has at most {MOST_CATEGORIES}. TRANSFORM can hash them: \
             hash_bucket({name}, 1024)."
        )));
    }
    Ok(Kind::Category { values })
}

fn vector(name: &str, rows: &ArrayRef) -> Result<Kind> {
    let lists = lists(rows)?;
    let lengths = (0..lists.len()).filter(|row| lists.is_valid(*row));
    let mut lengths: Vec<usize> = lengths.map(|row| lists.value(row).len()).collect();
    lengths.sort_unstable();
    lengths.dedup();
    let [length] = lengths.as_slice() else {
        let message = match lengths.is_empty() {
            true => format!("column \"{name}\" has no value"),
            false => format!("arrays of column \"{name}\" differ in length"),
        };
        return Err(Error::new("22000", message));
    };
    let means = (0..*length).map(|place| mean(elements(&lists, place).iter()).unwrap_or(0.0));
    Ok(Kind::Vector { means: means.collect() })
}

fn lists(rows: &ArrayRef) -> Result<datafusion::arrow::array::ListArray> {
    let item = Field::new_list_field(DataType::Float64, true);
    Ok(converted(rows, &DataType::List(item.into()))?.as_list::<i32>().clone())
}

/// One place of every list, NaN where there is none.
fn elements(lists: &datafusion::arrow::array::ListArray, place: usize) -> Vec<f64> {
    let values = lists.values().as_primitive::<Float64Type>();
    let offsets = lists.value_offsets();
    let at = |row: usize| {
        let at = offsets[row] as usize + place;
        let there = lists.is_valid(row) && at < offsets[row + 1] as usize && values.is_valid(at);
        if there { values.value(at) } else { f64::NAN }
    };
    (0..lists.len()).map(at).collect()
}

/// Values, NaN where NULL.
pub(super) fn numbers(rows: &ArrayRef) -> Result<Vec<f64>> {
    let values = converted(rows, &DataType::Float64)?;
    let values: &Float64Array = values.as_primitive();
    Ok(values.iter().map(|value| value.unwrap_or(f64::NAN)).collect())
}

/// Values as text.
pub(super) fn texts(rows: &ArrayRef) -> Result<ArrayRef> {
    converted(rows, &DataType::Utf8)
}

fn converted(rows: &ArrayRef, to: &DataType) -> Result<ArrayRef> {
    cast(rows, to).map_err(|error| Error::Engine(error.into()))
}

/// Of those that are numbers; None if none is.
fn mean<'a>(values: impl Iterator<Item = &'a f64>) -> Option<f64> {
    let (mut count, mut mean) = (0.0, 0.0);
    for value in values.filter(|value| value.is_finite()) {
        count += 1.0;
        mean += (value - mean) / count;
    }
    (count > 0.0).then_some(mean)
}

impl Encoder {
    /// # Errors
    /// 54000 for more columns than a model may have.
    pub fn new(features: Vec<Feature>, layout: Layout) -> Result<Self> {
        let width: usize = features.iter().map(|feature| feature.width(layout)).sum();
        if width > MOST_COLUMNS {
            let message = format!("the features make {width} columns");
            return Err(Error::new("54000", message).with_hint(format!(
                "A model has at most {MOST_COLUMNS}. A category of linear models makes one for \
                 each of its values: hash_bucket() in TRANSFORM makes fewer."
            )));
        }
        let codes = features.iter().map(|feature| match &feature.kind {
            Kind::Category { values } => {
                values.iter().enumerate().map(|(code, value)| (value.clone(), code)).collect()
            }
            Kind::Number { .. } | Kind::Vector { .. } => HashMap::new(),
        });
        let codes = codes.collect();
        Ok(Self { features, layout, codes })
    }

    /// Columns that it makes.
    pub fn width(&self) -> usize {
        self.features.iter().map(|feature| feature.width(self.layout)).sum()
    }

    /// Their names, for messages.
    pub fn names(&self) -> Vec<String> {
        let of = |feature: &Feature| -> Vec<String> {
            let name = &feature.name;
            match (&feature.kind, self.layout) {
                (Kind::Category { values }, Layout::Indicators) => {
                    values.iter().map(|value| format!("{name}={value}")).collect()
                }
                (Kind::Vector { means }, _) => {
                    (1..=means.len()).map(|place| format!("{name}[{place}]")).collect()
                }
                _ => vec![name.clone()],
            }
        };
        self.features.iter().flat_map(of).collect()
    }

    pub fn layout(&self) -> Layout {
        self.layout
    }

    /// The columns of some rows; arrays are those of the features, in order.
    ///
    /// # Errors
    /// 22000 for an array of another length than in training.
    pub fn columns(&self, arrays: &[ArrayRef]) -> Result<Columns> {
        let mut columns = Columns::default();
        for ((feature, array), codes) in self.features.iter().zip(arrays).zip(&self.codes) {
            self.feature(feature, array, codes, &mut columns)?;
        }
        Ok(columns)
    }

    fn feature(
        &self,
        feature: &Feature,
        array: &ArrayRef,
        codes: &HashMap<String, usize>,
        out: &mut Columns,
    ) -> Result<()> {
        let fills = self.layout == Layout::Indicators;
        let fill = |values: &mut Vec<f64>, mean: f64| {
            if fills {
                values.iter_mut().filter(|value| value.is_nan()).for_each(|value| *value = mean);
            }
        };
        match &feature.kind {
            Kind::Number { mean } => {
                let mut values = numbers(array)?;
                fill(&mut values, mean.unwrap_or(0.0));
                out.push(values, false);
            }
            Kind::Category { values } => {
                let texts = texts(array)?;
                let texts = texts.as_string::<i32>();
                let code = |text: Option<&str>| text.and_then(|text| codes.get(text)).copied();
                if self.layout == Layout::Codes {
                    let column = texts.iter().map(|text| match code(text) {
                        Some(code) => code as f64,
                        None => f64::NAN,
                    });
                    out.push(column.collect(), true);
                    return Ok(());
                }
                let found: Vec<Option<usize>> = texts.iter().map(code).collect();
                for place in 0..values.len() {
                    let is = |code: &Option<usize>| f64::from(*code == Some(place));
                    out.push(found.iter().map(is).collect(), false);
                }
            }
            Kind::Vector { means } => {
                let lists = lists(array)?;
                let fits = |row: &usize| {
                    lists.is_null(*row) || lists.value_length(*row) == means.len() as i32
                };
                if !(0..lists.len()).all(|row| fits(&row)) {
                    let message = format!(
                        "feature \"{}\" is an array of {} numbers in this model",
                        feature.name,
                        means.len()
                    );
                    return Err(Error::new("22000", message));
                }
                for (place, mean) in means.iter().enumerate() {
                    let mut values = elements(&lists, place);
                    fill(&mut values, *mean);
                    out.push(values, false);
                }
            }
        }
        Ok(())
    }
}

impl Columns {
    fn push(&mut self, values: Vec<f64>, categorical: bool) {
        self.values.push(values);
        self.categorical.push(categorical);
    }

    /// As kernels take them.
    pub fn slices(&self) -> Vec<&[f64]> {
        self.values.iter().map(Vec::as_slice).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use datafusion::arrow::array::{BooleanArray, Int32Array, StringArray};

    use super::*;

    fn fitted(name: &str, rows: ArrayRef) -> Feature {
        Feature::fit(&Field::new(name, rows.data_type().clone(), true), &rows, false).unwrap()
    }

    #[test]
    fn values_become_columns_of_either_layout() {
        let text: ArrayRef = Arc::new(StringArray::from(vec![Some("b"), Some("a"), None]));
        let number: ArrayRef = Arc::new(Int32Array::from(vec![Some(1), None, Some(3)]));
        let flag: ArrayRef = Arc::new(BooleanArray::from(vec![true, false, true]));
        let features = vec![
            fitted("t", Arc::clone(&text)),
            fitted("n", Arc::clone(&number)),
            fitted("f", Arc::clone(&flag)),
        ];
        let unseen: ArrayRef = Arc::new(StringArray::from(vec![Some("c"), Some("a"), None]));
        let codes = Encoder::new(features.clone(), Layout::Codes).unwrap();
        let columns = codes.columns(&[unseen, number.clone(), flag.clone()]).unwrap();
        assert_eq!(columns.categorical, [true, false, false]);
        assert!(columns.values[0][0].is_nan() && columns.values[0][2].is_nan());
        assert_eq!(columns.values[0][1], 0.0);
        assert!(columns.values[1][1].is_nan());
        assert_eq!(columns.values[2], [1.0, 0.0, 1.0]);
        let indicators = Encoder::new(features, Layout::Indicators).unwrap();
        let columns = indicators.columns(&[text, number, flag]).unwrap();
        assert_eq!(indicators.names(), ["t=a", "t=b", "n", "f"]);
        assert_eq!(columns.values[0], [0.0, 1.0, 0.0]);
        assert_eq!(columns.values[2], [1.0, 2.0, 3.0]);
    }
}
