//! Centres of lists: k-means on two levels, so that neither training nor finding the nearest centre
//! meets all of them.
//!
//! ```text
//!   tops     √lists centres of the whole sample
//!   centres  of each top's share of the sample; then two rounds over all of them
//! ```
//!
//! The nearest centre of a row is looked for among the children of its `TRIED` nearest tops.

use super::Error;
use super::parallel::{Phase, Work};
use super::random::Random;
use crate::vectors::{Panels, Rows};

/// Tops whose children are tried for a row.
const TRIED: usize = 8;
/// Up to this many lists, one level is as quick.
const FLAT: usize = 64;
/// Rounds of a k-means, and of the last one over both levels.
const ROUNDS: usize = 8;
const POLISH: usize = 2;
/// Rows of a piece of work.
const PIECE: usize = 1024;
/// Rows for each top that its training looks at.
const ROWS_PER_TOP: usize = 512;

/// Centres in the order of their tops: neighbours in number are often neighbours in space.
#[derive(Debug, Clone)]
pub struct Clusters {
    dimension: usize,
    /// Where each top's children start, and the number of centres.
    starts: Vec<u32>,
    tops: Vec<f32>,
    centres: Vec<f32>,
}

impl Clusters {
    /// Centres for a sample of rows. Fewer than `lists` when there are fewer rows.
    pub(super) fn train(
        work: &Work<'_>,
        rows: &[f32],
        dimension: usize,
        lists: usize,
        seed: u64,
    ) -> Result<Self, Error> {
        let count = rows.len() / dimension;
        let lists = lists.clamp(1, count.max(1));
        let mut random = Random::new(seed);
        let top_count = if lists <= FLAT { 1 } else { lists.isqrt() };
        let seen = rows.len().min(top_count * ROWS_PER_TOP * dimension);
        let tops = lloyd(work, &rows[..seen], dimension, top_count, &mut random)?;
        let flat = Flat::new(&tops, dimension);
        let assigned = flat.assign(work, rows)?;
        let mut shares = vec![Vec::new(); top_count];
        for (row, (top, _)) in rows.chunks_exact(dimension).zip(&assigned) {
            shares[*top as usize].extend_from_slice(row);
        }
        let counts: Vec<usize> = shares.iter().map(|rows| rows.len() / dimension).collect();
        let children = allot(&counts, lists);
        let seeds: Vec<u64> = (0..top_count).map(|_| random.number()).collect();
        let alone = Work { threads: 1, go_on: &|_, _, _| true, ..*work };
        let parts = work.map(Phase::Clusters, top_count, |top| {
            let mut random = Random::new(seeds[top]);
            lloyd(&alone, &shares[top], dimension, children[top], &mut random)
        })?;
        let mut clusters = Self { dimension, starts: vec![0], tops, centres: Vec::new() };
        for part in parts {
            clusters.centres.extend(part?);
            clusters.starts.push((clusters.centres.len() / dimension) as u32);
        }
        drop(shares);
        for _ in 0..POLISH {
            let assigned = Assigner::new(&clusters).assign(work, rows)?;
            move_centres(rows, dimension, &assigned, &mut clusters.centres);
        }
        Ok(clusters)
    }

    /// From what a head holds; `None` when the parts do not fit together.
    pub(super) fn from_parts(
        dimension: usize,
        starts: Vec<u32>,
        tops: Vec<f32>,
        centres: Vec<f32>,
    ) -> Option<Self> {
        let fits = starts.first() == Some(&0)
            && starts.is_sorted()
            && tops.len() == (starts.len() - 1) * dimension
            && starts.last().map(|end| *end as usize * dimension) == Some(centres.len());
        fits.then_some(Self { dimension, starts, tops, centres })
    }

    pub fn len(&self) -> usize {
        self.centres.len() / self.dimension
    }

    pub fn centre(&self, list: usize) -> &[f32] {
        &self.centres[list * self.dimension..][..self.dimension]
    }

    pub(super) fn parts(&self) -> (&[u32], &[f32], &[f32]) {
        (&self.starts, &self.tops, &self.centres)
    }

    /// The same centres in another frame of reference.
    pub(super) fn turned(&self, dimension: usize, turn: impl Fn(&[f32]) -> Vec<f32>) -> Self {
        let starts = self.starts.clone();
        Self { dimension, starts, tops: turn(&self.tops), centres: turn(&self.centres) }
    }
}

/// How many children each share gets: in proportion to its rows, at least one, at most a row each.
fn allot(counts: &[usize], lists: usize) -> Vec<usize> {
    let total: usize = counts.iter().sum::<usize>().max(1);
    let mut children: Vec<usize> =
        counts.iter().map(|rows| (rows * lists / total).clamp(1, (*rows).max(1))).collect();
    let mut left = lists.saturating_sub(children.iter().sum());
    // What rounding left goes to the shares with the most rows for a child.
    while left > 0 {
        let room = (0..counts.len()).filter(|i| children[*i] < counts[*i]);
        let Some(i) = room.max_by_key(|i| counts[*i] * 1024 / children[*i]) else { break };
        children[i] += 1;
        left -= 1;
    }
    children
}

/// k-means from rows drawn at random.
fn lloyd(
    work: &Work<'_>,
    rows: &[f32],
    dimension: usize,
    k: usize,
    random: &mut Random,
) -> Result<Vec<f32>, Error> {
    let count = rows.len() / dimension;
    let mut centres = Vec::with_capacity(k * dimension);
    // Distinct rows: one from each k-th part.
    for i in 0..k {
        let (start, end) = (i * count / k, (i + 1) * count / k);
        let row = start + random.below(end - start);
        let one = rows.get(row * dimension..(row + 1) * dimension);
        centres.extend_from_slice(one.unwrap_or(&vec![0.0; dimension]));
    }
    for _ in 0..if k == 1 { 1 } else { ROUNDS } {
        let assigned = Flat::new(&centres, dimension).assign(work, rows)?;
        let lists: Vec<u32> = assigned.iter().map(|(list, _)| *list).collect();
        move_centres(rows, dimension, &lists, &mut centres);
    }
    Ok(centres)
}

/// Moves each centre to the mean of its rows; one without rows halves the greatest.
fn move_centres(rows: &[f32], dimension: usize, assigned: &[u32], centres: &mut [f32]) {
    let mut counts = vec![0usize; centres.len() / dimension];
    let mut sums = vec![0.0f32; centres.len()];
    for (row, list) in rows.chunks_exact(dimension).zip(assigned) {
        let list = *list as usize;
        counts[list] += 1;
        let sum = &mut sums[list * dimension..][..dimension];
        sum.iter_mut().zip(row).for_each(|(sum, x)| *sum += x);
    }
    for (list, count) in counts.iter().enumerate().filter(|(_, count)| **count > 0) {
        let range = list * dimension..(list + 1) * dimension;
        let means = centres[range.clone()].iter_mut().zip(&sums[range]);
        means.for_each(|(centre, sum)| *centre = sum / *count as f32);
    }
    for empty in 0..counts.len() {
        if counts[empty] > 0 {
            continue;
        }
        let greatest = (0..counts.len()).max_by_key(|i| (counts[*i], std::cmp::Reverse(*i)));
        let Some(greatest) = greatest.filter(|i| counts[*i] > 1) else { return };
        for i in 0..dimension {
            let x = centres[greatest * dimension + i];
            let step = if i % 2 == 0 { 1.0 / 1024.0 } else { -1.0 / 1024.0 };
            centres[empty * dimension + i] = x * (1.0 + step);
            centres[greatest * dimension + i] = x * (1.0 - step);
        }
        counts[empty] = counts[greatest] / 2;
        counts[greatest] -= counts[empty];
    }
}

fn half_squares(centres: &[f32], dimension: usize) -> Vec<f32> {
    let half = |row: &[f32]| row.iter().map(|x| x * x).sum::<f32>() / -2.0;
    centres.chunks_exact(dimension).map(half).collect()
}

/// Centres without tops.
struct Flat {
    panels: Panels,
    bias: Vec<f32>,
    dimension: usize,
}

impl Flat {
    fn new(centres: &[f32], dimension: usize) -> Self {
        let rows = Rows::single(centres, dimension);
        let panels = rows.map(Panels::new).unwrap_or_default();
        Self { panels, bias: half_squares(centres, dimension), dimension }
    }

    fn assign(&self, work: &Work<'_>, rows: &[f32]) -> Result<Vec<(u32, f32)>, Error> {
        let step = PIECE * self.dimension;
        let parts = work.map(Phase::Clusters, rows.len().div_ceil(step), |piece| {
            let rows = &rows[piece * step..rows.len().min((piece + 1) * step)];
            let mut best = Vec::new();
            self.panels.best(work.level, &self.bias, rows, &mut best);
            best
        })?;
        Ok(parts.into_iter().flatten().collect())
    }
}

/// Finds the nearest centre of rows.
pub(super) struct Assigner {
    dimension: usize,
    tops: Flat,
    children: Vec<(u32, Flat)>,
}

impl Assigner {
    pub fn new(clusters: &Clusters) -> Self {
        let dimension = clusters.dimension;
        let children = clusters.starts.windows(2).map(|ends| {
            let range = ends[0] as usize * dimension..ends[1] as usize * dimension;
            (ends[0], Flat::new(&clusters.centres[range], dimension))
        });
        let children = children.collect();
        Self { dimension, tops: Flat::new(&clusters.tops, dimension), children }
    }

    pub fn assign(&self, work: &Work<'_>, rows: &[f32]) -> Result<Vec<u32>, Error> {
        let step = PIECE * self.dimension;
        let parts = work.map(Phase::Clusters, rows.len().div_ceil(step), |piece| {
            self.piece(work, &rows[piece * step..rows.len().min((piece + 1) * step)])
        })?;
        Ok(parts.into_iter().flatten().collect())
    }

    /// The nearest centres of some rows, on this thread: rows that try the same top go together.
    pub fn piece(&self, work: &Work<'_>, rows: &[f32]) -> Vec<u32> {
        let count = rows.len() / self.dimension;
        let stride = self.tops.panels.stride();
        let mut scores = vec![0.0; count * stride];
        self.tops.panels.dots(work.level, rows, &mut scores);
        let mut tries: Vec<Vec<u32>> = vec![Vec::new(); self.children.len()];
        for (row, scores) in scores.chunks_exact_mut(stride).enumerate() {
            let scores = &mut scores[..self.tops.bias.len()];
            scores.iter_mut().zip(&self.tops.bias).for_each(|(score, bias)| *score += bias);
            for top in greatest(scores, TRIED) {
                tries[top].push(row as u32);
            }
        }
        let mut best = vec![(0u32, f32::NEG_INFINITY); count];
        let (mut gathered, mut found) = (Vec::new(), Vec::new());
        for ((first, flat), tries) in self.children.iter().zip(&tries) {
            gathered.clear();
            for row in tries {
                let row = &rows[*row as usize * self.dimension..][..self.dimension];
                gathered.extend_from_slice(row);
            }
            flat.panels.best(work.level, &flat.bias, &gathered, &mut found);
            for (row, (list, score)) in tries.iter().zip(&found) {
                let best = &mut best[*row as usize];
                if *score > best.1 {
                    *best = (first + list, *score);
                }
            }
        }
        best.into_iter().map(|(list, _)| list).collect()
    }
}

/// Places of the `count` greatest; leaves minus infinity there.
fn greatest(scores: &mut [f32], count: usize) -> Vec<usize> {
    if scores.len() <= count {
        return (0..scores.len()).collect();
    }
    let mut places = Vec::with_capacity(count);
    for _ in 0..count {
        let most = scores.iter().fold(f32::NEG_INFINITY, |a, b| a.max(*b));
        let Some(place) = scores.iter().position(|score| *score >= most) else { break };
        places.push(place);
        scores[place] = f32::NEG_INFINITY;
    }
    places
}
