//! One query against lists: estimates from codes while probing, then the second look.
//!
//! For L2 a score is -|q - x|²/2, so with p = q - c of a list it is -|p|²/2 + ⟨q, r⟩ + (-⟨c, r⟩ -
//! |r|²/2): the last is the row's own number. For other metrics p = q and it is ⟨q, c⟩ + ⟨q, r⟩.

use super::candidates::Candidates;
use super::coarse::Order;
use super::codes::{Scale, WORDS, quantise};
use super::list::List;
use super::model::{Model, Refine};
use super::parallel::Work;
use super::segment::Entry;
use crate::simd::lanes::Lanes;
use crate::simd::level::{Kernel, LANES, Level, prefetch};
use crate::simd::nibbles::{self, BLOCK, Tables};
use crate::vectors::{Metric, Top, Visible};

/// Rows whose second numbers are asked for at once.
const AHEAD: usize = 128;

/// A query as lists meet it, and the buffers of a search.
#[derive(Debug, Clone, Default)]
pub(super) struct Probe {
    pub query: Vec<f32>,
    pub order: Order,
    pub candidates: Candidates,
    products: Vec<[f32; WORDS]>,
    bytes: Vec<[u8; WORDS]>,
    tables: Tables,
    scale: Scale,
    /// The greatest sum of table entries that there is.
    most: f32,
    sums: Vec<[u16; BLOCK]>,
    masks: Vec<u32>,
    /// q - c for L2, else q.
    difference: Vec<f32>,
    /// What multiplies a second number: the query in the axes' units, or those units for L2.
    weights: Vec<f32>,
    scores: Scores,
}

/// Scores of the rows at hand, at most as many as are asked for at once.
#[derive(Debug, Clone)]
struct Scores([f32; AHEAD]);

impl Default for Scores {
    fn default() -> Self {
        Self([0.0; AHEAD])
    }
}

/// What a list can hold for the query.
#[derive(Debug, Clone, Copy)]
pub(super) struct Outlook {
    /// The score of the centre.
    pub base: f32,
    /// The deviation of estimates from scores.
    pub error: f32,
}

impl Probe {
    /// Takes a turned query.
    pub fn start(&mut self, model: &Model, query: &[f32]) {
        self.query.clear();
        self.query.extend_from_slice(query);
        model.book.products(query, &mut self.products);
        self.scale = quantise(&self.products, &mut self.bytes);
        self.tables.fill(&self.bytes);
        let greatest = self.bytes.iter().map(|bytes| bytes.iter().copied().max().unwrap_or(0));
        self.most = greatest.map(f32::from).sum();
        self.difference.clear();
        self.difference.extend_from_slice(query);
        self.weights.clear();
        let byte = model.options.refine == Refine::Byte;
        let unit = |unit: &f32| if byte { *unit } else { 1.0 };
        if model.options.metric == Metric::L2 {
            self.weights.extend(model.units.iter().map(unit));
        } else {
            self.weights.extend(model.units.iter().zip(query).map(|(u, x)| unit(u) * x));
        }
    }

    /// The outlook of a list. For L2 leaves q - c behind.
    pub fn outlook(&mut self, model: &Model, level: Level, list: usize) -> Outlook {
        let centre = model.clusters.centre(list);
        let is_l2 = model.options.metric == Metric::L2;
        let (query, difference) = (&self.query, &mut self.difference);
        let errors = &model.errors;
        let [base, error] = level.run(Look { is_l2, query, centre, errors, difference });
        Outlook { base, error: error.sqrt() }
    }

    /// Estimates a list's rows, whose deviation is `unit`, and takes those that reach the limit
    /// less the slack; returns how many rows were estimated.
    pub fn scan(
        &mut self,
        level: Level,
        (list, entry): (&List<'_>, &Entry),
        ahead: &[u8],
        (base, unit): (f32, f32),
        visible: Visible<'_>,
    ) -> usize {
        let slack = self.candidates.slack(unit);
        let least = self.candidates.floor() - slack;
        let Some(sum) = self.least_sum(entry, base, least) else { return 0 };
        let blocks = list.len().div_ceil(BLOCK);
        self.sums.resize(blocks, [0; BLOCK]);
        self.masks.resize(blocks, 0);
        let out = (&mut self.sums[..], &mut self.masks[..]);
        nibbles::scan(level, &self.tables, (list.codes, ahead), sum, out);
        for (factors, mask) in list.factors.chunks(BLOCK).zip(&self.masks) {
            if *mask != 0 {
                prefetch(factors);
            }
        }
        for (block, sums) in self.sums.iter().enumerate() {
            if self.masks[block] == 0 {
                continue;
            }
            let rows = block * BLOCK..list.len().min((block + 1) * BLOCK);
            let factors = &list.factors[rows.clone()];
            let biases = list.biases.get(rows.clone()).unwrap_or(&[]);
            let (scale, out) = (self.scale, &mut self.scores.0);
            let mut hits = level.run(Estimate { sums, factors, biases, base, scale, least, out });
            while hits != 0 {
                let row = hits.trailing_zeros() as usize;
                hits &= hits - 1;
                let row_of_list = rows.start + row;
                if visible.is_all() || visible.contains(list.number(row_of_list)) {
                    self.candidates.push(self.scores.0[row], row_of_list as u32);
                }
            }
        }
        list.len()
    }

    /// The least sum of table entries with which a row of the list may still be taken: most blocks
    /// then cost one comparison. `None` when no sum is enough.
    fn least_sum(&self, entry: &Entry, base: f32, least: f32) -> Option<u16> {
        // What the product of a residual of unit length with the query must be at least.
        let wanted = (least - base - entry.bias) / entry.factor;
        // A product below zero may be enough, and then less so with a great factor.
        if wanted.is_nan() || wanted <= 0.0 || self.scale.step <= 0.0 {
            return Some(0);
        }
        // One less, for what rounding does here and in the estimate.
        let sum = (wanted - self.scale.least) / self.scale.step - 1.0;
        if sum > self.most { None } else { Some(sum.max(0.0) as u16) }
    }

    /// Looks again at rows of a list and offers them; `outlook` must have been of this list.
    pub fn refine(
        &mut self,
        model: &Model,
        level: Level,
        list: &List<'_>,
        base: f32,
        rows: &[u32],
        top: &mut Top,
    ) {
        let (is_l2, byte) =
            (model.options.metric == Metric::L2, model.options.refine == Refine::Byte);
        for rows in rows.chunks(AHEAD) {
            rows.iter().for_each(|row| prefetch(list.refine(*row as usize)));
            let (weights, difference) = (&self.weights, &self.difference);
            let out = &mut self.scores.0;
            level.run(Refined { is_l2, byte, list, rows, weights, difference, base, out });
            for (row, score) in rows.iter().zip(&self.scores.0) {
                let number = list.number(*row as usize);
                top.offer(-score, u64::from(number));
            }
        }
    }
}

/// Turns a query for a model.
pub(super) fn turn(model: &Model, level: Level, query: &[f32]) -> Vec<f32> {
    let work = Work { level, ..Work::alone() };
    model.frame.turn(&work, query)
}

struct Look<'a> {
    is_l2: bool,
    query: &'a [f32],
    centre: &'a [f32],
    errors: &'a [f32],
    difference: &'a mut [f32],
}

impl Kernel for Look<'_> {
    type Output = [f32; 2];

    #[inline(always)]
    fn run<L: Lanes>(self) -> [f32; 2] {
        let mut sums = [L::splat(0.0); 2];
        let queries = self.query.as_chunks::<LANES>().0.iter();
        let centres = self.centre.as_chunks::<LANES>().0.iter();
        let errors = self.errors.as_chunks::<LANES>().0.iter();
        let differences = self.difference.as_chunks_mut::<LANES>().0;
        let half = L::splat(-0.5);
        for (((query, centre), errors), difference) in
            queries.zip(centres).zip(errors).zip(differences)
        {
            let (query, centre) = (L::load(query), L::load(centre));
            let p = if self.is_l2 { query.subtract(centre) } else { query };
            if self.is_l2 {
                p.store(difference);
            }
            let square = p.multiply(p);
            sums[0] = match self.is_l2 {
                true => square.multiply_add(half, sums[0]),
                false => p.multiply_add(centre, sums[0]),
            };
            sums[1] = square.multiply_add(L::load(errors), sums[1]);
        }
        sums.map(L::total)
    }
}

/// Estimates of a block's rows, and which of them reach the least.
struct Estimate<'a> {
    sums: &'a [u16; BLOCK],
    factors: &'a [[u8; 4]],
    biases: &'a [[u8; 4]],
    base: f32,
    scale: Scale,
    least: f32,
    out: &'a mut [f32; AHEAD],
}

impl Kernel for Estimate<'_> {
    type Output = u32;

    #[inline(always)]
    fn run<L: Lanes>(self) -> u32 {
        let (mut factors, mut biases) = ([0.0f32; BLOCK], [0.0f32; BLOCK]);
        read(self.factors, &mut factors);
        read(self.biases, &mut biases);
        let (step, low) = (L::splat(self.scale.step), L::splat(self.scale.least));
        let (base, least) = (L::splat(self.base), L::splat(self.least));
        let mut mask = 0;
        let halves = self.sums.as_chunks::<LANES>().0.iter().zip(self.out.as_chunks_mut().0);
        let numbers = factors.as_chunks::<LANES>().0.iter().zip(biases.as_chunks::<LANES>().0);
        for (half, ((sums, out), (factors, biases))) in halves.zip(numbers).enumerate() {
            let product = L::words(sums).multiply_add(step, low);
            let scores = product.multiply_add(L::load(factors), base.add(L::load(biases)));
            scores.store(out);
            mask |= scores.reaches(least) << (half * LANES);
        }
        // Idle rows of the last block are in no answer.
        mask & u32::MAX >> (BLOCK - self.factors.len().clamp(1, BLOCK))
    }
}

#[inline(always)]
fn read(words: &[[u8; 4]], out: &mut [f32; BLOCK]) {
    match <&[[u8; 4]; BLOCK]>::try_from(words) {
        Ok(words) => *out = words.map(f32::from_le_bytes),
        Err(_) => out.iter_mut().zip(words).for_each(|(x, word)| *x = f32::from_le_bytes(*word)),
    }
}

/// Scores from the second numbers.
struct Refined<'a> {
    is_l2: bool,
    byte: bool,
    list: &'a List<'a>,
    rows: &'a [u32],
    weights: &'a [f32],
    difference: &'a [f32],
    base: f32,
    out: &'a mut [f32],
}

impl Kernel for Refined<'_> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes>(self) {
        for (row, out) in self.rows.iter().zip(self.out) {
            let row = *row as usize;
            let (bytes, scale) = (self.list.refine(row), self.list.scale(row));
            let vectors = (self.difference, self.weights);
            let sum = match (self.is_l2, self.byte) {
                (false, true) => scale * product::<L, 1>(self.weights, bytes, byte),
                (false, false) => product::<L, 2>(self.weights, bytes, half),
                (true, true) => square::<L, 1>(vectors, bytes, scale, byte) / -2.0,
                (true, false) => square::<L, 2>(vectors, bytes, 1.0, half) / -2.0,
            };
            *out = if self.is_l2 { sum } else { self.base + sum };
        }
    }
}

#[inline(always)]
fn byte<L: Lanes>(bytes: &[[u8; 1]; LANES]) -> L {
    L::bytes(&bytes.map(|[byte]| byte))
}

#[inline(always)]
fn half<L: Lanes>(bytes: &[[u8; 2]; LANES]) -> L {
    L::halves(&bytes.map(u16::from_le_bytes))
}

#[inline(always)]
fn product<L: Lanes, const B: usize>(
    weights: &[f32],
    bytes: &[u8],
    value: impl Fn(&[[u8; B]; LANES]) -> L,
) -> f32 {
    let mut sums = [L::splat(0.0); 2];
    let values = bytes.as_chunks::<B>().0.as_chunks::<LANES>().0;
    let (pairs, rest) = weights.as_chunks::<LANES>().0.as_chunks::<2>();
    let (value_pairs, value_rest) = values.as_chunks::<2>();
    for (weights, values) in pairs.iter().zip(value_pairs) {
        sums[0] = L::load(&weights[0]).multiply_add(value(&values[0]), sums[0]);
        sums[1] = L::load(&weights[1]).multiply_add(value(&values[1]), sums[1]);
    }
    for (weights, values) in rest.iter().zip(value_rest) {
        sums[0] = L::load(weights).multiply_add(value(values), sums[0]);
    }
    sums[0].add(sums[1]).total()
}

#[inline(always)]
fn square<L: Lanes, const B: usize>(
    (difference, weights): (&[f32], &[f32]),
    bytes: &[u8],
    scale: f32,
    value: impl Fn(&[[u8; B]; LANES]) -> L,
) -> f32 {
    let (mut sum, scale) = (L::splat(0.0), L::splat(-scale));
    let values = bytes.as_chunks::<B>().0.as_chunks::<LANES>().0;
    let vectors = difference.as_chunks::<LANES>().0.iter().zip(weights.as_chunks::<LANES>().0);
    for ((difference, weights), values) in vectors.zip(values) {
        let residual = value(values).multiply(L::load(weights));
        let rest = scale.multiply_add(residual, L::load(difference));
        sum = rest.multiply_add(rest, sum);
    }
    sum.total()
}
