//! One step's examples, and the items that are their columns.

use super::data::{Data, Row};
use super::negatives::biases;
use super::options::{LogQ, Options};
use crate::ann::Random;
use crate::models::ragged::Ragged;

/// Examples of a step. Column `i` is example `i`'s own item, for as many as there are; the even
/// negatives follow, then the hard ones.
#[derive(Debug, Default)]
pub(super) struct Batch {
    pub rows: Vec<Row>,
    /// Items of the columns, and the entries that they are seen with.
    pub items: Vec<u32>,
    pub entries: Vec<u32>,
    pub biases: Vec<f32>,
    /// Columns with a bias of their own for each example: its hard negatives, and with
    /// `LogQ::Corrected` its own item.
    pub single: Ragged<(u32, f32)>,
    /// For each item of the catalogue its first column, and for each column the next one of the
    /// same item; `u32::MAX` ends.
    first: Vec<u32>,
    next: Vec<u32>,
    /// All weights of the examples.
    pub weight: f32,
    /// What the draws of this step go by.
    pub seed: u64,
}

impl Batch {
    /// Takes `rows`, numbers of examples; `hard` are each user's hard negatives.
    pub fn fill(
        &mut self,
        data: &Data,
        options: &Options,
        rows: &[u32],
        hard: Option<&Ragged<u32>>,
        seed: u64,
    ) {
        let mut random = Random::new(seed);
        for item in self.items.drain(..) {
            self.first[item as usize] = u32::MAX;
        }
        self.first.resize(data.items.len(), u32::MAX);
        self.rows.clear();
        self.rows.extend(rows.iter().map(|row| data.rows[*row as usize]));
        self.seed = random.number();
        self.weight = self.rows.iter().map(|row| row.weight).sum();
        self.items.extend(self.rows.iter().map(|row| row.item));
        self.entries.clear();
        self.entries.extend(self.rows.iter().map(|row| row.item_entry));
        for _ in 0..options.negatives.min(data.items.len()) {
            self.items.push(random.below(data.items.len()) as u32);
        }
        biases(data, options, self.rows.len(), &self.items, &mut self.biases);
        self.next.clear();
        self.next.resize(self.items.len(), u32::MAX);
        for (column, item) in self.items.iter().enumerate().rev() {
            self.next[column] = self.first[*item as usize];
            self.first[*item as usize] = column as u32;
        }
        self.add_singles(data, options, hard, &mut random);
        let drawn = &self.items[self.rows.len()..];
        self.entries.extend(drawn.iter().map(|item| data.item_last[*item as usize]));
    }

    /// Hard negatives are columns that only their example sees; they are always there, so that
    /// nothing is taken off them.
    fn add_singles(
        &mut self,
        data: &Data,
        options: &Options,
        hard: Option<&Ragged<u32>>,
        random: &mut Random,
    ) {
        self.single = Ragged::default();
        let examples = self.rows.len();
        for (place, row) in self.rows.iter().enumerate() {
            let mut single = Vec::new();
            if options.logq == LogQ::Corrected {
                // Negatives are drawn from the other items, of which each is as much likelier.
                let own = f64::from(data.counts[row.item as usize]) / data.rows.len() as f64;
                single.push((place as u32, -((1.0 - own).max(1e-6).ln()) as f32));
            }
            let mut left = hard.map_or(&[][..], |hard| hard.row(row.user as usize)).to_vec();
            for _ in 0..options.hard_negatives.min(left.len()) {
                let item = left.swap_remove(random.below(left.len()));
                single.push((self.items.len() as u32, 0.0));
                self.items.push(item);
            }
            self.single.push(single);
        }
        debug_assert_eq!(self.single.len(), examples);
        self.biases.truncate(self.next.len());
        let padded = self.items.len().next_multiple_of(crate::simd::level::LANES);
        self.biases.resize(padded, super::loss::OUT);
    }

    /// Columns, of those that all see, with items that the example's user has taken, its own
    /// column apart.
    pub fn masked(&self, data: &Data, place: usize, out: &mut Vec<u32>) {
        out.clear();
        for item in data.positives.row(self.rows[place].user as usize) {
            let mut column = self.first[*item as usize];
            while column != u32::MAX {
                if column as usize != place {
                    out.push(column);
                }
                column = self.next[column as usize];
            }
        }
    }
}
