//! A sample of numbers in rank order: what Mann-Whitney, Kolmogorov-Smirnov, Wasserstein and
//! quantiles need.
//!
//! A number becomes an unsigned key in the same order (sign bit flipped, negatives inverted; -0.0
//! is 0.0), so that one sort of integers serves every rank statistic: the standard one, which is
//! twice as fast here as a radix sort of 8 or 11 bits (10 million keys). While there are few
//! distinct values (money full of zeros, counts) the sample has a count for each, found by hash,
//! and does not grow with its rows.

use hashbrown::HashMap;

/// As long as a sample has no more distinct values than this, it keeps counts.
const DISTINCT: usize = 65_536;
/// Keys that wait before they are counted.
const PENDING: usize = 65_536;

/// The key of a number: unsigned, in the order of the numbers.
pub fn key(value: f64) -> u64 {
    // Adding zero turns -0.0 into 0.0.
    let bits = (value + 0.0).to_bits();
    if bits >> 63 == 1 { !bits } else { bits | (1 << 63) }
}

/// The number of a key.
pub fn value(key: u64) -> f64 {
    f64::from_bits(if key >> 63 == 1 { key & !(1 << 63) } else { !key })
}

/// A growing sample. NaN and infinities are the caller's to count.
#[derive(Debug, Clone, Default)]
pub struct Sample {
    /// Distinct keys with their counts.
    counted: HashMap<u64, u64>,
    /// Keys in any order.
    loose: Vec<u64>,
    /// The distinct values were too many: everything further stays loose.
    many: bool,
    rows: u64,
}

impl Sample {
    /// Adds one value.
    pub fn push(&mut self, value: f64) {
        let key = key(value);
        self.rows += 1;
        if !self.many && !self.counted.is_empty() {
            return self.add(key, 1);
        }
        self.loose.push(key);
        self.count_loose();
    }

    fn add(&mut self, key: u64, count: u64) {
        *self.counted.entry(key).or_default() += count;
        self.many |= self.counted.len() > DISTINCT;
    }

    /// Adds the values of `other`.
    pub fn merge(&mut self, other: &Self) {
        self.loose.extend(&other.loose);
        other.counted.iter().for_each(|(key, count)| self.add(*key, *count));
        self.many |= other.many;
        self.rows += other.rows;
        self.count_loose();
    }

    /// Number of values.
    pub fn count(&self) -> u64 {
        self.rows
    }

    /// Bytes held.
    pub fn size(&self) -> usize {
        self.counted.allocation_size() + self.loose.capacity() * size_of::<u64>()
    }

    /// Once many wait, they are counted, unless too many of them are distinct.
    fn count_loose(&mut self) {
        if self.many || self.loose.len() < PENDING {
            return;
        }
        let mut counted = HashMap::new();
        for key in &self.loose {
            *counted.entry(*key).or_default() += 1;
            if counted.len() > DISTINCT / 2 {
                self.many = true;
                return;
            }
        }
        self.loose = Vec::new();
        counted.into_iter().for_each(|(key, count)| self.add(key, count));
    }

    /// The same sample in order, which is ranked without sorting it again.
    pub fn in_order(mut self) -> Self {
        self.loose.sort();
        self
    }

    fn counted(&self) -> Vec<(u64, u64)> {
        let mut counted: Vec<_> = self.counted.iter().map(|(key, count)| (*key, *count)).collect();
        counted.sort_unstable();
        counted
    }

    /// The distinct values in order with their counts.
    pub fn ranked(&self) -> Ranked {
        let mut keys = self.loose.clone();
        // Samples that were stored come in order: this sort only merges them.
        keys.sort();
        Ranked { counted: self.counted(), keys }
    }

    /// The counted part and the loose keys, both in order, for storing.
    pub fn parts(&self) -> (Vec<(u64, u64)>, Vec<u64>) {
        let mut loose = self.loose.clone();
        loose.sort_unstable();
        (self.counted(), loose)
    }

    /// A sample from stored parts, in any order.
    pub fn of_parts(counted: Vec<(u64, u64)>, loose: Vec<u64>) -> Self {
        let rows = loose.len() as u64 + counted.iter().map(|(_, count)| count).sum::<u64>();
        let mut sample = Self { loose, rows, ..Self::default() };
        sample.counted.reserve(counted.len());
        counted.into_iter().for_each(|(key, count)| sample.add(key, count));
        sample
    }
}

/// Two ordered lists as one.
fn united(a: &[(u64, u64)], b: &[(u64, u64)]) -> Vec<(u64, u64)> {
    let mut all = Vec::with_capacity(a.len() + b.len());
    let (mut a, mut b) = (a.iter().peekable(), b.iter().peekable());
    loop {
        let next = match (a.peek(), b.peek()) {
            (Some(x), Some(y)) if y.0 < x.0 => b.next(),
            (Some(_), _) => a.next(),
            (None, _) => b.next(),
        };
        let Some((key, count)) = next else { return all };
        match all.last_mut() {
            Some((last, total)) if last == key => *total += count,
            _ => all.push((*key, *count)),
        }
    }
}

/// Distinct values in order.
#[derive(Debug, Clone, Default)]
pub struct Ranked {
    /// Distinct keys with their counts, and others one by one; both in order.
    counted: Vec<(u64, u64)>,
    keys: Vec<u64>,
}

/// Distinct keys in order, each with its count.
struct Runs<'a> {
    counted: &'a [(u64, u64)],
    keys: &'a [u64],
}

impl Iterator for Runs<'_> {
    type Item = (u64, u64);

    fn next(&mut self) -> Option<(u64, u64)> {
        let of_counted = self.counted.first().map(|(key, _)| *key);
        let key = match (of_counted, self.keys.first()) {
            (Some(a), Some(b)) => a.min(*b),
            (a, b) => a.or(b.copied())?,
        };
        let mut count = 0;
        if let [(first, of_first), rest @ ..] = self.counted
            && *first == key
        {
            (count, self.counted) = (*of_first, rest);
        }
        while let [first, rest @ ..] = self.keys
            && *first == key
        {
            count += 1;
            self.keys = rest;
        }
        Some((key, count))
    }
}

impl Ranked {
    /// Values from keys in order with their counts; equal ones are put together.
    pub fn of_runs(runs: Vec<(u64, u64)>) -> Self {
        Self { counted: united(&runs, &[]), keys: Vec::new() }
    }

    /// Number of values.
    pub fn count(&self) -> u64 {
        self.keys.len() as u64 + self.counted.iter().map(|(_, count)| count).sum::<u64>()
    }

    fn keys(&self) -> Runs<'_> {
        Runs { counted: &self.counted, keys: &self.keys }
    }

    /// Distinct values in order, each with its count.
    pub fn runs(&self) -> impl Iterator<Item = (f64, u64)> + '_ {
        self.keys().map(|(key, count)| (value(key), count))
    }

    /// The values at the given positions (from zero, in order), clamped to the last.
    pub fn at<const N: usize>(&self, positions: [u64; N]) -> [f64; N] {
        if self.counted.is_empty() {
            let last = self.keys.len().wrapping_sub(1);
            let at = |position: u64| self.keys.get(last.min(position as usize));
            return positions.map(|position| at(position).map_or(f64::NAN, |key| value(*key)));
        }
        let mut runs = self.keys();
        let (mut held, mut end) = (f64::NAN, 0);
        positions.map(|position| {
            while end <= position
                && let Some((key, count)) = runs.next()
            {
                (held, end) = (value(key), end + count);
            }
            held
        })
    }

    /// The quantile by linear interpolation between order statistics (Hyndman & Fan 1996, type 7).
    pub fn quantile(&self, q: f64) -> f64 {
        let place = q * (self.count().saturating_sub(1)) as f64;
        let [low, high] = self.at([place.floor() as u64, place.ceil() as u64]);
        let share = place - place.floor();
        let width = high - low;
        if width.is_infinite() {
            return low * (1.0 - share) + high * share;
        }
        // From the nearer end: equal ends give that value, and a larger share never a smaller
        // result.
        if share < 0.5 { low + width * share } else { high - width * (1.0 - share) }
    }
}

/// Walks two samples together: for each distinct value, how often it occurs in each.
pub fn together(a: &Ranked, b: &Ranked, mut visit: impl FnMut(f64, u64, u64)) {
    let (mut left, mut right) = (a.keys().peekable(), b.keys().peekable());
    loop {
        let key = match (left.peek(), right.peek()) {
            (Some(x), Some(y)) => x.0.min(y.0),
            (Some(x), None) => x.0,
            (None, Some(y)) => y.0,
            (None, None) => return,
        };
        let in_a = left.next_if(|run| run.0 == key).map_or(0, |run| run.1);
        let in_b = right.next_if(|run| run.0 == key).map_or(0, |run| run.1);
        visit(value(key), in_a, in_b);
    }
}
