//! The greatest row of each place, while rows stream by and after.

use std::cmp::Ordering;

use super::{Axis, Cursor, Direction, Labels, Rule};

pub(super) const EMPTY: u64 = u64::MAX;

/// A row at a place. `rank` is `ts` looking backward and its complement looking forward: the
/// greater one is nearer to the label, and no i64 is left without one.
#[derive(Debug, Clone, Copy)]
pub(super) struct Entry {
    pub rank: i64,
    pub created: Option<i64>,
    pub seq: i64,
    pub handle: u64,
}

pub(super) const NOTHING: Entry =
    Entry { rank: i64::MIN, created: None, seq: i64::MIN, handle: EMPTY };

impl Entry {
    /// Against what is held; a place that holds nothing is below all.
    pub fn compare(&self, held: &Self) -> Ordering {
        let key = |entry: &Self| (entry.handle != EMPTY, entry.rank, entry.created, entry.seq);
        key(self).cmp(&key(held))
    }
}

/// What one stream of rows has won so far. Offered rows may come in any order.
#[derive(Debug)]
pub struct Winners {
    pub(super) rule: Rule,
    pub(super) cursor: Cursor,
    /// One entry a place, of those who look that way; else none.
    pub(super) backward: Vec<Entry>,
    pub(super) forward: Vec<Entry>,
    pub(super) held: usize,
}

/// What a label takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Match {
    pub ts: i64,
    pub created: Option<i64>,
    pub handle: u64,
}

impl Winners {
    /// Nothing won yet.
    pub fn new(rule: Rule, labels: &Labels) -> Self {
        let entries = |looks: bool| vec![NOTHING; if looks { labels.place_count() } else { 0 }];
        let backward = entries(rule.direction != Direction::Forward);
        let forward = entries(matches!(rule.direction, Direction::Forward | Direction::Nearest));
        Self { rule, cursor: Cursor::default(), backward, forward, held: 0 }
    }

    /// Bytes that a state needs.
    pub fn bytes(rule: Rule, labels: &Labels) -> usize {
        Self::cells(rule, labels) * size_of::<Entry>()
    }

    /// Handles that are held; one may be held twice when looking both ways.
    pub fn held(&self) -> usize {
        self.held
    }

    /// Cells that rows can win: one for each place and way of looking.
    pub fn cells(rule: Rule, labels: &Labels) -> usize {
        let ways = if rule.direction == Direction::Nearest { 2 } else { 1 };
        ways * labels.place_count()
    }

    /// Takes over what another stream has won over the same labels;
    /// `is_later(held, other)` decides between rows that agree in all.
    pub fn merge(&mut self, other: &Self, mut is_later: impl FnMut(u64, u64) -> bool) {
        let pairs = self.backward.iter_mut().zip(&other.backward);
        for (held, entry) in pairs.chain(self.forward.iter_mut().zip(&other.forward)) {
            let wins = match entry.compare(held) {
                Ordering::Greater => true,
                Ordering::Less => false,
                Ordering::Equal => entry.handle != EMPTY && is_later(held.handle, entry.handle),
            };
            if wins {
                self.held += usize::from(held.handle == EMPTY);
                *held = *entry;
            }
        }
    }

    /// All handles that are held, to be renumbered.
    pub fn handles_mut(&mut self) -> impl Iterator<Item = &mut u64> {
        let entries = self.backward.iter_mut().chain(&mut self.forward);
        entries.map(|entry| &mut entry.handle).filter(|handle| **handle != EMPTY)
    }

    /// The end of all streams: every place gets the greatest row that its label may take.
    pub fn settle(mut self, labels: &Labels) -> Settled {
        for slot in labels.slots() {
            if let Some(entries) = self.backward.get_mut(slot.clone()) {
                fill(entries.iter_mut());
            }
            if let Some(entries) = self.forward.get_mut(slot) {
                fill(entries.iter_mut().rev());
            }
        }
        Settled { backward: self.backward, forward: self.forward }
    }
}

/// Each entry becomes the greatest so far. Rows that agree in time and `created` are at one place,
/// so that no two are equal here.
fn fill<'a>(entries: impl Iterator<Item = &'a mut Entry>) {
    let mut greatest = NOTHING;
    for entry in entries {
        match entry.compare(&greatest) {
            Ordering::Greater => greatest = *entry,
            Ordering::Less | Ordering::Equal => *entry = greatest,
        }
    }
}

/// What every label may take.
#[derive(Debug)]
pub struct Settled {
    backward: Vec<Entry>,
    forward: Vec<Entry>,
}

impl Settled {
    /// What the label of `place` takes; its `ts` is from `oldest` to `newest`, both included.
    pub fn at(
        &self,
        labels: &Labels,
        place: u32,
        axis: Axis,
        (oldest, newest): (i64, i64),
    ) -> Option<Match> {
        let taken = |entries: &[Entry], ts: fn(i64) -> i64| {
            let entry = entries.get(place as usize).filter(|entry| entry.handle != EMPTY)?;
            let Entry { rank, created, handle, .. } = *entry;
            Some(Match { ts: ts(rank), created, handle })
        };
        let backward = taken(&self.backward, |rank| rank).filter(|found| found.ts >= oldest);
        let forward = taken(&self.forward, |rank| !rank).filter(|found| found.ts <= newest);
        match (backward, forward) {
            (Some(early), Some(late)) => {
                let nearer = axis.is_nearer(labels.time(place), early.ts, late.ts);
                Some(if nearer { early } else { late })
            }
            (early, late) => early.or(late),
        }
    }
}
