//! Numbers that follow from a seed, and a fair sample of rows that pass by.

use crate::vectors::Rows;

/// SplitMix64: one multiplication chain a number, and every seed is good.
#[derive(Debug, Clone)]
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut x = self.0;
        x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        x ^ (x >> 31)
    }

    /// A number below `end`; zero for an end of zero.
    pub fn below(&mut self, end: usize) -> usize {
        ((u128::from(self.number()) * end as u128) >> 64) as usize
    }
}

/// Up to `capacity` rows of any number that pass, each with the same chance.
#[derive(Debug, Clone)]
pub struct Sample {
    random: Random,
    capacity: usize,
    seen: usize,
    rows: Vec<f32>,
    buffer: Vec<f32>,
}

impl Sample {
    pub fn new(capacity: usize, seed: u64) -> Self {
        Self { random: Random::new(seed), capacity, seen: 0, rows: Vec::new(), buffer: Vec::new() }
    }

    /// Offers rows, all of one dimension.
    pub fn push(&mut self, rows: Rows<'_>) {
        let dimension = rows.dimension();
        let mut buffer = std::mem::take(&mut self.buffer);
        rows.copy_to(&mut buffer);
        for row in buffer.chunks_exact(dimension) {
            self.seen += 1;
            if self.seen <= self.capacity {
                self.rows.extend_from_slice(row);
                continue;
            }
            let place = self.random.below(self.seen);
            if place < self.capacity {
                self.rows[place * dimension..][..dimension].copy_from_slice(row);
            }
        }
        self.buffer = buffer;
    }

    /// The rows kept, row-major.
    pub fn rows(&self) -> &[f32] {
        &self.rows
    }
}
