//! How well a whole catalogue is ranked: recall and NDCG of the k best items for each user, those
//! seen before left out.
//!
//! Sampled candidates would give other orders of models (Krichene and Rendle, KDD 2020), so every
//! item is scored. With R the relevant items of a user and g(i) whether the item at place i is one:
//!
//! ```text
//!   recall@k = Σ g(i) / |R|
//!   ndcg@k   = Σ g(i) / log₂(i + 1)  /  Σ over i ≤ min(k, |R|) of 1 / log₂(i + 1)
//! ```
//!
//! Means are over users with at least one relevant item. Equal scores go to the lower item; NaN
//! comes last. Metrics of lists that come with their scores are the SQL aggregates' work.

use super::parallel::{each, ranges};
use crate::simd::level::Level;
use crate::vectors::{Panels, Rows, Top};

/// Users, items, and who wants what. Vectors are row-major; a score is an inner product. Users
/// without a row in `relevant` or `seen` have none.
#[derive(Clone, Copy)]
pub struct Ranking<'a> {
    pub users: &'a [f32],
    pub items: &'a [f32],
    pub dimension: usize,
    /// Items that a user should get, each once.
    pub relevant: &'a [Vec<u32>],
    /// Items that the list of a user leaves out.
    pub seen: &'a [Vec<u32>],
}

/// Means for each k that was asked for.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Metrics {
    pub recall: Vec<f64>,
    pub ndcg: Vec<f64>,
    /// Users with relevant items, whom the means are over.
    pub users: usize,
}

/// Users whose scores are computed together.
const TOGETHER: usize = 64;

/// Ranks all items for all users; the same bits on any number of threads. Without users, items or
/// relevant items every mean is 0.
pub fn evaluate(level: Level, threads: usize, ranking: &Ranking<'_>, ks: &[usize]) -> Metrics {
    let dimension = ranking.dimension.max(1);
    let users = ranking.users.len() / dimension;
    let panels = Rows::single(ranking.items, dimension).map(Panels::new).unwrap_or_default();
    let ranges = ranges(users, threads);
    let mut found: Vec<Vec<f64>> = vec![Vec::new(); ranges.len()];
    each(found.iter_mut().zip(ranges).collect(), |_, (found, range)| {
        let stride = panels.stride().max(1);
        let mut scores = vec![0.0; TOGETHER * stride];
        for first in range.clone().step_by(TOGETHER) {
            let last = (first + TOGETHER).min(range.end);
            let vectors = &ranking.users[first * dimension..last * dimension];
            panels.dots(level, vectors, &mut scores);
            let rows = scores.chunks_mut(stride);
            for (user, scores) in (first..last).zip(rows) {
                one(ranking, user, &mut scores[..panels.len()], ks, found);
            }
        }
    });
    mean(&found.concat(), ks.len())
}

/// Adds recalls, then NDCGs, of one user.
fn one(ranking: &Ranking<'_>, user: usize, scores: &mut [f32], ks: &[usize], out: &mut Vec<f64>) {
    let mut wanted = ranking.relevant.get(user).cloned().unwrap_or_default();
    if wanted.is_empty() {
        return;
    }
    let longest = ks.iter().copied().max().unwrap_or(0);
    let mut top = Top::new(longest);
    let mut seen = ranking.seen.get(user).cloned().unwrap_or_default();
    seen.sort_unstable();
    for (item, score) in scores.iter().enumerate() {
        let near = top.is_open() || -score < top.limit();
        if near && seen.binary_search(&(item as u32)).is_err() {
            top.offer(-score, item as u64);
        }
    }
    let list = top.finish();
    wanted.sort_unstable();
    let hit = |place: usize| {
        let item = list.get(place).map(|near| near.key as u32);
        item.is_some_and(|item| wanted.binary_search(&item).is_ok())
    };
    let gain = |place: usize| 1.0 / (place as f64 + 2.0).log2();
    let hits = |k: usize| (0..k).filter(|place| hit(*place));
    out.extend(ks.iter().map(|k| hits(*k).count() as f64 / wanted.len() as f64));
    out.extend(ks.iter().map(|k| {
        let best: f64 = (0..wanted.len().min(*k)).map(gain).sum();
        if best > 0.0 { hits(*k).map(gain).sum::<f64>() / best } else { 0.0 }
    }));
}

fn mean(found: &[f64], ks: usize) -> Metrics {
    let users = found.len() / (2 * ks).max(1);
    let mut sums = vec![0.0; 2 * ks];
    for row in found.chunks_exact((2 * ks).max(1)) {
        sums.iter_mut().zip(row).for_each(|(sum, x)| *sum += x);
    }
    sums.iter_mut().for_each(|sum| *sum /= users.max(1) as f64);
    let ndcg = sums.split_off(ks);
    Metrics { recall: sums, ndcg, users }
}
