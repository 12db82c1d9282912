//! What recall an index gives: some of its live rows are searched for, and the answers compared
//! with those of a scan of all its vectors.
//!
//! A row counts as found if it is no farther than the k-th nearest of the scan, both distances
//! being computed alike, so that ties do not count against the index. Rows that no segment covers
//! are not looked at: they are always found.

use kernels::ann::{Effort, Query, Random};
use kernels::simd::level::Level;
use kernels::vectors::{self, Bitmap, Neighbour, Rows, Scan, Visible, distance, nearest_to_each};

use super::TableIndex;
use super::segment::wrong;
use crate::error::Result;
use crate::scan::LakeTable;

/// Rows that are compared with the queries at once.
const CHUNK_ROWS: u64 = 8 * 1024;
/// Draws for each query: a row may be gone or have no vector.
const DRAWS: usize = 64;
/// The recall of a sample.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Measured {
    pub queries: u64,
    pub recall: f64,
}

impl LakeTable {
    /// The recall of the `k` nearest to `sample` of the rows, searched for with a recall; None if
    /// the index has no rows.
    ///
    /// # Errors
    /// Those of reading segments.
    pub async fn measure(
        &self,
        index: &TableIndex,
        (sample, k, recall): (usize, usize, f64),
    ) -> Result<Option<Measured>> {
        let files = &index.segments.segments;
        let hidden: Vec<Option<Bitmap>> = files.iter().map(|file| self.hidden(file)).collect();
        let mut queries = Vec::new();
        for (number, file) in files.iter().enumerate() {
            let share = file.indexed as f64 / index.segments.indexed().max(1) as f64;
            let wanted = (sample as f64 * share).ceil() as usize;
            queries.extend(draw(index, (number, wanted), hidden[number].as_ref()).await?);
        }
        if queries.is_empty() || k == 0 {
            return Ok(None);
        }
        let truths = truths(index, &hidden, &queries.concat(), k).await?;
        let (mut found, mut wanted) = (0, 0);
        for (query, truth) in queries.iter().zip(&truths) {
            let truth = distances(index, query, truth).await?;
            let Some(limit) = truth.last() else { continue };
            let near = searched(index, &hidden, query, (k, recall)).await?;
            found += near.iter().filter(|distance| *distance <= limit).count().min(truth.len());
            wanted += truth.len();
        }
        let recall = found as f64 / wanted.max(1) as f64;
        index.lake.note_recall(&index.of.uuid, recall);
        Ok(Some(Measured { queries: queries.len() as u64, recall }))
    }
}

/// Some live rows of a segment.
async fn draw(
    index: &TableIndex,
    (segment, wanted): (usize, usize),
    hidden: Option<&Bitmap>,
) -> Result<Vec<Vec<f32>>> {
    let file = &index.segments.segments[segment];
    let open = index.lake.segment(file).await?;
    let (mut random, mut drawn) = (Random::new(segment as u64), Vec::new());
    for _ in 0..wanted * DRAWS {
        if drawn.len() == wanted {
            break;
        }
        let number = random.below(file.rows() as usize) as u32;
        if hidden.is_some_and(|hidden| hidden.contains(number)) {
            continue;
        }
        let (vector, there) =
            open.rows(&index.lake, u64::from(number)..u64::from(number) + 1).await?;
        if there.ones() == 1 {
            drawn.push(vector);
        }
    }
    Ok(drawn)
}

/// The nearest rows of each query, by all vectors.
async fn truths(
    index: &TableIndex,
    hidden: &[Option<Bitmap>],
    queries: &[f32],
    k: usize,
) -> Result<Vec<Vec<Neighbour>>> {
    let mut truths: Vec<Vec<Neighbour>> = vec![Vec::new(); queries.len() / index.dimension];
    for (number, file) in index.segments.segments.iter().enumerate() {
        let open = index.lake.segment(file).await?;
        let (mut first, rows) = (0, file.rows());
        while first < rows {
            let end = rows.min(first + CHUNK_ROWS);
            let (plain, mut there) = open.rows(&index.lake, first..end).await?;
            if let Some(hidden) = &hidden[number] {
                let live = there.iter().filter(|row| !hidden.contains(first as u32 + row));
                there = live.collect();
            }
            let scan = Scan {
                level: Level::best(),
                metric: index.of.measure.metric(),
                rows: Rows::single(&plain, index.dimension).map_err(wrong)?,
                visible: Visible { filter: Some(&there), deleted: None },
                first_key: key(number, first),
            };
            let near = nearest_to_each(&scan, queries, k).map_err(wrong)?;
            for (truth, near) in truths.iter_mut().zip(near) {
                *truth = vectors::merge(k, [std::mem::take(truth), near]);
            }
            first = end;
        }
    }
    Ok(truths)
}

/// Distances of the rows that the index finds, the nearest first.
async fn searched(
    index: &TableIndex,
    hidden: &[Option<Bitmap>],
    vector: &[f32],
    (k, recall): (usize, f64),
) -> Result<Vec<f32>> {
    let mut near = Vec::new();
    for (number, (file, hidden)) in index.segments.segments.iter().zip(hidden).enumerate() {
        let open = index.lake.segment(file).await?;
        let query = Query {
            vector,
            k: super::candidates(k),
            effort: Effort::Recall(recall as f32),
            visible: Visible { filter: None, deleted: hidden.as_ref() },
            vectors: None,
        };
        let found = open.nearest(&index.lake, &query).await?.neighbours;
        near.extend(found.into_iter().map(|n| Neighbour { key: key(number, n.key), ..n }));
    }
    let mut distances = distances(index, vector, &near).await?;
    distances.truncate(k);
    Ok(distances)
}

/// The key of a row of a segment among those of all.
fn key(segment: usize, row: u64) -> u64 {
    (segment as u64) << 32 | row
}

/// Distances of rows by their vectors, the nearest first.
async fn distances(index: &TableIndex, vector: &[f32], rows: &[Neighbour]) -> Result<Vec<f32>> {
    let (level, metric) = (Level::best(), index.of.measure.metric());
    let mut distances = Vec::with_capacity(rows.len());
    for (number, file) in index.segments.segments.iter().enumerate() {
        let own = rows.iter().filter(|row| row.key >> 32 == number as u64);
        let own: Vec<u32> = own.map(|row| row.key as u32).collect();
        let open = index.lake.segment(file).await?;
        for row in open.vectors(&index.lake, &own).await?.chunks_exact(index.dimension) {
            distances.push(distance(level, metric, vector, row).map_err(wrong)?);
        }
    }
    distances.sort_unstable_by(f32::total_cmp);
    Ok(distances)
}
