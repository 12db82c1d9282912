//! The labels' times by key: where a row of a key and a time belongs.

use std::ops::Range;

use crate::parallel;

/// Times that are counted instead of searched.
const FEW: usize = 32;
/// Fewer labels are arranged by one thread.
const PIECE: usize = if cfg!(test) { 4 } else { 1 << 16 };

/// The slot of a label without a key or time, and its place.
pub const NOWHERE: u32 = u32::MAX;

/// Sorted label times, grouped by key slot; equal times of a key share a place.
#[derive(Debug, Default)]
pub struct Labels {
    /// First place of each slot, and the end.
    starts: Vec<u32>,
    /// Time of each place, ascending within a slot.
    times: Vec<i64>,
    /// Place of each label, in the order they were given.
    places: Vec<u32>,
}

/// Remembers where the last row belonged, so that sorted rows need no search.
#[derive(Debug, Clone, Copy, Default)]
pub struct Cursor {
    slot: u32,
    place: u32,
}

/// The labels of a range of slots, places being counted from the first of them.
struct Piece {
    starts: Vec<u32>,
    times: Vec<i64>,
    /// Label and place.
    places: Vec<(u32, u32)>,
}

impl Piece {
    fn new(range: Range<usize>, slots: &[u32], times: &[i64]) -> Self {
        let first = range.start as u32;
        // A slot below the first is far beyond the last then.
        let own = |slot: u32| slot.wrapping_sub(first) as usize;
        let mut ends = vec![0u32; range.len()];
        for slot in slots {
            if let Some(end) = ends.get_mut(own(*slot)) {
                *end += 1;
            }
        }
        let mut total = 0;
        for end in &mut ends {
            total += *end;
            *end = total - *end;
        }
        let mut grouped = vec![(0i64, 0u32); total as usize];
        for (label, (slot, time)) in slots.iter().zip(times).enumerate() {
            if let Some(end) = ends.get_mut(own(*slot)) {
                grouped[*end as usize] = (*time, label as u32);
                *end += 1;
            }
        }
        let mut piece = Self {
            starts: Vec::with_capacity(range.len()),
            times: Vec::with_capacity(grouped.len()),
            places: Vec::with_capacity(grouped.len()),
        };
        let mut start = 0;
        for end in ends {
            piece.push_slot(&mut grouped[start..end as usize]);
            start = end as usize;
        }
        piece
    }

    /// The next slot's (time, label)s.
    fn push_slot(&mut self, group: &mut [(i64, u32)]) {
        let start = self.times.len();
        self.starts.push(start as u32);
        group.sort_unstable();
        for (time, label) in group {
            if self.times.len() == start || self.times.last() != Some(time) {
                self.times.push(*time);
            }
            self.places.push((*label, (self.times.len() - 1) as u32));
        }
    }
}

impl Labels {
    /// Bytes that a label needs while they are arranged and after.
    pub const BYTES: usize = 48;

    /// Arranges labels; `slots` are below `slot_count`, or `NOWHERE` for one that matches nothing.
    /// Both slices are of one length, of fewer than `NOWHERE` labels.
    pub fn new(slot_count: usize, slots: &[u32], times: &[i64], threads: usize) -> Self {
        // Each thread has a range of slots: it looks at all labels, and arranges its own.
        let pieces = if slots.len() < PIECE { 1 } else { threads.max(1) };
        let first = |piece: usize| slot_count * piece / pieces;
        let piece = |piece| Some(Piece::new(first(piece)..first(piece + 1), slots, times));
        let pieces = parallel::map(threads, pieces, piece).unwrap_or_default();
        let mut labels = Self { places: vec![NOWHERE; slots.len()], ..Self::default() };
        labels.starts.reserve(slot_count + 1);
        labels.times.reserve(pieces.iter().map(|piece| piece.times.len()).sum());
        for piece in pieces {
            let offset = labels.times.len() as u32;
            labels.starts.extend(piece.starts.iter().map(|start| start + offset));
            labels.times.extend_from_slice(&piece.times);
            for (label, place) in piece.places {
                labels.places[label as usize] = place + offset;
            }
        }
        labels.starts.push(labels.times.len() as u32);
        labels
    }

    /// Number of labels.
    pub fn len(&self) -> usize {
        self.places.len()
    }

    /// Whether there is no label at all.
    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// Number of places.
    pub fn place_count(&self) -> usize {
        self.times.len()
    }

    /// A label's place; `NOWHERE` if it has no key or time.
    pub fn place(&self, label: usize) -> u32 {
        self.places.get(label).copied().unwrap_or(NOWHERE)
    }

    /// The label time of a place.
    pub fn time(&self, place: u32) -> i64 {
        self.times[place as usize]
    }

    /// Earliest and latest label time; None if no label is anywhere.
    pub fn span(&self) -> Option<(i64, i64)> {
        Some((*self.times.iter().min()?, *self.times.iter().max()?))
    }

    /// The places of a slot, empty for a slot that is not there.
    pub fn slot(&self, slot: u32) -> Range<u32> {
        let slot = slot as usize;
        match (self.starts.get(slot), self.starts.get(slot.saturating_add(1))) {
            (Some(start), Some(end)) => *start..*end,
            _ => 0..0,
        }
    }

    /// The ranges of all slots.
    pub fn slots(&self) -> impl Iterator<Item = Range<usize>> + '_ {
        self.starts.windows(2).map(|pair| pair[0] as usize..pair[1] as usize)
    }

    /// Number of slots.
    pub fn slot_count(&self) -> usize {
        self.starts.len().saturating_sub(1)
    }

    /// The first place of `places`, a slot's, whose time is at least `time`; `after`: is above it.
    pub(super) fn first_at(&self, places: &Range<u32>, time: i64, after: bool) -> u32 {
        let times = &self.times[places.start as usize..places.end as usize];
        // Of few, counting them all is faster than guessing half of them.
        let found = match (times.len() <= FEW, after) {
            (true, true) => times.iter().map(|t| usize::from(*t <= time)).sum(),
            (true, false) => times.iter().map(|t| usize::from(*t < time)).sum(),
            (false, true) => times.partition_point(|t| *t <= time),
            (false, false) => times.partition_point(|t| *t < time),
        };
        places.start + found as u32
    }

    /// The same with a cursor.
    pub fn first_from(
        &self,
        cursor: &mut Cursor,
        slot: u32,
        places: &Range<u32>,
        time: i64,
        after: bool,
    ) -> u32 {
        let is_before = |t: i64| if after { t <= time } else { t < time };
        let (mut low, mut high) = (places.start, places.end);
        if cursor.slot == slot && places.contains(&cursor.place) {
            // Gallops from where the last row was; most often it is there or one further.
            let mut step = 1;
            match is_before(self.time(cursor.place)) {
                true => {
                    low = cursor.place + 1;
                    while low + step <= high && is_before(self.time(low + step - 1)) {
                        low += step;
                        step *= 2;
                    }
                    high = high.min(low + step - 1);
                }
                false => high = cursor.place,
            }
        }
        let place = self.first_at(&(low..high), time, after);
        *cursor = Cursor { slot, place: place.min(places.end.saturating_sub(1)) };
        place
    }
}
