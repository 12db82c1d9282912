//! Work beside the runtime that ends with whoever waits for it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use datafusion::common::runtime::SpawnedTask;
use datafusion::error::DataFusionError;

/// Runs blocking work on a thread of its own; the flag is set when nobody waits for it any more.
///
/// # Errors
/// `External` if the work panicked.
pub async fn apart<T: Send + 'static>(
    work: impl FnOnce(&AtomicBool) -> T + Send + 'static,
) -> Result<T, DataFusionError> {
    let stop = Stop(Arc::new(AtomicBool::new(false)));
    let stopped = Arc::clone(&stop.0);
    let done = SpawnedTask::spawn_blocking(move || work(&stopped));
    done.join().await.map_err(|error| DataFusionError::External(Box::new(error)))
}

struct Stop(Arc<AtomicBool>);

impl Drop for Stop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
