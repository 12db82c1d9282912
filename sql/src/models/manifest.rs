//! What a version's folder says of itself: how rows become numbers, and numbers predictions.

use serde::{Deserialize, Serialize};

use super::features::{Feature, Layout};
use super::target::Target;
use super::transform::Stored;
use super::user_service::UserService;
use crate::error::{Error, Result};

/// Of the manifest's form.
const FORMAT: u32 = 1;

/// See the module. The weights are the kernel's own text or bytes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Manifest {
    pub format: u32,
    pub transform: Stored,
    pub body: Body,
    /// SHA-256 of the weights, in hexadecimal.
    pub weights: String,
    /// Of each feature in training.
    pub statistics: Vec<Statistics>,
}

/// What kind of model it is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Body {
    /// Features in columns, a prediction for each row.
    Tabular { form: Form, layout: Layout, features: Vec<Feature>, target: Target, ranks: bool },
    /// Vectors of users and items.
    Retrieval {
        form: Form,
        user: Side,
        item: Side,
        history: Option<String>,
        #[serde(default)]
        user_service: Option<UserService>,
    },
}

/// How the weights are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Form {
    Linear,
    Trees,
    LightGbm,
    XgBoost,
    Onnx,
    Dcn,
    TwoTower,
    Als,
}

/// One side of a model of retrieval: its key, and its features in the transform.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Side {
    pub key: String,
    /// `bigint` or `text`.
    pub key_type: String,
    pub features: Vec<(String, Taken)>,
}

/// What a tower takes a feature for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Taken {
    Category,
    Number,
    List,
}

/// What training saw of a feature, for comparison with what is seen later.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Statistics {
    pub name: String,
    pub null_fraction: f64,
    /// Of numbers.
    pub mean: Option<f64>,
    pub deviation: Option<f64>,
    pub least: Option<f64>,
    pub greatest: Option<f64>,
    /// Of categories.
    pub distinct: Option<u64>,
}

impl Manifest {
    pub fn new(transform: Stored, body: Body, weights: &[u8], statistics: Vec<Statistics>) -> Self {
        Self { format: FORMAT, transform, body, weights: digest(weights), statistics }
    }

    pub fn to_bytes(&self) -> Result<Vec<u8>> {
        serde_json::to_vec_pretty(self)
            .map_err(|error| Error::new("XX000", format!("manifest: {error}")))
    }

    /// None for bytes that are no manifest of this form.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let manifest: Self = serde_json::from_slice(bytes).ok()?;
        (manifest.format == FORMAT).then_some(manifest)
    }
}

/// SHA-256 in hexadecimal.
pub(super) fn digest(bytes: &[u8]) -> String {
    let digest = ring::digest::digest(&ring::digest::SHA256, bytes);
    digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}
