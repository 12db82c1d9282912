//! Whom a training by epochs tells how far it is, and what it works with.

use std::ops::ControlFlow;

use crate::simd::level::Level;

/// How far a training is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Progress {
    /// Whether rows are held out to stop early by; the last training is on all.
    pub held_out: bool,
    /// From 1, of at most so many.
    pub epoch: usize,
    pub epochs: usize,
    /// Examples of the epoch that are done, of so many.
    pub examples: usize,
    pub of: usize,
    /// Mean loss of an example so far, when it is known.
    pub loss: Option<f32>,
}

/// Threads to work with, and whom to tell how far the work is.
#[derive(Clone, Copy)]
pub struct Work<'a> {
    pub level: Level,
    pub threads: usize,
    /// Told several times a second, if the machine is not too slow; a break ends the training with
    /// `Cancelled`.
    pub watch: &'a (dyn Fn(Progress) -> ControlFlow<()> + Sync),
}

impl Work<'_> {
    /// All on this thread, and never stopped.
    pub fn alone() -> Self {
        Self { level: Level::best(), threads: 1, watch: &|_| ControlFlow::Continue(()) }
    }
}
