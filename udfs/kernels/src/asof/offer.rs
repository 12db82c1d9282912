//! Offering rows: each is put at the first place that may take it, if it is the greatest there.
//!
//! ```text
//!   rows of one key after another, rising     k k k k k k      the last row before each label
//!                                             1 2 5 6 9 9      is the only one that is put
//!   keys mixed                                ordered by key first, as many as are offered
//!   anything else                             searched and put row by row
//! ```
//! Of the rows in order of time, offered by the hundred thousand, many win for a moment only: once
//! they are ordered by key, none of these is put, and memory is gone through from one end to the
//! other, where rows as they come would jump about in it.

use std::cmp::Ordering;

use super::winners::{EMPTY, Entries, Entry};
use super::{Cursor, Direction, Keeper, Labels, NOWHERE, Row, Rows, Winners};

/// Bits of a slot that rows are ordered by at once.
const DIGIT: u32 = 9;

impl Rows<'_> {
    fn len(&self) -> usize {
        self.slots.len().min(self.ts.len())
    }

    fn row(&self, index: usize, ts: i64) -> Row {
        Row {
            ts,
            created: self.created.and_then(|created| created[index]),
            seq: self.seq.map_or(0, |seq| seq[index]),
        }
    }
}

/// Whether rows of one key mostly follow each other. Those that do not had better be offered
/// many at a time.
pub fn comes_by_key(slots: &[u32]) -> bool {
    let followed = slots.windows(2).filter(|pair| pair[0] == pair[1]).count();
    followed * 2 >= slots.len()
}

/// The rows that have a slot, by slot; those of one slot as they come.
pub fn by_slot(slots: &[u32]) -> Vec<u32> {
    let of = |row: u32| slots[row as usize];
    let rows = (0..slots.len() as u32).filter(|row| of(*row) != NOWHERE);
    let mut rows: Vec<(u32, u32)> = rows.map(|row| (of(row), row)).collect();
    let greatest = rows.iter().map(|(slot, _)| *slot).max().unwrap_or_default();
    let mut sorted = vec![(0, 0); rows.len()];
    for shift in (0..u32::BITS - greatest.leading_zeros()).step_by(DIGIT as usize) {
        let digit = |slot: u32| (slot >> shift) as usize & ((1 << DIGIT) - 1);
        let mut ends = [0; 1 << DIGIT];
        rows.iter().for_each(|(slot, _)| ends[digit(*slot)] += 1);
        let mut total = 0;
        for end in &mut ends {
            (*end, total) = (total, total + *end);
        }
        for row in &rows {
            let end: &mut usize = &mut ends[digit(row.0)];
            sorted[*end] = *row;
            *end += 1;
        }
        std::mem::swap(&mut rows, &mut sorted);
    }
    rows.into_iter().map(|(_, row)| row).collect()
}

/// Rows in the order that they are looked at: their slots and times, and what number each has.
struct Ordered<'a, N> {
    slots: &'a [u32],
    ts: &'a [i64],
    number: N,
}

impl<N> Ordered<'_, N> {
    /// The end of the rows from `start` on that have its slot and rise in time.
    fn rising(&self, start: usize) -> usize {
        let (slot, mut end) = (self.slots[start], start + 1);
        let is_next = |end: usize| self.slots[end] == slot && self.ts[end] > self.ts[end - 1];
        while end < self.slots.len() && is_next(end) {
            end += 1;
        }
        end
    }
}

impl Winners {
    /// Offers rows. `keeper` gives the handle of each that wins a place.
    pub fn offer(&mut self, labels: &Labels, rows: &Rows<'_>, keeper: &mut impl Keeper) {
        let count = rows.len();
        let (slots, ts) = (&rows.slots[..count], &rows.ts[..count]);
        let Some(order) = rows.order else {
            return self.ordered(labels, rows, &Ordered { slots, ts, number: |row| row }, keeper);
        };
        let slots: Vec<u32> = order.iter().map(|row| slots[*row as usize]).collect();
        let ts: Vec<i64> = order.iter().map(|row| ts[*row as usize]).collect();
        let number = |row: usize| order[row] as usize;
        self.ordered(labels, rows, &Ordered { slots: &slots, ts: &ts, number }, keeper);
    }

    fn ordered(
        &mut self,
        labels: &Labels,
        rows: &Rows<'_>,
        order: &Ordered<'_, impl Fn(usize) -> usize>,
        keeper: &mut impl Keeper,
    ) {
        match self.rule.direction {
            Direction::Backward { delay, known: false } => {
                self.by_key(labels, rows, order, i128::from(delay), keeper);
            }
            Direction::Backward { .. } | Direction::Forward | Direction::Nearest => {
                let somewhere = |row: &usize| order.slots[*row] != NOWHERE;
                for row in (0..order.slots.len()).filter(somewhere) {
                    let (slot, index) = (order.slots[row], (order.number)(row));
                    let row = rows.row(index, order.ts[row]);
                    self.one(labels, slot, (index, &row), keeper);
                }
            }
        }
    }

    /// Of rising rows of one key only the last before each label can win.
    fn by_key(
        &mut self,
        labels: &Labels,
        rows: &Rows<'_>,
        order: &Ordered<'_, impl Fn(usize) -> usize>,
        delay: i128,
        keeper: &mut impl Keeper,
    ) {
        let strict = self.rule.strict;
        let is_for = |ts: i64, label: i64| match strict {
            true => i128::from(ts) + delay < i128::from(label),
            false => i128::from(ts) + delay <= i128::from(label),
        };
        let mut start = 0;
        while start < order.slots.len() {
            let end = order.rising(start);
            let slot = order.slots[start];
            while start < end && slot != NOWHERE {
                let Some(place) = self.backward_place(labels, slot, order.ts[start], None) else {
                    break;
                };
                let time = labels.time(place);
                let more = order.ts[start..end].iter().take_while(|ts| is_for(**ts, time)).count();
                start += more.max(1);
                let index = (order.number)(start - 1);
                let row = rows.row(index, order.ts[start - 1]);
                self.put(place, (index, &row), keeper);
            }
            start = end;
        }
    }

    /// Offers a row, beside its number.
    fn one(
        &mut self,
        labels: &Labels,
        slot: u32,
        (index, row): (usize, &Row),
        keeper: &mut impl Keeper,
    ) {
        let places = labels.slot(slot);
        if places.is_empty() {
            return;
        }
        if let Some(place) = self.backward_place(labels, slot, row.ts, row.created) {
            self.put(place, (index, row), keeper);
        }
        if !self.forward.is_empty() {
            let after = !self.rule.strict;
            let end = labels.first_from(&mut self.cursor, slot, &places, row.ts, after);
            if end > places.start {
                let place = end as usize - 1;
                let cell = self.backward.len() + place;
                let ranked = Row { ts: !row.ts, ..*row };
                let won = put(&mut self.forward, place, &ranked, (index, cell), keeper);
                self.held += usize::from(won);
            }
        }
    }

    /// The first place whose label may take a row when it looks backward; `created` is asked for
    /// where rows are to be known.
    fn backward_place(
        &mut self,
        labels: &Labels,
        slot: u32,
        ts: i64,
        created: Option<i64>,
    ) -> Option<u32> {
        if self.backward.is_empty() {
            return None;
        }
        let (delay, known) = match self.rule.direction {
            Direction::Backward { delay, known } => (delay, known),
            Direction::Forward | Direction::Nearest => (0, false),
        };
        let places = labels.slot(slot);
        let mut place = match ts.checked_add(delay) {
            Some(ts) => labels.first_from(&mut self.cursor, slot, &places, ts, self.rule.strict),
            // Later than any time, or earlier.
            None if delay > 0 => return None,
            None => places.start,
        };
        if known {
            let rest = place..places.end;
            place = labels.first_from(&mut Cursor::default(), NOWHERE, &rest, created?, false);
        }
        (place < places.end).then_some(place)
    }

    /// Puts a row where it wins looking backward.
    fn put(&mut self, place: u32, (index, row): (usize, &Row), keeper: &mut impl Keeper) {
        let place = place as usize;
        let won = put(&mut self.backward, place, row, (index, place), keeper);
        self.held += usize::from(won);
    }
}

/// Puts a row, given by its number, at a place if it wins, `ts` being its rank; whether nothing was
/// there before.
fn put(
    entries: &mut Entries,
    place: usize,
    row: &Row,
    (index, cell): (usize, usize),
    keeper: &mut impl Keeper,
) -> bool {
    let held = entries.get(place);
    let mut entry = Entry { rank: row.ts, created: row.created, seq: row.seq, handle: 0 };
    let wins = match entry.compare(&held) {
        Ordering::Greater => true,
        Ordering::Less => false,
        Ordering::Equal => keeper.is_later(index, held.handle),
    };
    if !wins {
        return false;
    }
    let replaced = (held.handle != EMPTY).then_some(held.handle);
    entry.handle = keeper.keep(index, cell, replaced);
    entries.set(place, &entry);
    replaced.is_none()
}
