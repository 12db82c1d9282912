//! The exact nearest rows: a scan for one query, tiles of a matrix product for many.
//!
//! Tiles only prune. A dot product in single precision is off by at most d·2⁻²⁴·‖q‖·‖x‖, so a row
//! whose tiled distance is over the limit by more than that is out; the others get the very
//! distance that the scan computes. Both therefore give the same rows in the same order.

use super::distances::distances;
use super::{Error, Metric, Neighbour, Panels, Rows, Top, Visible};
use crate::simd::lanes::Lanes;
use crate::simd::level::{Kernel, LANES, Level};

/// Rows of a step of the scan.
const STEP: usize = 256;

/// What to look for, and among which rows.
#[derive(Debug, Clone, Copy)]
pub struct Scan<'a> {
    pub level: Level,
    pub metric: Metric,
    pub rows: Rows<'a>,
    /// Row numbers of the filters count from the first of `rows`.
    pub visible: Visible<'a>,
    /// The key of the first row; they count up from it.
    pub first_key: u64,
}

/// The `k` nearest rows to `query`; fewer only when fewer are visible.
///
/// # Errors
/// `NoLimit` for `k` of zero, `Dimension`, and `NotFinite` for a query with NaN or infinities.
pub fn nearest(scan: &Scan<'_>, query: &[f32], k: usize) -> Result<Vec<Neighbour>, Error> {
    let mut top = Top::new(k.min(scan.rows.len()).max(1));
    nearest_into(scan, query, k, &mut top)?;
    Ok(top.finish())
}

/// Offers the rows of a batch to a `Top` of `k` that goes from one batch to the next: what the
/// batches before found prunes this one. Errors as `nearest`.
pub fn nearest_into(scan: &Scan<'_>, query: &[f32], k: usize, top: &mut Top) -> Result<(), Error> {
    scan.rows.same_dimension(query.len())?;
    check(scan, query, k)?;
    let mut buffer = [0.0f32; STEP];
    for start in (0..scan.rows.len()).step_by(STEP) {
        let rows = scan.rows.slice(start..start + STEP);
        let seen = (0..rows.len()).filter(|row| scan.visible.contains((start + row) as u32));
        if scan.visible.is_all() || seen.clone().nth(STEP / 8).is_some() {
            distances(scan.level, scan.metric, query, rows, &mut buffer)?;
        } else {
            for row in seen.clone() {
                let one = rows.slice(row..row + 1);
                distances(scan.level, scan.metric, query, one, &mut buffer[row..=row])?;
            }
        }
        if scan.visible.is_all() && !top.is_open() && none_below(&buffer, top.limit()) {
            continue;
        }
        for row in seen {
            top.offer(buffer[row], scan.first_key + (start + row) as u64);
        }
    }
    Ok(())
}

/// Whether every distance is over the limit, so that the block can be left at once.
fn none_below(distances: &[f32; STEP], limit: f32) -> bool {
    let near = distances.iter().fold(0u32, |near, distance| near | u32::from(*distance <= limit));
    near == 0
}

/// The queries as rows, when they can be searched for.
fn check<'a>(scan: &Scan<'_>, queries: &'a [f32], k: usize) -> Result<Rows<'a>, Error> {
    if k == 0 {
        return Err(Error::NoLimit);
    }
    let dimension = scan.rows.dimension();
    let Ok(rows) = Rows::single(queries, dimension) else {
        return Err(Error::Dimension { expected: dimension, found: queries.len() });
    };
    match queries.iter().position(|x| !x.is_finite()) {
        Some(element) => Err(Error::NotFinite { row: element / dimension }),
        None => Ok(rows),
    }
}

/// `nearest` for each of `queries`, row-major: the k-nearest-neighbours join. Filters are the same
/// for all. Errors as `nearest`.
pub fn nearest_to_each(
    scan: &Scan<'_>,
    queries: &[f32],
    k: usize,
) -> Result<Vec<Vec<Neighbour>>, Error> {
    if queries.is_empty() {
        return Ok(Vec::new());
    }
    check(scan, queries, k)?;
    let dimension = scan.rows.dimension();
    if scan.metric == Metric::L1 {
        return queries.chunks_exact(dimension).map(|query| nearest(scan, query, k)).collect();
    }
    let square = |row: &[f32]| row.iter().map(|x| x * x).sum::<f32>();
    let query_squares: Vec<f32> = queries.chunks_exact(dimension).map(square).collect();
    let mut tops = vec![Top::new(k.min(scan.rows.len()).max(1)); query_squares.len()];
    let (mut panels, mut plain, mut dots) = (Panels::default(), Vec::new(), Vec::new());
    let mut near = Vec::new();
    for start in (0..scan.rows.len()).step_by(STEP) {
        let rows = scan.rows.slice(start..start + STEP);
        rows.copy_to(&mut plain);
        panels.fill(rows);
        dots.resize(query_squares.len() * panels.stride(), 0.0);
        panels.dots(scan.level, queries, &mut dots);
        let bounds = Bounds::new(scan.metric, plain.chunks_exact(dimension).map(square));
        let each = queries.chunks_exact(dimension).zip(&query_squares).zip(&mut tops);
        for (((query, square), top), dots) in each.zip(dots.chunks(panels.stride())) {
            let least = bounds.least(dimension, *square, top);
            let (dots, out) = (dots.as_chunks().0, &mut near);
            scan.level.run(Near { dots, bounds: &bounds, least, out });
            for row in near.iter().map(|row| *row as usize).take_while(|row| *row < rows.len()) {
                if !scan.visible.contains((start + row) as u32) {
                    continue;
                }
                let mut exact = [0.0];
                distances(scan.level, scan.metric, query, rows.slice(row..row + 1), &mut exact)?;
                top.offer(exact[0], scan.first_key + (start + row) as u64);
            }
        }
    }
    Ok(tops.into_iter().map(Top::finish).collect())
}

/// What makes a row's tiled dot product a number that is greater when the row is nearer:
/// `dot · factor + bias`.
struct Bounds {
    metric: Metric,
    factors: Vec<[f32; LANES]>,
    biases: Vec<[f32; LANES]>,
    /// The greatest squared length of a row.
    greatest: f32,
}

impl Bounds {
    fn new(metric: Metric, squares: impl ExactSizeIterator<Item = f32>) -> Self {
        let count = squares.len().div_ceil(LANES);
        let (mut factors, mut biases) = (vec![[1.0; LANES]; count], vec![[0.0; LANES]; count]);
        let mut greatest = 0.0f32;
        for (row, square) in squares.enumerate() {
            greatest = if square > greatest { square } else { greatest };
            match metric {
                Metric::L2 => biases[row / LANES][row % LANES] = square / -2.0,
                Metric::Cosine => factors[row / LANES][row % LANES] = 1.0 / square.sqrt(),
                Metric::InnerProduct | Metric::L1 => {}
            }
        }
        Self { metric, factors, biases, greatest }
    }

    /// The least such number with which a row may still be among the nearest; minus infinity while
    /// every row may, NaN included.
    fn least(&self, dimension: usize, square: f32, top: &Top) -> f32 {
        if top.is_open() {
            return f32::NEG_INFINITY;
        }
        let limit = top.limit();
        // Twice the bound, for the squares and for the distance that is compared with.
        let relative = (dimension + 8) as f32 * 2.0 * f32::EPSILON;
        let slack = relative * (square * self.greatest).sqrt();
        let least = match self.metric {
            Metric::L2 => {
                let all = relative * (square + self.greatest + limit * limit);
                (square - limit * limit - all) / 2.0 - slack
            }
            Metric::InnerProduct | Metric::L1 => -limit - slack,
            Metric::Cosine => square.sqrt() * (1.0 - limit - 2.0 * relative),
        };
        // Past the range of a float nothing is known.
        if least.is_finite() { least } else { f32::NEG_INFINITY }
    }
}

/// The rows that reach the least, ascending; idle lanes of the last panel may be among them.
struct Near<'a> {
    dots: &'a [[f32; LANES]],
    bounds: &'a Bounds,
    least: f32,
    out: &'a mut Vec<u32>,
}

impl Kernel for Near<'_> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes>(self) {
        self.out.clear();
        if self.least == f32::NEG_INFINITY {
            return self.out.extend(0..(self.dots.len() * LANES) as u32);
        }
        let least = L::splat(self.least);
        let bounds = self.bounds.factors.iter().zip(&self.bounds.biases);
        for (panel, (dots, (factors, biases))) in self.dots.iter().zip(bounds).enumerate() {
            let numbers = L::load(dots).multiply_add(L::load(factors), L::load(biases));
            let mut rows = numbers.reaches(least);
            while rows != 0 {
                self.out.push((panel * LANES) as u32 + rows.trailing_zeros());
                rows &= rows - 1;
            }
        }
    }
}
