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

const NOTHING: Entry = Entry { rank: 0, created: None, seq: 0, handle: EMPTY };

impl Entry {
    /// Against what is held; a place that holds nothing is below all.
    pub fn compare(&self, held: &Self) -> Ordering {
        let key = |entry: &Self| (entry.handle != EMPTY, entry.rank, entry.created, entry.seq);
        key(self).cmp(&key(held))
    }
}

/// An entry for each place, of rows that are looked for one way.
#[derive(Debug, Default)]
pub(super) struct Entries {
    /// Rank, and one more than the handle: where all is zero is nothing, so that of memory which
    /// comes zeroed only what rows win is touched.
    ranks: Vec<(i64, u64)>,
    /// Empty if rows have none, as is the next.
    created: Vec<Option<i64>>,
    seq: Vec<i64>,
}

impl Entries {
    fn new(places: usize, rule: Rule) -> Self {
        let of = |is_there: bool| if is_there { places } else { 0 };
        Self {
            ranks: vec![(0, 0); places],
            created: vec![None; of(rule.created)],
            seq: vec![0; of(rule.seq)],
        }
    }

    pub fn is_empty(&self) -> bool {
        self.ranks.is_empty()
    }

    pub fn len(&self) -> usize {
        self.ranks.len()
    }

    pub fn get(&self, place: usize) -> Entry {
        let (rank, handle) = self.ranks[place];
        let created = self.created.get(place).copied().flatten();
        let seq = self.seq.get(place).copied().unwrap_or_default();
        Entry { rank, created, seq, handle: handle.wrapping_sub(1) }
    }

    pub fn set(&mut self, place: usize, entry: &Entry) {
        self.ranks[place] = (entry.rank, entry.handle.wrapping_add(1));
        if let Some(created) = self.created.get_mut(place) {
            *created = entry.created;
        }
        if let Some(seq) = self.seq.get_mut(place) {
            *seq = entry.seq;
        }
    }

    /// What is held of one slot's places becomes the greatest so far. Rows that agree in time and
    /// `created` are at one place, so that no two are equal here.
    fn fill(&mut self, places: impl Iterator<Item = usize>) {
        let mut greatest = NOTHING;
        for place in places {
            let entry = self.get(place);
            match entry.compare(&greatest) {
                Ordering::Greater => greatest = entry,
                Ordering::Less | Ordering::Equal => self.set(place, &greatest),
            }
        }
    }
}

/// What one stream of rows has won so far. Offered rows may come in any order.
#[derive(Debug)]
pub struct Winners {
    pub(super) rule: Rule,
    pub(super) cursor: Cursor,
    /// Of those who look that way; else of no places.
    pub(super) backward: Entries,
    pub(super) forward: Entries,
    pub(super) held: usize,
}

/// What a label takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Match {
    pub handle: u64,
    /// Whether it was known by the label's time: `created <= t`, which a NULL is not.
    pub known: bool,
}

impl Winners {
    /// Nothing won yet.
    pub fn new(rule: Rule, labels: &Labels) -> Self {
        let entries =
            |looks: bool| Entries::new(if looks { labels.place_count() } else { 0 }, rule);
        let backward = entries(rule.direction != Direction::Forward);
        let forward = entries(matches!(rule.direction, Direction::Forward | Direction::Nearest));
        Self { rule, cursor: Cursor::default(), backward, forward, held: 0 }
    }

    /// Bytes that a state needs.
    pub fn bytes(rule: Rule, labels: &Labels) -> usize {
        let created = if rule.created { size_of::<Option<i64>>() } else { 0 };
        let seq = if rule.seq { size_of::<i64>() } else { 0 };
        Self::cells(rule, labels) * (size_of::<(i64, u64)>() + created + seq)
    }

    /// Places that hold a row.
    pub fn held(&self) -> usize {
        self.held
    }

    /// Cells that rows can win: one for each place and way of looking.
    pub fn cells(rule: Rule, labels: &Labels) -> usize {
        let ways = if rule.direction == Direction::Nearest { 2 } else { 1 };
        ways * labels.place_count()
    }

    /// Takes over what another stream has won over the same labels, its handles being greater by
    /// `offset` then; `is_later(held, other)` decides between rows that agree in all.
    pub fn merge(&mut self, other: &Self, offset: u64, mut is_later: impl FnMut(u64, u64) -> bool) {
        let ways = [(&mut self.backward, &other.backward), (&mut self.forward, &other.forward)];
        for (entries, others) in ways {
            for place in 0..others.len() {
                let mut entry = others.get(place);
                if entry.handle == EMPTY {
                    continue;
                }
                entry.handle += offset;
                let held = entries.get(place);
                let wins = match entry.compare(&held) {
                    Ordering::Greater => true,
                    Ordering::Less => false,
                    Ordering::Equal => is_later(held.handle, entry.handle),
                };
                if wins {
                    self.held += usize::from(held.handle == EMPTY);
                    entries.set(place, &entry);
                }
            }
        }
    }

    /// Renumbers all handles that are held.
    pub fn renumber(&mut self, mut number: impl FnMut(u64) -> u64) {
        for entries in [&mut self.backward, &mut self.forward] {
            for (_, handle) in entries.ranks.iter_mut().filter(|(_, handle)| *handle != 0) {
                *handle = number(*handle - 1) + 1;
            }
        }
    }

    /// The end of all streams: every place gets the greatest row that its label may take, of those
    /// whose `ts` is within `bounds` of the label's time, both included.
    pub fn settle(
        mut self,
        labels: &Labels,
        axis: Axis,
        bounds: impl Fn(i64) -> (i64, i64),
    ) -> Settled {
        for slot in labels.slots() {
            if !self.backward.is_empty() {
                self.backward.fill(slot.clone());
            }
            if !self.forward.is_empty() {
                self.forward.fill(slot.rev());
            }
        }
        let places = self.backward.len().max(self.forward.len());
        let mut settled = Settled { handles: vec![EMPTY; places], known: Vec::new() };
        settled.known.resize(if self.rule.created { places } else { 0 }, false);
        for place in 0..places {
            let time = labels.time(place as u32);
            if let Some(taken) = self.taken(place, time, axis, bounds(time)) {
                settled.handles[place] = taken.handle;
                if let Some(known) = settled.known.get_mut(place) {
                    *known = taken.created.is_some_and(|created| created <= time);
                }
            }
        }
        settled
    }

    /// What a label of `time` takes.
    fn taken(
        &self,
        place: usize,
        time: i64,
        axis: Axis,
        (oldest, newest): (i64, i64),
    ) -> Option<Entry> {
        let held = |entries: &Entries| {
            let entry = (!entries.is_empty()).then(|| entries.get(place));
            entry.filter(|entry| entry.handle != EMPTY)
        };
        let backward = held(&self.backward).filter(|found| found.rank >= oldest);
        let forward = held(&self.forward).filter(|found| !found.rank <= newest);
        match (backward, forward) {
            (Some(early), Some(late)) => {
                let nearer = axis.is_nearer(time, early.rank, !late.rank);
                Some(if nearer { early } else { late })
            }
            (early, late) => early.or(late),
        }
    }
}

/// What every label takes.
#[derive(Debug)]
pub struct Settled {
    /// By place; `EMPTY` is nothing.
    handles: Vec<u64>,
    /// Empty if rows have no `created`.
    known: Vec<bool>,
}

impl Settled {
    /// What the labels of `place` take.
    pub fn at(&self, place: u32) -> Option<Match> {
        let place = place as usize;
        let handle = self.handles.get(place).copied().filter(|handle| *handle != EMPTY)?;
        Some(Match { handle, known: self.known.get(place).is_some_and(|known| *known) })
    }
}
