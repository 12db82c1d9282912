//! Maps of embeddings: vectors laid out in the plane so that neighbours stay neighbours, for plots.
//!
//! UMAP (McInnes, Healy and Melville 2018, arXiv 1802.03426):
//!
//! ```text
//!   rows ─▶ nearest rows ─▶ w = exp(-(d - ρ) / σ), w ∪ w' = w + w' - w·w' ─▶ a weighted graph
//!   principal axes ─▶ a start
//!   epochs: edges pull their ends together, random rows push each other off ─▶ x, y
//! ```
//!
//! The places are those at which 1 / (1 + a·d^2b) fits the weights by cross entropy; `curve` has a
//! and b. Only what is near in the map means something: axes, and distances between clusters, do
//! not.
//!
//! Repeatable: an epoch moves every point from where the others were before it, and its random rows
//! are of (seed, epoch, point). The same rows, options and level of the processor give the same
//! bits on any number of threads; another level rounds the distances of neighbours otherwise, and
//! small differences grow. Coordinates are finite, and their mean is the origin.
//!
//! Rows without a direction (zero vectors) are near each other and one off all others by angle.
//! NULL vectors are the caller's.
//!
//! It is our own and has no Cargo feature. The crate annembed links LAPACK (OpenBLAS and Fortran's
//! library at run time) and brings some 150 packages; it draws from generators that the system
//! seeds and moves points under locks in the order in which threads come, so that no seed gives a
//! map again.

mod curve;
mod graph;
mod layout;
mod neighbours;
mod start;

pub use curve::Curve;

use std::borrow::Cow;

use crate::ann;
use crate::models::parallel::with_threads;
use crate::simd::level::Level;
use crate::vectors;

/// The most neighbours that may be asked for, and the most epochs.
pub const NEIGHBOURS: usize = 200;
pub const EPOCHS: usize = 10_000;

/// The scale of the map: how far near points may be off each other.
const SPREAD: f64 = 1.0;

/// What near means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Nearness {
    /// The Euclidean distance.
    L2,
    /// One less the cosine. Inner products are mapped so, too: they are no distance, since a long
    /// row would be nearer to all than they are to themselves.
    Angle,
}

/// How to map.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Options {
    pub nearness: Nearness,
    /// Rows that are near, the row itself counted: few show detail, many the whole.
    pub neighbours: usize,
    /// How near points may come.
    pub min_dist: f64,
    /// By the number of rows when `None`.
    pub epochs: Option<usize>,
    pub seed: u64,
}

impl Default for Options {
    fn default() -> Self {
        let nearness = Nearness::L2;
        Self { nearness, neighbours: 15, min_dist: 0.1, epochs: None, seed: 0 }
    }
}

/// What a map is at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    Neighbours,
    Layout,
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
}

/// Why there is no map: the caller's mistake, but for `Cancelled`.
#[derive(Debug, Clone, PartialEq)]
pub enum Error {
    /// An option out of its range, which `allowed` tells.
    Option {
        name: &'static str,
        allowed: &'static str,
    },
    /// NaN, infinities, no whole number of rows.
    Vector(vectors::Error),
    /// The index of neighbours.
    Index(ann::Error),
    /// More rows than 32 bits can number.
    TooMany,
    Cancelled,
}

impl std::fmt::Display for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Option { name, allowed } => write!(f, "{name} must be {allowed}"),
            Self::Vector(error) => error.fmt(f),
            Self::Index(error) => error.fmt(f),
            Self::TooMany => f.write_str("too many rows to map"),
            Self::Cancelled => f.write_str("cancelled"),
        }
    }
}

impl std::error::Error for Error {}

impl From<vectors::Error> for Error {
    fn from(error: vectors::Error) -> Self {
        Self::Vector(error)
    }
}

impl Options {
    /// # Errors
    /// `Option`.
    pub fn check(&self) -> Result<(), Error> {
        let wrong = |name, allowed| Err(Error::Option { name, allowed });
        if !(2..=NEIGHBOURS).contains(&self.neighbours) {
            return wrong("neighbours", "from 2 to 200");
        }
        if !(0.0..=1.0).contains(&self.min_dist) {
            return wrong("min_dist", "from 0 to 1");
        }
        if self.epochs.is_some_and(|epochs| !(1..=EPOCHS).contains(&epochs)) {
            return wrong("epochs", "from 1 to 10000");
        }
        Ok(())
    }

    /// Many rows have more moves an epoch, and need fewer epochs.
    fn epochs_for(&self, rows: usize) -> usize {
        self.epochs.unwrap_or(if rows <= 10_000 { 500 } else { 200 })
    }
}

/// Bytes that a map of so many rows takes at most at once, beside the rows: neighbours and the
/// graph grow by 8 bytes a neighbour and row four times over; `Angle` copies the rows; beyond the
/// rows that are searched exactly there is an index of them.
pub fn memory_bytes(rows: usize, dimension: usize, options: &Options, threads: usize) -> usize {
    let graph = rows.saturating_mul(options.neighbours * 8 * 4 + 64);
    let copied = match options.nearness {
        Nearness::L2 => 0,
        Nearness::Angle => rows.saturating_mul(dimension + 1).saturating_mul(4),
    };
    let search = neighbours::memory_bytes(rows, dimension, options.neighbours, threads);
    let sample = rows.min(start::SAMPLE).saturating_mul(dimension * 4);
    graph.saturating_add(copied).saturating_add(search).saturating_add(sample)
}

/// A place for each row of a row-major matrix.
///
/// # Errors
/// `Option`; `Vector` for NaN, infinities and lengths whose square is past a float's range, and for
/// a last row that is cut short; `TooMany`; `Cancelled` when `work` says so.
pub fn map(
    rows: &[f32],
    dimension: usize,
    options: &Options,
    work: &Work<'_>,
) -> Result<Vec<[f32; 2]>, Error> {
    options.check()?;
    let count = vectors::Rows::single(rows, dimension)?.len();
    if u32::try_from(count).is_err() {
        return Err(Error::TooMany);
    }
    let is_finite = |row: &[f32]| row.iter().map(|x| x * x).sum::<f32>().is_finite();
    if let Some(row) = rows.chunks_exact(dimension).position(|row| !is_finite(row)) {
        return Err(vectors::Error::NotFinite { row }.into());
    }
    if count < 2 {
        return Ok(vec![[0.0; 2]; count]);
    }
    let (rows, dimension) = match options.nearness {
        Nearness::L2 => (Cow::Borrowed(rows), dimension),
        Nearness::Angle => {
            let (rows, dimension) = directions(rows, dimension);
            (Cow::Owned(rows), dimension)
        }
    };
    let mut near = neighbours::find(&rows, dimension, options, work)?;
    if options.nearness == Nearness::Angle {
        // Of unit vectors: |u - v|² / 2 is one less their cosine.
        near.distances.iter_mut().for_each(|distance| *distance *= *distance / 2.0);
    }
    let start = start::principal(&rows, dimension, options.seed);
    drop(rows);
    let graph = graph::Graph::new(near);
    let curve = Curve::fit(options.min_dist, SPREAD);
    with_threads(work.threads, || layout::settle(start, &graph, curve, options, work))
}

/// Rows of unit length. If there are zero vectors, these are a further axis: at right angles to
/// all others and equal to each other.
fn directions(rows: &[f32], dimension: usize) -> (Vec<f32>, usize) {
    let length = |row: &[f32]| vectors::norm(row);
    let zeros = rows.chunks_exact(dimension).any(|row| length(row) == 0.0);
    let wide = dimension + usize::from(zeros);
    let mut directions = Vec::with_capacity(rows.len() / dimension * wide);
    for row in rows.chunks_exact(dimension) {
        let length = length(row);
        if length == 0.0 {
            directions.resize(directions.len() + dimension, 0.0);
        } else {
            directions.extend(row.iter().map(|x| (f64::from(*x) / length) as f32));
        }
        if zeros {
            directions.push(f32::from(u8::from(length == 0.0)));
        }
    }
    (directions, wide)
}
