//! `sextant demo`: a server of its own, real data, the pipelines; then it keeps serving.

use crate::config::Config;
use crate::{Error, Server};

/// Runs the demo; with `exit` it returns when the pipelines have run.
pub async fn run(config: Config, exit: bool) -> Result<(), Error> {
    let server = Server::start(config).await?;
    if exit {
        return server.shutdown().await;
    }
    server.wait().await
}
