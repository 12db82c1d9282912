//! The `k` nearest of what is offered, by a threshold: most candidates cost one comparison.
//!
//! Candidates that pass are collected; when the buffer is full, a selection keeps the best `k` and
//! lowers the threshold. Amortised, a candidate costs a constant, whatever `k` is.

use std::cmp::Ordering;

/// A row and how far it is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Neighbour {
    pub distance: f32,
    pub key: u64,
}

impl Neighbour {
    /// Nearer first, NaN last, then the smaller key. Zeros of both signs are equal.
    pub fn order(&self, other: &Self) -> Ordering {
        let by_distance = match self.distance.partial_cmp(&other.distance) {
            Some(order) => order,
            None => self.distance.is_nan().cmp(&other.distance.is_nan()),
        };
        by_distance.then(self.key.cmp(&other.key))
    }
}

/// Collects the nearest `k`.
#[derive(Debug, Clone)]
pub struct Top {
    k: usize,
    capacity: usize,
    kept: Vec<Neighbour>,
    /// The `k`-th of an earlier selection: what does not come before it is out.
    limit: Option<Neighbour>,
}

impl Top {
    /// Room grows with what is offered, so a `k` of a billion costs nothing by itself.
    pub fn new(k: usize) -> Self {
        Self {
            k,
            capacity: k.saturating_mul(2).max(k.saturating_add(256)),
            kept: Vec::new(),
            limit: None,
        }
    }

    /// A distance that is greater cannot get in; infinite while anything can.
    #[inline(always)]
    pub fn limit(&self) -> f32 {
        self.limit.map_or(f32::INFINITY, |limit| limit.distance)
    }

    /// Whether NaN and everything else still gets in.
    pub fn is_open(&self) -> bool {
        self.limit.is_none_or(|limit| limit.distance.is_nan())
    }

    #[inline]
    pub fn offer(&mut self, distance: f32, key: u64) {
        let candidate = Neighbour { distance, key };
        if self.limit.is_some_and(|limit| candidate.order(&limit).is_ge()) {
            return;
        }
        self.kept.push(candidate);
        if self.kept.len() >= self.capacity {
            self.select();
        }
    }

    /// Lowers the limit to the `k`-th best so far.
    pub fn select(&mut self) {
        if self.k == 0 || self.kept.len() < self.k {
            return;
        }
        let (_, last, _) = self.kept.select_nth_unstable_by(self.k - 1, Neighbour::order);
        self.limit = Some(*last);
        self.kept.truncate(self.k);
    }

    /// The nearest, in order.
    pub fn finish(mut self) -> Vec<Neighbour> {
        if self.kept.len() > self.k {
            self.select();
        }
        self.kept.truncate(self.k);
        self.kept.sort_unstable_by(Neighbour::order);
        self.kept
    }
}

/// The nearest `k` of several answers.
pub fn merge(k: usize, parts: impl IntoIterator<Item = Vec<Neighbour>>) -> Vec<Neighbour> {
    let mut top = Top::new(k);
    for neighbour in parts.into_iter().flatten() {
        top.offer(neighbour.distance, neighbour.key);
    }
    top.finish()
}
