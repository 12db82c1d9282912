//! KLL: a sketch of ranks in little memory (Karnin, Lang & Liberty 2016, arXiv 1603.05346).
//!
//! ```text
//!   level 0  │││││││││││   weight 1   full: sort, and every second value moves up, at even or odd
//!   level 1  │││││││       weight 2   places by the toss of a coin
//!   level 2  ││││          weight 4   … the highest level holds k values, each below 2/3 of that
//! ```
//! With 99 % probability a rank is off by less than `rank_error(k)` of the rows, however many there
//! are and however many sketches were merged. Fewer than k values are kept as they are. The coin is
//! a generator with a fixed seed: the same values in the same order give the same sketch; in
//! another order, or merged otherwise, they give another one within the same bound.

use super::sample::{Ranked, key};

/// What a level holds of the one above it.
const SHRINK: f64 = 2.0 / 3.0;
/// The least that a level holds.
const LEAST: usize = 8;
/// More levels than there will be rows for; the weights of fewer add up in 64 bits.
const LEVELS: usize = 44;
/// Marks the bytes of a sketch, and their layout.
const VERSION: u8 = 1;

/// A sketch of numbers. NaN is the caller's to count.
#[derive(Debug, Clone, PartialEq)]
pub struct Kll {
    k: usize,
    /// Keys (see `sample`) in any order; those of level h stand for 2^h values each.
    levels: Vec<Vec<u64>>,
    ends: Option<(u64, u64)>,
    coin: u64,
    /// What the lowest level may hold.
    lowest: usize,
}

/// How far a rank is off, as a share of the rows, with 99 % probability (fitted by the authors of
/// Apache DataSketches for this layout: `KllHelper`, normalised single-sided rank error).
pub fn rank_error(k: usize) -> f64 {
    2.296 / (k as f64).powf(0.9723)
}

impl Kll {
    /// An empty sketch.
    pub fn new(k: usize) -> Self {
        let k = k.clamp(LEAST, 1 << 16);
        Self { k, levels: vec![Vec::new()], ends: None, coin: 0x9e37_79b9_7f4a_7c15, lowest: k }
    }

    /// Adds a value.
    pub fn push(&mut self, value: f64) {
        self.push_key(key(value));
    }

    fn push_key(&mut self, key: u64) {
        self.widen(key, key);
        self.levels[0].push(key);
        if self.levels[0].len() >= self.lowest {
            self.compress();
        }
    }

    /// Adds a value that occurs `count` times.
    pub fn push_many(&mut self, value: f64, count: u64) {
        let key = key(value);
        for level in (0..LEVELS).filter(|level| count >> level & 1 == 1) {
            self.widen(key, key);
            self.grow(level + 1);
            self.levels[level].push(key);
        }
        self.compress();
    }

    /// Adds the values of another sketch; the bound is then that of the smaller k.
    pub fn merge(&mut self, other: &Self) {
        self.k = self.k.min(other.k);
        self.coin ^= other.coin.rotate_left(17);
        if let Some((low, high)) = other.ends {
            self.widen(low, high);
        }
        self.grow(other.levels.len());
        for (to, from) in self.levels.iter_mut().zip(&other.levels) {
            to.extend(from);
        }
        self.compress();
    }

    /// Number of values that were added.
    pub fn count(&self) -> u64 {
        self.levels.iter().zip(0..64).map(|(keys, level)| (keys.len() as u64) << level).sum()
    }

    /// Whether every value is still there.
    pub fn is_exact(&self) -> bool {
        self.levels.iter().skip(1).all(Vec::is_empty)
    }

    /// The parameter that bounds its error.
    pub fn k(&self) -> usize {
        self.k
    }

    /// Bytes held.
    pub fn size(&self) -> usize {
        self.levels.iter().map(|keys| keys.capacity() * 8 + 24).sum()
    }

    /// The values that stand for all.
    pub fn ranked(&self) -> Ranked {
        Ranked::of_runs(self.runs())
    }

    /// Keys in order with their weights. The least and the greatest are what they were.
    pub fn runs(&self) -> Vec<(u64, u64)> {
        let mut runs: Vec<(u64, u64)> = Vec::new();
        for (keys, level) in self.levels.iter().zip(0..64) {
            runs.extend(keys.iter().map(|key| (*key, 1u64 << level)));
        }
        runs.sort_unstable();
        if let Some((low, high)) = self.ends {
            // An end that was left out takes the place of one of its neighbour's values.
            end(&mut runs, low, false);
            end(&mut runs, high, true);
        }
        runs
    }

    /// As bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = vec![VERSION];
        bytes.extend((self.k as u32).to_le_bytes());
        bytes.extend(self.coin.to_le_bytes());
        let (low, high) = self.ends.unwrap_or((1, 0));
        bytes.extend(low.to_le_bytes());
        bytes.extend(high.to_le_bytes());
        for keys in &self.levels {
            bytes.extend((keys.len() as u32).to_le_bytes());
            keys.iter().for_each(|key| bytes.extend(key.to_le_bytes()));
        }
        bytes
    }

    /// Reads what `to_bytes` wrote; None for anything else.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (version, mut rest) = bytes.split_first()?;
        let k = u32::from_le_bytes(take(&mut rest)?) as usize;
        let coin = u64::from_le_bytes(take(&mut rest)?);
        let low = u64::from_le_bytes(take(&mut rest)?);
        let high = u64::from_le_bytes(take(&mut rest)?);
        let mut levels: Vec<Vec<u64>> = Vec::new();
        while !rest.is_empty() {
            let keys = u32::from_le_bytes(take(&mut rest)?) as usize;
            let (held, after) = rest.split_at_checked(keys.checked_mul(8)?)?;
            rest = after;
            let (keys, _) = held.as_chunks::<8>();
            levels.push(keys.iter().map(|key| u64::from_le_bytes(*key)).collect());
        }
        let held: usize = levels.iter().map(Vec::len).sum();
        let valid = *version == VERSION
            && (LEAST..=1 << 16).contains(&k)
            && (1..=LEVELS).contains(&levels.len())
            && held <= 4 * k + LEAST * LEVELS;
        let ends = (low <= high).then_some((low, high));
        let mut sketch = Self { k, levels, ends, coin, lowest: k };
        sketch.lowest = sketch.levels.first().map_or(k, |_| sketch.capacity(0));
        valid.then_some(sketch)
    }

    fn widen(&mut self, low: u64, high: u64) {
        let (least, most) = self.ends.unwrap_or((low, high));
        self.ends = Some((least.min(low), most.max(high)));
    }

    fn grow(&mut self, levels: usize) {
        if self.levels.len() < levels {
            self.levels.resize(levels, Vec::new());
        }
    }

    fn capacity(&self, level: usize) -> usize {
        let depth = (self.levels.len() - 1 - level) as i32;
        LEAST.max((self.k as f64 * SHRINK.powi(depth)).ceil() as usize)
    }

    /// Moves values up until all levels together hold no more than they may.
    fn compress(&mut self) {
        loop {
            let held: usize = self.levels.iter().map(Vec::len).sum();
            let room: usize = (0..self.levels.len()).map(|level| self.capacity(level)).sum();
            if held < room {
                break;
            }
            let full = |level: &usize| self.levels[*level].len() >= self.capacity(*level);
            let Some(level) = (0..self.levels.len()).find(full) else { break };
            self.grow(level + 2);
            let odd = self.toss();
            let (below, above) = self.levels.split_at_mut(level + 1);
            let keys = &mut below[level];
            keys.sort_unstable();
            // One value of an odd number stays behind.
            let left = (keys.len() % 2 == 1).then(|| keys.pop()).flatten();
            above[0].extend(keys.iter().skip(odd).step_by(2));
            keys.clear();
            keys.extend(left);
        }
        self.lowest = self.capacity(0);
    }

    /// 0 or 1 (xorshift64*, Vigna 2016).
    fn toss(&mut self) -> usize {
        self.coin ^= self.coin >> 12;
        self.coin ^= self.coin << 25;
        self.coin ^= self.coin >> 27;
        (self.coin.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 63) as usize
    }
}

/// Puts the least or greatest key in if it is not there, in the place of one like its neighbour.
fn end(runs: &mut Vec<(u64, u64)>, key: u64, last: bool) {
    let place = if last { runs.len().saturating_sub(1) } else { 0 };
    let Some(neighbour) = runs.get_mut(place).filter(|run| run.0 != key) else { return };
    match neighbour.1 {
        1 => neighbour.0 = key,
        _ => {
            neighbour.1 -= 1;
            runs.insert(if last { place + 1 } else { 0 }, (key, 1));
        }
    }
}

fn take<const N: usize>(bytes: &mut &[u8]) -> Option<[u8; N]> {
    let (head, rest) = bytes.split_first_chunk::<N>()?;
    *bytes = rest;
    Some(*head)
}
