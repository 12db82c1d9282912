//! Training: rows of a query to a manifest and weights. Nothing is written here.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use catalog::registry::{Told, Training};
use datafusion::sql::sqlparser::ast;

use super::manifest::Manifest;
use super::options::Given;
use super::{Trial, data, retrieval, tabular};
use crate::error::{Error, Result};
use crate::parse::TransformItem;
use crate::plan::{Environment, Lakes};

/// Every type of model.
pub(super) const KINDS: [&str; 6] = ["linear", "logistic", "gbdt", "dcn", "two_tower", "als"];

/// What CREATE MODEL says.
pub(crate) struct Asked<'a> {
    pub transform: Option<&'a [TransformItem]>,
    pub given: Given,
    pub query: ast::Query,
    pub training: Arc<Training>,
}

/// A model that has learned, not yet kept.
#[derive(Debug)]
pub(crate) struct Trained {
    pub(super) manifest: Manifest,
    pub(super) weights: Vec<u8>,
    pub kind: &'static str,
    /// Rows learned from, and rows that the metrics are of.
    pub rows: u64,
    pub test_rows: u64,
    pub metrics: BTreeMap<String, f64>,
    /// What is worth knowing of how it went.
    pub told: Vec<String>,
    /// Options that a search has found, and the trials of it.
    pub chosen: BTreeMap<String, String>,
    pub trials: Vec<Trial>,
}

impl Trained {
    /// A model that was trained elsewhere.
    pub(super) fn imported(kind: &'static str, manifest: Manifest, weights: Vec<u8>) -> Self {
        Self {
            manifest,
            weights,
            kind,
            rows: 0,
            test_rows: 0,
            metrics: BTreeMap::new(),
            told: Vec::new(),
            chosen: BTreeMap::new(),
            trials: Vec::new(),
        }
    }

    /// The objects of its folder in the order in which they are written, and the digest of the
    /// last one.
    pub fn objects(self) -> Result<(Vec<(&'static str, Vec<u8>)>, String)> {
        let manifest = self.manifest.to_bytes()?;
        let digest = super::manifest::digest(&manifest);
        let weights = (super::library::WEIGHTS, self.weights);
        Ok((vec![weights, (super::library::MANIFEST, manifest)], digest))
    }
}

/// Trains a model.
///
/// # Errors
/// Those of the query; 42704 and 22023 for options, 42703 for columns, 42804 for types, 22000 for
/// rows that a model cannot learn from, 53200 for more than fits in memory, 57014 when cancelled.
pub(crate) async fn train(
    environment: &Environment,
    lakes: &Lakes,
    asked: Asked<'_>,
) -> Result<Trained> {
    let Asked { transform, mut given, query, training } = asked;
    let Some(kind) = given.one_of("model_type", &KINDS)? else {
        return Err(Error::new("22023", "option \"model_type\" is missing")
            .with_hint(format!("It may be {}.", KINDS.join(", "))));
    };
    let ordered = query.order_by.is_some();
    match kind {
        "two_tower" | "als" => {
            let asked = retrieval::Asked::read(kind, &mut given)?;
            let rows = data::collect(environment, lakes, query, Some(&training)).await?;
            let rows = (rows, ordered);
            retrieval::train(environment, lakes, (transform, asked, training), rows).await
        }
        _ => {
            let asked = tabular::Asked::read(kind, &mut given)?;
            let rows = data::collect(environment, lakes, query, Some(&training)).await?;
            tabular::train(environment, lakes, (transform, asked, training), rows).await
        }
    }
}

/// Tells those who watch, and says whether somebody still waits.
pub(super) fn go_on(training: &Training, told: Told, stopped: &AtomicBool) -> ControlFlow<()> {
    training.tell(told);
    match stopped.load(Ordering::Relaxed) {
        true => ControlFlow::Break(()),
        false => ControlFlow::Continue(()),
    }
}
