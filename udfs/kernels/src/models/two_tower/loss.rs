//! The softmax of an example's own item among the items of its batch, and its gradient.
//!
//! ```text
//!   logit[j] = score[j] / temperature + bias[j]          masked: out
//!   loss     = ln Σ exp(logit[j]) - logit[own]
//!   d loss / d score[j] = (softmax[j] - (j is own)) / temperature
//! ```

use crate::simd::lanes::Lanes;
use crate::simd::level::{Kernel, LANES};

/// A logit that takes no part.
pub(super) const OUT: f32 = -1e30;

/// What makes scores of one example logits. The columns of `single` have a bias of their own for
/// this example in place of the column's: (column, bias).
pub(super) struct Softmax<'a> {
    /// Scores; the gradient by them, times `weight`, when done.
    pub scores: &'a mut [f32],
    pub biases: &'a [f32],
    pub masked: &'a [u32],
    pub single: &'a [(u32, f32)],
    pub own: usize,
    pub temperature: f32,
    pub weight: f32,
    /// Kept between calls for its memory.
    pub kept: &'a mut Vec<f32>,
}

impl Kernel for Softmax<'_> {
    /// The loss, before the weight.
    type Output = f32;

    #[inline(always)]
    fn run<L: Lanes>(self) -> f32 {
        let Self { scores, biases, .. } = self;
        self.kept.clear();
        self.kept.extend(self.single.iter().map(|(column, _)| scores[*column as usize]));
        let factor = L::splat(1.0 / self.temperature);
        let (lanes, biases) = (scores.as_chunks_mut::<LANES>().0, biases.as_chunks::<LANES>().0);
        for (score, bias) in lanes.iter_mut().zip(biases) {
            L::load(score).multiply_add(factor, L::load(bias)).store(score);
        }
        for column in self.masked {
            scores[*column as usize] = OUT;
        }
        for ((column, bias), score) in self.single.iter().zip(&*self.kept) {
            scores[*column as usize] = score / self.temperature + bias;
        }
        let greatest = greatest::<L>(scores);
        let own = scores[self.own];
        scores.iter_mut().for_each(|x| *x = exp(*x - greatest));
        let total = total::<L>(scores);
        let share = self.weight / (total * self.temperature);
        scores.iter_mut().for_each(|x| *x *= share);
        scores[self.own] -= self.weight / self.temperature;
        total.ln() + greatest - own
    }
}

#[inline(always)]
fn greatest<L: Lanes>(scores: &[f32]) -> f32 {
    let mut most = L::splat(OUT);
    for lanes in scores.as_chunks().0 {
        most = L::load(lanes).greater(most);
    }
    let mut lanes = [0.0; LANES];
    most.store(&mut lanes);
    lanes.iter().fold(OUT, |a, b| a.max(*b))
}

#[inline(always)]
fn total<L: Lanes>(scores: &[f32]) -> f32 {
    let mut sum = L::splat(0.0);
    for lanes in scores.as_chunks().0 {
        sum = sum.add(L::load(lanes));
    }
    sum.total()
}

/// e^x for x ≤ 0 to 2 units of the last place, in operations that every processor's lanes have;
/// under -87 it is 0.
///
/// x = n ln 2 + r with |r| ≤ ln 2 / 2; e^r by its series to r⁷, 2^n by the exponent's bits. Adding
/// 1.5 · 2²³ rounds to whole numbers and leaves them in the low bits.
#[inline(always)]
pub(super) fn exp(x: f32) -> f32 {
    const ROUND: f32 = 12_582_912.0;
    // ln 2 in two parts, the first with so few bits that n times it is exact.
    const LN_2: [f32; 2] = [355.0 / 512.0, -2.121_944_4e-4];
    let cut = if x > -87.0 { x } else { -87.0 };
    let shifted = cut * std::f32::consts::LOG2_E + ROUND;
    let n = shifted - ROUND;
    let r = (cut - n * LN_2[0]) - n * LN_2[1];
    let mut power = 1.0 / 5040.0;
    for coefficient in [1.0 / 720.0, 1.0 / 120.0, 1.0 / 24.0, 1.0 / 6.0, 0.5, 1.0, 1.0] {
        power = power * r + coefficient;
    }
    let bits = shifted.to_bits().wrapping_sub(ROUND.to_bits()).wrapping_add(127) << 23;
    if x > -87.0 { power * f32::from_bits(bits) } else { 0.0 }
}
