//! One row of a side: its normal equations, and their solution by Cholesky.

use super::Options;
use crate::models::parallel::each;
use crate::models::retrieval::Work;
use crate::simd::lanes::Lanes;
use crate::simd::level::{Kernel, Level};

/// Rows whose products are summed before the sums are: it fixes the order of a Gramian.
const BLOCK: usize = 1024;

/// The side that stays: its vectors, and α times their Gramian.
pub(super) struct Fixed<'a> {
    pub dim: usize,
    pub regularisation: f64,
    pub unobserved_weight: f64,
    pub vectors: &'a [f32],
    /// The lower triangle of a `dim` by `dim` matrix.
    pub gramian: Vec<f64>,
}

impl<'a> Fixed<'a> {
    pub fn new(options: &Options, work: &Work<'_>, vectors: &'a [f32]) -> Self {
        let (dim, area) = (options.dim, options.dim * options.dim);
        let mut gramian = vec![0.0; area];
        let blocks: Vec<&[f32]> = vectors.chunks(BLOCK * dim).collect();
        let level = work.level;
        // As many blocks at a time as there are threads, so that memory is bounded.
        let mut sums = vec![vec![0.0f64; area]; work.threads.clamp(1, blocks.len().max(1))];
        for blocks in blocks.chunks(sums.len()) {
            each(blocks.iter().zip(&mut sums).collect(), |_, (block, sum)| {
                sum.fill(0.0);
                let rows = block.chunks_exact(dim).map(|row| (row, 1.0));
                level.run(Products { dim, rows, sum });
            });
            for sum in sums.iter().take(blocks.len()) {
                gramian.iter_mut().zip(sum).for_each(|(all, part)| *all += part);
            }
        }
        gramian.iter_mut().for_each(|x| *x *= options.unobserved_weight);
        let Options { regularisation, unobserved_weight, .. } = *options;
        Self { dim, regularisation, unobserved_weight, vectors, gramian }
    }

    fn len(&self) -> usize {
        self.vectors.len() / self.dim
    }
}

/// Memory of solutions.
pub(super) struct Solver {
    dim: usize,
    matrix: Vec<f64>,
    right: Vec<f64>,
    column: Vec<f64>,
}

impl Solver {
    pub fn new(dim: usize) -> Self {
        let matrix = vec![0.0; dim * dim];
        Self { dim, matrix, right: vec![0.0; dim], column: vec![0.0; dim] }
    }

    /// Writes the vector of a row that took these of the other side.
    pub fn solve(
        &mut self,
        level: Level,
        fixed: &Fixed<'_>,
        taken: &[(u32, f32)],
        out: &mut [f32],
    ) {
        let dim = self.dim;
        self.matrix.copy_from_slice(&fixed.gramian);
        self.right.fill(0.0);
        let row = |item: u32| &fixed.vectors[item as usize * dim..(item as usize + 1) * dim];
        for (item, weight) in taken {
            let weight = f64::from(*weight);
            self.right.iter_mut().zip(row(*item)).for_each(|(b, h)| *b += weight * f64::from(*h));
        }
        let known: f64 = taken.iter().map(|(_, weight)| f64::from(*weight)).sum();
        let more = known + fixed.unobserved_weight * fixed.len() as f64;
        self.matrix.iter_mut().step_by(dim + 1).for_each(|x| *x += fixed.regularisation * more);
        let rows = taken.iter().map(|(item, weight)| (row(*item), f64::from(*weight)));
        level.run(Products { dim, rows, sum: &mut self.matrix });
        level.run(Cholesky { solver: self });
        out.iter_mut().zip(&self.right).for_each(|(to, x)| *to = *x as f32);
    }
}

/// Adds Σ c h hᵀ to a lower triangle.
struct Products<'a, I> {
    dim: usize,
    rows: I,
    sum: &'a mut [f64],
}

impl<'a, I: Iterator<Item = (&'a [f32], f64)>> Kernel for Products<'_, I> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes>(self) {
        let mut wide = vec![0.0f64; self.dim];
        for (row, weight) in self.rows {
            wide.iter_mut().zip(row).for_each(|(to, x)| *to = f64::from(*x));
            for (place, line) in self.sum.chunks_exact_mut(self.dim).enumerate() {
                let factor = weight * wide[place];
                let line = line[..=place].iter_mut().zip(&wide);
                line.for_each(|(sum, x)| *sum += factor * x);
            }
        }
    }
}

/// Solves `matrix · x = right` in place of `right`; the matrix is symmetric, positive definite and
/// given by its lower triangle. Rounding may leave a pivot that is not above zero, which then
/// counts as one whose direction is not known: that part of the solution is zero.
struct Cholesky<'a> {
    solver: &'a mut Solver,
}

impl Kernel for Cholesky<'_> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes>(self) {
        let Solver { dim, matrix, right, column } = self.solver;
        let dim = *dim;
        for k in 0..dim {
            let pivot = matrix[k * dim + k];
            let share = if pivot > 0.0 { 1.0 / pivot.sqrt() } else { 0.0 };
            for (i, x) in column.iter_mut().enumerate().skip(k) {
                *x = matrix[i * dim + k] * share;
                matrix[i * dim + k] = *x;
            }
            right[k] *= share;
            let solved = right[k];
            for i in k + 1..dim {
                let factor = column[i];
                right[i] -= factor * solved;
                let line = matrix[i * dim + k + 1..=i * dim + i].iter_mut();
                line.zip(&column[k + 1..]).for_each(|(x, l)| *x -= factor * l);
            }
        }
        for k in (0..dim).rev() {
            let pivot = matrix[k * dim + k];
            right[k] = if pivot > 0.0 { right[k] / pivot } else { 0.0 };
            let solved = right[k];
            let line = &matrix[k * dim..k * dim + k];
            right.iter_mut().zip(line).for_each(|(x, l)| *x -= l * solved);
        }
    }
}
