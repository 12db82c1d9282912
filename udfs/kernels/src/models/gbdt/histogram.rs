//! Sums of gradients by bin, for the rows of a leaf.

use rayon::prelude::*;

use super::bins::{Binned, LANES};
use super::quantised::{Cell, add, subtract};

/// Sums of eight features. A byte always finds its place, so no bin needs a check.
pub(super) type Block = [[Cell; 256]; LANES];

/// Below so many sums threads cost more than they spare.
const WORTH_THREADS: usize = 1 << 14;

/// Sums of all features of a leaf.
#[derive(Debug, Clone)]
pub(super) struct Histogram {
    pub(super) blocks: Vec<Block>,
}

/// Which rows, and their gradients.
#[derive(Clone, Copy)]
pub(super) enum Rows<'a> {
    /// All, in order; gradients by row.
    All(&'a [Cell]),
    /// Some; gradients in their order.
    Some(&'a [u32], &'a [Cell]),
}

impl<'a> Rows<'a> {
    fn len(self) -> usize {
        match self {
            Self::All(cells) | Self::Some(_, cells) => cells.len(),
        }
    }

    /// The part-th of `parts` pieces, with the number of its first row.
    fn piece(self, part: usize, parts: usize) -> (usize, Self) {
        let (from, to) = (self.len() * part / parts, self.len() * (part + 1) / parts);
        match self {
            Self::All(cells) => (from, Self::All(&cells[from..to])),
            Self::Some(rows, cells) => (from, Self::Some(&rows[from..to], &cells[from..to])),
        }
    }
}

impl Histogram {
    pub(super) fn new(binned: &Binned) -> Self {
        Self { blocks: vec![[[[0; 2]; 256]; LANES]; binned.blocks.len()] }
    }

    /// Sums the rows; only features that `used` says. What it held before is gone.
    pub(super) fn sum(&mut self, binned: &Binned, rows: Rows<'_>, used: &[bool]) {
        let work = rows.len() * used.iter().filter(|used| **used).count();
        let threads = if work < WORTH_THREADS { 1 } else { rayon::current_num_threads() };
        let tasks = self.blocks.iter_mut().zip(&binned.blocks);
        let tasks = tasks.zip(used.chunks(LANES)).zip(binned.bins.chunks(LANES));
        let clear = |block: &mut Block, bins: &[super::bins::Bins]| {
            for (cells, bins) in block.iter_mut().zip(bins) {
                cells[..bins.count()].fill([0; 2]);
            }
        };
        if threads == 1 {
            for (((block, words), used), bins) in tasks {
                clear(block, bins);
                sum(block, words, 0, rows, used);
            }
            return;
        }
        // Enough pieces for all threads; the sums do not depend on how many.
        let parts = (2 * threads).div_ceil(binned.blocks.len()).min(threads);
        let tasks: Vec<_> = tasks.collect();
        tasks.into_par_iter().for_each(|(((block, words), used), bins)| {
            clear(block, bins);
            let piece = |part: usize, block: &mut Block| {
                let (first, rows) = rows.piece(part, parts);
                sum(block, words, first, rows, used);
            };
            if parts == 1 {
                return piece(0, block);
            }
            let others: Vec<Vec<Block>> = (0..parts)
                .into_par_iter()
                .map(|part| {
                    let mut own = vec![[[[0; 2]; 256]; LANES]; 1];
                    own.iter_mut().for_each(|own| piece(part, own));
                    own
                })
                .collect();
            for other in others.iter().flatten() {
                for ((cells, other), bins) in block.iter_mut().zip(other).zip(bins) {
                    let pairs = cells.iter_mut().zip(other).take(bins.count());
                    pairs.for_each(|(cell, other)| add(cell, *other));
                }
            }
        });
    }

    /// Takes another's sums away.
    pub(super) fn subtract(&mut self, other: &Self, binned: &Binned) {
        let bins = binned.bins.chunks(LANES);
        for ((block, other), bins) in self.blocks.iter_mut().zip(&other.blocks).zip(bins) {
            for ((cells, other), bins) in block.iter_mut().zip(other).zip(bins) {
                let pairs = cells.iter_mut().zip(other).take(bins.count());
                pairs.for_each(|(cell, other)| *cell = subtract(*cell, *other));
            }
        }
    }

    /// The sums of one feature.
    pub(super) fn feature(&self, feature: usize) -> &[Cell; 256] {
        &self.blocks[feature / LANES][feature % LANES]
    }
}

/// Adds the rows to a block; `first` is the number of the first row where all rows are meant.
fn sum(block: &mut Block, words: &[[u8; LANES]], first: usize, rows: Rows<'_>, used: &[bool]) {
    if used.len() == LANES && used.iter().all(|used| *used) {
        return each(words, first, rows, |word, cell| {
            for (cells, bin) in block.iter_mut().zip(word) {
                add(&mut cells[usize::from(bin)], cell);
            }
        });
    }
    let mut lanes: [usize; LANES] = [0; LANES];
    let mut count = 0;
    for (lane, _) in used.iter().enumerate().filter(|(_, used)| **used) {
        lanes[count] = lane;
        count += 1;
    }
    let lanes = &lanes[..count];
    each(words, first, rows, |word, cell| {
        for lane in lanes {
            add(&mut block[*lane % LANES][usize::from(word[*lane % LANES])], cell);
        }
    });
}

#[inline(always)]
fn each(
    words: &[[u8; LANES]],
    first: usize,
    rows: Rows<'_>,
    mut take: impl FnMut([u8; LANES], Cell),
) {
    match rows {
        Rows::All(cells) => {
            for (word, cell) in words[first..].iter().zip(cells) {
                take(*word, *cell);
            }
        }
        Rows::Some(rows, cells) => {
            for (row, cell) in rows.iter().zip(cells) {
                take(words[*row as usize], *cell);
            }
        }
    }
}
