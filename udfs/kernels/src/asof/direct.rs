//! Windows that have few rows each: rows are kept, ordered by key and time, and each window is gone
//! through, as its rows are a run then. Nothing is merged.

use super::{Frame, Instant, Labels};

/// Numbers of rows in windows of one frame, by key and what they go by.
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

    /// Of rows of these slots, which are the labels'; fewer rows than `u32::MAX`.
    pub fn new(labels: &Labels, slots: &[u32], at: impl Fn(usize) -> Instant) -> Self {
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
        let (at, mut has_ties) = (|row: &u32| at(*row as usize), false);
        for slot in ends.windows(2) {
            let rows = &mut rows[slot[0] as usize..slot[1] as usize];
            if rows.is_sorted_by(|a, b| at(a) < at(b)) {
                continue;
            }
            rows.sort_unstable_by_key(at);
            has_ties |= rows.windows(2).any(|pair| at(&pair[0]) == at(&pair[1]));
        }
        Self { starts: ends, rows, has_ties }
    }

    /// Whether there are rows of one key that agree in all that they go by.
    pub fn has_ties(&self) -> bool {
        self.has_ties
    }

    /// How many rows all windows have together: what going through them costs.
    pub fn pairs(&self, frame: &Frame, labels: &Labels, ts: &[i64]) -> u64 {
        let mut pairs = 0;
        self.each(frame, labels, ts, |rows| pairs += rows.len() as u64);
        pairs
    }

    /// Calls `each` with the rows of each place's window, rising, in order of places; `ts`: of each
    /// row by its number. Rows that are to be known are of no such window.
    pub fn each(&self, frame: &Frame, labels: &Labels, ts: &[i64], mut each: impl FnMut(&[u32])) {
        for (slot, places) in labels.slots().enumerate() {
            let rows = &self.rows[self.starts[slot] as usize..self.starts[slot + 1] as usize];
            let is_out = |row: usize, cut| !frame.is_after(ts[rows[row] as usize], cut);
            let (mut low, mut high) = (0, 0);
            for place in places {
                let (begin, end) = frame.cuts(labels.time(place as u32));
                while high < rows.len() && is_out(high, end) {
                    high += 1;
                }
                while low < high && is_out(low, begin) {
                    low += 1;
                }
                each(&rows[low..high]);
            }
        }
    }
}
