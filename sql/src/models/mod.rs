//! Models: a name with immutable numbered versions and aliases that move between them.
//!
//! ```text
//!   CREATE MODEL m … AS query ─▶ rows ─split─▶ transform ─▶ numbers ─▶ kernel ─▶ a version
//!   predict('m', a, b) ─▶ the version that 'm' means ─▶ transform's expressions ─▶ score(…)
//! ```
//!
//! A model is a definition named by schema and model; it lists its versions, and a version names
//! the folder with its objects. A call is put in words of expressions before the statement is
//! planned: each feature is the expression of TRANSFORM with the call's arguments in the place of
//! its columns, and the model is a function over the features. Training computes the features with
//! the same expressions, so that one row gives the same bits in both.
//!
//! Names of models are resolved when a statement is planned, and a plan is good for one snapshot:
//! an alias that moves is seen by the next execution everywhere, and no statement mixes versions.

mod call;
mod catalogue;
mod data;
mod evaluate;
mod expand;
mod features;
mod fit;
mod fitted;
mod imported;
mod interactions;
mod library;
mod manifest;
mod measure;
mod options;
mod outputs;
mod progress;
mod rank;
mod reference;
mod retrieval;
mod retrieval_trials;
mod scoring;
mod search;
mod split;
mod statistics;
mod syntax;
mod tabular;
mod target;
mod train;
mod transform;
mod trials;
mod user_service;
mod vectors;

use std::collections::BTreeMap;

use catalog::registry::MODEL;
use catalog::{State, Transaction};
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::plan::{Place, SEPARATOR, key};

pub(crate) use evaluate::{NAME as EVALUATE, evaluate};
pub(crate) use expand::{called, cast, expand, replace};
pub(crate) use imported::{FORMATS, imported};
pub(crate) use options::Given;
pub use progress::{Stage, UnderWay};
pub(crate) use rank::expand as rank_items;
pub(crate) use reference::{find, undefined};
pub(crate) use train::{Asked, Trained, train};

/// The alias that a model's bare name means.
pub(crate) const CHAMPION: &str = "champion";
/// The alias that a new version gets.
pub(crate) const CANDIDATE: &str = "candidate";

/// A model as the catalog keeps it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Model {
    pub uuid: String,
    /// By number, which are never given twice; dropped ones leave gaps.
    pub versions: Vec<Version>,
    /// The number that the next version gets.
    pub next: u32,
    pub aliases: BTreeMap<String, u32>,
    pub events: Vec<Event>,
    pub comment: Option<String>,
}

/// The relation: name, arguments, what it is for.
pub(crate) fn listed() -> (&'static str, &'static [&'static str], &'static str) {
    (EVALUATE, evaluate::ARGUMENTS, "Metrics of a model on rows, with slices and intervals.")
}

/// Functions of a row: name, first arguments, what it is for. More arguments go by name.
pub(crate) const FUNCTIONS: &[(&str, &[&str], &str)] = &[
    ("predict", &["model"], "The number or class that a model predicts."),
    ("predict_proba", &["model"], "The probability of the positive class, or those of all."),
    ("rank_score", &["model"], "What a model ranks rows by; rank(model, …) is the same."),
    ("embed_user", &["user"], "The vector of a user, by a model of users and items."),
    ("embed_item", &["item"], "The vector of an item, by a model of users and items."),
];

/// An immutable version.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Version {
    pub number: u32,
    /// Of its objects, from the data path.
    pub folder: String,
    /// SHA-256 of the manifest, in hexadecimal; the manifest has that of the weights.
    pub sha256: String,
    pub bytes: u64,
    /// `gbdt`, `logistic`, …
    pub kind: String,
    pub options: BTreeMap<String, String>,
    /// As written; of an imported model the file.
    pub query: String,
    pub transform: Option<String>,
    pub search_path: Vec<String>,
    /// The state of the lake that it was trained on.
    pub snapshot_id: i64,
    /// RFC 3339.
    pub created_at: String,
    pub seconds: f64,
    /// Rows learned from, and rows that the metrics are of.
    pub rows: u64,
    pub test_rows: u64,
    pub metrics: BTreeMap<String, f64>,
    pub tags: BTreeMap<String, String>,
    /// The version that was the newest when it was made.
    pub parent: Option<u32>,
    /// The server's version.
    pub code_version: String,
    /// Of a search for options.
    #[serde(default)]
    pub trials: Vec<Trial>,
}

/// A training with options that a search has drawn.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Trial {
    /// From 1; the same number has the same options, from how many rows it may learn.
    pub number: u32,
    pub options: BTreeMap<String, String>,
    /// Rows learned from.
    pub rows: u64,
    /// Of the validation part; None: it says nothing.
    pub metric: String,
    pub value: Option<f64>,
    pub seconds: f64,
    pub chosen: bool,
}

/// Something that was done with a model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Event {
    /// RFC 3339.
    pub at: String,
    pub by: String,
    /// `create`, `set alias`, `drop alias`, `rollback`, `drop version`, `set tag`.
    pub event: String,
    pub version: Option<u32>,
    /// Where an alias pointed before.
    pub before: Option<u32>,
    pub alias: Option<String>,
}

impl Model {
    /// The model at a place.
    pub fn of(state: &State, place: &Place) -> Option<Self> {
        let name = (MODEL.to_owned(), key(&place.schema, &place.name));
        serde_json::from_value(state.definitions.get(&name)?.body.clone()).ok()
    }

    /// Keeps it.
    pub fn keep(&self, transaction: &mut Transaction, place: &Place) -> Result<()> {
        let body = serde_json::to_value(self)
            .map_err(|error| Error::new("XX000", format!("model: {error}")))?;
        Ok(transaction.define(MODEL, &key(&place.schema, &place.name), body, true)?)
    }

    /// Forgets it with all its versions.
    pub fn forget(transaction: &mut Transaction, place: &Place) -> Result<()> {
        Ok(transaction.undefine(MODEL, &key(&place.schema, &place.name))?)
    }

    pub fn version(&self, number: u32) -> Option<&Version> {
        self.versions.iter().find(|version| version.number == number)
    }

    /// The aliases of a version.
    pub fn aliases_of(&self, number: u32) -> impl Iterator<Item = &str> {
        let of = self.aliases.iter().filter(move |(_, version)| **version == number);
        of.map(|(alias, _)| alias.as_str())
    }
}

/// Every model: schema, name, definition.
pub(crate) fn models(state: &State) -> Vec<(&str, &str, Model)> {
    let kept = state.definitions.iter().filter(|((kind, _), _)| kind == MODEL);
    kept.filter_map(|((_, key), definition)| {
        let (schema, name) = key.split_once(SEPARATOR)?;
        Some((schema, name, serde_json::from_value(definition.body.clone()).ok()?))
    })
    .collect()
}
