//! Windows that have few rows each: rows are kept, ordered by key and time, and each window is gone
//! through, as its rows are a run then. Nothing is merged.

use std::ops::Range;

use super::{Frame, Instant, Labels};

/// Numbers of rows in windows of one frame, by key.
#[derive(Debug)]
pub struct ByKey {
    /// Of each slot the first of its rows, and the end.
    starts: Vec<u32>,
    rows: Vec<u32>,
    has_ties: bool,
}

impl ByKey {
    /// Bytes for a slot, and for a row.
    pub const BYTES: (usize, usize) = (size_of::<u32>(), size_of::<u32>());

    /// Of rows of these slots, which are the labels', those of a slot as they come; fewer rows than
    /// `u32::MAX`.
    pub fn new(labels: &Labels, slots: &[u32]) -> Self {
        let mut ends = vec![0u32; labels.slot_count() + 1];
        slots.iter().for_each(|slot| ends[*slot as usize] += 1);
        let mut total = 0;
        for end in &mut ends {
            (*end, total) = (total, total + *end);
        }
        let mut rows = vec![0u32; slots.len()];
        for (row, slot) in slots.iter().enumerate() {
            let end = &mut ends[*slot as usize];
            rows[*end as usize] = row as u32;
            *end += 1;
        }
        // Where a slot ends the next begins.
        ends.rotate_right(1);
        ends[0] = 0;
        Self { starts: ends, rows, has_ties: false }
    }

    /// Whether the times of each key rise; `ts`: of each row by its number.
    pub fn rises(&self, ts: &[i64]) -> bool {
        let rows =
            self.starts.windows(2).map(|slot| &self.rows[slot[0] as usize..slot[1] as usize]);
        rows.into_iter().all(|rows| rows.is_sorted_by(|a, b| ts[*a as usize] < ts[*b as usize]))
    }

    /// Orders the rows of each key by what they go by, so that their times rise.
    pub fn sort(&mut self, at: impl Fn(usize) -> Instant) {
        let at = |row: &u32| at(*row as usize);
        for slot in self.starts.windows(2) {
            let rows = &mut self.rows[slot[0] as usize..slot[1] as usize];
            if !rows.is_sorted_by(|a, b| at(a) < at(b)) {
                rows.sort_unstable_by_key(at);
                self.has_ties |= rows.windows(2).any(|pair| at(&pair[0]) == at(&pair[1]));
            }
        }
    }

    /// Whether there are rows of one key that agree in all that they go by.
    pub fn has_ties(&self) -> bool {
        self.has_ties
    }

    /// The rows, key after key.
    pub fn rows(&self) -> &[u32] {
        &self.rows
    }

    /// Of each place's window where its rows begin in `rows`, and where they end; `ts`: of each row
    /// by its number, rising for each key. Rows that are to be known are of no such window.
    pub fn runs(&self, frame: &Frame, labels: &Labels, ts: &[i64]) -> Vec<Range<u32>> {
        let mut runs = Vec::with_capacity(labels.place_count());
        for (slot, places) in labels.slots().enumerate() {
            let (mut low, end_of_slot) = (self.starts[slot], self.starts[slot + 1]);
            let mut high = low;
            let is_out = |at: u32, cut| {
                let row = self.rows[at as usize];
                !frame.is_after(ts[row as usize], cut)
            };
            for place in places {
                let (begin, end) = frame.cuts(labels.time(place as u32));
                while high < end_of_slot && is_out(high, end) {
                    high += 1;
                }
                while low < high && is_out(low, begin) {
                    low += 1;
                }
                runs.push(low..high);
            }
        }
        runs
    }
}
