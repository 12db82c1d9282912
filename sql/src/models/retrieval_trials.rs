//! Trials of models of retrieval, and what the best of them is worth.
//!
//! ```text
//!   rows of a user, by time   training ──────────│ validation │ test
//!   trials                    learn              │ compared   │
//!   the best one              learns ────────────────────────▶│ measured
//!   the version               learns ──────────────────────────────────▶
//! ```
//! Nothing that a part is measured by was learned from that part or what comes after it, fitted
//! functions of TRANSFORM included. The last training is on all rows, as that of a model without a
//! search is: what a user took last says most of what comes next.
//!
//! The whole catalogue is ranked for each user, less what was learned from. In halving the first
//! trials know few users, with all that these have taken, and are compared on them.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use catalog::apart;
use datafusion::arrow::array::RecordBatch;
use kernels::models::held_out::{Split, hold_out};
use twox_hash::XxHash64;

use super::Trial;
use super::catalogue::{self, Pairs};
use super::data::taken;
use super::interactions::Picks;
use super::library::Retrieval;
use super::measure::{Measure, Yardstick};
use super::retrieval::{Learner, Teaching};
use super::search::Search;
use super::trials::{Contest, LEAST_ROWS, Searched, nothing_to_compare_on, worth};
use crate::error::{Error, Result};

/// Users that lists are made for at most, the same ones in every trial.
const MOST_USERS: usize = 10_000;
/// What says most of a list of which a user looks at the beginning.
const USUAL: &str = "ndcg@20";
/// What a version has beside the metric of its search.
const METRICS: [&str; 2] = ["recall@20", "ndcg@20"];

/// Which rows trainings of a search leave out: of each user a share.
#[derive(Debug, Clone)]
pub(super) struct HeldOut {
    pub split: Split,
    pub test: f64,
    /// Of the rows that are not tested on.
    pub validation: f64,
    pub seed: u64,
}

impl Default for HeldOut {
    fn default() -> Self {
        Self { split: Split::Last, test: 0.1, validation: 0.1, seed: 0 }
    }
}

/// What a model is to be trained with, and what is known of it before.
pub(super) struct Best {
    pub learner: Learner,
    pub chosen: BTreeMap<String, String>,
    pub trials: Vec<Trial>,
    /// Rows that were tested on, and metrics on them.
    pub tested: Option<(u64, BTreeMap<String, f64>)>,
}

impl From<Learner> for Best {
    fn from(learner: Learner) -> Self {
        Self { learner, chosen: BTreeMap::new(), trials: Vec::new(), tested: None }
    }
}

/// What trials are compared by.
///
/// # Errors
/// 22023 for a metric that lists have not.
pub(super) fn yardstick(search: &Search) -> Result<Yardstick> {
    Yardstick::of_lists(search.metric.as_deref().unwrap_or(USUAL))
}

/// Runs the trials.
///
/// # Errors
/// 22000 if there are no rows to compare trials on; those of a training.
pub(super) async fn best(
    teaching: &Teaching<'_>,
    batch: &RecordBatch,
    held_out: &HeldOut,
    searched: Searched<Learner>,
    told: &mut Vec<String>,
) -> Result<Best> {
    let Searched { search, tried } = searched;
    let yardstick = yardstick(&search)?;
    let picks = Picks::read(teaching.named, batch)?;
    let all: Vec<u32> = (0..batch.num_rows()).map(|row| row as u32).collect();
    let (rest, test) = picks.hold_out(&all, held_out, held_out.test);
    let (training, validation) = picks.hold_out(&rest, held_out, held_out.validation);
    if validation.is_empty() {
        return Err(nothing_to_compare_on());
    }
    let measures = [yardstick.measure().clone()];
    let mut contest = Contest::new(&search, &yardstick, &teaching.watched);
    for share in search.shares() {
        let rows = picks.of_some(&training, share, held_out.seed);
        let lesson = teaching.lesson(&taken(batch, numbers(&rows))?).await?;
        let exam = picks.exam(&rows, &validation);
        for number in contest.left() {
            let began = contest.begin();
            let value = match teaching.learn(&tried[number].learner, &lesson).await {
                Ok(learned) => exam.of(learned.model, &measures).await.map(|values| values[0]),
                Err(error) => Err(error),
            };
            contest.end((number, &tried[number]), rows.len(), (worth(value, share)?, began));
        }
        contest.cut();
    }
    let (learner, chosen, trials) = contest.finish(tried, told);
    let mut tested = (0, BTreeMap::new());
    if !test.is_empty() {
        let lesson = teaching.lesson(&taken(batch, numbers(&rest))?).await?;
        let learned = teaching.learn(&learner, &lesson).await?;
        let mut measures = Measure::of_lists(&[], &METRICS)?;
        if !measures.contains(yardstick.measure()) {
            measures.push(yardstick.measure().clone());
        }
        let values = picks.exam(&rest, &test).of(learned.model, &measures).await?;
        let named = measures.iter().zip(values);
        let named = named.filter_map(|(measure, value)| Some((measure.shown(), value?)));
        tested = (test.len() as u64, named.collect());
    } else {
        told.push("no rows were left to test on: the version has no metrics".to_owned());
    }
    Ok(Best { learner, chosen, trials, tested: Some(tested) })
}

fn numbers(rows: &[u32]) -> impl Iterator<Item = u64> + '_ {
    rows.iter().map(|row| u64::from(*row))
}

/// What users took, and what they took after that.
struct Exam {
    seen: Arc<Pairs>,
    wanted: Pairs,
}

impl Picks {
    fn hold_out(&self, rows: &[u32], how: &HeldOut, share: f64) -> (Vec<u32>, Vec<u32>) {
        let counts = |row: u32| self.counts(row as usize);
        hold_out(rows, &self.users, counts, (how.split, share, how.seed))
    }

    /// All rows of a share of the users, or of as many as have the least number of rows.
    fn of_some(&self, rows: &[u32], share: f64, seed: u64) -> Vec<u32> {
        if share >= 1.0 {
            return rows.to_vec();
        }
        let mut of_user: BTreeMap<u64, usize> = BTreeMap::new();
        rows.iter().for_each(|row| *of_user.entry(self.users[*row as usize]).or_default() += 1);
        let wanted = (of_user.len() as f64 * share).ceil() as usize;
        let mut users: Vec<(u64, u64, usize)> =
            of_user.into_iter().map(|(user, rows)| (mixed(user, seed), user, rows)).collect();
        users.sort_unstable();
        let (mut some, mut count) = (HashSet::new(), 0);
        for (_, user, rows) in users {
            if some.len() >= wanted && count >= LEAST_ROWS {
                break;
            }
            some.insert(user);
            count += rows;
        }
        rows.iter().copied().filter(|row| some.contains(&self.users[*row as usize])).collect()
    }

    /// Users of the rows that were learned from are asked for what they took later.
    fn exam(&self, learned: &[u32], later: &[u32]) -> Exam {
        let pairs = |rows: &[u32]| {
            let mut found = Pairs::new();
            for row in rows.iter().map(|row| *row as usize).filter(|row| self.counts(*row)) {
                found.entry(self.users[row]).or_default().insert(self.items[row]);
            }
            found
        };
        let seen = pairs(learned);
        let mut wanted = pairs(later);
        wanted.retain(|user, _| seen.contains_key(user));
        if wanted.len() > MOST_USERS {
            let mut users: Vec<(u64, u64)> =
                wanted.keys().map(|user| (mixed(*user, 0), *user)).collect();
            users.sort_unstable();
            users[MOST_USERS..].iter().for_each(|(_, user)| drop(wanted.remove(user)));
        }
        Exam { seen: Arc::new(seen), wanted }
    }
}

fn mixed(user: u64, seed: u64) -> u64 {
    XxHash64::oneshot(seed, &user.to_le_bytes())
}

impl Exam {
    /// Each measure's mean over the users; None where there is nothing to find.
    async fn of(&self, model: Retrieval, measures: &[Measure]) -> Result<Vec<Option<f64>>> {
        let (seen, wanted) = (Arc::clone(&self.seen), vec![(None, self.wanted.clone())]);
        let measures = measures.to_vec();
        let found =
            apart(move |stopped| catalogue::ranked(&model, wanted, &seen, (&measures, 0), stopped));
        let found = found.await?;
        let found =
            found.ok_or_else(|| Error::new("57014", "canceling statement due to user request"))?;
        Ok(found.into_iter().map(|found| found.value).collect())
    }
}
