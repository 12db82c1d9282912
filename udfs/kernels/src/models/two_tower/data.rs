//! Examples, numbered: users, items and the tokens of their features, each kept once.
//!
//! A user or item has an entry for each different feature row that it came with; examples point to
//! theirs, and the last one in time is what the model keeps. All that is learned here, keys and
//! means included, comes from the rows that it is given: those held out leave no trace.

use super::Error;
use super::features::{Encoder, Feature, Lists};
use super::options::Options;
use crate::models::held_out::hold_out;
use crate::models::nets::Token;
use crate::models::ragged::Ragged;

/// What a model is trained on: one example a row, all columns equally long.
#[derive(Debug, Clone, Copy)]
pub struct Examples<'a> {
    /// Keys: numbers, or hashes of text. Rows with a NULL key are the caller's to leave out.
    pub users: &'a [u64],
    pub items: &'a [u64],
    /// When it happened; without times rows are in order.
    pub times: Option<&'a [i64]>,
    /// What the row counts for; zero says that the item was shown and not taken: the features of
    /// such a row count, and it is no positive. Without weights each row counts 1.
    pub weights: Option<&'a [f32]>,
    /// Keys of the items that the user had taken before, newest first. Without it the history is
    /// the user's other rows.
    pub history: Option<Lists<'a>>,
    pub user_features: &'a [Feature<'a>],
    pub item_features: &'a [Feature<'a>],
}

impl Examples<'_> {
    /// # Errors
    /// `Length` and `NotFinite`, naming the column, `NoExamples`, `TooMany`.
    pub fn check(&self) -> Result<(), Error> {
        let expected = self.users.len();
        let features = self.user_features.iter().chain(self.item_features);
        let mut columns: Vec<(&str, usize)> = vec![("item", self.items.len())];
        columns.extend(self.times.map(|times| ("time", times.len())));
        columns.extend(self.weights.map(|weights| ("weight", weights.len())));
        columns.extend(self.history.map(|history| ("history", history.ends.len())));
        columns.extend(features.map(|feature| (feature.name, feature.column.len())));
        if let Some((column, found)) = columns.into_iter().find(|(_, found)| *found != expected) {
            return Err(Error::Length { column: column.to_string(), expected, found });
        }
        if u32::try_from(expected).is_err() {
            return Err(Error::TooMany { what: "rows" });
        }
        let wrong = |weight: &f32| !(weight.is_finite() && *weight >= 0.0);
        if let Some(row) = self.weights.unwrap_or(&[]).iter().position(wrong) {
            return Err(Error::NotFinite { column: "weight".to_string(), row });
        }
        match (0..expected).any(|row| self.weight(row) > 0.0) {
            true => Ok(()),
            false => Err(Error::NoExamples),
        }
    }

    pub(super) fn weight(&self, row: usize) -> f32 {
        self.weights.map_or(1.0, |weights| weights[row])
    }

    /// Row numbers by time, equal times as they came.
    pub(super) fn in_order(&self) -> Vec<u32> {
        let mut order: Vec<u32> = (0..self.users.len() as u32).collect();
        if let Some(times) = self.times {
            order.sort_by_key(|row| times[*row as usize]);
        }
        order
    }

    /// Rows to learn from and rows held out, both in order.
    pub(super) fn split(&self, options: &Options) -> (Vec<u32>, Vec<u32>) {
        let counts = |row: u32| self.weight(row as usize) > 0.0;
        let how = (options.split, options.test_fraction, options.seed);
        hold_out(&self.in_order(), self.users, counts, how)
    }
}

/// Where things are in the table, and how values become tokens.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Schema {
    pub user: Vec<Encoder>,
    pub item: Vec<Encoder>,
    /// Rows of the table.
    pub rows: usize,
}

impl Schema {
    /// Always there in a user's sum: where someone of whom nothing is known stands.
    pub const USER: Token = (0, 1.0);
    pub const ITEM: Token = (1, 1.0);
    /// The row of items without a row of their own.
    pub const UNKNOWN: Token = (2, 1.0);
    const IDS: u32 = 3;

    /// The row of an item's id, which histories share.
    pub fn id(item: u32) -> u32 {
        Self::IDS + item
    }

    fn fit(examples: &Examples<'_>, rows: &[u32], items: usize) -> Result<Self, Error> {
        let mut schema = Self { rows: Self::IDS as usize + items, ..Self::default() };
        for feature in examples.user_features {
            schema.add(feature, rows).map(|encoder| schema.user.push(encoder))?;
        }
        for feature in examples.item_features {
            schema.add(feature, rows).map(|encoder| schema.item.push(encoder))?;
        }
        u32::try_from(schema.rows).map_err(|_| Error::TooMany { what: "keys" })?;
        Ok(schema)
    }

    fn add(&mut self, feature: &Feature<'_>, rows: &[u32]) -> Result<Encoder, Error> {
        let first = u32::try_from(self.rows).map_err(|_| Error::TooMany { what: "keys" })?;
        let encoder = Encoder::fit(feature, rows, first)?;
        self.rows += encoder.rows();
        Ok(encoder)
    }
}

/// One example.
#[derive(Debug, Clone, Copy)]
pub(super) struct Row {
    pub user: u32,
    pub item: u32,
    /// Entries of both, and the row of `histories`.
    pub user_entry: u32,
    pub item_entry: u32,
    pub history: u32,
    pub weight: f32,
}

/// Examples ready for training.
#[derive(Debug, Default)]
pub(super) struct Data {
    pub schema: Schema,
    /// Keys, ascending; a number of a user or item is its place here.
    pub users: Vec<u64>,
    pub items: Vec<u64>,
    pub rows: Vec<Row>,
    pub user_entries: Ragged<Token>,
    pub item_entries: Ragged<Token>,
    /// The last entry of each user and item.
    pub user_last: Vec<u32>,
    pub item_last: Vec<u32>,
    /// Items, newest first.
    pub histories: Ragged<u32>,
    /// The last history of each user.
    pub history_last: Vec<u32>,
    /// Items that each user has taken, ascending.
    pub positives: Ragged<u32>,
    /// How many examples each item has.
    pub counts: Vec<u32>,
}

impl Data {
    /// Numbers the given rows, which are in order of time.
    ///
    /// # Errors
    /// `NotFinite` and `TooMany`; `NoExamples` when no row has weight.
    pub fn new(examples: &Examples<'_>, rows: &[u32]) -> Result<Self, Error> {
        let (users, items) = (distinct(examples.users, rows), distinct(examples.items, rows));
        let schema = Schema::fit(examples, rows, items.len())?;
        let (user_count, item_count) = (users.len(), items.len());
        let mut data = Self { schema, users, items, ..Self::default() };
        data.user_last = vec![u32::MAX; user_count];
        data.item_last = vec![u32::MAX; item_count];
        data.history_last = vec![u32::MAX; user_count];
        data.counts = vec![0; item_count];
        let mut tokens = Vec::new();
        for row in rows.iter().map(|row| *row as usize) {
            data.push(examples, row, &mut tokens)?;
        }
        if data.rows.is_empty() {
            return Err(Error::NoExamples);
        }
        data.collect_positives(examples.history.is_none());
        Ok(data)
    }

    fn push(
        &mut self,
        examples: &Examples<'_>,
        row: usize,
        tokens: &mut Vec<Token>,
    ) -> Result<(), Error> {
        let user = number(&self.users, examples.users[row]);
        let item = number(&self.items, examples.items[row]);
        encode(&self.schema.user, examples.user_features, row, tokens)?;
        let user_entry = keep(&mut self.user_entries, &mut self.user_last[user], tokens);
        encode(&self.schema.item, examples.item_features, row, tokens)?;
        let item_entry = keep(&mut self.item_entries, &mut self.item_last[item], tokens);
        let mut history = user as u32;
        if let Some(lists) = examples.history {
            history = self.histories.len() as u32;
            let known = |key: &u64| self.items.binary_search(key).ok().map(|item| item as u32);
            self.histories.push(lists.row(row).iter().filter_map(known));
            self.history_last[user] = history;
        }
        let weight = examples.weight(row);
        if weight > 0.0 {
            let (user, item) = (user as u32, item as u32);
            self.counts[item as usize] += 1;
            self.rows.push(Row { user, item, user_entry, item_entry, history, weight });
        }
        Ok(())
    }

    /// What each user has taken, as a set and, where no history was given, as the history.
    fn collect_positives(&mut self, as_history: bool) {
        let mut taken: Vec<(u32, u32, u32)> = Vec::with_capacity(self.rows.len());
        let newest = self.rows.iter().rev().zip(0..);
        taken.extend(newest.map(|(row, age)| (row.user, row.item, age)));
        taken.sort_unstable();
        taken.dedup_by_key(|(user, item, _)| (*user, *item));
        let mut taken = &taken[..];
        for user in 0..self.users.len() as u32 {
            let (own, rest) = taken.split_at(taken.partition_point(|row| row.0 == user));
            taken = rest;
            self.positives.push(own.iter().map(|(_, item, _)| *item));
            if as_history {
                let mut by_age: Vec<(u32, u32)> = own.iter().map(|row| (row.2, row.1)).collect();
                by_age.sort_unstable();
                self.history_last[user as usize] = user;
                self.histories.push(by_age.into_iter().map(|(_, item)| item));
            }
        }
    }
}

fn distinct(keys: &[u64], rows: &[u32]) -> Vec<u64> {
    let mut keys: Vec<u64> = rows.iter().map(|row| keys[*row as usize]).collect();
    keys.sort_unstable();
    keys.dedup();
    keys
}

/// The place of a key that is there.
fn number(keys: &[u64], key: u64) -> usize {
    keys.partition_point(|other| *other < key)
}

fn encode(
    encoders: &[Encoder],
    features: &[Feature<'_>],
    row: usize,
    tokens: &mut Vec<Token>,
) -> Result<(), Error> {
    tokens.clear();
    for (encoder, feature) in encoders.iter().zip(features) {
        encoder.encode(feature.column.value(row), row, tokens)?;
    }
    Ok(())
}

/// The number of an entry with these tokens: the last one's if they are the same.
fn keep(entries: &mut Ragged<Token>, last: &mut u32, tokens: &[Token]) -> u32 {
    if *last == u32::MAX || entries.row(*last as usize) != tokens {
        *last = entries.len() as u32;
        entries.push(tokens.iter().copied());
    }
    *last
}
