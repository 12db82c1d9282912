//! Many queries against many rows: the inner loop of a matrix product.
//!
//! ```text
//!   a panel: 16 rows side by side, element i of all of them in one register
//!   a tile:  Q queries × 1 panel; Q registers of sums, no horizontal adds
//! ```
//!
//! Rows are packed into panels once and meet every query.

use super::distances::Element;
use super::{Elements, Rows};
use crate::simd::level::{Kernel, LANES, Level, multiply_add};

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
        let stride = self.stride();
        let mut scores = vec![0.0; TALL * stride];
        for queries in queries.chunks(TALL * self.dimension.max(1)) {
            self.dots(level, queries, &mut scores);
            let count = queries.len() / self.dimension.max(1);
            for scores in scores.chunks(stride.max(1)).take(count) {
                out.push(level.run(Greatest { scores: &scores[..self.rows], bias }));
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
    fn run<const FMA: bool>(self) {
        let (dimension, stride) = (self.panels.dimension, self.panels.stride());
        let mut block = vec![[0.0f32; TALL]; dimension];
        let groups = self.queries.chunks(TALL * dimension).zip(self.out.chunks_mut(TALL * stride));
        for (queries, out) in groups {
            let count = (queries.len() / dimension).min(out.len() / stride);
            if count == 1 {
                tiles::<FMA, 1>(self.panels, queries.as_chunks::<1>().0, stride, out);
                continue;
            }
            for (q, query) in queries.chunks_exact(dimension).enumerate() {
                block.iter_mut().zip(query).for_each(|(column, x)| column[q] = *x);
            }
            if count == TALL {
                tiles::<FMA, TALL>(self.panels, &block, stride, out);
            } else {
                let mut full = vec![0.0; TALL * stride];
                tiles::<FMA, TALL>(self.panels, &block, stride, &mut full);
                out[..count * stride].copy_from_slice(&full[..count * stride]);
            }
        }
    }
}

/// One block of queries, transposed, against every panel.
#[inline(always)]
fn tiles<const FMA: bool, const Q: usize>(
    panels: &Panels,
    block: &[[f32; Q]],
    stride: usize,
    out: &mut [f32],
) {
    for (number, panel) in panels.columns.chunks_exact(panels.dimension).enumerate() {
        let mut sums = [[0.0f32; LANES]; Q];
        for (column, queries) in panel.iter().zip(block) {
            for (sum, query) in sums.iter_mut().zip(queries) {
                for (sum, x) in sum.iter_mut().zip(column) {
                    *sum = multiply_add::<FMA>(*query, *x, *sum);
                }
            }
        }
        for (q, sum) in sums.iter().enumerate() {
            let start = q * stride + number * LANES;
            out[start..start + LANES].copy_from_slice(sum);
        }
    }
}

/// Where the greatest sum is.
struct Greatest<'a> {
    scores: &'a [f32],
    bias: &'a [f32],
}

impl Kernel for Greatest<'_> {
    type Output = (u32, f32);

    #[inline(always)]
    fn run<const FMA: bool>(self) -> (u32, f32) {
        let mut lanes = [(f32::NEG_INFINITY); LANES];
        let (scores, rest) = self.scores.as_chunks::<LANES>();
        let (biases, bias_rest) = self.bias.as_chunks::<LANES>();
        for (scores, biases) in scores.iter().zip(biases) {
            for (lane, (score, bias)) in lanes.iter_mut().zip(scores.iter().zip(biases)) {
                *lane = if score + bias > *lane { score + bias } else { *lane };
            }
        }
        let mut greatest = lanes.iter().fold(f32::NEG_INFINITY, |a, b| a.max(*b));
        for (score, bias) in rest.iter().zip(bias_rest) {
            greatest = greatest.max(score + bias);
        }
        let mut sums = self.scores.iter().zip(self.bias);
        let place = sums.position(|(score, bias)| score + bias >= greatest).unwrap_or(0);
        (place as u32, greatest)
    }
}
