//! Product quantisation of residuals, 4 bits a group of axes.
//!
//! Residuals come at unit length: what a row's codes estimate is times a number of its own. Along
//! principal axes the first vary most, and `ByVariance` cuts the axes into groups so that the
//! expected error is least: an axis that varies much gets four bits for itself, many that hardly
//! vary share them. Where no axis stands out, and none is near a normal distribution, a random turn
//! and `Even` pairs err less. Training tries both and keeps the better.

use super::Error;
use super::parallel::{Phase, Work};
use super::random::Random;
use crate::simd::lanes::Lanes;
use crate::simd::level::{Kernel, Level};
use crate::simd::nibbles::{ENTRY, GROUPS};

/// Words of a group's codebook.
pub const WORDS: usize = 16;
/// Axes of a group at most.
const WIDEST: usize = 16;
const ROUNDS: usize = 10;
/// From which share of a row's length a score matters, in the score-aware loss.
const THRESHOLD: f32 = 0.2;
/// Passes over the groups that lean codes towards it; most rows are settled after two.
const PASSES: usize = 3;

/// How axes are chosen and cut into groups; a field of the format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Grouping {
    /// Principal axes, cut where the expected error is least.
    ByVariance,
    /// Random axes, in pairs.
    Even,
}

/// A codebook of sixteen words for each group.
#[derive(Debug, Clone)]
pub struct Codebook {
    /// Where groups start, and where the last ends; a multiple of four groups, the last ones may
    /// be empty.
    starts: Vec<u32>,
    /// For each axis, its coordinate in each word of its group.
    words: Vec<[f32; WORDS]>,
}

impl Codebook {
    /// Trains on turned residuals (`stride` floats a row, of which the first `variances.len()`
    /// are axes).
    pub(super) fn train(
        work: &Work<'_>,
        residuals: (&[f32], usize),
        variances: &[f64],
        grouping: Grouping,
        seed: u64,
    ) -> Result<Self, Error> {
        let axes = variances.len();
        let groups = axes.div_ceil(2).next_multiple_of(GROUPS);
        let starts = match grouping {
            Grouping::ByVariance => by_variance(variances, groups.min(axes)),
            Grouping::Even => even(axes, groups.min(axes)),
        };
        let mut random = Random::new(seed);
        let seeds: Vec<u64> = starts.iter().map(|_| random.number()).collect();
        let words = work.map(Phase::Codes, starts.len() - 1, |group| {
            let axes = starts[group]..starts[group + 1];
            words(work.level, residuals, axes, seeds[group])
        })?;
        let mut starts: Vec<u32> = starts.into_iter().map(|start| start as u32).collect();
        starts.resize(groups + 1, axes as u32);
        Ok(Self { starts, words: words.into_iter().flatten().collect() })
    }

    /// From what a head holds; `None` when the parts do not fit together.
    pub(super) fn from_parts(starts: Vec<u32>, words: Vec<[f32; WORDS]>) -> Option<Self> {
        let fits = starts.first() == Some(&0)
            && starts.is_sorted()
            && starts.last().map(|end| *end as usize) == Some(words.len())
            && (starts.len() - 1).is_multiple_of(GROUPS);
        fits.then_some(Self { starts, words })
    }

    pub(super) fn parts(&self) -> (&[u32], &[[f32; WORDS]]) {
        (&self.starts, &self.words)
    }

    /// Groups, a multiple of four.
    pub fn groups(&self) -> usize {
        self.starts.len() - 1
    }

    fn group(&self, group: usize) -> std::ops::Range<usize> {
        self.starts[group] as usize..self.starts[group + 1] as usize
    }

    /// The nearest words of a turned residual of unit length, two codes a byte.
    pub(super) fn encode(&self, work: &Work<'_>, row: &[f32], out: &mut [u8]) {
        work.level.run(Encode { book: self, row, out });
    }

    /// Adds the squared error of each axis to `errors`.
    pub(super) fn add_errors(&self, codes: &[u8], row: &[f32], errors: &mut [f32]) {
        for group in 0..self.groups() {
            let word = usize::from(codes[group / 2] >> (4 * (group % 2)) & 15);
            let axes = self.group(group);
            let words = self.words[axes.clone()].iter().zip(&row[axes.clone()]);
            for (error, (words, x)) in errors[axes].iter_mut().zip(words) {
                *error += (words[word] - x) * (words[word] - x);
            }
        }
    }

    /// Codes for inner products, from the nearest words on: an error along the row itself, whose
    /// unit vector is `direction`, counts more, since it is what queries that rank the row high see
    /// (the score-aware loss of Guo et al., "Accelerating Large-Scale Inference with Anisotropic
    /// Vector Quantization"; `THRESHOLD` is its T).
    pub(super) fn lean(&self, work: &Work<'_>, row: &[f32], direction: &[f32], out: &mut [u8]) {
        work.level.run(Lean { book: self, row, direction, out });
    }

    /// The dot product of a coded row with a vector.
    pub(super) fn dot(&self, codes: &[u8], vector: &[f32]) -> f32 {
        let code = |group: usize| usize::from(codes[group / 2] >> (4 * (group % 2)) & 15);
        let part = |group: usize| -> f32 {
            let axes = self.group(group);
            let words = self.words[axes.clone()].iter().zip(&vector[axes]);
            words.map(|(words, x)| words[code(group)] * x).sum()
        };
        (0..self.groups()).map(part).sum()
    }

    /// What each word of each group adds to a dot product with the query.
    pub(super) fn products(&self, query: &[f32], out: &mut Vec<[f32; WORDS]>) {
        out.clear();
        for group in 0..self.groups() {
            let axes = self.group(group);
            let mut sums = [0.0; WORDS];
            for (words, x) in self.words[axes.clone()].iter().zip(&query[axes]) {
                sums.iter_mut().zip(words).for_each(|(sum, word)| *sum += word * x);
            }
            out.push(sums);
        }
    }
}

/// Tables of bytes for products: `product ≈ byte · step + its group's least`.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Scale {
    /// The sum of the least product of each group.
    pub least: f32,
    pub step: f32,
}

pub(super) fn quantise(products: &[[f32; WORDS]], out: &mut Vec<[u8; WORDS]>) -> Scale {
    out.clear();
    let (mut least, mut range, mut ranges) = (0.0, 0.0f32, 0.0);
    for products in products {
        let low = products.iter().fold(f32::INFINITY, |a, b| a.min(*b));
        let high = products.iter().fold(f32::NEG_INFINITY, |a, b| a.max(*b));
        least += low;
        range = range.max(high - low);
        ranges += high - low;
    }
    // Rounding adds at most a half for each group to sums that 16 bits must hold.
    let room = f32::from(u16::MAX) - products.len() as f32;
    let step = (range / f32::from(ENTRY)).max(ranges / room);
    if step <= 0.0 || !step.is_finite() {
        out.resize(products.len(), [0; WORDS]);
        return Scale { least, step: 0.0 };
    }
    for products in products {
        let low = products.iter().fold(f32::INFINITY, |a, b| a.min(*b));
        // Rounded, and at most `ENTRY`; a cast saturates.
        out.push(products.map(|x| ((x - low) / step + 0.5) as u8));
    }
    Scale { least, step }
}

struct Encode<'a> {
    book: &'a Codebook,
    row: &'a [f32],
    out: &'a mut [u8],
}

impl Kernel for Encode<'_> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes>(self) {
        for (pair, out) in self.out.iter_mut().enumerate() {
            let (low, high) = (self.book.group(pair * 2), self.book.group(pair * 2 + 1));
            let low = nearest::<L>(&self.book.words[low.clone()], &self.row[low]);
            let high = nearest::<L>(&self.book.words[high.clone()], &self.row[high]);
            *out = low as u8 | (high as u8) << 4;
        }
    }
}

/// The word that is nearest to a row's axes of its group.
#[inline(always)]
fn nearest<L: Lanes>(words: &[[f32; WORDS]], row: &[f32]) -> usize {
    let mut distances = L::splat(0.0);
    for (words, x) in words.iter().zip(row) {
        let difference = L::load(words).subtract(L::splat(*x));
        distances = difference.multiply_add(difference, distances);
    }
    distances.least()
}

struct Lean<'a> {
    book: &'a Codebook,
    row: &'a [f32],
    direction: &'a [f32],
    out: &'a mut [u8],
}

impl Lean<'_> {
    /// Squared errors and errors along the direction, of each word of a group.
    #[inline(always)]
    fn errors<L: Lanes>(&self, group: usize) -> (L, L) {
        let (mut squares, mut along) = (L::splat(0.0), L::splat(0.0));
        let axes = self.book.group(group);
        let row = self.row[axes.clone()].iter().zip(&self.direction[axes.clone()]);
        for (words, (x, unit)) in self.book.words[axes].iter().zip(row) {
            let error = L::load(words).subtract(L::splat(*x));
            squares = error.multiply_add(error, squares);
            along = error.multiply_add(L::splat(*unit), along);
        }
        (squares, along)
    }
}

impl Kernel for Lean<'_> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes>(self) {
        let code = |out: &[u8], group: usize| usize::from(out[group / 2] >> (4 * (group % 2)) & 15);
        let square = THRESHOLD * THRESHOLD;
        let weight = (self.book.words.len() as f32 - 1.0) * square / (1.0 - square) - 1.0;
        if weight <= 0.0 {
            return;
        }
        let groups = self.book.groups();
        let (mut total, mut lanes) = (0.0, [0.0; WORDS]);
        for group in 0..groups {
            self.errors::<L>(group).1.store(&mut lanes);
            total += lanes[code(self.out, group)];
        }
        let mut losses = [0.0f32; WORDS];
        for _ in 0..PASSES {
            let mut changed = false;
            for group in 0..groups {
                let (squares, along) = self.errors::<L>(group);
                along.store(&mut lanes);
                let before = code(self.out, group);
                let rest = total - lanes[before];
                let whole = L::splat(rest).add(along);
                let all = whole.multiply(whole).multiply_add(L::splat(weight), squares);
                all.store(&mut losses);
                let best = all.least();
                // By rounding alone, two words could take turns for ever.
                if losses[best] < losses[before] {
                    let shift = 4 * (group % 2);
                    let byte = &mut self.out[group / 2];
                    *byte = *byte & !(15 << shift) | (best as u8) << shift;
                    total = rest + lanes[best];
                    changed = true;
                }
            }
            if !changed {
                break;
            }
        }
    }
}

/// k-means of one group's axes.
fn words(
    level: Level,
    (residuals, stride): (&[f32], usize),
    axes: std::ops::Range<usize>,
    seed: u64,
) -> Vec<[f32; WORDS]> {
    let mut words = vec![[0.0; WORDS]; axes.len()];
    let count = residuals.len() / stride.max(1);
    if count == 0 || axes.is_empty() {
        return words;
    }
    // Together in memory: each round reads all of them.
    let rows = residuals.chunks_exact(stride).flat_map(|row| &row[axes.clone()]);
    let rows: Vec<f32> = rows.copied().collect();
    let row = |row: usize| &rows[row * axes.len()..][..axes.len()];
    let mut random = Random::new(seed);
    for word in 0..WORDS {
        let row = row(random.below(count));
        words.iter_mut().zip(row).for_each(|(words, x)| words[word] = *x);
    }
    let mut nearest = Vec::with_capacity(count);
    for _ in 0..ROUNDS {
        nearest.clear();
        level.run(Nearest { words: &words, rows: &rows, out: &mut nearest });
        let mut sums = vec![[0.0f64; WORDS]; axes.len()];
        let mut counts = [0u32; WORDS];
        for (row, word) in rows.chunks_exact(axes.len()).zip(&nearest) {
            let word = usize::from(*word);
            counts[word] += 1;
            sums.iter_mut().zip(row).for_each(|(sums, x)| sums[word] += f64::from(*x));
        }
        for (words, sums) in words.iter_mut().zip(&sums) {
            for word in (0..WORDS).filter(|word| counts[*word] > 0) {
                words[word] = (sums[word] / f64::from(counts[word])) as f32;
            }
        }
        for word in (0..WORDS).filter(|word| counts[*word] == 0) {
            let row = row(random.below(count));
            words.iter_mut().zip(row).for_each(|(words, x)| words[word] = *x);
        }
    }
    words
}

struct Nearest<'a> {
    words: &'a [[f32; WORDS]],
    rows: &'a [f32],
    out: &'a mut Vec<u8>,
}

impl Kernel for Nearest<'_> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes>(self) {
        for row in self.rows.chunks_exact(self.words.len()) {
            self.out.push(nearest::<L>(self.words, row) as u8);
        }
    }
}

/// Axes in equal shares.
fn even(axes: usize, groups: usize) -> Vec<usize> {
    (0..=groups).map(|group| group * axes / groups).collect()
}

/// The cut into contiguous groups whose errors add to least, by dynamic programming.
fn by_variance(variances: &[f64], groups: usize) -> Vec<usize> {
    let axes = variances.len();
    let mut least = vec![f64::INFINITY; axes + 1];
    least[0] = 0.0;
    let width = WIDEST.max(axes.div_ceil(groups));
    let errors: Vec<Vec<f64>> = (0..=axes)
        .map(|end| {
            let starts = end.saturating_sub(width)..end;
            starts.map(|start| expected_error(&variances[start..end])).collect()
        })
        .collect();
    let mut cuts = vec![vec![0; axes + 1]; groups];
    for (group, cut) in cuts.iter_mut().enumerate() {
        let mut next = vec![f64::INFINITY; axes + 1];
        for end in group + 1..=axes {
            for (i, error) in errors[end].iter().enumerate() {
                let start = end - errors[end].len() + i;
                let error = least[start] + error;
                if error < next[end] {
                    next[end] = error;
                    cut[end] = start;
                }
            }
        }
        least = next;
    }
    let mut starts = vec![axes];
    for cut in cuts.iter().rev() {
        starts.push(cut[starts[starts.len() - 1]]);
    }
    starts.reverse();
    starts
}

/// The squared error of sixteen words for axes of these variances, great to small: the bound of
/// rate and distortion, times how far sixteen words of so many axes stay from it.
fn expected_error(variances: &[f64]) -> f64 {
    /// Against the bound for a Gaussian: 4 bits on one axis (Lloyd and Max), on two, three, ….
    const LOSS: [f64; 6] = [2.95, 1.75, 1.5, 1.35, 1.3, 1.25];
    let sum: f64 = variances.iter().sum();
    let mut best = sum;
    let (mut logs, mut rest) = (0.0, sum);
    for (used, variance) in variances.iter().enumerate() {
        if *variance <= 0.0 {
            break;
        }
        logs += variance.log2();
        rest -= variance;
        let count = (used + 1) as f64;
        // Four bits make the product of these axes' errors 2⁻⁸ of that of their variances.
        let level = ((logs - 8.0) / count).exp2();
        let loss = LOSS[used.min(LOSS.len() - 1)];
        best = best.min(count * level * loss + rest.max(0.0));
    }
    best
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn great_axes_get_bits_of_their_own() {
        assert_eq!(by_variance(&[1.0; 8], 4), [0, 2, 4, 6, 8]);
        let starts = by_variance(&[16.0, 1.0, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1], 4);
        assert_eq!(starts[1], 1, "{starts:?}");
        assert_eq!(by_variance(&[0.0; 3], 3), [0, 1, 2, 3]);
        assert_eq!(by_variance(&[1.0; 40], 1), [0, 40]);
    }

    #[test]
    fn tables_keep_to_their_bits() {
        let products: Vec<[f32; WORDS]> =
            (0..768).map(|g| std::array::from_fn(|w| (g * 7 % 11) as f32 * w as f32)).collect();
        let mut bytes = Vec::new();
        let scale = quantise(&products, &mut bytes);
        assert!(scale.step > 0.0);
        assert!(bytes.iter().flatten().all(|byte| *byte <= ENTRY));
        let sum: u32 = bytes.iter().map(|b| u32::from(*b.iter().max().unwrap())).sum();
        assert!(sum <= u32::from(u16::MAX));
        assert_eq!(quantise(&[[3.0; WORDS]; 4], &mut bytes).step, 0.0);
    }
}
