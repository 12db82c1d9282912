//! The nearest other rows of every row, by L2: exact by tiles while rows are few, by an index of
//! them when they are many.

use super::{Error, Options, Phase, Work};
use crate::ann::{self, Builder, Effort, Model, Query, calibrate, search_batch};
use crate::parallel;
use crate::vectors::{Metric, Neighbour, Rows, Scan, Visible, nearest_to_each};

/// Rows up to which all pairs are compared.
const EXACT: usize = 20_000;
/// Dimensions from which on an index takes no rows.
const WIDE: usize = 4097;
/// Queries that are searched for together.
const TOGETHER: usize = 256;
/// Products of a piece of work, some tens of milliseconds: cancelling waits for no more.
const PRODUCTS: usize = 1 << 31;
/// What the index is asked for.
const RECALL: f32 = 0.95;
/// Rows that an index takes at once, and queries that it answers at once.
const CHUNK: usize = 16_384;

/// For each row `width` others, at least one, nearest first: row-major ends and distances.
#[derive(Debug, Clone)]
pub(super) struct Near {
    pub width: usize,
    pub ends: Vec<u32>,
    pub distances: Vec<f32>,
}

/// Bytes at most at once, beside the answer.
pub(super) fn memory_bytes(rows: usize, dimension: usize, k: usize, threads: usize) -> usize {
    let queries = TOGETHER * threads.max(1) * ((k * 2 + 256) * 24 + dimension * 12);
    if is_exact(rows, dimension) {
        return queries;
    }
    // Codes, second numbers and what goes with them, as parts and as lists; a sample in training.
    let index = rows.saturating_mul(dimension * 2 + 64).saturating_mul(2);
    let sample = ann::Options::new(Metric::L2, dimension).sample_for(rows) * dimension * 4 * 4;
    index.saturating_add(sample).saturating_add(queries).saturating_add(CHUNK * k * 64)
}

/// The neighbours of rows, of which there are two at least: one less than `Options::neighbours`, or
/// all others where there are fewer.
///
/// # Errors
/// `Cancelled`.
pub(super) fn find(
    rows: &[f32],
    dimension: usize,
    options: &Options,
    work: &Work<'_>,
) -> Result<Near, Error> {
    let rows = Rows::single(rows, dimension)?;
    let k = options.neighbours.min(rows.len());
    match is_exact(rows.len(), dimension) {
        true => exact(rows, k, work),
        false => by_index(rows, (k, options.seed), work),
    }
}

fn is_exact(rows: usize, dimension: usize) -> bool {
    rows <= EXACT || dimension >= WIDE
}

impl Near {
    fn new(width: usize, rows: usize) -> Self {
        let room = width * rows;
        Self { width, ends: Vec::with_capacity(room), distances: Vec::with_capacity(room) }
    }

    /// Adds the next row, which is among its nearest itself unless others equal it.
    fn push(&mut self, row: usize, found: &[Neighbour]) {
        let others = found.iter().filter(|neighbour| neighbour.key != row as u64);
        for neighbour in others.take(self.width) {
            self.ends.push(neighbour.key as u32);
            self.distances.push(neighbour.distance);
        }
    }
}

fn exact(rows: Rows<'_>, k: usize, work: &Work<'_>) -> Result<Near, Error> {
    let (metric, visible, level) = (Metric::L2, Visible::default(), work.level);
    let scan = Scan { level, metric, rows, visible, first_key: 0 };
    let size = (PRODUCTS / (rows.len() * rows.dimension())).clamp(16, TOGETHER);
    let pieces = rows.len().div_ceil(size);
    let done = std::sync::atomic::AtomicUsize::new(0);
    let parts = parallel::map(work.threads, pieces, |piece| {
        let some = rows.slice(piece * size..(piece + 1) * size);
        let mut queries = Vec::new();
        some.copy_to(&mut queries);
        let found = nearest_to_each(&scan, &queries, k);
        let found = found.map(|found| {
            let mut near = Near::new(k - 1, some.len());
            for (place, found) in found.iter().enumerate() {
                near.push(piece * size + place, found);
            }
            near
        });
        let done = done.fetch_add(1, std::sync::atomic::Ordering::Relaxed) + 1;
        (work.go_on)(Phase::Neighbours, done, pieces).then_some(found)
    });
    let mut near = Near::new(k - 1, rows.len());
    for part in parts.ok_or(Error::Cancelled)? {
        let part = part?;
        near.ends.extend(part.ends);
        near.distances.extend(part.distances);
    }
    Ok(near)
}

/// Rows that the index does not find are no neighbours; distances are exact.
fn by_index(rows: Rows<'_>, (k, seed): (usize, u64), work: &Work<'_>) -> Result<Near, Error> {
    let chunks = rows.len().div_ceil(CHUNK);
    let steps = chunks * 2 + 1;
    let told = |step: usize| move |_, _, _| (work.go_on)(Phase::Neighbours, step, steps);
    let first = told(0);
    let quiet = ann::Work { level: work.level, threads: work.threads, go_on: &first };
    let options = ann::Options { seed, ..ann::Options::new(Metric::L2, rows.dimension()) };
    let sample = sample(rows, options.sample_for(rows.len()));
    let sample = Rows::single(&sample, rows.dimension())?;
    let model = Model::train(options, sample, rows.len(), &quiet).map_err(refused)?;
    let mut builder = Builder::new(model.into());
    for chunk in 0..chunks {
        let go_on = told(chunk + 1);
        let some = rows.slice(chunk * CHUNK..(chunk + 1) * CHUNK);
        let first = (chunk * CHUNK) as u32;
        let numbers: Vec<u32> = (first..first + some.len() as u32).collect();
        builder.push(some, &numbers, &ann::Work { go_on: &go_on, ..quiet }).map_err(refused)?;
    }
    let mut segment = builder.finish();
    let curve = calibrate(&segment, None, &quiet).map_err(refused)?;
    segment.set_calibration(curve);
    let mut near = Near::new(k - 1, rows.len());
    let mut plain = Vec::new();
    for chunk in 0..chunks {
        let go_on = told(chunks + chunk + 1);
        rows.slice(chunk * CHUNK..(chunk + 1) * CHUNK).copy_to(&mut plain);
        let query = |vector| Query {
            vector,
            k,
            effort: Effort::Recall(RECALL),
            visible: Visible::default(),
            vectors: Some(rows),
        };
        let queries: Vec<Query<'_>> = plain.chunks_exact(rows.dimension()).map(query).collect();
        let work = ann::Work { go_on: &go_on, ..quiet };
        let found = search_batch(segment.head(), &segment, &work, &queries).map_err(refused)?;
        for (place, found) in found.iter().enumerate() {
            near.push(chunk * CHUNK + place, &found.neighbours);
        }
    }
    Ok(near)
}

/// Rows at even steps.
fn sample(rows: Rows<'_>, count: usize) -> Vec<f32> {
    let (mut sample, mut one) = (Vec::with_capacity(count * rows.dimension()), Vec::new());
    for place in 0..count {
        let row = place * rows.len() / count.max(1);
        rows.slice(row..row + 1).copy_to(&mut one);
        sample.extend_from_slice(&one);
    }
    sample
}

fn refused(error: ann::Error) -> Error {
    match error {
        ann::Error::Vector(error) => Error::Vector(error),
        ann::Error::Cancelled => Error::Cancelled,
        other => Error::Index(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ann::Random;

    fn rows(count: usize, dimension: usize) -> Vec<f32> {
        let mut random = Random::new(3);
        // Few values, so that rows are equal now and then.
        (0..count * dimension).map(|_| random.below(40) as f32).collect()
    }

    fn check(near: &Near, rows: usize, width: usize) {
        assert_eq!((near.width, near.ends.len()), (width, rows * width));
        let each = near.ends.chunks(width).zip(near.distances.chunks(width));
        for (row, (ends, distances)) in each.enumerate() {
            assert!(distances.is_sorted());
            let mut ends = ends.to_vec();
            ends.sort_unstable();
            ends.dedup();
            assert!(ends.len() == width && ends.binary_search(&(row as u32)).is_err(), "{row}");
        }
    }

    #[test]
    fn an_index_finds_nearly_what_all_pairs_give() {
        let (all, dimension) = (rows(6000, 6), 6);
        let rows = Rows::single(&all, dimension).unwrap();
        let exact = exact(rows, 15, &Work::alone()).unwrap();
        let found = by_index(rows, (15, 0), &Work::alone()).unwrap();
        check(&exact, 6000, 14);
        check(&found, 6000, 14);
        let near = exact.distances.chunks(14).zip(found.distances.chunks(14));
        let hits: usize = near.map(|(a, b)| b.iter().filter(|d| **d <= a[13]).count()).sum();
        assert!(hits as f64 >= 0.94 * found.ends.len() as f64, "{hits}");
    }

    #[test]
    fn a_row_is_no_neighbour_of_its_own_where_many_are_equal() {
        let all = [vec![1.0f32; 80], rows(10, 2)].concat();
        let rows = Rows::single(&all, 2).unwrap();
        check(&exact(rows, 15, &Work::alone()).unwrap(), 50, 14);
        let options = Options { neighbours: 100, ..Options::default() };
        check(&find(&all, 2, &options, &Work::alone()).unwrap(), 50, 49);
        check(&find(&all[..4], 2, &options, &Work::alone()).unwrap(), 2, 1);
    }
}
