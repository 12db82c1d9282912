//! What is trained: centres of lists, principal axes of residuals, and a codebook for them.
//!
//! ```text
//!   x ─(- mean, L2 only)─(/ |x|, cosine only)─ turn to the axes ─▶ y = centre + residual
//!   residual ─▶ 4-bit codes by group; 8-bit (or half float) numbers, each axis in its own unit
//! ```
//!
//! Lengths and angles survive the turn, so all arithmetic stays in turned space.

use super::Error;
use super::clusters::{Assigner, Clusters};
use super::codes::{Codebook, Grouping};
use super::eigen::principal;
use super::parallel::{Phase, Work};
use super::random::Random;
use crate::simd::level::LANES;
use crate::vectors::{self, Metric, Panels, Rows};

/// Residuals that axes and codebooks are trained on.
const RESIDUALS: usize = 65_536;
/// Rows of the sample for each list.
pub const SAMPLE_PER_LIST: usize = 64;
/// Dimensions that an index takes.
const DIMENSIONS: usize = 4096;

/// How the second look at candidates keeps its numbers; a field of the format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refine {
    /// Eight bits an axis, in units of the axis and of the row.
    Byte,
    /// Half floats.
    Half,
}

/// What an index is to be.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Options {
    pub metric: Metric,
    pub dimension: usize,
    /// Lists; by the number of rows when `None`.
    pub lists: Option<usize>,
    pub grouping: Grouping,
    pub refine: Refine,
    pub seed: u64,
}

impl Options {
    pub fn new(metric: Metric, dimension: usize) -> Self {
        let (grouping, refine) = (Grouping::ByVariance, Refine::Byte);
        Self { metric, dimension, lists: None, grouping, refine, seed: 0 }
    }

    /// Lists for an index of so many rows: about four times the root, a power of two.
    pub fn lists_for(rows: usize) -> usize {
        (rows.isqrt() * 4).next_power_of_two().clamp(1, (rows / 32).max(1))
    }

    /// Rows that training wants of a table of so many.
    pub fn sample_for(&self, rows: usize) -> usize {
        (self.lists.unwrap_or(Self::lists_for(rows)) * SAMPLE_PER_LIST).max(16_384).min(rows)
    }
}

/// The trained part of an index.
#[derive(Debug, Clone)]
pub struct Model {
    pub(super) options: Options,
    pub(super) frame: Frame,
    pub(super) clusters: Clusters,
    pub(super) book: Codebook,
    /// The unit of each axis in 8-bit numbers; zero past the last axis.
    pub(super) units: Vec<f32>,
    /// The variance of residuals along each axis.
    pub(super) variances: Vec<f32>,
    /// The mean squared error of codes along each axis.
    pub(super) errors: Vec<f32>,
    /// The mean squared length of residuals in training: drift is measured against it.
    pub(super) residual: f32,
}

impl Model {
    /// Trains on a sample of an index's rows; `rows` is how many it will have.
    ///
    /// # Errors
    /// `Metric` for L1, `NoSample`, `Vector` for rows of another dimension or with NaN, `Cancelled`.
    pub fn train(
        options: Options,
        sample: Rows<'_>,
        rows: usize,
        work: &Work<'_>,
    ) -> Result<Self, Error> {
        let dimension = options.dimension;
        if options.metric == Metric::L1 {
            return Err(Error::Metric);
        }
        if dimension == 0 || dimension > DIMENSIONS {
            return Err(vectors::Error::Dimension { expected: DIMENSIONS, found: dimension }.into());
        }
        if sample.dimension() != dimension {
            let found = sample.dimension();
            return Err(vectors::Error::Dimension { expected: dimension, found }.into());
        }
        let mut plain = Vec::new();
        sample.copy_to(&mut plain);
        finite(&plain, dimension)?;
        let mean = mean(&plain, options);
        let mut frame = Frame::unturned(options.metric, mean);
        frame.prepare(&mut plain);
        if plain.is_empty() {
            return Err(Error::NoSample);
        }
        let lists = options.lists.unwrap_or(Options::lists_for(rows));
        let clusters = Clusters::train(work, &plain, dimension, lists, options.seed)?;
        let keep = plain.len().min(RESIDUALS.max(dimension) * dimension);
        plain.truncate(keep);
        subtract_centres(&mut plain, &clusters, work)?;
        let (variances, axes) = axes(&plain, dimension, work)?;
        frame.turn_to(&axes);
        let padded = frame.padded();
        let clusters = clusters.turned(padded, |rows| frame.turn(work, rows));
        let residuals = frame.turn(work, &plain);
        let (grouping, seed) = (options.grouping, options.seed);
        let book = Codebook::train(work, (&residuals, padded), &variances, grouping, seed)?;
        let mut errors = vec![0.0; padded];
        let mut codes = vec![0; book.groups() / 2];
        let count = (residuals.len() / padded).max(1);
        for row in residuals.chunks_exact(padded) {
            book.encode(work, row, &mut codes, &mut errors);
        }
        errors.iter_mut().for_each(|error| *error /= count as f32);
        let residual = variances.iter().sum::<f64>() as f32;
        let mut variances: Vec<f32> = variances.iter().map(|x| *x as f32).collect();
        variances.resize(padded, 0.0);
        let units = units(&variances, dimension);
        Ok(Self { options, frame, clusters, book, units, variances, errors, residual })
    }

    pub fn options(&self) -> &Options {
        &self.options
    }

    /// The number of lists.
    pub fn lists(&self) -> usize {
        self.clusters.len()
    }

    /// The mean squared length of residuals in training.
    pub fn residual(&self) -> f32 {
        self.residual
    }

    /// Bytes of a row's second numbers.
    pub(super) fn refine_bytes(&self) -> usize {
        match self.options.refine {
            Refine::Byte => self.frame.padded(),
            Refine::Half => 2 * self.frame.padded(),
        }
    }

    /// Whether rows carry a number of their own.
    pub(super) fn has_bias(&self) -> bool {
        self.options.metric == Metric::L2
    }
}

/// # Errors
/// `NotFinite` for a row whose squared length is not a number.
pub(super) fn finite(rows: &[f32], dimension: usize) -> Result<(), Error> {
    let mut rows = rows.chunks_exact(dimension);
    match rows.position(|row| !row.iter().map(|x| x * x).sum::<f32>().is_finite()) {
        Some(row) => Err(vectors::Error::NotFinite { row }.into()),
        None => Ok(()),
    }
}

/// The mean of rows for L2, which does not mind it taken away; zeros for other metrics.
fn mean(rows: &[f32], options: Options) -> Vec<f32> {
    let mut sums = vec![0.0f64; options.dimension];
    if options.metric == Metric::L2 {
        for row in rows.chunks_exact(options.dimension) {
            sums.iter_mut().zip(row).for_each(|(sum, x)| *sum += f64::from(*x));
        }
    }
    let count = (rows.len() / options.dimension).max(1) as f64;
    sums.iter().map(|sum| (sum / count) as f32).collect()
}

fn subtract_centres(rows: &mut [f32], clusters: &Clusters, work: &Work<'_>) -> Result<(), Error> {
    let lists = Assigner::new(clusters).assign(work, rows)?;
    let dimension = clusters.centre(0).len();
    for (row, list) in rows.chunks_exact_mut(dimension).zip(lists) {
        row.iter_mut().zip(clusters.centre(list as usize)).for_each(|(x, centre)| *x -= centre);
    }
    Ok(())
}

/// Variances along the principal axes, great to small, and the axes as rows.
fn axes(rows: &[f32], dimension: usize, work: &Work<'_>) -> Result<(Vec<f64>, Vec<f64>), Error> {
    const PIECE: usize = 4096;
    let step = PIECE * dimension;
    let parts = work.map(Phase::Codes, rows.len().div_ceil(step), |piece| {
        let mut sums = vec![0.0f32; dimension * dimension];
        for row in rows[piece * step..rows.len().min((piece + 1) * step)].chunks_exact(dimension) {
            for (sums, x) in sums.chunks_exact_mut(dimension).zip(row) {
                sums.iter_mut().zip(row).for_each(|(sum, y)| *sum += x * y);
            }
        }
        sums
    })?;
    let count = (rows.len() / dimension).max(1) as f64;
    let mut matrix = vec![0.0f64; dimension * dimension];
    for part in parts {
        matrix.iter_mut().zip(part).for_each(|(sum, x)| *sum += f64::from(x) / count);
    }
    let (mut variances, axes) = principal(&matrix, dimension);
    variances.iter_mut().for_each(|variance| *variance = variance.max(0.0));
    Ok((variances, axes))
}

/// Deviations, and for axes without any a small part of the greatest.
fn units(variances: &[f32], axes: usize) -> Vec<f32> {
    let greatest = variances.iter().fold(0.0f32, |a, b| a.max(*b)).sqrt();
    let least = (greatest / 64.0).max(f32::MIN_POSITIVE.sqrt());
    let unit = |(axis, variance): (usize, &f32)| {
        if axis < axes { variance.sqrt().max(least) } else { 0.0 }
    };
    variances.iter().enumerate().map(unit).collect()
}

/// From a table's vectors to turned space.
#[derive(Debug, Clone)]
pub(super) struct Frame {
    metric: Metric,
    mean: Vec<f32>,
    /// An axis a row, then rows of zeros up to a whole number of registers.
    axes: Vec<f32>,
    panels: Panels,
}

impl Frame {
    fn unturned(metric: Metric, mean: Vec<f32>) -> Self {
        Self { metric, mean, axes: Vec::new(), panels: Panels::default() }
    }

    /// From what a head holds; `None` when the parts do not fit together.
    pub fn from_parts(metric: Metric, mean: Vec<f32>, axes: Vec<f32>) -> Option<Self> {
        let dimension = mean.len();
        let padded = dimension.next_multiple_of(LANES);
        if dimension == 0 || axes.len() != dimension * padded {
            return None;
        }
        let panels = Panels::new(Rows::single(&axes, dimension).ok()?);
        Some(Self { metric, mean, axes, panels })
    }

    pub fn parts(&self) -> (&[f32], &[f32]) {
        (&self.mean, &self.axes)
    }

    fn turn_to(&mut self, axes: &[f64]) {
        let dimension = self.mean.len();
        self.axes = axes.iter().map(|x| *x as f32).collect();
        self.axes.resize(dimension * dimension.next_multiple_of(LANES), 0.0);
        if let Ok(rows) = Rows::single(&self.axes, dimension) {
            self.panels.fill(rows);
        }
    }

    /// Floats of a turned vector.
    pub fn padded(&self) -> usize {
        self.mean.len().next_multiple_of(LANES)
    }

    /// Vectors as the metric wants them, before the turn. Cosine leaves out zero vectors and tells
    /// which, by their place.
    pub fn prepare(&self, rows: &mut Vec<f32>) -> Vec<usize> {
        let dimension = self.mean.len();
        let mut zeros = Vec::new();
        match self.metric {
            Metric::L2 => {
                for row in rows.chunks_exact_mut(dimension) {
                    row.iter_mut().zip(&self.mean).for_each(|(x, mean)| *x -= mean);
                }
            }
            Metric::Cosine => {
                let mut kept = 0;
                for place in 0..rows.len() / dimension {
                    let range = place * dimension..(place + 1) * dimension;
                    let norm = vectors::norm(&rows[range.clone()]);
                    if norm == 0.0 {
                        zeros.push(place);
                        continue;
                    }
                    rows.copy_within(range, kept * dimension);
                    let row = &mut rows[kept * dimension..(kept + 1) * dimension];
                    row.iter_mut().for_each(|x| *x = (f64::from(*x) / norm) as f32);
                    kept += 1;
                }
                rows.truncate(kept * dimension);
            }
            Metric::InnerProduct | Metric::L1 => {}
        }
        zeros
    }

    /// Turns prepared vectors.
    pub fn turn(&self, work: &Work<'_>, rows: &[f32]) -> Vec<f32> {
        let mut out = vec![0.0; rows.len() / self.mean.len() * self.padded()];
        self.panels.dots(work.level, rows, &mut out);
        out
    }
}

/// Rows drawn from others, for calibrating.
pub(super) fn draw(rows: usize, count: usize, seed: u64) -> Vec<usize> {
    let mut random = Random::new(seed);
    (0..count).map(|_| random.below(rows)).collect()
}
