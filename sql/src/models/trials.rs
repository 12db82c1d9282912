//! The trials of a search, run one after another.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use catalog::registry::Told;

use super::Trial;
use super::fit::{Fitting, Learner};
use super::measure::Yardstick;
use super::search::Search;
use super::tabular::Prepared;
use crate::error::{Error, Result};

/// A search, and what each of its trials is told.
pub(super) struct Searched {
    pub search: Search,
    /// At least one.
    pub tried: Vec<Tried>,
}

/// What a trial has drawn, and the learner with it.
pub(super) struct Tried {
    pub drawn: BTreeMap<String, String>,
    pub learner: Learner,
}

/// The best trial's learner and what it had drawn, and how all of them went.
///
/// # Errors
/// 22000 if there are no rows to compare trials on; those of a training.
pub(super) async fn best(
    searched: Searched,
    prepared: &Arc<Prepared>,
    fitting: &Fitting<'_>,
    told: &mut Vec<String>,
) -> Result<(Learner, BTreeMap<String, String>, Vec<Trial>)> {
    let Searched { search, mut tried } = searched;
    let ranks = tried.first().is_some_and(|tried| tried.learner.ranks());
    let yardstick = Yardstick::new(fitting.target, ranks, search.metric.as_ref())?;
    let validation = prepared.cut(prepared.parts.validation.clone()).await?;
    if validation.labels.is_empty() {
        return Err(Error::new("22000", "no rows to compare trials on")
            .with_hint("A greater validation_fraction, or more rows, leaves some."));
    }
    let nothing = prepared.cut(0..0).await?;
    let mut left: Vec<usize> = (0..tried.len()).collect();
    let mut trials = Vec::new();
    for share in search.shares() {
        let rows = prepared.last_of_training(share)?;
        let bytes = rows.len().saturating_mul(prepared.encoder.width() + 2).saturating_mul(8);
        fitting.memory.try_grow(bytes)?;
        let training = prepared.cut(rows).await?;
        let mut found = Vec::with_capacity(left.len());
        for (done, number) in left.iter().enumerate() {
            let (done, total) = (done as u64, left.len() as u64);
            fitting.watched.tell(Told { phase: "trials", done, total, loss: None });
            let Tried { learner, drawn } = &tried[*number];
            let held = if learner.stops() { &validation } else { &nothing };
            let began = Instant::now();
            let value = match fitting.run(learner, &training, held).await {
                Ok(fitted) => {
                    let predictions = fitted.predicted(&validation, fitting.target)?;
                    let part = (&validation.labels, &predictions, &validation.groups);
                    yardstick.value(fitting.target, part.0, part.1, part.2)
                }
                // Of few rows nothing may be to be learned.
                Err(error) if share < 1.0 && error.sqlstate() == Some("22000") => None,
                Err(error) => return Err(error),
            };
            trials.push(Trial {
                number: u32::try_from(number + 1).unwrap_or(u32::MAX),
                options: drawn.clone(),
                rows: training.labels.len() as u64,
                metric: yardstick.name(),
                value,
                seconds: began.elapsed().as_secs_f64(),
                chosen: false,
            });
            found.push((*number, value));
        }
        fitting.memory.shrink(bytes);
        found.sort_by(|a, b| yardstick.order(a.1, b.1).then(a.0.cmp(&b.0)));
        found.truncate(Search::kept(found.len()));
        left = found.into_iter().map(|(number, _)| number).collect();
    }
    let best = left.first().copied().unwrap_or_default();
    let number = u32::try_from(best + 1).unwrap_or(u32::MAX);
    let of_best = trials.iter_mut().rev().find(|trial| trial.number == number);
    if let Some(trial) = of_best {
        trial.chosen = true;
        let drawn = trial.options.iter().map(|(name, value)| format!("{name} = {value}"));
        let drawn = drawn.collect::<Vec<_>>().join(", ");
        let (metric, all) = (&trial.metric, tried.len());
        let value = trial.value.map_or_else(|| "none".to_owned(), |value| format!("{value:.4}"));
        told.push(format!("trial {number} of {all} was the best, {metric} {value}: {drawn}"));
    }
    let Tried { drawn, learner } = tried.swap_remove(best);
    Ok((learner, drawn, trials))
}
