//! Which lists come first: centres in eight bits, met by the query in seven, sixteen at a time.
//!
//! The scores are good enough to order lists; a list that is looked at gets its exact score. Lists
//! are given out in batches that double, and only a batch is sorted: a bin number for each list
//! tells to which it belongs.

use super::model::Model;
use crate::simd::bytes::{LIMIT, PANEL, dots};
use crate::simd::lanes::Lanes;
use crate::simd::level::{Kernel, LANES, Level};
use crate::vectors::Metric;

const BINS: usize = 1024;
/// Lists of the first batch.
const BATCH: usize = 64;

/// Centres as bytes, derived from the model when a head is opened.
#[derive(Debug, Clone, Default)]
pub(super) struct Coarse {
    lists: usize,
    panels: Vec<[u8; 64]>,
    scales: Vec<[f32; PANEL]>,
    /// -|c|²/2 for L2; minus infinity for lists without rows.
    biases: Vec<[f32; PANEL]>,
}

impl Coarse {
    pub fn new(model: &Model, rows: impl Iterator<Item = u32>) -> Self {
        let padded = model.frame.padded();
        let lists = model.lists();
        let count = lists.div_ceil(PANEL);
        let mut panels = vec![[128u8; 64]; count * padded / 4];
        let mut scales = vec![[0.0; PANEL]; count];
        let mut biases = vec![[f32::NEG_INFINITY; PANEL]; count];
        for (list, rows) in rows.take(lists).enumerate() {
            let (panel, lane) = (list / PANEL, list % PANEL);
            let centre = model.clusters.centre(list);
            let greatest = centre.iter().fold(0.0f32, |a, x| a.max(x.abs()));
            let scale = greatest / 127.0;
            let chunks = &mut panels[panel * padded / 4..][..padded / 4];
            for (chunk, four) in chunks.iter_mut().zip(centre.chunks_exact(4)) {
                for (i, x) in four.iter().enumerate() {
                    let byte = if scale > 0.0 { (x / scale).round() + 128.0 } else { 128.0 };
                    chunk[lane * 4 + i] = byte as u8;
                }
            }
            scales[panel][lane] = scale;
            if rows > 0 {
                let square = centre.iter().map(|x| x * x).sum::<f32>();
                let is_l2 = model.options.metric == Metric::L2;
                biases[panel][lane] = if is_l2 { square / -2.0 } else { 0.0 };
            }
        }
        Self { lists, panels, scales, biases }
    }

    /// Scores every list for a turned query and prepares to give them out.
    pub fn start(&self, level: Level, query: &[f32], order: &mut Order) {
        let greatest = query.iter().fold(0.0f32, |a, x| a.max(x.abs()));
        let scale = if greatest > 0.0 { greatest / f32::from(LIMIT) } else { 1.0 };
        order.query.clear();
        let four = |x: &[f32; 4]| x.map(|x| (x / scale).round() as i8);
        order.query.extend(query.as_chunks::<4>().0.iter().map(four));
        let sum: i32 = order.query.iter().flatten().map(|x| i32::from(*x)).sum();
        order.sums.resize(self.scales.len(), [0; PANEL]);
        dots(level, &self.panels, &order.query, &mut order.sums);
        order.scores.resize(self.scales.len(), [0.0; LANES]);
        order.bins.resize(self.scales.len(), [0; LANES]);
        let (offset, lists) = (sum * 128, self.lists);
        level.run(Scores { coarse: self, offset, scale, order });
        order.counts.clear();
        order.counts.resize(BINS + 1, 0);
        for bin in order.bins.as_flattened().iter().take(lists) {
            order.counts[usize::from(*bin)] += 1;
        }
        (order.bin, order.size) = (0, BATCH);
    }
}

/// The lists of a query, best first, as they are asked for.
#[derive(Debug, Clone, Default)]
pub(super) struct Order {
    query: Vec<[i8; 4]>,
    sums: Vec<[i32; PANEL]>,
    scores: Vec<[f32; LANES]>,
    /// Great scores have small bins; lists without rows have the last.
    bins: Vec<[u16; LANES]>,
    counts: Vec<u32>,
    bin: usize,
    size: usize,
}

impl Order {
    /// The list with the greatest score.
    pub fn best(&self) -> u32 {
        let scores = self.scores.as_flattened();
        let better = |best: usize, i: usize| if scores[i] > scores[best] { i } else { best };
        (0..scores.len()).fold(0, better) as u32
    }

    /// The next lists, best first; none when all with rows were given.
    pub fn batch(&mut self, out: &mut Vec<u32>) {
        out.clear();
        let start = self.bin;
        let mut count = 0;
        while count < self.size && self.bin < BINS {
            count += self.counts[self.bin] as usize;
            self.bin += 1;
        }
        self.size *= 2;
        if count == 0 {
            return;
        }
        let bins = start as u16..self.bin as u16;
        for (panel, lanes) in self.bins.iter().enumerate() {
            if lanes.iter().fold(0, |any, bin| any | u8::from(bins.contains(bin))) == 0 {
                continue;
            }
            let here = lanes.iter().enumerate().filter(|(_, bin)| bins.contains(bin));
            out.extend(here.map(|(lane, _)| (panel * LANES + lane) as u32));
        }
        let scores = self.scores.as_flattened();
        let key = |list: &u32| scores[*list as usize];
        out.sort_unstable_by(|a, b| key(b).total_cmp(&key(a)).then(a.cmp(b)));
    }
}

struct Scores<'a> {
    coarse: &'a Coarse,
    offset: i32,
    scale: f32,
    order: &'a mut Order,
}

impl Kernel for Scores<'_> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes>(self) {
        let (mut low, mut high) = ([f32::INFINITY; LANES], [f32::NEG_INFINITY; LANES]);
        let factors = self.coarse.scales.iter().zip(&self.coarse.biases);
        let sums = self.order.scores.iter_mut().zip(&self.order.sums);
        for ((scores, sums), (scales, biases)) in sums.zip(factors) {
            for lane in 0..LANES {
                let product = (sums[lane] - self.offset) as f32 * self.scale * scales[lane];
                let score = product + biases[lane];
                scores[lane] = score;
                high[lane] = if score > high[lane] { score } else { high[lane] };
                let finite = if score == f32::NEG_INFINITY { f32::INFINITY } else { score };
                low[lane] = if finite < low[lane] { finite } else { low[lane] };
            }
        }
        let low = low.iter().fold(f32::INFINITY, |a, b| a.min(*b));
        let high = high.iter().fold(f32::NEG_INFINITY, |a, b| a.max(*b));
        let width = (high - low).max(f32::MIN_POSITIVE);
        let factor = (BINS - 1) as f32 / width;
        for (bins, scores) in self.order.bins.iter_mut().zip(&self.order.scores) {
            for (bin, score) in bins.iter_mut().zip(scores) {
                // Saturates: infinitely bad is past the last.
                let place = ((high - score) * factor).min(BINS as f32);
                *bin = place as u16;
            }
        }
    }
}
