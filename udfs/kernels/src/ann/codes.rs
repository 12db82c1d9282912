//! Product quantisation of residuals, 4 bits a group of axes.
//!
//! Residuals come turned to their principal axes, so the first vary most. `ByVariance` cuts the axes
//! into groups so that the expected error is least: an axis that varies much gets four bits for
//! itself, many that hardly vary share them. `Even` gives every group the same number of axes,
//! which is what other libraries do.

use super::Error;
use super::parallel::{Phase, Work};
use super::random::Random;
use crate::simd::level::{Kernel, multiply_add};
use crate::simd::nibbles::{ENTRY, GROUPS};

/// Words of a group's codebook.
pub const WORDS: usize = 16;
/// Axes of a group at most.
const WIDEST: usize = 16;
const ROUNDS: usize = 10;

/// How axes are cut into groups; a field of the format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Grouping {
    ByVariance,
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
        let seeds: Vec<u64> = starts.iter().map(|_| random.next()).collect();
        let words = work.map(Phase::Codes, starts.len() - 1, |group| {
            let axes = starts[group]..starts[group + 1];
            words(residuals, axes, seeds[group])
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

    /// The nearest words of a turned residual, two codes a byte; adds the squared error of each
    /// axis to `errors`.
    pub(super) fn encode(&self, work: &Work<'_>, row: &[f32], out: &mut [u8], errors: &mut [f32]) {
        work.level.run(Encode { book: self, row, out, errors });
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
    /// The greatest sum of bytes that a row can have.
    pub greatest: u16,
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
        return Scale { least, step: 0.0, greatest: 0 };
    }
    let mut greatest = 0u16;
    for products in products {
        let low = products.iter().fold(f32::INFINITY, |a, b| a.min(*b));
        // Rounded, and at most `ENTRY`; a cast saturates.
        let bytes = products.map(|x| ((x - low) / step + 0.5) as u8);
        greatest = greatest.saturating_add(u16::from(bytes.iter().copied().max().unwrap_or(0)));
        out.push(bytes);
    }
    Scale { least, step, greatest }
}

struct Encode<'a> {
    book: &'a Codebook,
    row: &'a [f32],
    out: &'a mut [u8],
    errors: &'a mut [f32],
}

impl Kernel for Encode<'_> {
    type Output = ();

    #[inline(always)]
    fn run<const FMA: bool>(self) {
        for (pair, out) in self.out.iter_mut().enumerate() {
            let mut codes = [0u8; 2];
            for (half, code) in codes.iter_mut().enumerate() {
                let axes = self.book.group(pair * 2 + half);
                let (words, row) = (&self.book.words[axes.clone()], &self.row[axes.clone()]);
                let nearest = nearest::<FMA>(words, row);
                *code = nearest as u8;
                let errors = self.errors[axes].iter_mut().zip(words.iter().zip(row));
                errors.for_each(|(error, (words, x))| {
                    *error += (words[nearest] - x) * (words[nearest] - x);
                });
            }
            *out = codes[0] | codes[1] << 4;
        }
    }
}

#[inline(always)]
fn nearest<const FMA: bool>(words: &[[f32; WORDS]], row: &[f32]) -> usize {
    let mut distances = [0.0f32; WORDS];
    for (words, x) in words.iter().zip(row) {
        for (distance, word) in distances.iter_mut().zip(words) {
            let difference = word - x;
            *distance = multiply_add::<FMA>(difference, difference, *distance);
        }
    }
    let least = distances.iter().fold(f32::INFINITY, |a, b| if *b < a { *b } else { a });
    distances.iter().position(|distance| *distance <= least).unwrap_or(0)
}

/// k-means of one group's axes.
fn words(
    (residuals, stride): (&[f32], usize),
    axes: std::ops::Range<usize>,
    seed: u64,
) -> Vec<[f32; WORDS]> {
    let rows: Vec<&[f32]> = residuals.chunks_exact(stride).map(|row| &row[axes.clone()]).collect();
    let mut words = vec![[0.0; WORDS]; axes.len()];
    if rows.is_empty() {
        return words;
    }
    let mut random = Random::new(seed);
    for word in 0..WORDS {
        let row = rows[random.below(rows.len())];
        words.iter_mut().zip(row).for_each(|(words, x)| words[word] = *x);
    }
    for _ in 0..ROUNDS {
        let mut sums = vec![[0.0f64; WORDS]; axes.len()];
        let mut counts = [0u32; WORDS];
        for row in &rows {
            let word = nearest::<false>(&words, row);
            counts[word] += 1;
            sums.iter_mut().zip(*row).for_each(|(sums, x)| sums[word] += f64::from(*x));
        }
        for (words, sums) in words.iter_mut().zip(&sums) {
            for word in (0..WORDS).filter(|word| counts[*word] > 0) {
                words[word] = (sums[word] / f64::from(counts[word])) as f32;
            }
        }
        for word in (0..WORDS).filter(|word| counts[*word] == 0) {
            let row = rows[random.below(rows.len())];
            words.iter_mut().zip(row).for_each(|(words, x)| words[word] = *x);
        }
    }
    words
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
        assert!(bytes.iter().flatten().all(|byte| *byte <= ENTRY));
        let sum: u32 = bytes.iter().map(|b| u32::from(*b.iter().max().unwrap())).sum();
        assert_eq!(sum, u32::from(scale.greatest));
        assert_eq!(quantise(&[[3.0; WORDS]; 4], &mut bytes).step, 0.0);
    }
}
