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
        let groups = self.queries.chunks(TALL * dimension).zip(self.out.chunks_mut(TALL * stride));
        for (queries, out) in groups {
            if queries.len() == TALL * dimension && out.len() == TALL * stride {
                tall::<FMA>(self.panels, queries, stride, out);
                continue;
            }
            for (query, out) in queries.chunks_exact(dimension).zip(out.chunks_exact_mut(stride)) {
                flat::<FMA>(self.panels, query, out);
            }
        }
    }
}

/// Eight queries against every panel.
#[inline(always)]
fn tall<const FMA: bool>(panels: &Panels, queries: &[f32], stride: usize, out: &mut [f32]) {
    let (a, rest) = queries.split_at(panels.dimension);
    let (b, rest) = rest.split_at(panels.dimension);
    let (c, rest) = rest.split_at(panels.dimension);
    let (d, rest) = rest.split_at(panels.dimension);
    let (e, rest) = rest.split_at(panels.dimension);
    let (f, rest) = rest.split_at(panels.dimension);
    let (g, h) = rest.split_at(panels.dimension);
    for (number, panel) in panels.columns.chunks_exact(panels.dimension).enumerate() {
        let mut sums = [[0.0f32; LANES]; TALL];
        let (front, back) = (a.iter().zip(b).zip(c).zip(d), e.iter().zip(f).zip(g).zip(h));
        for ((column, (((a, b), c), d)), (((e, f), g), h)) in panel.iter().zip(front).zip(back) {
            let queries = [*a, *b, *c, *d, *e, *f, *g, *h];
            for q in 0..TALL {
                for lane in 0..LANES {
                    sums[q][lane] = multiply_add::<FMA>(queries[q], column[lane], sums[q][lane]);
                }
            }
        }
        for (q, sum) in sums.iter().enumerate() {
            let start = q * stride + number * LANES;
            out[start..start + LANES].copy_from_slice(sum);
        }
    }
}

/// One query against every panel, four panels at a time so that sums do not wait for each other.
/// Each sum runs over the dimensions in order, as in `tall`: the same bits however many queries
/// come together.
#[inline(always)]
fn flat<const FMA: bool>(panels: &Panels, query: &[f32], out: &mut [f32]) {
    let dimension = panels.dimension;
    let fours = panels.columns.chunks_exact(4 * dimension);
    let rest = fours.remainder().chunks_exact(dimension);
    let (wide, narrow) = out.as_chunks_mut::<LANES>().0.split_at_mut(fours.len() * 4);
    for (four, out) in fours.zip(wide.as_chunks_mut::<4>().0) {
        let (a, b) = four.split_at(2 * dimension);
        let ((a, b), (c, d)) = (a.split_at(dimension), b.split_at(dimension));
        let mut sums = [[0.0f32; LANES]; 4];
        for ((((a, b), c), d), x) in a.iter().zip(b).zip(c).zip(d).zip(query) {
            for lane in 0..LANES {
                sums[0][lane] = multiply_add::<FMA>(*x, a[lane], sums[0][lane]);
                sums[1][lane] = multiply_add::<FMA>(*x, b[lane], sums[1][lane]);
                sums[2][lane] = multiply_add::<FMA>(*x, c[lane], sums[2][lane]);
                sums[3][lane] = multiply_add::<FMA>(*x, d[lane], sums[3][lane]);
            }
        }
        *out = sums;
    }
    for (panel, out) in rest.zip(narrow) {
        let mut sums = [0.0f32; LANES];
        for (column, x) in panel.iter().zip(query) {
            for lane in 0..LANES {
                sums[lane] = multiply_add::<FMA>(*x, column[lane], sums[lane]);
            }
        }
        *out = sums;
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
