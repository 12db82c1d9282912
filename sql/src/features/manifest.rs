//! What is kept of a training set beside its rows: enough to make them again.

use std::collections::BTreeMap;

use catalog::{State, TRAINING_SET, Transaction};
use serde::{Deserialize, Serialize};

use super::{SEPARATOR, key};
use crate::error::{Error, Result};
use crate::plan::Place;

/// See the module. Its snapshot is kept from expiry while it is there.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// The query, as written, and the schemas in which its names are looked up.
    pub sql: String,
    pub search_path: Vec<String>,
    /// The state of the lake that it read.
    pub snapshot_id: i64,
    /// RFC 3339.
    pub created_at: String,
    pub views: Vec<UsedView>,
    /// What was asked to be known: `label`, at each label's time; or a time, RFC 3339. None: also
    /// what came later.
    #[serde(default)]
    pub cutoff: Option<String>,
    pub row_count: u64,
    /// By column, from 0 to 1.
    pub null_rates: BTreeMap<String, f64>,
}

/// A feature view that was read.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct UsedView {
    pub schema: String,
    pub view: String,
    pub version: u32,
}

impl Manifest {
    /// The manifest of the training set at a place.
    pub fn of(state: &State, place: &Place) -> Option<Self> {
        let name = (TRAINING_SET.to_owned(), key(&place.schema, &place.name));
        serde_json::from_value(state.definitions.get(&name)?.body.clone()).ok()
    }

    /// Fails for a training set, whose rows stay as its manifest says: 42809.
    pub fn refuse_change(state: &State, place: &Place) -> Result<()> {
        if place.temp || Self::of(state, place).is_none() {
            return Ok(());
        }
        let message = format!("cannot change training set \"{}\"", place.name);
        Err(Error::new("42809", message).with_hint("CREATE TABLE AS makes a copy that can change."))
    }

    /// Keeps it.
    pub fn keep(&self, transaction: &mut Transaction, place: &Place) -> Result<()> {
        let body = serde_json::to_value(self)
            .map_err(|error| Error::new("XX000", format!("manifest: {error}")))?;
        Ok(transaction.define(TRAINING_SET, &key(&place.schema, &place.name), body, true)?)
    }

    /// Forgets it.
    pub fn forget(transaction: &mut Transaction, place: &Place) -> Result<()> {
        Ok(transaction.undefine(TRAINING_SET, &key(&place.schema, &place.name))?)
    }
}

/// Every manifest: schema, table, manifest.
pub fn manifests(state: &State) -> Vec<(&str, &str, Manifest)> {
    let kept = state.definitions.iter().filter(|((kind, _), _)| kind == TRAINING_SET);
    kept.filter_map(|((_, key), definition)| {
        let (schema, name) = key.split_once(SEPARATOR)?;
        Some((schema, name, serde_json::from_value(definition.body.clone()).ok()?))
    })
    .collect()
}
