//! Training: passes over the examples, early stopping on rows held out, and then all rows.

use super::batch::Batch;
use super::data::{Data, Examples, Schema};
use super::layers::Layers;
use super::model::Model;
use super::negatives::hardest;
use super::options::Options;
use super::step::{Given, Net, Step, item_tokens};
use super::{Error, Progress, Work};
use crate::ann::Random;
use crate::models::held_out::spread;
use crate::models::nets::even;
use crate::models::nets::rows::{Adam, Parameters, padded};
use crate::models::parallel::with_threads;
use crate::models::ragged::Ragged;
use crate::models::ranking_eval::{Ranking, evaluate};

/// Epochs in a row that need not be better than the best so far.
const PATIENCE: usize = 3;
/// Users that early stopping asks at most.
const ASKED: usize = 2000;
/// Items of a list that early stopping looks at.
const LIST: usize = 100;
/// Reach of the table's first values, which are even.
const REACH: f32 = 0.1;

/// An epoch's mean loss on its examples, and metrics of the rows held out: the whole catalogue is
/// ranked, less what the user had taken.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Held {
    pub loss: f32,
    pub recall_at_100: f64,
    pub ndcg_at_100: f64,
}

/// A trained model and how it came about.
#[derive(Debug, Clone)]
pub struct Training {
    pub model: Model,
    /// Epochs that the model was trained for.
    pub epochs: usize,
    /// Mean losses of these.
    pub losses: Vec<f32>,
    /// What early stopping saw; empty when nothing was held out that can be found: no rows, or only
    /// items that their users had taken before.
    pub held: Vec<Held>,
}

/// Bytes that a training of these examples needs at most at once, of the model and the step. An
/// upper bound from the number of rows: every key is taken to be a different one.
pub fn memory_bytes(examples: &Examples<'_>, options: &Options) -> usize {
    let rows = examples.users.len();
    let features = examples.user_features.iter().chain(examples.item_features);
    let keys: usize = features.map(|feature| feature.column.values()).sum();
    let width = padded(options.dim);
    let table = (rows + keys + 3).saturating_mul(width * 4 * 3);
    let tokens = (keys + 2 * rows) * 8 * 2 + rows * 80;
    let columns = options.batch_size * (1 + options.hard_negatives) + options.negatives;
    let wide = width + options.layers.iter().sum::<usize>();
    let step = (options.batch_size + columns) * wide * 4 * 6 + options.batch_size * columns * 8;
    table.saturating_add(tokens).saturating_add(step)
}

/// Trains on the examples.
///
/// # Errors
/// `Option`, and those of `Examples::check`; `Cancelled` when `work` says so.
pub fn train(
    examples: &Examples<'_>,
    options: &Options,
    work: &Work<'_>,
) -> Result<Training, Error> {
    options.check()?;
    examples.check()?;
    with_threads(work.threads, || train_all(examples, options, work))
}

fn train_all(
    examples: &Examples<'_>,
    options: &Options,
    work: &Work<'_>,
) -> Result<Training, Error> {
    let mut held = Vec::new();
    let mut epochs = options.epochs;
    if options.early_stop {
        let (kept, out) = examples.split(options);
        held = stop_early(examples, options, work, (&kept, &out))?;
        if !held.is_empty() {
            epochs = held.len() - lost(&held);
        }
    }
    let data = Data::new(examples, &examples.in_order())?;
    let mut course = Course::new(&data, options, work, false);
    let losses = (1..=epochs).map(|epoch| course.epoch(epoch, epochs));
    let losses = losses.collect::<Result<_, _>>()?;
    let net = course.net;
    Ok(Training { model: Model::new(options, data, net), epochs, losses, held })
}

/// Trains on the rows kept until those held out do not get better.
fn stop_early(
    examples: &Examples<'_>,
    options: &Options,
    work: &Work<'_>,
    (kept, out): (&[u32], &[u32]),
) -> Result<Vec<Held>, Error> {
    let data = Data::new(examples, kept)?;
    let asked = Asked::new(&data, examples, out);
    let mut held = Vec::new();
    if asked.relevant.iter().all(Vec::is_empty) {
        return Ok(held);
    }
    let mut course = Course::new(&data, options, work, true);
    for epoch in 1..=options.epochs {
        let loss = course.epoch(epoch, options.epochs)?;
        let metrics = asked.measure(&course);
        held.push(Held { loss, recall_at_100: metrics.recall[0], ndcg_at_100: metrics.ndcg[0] });
        if lost(&held) == PATIENCE {
            break;
        }
    }
    Ok(held)
}

/// Epochs since the last one that was better than all before it.
fn lost(held: &[Held]) -> usize {
    let (mut best, mut at) = (0.0, 0);
    for (place, held) in held.iter().enumerate() {
        if held.ndcg_at_100 > best {
            (best, at) = (held.ndcg_at_100, place);
        }
    }
    held.len().saturating_sub(at + 1)
}

/// Users with rows held out, and what these hold.
struct Asked {
    users: Vec<u32>,
    relevant: Vec<Vec<u32>>,
    seen: Vec<Vec<u32>>,
}

impl Asked {
    /// Items that training does not know are relevant and cannot be found.
    fn new(data: &Data, examples: &Examples<'_>, out: &[u32]) -> Self {
        let mut rows: Vec<(u32, u64)> = out
            .iter()
            .filter_map(|row| {
                let user = data.users.binary_search(&examples.users[*row as usize]).ok()?;
                Some((user as u32, examples.items[*row as usize]))
            })
            .collect();
        rows.sort_unstable();
        rows.dedup();
        let mut users: Vec<&[(u32, u64)]> = rows.chunk_by(|a, b| a.0 == b.0).collect();
        // Any of them, the same ones each time.
        users.sort_by_key(|rows| spread(u64::from(rows[0].0)));
        users.truncate(ASKED);
        let (mut relevant, mut seen) = (Vec::new(), Vec::new());
        for rows in &users {
            let number = |key: &u64| data.items.binary_search(key).map_or(u32::MAX, |n| n as u32);
            let taken = data.positives.row(rows[0].0 as usize);
            let wanted = rows.iter().map(|(_, key)| number(key));
            relevant.push(wanted.filter(|item| taken.binary_search(item).is_err()).collect());
            seen.push(taken.to_vec());
        }
        Self { users: users.iter().map(|rows| rows[0].0).collect(), relevant, seen }
    }

    fn measure(&self, course: &Course<'_>) -> crate::models::ranking_eval::Metrics {
        let Given { level, threads, .. } = course.given;
        let users = course.user_vectors(self.users.iter().copied());
        let items = course.item_vectors();
        let (users, items) = (users.as_slice(), items.as_slice());
        evaluate(
            level,
            threads,
            &Ranking {
                users,
                items,
                dimension: course.net.width,
                relevant: &self.relevant,
                seen: &self.seen,
            },
            &[LIST],
        )
    }
}

/// A training under way.
struct Course<'a> {
    given: Given<'a>,
    work: &'a Work<'a>,
    held_out: bool,
    net: Net,
    step: Step,
    batch: Batch,
    /// Steps so far.
    steps: usize,
    order: Vec<u32>,
    random: Random,
}

impl<'a> Course<'a> {
    fn new(data: &'a Data, options: &'a Options, work: &'a Work<'a>, held_out: bool) -> Self {
        let mut random = Random::new(options.seed);
        let (dim, width) = (options.dim, padded(options.dim));
        let mut table = vec![0.0; data.schema.rows * width];
        for (row, values) in table.chunks_exact_mut(width).enumerate() {
            if !data.schema.is_unknown(row) {
                values[..dim].fill_with(|| even(&mut random) * REACH);
            }
        }
        let user = Layers::new(dim, &options.layers, &mut random);
        let item = Layers::new(dim, &options.layers, &mut random);
        let net = Net { dim, width, table: Parameters::new(table), user, item };
        let given = Given { data, options, level: work.level, threads: work.threads.max(1) };
        let order = (0..data.rows.len() as u32).collect();
        let (step, batch) = (Step::default(), Batch::default());
        Self { given, work, held_out, net, step, batch, steps: 0, order, random }
    }

    /// One pass over the examples in a new order; the mean loss.
    fn epoch(&mut self, epoch: usize, epochs: usize) -> Result<f32, Error> {
        let Given { data, options, level, threads } = self.given;
        let mut hard = None;
        if options.hard_negatives > 0 && epoch > 1 {
            let users = self.user_vectors(0..data.users.len() as u32);
            let vectors = (&users[..], &self.item_vectors()[..], self.net.width);
            hard = Some(hardest((level, threads), data, options, vectors, &mut self.random));
        }
        for place in (1..self.order.len()).rev() {
            self.order.swap(place, self.random.below(place + 1));
        }
        let (mut loss, mut weight, mut done) = (0.0, 0.0, 0);
        for rows in self.order.chunks(options.batch_size) {
            let seed = self.random.number();
            self.batch.fill(data, options, rows, hard.as_ref(), seed);
            self.steps += 1;
            let all = epochs * self.order.len().div_ceil(options.batch_size);
            let left = 1.0 - (self.steps - 1) as f32 / all as f32;
            let adam = Adam::new(options.learning_rate * left, self.steps);
            loss += self.step.run(self.given, &mut self.net, &self.batch, adam);
            weight += f64::from(self.batch.weight);
            done += rows.len();
            let loss = Some((loss / weight) as f32);
            let (held_out, of) = (self.held_out, data.rows.len());
            let progress = Progress { held_out, epoch, epochs, examples: done, of, loss };
            if (self.work.watch)(progress).is_break() {
                return Err(Error::Cancelled);
            }
        }
        Ok((loss / weight) as f32)
    }

    /// Vectors of users with their last features and history.
    fn user_vectors(&self, users: impl Iterator<Item = u32>) -> Vec<f32> {
        let Given { data, options, level, threads } = self.given;
        let mut inputs = Ragged::default();
        for user in users {
            let entry = data.user_entries.row(data.user_last[user as usize] as usize);
            let history = data.histories.row(data.history_last[user as usize] as usize);
            let history = history.iter().take(options.history_limit).copied();
            Schema::user_tokens(entry, history, &mut inputs);
        }
        self.net.embed(level, threads, &self.net.user, &inputs)
    }

    /// Vectors of the whole catalogue with its last features.
    fn item_vectors(&self) -> Vec<f32> {
        let Given { data, level, threads, .. } = self.given;
        let mut inputs = Ragged::default();
        for (item, entry) in data.item_last.iter().enumerate() {
            let entry = data.item_entries.row(*entry as usize);
            inputs.push(item_tokens(Some(item as u32), entry));
        }
        self.net.embed(level, threads, &self.net.item, &inputs)
    }
}
