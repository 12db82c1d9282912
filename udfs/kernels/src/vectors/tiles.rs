//! Many queries against many rows: the inner loop of a matrix product.
//!
//! ```text
//!   a panel: 16 rows side by side, element i of all of them in one register
//!   a tile:  8 queries × 1 panel; 8 registers of sums, no horizontal adds
//! ```
//!
//! Rows are packed into panels once and meet every query.

use super::distances::Element;
use super::{Elements, Rows};
use crate::simd::lanes::Lanes;
use crate::simd::level::{Kernel, LANES, Level};

/// Queries of a tile.
const TALL: usize = 8;

/// Rows, packed.
#[derive(Debug, Clone, Default)]
pub struct Panels {
    dimension: usize,
    rows: usize,
    columns: Vec<[f32; LANES]>,
}

impl Panels {
    pub fn new(rows: Rows<'_>) -> Self {
        let mut panels = Self::default();
        panels.fill(rows);
        panels
    }

    /// Packs other rows into the same memory.
    pub fn fill(&mut self, rows: Rows<'_>) {
        (self.dimension, self.rows) = (rows.dimension(), rows.len());
        match rows.elements() {
            Elements::Single(all) => self.pack(all),
            Elements::Half(all) => self.pack(all),
        }
    }

    fn pack<E: Element>(&mut self, all: &[E]) {
        self.columns.clear();
        self.columns.resize(self.rows.div_ceil(LANES) * self.dimension, [0.0; LANES]);
        let panels = self.columns.chunks_exact_mut(self.dimension);
        for (panel, rows) in panels.zip(all.chunks(LANES * self.dimension)) {
            for (lane, row) in rows.chunks_exact(self.dimension).enumerate() {
                for (column, x) in panel.iter_mut().zip(row) {
                    column[lane] = x.value();
                }
            }
        }
    }

    /// Packs the transpose of a row-major matrix over the same memory: its rows are the columns
    /// of `all`, of which `width`, at least 1, make a row there.
    pub fn fill_columns(&mut self, all: &[f32], width: usize) {
        (self.dimension, self.rows) = (all.len() / width, width);
        self.columns.clear();
        for first in (0..width).step_by(LANES) {
            let lanes = (width - first).min(LANES);
            self.columns.extend(all.chunks_exact(width).map(|row| {
                let mut column = [0.0; LANES];
                column[..lanes].copy_from_slice(&row[first..first + lanes]);
                column
            }));
        }
    }

    pub fn len(&self) -> usize {
        self.rows
    }

    pub fn is_empty(&self) -> bool {
        self.rows == 0
    }

    /// Floats between the results of one query and the next: the rows, and idle lanes.
    pub fn stride(&self) -> usize {
        self.rows.div_ceil(LANES) * LANES
    }

    /// Dot products: `out[q * stride + r]` of query `q` and row `r`, for as many whole queries as
    /// there are and `out` has room for.
    pub fn dots(&self, level: Level, queries: &[f32], out: &mut [f32]) {
        if self.rows > 0 {
            level.run(Dots { panels: self, queries, out });
        }
    }

    /// For each query, the row with the greatest `dot + bias[row]`, the first of equals, and that
    /// sum.
    pub fn best(&self, level: Level, bias: &[f32], queries: &[f32], out: &mut Vec<(u32, f32)>) {
        out.clear();
        if self.rows == 0 {
            out.resize(queries.len() / self.dimension.max(1), (0, f32::NEG_INFINITY));
            return;
        }
        let stride = self.stride();
        let mut scores = vec![0.0; TALL * stride];
        let mut padded = vec![f32::NEG_INFINITY; stride];
        padded.iter_mut().zip(bias).for_each(|(to, from)| *to = *from);
        let bias = padded.as_chunks().0;
        for queries in queries.chunks(TALL * self.dimension) {
            self.dots(level, queries, &mut scores);
            let count = queries.len() / self.dimension;
            for scores in scores.chunks(stride).take(count) {
                out.push(level.run(Greatest { scores: scores.as_chunks().0, bias }));
            }
        }
    }
}

struct Dots<'a> {
    panels: &'a Panels,
    queries: &'a [f32],
    out: &'a mut [f32],
}

impl Kernel for Dots<'_> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes>(self) {
        let (dimension, stride) = (self.panels.dimension, self.panels.stride());
        let groups = self.queries.chunks(TALL * dimension).zip(self.out.chunks_mut(TALL * stride));
        for (queries, out) in groups {
            if queries.len() == TALL * dimension && out.len() == TALL * stride {
                tall::<L>(self.panels, queries, stride, out);
                continue;
            }
            for (query, out) in queries.chunks_exact(dimension).zip(out.chunks_exact_mut(stride)) {
                flat::<L>(self.panels, query, out);
            }
        }
    }
}

/// Eight queries against every panel.
#[inline(always)]
fn tall<L: Lanes>(panels: &Panels, queries: &[f32], stride: usize, out: &mut [f32]) {
    let (a, rest) = queries.split_at(panels.dimension);
    let (b, rest) = rest.split_at(panels.dimension);
    let (c, rest) = rest.split_at(panels.dimension);
    let (d, rest) = rest.split_at(panels.dimension);
    let (e, rest) = rest.split_at(panels.dimension);
    let (f, rest) = rest.split_at(panels.dimension);
    let (g, h) = rest.split_at(panels.dimension);
    for (number, panel) in panels.columns.chunks_exact(panels.dimension).enumerate() {
        let mut sums = [L::splat(0.0); TALL];
        let (front, back) = (a.iter().zip(b).zip(c).zip(d), e.iter().zip(f).zip(g).zip(h));
        for ((column, (((a, b), c), d)), (((e, f), g), h)) in panel.iter().zip(front).zip(back) {
            let column = L::load(column);
            sums[0] = L::splat(*a).multiply_add(column, sums[0]);
            sums[1] = L::splat(*b).multiply_add(column, sums[1]);
            sums[2] = L::splat(*c).multiply_add(column, sums[2]);
            sums[3] = L::splat(*d).multiply_add(column, sums[3]);
            sums[4] = L::splat(*e).multiply_add(column, sums[4]);
            sums[5] = L::splat(*f).multiply_add(column, sums[5]);
            sums[6] = L::splat(*g).multiply_add(column, sums[6]);
            sums[7] = L::splat(*h).multiply_add(column, sums[7]);
        }
        for (q, sum) in sums.into_iter().enumerate() {
            let start = q * stride + number * LANES;
            if let Some(out) = out[start..].first_chunk_mut() {
                sum.store(out);
            }
        }
    }
}

/// One query against every panel, four panels at a time so that sums do not wait for each other.
/// Each sum runs over the dimensions in order, as in `tall`: the same bits however many queries
/// come together.
#[inline(always)]
fn flat<L: Lanes>(panels: &Panels, query: &[f32], out: &mut [f32]) {
    let dimension = panels.dimension;
    let fours = panels.columns.chunks_exact(4 * dimension);
    let rest = fours.remainder().chunks_exact(dimension);
    let (wide, narrow) = out.as_chunks_mut::<LANES>().0.split_at_mut(fours.len() * 4);
    for (four, out) in fours.zip(wide.as_chunks_mut::<4>().0) {
        let (a, b) = four.split_at(2 * dimension);
        let ((a, b), (c, d)) = (a.split_at(dimension), b.split_at(dimension));
        let mut sums = [L::splat(0.0); 4];
        for ((((a, b), c), d), x) in a.iter().zip(b).zip(c).zip(d).zip(query) {
            let x = L::splat(*x);
            sums[0] = x.multiply_add(L::load(a), sums[0]);
            sums[1] = x.multiply_add(L::load(b), sums[1]);
            sums[2] = x.multiply_add(L::load(c), sums[2]);
            sums[3] = x.multiply_add(L::load(d), sums[3]);
        }
        out.iter_mut().zip(sums).for_each(|(out, sum)| sum.store(out));
    }
    for (panel, out) in rest.zip(narrow) {
        let mut sum = L::splat(0.0);
        for (column, x) in panel.iter().zip(query) {
            sum = L::splat(*x).multiply_add(L::load(column), sum);
        }
        sum.store(out);
    }
}

/// Where the greatest sum is. Both slices are whole lanes, the idle ones minus infinity in `bias`.
struct Greatest<'a> {
    scores: &'a [[f32; LANES]],
    bias: &'a [[f32; LANES]],
}

impl Kernel for Greatest<'_> {
    type Output = (u32, f32);

    #[inline(always)]
    fn run<L: Lanes>(self) -> (u32, f32) {
        let mut best = L::splat(f32::NEG_INFINITY);
        for (scores, bias) in self.scores.iter().zip(self.bias) {
            best = L::load(scores).add(L::load(bias)).greater(best);
        }
        let mut lanes = [0.0; LANES];
        best.store(&mut lanes);
        let greatest = lanes.iter().fold(f32::NEG_INFINITY, |a, b| a.max(*b));
        let wanted = L::splat(greatest);
        for (place, (scores, bias)) in self.scores.iter().zip(self.bias).enumerate() {
            let reached = L::load(scores).add(L::load(bias)).reaches(wanted);
            if reached != 0 {
                return ((place * LANES) as u32 + reached.trailing_zeros(), greatest);
            }
        }
        (0, greatest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_packed_as_rows_of_the_transpose() {
        for (rows, width) in [(3, 16), (5, 7), (40, 33), (1, 1)] {
            let all: Vec<f32> = (0..rows * width).map(|x| x as f32).collect();
            let turned = (0..width).flat_map(|c| all.iter().skip(c).step_by(width));
            let turned: Vec<f32> = turned.copied().collect();
            let mut panels = Panels::default();
            panels.fill_columns(&all, width);
            let expected = Panels::new(Rows::single(&turned, rows).unwrap());
            assert_eq!(panels.columns, expected.columns);
            assert_eq!((panels.dimension, panels.rows), (rows, width));
        }
    }
}
