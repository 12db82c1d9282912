//! The connection's own lake: temp tables, gone with it.

use std::sync::Arc;

use catalog::{Lake, LakeOptions, State, Transaction};
use sql::plan::Lakes;

use crate::{Error, Server};

/// A lake in a folder that is removed when the connection ends.
pub(super) struct TempLake {
    lake: Arc<Lake>,
    folder: tempfile::TempDir,
}

impl TempLake {
    pub(super) async fn open(server: &Arc<Server>) -> Result<Self, Error> {
        let failed = |error: std::io::Error| {
            Error::new("58030", format!("cannot make a folder for temp tables: {error}"))
        };
        let folder = match &server.config().temp_dir {
            Some(place) => tempfile::TempDir::new_in(place),
            None => tempfile::TempDir::new(),
        };
        let folder = folder.map_err(failed)?;
        let mut options = LakeOptions::new(folder.path().to_string_lossy());
        options.ephemeral = true;
        options.write_threads = server.config().threads;
        let lake = Lake::open(options).await?;
        let store = Arc::clone(lake.store());
        server.runtime().register_object_store(lake.store_url().as_ref(), store);
        Ok(Self { lake, folder })
    }

    pub(super) async fn begin(&self) -> Result<Transaction, Error> {
        let state = self.lake.current().await?;
        Ok(Transaction::begin(Arc::clone(&self.lake), state))
    }
}

impl Drop for TempLake {
    fn drop(&mut self) {
        tracing::debug!("temp tables in {} are dropped", self.folder.path().display());
    }
}

/// The shared lake's state with the temp tables beside it.
pub(super) fn beside(lakes: &Lakes) -> Arc<State> {
    let Some(temp) = &lakes.temp else { return Arc::clone(lakes.main.state()) };
    let Some(home) = temp.state().schemas.get("main") else {
        return Arc::clone(lakes.main.state());
    };
    let mut state = lakes.main.state().as_ref().clone();
    state.schemas.insert(sql::plan::TEMP_SCHEMA.to_string(), Arc::clone(home));
    sql::sequences_beside(&mut state, temp.state());
    Arc::new(state)
}
