//! Objects of model versions, and those of them that are open.
//!
//! ```text
//!   definition ("model", schema ␟ name) ─▶ versions   what a snapshot has of a model
//!   sextant-models/<uuid>/weights                      written first
//!                        /manifest.json                written last, with the weights' digest
//! ```
//! A folder is written once and never changed. Nothing refers to it before the commit that names
//! it; clean-up removes folders that no definition names.

use std::any::Any;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use bytes::Bytes;
use object_store::ObjectStoreExt;
use object_store::path::Path;
use uuid::Uuid;

use crate::error::{Error, Result};
use crate::lake::Lake;
use crate::storage;

/// Kind of the definitions that models are; their bodies have `versions` with a `folder` each.
pub const MODEL: &str = "model";
/// Of the data path.
const FOLDER: &str = "sextant-models/";
/// Bytes of weights that a server keeps open.
const CACHE_BYTES: u64 = 1 << 30;

/// Opened versions, the one used longest ago goes first; and trainings.
#[derive(Debug, Default)]
pub(crate) struct Cache {
    open: HashMap<String, Kept>,
    clock: u64,
    trainings: Vec<Weak<Training>>,
}

/// A training that is under way, for those who watch.
#[derive(Debug)]
pub struct Training {
    pub schema: String,
    pub model: String,
    told: Mutex<(Option<Run>, Told)>,
}

/// One of the trainings of a search for options, from 1.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Run {
    pub number: u64,
    pub of: u64,
}

/// How far a training is.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Told {
    pub phase: &'static str,
    /// Rows that have been read, or iterations and epochs that are done.
    pub done: u64,
    /// 0 where it is not known.
    pub total: u64,
    /// Of the last iteration or epoch.
    pub loss: Option<f64>,
}

impl Training {
    /// Says how far it is.
    pub fn tell(&self, told: Told) {
        self.told.lock().unwrap_or_else(PoisonError::into_inner).1 = told;
    }

    /// Says which run of a search begins; None: there is none, or no more.
    pub fn runs(&self, run: Option<Run>) {
        self.told.lock().unwrap_or_else(PoisonError::into_inner).0 = run;
    }

    /// What was said last.
    pub fn told(&self) -> (Option<Run>, Told) {
        *self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Debug)]
struct Kept {
    opened: Arc<dyn Any + Send + Sync>,
    bytes: u64,
    used: u64,
}

/// A folder for a new version.
pub fn new_folder() -> String {
    format!("{FOLDER}{}/", Uuid::now_v7())
}

/// The folder that an object is in, if it is one of a model's.
pub(crate) fn folder_of(path: &str) -> Option<&str> {
    let end = FOLDER.len() + path.strip_prefix(FOLDER)?.find('/')? + 1;
    path.get(..end)
}

/// The folders that a definition names.
pub(crate) fn folders(body: &str) -> Vec<String> {
    let body: serde_json::Value = serde_json::from_str(body).unwrap_or_default();
    let versions = body.get("versions").and_then(|versions| versions.as_array());
    let folder = |version: &serde_json::Value| Some(version.get("folder")?.as_str()?.to_owned());
    versions.into_iter().flatten().filter_map(folder).collect()
}

impl Lake {
    /// Writes an object of a model so that it survives a crash before this returns.
    pub async fn put_model_object(&self, folder: &str, name: &str, bytes: Bytes) -> Result<()> {
        self.storage.put(&format!("{folder}{name}"), bytes).await
    }

    /// Reads an object of a model.
    ///
    /// # Errors
    /// `Object` when it is gone or cannot be read.
    pub async fn model_object(&self, folder: &str, name: &str) -> Result<Bytes> {
        let path = format!("{folder}{name}");
        let location = Path::parse(&path).map_err(|e| storage::error(&path, &e.into()))?;
        let found = self.store().get(&location).await.map_err(|e| storage::error(&path, &e))?;
        found.bytes().await.map_err(|e| storage::error(&path, &e))
    }

    /// Removes the objects of a version that no commit will name.
    pub async fn remove_model(&self, folder: &str) {
        for name in ["manifest.json", "weights"] {
            if let Ok(location) = Path::parse(format!("{folder}{name}")) {
                let _ = self.store().delete(&location).await;
            }
        }
    }

    /// The trainings of this server.
    pub fn trainings(&self) -> Vec<Arc<Training>> {
        self.models().trainings.iter().filter_map(Weak::upgrade).collect()
    }

    /// A training is listed as long as somebody holds it.
    pub fn begin_training(&self, schema: &str, model: &str) -> Arc<Training> {
        let (schema, model) = (schema.to_owned(), model.to_owned());
        let training = Arc::new(Training { schema, model, told: Mutex::default() });
        let mut cache = self.models();
        cache.trainings.retain(|training| training.strong_count() > 0);
        cache.trainings.push(Arc::downgrade(&training));
        training
    }

    /// What was made of a version's objects, if it is still open.
    pub fn open_model<T: Any + Send + Sync>(&self, folder: &str) -> Option<Arc<T>> {
        let mut cache = self.models();
        cache.clock += 1;
        let now = cache.clock;
        let kept = cache.open.get_mut(folder)?;
        kept.used = now;
        Arc::clone(&kept.opened).downcast().ok()
    }

    /// Keeps what was made of a version's objects.
    pub fn keep_model<T: Any + Send + Sync>(&self, folder: &str, opened: Arc<T>, bytes: u64) {
        let mut cache = self.models();
        cache.clock += 1;
        let used = cache.clock;
        cache.open.insert(folder.to_owned(), Kept { opened, bytes, used });
        while cache.open.len() > 1
            && cache.open.values().map(|kept| kept.bytes).sum::<u64>() > CACHE_BYTES
        {
            let oldest = cache.open.iter().min_by_key(|(_, kept)| kept.used);
            let Some(folder) = oldest.map(|(folder, _)| folder.clone()) else { return };
            cache.open.remove(&folder);
        }
    }
}

/// The error for an object whose bytes are not those that were written.
pub fn damaged(folder: &str, name: &str, reason: &str) -> Error {
    Error::Damaged { path: format!("{folder}{name}"), reason: reason.to_owned() }
}
