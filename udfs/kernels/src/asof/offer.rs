//! Offering rows: each is put at the first place that may take it, if it is the greatest there.
//!
//! ```text
//!   rows of one key after another, rising     k k k k k k      the last row before each label
//!                                             1 2 5 6 9 9      is the only one that is put
//!   keys mixed, those of each key rising      the latest row of each key waits until one comes
//!                                             that is past the next label: only then it is put
//!   anything else                             searched and put row by row
//! ```
//! The second is what rows in order of time are: of the many that win for a moment only the last is
//! put, and what is looked at for every row is as large as the keys, not as the labels. Rows ask
//! for their key's memory a few at a time, so that they wait for it together.

use std::cmp::Ordering;

use super::winners::{EMPTY, Entry, NOTHING};
use super::{Cursor, Direction, Keeper, Labels, NOWHERE, Row, Rows, Winners};
use crate::simd::prefetch;

/// Rows that wait for memory together.
const TOGETHER: usize = 32;

/// The latest row of a key, while no row has come that is past the label it waits for: a line of
/// the processor's cache.
#[derive(Debug)]
#[repr(align(64))]
pub(super) struct Latest {
    /// The greatest time that came in order; one below it comes too late.
    seen: i64,
    /// The label's time and place; `NOWHERE`: all labels of the key are passed.
    until: i64,
    place: u32,
    pub(super) entry: Entry,
}

impl Latest {
    fn new(labels: &Labels, slot: usize) -> Self {
        let places = labels.slot(slot as u32);
        let mut latest = Self { seen: i64::MIN, until: 0, place: NOWHERE, entry: NOTHING };
        latest.wait_for(labels, places.start, places.end);
        latest
    }

    fn wait_for(&mut self, labels: &Labels, place: u32, end: u32) {
        if place < end {
            (self.place, self.until) = (place, labels.time(place));
        } else {
            self.place = NOWHERE;
        }
    }

    /// Whether a row of this time is not for the label that is waited for.
    fn is_past(&self, at: i64, strict: bool) -> bool {
        self.place != NOWHERE && if strict { at >= self.until } else { at > self.until }
    }
}

impl Rows<'_> {
    fn len(&self) -> usize {
        self.slots.len().min(self.ts.len())
    }

    fn row(&self, index: usize) -> Row {
        Row {
            ts: self.ts[index],
            created: self.created.and_then(|created| created[index]),
            seq: self.seq.map_or(0, |seq| seq[index]),
        }
    }

    /// Whether rows of one key mostly follow each other.
    fn comes_by_key(&self) -> bool {
        let followed = self.slots.windows(2).filter(|pair| pair[0] == pair[1]).count();
        followed * 2 >= self.slots.len()
    }

    /// The end of the rows from `start` on that have its slot and rise in time.
    fn rising(&self, start: usize) -> usize {
        let (slot, mut end) = (self.slots[start], start + 1);
        while end < self.len() && self.slots[end] == slot && self.ts[end] > self.ts[end - 1] {
            end += 1;
        }
        end
    }
}

impl Winners {
    /// Offers rows. `keeper` gives the handle of each that wins a place.
    pub fn offer(&mut self, labels: &Labels, rows: &Rows<'_>, keeper: &mut impl Keeper) {
        match self.rule.direction {
            Direction::Backward { delay, known: false } if rows.comes_by_key() => {
                self.by_key(labels, rows, i128::from(delay), keeper);
            }
            Direction::Backward { delay, known: false } => {
                self.mixed(labels, rows, delay, keeper);
            }
            Direction::Backward { .. } | Direction::Forward | Direction::Nearest => {
                for index in (0..rows.len()).filter(|index| rows.slots[*index] != NOWHERE) {
                    self.one(labels, rows, index, keeper);
                }
            }
        }
    }

    /// Of rising rows of one key only the last before each label can win.
    fn by_key(&mut self, labels: &Labels, rows: &Rows<'_>, delay: i128, keeper: &mut impl Keeper) {
        let strict = self.rule.strict;
        let is_for = |ts: i64, label: i64| match strict {
            true => i128::from(ts) + delay < i128::from(label),
            false => i128::from(ts) + delay <= i128::from(label),
        };
        let mut start = 0;
        while start < rows.len() {
            let end = rows.rising(start);
            let slot = rows.slots[start];
            while start < end && slot != NOWHERE {
                let Some(place) = self.backward_place(labels, slot, &rows.row(start)) else {
                    break;
                };
                let time = labels.time(place);
                let more = rows.ts[start..end].iter().take_while(|ts| is_for(**ts, time)).count();
                start += more.max(1);
                self.put(place, start - 1, rows, keeper);
            }
            start = end;
        }
    }

    fn mixed(&mut self, labels: &Labels, rows: &Rows<'_>, delay: i64, keeper: &mut impl Keeper) {
        if self.latest.is_empty() {
            self.latest = (0..labels.slot_count()).map(|slot| Latest::new(labels, slot)).collect();
        }
        for start in (0..rows.len()).step_by(TOGETHER) {
            let end = rows.len().min(start + TOGETHER);
            for slot in &rows.slots[start..end] {
                prefetch(&self.latest, *slot as usize);
                keeper.expect((*slot as usize).wrapping_add(self.backward.len()));
            }
            for index in (start..end).filter(|index| rows.slots[*index] != NOWHERE) {
                self.latest(labels, rows, index, delay, keeper);
            }
        }
    }

    /// The row becomes its key's latest, or is put at once if it comes too late for that.
    fn latest(
        &mut self,
        labels: &Labels,
        rows: &Rows<'_>,
        index: usize,
        delay: i64,
        keeper: &mut impl Keeper,
    ) {
        let (slot, row) = (rows.slots[index], rows.row(index));
        let at = row.ts.checked_add(delay);
        if at.is_none() && delay > 0 {
            // Later than any time; without a delay that long, it is earlier than any.
            return;
        }
        let Some(latest) = self.latest.get_mut(slot as usize) else { return };
        if row.ts < latest.seen {
            if let Some(place) = self.backward_place(labels, slot, &row) {
                self.put(place, index, rows, keeper);
            }
            return;
        }
        latest.seen = row.ts;
        if let Some(at) = at.filter(|at| latest.is_past(*at, self.rule.strict)) {
            let rest = latest.place..labels.slot(slot).end;
            let next = labels.first_at(&rest, at, self.rule.strict);
            self.release(slot as usize, keeper);
            self.latest[slot as usize].wait_for(labels, next, rest.end);
        }
        let cell = self.backward.len() + slot as usize;
        let latest = &mut self.latest[slot as usize];
        if latest.place != NOWHERE {
            put(&mut latest.entry, &row, row.ts, &mut self.held, (index, cell), keeper);
        }
    }

    /// Puts the latest row of a key at the place it waits for.
    fn release(&mut self, slot: usize, keeper: &mut impl Keeper) {
        let latest = &mut self.latest[slot];
        let entry = std::mem::replace(&mut latest.entry, NOTHING);
        if entry.handle == EMPTY {
            return;
        }
        let held = &mut self.backward[latest.place as usize];
        let wins = match entry.compare(held) {
            Ordering::Greater => true,
            Ordering::Less => false,
            Ordering::Equal => keeper.comes_after(entry.handle, held.handle),
        };
        self.held -= usize::from(held.handle != EMPTY);
        if wins {
            *held = Entry { handle: keeper.moved(entry.handle, latest.place as usize), ..entry };
        }
    }

    /// The end of the stream: no row waits any longer.
    pub fn finish(&mut self, keeper: &mut impl Keeper) {
        (0..self.latest.len()).for_each(|slot| self.release(slot, keeper));
        self.latest = Vec::new();
    }

    fn one(&mut self, labels: &Labels, rows: &Rows<'_>, index: usize, keeper: &mut impl Keeper) {
        let (slot, row) = (rows.slots[index], rows.row(index));
        let places = labels.slot(slot);
        if places.is_empty() {
            return;
        }
        if let Some(place) = self.backward_place(labels, slot, &row) {
            self.put(place, index, rows, keeper);
        }
        if !self.forward.is_empty() {
            let after = !self.rule.strict;
            let end = labels.first_from(&mut self.cursor, slot, &places, row.ts, after);
            if end > places.start {
                let place = end as usize - 1;
                let cell = self.backward.len() + place;
                let held = &mut self.forward[place];
                put(held, &row, !row.ts, &mut self.held, (index, cell), keeper);
            }
        }
    }

    /// The first place whose label may take the row when it looks backward.
    fn backward_place(&mut self, labels: &Labels, slot: u32, row: &Row) -> Option<u32> {
        if self.backward.is_empty() {
            return None;
        }
        let (delay, known) = match self.rule.direction {
            Direction::Backward { delay, known } => (delay, known),
            Direction::Forward | Direction::Nearest => (0, false),
        };
        let places = labels.slot(slot);
        let mut place = match row.ts.checked_add(delay) {
            Some(ts) => labels.first_from(&mut self.cursor, slot, &places, ts, self.rule.strict),
            // Later than any time, or earlier.
            None if delay > 0 => return None,
            None => places.start,
        };
        if known {
            let rest = place..places.end;
            place = labels.first_from(&mut Cursor::default(), NOWHERE, &rest, row.created?, false);
        }
        (place < places.end).then_some(place)
    }

    /// Puts a row where it wins looking backward.
    fn put(&mut self, place: u32, index: usize, rows: &Rows<'_>, keeper: &mut impl Keeper) {
        let row = rows.row(index);
        let held = &mut self.backward[place as usize];
        put(held, &row, row.ts, &mut self.held, (index, place as usize), keeper);
    }
}

/// Puts a row, given by its number, into a cell if it wins.
fn put(
    held: &mut Entry,
    row: &Row,
    rank: i64,
    count: &mut usize,
    (index, cell): (usize, usize),
    keeper: &mut impl Keeper,
) {
    let mut entry = Entry { rank, created: row.created, seq: row.seq, handle: 0 };
    let wins = match entry.compare(held) {
        Ordering::Greater => true,
        Ordering::Less => false,
        Ordering::Equal => keeper.is_later(index, held.handle),
    };
    if wins {
        let replaced = (held.handle != EMPTY).then_some(held.handle);
        *count += usize::from(replaced.is_none());
        entry.handle = keeper.keep(index, cell, replaced);
        *held = entry;
    }
}
