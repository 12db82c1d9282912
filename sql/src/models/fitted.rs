//! Functions of TRANSFORM that learn from the training rows: `standard_scaler(x) OVER ()` and its
//! like, named and computed as scikit-learn's `preprocessing`.
//!
//! ```text
//!   standard_scaler(x)          (x - mean) / deviation of all            a constant: 0
//!   min_max_scaler(x)           (x - least) / (greatest - least)         a constant: 0
//!   max_abs_scaler(x)           x / greatest |x|                         all 0: 0
//!   robust_scaler(x)            (x - median) / (third - first quartile)  no range: 0
//!   quantile_bucketize(x, n)    0 to n - 1 by quantiles
//!   one_hot(x)                  an array: 1 in the value's place; the first place is for others
//!   label_encoder(x)            1, 2, … by value; 0 for others
//!   imputer(x [, 'mean' | 'median' | 'most_frequent'])      x, or what stands for NULL and NaN
//! ```
//! NULL and NaN teach nothing and stay NULL, but for the imputer.

use std::collections::HashMap;
use std::sync::Arc;

use datafusion::arrow::array::{
    Array, ArrayRef, AsArray, Float64Array, Float64Builder, Int64Array, ListBuilder, StringArray,
};
use datafusion::arrow::datatypes::{DataType, Field};
use serde::{Deserialize, Serialize};

use super::features::{numbers, texts};
use crate::error::{Error, Result};

/// The functions, by name.
pub(super) const NAMES: [&str; 8] = [
    "standard_scaler",
    "min_max_scaler",
    "max_abs_scaler",
    "robust_scaler",
    "quantile_bucketize",
    "one_hot",
    "label_encoder",
    "imputer",
];
/// Places that `one_hot` may have.
const MOST_PLACES: usize = 10_000;
/// Buckets that there may be.
const MOST_BUCKETS: i64 = 10_000;

/// What one call has learned.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Fitted {
    /// (x - shift) / scale.
    Scaled {
        shift: f64,
        scale: f64,
    },
    Buckets {
        edges: Vec<f64>,
    },
    OneHot {
        values: Vec<String>,
    },
    Labels {
        values: Vec<String>,
    },
    Number {
        instead: Option<f64>,
    },
    Text {
        instead: Option<String>,
    },
}

/// The second argument of a call.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Setting {
    None,
    Whole(i64),
    Word(String),
}

impl Fitted {
    /// Learns from the rows of the training part.
    ///
    /// # Errors
    /// 22023 for a wrong second argument, 42804 for a value that is no number, 54000 for more
    /// values than a function takes.
    pub fn fit(function: &str, rows: &ArrayRef, setting: &Setting) -> Result<Self> {
        let no_setting = || match setting {
            Setting::None => Ok(()),
            _ => Err(Error::new("42883", format!("{function} takes one argument"))),
        };
        match function {
            "quantile_bucketize" => buckets(rows, setting),
            "imputer" => imputer(rows, setting),
            "one_hot" => {
                no_setting()?;
                let values = distinct(rows)?;
                match values.len() <= MOST_PLACES {
                    true => Ok(Self::OneHot { values }),
                    false => {
                        Err(Error::new("54000", format!("one_hot of {} values", values.len()))
                            .with_hint("label_encoder() or hash_bucket() take any number."))
                    }
                }
            }
            "label_encoder" => {
                no_setting()?;
                Ok(Self::Labels { values: distinct(rows)? })
            }
            _ => {
                no_setting()?;
                scaled(function, &there(rows, function)?)
            }
        }
    }

    pub fn data_type(&self) -> DataType {
        match self {
            Self::Scaled { .. } | Self::Number { .. } => DataType::Float64,
            Self::Buckets { .. } | Self::Labels { .. } => DataType::Int64,
            Self::OneHot { .. } => {
                DataType::List(Arc::new(Field::new_list_field(DataType::Float64, true)))
            }
            Self::Text { .. } => DataType::Utf8,
        }
    }

    /// What becomes of values.
    pub fn apply(&self, rows: &ArrayRef) -> Result<ArrayRef> {
        let each = |f: &dyn Fn(f64) -> Option<f64>| -> Result<ArrayRef> {
            let values = numbers(rows)?.into_iter();
            let values: Float64Array =
                values.map(|x| if x.is_nan() { None } else { f(x) }).collect();
            Ok(Arc::new(values))
        };
        match self {
            Self::Scaled { shift, scale } => match *scale {
                0.0 => each(&|_| Some(0.0)),
                scale => each(&|x| Some((x - shift) / scale)),
            },
            Self::Buckets { edges } => {
                let bucket = |x: f64| edges.partition_point(|edge| *edge <= x) as i64;
                let values = numbers(rows)?.into_iter();
                let values: Int64Array = values.map(|x| (!x.is_nan()).then(|| bucket(x))).collect();
                Ok(Arc::new(values))
            }
            Self::Number { instead } => {
                let values = numbers(rows)?.into_iter();
                let values: Float64Array =
                    values.map(|x| if x.is_nan() { *instead } else { Some(x) }).collect();
                Ok(Arc::new(values))
            }
            Self::Text { instead } => {
                let found = texts(rows)?;
                let values = found.as_string::<i32>().iter();
                let values: StringArray = values.map(|text| text.or(instead.as_deref())).collect();
                Ok(Arc::new(values))
            }
            Self::Labels { values } => {
                let found = texts(rows)?;
                let label = |text: &str| place(values, text) as i64;
                let labels: Int64Array =
                    found.as_string::<i32>().iter().map(|text| text.map(label)).collect();
                Ok(Arc::new(labels))
            }
            Self::OneHot { values } => {
                let found = texts(rows)?;
                let mut lists = ListBuilder::new(Float64Builder::new());
                for text in found.as_string::<i32>() {
                    let Some(text) = text else {
                        lists.append(false);
                        continue;
                    };
                    let one = place(values, text);
                    for place in 0..=values.len() {
                        lists.values().append_value(f64::from(place == one));
                    }
                    lists.append(true);
                }
                Ok(Arc::new(lists.finish()))
            }
        }
    }
}

/// From 1 on; 0 for what is not among them.
fn place(values: &[String], text: &str) -> usize {
    values.binary_search_by(|value| value.as_str().cmp(text)).map_or(0, |place| place + 1)
}

/// Ascending.
fn distinct(rows: &ArrayRef) -> Result<Vec<String>> {
    let texts = texts(rows)?;
    let mut values: Vec<String> =
        texts.as_string::<i32>().iter().flatten().map(str::to_owned).collect();
    values.sort_unstable();
    values.dedup();
    Ok(values)
}

/// Numbers that are there, ascending.
fn there(rows: &ArrayRef, function: &str) -> Result<Vec<f64>> {
    if !rows.data_type().is_numeric() && !rows.data_type().is_null() {
        let message = format!("{function} takes numbers");
        return Err(Error::new("42804", message));
    }
    let mut values = numbers(rows)?;
    values.retain(|value| value.is_finite());
    values.sort_unstable_by(f64::total_cmp);
    Ok(values)
}

fn scaled(function: &str, values: &[f64]) -> Result<Fitted> {
    let (least, greatest) = match (values.first(), values.last()) {
        (Some(least), Some(greatest)) => (*least, *greatest),
        _ => (0.0, 0.0),
    };
    let (shift, scale) = match function {
        "standard_scaler" => moments(values),
        "min_max_scaler" => (least, greatest - least),
        "max_abs_scaler" => (0.0, greatest.abs().max(least.abs())),
        "robust_scaler" => (quantile(values, 0.5), quantile(values, 0.75) - quantile(values, 0.25)),
        other => return Err(Error::new("42883", format!("function {other} does not exist"))),
    };
    Ok(Fitted::Scaled { shift, scale })
}

/// Mean and deviation of the rows, not of what they are a sample of.
fn moments(values: &[f64]) -> (f64, f64) {
    let count = values.len().max(1) as f64;
    let mean = values
        .iter()
        .enumerate()
        .fold(0.0, |mean, (place, value)| mean + (value - mean) / (place as f64 + 1.0));
    let squares: f64 = values.iter().map(|value| (value - mean) * (value - mean)).sum();
    (mean, (squares / count).sqrt())
}

/// Between the two nearest, as NumPy's default.
fn quantile(ascending: &[f64], share: f64) -> f64 {
    let Some(last) = ascending.len().checked_sub(1) else { return 0.0 };
    let place = share * last as f64;
    let (below, above) = (ascending[place as usize], ascending[(place.ceil() as usize).min(last)]);
    below + (above - below) * place.fract()
}

fn buckets(rows: &ArrayRef, setting: &Setting) -> Result<Fitted> {
    let count = match setting {
        Setting::Whole(count) if (2..=MOST_BUCKETS).contains(count) => *count,
        _ => {
            let message = format!("quantile_bucketize needs a number from 2 to {MOST_BUCKETS}");
            return Err(
                Error::new("22023", message).with_hint("Write quantile_bucketize(x, 10) OVER ().")
            );
        }
    };
    let values = there(rows, "quantile_bucketize")?;
    let mut edges: Vec<f64> =
        (1..count).map(|edge| quantile(&values, edge as f64 / count as f64)).collect();
    edges.dedup();
    Ok(Fitted::Buckets { edges })
}

fn imputer(rows: &ArrayRef, setting: &Setting) -> Result<Fitted> {
    let is_number = rows.data_type().is_numeric();
    let word = match setting {
        Setting::None if is_number => "mean",
        Setting::None => "most_frequent",
        Setting::Word(word) => word.as_str(),
        Setting::Whole(_) => "",
    };
    match word {
        "mean" | "median" => {
            let values = there(rows, "imputer")?;
            let instead = if word == "mean" { moments(&values).0 } else { quantile(&values, 0.5) };
            Ok(Fitted::Number { instead: (!values.is_empty()).then_some(instead) })
        }
        "most_frequent" => {
            let found = texts(rows)?;
            let mut counts: HashMap<&str, usize> = HashMap::new();
            for text in found.as_string::<i32>().iter().flatten() {
                *counts.entry(text).or_default() += 1;
            }
            // Of equally frequent ones the least.
            let most = counts.into_iter().min_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(b.0)));
            let most = most.map(|(text, _)| text.to_owned());
            Ok(match is_number {
                true => Fitted::Number { instead: most.and_then(|text| text.parse().ok()) },
                false => Fitted::Text { instead: most },
            })
        }
        _ => Err(Error::new("22023", "imputer takes 'mean', 'median' or 'most_frequent'")),
    }
}

#[cfg(test)]
mod tests {
    use datafusion::arrow::datatypes::{Float64Type, Int64Type};

    use super::*;

    /// 1, 2, 2, 3, 10, NULL, NaN; the answers are those of scikit-learn 1.9.
    fn rows() -> ArrayRef {
        let values = [Some(1.0), Some(2.0), Some(2.0), Some(3.0), Some(10.0), None, Some(f64::NAN)];
        Arc::new(Float64Array::from(values.to_vec()))
    }

    fn applied(function: &str, setting: &Setting) -> Vec<Option<f64>> {
        let fitted = Fitted::fit(function, &rows(), setting).unwrap();
        fitted.apply(&rows()).unwrap().as_primitive::<Float64Type>().iter().collect()
    }

    #[test]
    fn scalers_are_scikit_learns() {
        let close = |function: &str, expected: [f64; 5]| {
            let found = applied(function, &Setting::None);
            for (found, expected) in found.iter().zip(expected) {
                assert!((found.unwrap() - expected).abs() < 1e-12, "{function}: {found:?}");
            }
            assert_eq!(found[5..], [None, None]);
        };
        close(
            "standard_scaler",
            [
                -0.797_081_141_330_455_5,
                -0.490_511_471_587_972_65,
                -0.490_511_471_587_972_65,
                -0.183_941_801_845_489_75,
                1.962_045_886_351_890_6,
            ],
        );
        close("min_max_scaler", [0.0, 1.0 / 9.0, 1.0 / 9.0, 2.0 / 9.0, 1.0]);
        close("max_abs_scaler", [0.1, 0.2, 0.2, 0.3, 1.0]);
        close("robust_scaler", [-1.0, 0.0, 0.0, 1.0, 8.0]);
    }

    #[test]
    fn what_is_missing_is_imputed() {
        let last = |word: &str| applied("imputer", &Setting::Word(word.into()))[5];
        assert_eq!((last("mean"), last("median")), (Some(3.6), Some(2.0)));
        assert_eq!(last("most_frequent"), Some(2.0));
    }

    #[test]
    fn values_have_places_and_others_the_first() {
        let known: ArrayRef = Arc::new(StringArray::from(vec![Some("b"), Some("a"), None]));
        let asked: ArrayRef = Arc::new(StringArray::from(vec![Some("a"), Some("c"), None]));
        let labels = Fitted::fit("label_encoder", &known, &Setting::None).unwrap();
        let labels = labels.apply(&asked).unwrap();
        let labels: Vec<_> = labels.as_primitive::<Int64Type>().iter().collect();
        assert_eq!(labels, [Some(1), Some(0), None]);
        let one_hot = Fitted::fit("one_hot", &known, &Setting::None).unwrap();
        let lists = one_hot.apply(&asked).unwrap();
        let lists = lists.as_list::<i32>();
        let of = |row: usize| lists.value(row).as_primitive::<Float64Type>().values().to_vec();
        assert_eq!((of(0), of(1)), (vec![0.0, 1.0, 0.0], vec![1.0, 0.0, 0.0]));
        assert!(lists.is_null(2));
    }

    #[test]
    fn quantiles_cut_evenly() {
        let rows: ArrayRef = Arc::new(Float64Array::from_iter_values((0..100).map(f64::from)));
        let fitted = Fitted::fit("quantile_bucketize", &rows, &Setting::Whole(4)).unwrap();
        let buckets = fitted.apply(&rows).unwrap();
        let buckets = buckets.as_primitive::<Int64Type>().values();
        for bucket in 0..4 {
            assert_eq!(buckets.iter().filter(|found| **found == bucket).count(), 25);
        }
        assert!(Fitted::fit("quantile_bucketize", &rows, &Setting::None).is_err());
    }
}
