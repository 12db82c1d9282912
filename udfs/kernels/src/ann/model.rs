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
    /// The one that errs less when `None`.
    pub grouping: Option<Grouping>,
    pub refine: Refine,
    pub seed: u64,
}

impl Options {
    pub fn new(metric: Metric, dimension: usize) -> Self {
        Self { metric, dimension, lists: None, grouping: None, refine: Refine::Byte, seed: 0 }
    }

    /// Lists for an index of so many rows: about four times the root, the nearest power of two.
    pub fn lists_for(rows: usize) -> usize {
        let wanted = rows.isqrt() * 4;
        let above = wanted.max(1).next_power_of_two();
        // Nearest by ratio: above the geometric mean of two powers is the greater.
        let lists = if wanted * wanted * 2 < above * above { above / 2 } else { above };
        lists.clamp(1, (rows / 32).max(1))
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
    /// The mean squared error of codes along each axis, for residuals of the mean length.
    pub(super) errors: Vec<f32>,
    /// The mean squared length of residuals in training: drift is measured against it.
    pub(super) residual: f32,
}

impl Model {
    /// Trains on a sample of an index's rows; `rows` is how many it will have.
    ///
    /// # Errors
    /// `Metric` for L1, `NoSample`, `Vector` for rows of another dimension or NaN, `Cancelled`.
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
        let codes = Codes::train(work, &mut plain, options, &mut frame)?;
        let padded = frame.padded();
        let clusters = clusters.turned(padded, |rows| frame.turn(work, rows));
        let Codes { book, variances, errors, .. } = codes;
        let residual = variances.iter().sum();
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

/// A codebook along some axes, and how well it does.
struct Codes {
    axes: Vec<f64>,
    book: Codebook,
    variances: Vec<f32>,
    errors: Vec<f32>,
}

impl Codes {
    /// Trains on residuals, along the axes that err less if the options leave the choice, and
    /// turns the frame to them. Residuals are of unit length afterwards.
    fn train(
        work: &Work<'_>,
        residuals: &mut [f32],
        options: Options,
        frame: &mut Frame,
    ) -> Result<Self, Error> {
        let matrix = covariance(residuals, options.dimension, work)?;
        let mut square = 0.0;
        let count = (residuals.len() / options.dimension).max(1);
        for row in residuals.chunks_exact_mut(options.dimension) {
            let length = vectors::norm(row);
            square += length * length / count as f64;
            row.iter_mut().for_each(|x| *x = (f64::from(*x) / length.max(1e-30)) as f32);
        }
        let mut best: Option<Self> = None;
        for grouping in [Grouping::ByVariance, Grouping::Even] {
            if options.grouping.is_some_and(|only| only != grouping) {
                continue;
            }
            let codes = Self::along(work, residuals, (&matrix, grouping), options, frame)?;
            let error = |codes: &Self| codes.errors.iter().sum::<f32>();
            if best.as_ref().is_none_or(|best| error(&codes) < error(best)) {
                best = Some(codes);
            }
        }
        let mut best = best.ok_or(Error::NoSample)?;
        best.errors.iter_mut().for_each(|error| *error *= square as f32);
        frame.turn_to(&best.axes);
        Ok(best)
    }

    fn along(
        work: &Work<'_>,
        residuals: &[f32],
        (matrix, grouping): (&[f64], Grouping),
        options: Options,
        frame: &mut Frame,
    ) -> Result<Self, Error> {
        let dimension = options.dimension;
        let axes = match grouping {
            Grouping::ByVariance => principal(matrix, dimension).1,
            Grouping::Even => random_axes(dimension, options.seed),
        };
        let along = |axis: &[f64]| -> f64 {
            let rows = matrix.chunks_exact(dimension).zip(axis);
            rows.map(|(row, x)| x * row.iter().zip(axis).map(|(m, y)| m * y).sum::<f64>()).sum()
        };
        let variances: Vec<f64> =
            axes.chunks_exact(dimension).map(|axis| along(axis).max(0.0)).collect();
        frame.turn_to(&axes);
        let padded = frame.padded();
        let turned = frame.turn(work, residuals);
        let rows = (&turned[..], padded);
        let book = Codebook::train(work, rows, &variances, grouping, options.seed)?;
        let (mut errors, mut codes) = (vec![0.0; padded], vec![0; book.groups() / 2]);
        for row in turned.chunks_exact(padded) {
            book.encode(work, row, &mut codes);
            book.add_errors(&codes, row, &mut errors);
        }
        let count = (turned.len() / padded).max(1) as f32;
        errors.iter_mut().for_each(|error| *error /= count);
        let mut variances: Vec<f32> = variances.iter().map(|x| *x as f32).collect();
        variances.resize(padded, 0.0);
        Ok(Self { axes, book, variances, errors })
    }
}

/// Axes at right angles in no particular direction, by Gram and Schmidt.
fn random_axes(dimension: usize, seed: u64) -> Vec<f64> {
    let mut random = Random::new(seed);
    let mut axes: Vec<f64> = Vec::with_capacity(dimension * dimension);
    while axes.len() < dimension * dimension {
        // Sums of uniform numbers are near enough to normal.
        let number = |_| (0..4).map(|_| random.below(1 << 24) as f64).sum::<f64>() - 33_554_430.0;
        let mut axis: Vec<f64> = (0..dimension).map(number).collect();
        // Twice, so that what rounding leaves is gone too.
        for _ in 0..2 {
            for other in axes.chunks_exact(dimension) {
                let dot: f64 = axis.iter().zip(other).map(|(x, y)| x * y).sum();
                axis.iter_mut().zip(other).for_each(|(x, y)| *x -= dot * y);
            }
            let length = axis.iter().map(|x| x * x).sum::<f64>().sqrt();
            axis.iter_mut().for_each(|x| *x /= length.max(f64::MIN_POSITIVE));
        }
        axes.extend(axis);
    }
    axes
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

/// The mean products of residuals' elements.
fn covariance(rows: &[f32], dimension: usize, work: &Work<'_>) -> Result<Vec<f64>, Error> {
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
    Ok(matrix)
}

/// Roots of deviations: between one unit for all axes, which wastes bits where little varies, and
/// units that all axes fill alike, which lose where much does. Axes without any get a small one.
fn units(variances: &[f32], axes: usize) -> Vec<f32> {
    let greatest = variances.iter().fold(0.0f32, |a, b| a.max(*b)).max(f32::MIN_POSITIVE);
    let unit = |(axis, variance): (usize, &f32)| {
        if axis < axes { variance.max(greatest / 4096.0).sqrt().sqrt() } else { 0.0 }
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
