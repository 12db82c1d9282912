//! Versions opened from their objects.

use std::sync::Arc;

use catalog::Lake;
use catalog::registry::damaged;
use kernels::models::dcn;
use kernels::models::linear::Linear;
use kernels::models::onnx;
use kernels::models::trees::{self, Forest, Scorer};
use kernels::models::{als, two_tower};
use kernels::simd::level::Level;

use super::Version;
use super::features::Encoder;
use super::manifest::{Body, Form, Manifest, Side, digest};
use super::target::Target;
use super::transform::Transform;
use super::user_service::UserService;
use crate::error::{Error, Result};

/// The names of a version's objects.
pub(super) const WEIGHTS: &str = "weights";
pub(super) const MANIFEST: &str = "manifest.json";

/// A version ready for use.
#[derive(Debug)]
pub(super) struct Opened {
    /// Tells versions apart, everywhere and for ever.
    pub folder: String,
    pub transform: Transform,
    pub engine: Engine,
}

/// What predicts.
#[derive(Debug)]
pub(super) enum Engine {
    Tabular {
        model: Tabular,
        encoder: Encoder,
        target: Target,
        ranks: bool,
    },
    Retrieval {
        model: Retrieval,
        user: Side,
        item: Side,
        history: Option<String>,
        user_service: Option<UserService>,
    },
}

#[derive(Debug)]
pub(super) enum Tabular {
    Linear(Linear),
    Trees(Scorer),
    Dcn(Box<dcn::Model>),
    Onnx(Box<onnx::Model>),
}

#[derive(Debug)]
pub(super) enum Retrieval {
    TwoTower(Box<two_tower::Model>),
    Als(als::Model),
}

impl Tabular {
    /// Row-major by the target's outputs, through the link; NaN where nothing can be said.
    ///
    /// # Errors
    /// 22000 where an imported network fails on a row.
    pub fn predict(&self, columns: &[&[f64]], target: &Target, rows: usize) -> Result<Vec<f64>> {
        let other = || Error::new("XX000", "the model takes other features");
        let outputs = match self {
            Self::Linear(model) => model.outputs(),
            Self::Trees(scorer) => scorer.forest().outputs(),
            Self::Dcn(_) => 1,
            Self::Onnx(model) => model.outputs(),
        };
        let mut out = vec![0.0; rows * outputs];
        match self {
            Self::Linear(model) => model.predict(columns, &mut out).ok_or_else(other)?,
            Self::Trees(scorer) => scorer.predict(columns, &mut out).ok_or_else(other)?,
            Self::Dcn(model) => {
                model.predict(Level::best(), columns, &mut out).ok_or_else(other)?;
            }
            Self::Onnx(model) => model.predict(columns, &mut out).map_err(|reason| {
                Error::new("22000", format!("the model cannot answer for a row: {reason}"))
            })?,
        }
        match (target.outputs(), outputs) {
            // Trained elsewhere on two classes as on several: the second is the positive one.
            (1, 2) => Ok(out.chunks_exact(2).map(|row| row[1]).collect()),
            (wanted, found) if wanted == found => Ok(out),
            _ => Err(other()),
        }
    }
}

impl Retrieval {
    /// Length of the vectors.
    pub fn dim(&self) -> usize {
        match self {
            Self::TwoTower(model) => model.dim(),
            Self::Als(model) => model.dim(),
        }
    }
}

/// A version from the cache or from its objects, whose digests are checked.
///
/// # Errors
/// 58030 for objects that are gone or not as they were written.
pub(super) async fn open(lake: &Arc<Lake>, version: &Version) -> Result<Arc<Opened>> {
    let folder = version.folder.as_str();
    if let Some(opened) = lake.open_model::<Opened>(folder) {
        return Ok(opened);
    }
    let bytes = lake.model_object(folder, MANIFEST).await?;
    let wrong = |name: &str, reason: &str| Error::Catalog(damaged(folder, name, reason));
    if digest(&bytes) != version.sha256 {
        return Err(wrong(MANIFEST, "its digest is another"));
    }
    let manifest = Manifest::from_bytes(&bytes)
        .ok_or_else(|| wrong(MANIFEST, "it is of another version of the server"))?;
    let weights = lake.model_object(folder, WEIGHTS).await?;
    if digest(&weights) != manifest.weights {
        return Err(wrong(WEIGHTS, "their digest is another"));
    }
    let opened = Opened::new(folder, manifest, &weights).map_err(|error| match error {
        Error::Statement { message, .. } => wrong(WEIGHTS, &message),
        other => other,
    })?;
    let opened = Arc::new(opened);
    lake.keep_model(folder, Arc::clone(&opened), weights.len() as u64);
    Ok(opened)
}

impl Opened {
    fn new(folder: &str, manifest: Manifest, weights: &[u8]) -> Result<Self> {
        let transform = Transform::open(manifest.transform)?;
        let engine = match manifest.body {
            Body::Tabular { form, layout, features, target, ranks } => Engine::Tabular {
                model: tabular(form, weights)?,
                encoder: Encoder::new(features, layout)?,
                target,
                ranks,
            },
            Body::Retrieval { form, user, item, history, user_service } => {
                let model = retrieval(form, weights)?;
                Engine::Retrieval { model, user, item, history, user_service }
            }
        };
        Ok(Self { folder: folder.to_owned(), transform, engine })
    }
}

fn text(weights: &[u8]) -> Result<&str> {
    std::str::from_utf8(weights).map_err(|_| Error::new("22000", "it is no text"))
}

fn unread(error: &trees::Error) -> Error {
    let sqlstate = match error {
        trees::Error::Unsupported { .. } => "0A000",
        _ => "22000",
    };
    Error::new(sqlstate, error.to_string())
}

pub(super) fn tabular(form: Form, weights: &[u8]) -> Result<Tabular> {
    let scorer = |forest: Result<Forest, trees::Error>| {
        forest.and_then(Scorer::new).map(Tabular::Trees).map_err(|error| unread(&error))
    };
    match form {
        Form::Linear => {
            let model = Linear::read(text(weights)?);
            model.map(Tabular::Linear).map_err(|error| unread(&error))
        }
        Form::Trees => scorer(trees::read_own(text(weights)?)),
        Form::LightGbm => scorer(trees::read_lightgbm(text(weights)?)),
        Form::XgBoost => scorer(trees::read_xgboost(text(weights)?)),
        Form::Onnx => {
            let model = onnx::Model::read(weights).map(|model| Tabular::Onnx(Box::new(model)));
            model.map_err(|error| unread(&error))
        }
        Form::Dcn => {
            let model = dcn::Model::from_bytes(weights).map(|model| Tabular::Dcn(Box::new(model)));
            model.ok_or_else(|| Error::new("22000", "they are corrupted"))
        }
        Form::TwoTower | Form::Als => Err(Error::new("22000", "they are of another kind")),
    }
}

fn retrieval(form: Form, weights: &[u8]) -> Result<Retrieval> {
    match form {
        Form::TwoTower => two_tower::Model::from_bytes(weights)
            .map(|model| Retrieval::TwoTower(Box::new(model)))
            .map_err(|error| Error::new(error.sqlstate(), error.to_string())),
        Form::Als => als::Model::from_bytes(weights)
            .map(Retrieval::Als)
            .map_err(|error| Error::new(error.sqlstate(), error.to_string())),
        _ => Err(Error::new("22000", "they are of another kind")),
    }
}
