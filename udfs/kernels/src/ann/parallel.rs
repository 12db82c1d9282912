//! Work cut into numbered pieces, done by a given number of threads, answered in order: the result
//! does not depend on how many there are.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use super::Error;
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
        let (next, done) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let stopped = AtomicBool::new(false);
        let run = || {
            let mut results = Vec::new();
            while !stopped.load(Ordering::Relaxed) {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= pieces {
                    break;
                }
                results.push((number, piece(number)));
                let done = done.fetch_add(1, Ordering::Relaxed) + 1;
                if !(self.go_on)(phase, done, pieces) {
                    stopped.store(true, Ordering::Relaxed);
                }
            }
            results
        };
        let mut results = std::thread::scope(|scope| {
            let others = self.threads.min(pieces).saturating_sub(1);
            let others: Vec<_> = (0..others).map(|_| scope.spawn(run)).collect();
            let mut results = run();
            for other in others {
                match other.join() {
                    Ok(part) => results.extend(part),
                    Err(cause) => std::panic::resume_unwind(cause),
                }
            }
            results
        });
        if stopped.load(Ordering::Relaxed) {
            return Err(Error::Cancelled);
        }
        results.sort_unstable_by_key(|(number, _)| *number);
        Ok(results.into_iter().map(|(_, result)| result).collect())
    }
}
