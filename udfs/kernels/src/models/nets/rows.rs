//! What is done to rows of floats: sums of table rows, products, Adam.

use super::Token;
use crate::simd::lanes::Lanes;
use crate::simd::level::{Kernel, LANES, Level};

/// Floats that are summed in registers at once.
const BLOCK: usize = 4;

/// Floats of a row that holds `dim` of them.
pub(crate) fn padded(dim: usize) -> usize {
    dim.next_multiple_of(LANES)
}

/// Rows of `dim` floats padded to whole lanes, when there are `count` of them.
pub(crate) fn wide(rows: &[f32], dim: usize, count: usize) -> Option<Vec<f32>> {
    if rows.len() != dim.checked_mul(count)? {
        return None;
    }
    let width = padded(dim);
    let mut all = vec![0.0; count.checked_mul(width)?];
    for (wide, row) in all.chunks_exact_mut(width).zip(rows.chunks_exact(dim)) {
        wide[..dim].copy_from_slice(row);
    }
    Some(all)
}

/// `out = Σ c · rows[i]` over tokens (i, c).
#[inline(always)]
pub(crate) fn combine<L: Lanes>(tokens: &[Token], rows: &[f32], out: &mut [f32]) {
    let (rows, out) = (rows.as_chunks::<LANES>().0, out.as_chunks_mut::<LANES>().0);
    let width = out.len();
    let (blocks, rest) = out.as_chunks_mut::<BLOCK>();
    for (place, block) in blocks.iter_mut().enumerate() {
        sum::<L, BLOCK>(tokens, rows, width, place * BLOCK, block);
    }
    let start = width - rest.len();
    for (place, lanes) in rest.iter_mut().enumerate() {
        sum::<L, 1>(tokens, rows, width, start + place, std::array::from_mut(lanes));
    }
}

#[inline(always)]
fn sum<L: Lanes, const N: usize>(
    tokens: &[Token],
    rows: &[[f32; LANES]],
    width: usize,
    place: usize,
    out: &mut [[f32; LANES]; N],
) {
    let mut sums = [L::splat(0.0); N];
    for (row, share) in tokens {
        let row = &rows[*row as usize * width + place..][..N];
        let share = L::splat(*share);
        for n in 0..N {
            sums[n] = share.multiply_add(L::load(&row[n]), sums[n]);
        }
    }
    out.iter_mut().zip(sums).for_each(|(out, sum)| sum.store(out));
}

/// `combine` for each row of tokens that `ends` cut.
pub(crate) struct Combine<'a> {
    pub tokens: &'a [Token],
    pub ends: &'a [u64],
    pub table: &'a [f32],
    pub width: usize,
    pub out: &'a mut [f32],
}

impl Kernel for Combine<'_> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes>(self) {
        let mut start = 0;
        for (end, out) in self.ends.iter().zip(self.out.chunks_exact_mut(self.width)) {
            combine::<L>(&self.tokens[start..*end as usize], self.table, out);
            start = *end as usize;
        }
    }
}

/// Sums of products of two rows.
#[inline(always)]
pub(crate) fn dot<L: Lanes>(a: &[f32], b: &[f32]) -> f32 {
    let mut sum = L::splat(0.0);
    for (a, b) in a.as_chunks().0.iter().zip(b.as_chunks().0) {
        sum = L::load(a).multiply_add(L::load(b), sum);
    }
    sum.total()
}

const DECAY: f32 = 0.9;
const SQUARE_DECAY: f32 = 0.999;
const SMALLEST: f32 = 1e-8;

/// Adam (Kingma and Ba, arXiv 1412.6980) for one step: its rate with both corrections of bias.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Adam {
    rate: f32,
    square_share: f32,
    l2: f32,
}

impl Adam {
    /// For step `step`, counted from 1.
    pub fn new(learning_rate: f32, step: usize) -> Self {
        let step = i32::try_from(step).unwrap_or(i32::MAX);
        let share = 1.0 - f64::from(DECAY).powi(step);
        let square_share = 1.0 - f64::from(SQUARE_DECAY).powi(step);
        Self {
            rate: (f64::from(learning_rate) / share) as f32,
            square_share: (1.0 / square_share) as f32,
            l2: 0.0,
        }
    }

    /// The same with a penalty of l2/2 times the square of each value.
    pub fn with_l2(self, l2: f32) -> Self {
        Self { l2, ..self }
    }

    /// Moves values against their gradients.
    #[inline(always)]
    pub fn step(
        self,
        gradient: &[f32],
        values: &mut [f32],
        means: &mut [f32],
        squares: &mut [f32],
    ) {
        let moments = means.iter_mut().zip(squares);
        for ((x, g), (mean, square)) in values.iter_mut().zip(gradient).zip(moments) {
            let g = g + self.l2 * *x;
            *mean = DECAY * *mean + (1.0 - DECAY) * g;
            *square = SQUARE_DECAY * *square + (1.0 - SQUARE_DECAY) * g * g;
            *x -= self.rate * *mean / ((*square * self.square_share).sqrt() + SMALLEST);
        }
    }
}

/// Values, and Adam's moments of them.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Parameters {
    pub values: Vec<f32>,
    pub means: Vec<f32>,
    pub squares: Vec<f32>,
}

impl Parameters {
    pub fn new(values: Vec<f32>) -> Self {
        let zeros = vec![0.0; values.len()];
        Self { values, means: zeros.clone(), squares: zeros }
    }

    /// Lets go of the moments.
    pub fn forget(&mut self) {
        (self.means, self.squares) = (Vec::new(), Vec::new());
    }

    /// A step of all of them.
    pub fn step(&mut self, level: Level, adam: Adam, gradient: &[f32]) {
        level.run(Step { adam, gradient, parameters: self });
    }
}

struct Step<'a> {
    adam: Adam,
    gradient: &'a [f32],
    parameters: &'a mut Parameters,
}

impl Kernel for Step<'_> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes>(self) {
        let Parameters { values, means, squares } = self.parameters;
        self.adam.step(self.gradient, values, means, squares);
    }
}
