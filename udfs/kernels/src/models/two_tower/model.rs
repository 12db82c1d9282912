//! A trained model: vectors of users and items, known or not.

use super::Error;
use super::data::{Data, Schema};
use super::features::{Encoder, Keys, Kind, Value};
use super::layers::Layers;
use super::options::Options;
use super::step::{Net, item_tokens, weigh};
use super::units::normalise;
use crate::models::nets::Token;
use crate::models::nets::rows::Combine;
use crate::models::parallel::{cut, each, ranges};
use crate::models::ragged::Ragged;
use crate::simd::level::Level;

/// What `embed_user` and `embed_item` ask. It holds the last features and history of each user and
/// the last features of each item of the training, so that a key alone is enough for these.
#[derive(Debug, Clone, PartialEq)]
pub struct Model {
    pub(super) schema: Schema,
    pub(super) net: Net,
    pub(super) history_limit: usize,
    pub(super) users: Known,
    pub(super) items: Known,
}

/// Keys, ascending, with the tokens of their last features, and histories, newest first.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Known {
    pub keys: Vec<u64>,
    pub entries: Ragged<Token>,
    pub histories: Ragged<u32>,
}

impl Known {
    fn find(&self, key: Option<u64>) -> Option<usize> {
        self.keys.binary_search(&key?).ok()
    }
}

impl Schema {
    /// Whether a row is that of values without a row of their own: it starts at zero.
    pub(super) fn is_unknown(&self, row: usize) -> bool {
        let encoders = self.user.iter().chain(&self.item);
        let mut unknown = encoders.filter(|encoder| {
            !matches!(encoder.kind, Kind::Number { .. }) && matches!(encoder.keys, Keys::Known(_))
        });
        row == Self::UNKNOWN.0 as usize || unknown.any(|encoder| encoder.first as usize == row)
    }

    /// Adds a user's tokens.
    pub(super) fn user_tokens(
        entry: &[Token],
        history: impl Iterator<Item = u32>,
        out: &mut Ragged<Token>,
    ) {
        out.values.push(Self::USER);
        out.values.extend_from_slice(entry);
        let start = out.values.len();
        out.values.extend(history.map(|item| (Self::id(item), 1.0)));
        weigh(&mut out.values[start..]);
        out.ends.push(out.values.len() as u64);
    }
}

impl Net {
    /// Unit vectors of inputs, padded to the width.
    pub(super) fn embed(
        &self,
        level: Level,
        threads: usize,
        layers: &Layers,
        inputs: &Ragged<Token>,
    ) -> Vec<f32> {
        let width = self.width;
        let mut sums = vec![0.0; inputs.len() * width];
        let ranges = ranges(inputs.len(), threads.min(inputs.len().div_ceil(256)));
        let parts = cut(&mut sums, width, &ranges).into_iter().zip(ranges.iter().cloned());
        each(parts.collect(), |_, (out, range)| {
            let start = range.start.checked_sub(1).map_or(0, |before| inputs.ends[before]);
            let ends: Vec<u64> = inputs.ends[range].iter().map(|end| end - start).collect();
            let (tokens, table) = (&inputs.values[start as usize..], &self.table.values[..]);
            level.run(Combine { tokens, ends: &ends, table, width, out });
        });
        let mut rows = sums.clone();
        layers.forward(level, threads, &sums, &mut Vec::new(), &mut rows);
        normalise(level, width, &mut rows, &mut Vec::new());
        rows
    }
}

impl Model {
    pub(super) fn new(options: &Options, data: Data, mut net: Net) -> Self {
        net.table.forget();
        net.user.forget();
        net.item.forget();
        let last = |entries: &Ragged<Token>, last: &[u32]| {
            let mut kept = Ragged::default();
            last.iter().for_each(|entry| kept.push(entries.row(*entry as usize).iter().copied()));
            kept
        };
        let mut histories = Ragged::default();
        for history in &data.history_last {
            let history = data.histories.row(*history as usize).iter();
            histories.push(history.take(options.history_limit).copied());
        }
        let entries = last(&data.user_entries, &data.user_last);
        let users = Known { keys: data.users, entries, histories };
        let entries = last(&data.item_entries, &data.item_last);
        let items = Known { keys: data.items, entries, histories: Ragged::default() };
        Self { schema: data.schema, net, history_limit: options.history_limit, users, items }
    }

    /// Length of the vectors.
    pub fn dim(&self) -> usize {
        self.net.dim
    }

    /// Keys of the items of the training, ascending: rows of `item_vectors`.
    pub fn items(&self) -> &[u64] {
        &self.items.keys
    }

    /// Keys of the users of the training, ascending.
    pub fn users(&self) -> &[u64] {
        &self.users.keys
    }

    /// Names of the features that `embed_user` takes, in order.
    pub fn user_features(&self) -> impl Iterator<Item = &str> {
        self.schema.user.iter().map(|encoder| encoder.name.as_str())
    }

    /// Names of the features that `embed_item` takes, in order.
    pub fn item_features(&self) -> impl Iterator<Item = &str> {
        self.schema.item.iter().map(|encoder| encoder.name.as_str())
    }

    /// A user's unit vector. What is not given is taken from the training, if that knew the key:
    /// `features`, one value each in the order of training, and `history`, keys of items, newest
    /// first, of which unknown ones do not count.
    ///
    /// # Errors
    /// `Unknown` for a key that training did not know when neither features nor a history are
    /// given; `Features`, `Kind` and `NotFinite` for values that do not fit.
    pub fn embed_user(
        &self,
        level: Level,
        key: Option<u64>,
        features: Option<&[Value<'_>]>,
        history: Option<&[u64]>,
    ) -> Result<Vec<f32>, Error> {
        let known = self.users.find(key);
        if let (None, None, None, Some(key)) = (known, features, history, key) {
            return Err(Error::Unknown { key });
        }
        let (mut tokens, mut inputs) = (Vec::new(), Ragged::default());
        let entry = entry(&self.schema.user, &self.users, known, features, &mut tokens)?;
        match (history, known) {
            (Some(keys), _) => {
                let items = keys.iter().filter_map(|key| self.items.find(Some(*key)));
                let items = items.take(self.history_limit).map(|item| item as u32);
                Schema::user_tokens(entry, items, &mut inputs);
            }
            (None, Some(user)) => {
                let items = self.users.histories.row(user).iter().copied();
                Schema::user_tokens(entry, items, &mut inputs);
            }
            (None, None) => Schema::user_tokens(entry, std::iter::empty(), &mut inputs),
        }
        Ok(self.one(level, &self.net.user, &inputs))
    }

    /// An item's unit vector; an item that training did not know goes by its features.
    ///
    /// # Errors
    /// As `embed_user`.
    pub fn embed_item(
        &self,
        level: Level,
        key: Option<u64>,
        features: Option<&[Value<'_>]>,
    ) -> Result<Vec<f32>, Error> {
        let known = self.items.find(key);
        if let (None, None, Some(key)) = (known, features, key) {
            return Err(Error::Unknown { key });
        }
        let (mut tokens, mut inputs) = (Vec::new(), Ragged::default());
        let entry = entry(&self.schema.item, &self.items, known, features, &mut tokens)?;
        inputs.push(item_tokens(known.map(|item| item as u32), entry));
        Ok(self.one(level, &self.net.item, &inputs))
    }

    fn one(&self, level: Level, layers: &Layers, inputs: &Ragged<Token>) -> Vec<f32> {
        let mut vector = self.net.embed(level, 1, layers, inputs);
        vector.truncate(self.net.dim);
        vector
    }

    /// Unit vectors of all items of the training, row-major: what an index is built of.
    pub fn item_vectors(&self, level: Level, threads: usize) -> Vec<f32> {
        let mut inputs = Ragged::default();
        for item in 0..self.items.keys.len() {
            inputs.push(item_tokens(Some(item as u32), self.items.entries.row(item)));
        }
        let wide = self.net.embed(level, threads, &self.net.item, &inputs);
        wide.chunks_exact(self.net.width).flat_map(|row| &row[..self.net.dim]).copied().collect()
    }
}

/// The tokens of features given, or else of those known.
fn entry<'a>(
    encoders: &[Encoder],
    known: &'a Known,
    place: Option<usize>,
    features: Option<&[Value<'_>]>,
    tokens: &'a mut Vec<Token>,
) -> Result<&'a [Token], Error> {
    let Some(features) = features else {
        return Ok(place.map_or(&[], |place| known.entries.row(place)));
    };
    if features.len() != encoders.len() {
        return Err(Error::Features { expected: encoders.len(), found: features.len() });
    }
    for (encoder, value) in encoders.iter().zip(features) {
        encoder.encode(*value, 0, tokens)?;
    }
    Ok(tokens)
}
