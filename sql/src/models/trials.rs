//! The trials of a search, run one after another.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use catalog::registry::{Run, Training};

use super::Trial;
use super::fit::{Fitting, Learner};
use super::measure::Yardstick;
use super::options::Given;
use super::search::Search;
use super::tabular::Prepared;
use crate::error::{Error, Result};

/// Rows that a trial learns from at least.
pub(super) const LEAST_ROWS: usize = 100;

/// A search, and what each of its trials is told.
pub(super) struct Searched<L> {
    pub search: Search,
    /// At least one.
    pub tried: Vec<Tried<L>>,
}

/// What a trial has drawn, and the learner with it.
pub(super) struct Tried<L> {
    pub drawn: BTreeMap<String, String>,
    pub learner: L,
}

impl<L> Searched<L> {
    /// Options, and the learner of each trial where some are searched for. `read` is told whether
    /// there is a search.
    ///
    /// # Errors
    /// 42704 and 22023 for options, those that a trial would draw too.
    pub fn read<O>(
        kind: &str,
        given: &mut Given,
        read: impl Fn(&mut Given, bool) -> Result<O>,
        learner: impl Fn(O) -> L,
    ) -> Result<(O, Option<Self>)> {
        let Some(search) = Search::take(given)? else {
            let options = read(given, false)?;
            given.check(kind)?;
            return Ok((options, None));
        };
        let trial = |number| -> Result<_> {
            let (mut own, drawn) = search.drawn(given, number);
            let options = read(&mut own, true)?;
            own.check(kind)?;
            Ok((options, drawn))
        };
        // All else than the learner is the same in every trial.
        let (options, _) = trial(0)?;
        let tried = (0..search.trials()).map(|number| {
            let (options, drawn) = trial(number)?;
            Ok(Tried { drawn, learner: learner(options) })
        });
        let tried = tried.collect::<Result<_>>()?;
        Ok((options, Some(Self { search, tried })))
    }
}

/// Trials side by side: which go on, and how all of them went.
pub(super) struct Contest<'a> {
    yardstick: &'a Yardstick,
    watched: &'a Training,
    left: Vec<usize>,
    /// Of the trials that are left.
    found: Vec<(usize, Option<f64>)>,
    /// Trainings in all.
    runs: u64,
    trials: Vec<Trial>,
}

impl<'a> Contest<'a> {
    pub fn new(search: &Search, yardstick: &'a Yardstick, watched: &'a Training) -> Self {
        let (mut runs, mut left) = (0, search.trials());
        for _ in search.shares() {
            runs += left as u64;
            left = Search::kept(left);
        }
        let left = (0..search.trials()).collect();
        Self { yardstick, watched, left, found: Vec::new(), runs, trials: Vec::new() }
    }

    /// The trials that learn from the next share.
    pub fn left(&self) -> Vec<usize> {
        self.left.clone()
    }

    /// A trial begins.
    pub fn begin(&self) -> Instant {
        let number = self.trials.len() as u64 + 1;
        self.watched.runs(Some(Run { number, of: self.runs }));
        Instant::now()
    }

    /// A trial has been measured.
    pub fn end<L>(
        &mut self,
        (number, tried): (usize, &Tried<L>),
        rows: usize,
        (value, began): (Option<f64>, Instant),
    ) {
        self.trials.push(Trial {
            number: u32::try_from(number + 1).unwrap_or(u32::MAX),
            options: tried.drawn.clone(),
            rows: rows as u64,
            metric: self.yardstick.name(),
            value,
            seconds: began.elapsed().as_secs_f64(),
            chosen: false,
        });
        self.found.push((number, value));
    }

    /// All that were left have been measured: the best go on.
    pub fn cut(&mut self) {
        let mut found = std::mem::take(&mut self.found);
        found.sort_by(|a, b| self.yardstick.order(a.1, b.1).then(a.0.cmp(&b.0)));
        found.truncate(Search::kept(found.len()));
        self.left = found.into_iter().map(|(number, _)| number).collect();
    }

    /// The best trial's learner and what it had drawn, and how all of them went.
    pub fn finish<L>(
        mut self,
        mut tried: Vec<Tried<L>>,
        told: &mut Vec<String>,
    ) -> (L, BTreeMap<String, String>, Vec<Trial>) {
        self.watched.runs(None);
        let best = self.left.first().copied().unwrap_or_default();
        let number = u32::try_from(best + 1).unwrap_or(u32::MAX);
        let of_best = self.trials.iter_mut().rev().find(|trial| trial.number == number);
        if let Some(trial) = of_best {
            trial.chosen = true;
            let drawn = trial.options.iter().map(|(name, value)| format!("{name} = {value}"));
            let drawn = drawn.collect::<Vec<_>>().join(", ");
            let (metric, all) = (&trial.metric, tried.len());
            let value =
                trial.value.map_or_else(|| "none".to_owned(), |value| format!("{value:.4}"));
            told.push(format!("trial {number} of {all} was the best, {metric} {value}: {drawn}"));
        }
        let Tried { drawn, learner } = tried.swap_remove(best);
        (learner, drawn, self.trials)
    }
}

/// The error for a validation part without rows.
pub(super) fn nothing_to_compare_on() -> Error {
    Error::new("22000", "no rows to compare trials on")
        .with_hint("A greater validation_fraction, or more rows, leaves some.")
}

/// What a trial is worth: of few rows nothing may be to be learned.
pub(super) fn worth(value: Result<Option<f64>>, share: f64) -> Result<Option<f64>> {
    match value {
        Err(error) if share < 1.0 && error.sqlstate() == Some("22000") => Ok(None),
        value => value,
    }
}

/// The trials of a model of rows.
///
/// # Errors
/// 22000 if there are no rows to compare trials on; those of a training.
pub(super) async fn best(
    searched: Searched<Learner>,
    prepared: &Arc<Prepared>,
    fitting: &Fitting<'_>,
    told: &mut Vec<String>,
) -> Result<(Learner, BTreeMap<String, String>, Vec<Trial>)> {
    let Searched { search, tried } = searched;
    let ranks = tried.first().is_some_and(|tried| tried.learner.ranks());
    let yardstick = Yardstick::new(fitting.target, ranks, search.metric.as_ref())?;
    let validation = prepared.cut(prepared.parts.validation.clone()).await?;
    if validation.labels.is_empty() {
        return Err(nothing_to_compare_on());
    }
    let nothing = prepared.cut(0..0).await?;
    let mut contest = Contest::new(&search, &yardstick, fitting.watched);
    for share in search.shares() {
        let rows = prepared.last_of_training(share)?;
        let bytes = rows.len().saturating_mul(prepared.encoder.width() + 2).saturating_mul(8);
        fitting.memory.try_grow(bytes)?;
        let training = prepared.cut(rows).await?;
        for number in contest.left() {
            let began = contest.begin();
            let learner = &tried[number].learner;
            let held = if learner.stops() { &validation } else { &nothing };
            let value = match fitting.run(learner, &training, held).await {
                Ok(fitted) => {
                    let predictions = fitted.predicted(&validation, fitting.target)?;
                    let part = (&validation.labels, &predictions, &validation.groups);
                    Ok(yardstick.value(fitting.target, part.0, part.1, part.2))
                }
                Err(error) => Err(error),
            };
            let value = worth(value, share)?;
            contest.end((number, &tried[number]), training.labels.len(), (value, began));
        }
        fitting.memory.shrink(bytes);
        contest.cut();
    }
    Ok(contest.finish(tried, told))
}
