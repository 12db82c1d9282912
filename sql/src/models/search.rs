//! Options that are searched for: `learning_rate = range(0.01, 0.3)`, `num_leaves =
//! candidates(15, 31)`.
//!
//! A trial draws a value of each, learns from the training part and is measured on the validation
//! part. With the values of the best one the model is trained from both; test rows take no part.
//!
//! | search    | trials learn from                                                           |
//! |-----------|-----------------------------------------------------------------------------|
//! | `random`  | all rows of the training part                                               |
//! | `halving` | few of them; the best third from three times as many, until one is left     |
//!
//! The second is successive halving (Jamieson and Talwalkar, AISTATS 2016) with a factor of three.
//! A range of whole numbers gives whole numbers. One whose ends are ten times apart or more is
//! drawn from by its logarithm. If there are no more combinations of candidates than trials, each
//! is tried once.

use std::collections::BTreeMap;

use twox_hash::XxHash64;

use super::options::Given;
use crate::error::{Error, Result};
use crate::parse::OptionValue;

const TRIALS: usize = 10;
const MOST_TRIALS: usize = 1000;
/// What a rung of halving keeps: one of so many.
const FACTOR: usize = 3;
/// From here on a range is drawn from by its logarithm.
const WIDE: f64 = 10.0;
/// What decides which rows are compared: the same for all trials.
const SAID: [&str; 3] = ["test_fraction", "validation_fraction", "seed"];
const HINT: &str = "Write learning_rate = range(0.01, 0.3) or num_leaves = candidates(15, 31).";

/// See the module.
#[derive(Debug)]
pub(super) struct Search {
    spaces: Vec<(String, Space)>,
    trials: usize,
    halving: bool,
    /// None: what says most of the model's kind.
    pub metric: Option<String>,
    seed: u64,
}

#[derive(Debug)]
enum Space {
    Range { low: f64, high: f64, whole: bool },
    Candidates(Vec<OptionValue>),
}

impl Search {
    /// None: every option is said.
    ///
    /// # Errors
    /// 22023 for a space without values, for words of a search without anything to search for, and
    /// for options that cannot be searched for.
    pub fn take(given: &mut Given) -> Result<Option<Self>> {
        let spaces = given.searched().map(|(name, of)| Ok((name.clone(), Space::of(name, of)?)));
        let spaces = spaces.collect::<Result<Vec<_>>>()?;
        let trials = given.whole("num_trials", TRIALS)?;
        let halving = given.one_of("search", &["random", "halving"])? == Some("halving");
        let metric = given.text("search_metric")?;
        if spaces.is_empty() {
            let words = ["num_trials", "search", "search_metric"];
            return match words.into_iter().find(|word| given.has(word)) {
                None => Ok(None),
                Some(word) => {
                    let message = format!("option \"{word}\" needs options to search for");
                    Err(Error::new("22023", message).with_hint(HINT))
                }
            };
        }
        if !(1..=MOST_TRIALS).contains(&trials) {
            let message = format!("option \"num_trials\" must be from 1 to {MOST_TRIALS}");
            return Err(Error::new("22023", message));
        }
        let seed = given.whole("seed", 0)? as u64;
        let mut search = Self { spaces, trials, halving, metric, seed };
        search.trials = search.combinations().map_or(trials, |all| all.min(trials));
        Ok(Some(search))
    }

    /// How many combinations of candidates there are; None: there is a range.
    fn combinations(&self) -> Option<usize> {
        self.spaces.iter().try_fold(1_usize, |all, (_, space)| match space {
            Space::Candidates(values) => Some(all.saturating_mul(values.len())),
            Space::Range { .. } => None,
        })
    }

    pub fn trials(&self) -> usize {
        self.trials
    }

    /// All options of a trial, and the text of those that were drawn.
    pub fn drawn(&self, given: &Given, trial: usize) -> (Given, BTreeMap<String, String>) {
        let (mut given, mut told) = (given.clone(), BTreeMap::new());
        let whole_grid = self.combinations() == Some(self.trials);
        let mut place = trial;
        for (name, space) in &self.spaces {
            let value = match space {
                Space::Candidates(values) if whole_grid => {
                    let value = values[place % values.len()].clone();
                    place /= values.len();
                    value
                }
                space => space.at(self.unit(trial, name)),
            };
            told.insert(name.clone(), value.to_string());
            given.set(name, value);
        }
        (given, told)
    }

    /// From 0 to under 1, the same for the same seed, trial and option.
    fn unit(&self, trial: usize, name: &str) -> f64 {
        let hash = XxHash64::oneshot(self.seed, format!("{trial} {name}").as_bytes());
        (hash >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// What trials learn from, as parts of the training part, one after another.
    pub fn shares(&self) -> Vec<f64> {
        let mut shares = vec![1.0];
        let mut left = self.trials;
        while self.halving && left > 1 {
            left = Self::kept(left);
            shares.insert(0, shares[0] / FACTOR as f64);
        }
        shares
    }

    /// How many of so many trials go on.
    pub fn kept(trials: usize) -> usize {
        trials.div_ceil(FACTOR)
    }
}

impl Space {
    fn of(name: &str, value: &OptionValue) -> Result<Self> {
        if SAID.contains(&name) {
            let message = format!("option \"{name}\" cannot be searched for");
            return Err(Error::new("22023", message)
                .with_hint("It says which rows trials are compared on."));
        }
        let wrong = |must: &str| {
            Err(Error::new("22023", format!("option \"{name}\" is {value}: {must}"))
                .with_hint(HINT))
        };
        match value {
            OptionValue::Range(low, high) => {
                let whole = [low, high].iter().all(|end| end.parse::<i64>().is_ok());
                match (low.parse::<f64>(), high.parse::<f64>()) {
                    (Ok(low), Ok(high)) if low < high && low.is_finite() && high.is_finite() => {
                        Ok(Self::Range { low, high, whole })
                    }
                    _ => wrong("the first end must be below the second"),
                }
            }
            OptionValue::Candidates(values) => {
                let is_tried = |value: &OptionValue| {
                    matches!(value, OptionValue::Number(_) | OptionValue::Flag(_))
                };
                match values.iter().all(is_tried) {
                    true => Ok(Self::Candidates(values.clone())),
                    false => wrong("only numbers, true and false are searched for"),
                }
            }
            _ => wrong("nothing to search for"),
        }
    }

    /// The value at a place from 0 to under 1.
    fn at(&self, unit: f64) -> OptionValue {
        let (low, high, whole) = match self {
            Self::Range { low, high, whole } => (*low, *high, *whole),
            Self::Candidates(values) => {
                return values[(unit * values.len() as f64) as usize].clone();
            }
        };
        // Whole numbers have equal shares, the ends too.
        let (from, to) = if whole { (low - 0.5, high + 0.5) } else { (low, high) };
        let value = match low > 0.0 && high / low >= WIDE {
            true => (low.ln() + unit * (high.ln() - low.ln())).exp(),
            false => from + unit * (to - from),
        };
        OptionValue::Number(match whole {
            true => format!("{:.0}", value.round().clamp(low, high)),
            // Six digits are enough to tell one from another, and can be typed.
            false => {
                let short = format!("{value:.5e}").parse::<f64>().unwrap_or(value);
                short.clamp(low, high).to_string()
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(text: &str) -> OptionValue {
        OptionValue::Number(text.to_owned())
    }

    fn given(more: &[(&str, OptionValue)]) -> Given {
        let options: Vec<(String, OptionValue)> =
            more.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
        Given::new(&options).unwrap()
    }

    #[test]
    fn values_are_inside_and_the_same_for_a_seed() {
        let mut options = given(&[
            ("rate", OptionValue::Range("0.001".into(), "1.0".into())),
            ("leaves", OptionValue::Range("2".into(), "5".into())),
            ("num_trials", number("400")),
        ]);
        let search = Search::take(&mut options).unwrap().unwrap();
        let (mut small, mut leaves) = (0, BTreeMap::new());
        for trial in 0..search.trials() {
            let (_, told) = search.drawn(&options, trial);
            assert_eq!(told, search.drawn(&options, trial).1);
            let rate: f64 = told["rate"].parse().unwrap();
            assert!((0.001..=1.0).contains(&rate), "{rate}");
            small += usize::from(rate < 0.0316);
            *leaves.entry(told["leaves"].clone()).or_insert(0) += 1;
        }
        // By the logarithm half of them are below the geometric mean; four deviations.
        assert!((160..240).contains(&small), "{small}");
        assert_eq!(leaves.len(), 4);
        assert!(leaves.values().all(|count| (65..135).contains(count)), "{leaves:?}");
    }

    #[test]
    fn a_small_grid_is_tried_whole() {
        let all = |values: &[&str]| {
            OptionValue::Candidates(values.iter().map(|value| number(value)).collect())
        };
        let mut options = given(&[("a", all(&["1", "2", "3"])), ("b", all(&["7", "8"]))]);
        let search = Search::take(&mut options).unwrap().unwrap();
        assert_eq!(search.trials(), 6);
        let tried: std::collections::BTreeSet<_> =
            (0..6).map(|trial| search.drawn(&options, trial).1).collect();
        assert_eq!(tried.len(), 6);
    }

    #[test]
    fn halving_goes_from_few_rows_to_all() {
        let mut options = given(&[
            ("a", OptionValue::Range("0.0".into(), "1.0".into())),
            ("num_trials", number("9")),
            ("search", OptionValue::Text("halving".into())),
        ]);
        let search = Search::take(&mut options).unwrap().unwrap();
        let shares = search.shares();
        assert_eq!(shares.len(), 3);
        assert!((shares[0] - 1.0 / 9.0).abs() < 1e-12 && shares[2] == 1.0);
        assert_eq!((Search::kept(9), Search::kept(3), Search::kept(2)), (3, 1, 1));
    }

    #[test]
    fn what_cannot_be_searched_for_is_refused() {
        for (name, value) in [
            ("a", OptionValue::Range("1".into(), "1".into())),
            ("a", OptionValue::Candidates(vec![OptionValue::Text("x".into())])),
            ("test_fraction", OptionValue::Range("0.1".into(), "0.2".into())),
            ("num_trials", number("3")),
        ] {
            assert!(Search::take(&mut given(&[(name, value)])).is_err(), "{name}");
        }
        assert!(Search::take(&mut given(&[("a", number("1"))])).unwrap().is_none());
    }
}
