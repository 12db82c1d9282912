//! Rows whose estimate may be among the `k` best, and what the `k`-th best estimate is by now.
//!
//! Estimates are counted in bins between the `k`-th best when counting began and somewhat over the
//! best; a candidate costs one increment, and the limit climbs a bin whenever `k` are above it.

const BINS: usize = 512;

/// Candidates of one list, one after the other.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Run {
    pub list: u32,
    /// How many lists were read before.
    pub place: u32,
    pub start: u32,
    /// The deviation of this list's estimates.
    pub unit: f32,
}

#[derive(Debug, Clone)]
pub(super) struct Candidates {
    k: usize,
    /// By how many deviations an estimate may miss the limit; infinite when any number will do.
    margin: f32,
    /// What crowding below the limit adds to it.
    pub crowding: f32,
    pub scores: Vec<f32>,
    pub rows: Vec<u32>,
    pub runs: Vec<Run>,
    low: f32,
    width: f32,
    inverse: f32,
    counts: [u32; BINS],
    /// The limit is the lower end of this bin; `above` candidates are in it or over it.
    bin: usize,
    above: usize,
    limit: f32,
    /// The limit when the round began.
    floor: f32,
    selection: Vec<f32>,
}

impl Default for Candidates {
    fn default() -> Self {
        Self {
            k: 0,
            margin: 0.0,
            crowding: 0.0,
            scores: Vec::new(),
            rows: Vec::new(),
            runs: Vec::new(),
            low: 0.0,
            width: 0.0,
            inverse: 0.0,
            counts: [0; BINS],
            bin: 0,
            above: 0,
            limit: f32::NEG_INFINITY,
            floor: f32::NEG_INFINITY,
            selection: Vec::new(),
        }
    }
}

impl Candidates {
    pub fn start(&mut self, k: usize, margin: f32) {
        self.k = k;
        (self.margin, self.crowding) = (margin, 0.0);
        self.scores.clear();
        self.rows.clear();
        self.runs.clear();
        (self.limit, self.floor) = (f32::NEG_INFINITY, f32::NEG_INFINITY);
    }

    /// The limit when the round began, by which its lists are pruned: what one of them finds is
    /// then nothing to the others.
    #[inline(always)]
    pub fn floor(&self) -> f32 {
        self.floor
    }

    /// At least `k` candidates have this estimate or a better one; minus infinity before that.
    #[cfg(test)]
    pub fn limit(&self) -> f32 {
        self.limit
    }

    pub fn open_run(&mut self, list: u32, place: u32, unit: f32) {
        self.runs.push(Run { list, place, start: self.scores.len() as u32, unit });
    }

    /// How much worse than the limit an estimate may be in a list of this deviation.
    #[inline(always)]
    pub fn slack(&self, unit: f32) -> f32 {
        // Finite, so that the limit less it is a number; without end, it keeps everything.
        ((self.margin + self.crowding).max(0.0) * unit).min(f32::MAX)
    }

    /// Drops what is below the limit by more than its list's slack, and gives the mean place of
    /// the lists that the `k` best came from; `None` before there are `k`.
    ///
    /// Where rows crowd at the limit, errors lift many over it: the limit is too high, and more of
    /// the best are near it. If their number grows by e^g a deviation, the share that a margin of m
    /// loses is Φ(g/2 - m) - e^(gm) Φ(-g/2 - m); for any one share, between 0.002 and 0.05, m grows
    /// with g as `crowding` does, to a tenth of a deviation.
    pub fn thin(&mut self) -> Option<f32> {
        if self.limit == f32::NEG_INFINITY {
            return None;
        }
        // Rows are all there only as deep as the margin.
        let depth = (self.margin + self.crowding).clamp(0.25, 1.0);
        let (mut kept, mut runs, mut best, mut near, mut places) = (0, 0, 0, 0, 0);
        for i in 0..self.runs.len() {
            let (run, first) = (self.runs[i], kept);
            let end = self.runs.get(i + 1).map_or(self.scores.len(), |next| next.start as usize);
            let least = self.limit - self.slack(run.unit);
            let close = self.limit - depth * run.unit;
            let before = best;
            for j in run.start as usize..end {
                let (score, row) = (self.scores[j], self.rows[j]);
                (self.scores[kept], self.rows[kept]) = (score, row);
                kept += usize::from(score >= least);
                best += usize::from(score >= self.limit);
                near += usize::from(score >= close);
            }
            places += u64::from(run.place) * (best - before) as u64;
            self.runs[runs] = Run { start: first as u32, ..run };
            runs += usize::from(kept > first);
        }
        self.scores.truncate(kept);
        self.rows.truncate(kept);
        self.runs.truncate(runs);
        let (best, near) = (best.max(1) as f32, near.max(1) as f32);
        let growth = ((near / best).ln() / depth).clamp(0.05, 8.0);
        self.crowding = 0.42 * (growth / 0.3).ln() + 0.41 * (growth - 0.3);
        Some(places as f32 / best + 0.5)
    }

    /// The estimate of the `k`-th best, for a `k` of at most that of the start; the limit when
    /// there are fewer.
    pub fn kth(&mut self, k: usize) -> f32 {
        if k == 0 || self.scores.len() < k {
            return self.limit;
        }
        self.selection.clear();
        self.selection.extend_from_slice(&self.scores);
        let worst = |a: &f32, b: &f32| b.total_cmp(a);
        *self.selection.select_nth_unstable_by(k - 1, worst).1
    }

    #[inline(always)]
    pub fn push(&mut self, score: f32, row: u32) {
        self.scores.push(score);
        self.rows.push(row);
        if self.limit > f32::NEG_INFINITY && score >= self.limit {
            self.count(score);
        }
    }

    #[inline(always)]
    fn count(&mut self, score: f32) {
        // Saturates at zero below.
        let bin = (((score - self.low) * self.inverse) as usize).min(BINS - 1);
        self.counts[bin] += 1;
        if bin < self.bin {
            return;
        }
        self.above += 1;
        while self.above - self.counts[self.bin] as usize >= self.k && self.bin < BINS - 1 {
            self.above -= self.counts[self.bin] as usize;
            self.bin += 1;
            self.limit = self.low + self.bin as f32 * self.width;
        }
    }

    /// To be called after each round: begins to count when there are `k`, and again when the best
    /// bin overflows.
    pub fn settle(&mut self) {
        self.begin_count();
        self.floor = self.limit;
    }

    fn begin_count(&mut self) {
        let counting = self.limit > f32::NEG_INFINITY;
        if self.scores.len() < self.k || counting && self.bin < BINS - 1 {
            return;
        }
        self.selection.clear();
        let limit = self.limit;
        self.selection.extend(self.scores.iter().filter(|score| **score >= limit));
        if self.selection.len() < self.k {
            return;
        }
        let best = self.selection.iter().fold(f32::NEG_INFINITY, |a, b| a.max(*b));
        let worst = |a: &f32, b: &f32| b.total_cmp(a);
        let (_, last, _) = self.selection.select_nth_unstable_by(self.k - 1, worst);
        self.low = *last;
        self.limit = *last;
        self.width = ((best - self.low) * 1.5 / BINS as f32).max(f32::MIN_POSITIVE);
        self.inverse = 1.0 / self.width;
        if !self.inverse.is_finite() {
            self.inverse = 0.0;
        }
        self.counts = [0; BINS];
        (self.bin, self.above) = (0, 0);
        let selection = std::mem::take(&mut self.selection);
        let low = self.low;
        selection.iter().filter(|score| **score >= low).for_each(|score| self.count(*score));
        self.selection = selection;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ann::random::Random;

    /// The limit never passes the true k-th best, and stays near it.
    #[test]
    fn the_limit_is_close_below_the_kth() {
        let mut random = Random::new(3);
        for (k, rising) in [(1, false), (10, false), (100, true)] {
            let mut candidates = Candidates::default();
            candidates.start(k, 1.0);
            let mut all: Vec<f32> = Vec::new();
            for list in 0..50 {
                for row in 0..40 {
                    let lift = if rising { list as f32 * 100.0 } else { 0.0 };
                    let score = random.below(1_000_000) as f32 / 1000.0 + lift;
                    candidates.push(score, row);
                    all.push(score);
                }
                candidates.settle();
                all.sort_by(|a, b| b.total_cmp(a));
                if all.len() >= k {
                    let gap = all[k - 1] - candidates.limit();
                    let range = all[0] - all[k - 1];
                    assert!(gap >= -0.01 && gap <= range * 0.5 + 30.0, "{k} {list}: {gap}");
                }
            }
        }
        let mut same = Candidates::default();
        same.start(2, 1.0);
        (0..9).for_each(|row| same.push(1.0, row));
        same.settle();
        same.push(1.0, 9);
        assert_eq!(same.limit(), 1.0);
    }
}
