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
use crate::simd::level::{Kernel, LANES, Level, multiply_add, prefetch};
use crate::simd::nibbles::{self, BLOCK, Tables};
use crate::vectors::{Metric, Top, Visible, widen};

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
    sums: Vec<[u16; BLOCK]>,
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
    /// The deviation of scores of the list's rows, for residuals as in training.
    pub deviation: f32,
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
        let (variances, errors) = (&model.variances, &model.errors);
        let [base, spread, error] =
            level.run(Look { is_l2, query, centre, variances, errors, difference });
        Outlook { base, deviation: spread.sqrt(), error: error.sqrt() }
    }

    /// Estimates a list's rows and takes those that reach the limit less `slack`; returns how many
    /// rows were estimated.
    pub fn scan(
        &mut self,
        level: Level,
        (list, number): (&List<'_>, u32),
        ahead: &[u8],
        (base, slack): (f32, f32),
        visible: Visible<'_>,
    ) -> usize {
        let blocks = list.len().div_ceil(BLOCK);
        self.sums.resize(blocks, [0; BLOCK]);
        nibbles::scan(level, &self.tables, (list.codes, ahead), &mut self.sums);
        self.candidates.open_run(number, slack);
        for (block, sums) in self.sums.iter().enumerate() {
            let rows = block * BLOCK..list.len().min((block + 1) * BLOCK);
            let factors = &list.factors[rows.clone()];
            let biases = list.biases.get(rows.clone()).unwrap_or(&[]);
            let least = self.candidates.limit() - slack;
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
        self.candidates.settle();
        list.len()
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
    variances: &'a [f32],
    errors: &'a [f32],
    difference: &'a mut [f32],
}

impl Kernel for Look<'_> {
    type Output = [f32; 3];

    #[inline(always)]
    fn run<const FMA: bool>(self) -> [f32; 3] {
        let mut sums = [[0.0f32; LANES]; 3];
        let (queries, centres) = (self.query.as_chunks::<LANES>().0, self.centre.as_chunks().0);
        let (variances, errors) = (self.variances.as_chunks().0, self.errors.as_chunks().0);
        let differences = self.difference.as_chunks_mut::<LANES>().0;
        let vectors = queries.iter().zip(centres).zip(differences);
        for (((query, centre), difference), (variances, errors)) in
            vectors.zip(variances.iter().zip(errors))
        {
            let variances: &[f32; LANES] = variances;
            let errors: &[f32; LANES] = errors;
            let centre: &[f32; LANES] = centre;
            for lane in 0..LANES {
                let p = if self.is_l2 { query[lane] - centre[lane] } else { query[lane] };
                difference[lane] = p;
                let term = if self.is_l2 { p * p * -0.5 } else { p * centre[lane] };
                sums[0][lane] += term;
                sums[1][lane] = multiply_add::<FMA>(p * p, variances[lane], sums[1][lane]);
                sums[2][lane] = multiply_add::<FMA>(p * p, errors[lane], sums[2][lane]);
            }
        }
        sums.map(|lanes| lanes.iter().sum())
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
    fn run<const FMA: bool>(self) -> u32 {
        let (mut factors, mut biases) = ([0.0f32; BLOCK], [0.0f32; BLOCK]);
        read(self.factors, &mut factors);
        read(self.biases, &mut biases);
        let mut any = 0u32;
        for row in 0..BLOCK {
            let sum = f32::from(self.sums[row]);
            let product = multiply_add::<FMA>(sum, self.scale.step, self.scale.least);
            let score = multiply_add::<FMA>(product, factors[row], self.base + biases[row]);
            self.out[row] = score;
            any |= u32::from(score >= self.least);
        }
        if any == 0 {
            return 0;
        }
        let reaches = |row: usize| u32::from(self.out[row] >= self.least) << row;
        let mask = (0..BLOCK).fold(0, |mask, row| mask | reaches(row));
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
    fn run<const FMA: bool>(self) {
        for (row, out) in self.rows.iter().zip(self.out) {
            let row = *row as usize;
            let (bytes, scale) = (self.list.refine(row), self.list.scale(row));
            *out = match (self.is_l2, self.byte) {
                (false, true) => {
                    let sum = product::<FMA, 1>(self.weights, bytes, byte);
                    self.base + scale * sum
                }
                (false, false) => self.base + product::<FMA, 2>(self.weights, bytes, half),
                (true, true) => {
                    square::<FMA, 1>((self.difference, self.weights), bytes, scale, byte) / -2.0
                }
                (true, false) => {
                    square::<FMA, 2>((self.difference, self.weights), bytes, scale, half) / -2.0
                }
            };
        }
    }
}

#[inline(always)]
fn byte(bytes: [u8; 1]) -> f32 {
    f32::from(bytes[0].cast_signed())
}

#[inline(always)]
fn half(bytes: [u8; 2]) -> f32 {
    widen(u16::from_le_bytes(bytes))
}

#[inline(always)]
fn product<const FMA: bool, const B: usize>(
    weights: &[f32],
    bytes: &[u8],
    value: impl Fn([u8; B]) -> f32,
) -> f32 {
    let mut sums = [0.0f32; LANES];
    let (values, _) = bytes.as_chunks::<B>();
    let values = values.as_chunks::<LANES>().0;
    for (weights, values) in weights.as_chunks::<LANES>().0.iter().zip(values) {
        for lane in 0..LANES {
            sums[lane] = multiply_add::<FMA>(weights[lane], value(values[lane]), sums[lane]);
        }
    }
    sums.iter().sum()
}

#[inline(always)]
fn square<const FMA: bool, const B: usize>(
    (difference, weights): (&[f32], &[f32]),
    bytes: &[u8],
    scale: f32,
    value: impl Fn([u8; B]) -> f32,
) -> f32 {
    let mut sums = [0.0f32; LANES];
    let (values, _) = bytes.as_chunks::<B>();
    let values = values.as_chunks::<LANES>().0;
    let vectors = difference.as_chunks::<LANES>().0.iter().zip(weights.as_chunks::<LANES>().0);
    for ((difference, weights), values) in vectors.zip(values) {
        for lane in 0..LANES {
            let residual = value(values[lane]) * weights[lane];
            let rest = multiply_add::<FMA>(-scale, residual, difference[lane]);
            sums[lane] = multiply_add::<FMA>(rest, rest, sums[lane]);
        }
    }
    sums.iter().sum()
}
