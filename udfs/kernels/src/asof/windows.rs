//! Windows at label time: for each label, a state over the rows of `(t - width, t - gap]`, or of
//! `[t - width, t - gap)` when the end is left out.
//!
//! ```text
//!   cuts of a key     ──t1-w────t2-w──t1────────t2──▶ time       where a window begins or ends
//!   cells                  [  0  ][  1  ][   2   ]               a row is in one cell
//!   window of t1           [  0  +   1  ]                        a window is a run of cells
//!   window of t2                 [  1   +    2   ]
//! ```
//! What is between windows, as after t1 and before t3 - w, is no cell.
//!
//! A row is added to the state of its cell, so that rows may come in any order and in any number of
//! streams, whose states are merged; memory is that of the labels. At the end the windows of a
//! key slide over its cells, both ends only forward: a queue of two stacks merges each cell a few
//! times and takes nothing out of a state again, since floats would not forget it.
//!
//! Rows that count only from when they became known are in the windows of a run of labels that may
//! begin anywhere. Such a run is a few nodes of a tree over the key's labels; a label's window is
//! what the nodes above it have.

use std::collections::{HashMap, HashSet};
use std::hash::Hash;
use std::ops::Range;

use super::{Cursor, Labels};

/// What rows of a window are gathered in. Merging is commutative: rows have no order.
pub trait State: Clone + Default {
    /// Adds what another has gathered.
    fn merge(&mut self, other: &Self);
}

/// Which rows are in the window of a label, by ticks before its time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Frame {
    /// Where it begins, above 0; None: before all rows.
    pub width: Option<i64>,
    /// Where it ends, not negative. One that ends before it begins is empty.
    pub gap: i64,
    /// The row at its end is out and the one at its begin in, in place of the other way round.
    pub excludes_end: bool,
    /// Rows count from when they became known; those without such a time never.
    pub known: bool,
}

impl Frame {
    /// The cut at which the window of a label time begins; wide, so that none is out of range.
    fn begin(&self, t: i64) -> i128 {
        match self.width {
            Some(width) => i128::from(t) - i128::from(width),
            None => i128::from(i64::MIN) - 1,
        }
    }

    fn end(&self, t: i64) -> i128 {
        (i128::from(t) - i128::from(self.gap)).max(self.begin(t))
    }

    /// The cuts at which the window of a label time begins and ends.
    pub(super) fn cuts(&self, t: i64) -> (i128, i128) {
        (self.begin(t), self.end(t))
    }

    /// Whether a window of the key at `slot` has rows of a time; not for rows that are to be known.
    pub fn covers(&self, labels: &Labels, cursor: &mut Cursor, slot: u32, ts: i64) -> bool {
        if self.width.is_some_and(|width| width < self.gap) {
            return false;
        }
        // The first window that ends late enough begins before the others.
        let Some(end) = ts.checked_add(self.gap) else { return false };
        let places = labels.slot(slot);
        let place = labels.first_from(cursor, slot, &places, end, self.excludes_end);
        place < places.end && self.is_after(ts, self.begin(labels.time(place)))
    }

    /// Whether a row is after a cut.
    pub(super) fn is_after(&self, ts: i64, cut: i128) -> bool {
        let ts = i128::from(ts);
        if self.excludes_end { cut <= ts } else { cut < ts }
    }
}

/// Where windows begin and end, for all that have one frame.
#[derive(Debug)]
pub struct Windows {
    frame: Frame,
    /// Per slot: its first cut, and the end. Nothing if rows are to be known.
    starts: Vec<usize>,
    /// Ascending within a slot.
    cuts: Vec<i128>,
    /// Of each cut, the cell behind it; `BETWEEN` if no window has it.
    numbers: Vec<usize>,
    cells: usize,
}

/// Of a cut behind which is no cell.
const BETWEEN: usize = usize::MAX;

/// A window's way over the cells.
enum Step {
    /// The windows of another key begin.
    Slot,
    In(usize),
    Out(usize),
    /// The cells that are in are a label's window.
    Place,
}

impl Windows {
    /// Bytes that a label needs, beside two states.
    pub const BYTES: usize = 2 * (size_of::<i128>() + size_of::<usize>()) + size_of::<usize>();

    /// The windows of all labels.
    pub fn new(labels: &Labels, frame: Frame) -> Self {
        if frame.known {
            let cells = 2 * labels.place_count();
            let (starts, cuts, numbers) = (Vec::new(), Vec::new(), Vec::new());
            return Self { frame, starts, cuts, numbers, cells };
        }
        let (mut starts, mut cuts, mut numbers) = (vec![0], Vec::new(), Vec::new());
        let mut cells = 0;
        for places in labels.slots() {
            let first = cuts.len();
            for place in places.clone() {
                let t = labels.time(place as u32);
                cuts.extend([frame.begin(t), frame.end(t)]);
            }
            let of_slot = &mut cuts[first..];
            of_slot.sort_unstable();
            let kept = first + deduplicated(of_slot);
            cuts.truncate(kept);
            starts.push(kept);
            // Both ends of windows ascend with their labels' times.
            let (mut begun, mut ended) = (places.start, places.start);
            for cut in &cuts[first..] {
                let time = |place: usize| labels.time(place as u32);
                while begun < places.end && frame.begin(time(begun)) <= *cut {
                    begun += 1;
                }
                while ended < places.end && frame.end(time(ended)) <= *cut {
                    ended += 1;
                }
                let covered = begun > ended;
                numbers.push(if covered { cells } else { BETWEEN });
                cells += usize::from(covered);
            }
        }
        Self { frame, starts, cuts, numbers, cells }
    }

    /// How many states a stream of rows needs, one a cell.
    pub fn cells(&self) -> usize {
        self.cells
    }

    /// The most cells that a key's windows slide over.
    pub fn largest(&self) -> usize {
        let cells = |slot: &[usize]| (slot[0]..slot[1]).filter_map(|cut| self.cell(cut)).count();
        self.starts.windows(2).map(cells).max().unwrap_or(0)
    }

    /// Calls `put` with each cell that a row of the key at `slot` is to be added to; none if no
    /// window has it. `known`: when it became known.
    pub fn place(
        &self,
        labels: &Labels,
        slot: u32,
        (ts, known): (i64, Option<i64>),
        mut put: impl FnMut(usize),
    ) {
        if self.frame.known {
            if let Some(known) = known {
                self.nodes(labels, slot, (ts, known), put);
            }
            return;
        }
        let Some((start, end)) = self.slot(slot as usize) else { return };
        let before = |cut: &i128| self.frame.is_after(ts, *cut);
        let passed = start + self.cuts[start..end].partition_point(before);
        if start < passed
            && let Some(cell) = self.cell(passed - 1)
        {
            put(cell);
        }
    }

    /// The nodes under which are the labels whose windows have a row, and no others.
    fn nodes(
        &self,
        labels: &Labels,
        slot: u32,
        (ts, known): (i64, i64),
        mut put: impl FnMut(usize),
    ) {
        let places = labels.slot(slot);
        let has_begun = |place: u32| {
            let t = labels.time(place);
            known <= t && !self.frame.is_after(ts, self.frame.end(t))
        };
        let has_ended = |place: u32| {
            let t = labels.time(place);
            !self.frame.is_after(ts, self.frame.begin(t))
        };
        let first = partition_point(&places, |place| !has_begun(place));
        let last = partition_point(&places, |place| !has_ended(place));
        let count = places.len();
        let base = 2 * places.start as usize;
        let mut low = (first - places.start) as usize + count;
        let mut high = (last.max(first) - places.start) as usize + count;
        while low < high {
            if low % 2 == 1 {
                put(base + low);
                low += 1;
            }
            if high % 2 == 1 {
                high -= 1;
                put(base + high);
            }
            (low, high) = (low / 2, high / 2);
        }
    }

    /// The cell behind a cut.
    fn cell(&self, cut: usize) -> Option<usize> {
        self.numbers.get(cut).copied().filter(|number| *number != BETWEEN)
    }

    fn slot(&self, slot: usize) -> Option<(usize, usize)> {
        Some((*self.starts.get(slot)?, *self.starts.get(slot.checked_add(1)?)?))
    }

    fn steps(&self, labels: &Labels, mut take: impl FnMut(Step)) {
        for (slot, places) in labels.slots().enumerate() {
            let Some((start, end)) = self.slot(slot) else { break };
            let cuts = &self.cuts[start..end];
            let (mut begin, mut next) = (0, 0);
            take(Step::Slot);
            for place in places {
                let t = labels.time(place as u32);
                while cuts[next] < self.frame.end(t) {
                    self.cell(start + next).into_iter().for_each(|cell| take(Step::In(cell)));
                    next += 1;
                }
                while cuts[begin] < self.frame.begin(t) {
                    self.cell(start + begin).into_iter().for_each(|cell| take(Step::Out(cell)));
                    begin += 1;
                }
                take(Step::Place);
            }
        }
    }

    /// Calls `each` with the nodes above each place, in order of places.
    fn above(&self, labels: &Labels, mut each: impl FnMut(&mut dyn Iterator<Item = usize>)) {
        for places in labels.slots() {
            let (base, count) = (2 * places.start, places.len());
            for leaf in count..2 * count {
                let up = |node: &usize| Some(node / 2).filter(|parent| *parent > 0);
                let mut nodes = std::iter::successors(Some(leaf), up).map(|node| base + node);
                each(&mut nodes);
            }
        }
    }

    /// Calls `each` with the state of each place's window, in order, from those of the cells.
    pub fn slide<S: State>(&self, labels: &Labels, cells: &[S], mut each: impl FnMut(S)) {
        if self.frame.known {
            return self.above(labels, |nodes| {
                let mut state = S::default();
                nodes.for_each(|node| state.merge(&cells[node]));
                each(state);
            });
        }
        let mut sliding = Sliding::default();
        self.steps(labels, |step| match step {
            Step::Slot => sliding = Sliding::default(),
            Step::In(cell) => sliding.push(&cells[cell]),
            Step::Out(_) => sliding.pop(),
            Step::Place => each(sliding.value()),
        });
    }

    /// Calls `each` with how many values the cells of each place's window have, in order.
    pub fn distinct<V: Eq + Hash>(
        &self,
        labels: &Labels,
        cells: &[HashSet<V>],
        mut each: impl FnMut(u64),
    ) {
        if self.frame.known {
            return self.above(labels, |nodes| {
                let values: HashSet<&V> = nodes.flat_map(|node| &cells[node]).collect();
                each(values.len() as u64);
            });
        }
        // In how many of the cells each value is.
        let mut held: HashMap<&V, usize> = HashMap::new();
        self.steps(labels, |step| match step {
            Step::Slot => held.clear(),
            Step::In(cell) => {
                cells[cell].iter().for_each(|value| *held.entry(value).or_default() += 1);
            }
            Step::Out(cell) => cells[cell].iter().for_each(|value| {
                let Some(count) = held.get_mut(value) else { return };
                *count -= 1;
                if *count == 0 {
                    held.remove(value);
                }
            }),
            Step::Place => each(held.len() as u64),
        });
    }
}

/// Adds the states of another stream over the same windows.
pub fn merge_cells<S: State>(cells: &mut [S], others: &[S]) {
    cells.iter_mut().zip(others).for_each(|(cell, other)| cell.merge(other));
}

/// The first of `places` of which `is_before` is not true; it is true up to some place.
fn partition_point(places: &Range<u32>, is_before: impl Fn(u32) -> bool) -> u32 {
    let (mut low, mut high) = (places.start, places.end);
    while low < high {
        let middle = low + (high - low) / 2;
        match is_before(middle) {
            true => low = middle + 1,
            false => high = middle,
        }
    }
    low
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
