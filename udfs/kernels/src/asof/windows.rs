//! Windows at label time: for each label, a state over the rows of `(t - width, t]`, or of
//! `[t - width, t)` when the current instant is left out.
//!
//! ```text
//!   cuts of a key     ──t1-w────t2-w──t1────────t2──▶ time       where a window begins or ends
//!   cells                  [  0  ][  1  ][   2   ]               a row is in one cell
//!   window of t1           [  0  +   1  ]                        a window is a run of cells
//!   window of t2                 [  1   +    2   ]
//! ```
//!
//! A row is added to the state of its cell, so that rows may come in any order and in any number of
//! streams, whose states are merged; memory is that of the labels. At the end the windows of a
//! key slide over its cells, both ends only forward: a queue of two stacks merges each cell a few
//! times and takes nothing out of a state again, since floats would not forget it.

use super::Labels;

/// What rows of a window are gathered in. Merging is commutative: rows have no order.
pub trait State: Clone + Default {
    /// Adds what another has gathered.
    fn merge(&mut self, other: &Self);
}

/// Where windows begin and end, for all that are of one width.
#[derive(Debug)]
pub struct Windows {
    excludes_current: bool,
    width: i64,
    /// Per slot: its first cut, and the end.
    starts: Vec<usize>,
    /// Ascending within a slot; wide, so that none is out of range.
    cuts: Vec<i128>,
}

impl Windows {
    /// Bytes that a label needs, beside two states.
    pub const BYTES: usize = 2 * size_of::<i128>() + size_of::<usize>();

    /// Windows of `width` ticks, above 0, for all labels.
    pub fn new(labels: &Labels, width: i64, excludes_current: bool) -> Self {
        let (mut starts, mut cuts) = (vec![0], Vec::new());
        for places in labels.slots() {
            let first = cuts.len();
            for place in places {
                let end = i128::from(labels.time(place as u32));
                cuts.extend([end - i128::from(width), end]);
            }
            let of_slot = &mut cuts[first..];
            of_slot.sort_unstable();
            let kept = first + deduplicated(of_slot);
            cuts.truncate(kept);
            starts.push(kept);
        }
        Self { excludes_current, width, starts, cuts }
    }

    /// How many states a stream of rows needs, one a cell.
    pub fn cells(&self) -> usize {
        self.cuts.len()
    }

    /// The cell in which a row of the key at `slot` is; None if no window has it.
    pub fn cell(&self, slot: u32, ts: i64) -> Option<usize> {
        let (start, end) = self.slot(slot as usize)?;
        let ts = i128::from(ts);
        let before = |cut: &i128| if self.excludes_current { *cut <= ts } else { *cut < ts };
        let passed = start + self.cuts[start..end].partition_point(before);
        (start < passed && passed < end).then(|| passed - 1)
    }

    fn slot(&self, slot: usize) -> Option<(usize, usize)> {
        Some((*self.starts.get(slot)?, *self.starts.get(slot.checked_add(1)?)?))
    }

    /// The state of each place's window, in order, from those of the cells.
    pub fn slide<S: State>(&self, labels: &Labels, cells: &[S]) -> Vec<S> {
        let mut windows = Vec::with_capacity(labels.place_count());
        for (slot, places) in labels.slots().enumerate() {
            let Some((start, end)) = self.slot(slot) else { break };
            let cuts = &self.cuts[start..end];
            let (mut sliding, mut begin, mut next) = (Sliding::default(), 0, 0);
            for place in places {
                let t = i128::from(labels.time(place as u32));
                while cuts[next] < t {
                    sliding.push(&cells[start + next]);
                    next += 1;
                }
                while cuts[begin] < t - i128::from(self.width) {
                    sliding.pop();
                    begin += 1;
                }
                windows.push(sliding.value());
            }
        }
        windows
    }
}

/// Adds the states of another stream over the same windows.
pub fn merge_cells<S: State>(cells: &mut [S], others: &[S]) {
    cells.iter_mut().zip(others).for_each(|(cell, other)| cell.merge(other));
}

/// Moves each value once to the front; how many there are.
fn deduplicated(sorted: &mut [i128]) -> usize {
    let mut kept = 0;
    for index in 0..sorted.len() {
        if index == 0 || sorted[index] != sorted[kept - 1] {
            sorted[kept] = sorted[index];
            kept += 1;
        }
    }
    kept
}

/// A queue of states that knows their sum: what comes out is `front`, each with all behind it in
/// that stack; what goes in is `back`.
#[derive(Default)]
struct Sliding<S> {
    front: Vec<S>,
    back: Vec<S>,
    sum_of_back: S,
}

impl<S: State> Sliding<S> {
    fn push(&mut self, state: &S) {
        self.sum_of_back.merge(state);
        self.back.push(state.clone());
    }

    /// Drops the first that went in.
    fn pop(&mut self) {
        if self.front.is_empty() {
            let mut sum = S::default();
            while let Some(state) = self.back.pop() {
                sum.merge(&state);
                self.front.push(sum.clone());
            }
            self.sum_of_back = S::default();
        }
        self.front.pop();
    }

    fn value(&self) -> S {
        let mut value = self.sum_of_back.clone();
        if let Some(front) = self.front.last() {
            value.merge(front);
        }
        value
    }
}
