//! Measures of a model by name: of rows, and of lists.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use kernels::metrics::calibration::Calibration;
use kernels::metrics::classes::Confusion;
use kernels::metrics::errors::{Errors, Losses};
use kernels::metrics::lists::{Gain, List};
use kernels::metrics::ranked;

use super::target::Target;
use crate::error::{Error, Result, near_names};

/// Places of a list that count where nothing else is said.
const LIST: usize = 10;
/// Places that a list may have.
const LONGEST: usize = 10_000;
/// Least probability that a logarithm is taken of, as scikit-learn clips.
const LEAST: f64 = 1e-15;
const BINS: u32 = 10;
/// What is said of two classes, of several, of numbers.
const USUAL_OF_TWO: usize = 6;
const OF_TWO: [&str; 9] =
    ["auc", "pr_auc", "log_loss", "brier", "accuracy", "ece", "precision", "recall", "f1"];
const OF_SEVERAL: [&str; 2] = ["accuracy", "log_loss"];
const OF_NUMBERS: [&str; 3] = ["rmse", "mae", "r2"];
/// Of the first places of a list, `name@k`; and of all of it.
const OF_LISTS: [&str; 5] = ["ndcg", "recall", "precision", "map", "hit_rate"];
const OF_WHOLE_LISTS: &str = "mrr";
/// What is said of a model that ranks the rows of a group.
const OF_GROUPS: &str = "ndcg@10";

/// A measure that was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Measure {
    pub name: &'static str,
    /// Places of a list.
    pub k: Option<usize>,
}

impl Measure {
    /// Those of rows.
    ///
    /// # Errors
    /// 22023 for one that the target has not.
    pub fn of_rows(target: &Target, names: &[String]) -> Result<Vec<Self>> {
        let (known, usual): (&[&'static str], _) = match target {
            Target::Number => (&OF_NUMBERS, OF_NUMBERS.len()),
            Target::Classes { values, .. } if values.len() == 2 => (&OF_TWO, USUAL_OF_TWO),
            Target::Classes { .. } => (&OF_SEVERAL, OF_SEVERAL.len()),
        };
        let measure = |name: &'static str| Self { name, k: None };
        if names.is_empty() {
            return Ok(known[..usual].iter().map(|name| measure(name)).collect());
        }
        let find = |name: &String| {
            let found = known.iter().find(|known| *known == name);
            found.map(|name| measure(name)).ok_or_else(|| unknown(name, known, ""))
        };
        names.iter().map(find).collect()
    }

    /// Those of lists: `ndcg@10`.
    ///
    /// # Errors
    /// 22023 for one that lists have not.
    pub fn of_lists(names: &[String], usual: &[&str]) -> Result<Vec<Self>> {
        let usual: Vec<String> = usual.iter().map(|name| (*name).to_owned()).collect();
        let names = if names.is_empty() { &usual } else { names };
        let find = |name: &String| {
            if name == OF_WHOLE_LISTS {
                return Ok(Self { name: OF_WHOLE_LISTS, k: None });
            }
            let (word, k) = name.split_once('@').unwrap_or((name, ""));
            let k = if k.is_empty() { Some(LIST) } else { k.parse().ok() };
            let k = k.filter(|k| (1..=LONGEST).contains(k));
            let word = OF_LISTS.iter().find(|known| **known == word);
            match (word, k) {
                (Some(name), Some(k)) => Ok(Self { name, k: Some(k) }),
                _ => Err(unknown(name, &OF_LISTS, " and mrr; @k says how far")),
            }
        };
        names.iter().map(find).collect()
    }

    /// Of rows; None where they say nothing.
    pub fn rows(&self, target: &Target, labels: &[f64], predictions: &[f64]) -> Option<f64> {
        match target {
            Target::Number => {
                let mut errors = Errors::default();
                labels.iter().zip(predictions).for_each(|(y, x)| errors.push(*y, *x, 1.0));
                match self.name {
                    "rmse" => errors.rmse(),
                    "mae" => errors.mae(),
                    _ => errors.r2(),
                }
            }
            Target::Classes { values, .. } if values.len() == 2 => self.two(labels, predictions),
            Target::Classes { values, .. } => self.several(labels, predictions, values.len()),
        }
    }

    fn two(&self, labels: &[f64], predictions: &[f64]) -> Option<f64> {
        let positive: Vec<bool> = labels.iter().map(|label| *label > 0.5).collect();
        let rows = || positive.iter().copied().zip(predictions.iter().copied());
        match self.name {
            "auc" => ranked::auc(&positive, predictions, None),
            "pr_auc" => ranked::pr_auc(&positive, predictions, None),
            "ece" => {
                let mut calibration = Calibration::new(BINS);
                rows().for_each(|(label, x)| calibration.push(label, x, 1.0));
                calibration.ece()
            }
            "log_loss" | "brier" => {
                let mut losses = Losses::default();
                rows().for_each(|(label, x)| losses.push(label, x, 1.0));
                if self.name == "brier" { losses.brier() } else { losses.log_loss() }
            }
            name => {
                let mut confusion = Confusion::default();
                rows().for_each(|(label, x)| confusion.push(label, x > 0.5, 1.0));
                match name {
                    "precision" => confusion.precision(),
                    "recall" => confusion.recall(),
                    "f1" => confusion.f1(),
                    _ => confusion.accuracy(),
                }
            }
        }
    }

    fn several(&self, labels: &[f64], predictions: &[f64], classes: usize) -> Option<f64> {
        let (mut right, mut loss, mut rows) = (0.0, 0.0, 0.0);
        for (label, row) in labels.iter().zip(predictions.chunks_exact(classes)) {
            let Some(probability) = row.get(*label as usize).filter(|_| !label.is_nan()) else {
                continue;
            };
            rows += 1.0;
            let best = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let first = row.iter().position(|other| *other == best);
            right += f64::from(first == Some(*label as usize));
            loss -= probability.clamp(LEAST, 1.0 - LEAST).ln();
        }
        let sum = if self.name == "accuracy" { right } else { loss };
        (rows > 0.0).then(|| sum / rows)
    }

    /// Of one list; None where nothing in it is relevant.
    pub fn list(&self, relevances: &[f64], scores: &[f64]) -> Option<f64> {
        let list = List::new(relevances, scores)?;
        let k = self.k.unwrap_or(LIST);
        match self.name {
            "ndcg" => list.ndcg(k, Gain::Exp2),
            "recall" => list.recall_at(k, false),
            "precision" => list.precision_at(k),
            "map" => list.map_at(k),
            "hit_rate" => list.hit_rate_at(k),
            _ => list.mrr(),
        }
    }

    /// Of rows that are lists of so many each: the mean; None where no list says anything.
    fn groups(&self, labels: &[f64], predictions: &[f64], groups: &[usize]) -> Option<f64> {
        let mut start = 0;
        let lists = groups.iter().filter_map(|length| {
            let rows = start..start + length;
            start += length;
            self.list(labels.get(rows.clone())?, predictions.get(rows)?)
        });
        let values: Vec<f64> = lists.collect();
        let mean = values.iter().sum::<f64>() / values.len() as f64;
        (!values.is_empty()).then_some(mean)
    }

    /// `ndcg@10`
    pub fn shown(&self) -> String {
        match self.k {
            Some(k) => format!("{}@{k}", self.name),
            None => self.name.to_owned(),
        }
    }
}

fn unknown(name: &str, known: &[&'static str], more: &str) -> Error {
    let list = format!("They are {}{more}.", known.join(", "));
    let near = near_names(name, known.iter().copied());
    Error::new("22023", format!("the model has no metric \"{name}\""))
        .with_hint(near.unwrap_or(list))
}

/// The usual metrics of a test part, by name; those that rows say nothing of are left out.
pub(super) fn metrics(
    target: &Target,
    labels: &[f64],
    predictions: &[f64],
    groups: &[usize],
) -> Result<BTreeMap<String, f64>> {
    if groups.is_empty() {
        let measures = Measure::of_rows(target, &[])?.into_iter();
        let of =
            |measure: Measure| Some((measure.shown(), measure.rows(target, labels, predictions)?));
        return Ok(measures.filter_map(of).collect());
    }
    let measures = Measure::of_lists(&[], &[OF_GROUPS])?.into_iter();
    let of =
        |measure: Measure| Some((measure.shown(), measure.groups(labels, predictions, groups)?));
    Ok(measures.filter_map(of).collect())
}

/// What trials are compared by.
#[derive(Debug)]
pub(super) struct Yardstick {
    measure: Measure,
    ranks: bool,
}

impl Yardstick {
    /// The measure of a name; without one that which says most of a model's kind.
    ///
    /// # Errors
    /// 22023 for one that the target has not.
    pub fn new(target: &Target, ranks: bool, name: Option<&String>) -> Result<Self> {
        let usual = match target {
            _ if ranks => OF_GROUPS,
            Target::Number => "rmse",
            Target::Classes { .. } => "log_loss",
        };
        let name = [name.cloned().unwrap_or_else(|| usual.to_owned())];
        let measures = match ranks {
            true => Measure::of_lists(&name, &[])?,
            false => Measure::of_rows(target, &name)?,
        };
        let measure = measures.into_iter().next();
        let measure = measure.ok_or_else(|| Error::new("XX000", "a metric is gone"))?;
        Ok(Self { measure, ranks })
    }

    /// Of lists that come without scores.
    ///
    /// # Errors
    /// 22023 for a name of none.
    pub fn of_lists(name: &str) -> Result<Self> {
        let mut measures = Measure::of_lists(&[name.to_owned()], &[])?;
        let measure = measures.pop();
        let measure = measure.ok_or_else(|| Error::new("XX000", "a metric is gone"))?;
        Ok(Self { measure, ranks: true })
    }

    pub fn measure(&self) -> &Measure {
        &self.measure
    }

    /// Of a part; None where it says nothing.
    pub fn value(
        &self,
        target: &Target,
        labels: &[f64],
        predictions: &[f64],
        groups: &[usize],
    ) -> Option<f64> {
        let value = match self.ranks {
            true => self.measure.groups(labels, predictions, groups),
            false => self.measure.rows(target, labels, predictions),
        };
        value.filter(|value| value.is_finite())
    }

    /// The better value first; none comes last.
    pub fn order(&self, a: Option<f64>, b: Option<f64>) -> Ordering {
        let lower = matches!(self.measure.name, "log_loss" | "brier" | "ece" | "rmse" | "mae");
        // The greater, the better.
        let rank = |value: Option<f64>| value.map(|value| if lower { -value } else { value });
        rank(b).partial_cmp(&rank(a)).unwrap_or(Ordering::Equal)
    }

    pub fn name(&self) -> String {
        self.measure.shown()
    }
}
