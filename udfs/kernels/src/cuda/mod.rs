//! The exact nearest rows on a GPU: brute force over half floats that stay on the device.
//!
//! ```text
//!   host                                 device
//!   chunks of rows ──── half floats ───▶ resident column, by segment
//!   queries, visible rows ─────────────▶ scan (few queries), or products and gate (many)
//!   the rows that may be the nearest ◀── select: k and some more, the nearest first
//!   their distances as the CPU has them; the k nearest, or a wider search
//! ```
//!
//! The device only prunes, as the tiles of `vectors::nearest_to_each` do: it says of each row how
//! near it may be at most (`bounds`), and the host computes the distances of the few most promising
//! with the very functions of `vectors`. When the k-th of these is nearer than any row that was not
//! looked at may be, rows and distances are those of `vectors::nearest`, bit for bit. When that
//! cannot be shown the answer is `Unavailable`, as for any fault of the device, its driver or its
//! libraries, and for queries that are mistakes: the caller scans on the CPU, which has the answer
//! or the error. Nothing here panics, and no answer is a guess.
//!
//! CUDA's libraries are opened when a device is; none is needed to build or to start.

mod blas;
mod bounds;
mod compile;
mod driver;
mod find;
mod halves;
mod job;
mod machine;
mod resident;
mod settle;

use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use crate::parallel;
use crate::simd::level::Level;
use crate::vectors::{Metric, Neighbour, Rows, Visible};

use bounds::Bound;
use driver::Cuda;
use find::{Batch, Column, Inner, at_once};
use settle::{Few, settle};

pub use job::{Job, Size, Terms};
pub use machine::{Kernel, Launch, Machine, Product, Unavailable};
pub use resident::column_bytes;

/// Rows that are asked for beyond `k` and a half of it.
const SPARE: usize = 64;
/// What the number of rows asked for grows by when it was too small, how often, and its most.
const WIDER: usize = 8;
const ROUNDS: usize = 3;
const MOST_WANTED: usize = 64 * 1024;

/// What a device may take.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where compiled kernels are kept; None compiles them for each process.
    pub cubins: Option<PathBuf>,
    /// Bytes of columns that stay on the device.
    pub most_bytes: usize,
    /// Threads that pack columns and compute distances.
    pub threads: usize,
}

/// What to look for among which rows; the fields of `vectors::Scan`, but for rows in chunks and
/// the name of all of them.
#[derive(Debug, Clone, Copy)]
pub struct Search<'a> {
    pub level: Level,
    pub metric: Metric,
    /// Rows of one name never change: a new version is a new segment.
    pub segment: u64,
    pub chunks: &'a [Rows<'a>],
    /// Row numbers count over all chunks.
    pub visible: Visible<'a>,
    /// The key of the first row; they count up from it.
    pub first_key: u64,
}

/// A GPU and the columns on it. Searches of several threads take turns.
pub struct Device {
    name: String,
    threads: usize,
    inner: Mutex<Inner>,
}

impl std::fmt::Debug for Device {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Device").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Device {
    /// The first GPU.
    ///
    /// # Errors
    /// No driver, no library, no device, or what the driver says.
    pub fn open(options: Options) -> Result<Self, Unavailable> {
        let machine = Cuda::open(options.cubins.clone())?;
        Ok(Self::over(Box::new(machine), &options))
    }

    /// Any machine; tests bring their own.
    pub fn over(machine: Box<dyn Machine>, options: &Options) -> Self {
        Self {
            name: machine.name().to_owned(),
            threads: options.threads,
            inner: Mutex::new(Inner::new(machine, options.most_bytes)),
        }
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    /// Bytes of columns on the device.
    pub fn bytes(&self) -> usize {
        self.with(|inner| inner.residents.bytes())
    }

    /// Lets go of a segment's column.
    pub fn release(&self, segment: u64) {
        self.with(|inner| inner.residents.release(inner.machine.as_mut(), segment));
    }

    /// Brings a column to the device before it is asked for; errors as `nearest`.
    pub fn hold(&self, search: &Search<'_>) -> Result<(), Unavailable> {
        self.with(|inner| self.column(inner, search).map(|_| ()))
    }

    fn with<T>(&self, work: impl FnOnce(&mut Inner) -> T) -> T {
        // What a panic left behind is checked for by nobody, but the machine's memory stays whole.
        work(&mut self.inner.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// `vectors::nearest` for each of `queries`, row-major, in the same order and to the bit.
    ///
    /// # Errors
    /// When the device cannot answer, or not prove its answer; the CPU then has it.
    pub fn nearest(
        &self,
        search: &Search<'_>,
        queries: &[f32],
        k: usize,
    ) -> Result<Vec<Vec<Neighbour>>, Unavailable> {
        let few = Few::new(search, k)?;
        let queries = bounded(search, few.dimension, queries)?;
        let rows = few.rows();
        let mut answers: Vec<Option<Vec<Neighbour>>> = vec![None; queries.len()];
        let mut wanted = k.saturating_add(k / 2).saturating_add(SPARE);
        for _ in 0..ROUNDS {
            wanted = wanted.min(rows.max(1));
            let open: Vec<usize> = (0..answers.len()).filter(|i| answers[*i].is_none()).collect();
            if wanted > MOST_WANTED {
                break;
            }
            for open in open.chunks(at_once(wanted)) {
                let asked: Vec<_> = open.iter().map(|i| queries[*i]).collect();
                let settled = self.round(search, &few, &asked, wanted)?;
                open.iter().zip(settled).for_each(|(i, settled)| answers[*i] = settled);
            }
            if answers.iter().all(Option::is_some) {
                return Ok(answers.into_iter().flatten().collect());
            }
            wanted = wanted.saturating_mul(WIDER);
        }
        match k > MOST_WANTED / 2 {
            true => Err(Unavailable::new(format!("the device does not select {k} rows"))),
            false => Err(Unavailable::new(
                "too many rows are equally near to tell them apart by half floats",
            )),
        }
    }

    /// The answers that so many rows of each query prove.
    fn round(
        &self,
        search: &Search<'_>,
        few: &Few<'_>,
        queries: &[(Bound, &[f32])],
        wanted: usize,
    ) -> Result<Vec<Option<Vec<Neighbour>>>, Unavailable> {
        let Search { level, segment, visible, .. } = *search;
        let batch = Batch { level, segment, visible, queries, wanted };
        let (apart, keys) = self.with(|inner| {
            let (column, apart) = self.column(inner, search)?;
            Ok((apart, inner.find(&batch, &column)?))
        })?;
        let one = |i: usize| Some(settle(few, &queries[i], &apart, &keys[i], wanted));
        Ok(parallel::map(self.threads, queries.len(), one).unwrap_or_default())
    }

    /// The column on the device, and the visible rows that it leaves to the host.
    fn column(
        &self,
        inner: &mut Inner,
        search: &Search<'_>,
    ) -> Result<(Column, Vec<u32>), Unavailable> {
        let (machine, of) = (inner.machine.as_mut(), (search.segment, search.chunks));
        let resident = inner.residents.get(machine, of, (search.level, self.threads))?;
        let apart = resident.left_out(search.metric == Metric::Cosine)?;
        let apart = apart.filter(|row| search.visible.contains(*row)).collect();
        Ok((Column::from(resident), apart))
    }
}

/// Each query with its bound.
fn bounded<'a>(
    search: &Search<'_>,
    dimension: usize,
    queries: &'a [f32],
) -> Result<Vec<(Bound, &'a [f32])>, Unavailable> {
    if search.metric == Metric::L1 {
        return Err(Unavailable::new("the device does not compute L1 distances"));
    }
    if !queries.len().is_multiple_of(dimension) {
        return Err(Unavailable::new("a query has another dimension than the rows"));
    }
    let each = queries.chunks_exact(dimension).map(|query| {
        let bound = Bound::new(search.metric, query)
            .ok_or_else(|| Unavailable::new("a query is zero, no number or of extreme length"))?;
        Ok((bound, query))
    });
    each.collect()
}
