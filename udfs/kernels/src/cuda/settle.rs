//! From the rows that the device found to the nearest, by distances as the CPU has them.

use crate::vectors::{Neighbour, Rows, Top, distances};

use super::Search;
use super::bounds::Bound;
use super::find::of_key;
use super::machine::Unavailable;

/// Rows that are scored before it is asked again whether they are enough.
const STEP: usize = 32;

/// Rows of a search by their number, a few at a time.
pub struct Few<'a> {
    search: Search<'a>,
    k: usize,
    /// The numbers of the first rows of chunks, and of the row past the last.
    starts: Vec<usize>,
    pub dimension: usize,
}

impl<'a> Few<'a> {
    /// # Errors
    /// When there is nothing to look for, or chunks differ in their dimension.
    pub fn new(search: &Search<'a>, k: usize) -> Result<Self, Unavailable> {
        if k == 0 {
            return Err(Unavailable::new("no rows are asked for"));
        }
        let Some(first) = search.chunks.first() else {
            return Err(Unavailable::new("there are no rows"));
        };
        let dimension = first.dimension();
        if search.chunks.iter().any(|chunk| chunk.dimension() != dimension) {
            return Err(Unavailable::new("rows differ in their dimension"));
        }
        let mut starts = vec![0];
        for chunk in search.chunks {
            starts.push(starts.last().copied().unwrap_or(0) + chunk.len());
        }
        Ok(Self { search: *search, k, starts, dimension })
    }

    pub fn rows(&self) -> usize {
        self.starts.last().copied().unwrap_or(0)
    }

    fn row(&self, number: usize) -> Rows<'a> {
        let chunk = self.starts.partition_point(|start| *start <= number) - 1;
        let place = number - self.starts[chunk];
        self.search.chunks[chunk].slice(place..place + 1)
    }

    /// Offers a row with its exact distance; None if there is none.
    fn offer(&self, query: &[f32], number: u32, top: &mut Top) -> Option<()> {
        let mut exact = [0.0];
        let row = (number as usize) < self.rows();
        let row = row.then(|| self.row(number as usize))?;
        distances(self.search.level, self.search.metric, query, row, &mut exact).ok()?;
        top.offer(exact[0], self.search.first_key + u64::from(number));
        Some(())
    }
}

/// The nearest rows of a query, if the keys of the `wanted` most promising prove them; `apart` are
/// the visible rows that the device leaves out.
pub fn settle(
    few: &Few<'_>,
    (bound, query): &(Bound, &[f32]),
    apart: &[u32],
    keys: &[u64],
    wanted: usize,
) -> Option<Vec<Neighbour>> {
    let mut top = Top::new(few.k.min(few.rows()).max(1));
    for row in apart {
        few.offer(query, *row, &mut top)?;
    }
    let mut keys = keys.to_vec();
    keys.sort_unstable_by(|a, b| b.cmp(a));
    for step in keys.chunks(STEP) {
        let (nearness, _) = of_key(step[0]);
        top.select();
        if !top.is_open() && bound.is_beyond(nearness, top.limit()) {
            return Some(top.finish());
        }
        for key in step {
            few.offer(query, of_key(*key).1, &mut top)?;
        }
    }
    top.select();
    let (least, _) = of_key(keys.last().copied().unwrap_or(0));
    let is_proven = !top.is_open() && bound.is_beyond(least, top.limit());
    // Fewer than were wanted are all that there are.
    (keys.len() < wanted || wanted >= few.rows() || is_proven).then(|| top.finish())
}
