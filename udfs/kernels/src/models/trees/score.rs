//! Scores of many rows: block of rows by block, tree by tree.
//!
//! ```text
//!   leaves, left to right      a b c d e        a node answered "right" clears the leaves of its
//!   all may be it              1 1 1 1 1        left part; the first leaf that is left is the
//!   root says right            0 0 1 1 1        row's, whatever the order of the nodes: so each
//!   its right child, left      0 0 1 1 1 ─▶ c   node is one comparison of a block of values
//! ```
//!
//! This is QuickScorer (Lucchese et al., SIGIR 2015) with whole nodes vectorised; of more than 64
//! leaves several words hold the bits. It asks every node of a tree, and so trees of more than 256
//! leaves are walked instead.

use super::{Error, Forest, Missing, Node, Test, Tree, ZERO};
use crate::simd::lanes::Lanes;
use crate::simd::level::{Kernel, Level};

/// Rows that are scored together: their values of 64 features are 32 kB.
const BLOCK: usize = 64;
/// Words that hold a bit for each leaf.
const WORDS: usize = 4;

/// Codes that are in no set: of a missing value, and of one that is no code.
const MISSING: u64 = u64::MAX;
const UNKNOWN: u64 = u64::MAX - 1;

/// A forest made ready for scoring.
#[derive(Debug, Clone)]
pub struct Scorer {
    forest: Forest,
    trees: Vec<Masks>,
    /// Features that some node takes for a category.
    categorical: Vec<usize>,
    /// What a score is multiplied by at the end, for each output.
    weights: Vec<f64>,
    level: Level,
}

/// A tree as masks, or nothing if it is walked.
#[derive(Debug, Clone, Default)]
struct Masks {
    /// With the word of the mask; a node whose left part spans words is there for each.
    nodes: Vec<(Node, usize, u64)>,
    /// Left to right.
    values: Vec<f64>,
}

impl Masks {
    fn new(tree: &Tree) -> Self {
        let mut masks = Self::default();
        if tree.leaves.len() > 64 * WORDS {
            return masks;
        }
        // Depth first; `first` of a node is the number of its first leaf. A node comes back when
        // its left part is done.
        let mut stack = vec![(if tree.nodes.is_empty() { !0 } else { 0 }, None)];
        while let Some((at, first)) = stack.pop() {
            let Ok(number) = usize::try_from(at) else {
                masks.values.extend(tree.leaves.get(!at as usize).map(|leaf| leaf.value));
                continue;
            };
            let node = tree.nodes[number];
            match first {
                None => {
                    stack.push((at, Some(masks.values.len())));
                    stack.push((node.left, None));
                }
                Some(first) => {
                    let end = masks.values.len();
                    for word in first / 64..end.div_ceil(64) {
                        let bits = |leaf: usize| ones(leaf.saturating_sub(64 * word));
                        masks.nodes.push((node, word, !(bits(end) & !bits(first))));
                    }
                    stack.push((node.right, None));
                }
            }
        }
        masks
    }
}

/// The lowest bits set.
fn ones(count: usize) -> u64 {
    u64::MAX.checked_shr(64 - count.min(64) as u32).unwrap_or(0)
}

impl Scorer {
    /// Fails if a tree is not sound.
    pub fn new(forest: Forest) -> Result<Self, Error> {
        forest.check()?;
        let trees = forest.trees.iter().map(Masks::new).collect();
        let sets = |tree: &Tree| {
            let nodes = tree.nodes.iter().filter(|node| matches!(node.test, Test::In { .. }));
            nodes.map(|node| node.feature as usize).collect::<Vec<_>>()
        };
        let mut categorical: Vec<usize> = forest.trees.iter().flat_map(sets).collect();
        categorical.sort_unstable();
        categorical.dedup();
        let mut counts = vec![0.0; forest.outputs()];
        for tree in &forest.trees {
            if let Some(count) = counts.get_mut(tree.output) {
                *count += 1.0;
            }
        }
        let weight = |count: f64| if forest.average && count > 0.0 { 1.0 / count } else { 1.0 };
        let weights = counts.into_iter().map(weight).collect();
        Ok(Self { forest, trees, categorical, weights, level: Level::best() })
    }

    /// The same at another level of vector units.
    pub fn at(self, level: Level) -> Self {
        Self { level, ..self }
    }

    pub fn forest(&self) -> &Forest {
        &self.forest
    }

    /// Scores before the link, row-major by outputs: `out` has rows x outputs places. `columns`
    /// holds each feature's values, NaN where missing; None if a column is missing or too short.
    pub fn scores(&self, columns: &[&[f64]], out: &mut [f64]) -> Option<()> {
        let outputs = self.forest.outputs();
        let rows = out.len().checked_div(outputs)?;
        let fits = columns.len() >= self.forest.features.len()
            && columns.iter().all(|column| column.len() >= rows);
        if !fits || rows * outputs != out.len() {
            return None;
        }
        let columns = &columns[..self.forest.features.len()];
        let mut values = vec![[0.0; BLOCK]; columns.len()];
        let mut codes = vec![[0; BLOCK]; self.categorical.last().map_or(0, |last| last + 1)];
        for (block, out) in out.chunks_mut(BLOCK * outputs).enumerate() {
            let (first, rows) = (block * BLOCK, out.len() / outputs);
            for (values, column) in values.iter_mut().zip(columns) {
                values[..rows].copy_from_slice(&column[first..first + rows]);
                if self.forest.single {
                    values.iter_mut().for_each(|value| *value = f64::from(*value as f32));
                }
            }
            for feature in &self.categorical {
                codes[*feature] = values[*feature].map(code);
            }
            self.level.run(Block { scorer: self, values: &values, codes: &codes, rows, out });
        }
        Some(())
    }

    /// Predictions: scores through the link. Places and failure as `scores`.
    pub fn predict(&self, columns: &[&[f64]], out: &mut [f64]) -> Option<()> {
        self.scores(columns, out)?;
        let outputs = self.forest.outputs();
        out.chunks_exact_mut(outputs).for_each(|row| self.forest.link.apply(row));
        Some(())
    }
}

struct Block<'a> {
    scorer: &'a Scorer,
    values: &'a [[f64; BLOCK]],
    /// Of categorical features.
    codes: &'a [[u64; BLOCK]],
    rows: usize,
    out: &'a mut [f64],
}

impl Kernel for Block<'_> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes>(self) {
        let Scorer { forest, trees, weights, .. } = self.scorer;
        let outputs = forest.base.len();
        let mut sums = vec![[0.0; BLOCK]; outputs];
        for (sums, base) in sums.iter_mut().zip(&forest.base) {
            *sums = [if forest.average { 0.0 } else { *base }; BLOCK];
        }
        let mut left = [[0; BLOCK]; WORDS];
        for (tree, masks) in forest.trees.iter().zip(trees) {
            let Some(sums) = sums.get_mut(tree.output) else { continue };
            if masks.values.is_empty() {
                for (row, sum) in sums.iter_mut().enumerate().take(self.rows) {
                    let leaf = tree.leaf(|feature| self.values[feature][row]);
                    *sum += tree.leaves[leaf].value;
                }
                continue;
            }
            let words = masks.values.len().div_ceil(64);
            left[..words].fill([u64::MAX; BLOCK]);
            for (node, word, mask) in &masks.nodes {
                let left = &mut left[*word % WORDS];
                let feature = node.feature as usize;
                match node.test {
                    Test::AtMost(threshold) => {
                        ask(node, threshold, *mask, &self.values[feature], left);
                    }
                    Test::In { first, words } => {
                        let set = &tree.sets[first as usize..][..words as usize];
                        ask_set(set, node.default_left, *mask, &self.codes[feature], left);
                    }
                }
            }
            for (row, sum) in sums.iter_mut().enumerate() {
                let mut word = 0;
                while word + 1 < words && left[word][row] == 0 {
                    word += 1;
                }
                *sum += masks.values[64 * word + left[word][row].trailing_zeros() as usize];
            }
        }
        for (row, out) in self.out.chunks_exact_mut(outputs).enumerate() {
            for (output, out) in out.iter_mut().enumerate() {
                *out = sums[output][row] * weights[output];
                if forest.average {
                    *out += forest.base[output];
                }
            }
        }
    }
}

/// The code that a value is cut to.
fn code(value: f64) -> u64 {
    match value as i64 {
        _ if value.is_nan() => MISSING,
        code if code < 0 => UNKNOWN,
        code => code.cast_unsigned(),
    }
}

/// Clears the leaves of the left part for the rows whose codes are not in the set.
#[inline(always)]
fn ask_set(set: &[u32], missing: bool, mask: u64, codes: &[u64; BLOCK], left: &mut [u64; BLOCK]) {
    let missing = u64::from(missing);
    let keep = |left: &mut u64, code: u64, inside: u64| {
        let inside = inside | missing & u64::from(code == MISSING);
        *left &= mask | inside.wrapping_neg();
    };
    // Sets of up to 64 codes are one number, and vectors shift it.
    if let [low, rest @ ..] = set
        && rest.len() < 2
    {
        let set = u64::from(*low) | u64::from(rest.first().copied().unwrap_or(0)) << 32;
        for (left, code) in left.iter_mut().zip(codes) {
            keep(left, *code, set >> (code & 63) & u64::from(*code < 64));
        }
        return;
    }
    for (left, code) in left.iter_mut().zip(codes) {
        let word = set.get((code / 32) as usize).copied().unwrap_or(0);
        keep(left, *code, u64::from(word >> (code % 32) & 1));
    }
}

/// Clears the leaves of the left part for the rows that go right.
#[inline(always)]
fn ask(node: &Node, threshold: f64, mask: u64, values: &[f64; BLOCK], left: &mut [u64; BLOCK]) {
    // NaN compares false, so the two forms differ in where it goes.
    match (node.missing, node.default_left) {
        (Missing::Nan, true) => clear(mask, values, left, |x| x > threshold),
        (Missing::Nan, false) => clear(mask, values, left, |x| !matches_at_most(x, threshold)),
        (Missing::Never, _) if threshold >= 0.0 => clear(mask, values, left, |x| x > threshold),
        (Missing::Never, _) => clear(mask, values, left, |x| !matches_at_most(x, threshold)),
        (Missing::Zero, true) => clear(mask, values, left, |x| x > threshold && x.abs() > ZERO),
        (Missing::Zero, false) => {
            clear(mask, values, left, |x| !matches_at_most(x, threshold) || x.abs() <= ZERO);
        }
    }
}

/// `x <= threshold`, false for NaN.
#[inline(always)]
fn matches_at_most(x: f64, threshold: f64) -> bool {
    x <= threshold
}

#[inline(always)]
fn clear(
    mask: u64,
    values: &[f64; BLOCK],
    left: &mut [u64; BLOCK],
    goes_right: impl Fn(f64) -> bool,
) {
    for (left, x) in left.iter_mut().zip(values) {
        *left &= if goes_right(*x) { mask } else { u64::MAX };
    }
}
