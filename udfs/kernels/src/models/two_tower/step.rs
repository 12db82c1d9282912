//! One step of training: sums of tokens, towers, loss, and all of it backwards.
//!
//! ```text
//!   tokens ─▶ sums ─(layers)─▶ outputs ─▶ units ─▶ scores = U Vᵀ ─▶ gradient G by scores
//!                                                                     dU = G V, dV = Gᵀ U
//! ```
//!
//! Users' rows come first in every matrix, then items' rows.

use super::batch::Batch;
use super::data::{Data, Row, Schema};
use super::layers::Layers;
use super::loss::Softmax;
use super::options::Options;
use super::units::{denormalise, normalise};
use crate::ann::Random;
use crate::models::held_out::spread;
use crate::models::nets::layers::{Gradient, turn};
use crate::models::nets::rows::{Adam, Combine, Parameters};
use crate::models::nets::table::{Shard, shards, update};
use crate::models::nets::{Token, unit};
use crate::models::parallel::{cut, each, ranges};
use crate::models::ragged::Ragged;
use crate::simd::level::{LANES, Level};
use crate::vectors::{Panels, Rows};

/// All that training moves.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Net {
    pub dim: usize,
    /// `dim`, padded to whole lanes.
    pub width: usize,
    pub table: Parameters,
    pub user: Layers,
    pub item: Layers,
}

/// Memory of a step, kept from one to the next.
#[derive(Debug, Default)]
pub(super) struct Step {
    /// Tokens of users' and items' sums, cut as the threads had them.
    pub user_tokens: Vec<Ragged<Token>>,
    pub item_tokens: Vec<Ragged<Token>>,
    sums: Vec<f32>,
    units: Vec<f32>,
    lengths: [Vec<f32>; 2],
    hidden: [Vec<Vec<f32>>; 2],
    scores: Vec<f32>,
    pub gradients: Vec<f32>,
    losses: Vec<f32>,
    shards: Vec<Shard>,
    users: Panels,
    items: Panels,
    across: Panels,
}

/// What a step works with and does not change.
#[derive(Clone, Copy)]
pub(super) struct Given<'a> {
    pub data: &'a Data,
    pub options: &'a Options,
    pub level: Level,
    pub threads: usize,
}

impl Step {
    /// Moves the net against the gradient of the batch's mean loss, and answers the sum of
    /// losses times weights.
    pub fn run(&mut self, given: Given<'_>, net: &mut Net, batch: &Batch, adam: Adam) -> f64 {
        self.forward(given, net, batch);
        let loss = self.loss(given, net, batch);
        let layers = self.backward(given, net, batch);
        let parts = self.user_tokens.iter().chain(&self.item_tokens);
        let inputs: Vec<&Ragged<Token>> = parts.collect();
        if self.shards.is_empty() {
            let rows = net.table.values.len() / net.width;
            self.shards = shards(&inputs, rows, given.threads);
        }
        let all = (&inputs[..], &self.gradients[..]);
        update(given.level, adam, all, net.width, (&mut self.shards, &mut net.table));
        net.user.step(given.level, adam, &layers[0]);
        net.item.step(given.level, adam, &layers[1]);
        loss
    }

    /// Vectors of both towers; those of the items are padded with zeros to whole lanes of columns.
    pub fn forward(&mut self, given: Given<'_>, net: &Net, batch: &Batch) {
        let (examples, columns, width) = (batch.rows.len(), batch.items.len(), net.width);
        self.sums.clear();
        self.sums.resize((examples + columns) * width, 0.0);
        self.gather(given, net, batch);
        self.units.clear();
        self.units.extend_from_slice(&self.sums);
        let (user_sums, item_sums) = self.sums.split_at(examples * width);
        let (users, items) = self.units.split_at_mut(examples * width);
        let Given { level, threads, .. } = given;
        net.user.forward(level, threads, user_sums, &mut self.hidden[0], users);
        net.item.forward(level, threads, item_sums, &mut self.hidden[1], items);
        normalise(level, width, users, &mut self.lengths[0]);
        normalise(level, width, items, &mut self.lengths[1]);
        self.units.resize((examples + columns.next_multiple_of(LANES)) * width, 0.0);
    }

    fn gather(&mut self, given: Given<'_>, net: &Net, batch: &Batch) {
        let (examples, columns, width) = (batch.rows.len(), batch.items.len(), net.width);
        let threads = given.threads.max(1);
        self.user_tokens.resize(threads, Ragged::default());
        self.item_tokens.resize(threads, Ragged::default());
        let (users, items) = (ranges(examples, threads), ranges(columns, threads));
        let (user_sums, item_sums) = self.sums.split_at_mut(examples * width);
        let user_sums = cut(user_sums, width, &users).into_iter().zip(users);
        let item_sums = cut(item_sums, width, &items).into_iter().zip(items);
        let tokens = self.user_tokens.iter_mut().zip(&mut self.item_tokens);
        let parts = tokens.zip(user_sums.zip(item_sums)).collect();
        let table = &net.table.values;
        each(parts, |_, ((users, items), ((user_sums, user_range), (item_sums, item_range)))| {
            users.clear();
            items.clear();
            for place in user_range {
                user_tokens(given, &batch.rows[place], batch.seed ^ place as u64, users);
            }
            for place in item_range {
                let seed = spread(batch.seed ^ !(place as u64));
                let unknown = unit(seed) < given.options.id_dropout;
                let entry = given.data.item_entries.row(batch.entries[place] as usize);
                items.push(item_tokens((!unknown).then_some(batch.items[place]), entry));
            }
            for (tokens, out) in [(users, user_sums), (items, item_sums)] {
                let Ragged { ends, values: tokens } = tokens;
                given.level.run(Combine { tokens, ends, table, width, out });
            }
        });
    }

    /// Scores, their softmax, and gradients by the users' vectors.
    pub fn loss(&mut self, given: Given<'_>, net: &Net, batch: &Batch) -> f64 {
        let (examples, width) = (batch.rows.len(), net.width);
        let (users, items) = self.units.split_at(examples * width);
        if let Ok(rows) = Rows::single(items, width) {
            self.items.fill(rows);
        }
        self.across.fill_columns(items, width);
        let stride = self.items.stride();
        self.scores.resize(examples * stride, 0.0);
        self.losses.resize(examples, 0.0);
        self.gradients.resize((examples + batch.items.len()) * width, 0.0);
        let ranges = ranges(examples, given.threads);
        let (user_gradients, _) = self.gradients.split_at_mut(examples * width);
        let scores = cut(&mut self.scores, stride, &ranges).into_iter();
        let gradients = cut(user_gradients, width, &ranges);
        let losses = cut(&mut self.losses, 1, &ranges);
        let parts = scores.zip(gradients).zip(losses).zip(ranges).collect();
        let (panels, across) = (&self.items, &self.across);
        each(parts, |_, (((scores, gradients), losses), range)| {
            panels.dots(given.level, &users[range.start * width..range.end * width], scores);
            let (mut masked, mut kept) = (Vec::new(), Vec::new());
            let rows = scores.chunks_exact_mut(stride).zip(losses);
            for (own, (scores, loss)) in range.zip(rows) {
                batch.masked(given.data, own, &mut masked);
                *loss = given.level.run(Softmax {
                    scores,
                    biases: &batch.biases,
                    masked: &masked,
                    single: batch.single.row(own),
                    own,
                    temperature: given.options.temperature,
                    weight: batch.rows[own].weight / batch.weight,
                    kept: &mut kept,
                });
            }
            across.dots(given.level, scores, gradients);
        });
        let losses = self.losses.iter().zip(&batch.rows);
        losses.map(|(loss, row)| f64::from(*loss) * f64::from(row.weight)).sum()
    }

    /// Gradients by the sums of all rows, and by the layers of both towers.
    pub fn backward(&mut self, given: Given<'_>, net: &Net, batch: &Batch) -> [Vec<Gradient>; 2] {
        let (examples, columns, width) = (batch.rows.len(), batch.items.len(), net.width);
        let Given { level, threads, .. } = given;
        let (users, items) = self.units.split_at(examples * width);
        self.users.fill_columns(users, width);
        let (user_gradients, item_gradients) = self.gradients.split_at_mut(examples * width);
        let ranges = ranges(columns, threads);
        let parts = cut(item_gradients, width, &ranges).into_iter().zip(ranges).collect();
        let (scores, panels, stride) = (&self.scores, &self.users, self.items.stride());
        each(parts, |_, (gradients, range)| {
            let mut turned = Vec::new();
            turn(scores, stride, range, &mut turned);
            panels.dots(level, &turned, gradients);
        });
        denormalise(level, width, users, &self.lengths[0], user_gradients);
        denormalise(level, width, items, &self.lengths[1], item_gradients);
        let (user_sums, item_sums) = self.sums.split_at(examples * width);
        let [user_hidden, item_hidden] = &self.hidden;
        [
            net.user.backward(level, threads, user_sums, user_hidden, user_gradients),
            net.item.backward(level, threads, item_sums, item_hidden, item_gradients),
        ]
    }
}

/// An item: itself or, without a number, the unknown one, and its features.
pub(super) fn item_tokens(item: Option<u32>, entry: &[Token]) -> impl Iterator<Item = Token> {
    let id = item.map_or(Schema::UNKNOWN, |item| (Schema::id(item), 1.0));
    [Schema::ITEM, id].into_iter().chain(entry.iter().copied())
}

/// An example's user: features, and the history less the example's item and what chance leaves out.
fn user_tokens(given: Given<'_>, row: &Row, seed: u64, out: &mut Ragged<Token>) {
    let Given { data, options, .. } = given;
    let history = data.histories.row(row.history as usize);
    let share = (options.history_limit as f32 / history.len().max(1) as f32).min(1.0);
    let share = share * (1.0 - options.history_dropout);
    let mut random = Random::new(seed);
    out.values.push(Schema::USER);
    out.values.extend_from_slice(data.user_entries.row(row.user_entry as usize));
    let start = out.values.len();
    for item in history {
        if *item != row.item && (share == 1.0 || unit(random.number()) < share) {
            out.values.push((Schema::id(*item), 1.0));
        }
    }
    weigh(&mut out.values[start..]);
    out.ends.push(out.values.len() as u64);
}

/// n tokens count 1/√n each.
pub(super) fn weigh(tokens: &mut [Token]) {
    let share = 1.0 / (tokens.len() as f32).sqrt();
    tokens.iter_mut().for_each(|token| token.1 = share);
}
