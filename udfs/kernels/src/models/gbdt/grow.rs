//! One tree, the leaf of the greatest gain split first.

use rayon::prelude::*;

use super::Parameters;
use super::bins::{Binned, Bins, LANES};
use super::histogram::{Histogram, Rows};
use super::quantised::{Cell, Quantised, subtract};
use super::split::{Judge, Question, Split};
use crate::models::trees::{self, Missing, Node, Test, Tree};

/// Rows that a thread sorts to the sides at once.
const CHUNK: usize = 1 << 14;

/// A leaf while its tree grows: its rows lie together in `Grower::order`.
struct Leaf {
    first: usize,
    rows: usize,
    depth: usize,
    total: Cell,
    l2: f64,
    /// The node above and whether this is its left child.
    parent: Option<(usize, bool)>,
    histogram: Option<Histogram>,
    best: Option<Split>,
}

/// Grows trees on the same rows, one after the other, in the same memory.
pub(super) struct Grower<'a> {
    binned: &'a Binned,
    parameters: &'a Parameters,
    /// Row numbers, those of a leaf together and ascending.
    order: Vec<u32>,
    spare: Vec<u32>,
    /// Gradients of a leaf in the order of its rows.
    cells: Vec<Cell>,
    pool: Vec<Histogram>,
    leaves: Vec<Leaf>,
}

impl<'a> Grower<'a> {
    pub(super) fn new(binned: &'a Binned, parameters: &'a Parameters) -> Self {
        Self {
            binned,
            parameters,
            order: Vec::new(),
            spare: vec![0; binned.rows],
            cells: vec![[0; 2]; binned.rows],
            pool: Vec::new(),
            leaves: Vec::new(),
        }
    }

    /// A tree of the rows in `bag` (ascending; all if None) by the features that `used` says.
    /// `go_on` is asked at each split with the leaves so far; None when it says no.
    pub(super) fn grow(
        &mut self,
        gradients: &Quantised,
        bag: Option<&[u32]>,
        used: &[bool],
        go_on: impl Fn(usize) -> bool,
    ) -> Option<Tree> {
        self.order.clear();
        match bag {
            Some(bag) => self.order.extend_from_slice(bag),
            None => self.order.extend(0..self.binned.rows as u32),
        }
        for leaf in self.leaves.drain(..) {
            self.pool.extend(leaf.histogram);
        }
        self.root(gradients, bag.is_none(), used);
        let mut tree = Tree::default();
        while self.leaves.len() < self.parameters.num_leaves {
            let gain = |leaf: &Leaf| leaf.best.as_ref().map_or(0.0, |best| best.gain);
            let mut chosen = 0;
            for number in 1..self.leaves.len() {
                if gain(&self.leaves[number]) > gain(&self.leaves[chosen]) {
                    chosen = number;
                }
            }
            let Some(split) = self.leaves.get_mut(chosen).and_then(|leaf| leaf.best.take()) else {
                break;
            };
            if !go_on(self.leaves.len()) {
                return None;
            }
            self.split(chosen, &split, &mut tree);
            let last = self.leaves.len() == self.parameters.num_leaves;
            if !last {
                self.search(chosen, gradients, used);
            }
        }
        tree.leaves = self.leaves.iter().map(|leaf| self.finished(leaf, gradients)).collect();
        Some(tree)
    }

    /// The rows of each leaf of the tree grown last.
    pub(super) fn rows(&self) -> impl Iterator<Item = &[u32]> {
        self.leaves.iter().map(|leaf| &self.order[leaf.first..leaf.first + leaf.rows])
    }

    fn finished(&self, leaf: &Leaf, gradients: &Quantised) -> trees::Leaf {
        let sums = gradients.units.sums(leaf.total);
        let cut = (sums.gradient.abs() - self.parameters.lambda_l1).max(0.0);
        let below = sums.hessian + leaf.l2;
        let size = if below > 0.0 { cut / below } else { 0.0 };
        let value = -size.copysign(sums.gradient) * self.parameters.learning_rate;
        trees::Leaf { value, cover: leaf.rows as f64 }
    }

    fn histogram(&mut self) -> Histogram {
        self.pool.pop().unwrap_or_else(|| Histogram::new(self.binned))
    }

    fn root(&mut self, gradients: &Quantised, all: bool, used: &[bool]) {
        let mut histogram = self.histogram();
        if all {
            histogram.sum(self.binned, Rows::All(&gradients.cells), used);
        } else {
            self.sum(&mut histogram, 0, self.order.len(), gradients, used);
        }
        // Each feature's bins hold every row once.
        let total = used.iter().position(|used| *used).map_or([0; 2], |feature| {
            let cells = &histogram.feature(feature)[..self.binned.bins[feature].count()];
            cells.iter().fold([0; 2], |mut sum, cell| {
                super::quantised::add(&mut sum, *cell);
                sum
            })
        });
        let mut leaf = Leaf {
            first: 0,
            rows: self.order.len(),
            depth: 0,
            total,
            l2: self.parameters.lambda_l2,
            parent: None,
            histogram: None,
            best: None,
        };
        leaf.best = self.best(&leaf, &histogram, gradients, used);
        leaf.histogram = Some(histogram);
        self.leaves.push(leaf);
    }

    fn sum(
        &mut self,
        histogram: &mut Histogram,
        first: usize,
        rows: usize,
        gradients: &Quantised,
        used: &[bool],
    ) {
        let rows = &self.order[first..first + rows];
        let cells = &mut self.cells[..rows.len()];
        let gather = |(cells, rows): (&mut [Cell], &[u32])| {
            for (cell, row) in cells.iter_mut().zip(rows) {
                *cell = gradients.cells[*row as usize];
            }
        };
        if rows.len() < CHUNK {
            gather((cells, rows));
        } else {
            cells.par_chunks_mut(CHUNK).zip(rows.par_chunks(CHUNK)).for_each(gather);
        }
        histogram.sum(self.binned, Rows::Some(rows, cells), used);
    }

    fn best(
        &self,
        leaf: &Leaf,
        histogram: &Histogram,
        gradients: &Quantised,
        used: &[bool],
    ) -> Option<Split> {
        let parameters = self.parameters;
        let deep = parameters.max_depth > 0 && leaf.depth >= parameters.max_depth;
        if deep || leaf.rows < 2 * parameters.min_data_in_leaf.max(1) {
            return None;
        }
        let whole = gradients.units.sums(leaf.total);
        // Half a row less: as rounding the number of rows does.
        let rows = parameters.min_data_in_leaf as f64 - 0.5;
        let least = rows * whole.hessian / whole.rows.max(1) as f64;
        let judge = Judge { parameters, units: gradients.units, total: leaf.total, least };
        let better = |a: Option<Split>, b: Option<Split>| match (a, b) {
            (Some(a), Some(b)) if b.gain > a.gain => Some(b),
            (Some(a), _) => Some(a),
            (None, b) => b,
        };
        let features = (0..used.len()).into_par_iter().with_min_len(LANES / 2);
        features
            .filter(|feature| used[*feature])
            .map(|feature| {
                judge.best(feature, &self.binned.bins[feature], histogram.feature(feature))
            })
            .reduce(|| None, better)
    }

    /// Splits a leaf: its left part keeps the number, its right part gets the next.
    fn split(&mut self, number: usize, split: &Split, tree: &mut Tree) {
        let new = self.leaves.len();
        let leaf = &mut self.leaves[number];
        let rows = &mut self.order[leaf.first..leaf.first + leaf.rows];
        let (block, lane) = (split.feature / LANES, split.feature % LANES);
        let (words, bins) = (&self.binned.blocks[block], &self.binned.bins[split.feature]);
        let sides = sides(&split.question, bins);
        let goes_left = |row: u32| sides[usize::from(words[row as usize][lane])];
        let left = partition(rows, &mut self.spare, goes_left);
        let node = tree.nodes.len();
        if let Some((parent, is_left)) = leaf.parent {
            let parent = &mut tree.nodes[parent];
            *(if is_left { &mut parent.left } else { &mut parent.right }) = node as i32;
        }
        tree.nodes.push(Node {
            feature: split.feature as u32,
            test: test(&split.question, bins, &mut tree.sets),
            missing: Missing::Nan,
            default_left: matches!(split.question, Question::AtMost { missing_left: true, .. }),
            left: !(number as i32),
            right: !(new as i32),
            gain: split.gain,
            cover: leaf.rows as f64,
        });
        let right = Leaf {
            first: leaf.first + left,
            rows: leaf.rows - left,
            depth: leaf.depth + 1,
            total: subtract(leaf.total, split.left),
            l2: split.l2,
            parent: Some((node, false)),
            histogram: None,
            best: None,
        };
        (leaf.rows, leaf.depth, leaf.total) = (left, leaf.depth + 1, split.left);
        (leaf.l2, leaf.parent) = (split.l2, Some((node, true)));
        self.leaves.push(right);
    }

    /// Histograms and best splits of the two newest leaves: `number` and the last.
    fn search(&mut self, number: usize, gradients: &Quantised, used: &[bool]) {
        let last = self.leaves.len() - 1;
        let Some(mut large) = self.leaves[number].histogram.take() else { return };
        let left_is_small = self.leaves[number].rows < self.leaves[last].rows;
        let small_leaf = &self.leaves[if left_is_small { number } else { last }];
        let (first, rows) = (small_leaf.first, small_leaf.rows);
        let mut small = self.histogram();
        self.sum(&mut small, first, rows, gradients, used);
        large.subtract(&small, self.binned);
        let (left, right) = if left_is_small { (small, large) } else { (large, small) };
        let (best_left, best_right) = rayon::join(
            || self.best(&self.leaves[number], &left, gradients, used),
            || self.best(&self.leaves[last], &right, gradients, used),
        );
        (self.leaves[number].histogram, self.leaves[number].best) = (Some(left), best_left);
        (self.leaves[last].histogram, self.leaves[last].best) = (Some(right), best_right);
    }
}

/// Which bins go left.
fn sides(question: &Question, bins: &Bins) -> [bool; 256] {
    let mut sides = [false; 256];
    match question {
        Question::AtMost { bin, missing_left } => {
            sides[..=usize::from(*bin)].fill(true);
            if let Bins::Numeric { bounds, missing: true } = bins {
                sides[bounds.len() + 1] = *missing_left;
            }
        }
        Question::In { bins } => bins.iter().for_each(|bin| sides[usize::from(*bin)] = true),
    }
    sides
}

/// The question in values.
fn test(question: &Question, bins: &Bins, sets: &mut Vec<u32>) -> Test {
    match (question, bins) {
        (Question::AtMost { bin, .. }, Bins::Numeric { bounds, .. }) => {
            Test::AtMost(bounds.get(usize::from(*bin)).copied().unwrap_or(f64::INFINITY))
        }
        (Question::In { bins }, Bins::Categorical { codes, .. }) => {
            let first = sets.len();
            for bin in bins {
                let code = codes[usize::from(*bin) - 1] as usize;
                sets.resize(sets.len().max(first + code / 32 + 1), 0);
                sets[first + code / 32] |= 1 << (code % 32);
            }
            Test::In { first: first as u32, words: (sets.len() - first) as u32 }
        }
        // A question is always of its feature's kind.
        (Question::AtMost { .. }, _) | (Question::In { .. }, _) => Test::AtMost(f64::INFINITY),
    }
}

/// Moves the rows that go left to the front, both sides in their order; how many go left.
fn partition(rows: &mut [u32], spare: &mut [u32], goes_left: impl Fn(u32) -> bool + Sync) -> usize {
    let one = |(rows, spare): (&mut [u32], &mut [u32])| {
        let (mut left, mut right) = (0, 0);
        for place in 0..rows.len() {
            let row = rows[place];
            let is_left = goes_left(row);
            rows[left] = row;
            spare[right] = row;
            left += usize::from(is_left);
            right += usize::from(!is_left);
        }
        left
    };
    let spare = &mut spare[..rows.len()];
    if rows.len() <= CHUNK {
        let left = one((&mut *rows, &mut *spare));
        let rights = rows.len() - left;
        rows[left..].copy_from_slice(&spare[..rights]);
        return left;
    }
    let lefts: Vec<usize> =
        rows.par_chunks_mut(CHUNK).zip(spare.par_chunks_mut(CHUNK)).map(one).collect();
    let mut end = 0;
    for (chunk, left) in lefts.iter().enumerate() {
        rows.copy_within(chunk * CHUNK..chunk * CHUNK + left, end);
        end += left;
    }
    let total = end;
    for (spare, left) in spare.chunks(CHUNK).zip(lefts) {
        let rights = spare.len() - left;
        rows[end..end + rights].copy_from_slice(&spare[..rights]);
        end += rights;
    }
    total
}
