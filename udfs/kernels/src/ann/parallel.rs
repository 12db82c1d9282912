//! How builds and batches of searches share their work, and how they are stopped.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::Error;
use crate::parallel;
use crate::simd::level::Level;

/// What a build, or a batch of searches, is at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    Clusters,
    Codes,
    Encode,
    Calibrate,
    /// A batch of queries.
    Search,
}

/// Threads to work with, the processor's level, and whom to tell how far the work is.
#[derive(Clone, Copy)]
pub struct Work<'a> {
    pub level: Level,
    pub threads: usize,
    /// Asked after each piece with the pieces done and to do; `false` ends the work with
    /// `Cancelled`.
    pub go_on: &'a (dyn Fn(Phase, usize, usize) -> bool + Sync),
}

impl Work<'_> {
    /// All on this thread, and never stopped.
    pub fn alone() -> Self {
        Self { level: Level::best(), threads: 1, go_on: &|_, _, _| true }
    }

    /// `piece(0)`, `piece(1)`, … in order.
    pub(super) fn map<T: Send>(
        &self,
        phase: Phase,
        pieces: usize,
        piece: impl Fn(usize) -> T + Sync,
    ) -> Result<Vec<T>, Error> {
        let done = AtomicUsize::new(0);
        let results = parallel::map(self.threads, pieces, |number| {
            let result = piece(number);
            let done = done.fetch_add(1, Ordering::Relaxed) + 1;
            (self.go_on)(phase, done, pieces).then_some(result)
        });
        results.ok_or(Error::Cancelled)
    }
}
