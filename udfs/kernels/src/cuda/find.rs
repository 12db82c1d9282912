//! The rows that may be among the nearest, found by the device.
//!
//! ```text
//!   rows   ├4k┤─ 64k ─┤──── 1M ────┤──────────────── the rest ────────────────┤
//!              ▲       ▲            ▲                                          ▲  select
//! ```
//!
//! Rows are offered in ranges that grow sixteen times. After each the best keys are kept and the
//! least of them becomes the limit for the next, so that few rows are noted. Should more be noted
//! than there is room for, as when rows come in the order of their distance, the search is made
//! again in ranges that cannot be too great. The keys found are the same in any case.

use crate::simd::level::Level;
use crate::vectors::Visible;

use super::bounds::Bound;
use super::halves::{UNIT, pack_one, units, unscaled};
use super::job::{Job, Plain, Terms, bytes, bytes_mut};
use super::machine::{Kernel, Launch, Machine, Product, Unavailable};
use super::resident::{Resident, Residents};

/// Queries of one pass of `scan`, and shared memory that every device gives a block of it.
const SCANNED: usize = 8;
const SHARED: usize = 48 * 1024;
/// Threads of blocks.
const SCAN_THREADS: u32 = 128;
const GATE_THREADS: u32 = 256;
const SELECT_THREADS: u32 = 1024;
/// Blocks of `scan` to a multiprocessor; each goes on with further rows.
const BLOCKS_EACH: u32 = 16;
/// Queries that a block of `gate` meets, as in `select.cu`.
const GATED: u32 = 32;
/// Products of a tile: 32 MB, which stay in the second cache of large devices.
const TILE: usize = 8 << 20;
/// The least first range and room, what ranges grow by, and the room for that.
const FIRST: usize = 4096;
const ROOM: usize = 16 * 1024;
const GROWTH: usize = 16;
/// Bytes of keys at once, and queries.
const KEYS_BYTES: usize = 512 << 20;
const AT_ONCE: usize = 1024;

/// Memory that is kept from search to search.
#[derive(Debug, Clone, Copy)]
enum Slot {
    Visible,
    Queries,
    Terms,
    Products,
    Limits,
    Fresh,
    Found,
    Kept,
    Next,
    Held,
    Full,
}

const SLOTS: usize = Slot::Full as usize + 1;

/// A device with what is on it.
pub struct Inner {
    pub machine: Box<dyn Machine>,
    pub residents: Residents,
    slots: [(u64, usize); SLOTS],
}

/// Queries that are searched for at once.
pub struct Batch<'a> {
    pub level: Level,
    pub segment: u64,
    pub visible: Visible<'a>,
    pub queries: &'a [(Bound, &'a [f32])],
    pub wanted: usize,
}

/// Room for what a range brings.
fn room(wanted: usize) -> usize {
    ROOM.max(wanted * GROWTH * 4)
}

/// How many queries of so many wanted keys can be searched for at once.
pub fn at_once(wanted: usize) -> usize {
    let each = (room(wanted) + 2 * wanted) * size_of::<u64>();
    (KEYS_BYTES / each).clamp(1, AT_ONCE)
}

/// Where the ranges end.
fn ends(rows: usize, wanted: usize, careful: bool) -> Vec<usize> {
    let mut ends = Vec::new();
    let (mut end, room) = (0, room(wanted));
    while end < rows {
        end = match (careful, end) {
            (true, _) => end + room,
            (false, 0) => FIRST.max(wanted * 4),
            (false, _) => end * GROWTH,
        };
        end = end.min(rows);
        ends.push(end);
    }
    ends
}

/// A bit for each row, as words of 32.
fn visible_words(visible: &Visible<'_>, rows: usize) -> Vec<u32> {
    let word = |bitmap: Option<&crate::vectors::Bitmap>, place: usize, none: u64| {
        bitmap.map_or(none, |bitmap| bitmap.words().get(place).copied().unwrap_or(0))
    };
    let words = (0..rows.div_ceil(64)).flat_map(|place| {
        let seen = word(visible.filter, place, u64::MAX) & !word(visible.deleted, place, 0);
        [seen as u32, (seen >> 32) as u32]
    });
    words.collect()
}

/// The nearness and the row of a key, see `key_of` in `device.cu`.
pub fn of_key(key: u64) -> (f32, u32) {
    let ordered = (key >> 32) as u32;
    let bits = if ordered >> 31 == 1 { ordered & 0x7fff_ffff } else { !ordered };
    (f32::from_bits(bits), !(key as u32))
}

impl Inner {
    pub fn new(machine: Box<dyn Machine>, most_bytes: usize) -> Self {
        Self { machine, residents: Residents::new(most_bytes), slots: [(0, 0); SLOTS] }
    }

    /// Memory of at least so many bytes; what it held is lost when it grows.
    fn slot(&mut self, slot: Slot, bytes: usize, keep: u64) -> Result<u64, Unavailable> {
        let (address, size) = self.slots[slot as usize];
        if bytes <= size {
            return Ok(address);
        }
        self.slots[slot as usize] = (0, 0);
        if size > 0 {
            self.machine.free(address);
        }
        let address = self.residents.allocate(self.machine.as_mut(), bytes, keep)?;
        self.slots[slot as usize] = (address, bytes);
        Ok(address)
    }

    fn upload<T: Plain>(&mut self, slot: Slot, all: &[T], keep: u64) -> Result<u64, Unavailable> {
        let address = self.slot(slot, size_of_val(all), keep)?;
        self.machine.write(address, bytes(all))?;
        Ok(address)
    }

    /// For each query the greatest keys, at most as many as are wanted, in no order. The column
    /// must be on the device.
    pub fn find(
        &mut self,
        batch: &Batch<'_>,
        resident: &Column,
    ) -> Result<Vec<Vec<u64>>, Unavailable> {
        let by_product = batch.queries.len() > SCANNED && self.machine.multiplies();
        let mut job = self.prepare(batch, resident, by_product)?;
        for careful in [false, true] {
            self.reset(batch, &job)?;
            for end in ends(resident.count, batch.wanted, careful) {
                job.end = end as u32;
                if by_product {
                    self.offer_products(batch, resident, job)?;
                } else {
                    self.offer_scanned(batch, job)?;
                }
                self.select(batch, &job)?;
                (job.kept, job.next) = (job.next, job.kept);
                job.first = job.end;
            }
            let mut full = vec![0u32; batch.queries.len()];
            self.machine.read(job.full, bytes_mut(&mut full))?;
            if full.iter().all(|full| *full == 0) {
                return self.keys(batch, &job);
            }
            job.first = 0;
        }
        Err(Unavailable::new("more rows were found than a range has"))
    }

    fn prepare(
        &mut self,
        batch: &Batch<'_>,
        resident: &Column,
        by_product: bool,
    ) -> Result<Job, Unavailable> {
        let (keep, count) = (batch.segment, batch.queries.len());
        let visible = match batch.visible.is_all() {
            true => 0,
            false => {
                let words = visible_words(&batch.visible, resident.count);
                self.upload(Slot::Visible, &words, keep)?
            }
        };
        let (queries, terms) = self.upload_queries(batch, resident, by_product)?;
        let stride = match by_product {
            true => (TILE / count).max(1024).min(resident.count).next_multiple_of(UNIT),
            false => 0,
        };
        let products = self.slot(Slot::Products, stride * count * size_of::<f32>(), keep)?;
        let room = room(batch.wanted);
        let keys = |each: usize| count * each * size_of::<u64>();
        Ok(Job {
            rows: resident.rows,
            sizes: resident.sizes,
            visible,
            queries,
            terms,
            products,
            limits: self.slot(Slot::Limits, keys(1), keep)?,
            fresh: self.slot(Slot::Fresh, keys(room), keep)?,
            found: self.slot(Slot::Found, keys(1), keep)?,
            kept: self.slot(Slot::Kept, keys(batch.wanted), keep)?,
            next: self.slot(Slot::Next, keys(batch.wanted), keep)?,
            held: self.slot(Slot::Held, keys(1), keep)?,
            full: self.slot(Slot::Full, keys(1), keep)?,
            units: units(resident.dimension) as u32,
            wanted: batch.wanted as u32,
            room: room as u32,
            queries_count: count as u32,
            stride: stride as u32,
            ..Job::default()
        })
    }

    /// Queries as floats, or as half floats where they are multiplied with; with their terms.
    fn upload_queries(
        &mut self,
        batch: &Batch<'_>,
        resident: &Column,
        by_product: bool,
    ) -> Result<(u64, u64), Unavailable> {
        let width = units(resident.dimension) * UNIT;
        let mut terms: Vec<Terms> = Vec::with_capacity(batch.queries.len());
        let queries = if by_product {
            let mut halves = vec![0u16; batch.queries.len() * width];
            let mut scratch = vec![0.0; resident.dimension];
            for ((bound, query), halves) in batch.queries.iter().zip(halves.chunks_mut(width)) {
                let query = bound.queried(query);
                let length = query.iter().map(|x| x * x).sum::<f32>().sqrt();
                let off = pack_one(batch.level, &query, length, &mut scratch, halves);
                terms.push(bound.terms(unscaled(length), off));
            }
            self.upload(Slot::Queries, &halves, batch.segment)?
        } else {
            let mut floats = vec![0f32; batch.queries.len() * width];
            for ((bound, query), floats) in batch.queries.iter().zip(floats.chunks_mut(width)) {
                floats[..query.len()].copy_from_slice(&bound.queried(query));
                terms.push(bound.terms(1.0, 0.0));
            }
            self.upload(Slot::Queries, &floats, batch.segment)?
        };
        Ok((queries, self.upload(Slot::Terms, &terms, batch.segment)?))
    }

    fn reset(&mut self, batch: &Batch<'_>, job: &Job) -> Result<(), Unavailable> {
        let count = batch.queries.len();
        self.machine.clear(job.limits, count * size_of::<u64>())?;
        for address in [job.found, job.held, job.full] {
            self.machine.clear(address, count * size_of::<u32>())?;
        }
        Ok(())
    }

    /// A range, by as many queries at once as shared memory holds.
    fn offer_scanned(&mut self, batch: &Batch<'_>, job: Job) -> Result<(), Unavailable> {
        let query_bytes = job.units as usize * UNIT * size_of::<f32>();
        let fit = (SHARED / query_bytes).min(SCANNED);
        if fit == 0 {
            return Err(Unavailable::new("vectors of so many dimensions are too long for a block"));
        }
        let fit = 1 << fit.ilog2();
        for first in (0..batch.queries.len()).step_by(fit) {
            let count = (batch.queries.len() - first).min(fit);
            let (queries, lanes) =
                (count.next_power_of_two() as u32, job.units.next_power_of_two().min(32));
            let group = Job {
                queries: job.queries + (first * query_bytes) as u64,
                terms: job.terms + (first * size_of::<Terms>()) as u64,
                limits: job.limits + (first * size_of::<u64>()) as u64,
                fresh: job.fresh + (first * job.room as usize * size_of::<u64>()) as u64,
                found: job.found + (first * size_of::<u32>()) as u64,
                queries_count: count as u32,
                ..job
            };
            let warp_rows = 32 / lanes * if queries > 4 { 4 } else { 8 };
            let warps = (job.end - job.first).div_ceil(warp_rows);
            let blocks = warps.div_ceil(SCAN_THREADS / 32);
            let launch = Launch {
                kernel: Kernel::Scan { queries, lanes },
                blocks: [blocks.min(self.machine.processors().max(1) * BLOCKS_EACH), 1],
                threads: SCAN_THREADS,
                shared: queries * query_bytes as u32,
            };
            self.machine.launch(launch, &group)?;
        }
        Ok(())
    }

    /// A range, tile by tile.
    fn offer_products(
        &mut self,
        batch: &Batch<'_>,
        resident: &Column,
        job: Job,
    ) -> Result<(), Unavailable> {
        let queries_count = batch.queries.len() as u32;
        let row_bytes = u64::from(job.units) * (UNIT * size_of::<u16>()) as u64;
        for first in (job.first..job.end).step_by(job.stride as usize) {
            let end = first.saturating_add(job.stride).min(job.end);
            self.machine.multiply(&Product {
                rows: resident.rows + u64::from(first) * row_bytes,
                queries: job.queries,
                width: job.units * UNIT as u32,
                rows_count: end - first,
                queries_count,
                out: job.products,
                stride: job.stride,
            })?;
            let launch = Launch {
                kernel: Kernel::Gate,
                blocks: [(end - first).div_ceil(GATE_THREADS), queries_count.div_ceil(GATED)],
                threads: GATE_THREADS,
                shared: 0,
            };
            self.machine.launch(launch, &Job { first, end, ..job })?;
        }
        Ok(())
    }

    fn select(&mut self, batch: &Batch<'_>, job: &Job) -> Result<(), Unavailable> {
        let launch = Launch {
            kernel: Kernel::Select,
            blocks: [batch.queries.len() as u32, 1],
            threads: SELECT_THREADS,
            shared: 0,
        };
        self.machine.launch(launch, job)
    }

    fn keys(&mut self, batch: &Batch<'_>, job: &Job) -> Result<Vec<Vec<u64>>, Unavailable> {
        let mut held = vec![0u32; batch.queries.len()];
        self.machine.read(job.held, bytes_mut(&mut held))?;
        let mut kept = vec![0u64; batch.queries.len() * batch.wanted];
        self.machine.read(job.kept, bytes_mut(&mut kept))?;
        let each = kept.chunks(batch.wanted).zip(held);
        Ok(each.map(|(keys, held)| keys[..batch.wanted.min(held as usize)].to_vec()).collect())
    }
}

/// Where a resident column is.
#[derive(Debug, Clone, Copy)]
pub struct Column {
    pub rows: u64,
    pub sizes: u64,
    pub count: usize,
    pub dimension: usize,
}

impl From<&Resident> for Column {
    fn from(resident: &Resident) -> Self {
        let Resident { rows, sizes, count, dimension, .. } = *resident;
        Self { rows, sizes, count, dimension }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vectors::Bitmap;

    #[test]
    fn ranges_cover_all_rows() {
        assert_eq!(ends(10_000_000, 200, false), [4096, 65_536, 1_048_576, 10_000_000]);
        assert_eq!(ends(100, 200, false), [100]);
        assert_eq!(ends(0, 1, false), [0usize; 0]);
        assert_eq!(ends(40_000, 1, true), [16_384, 32_768, 40_000]);
        assert!(FIRST.max(4 * 10_000) <= room(10_000));
    }

    #[test]
    fn words_are_what_is_visible() {
        let filter: Bitmap = [0, 5, 33, 64, 70, 200].into_iter().collect();
        let deleted: Bitmap = [5, 64].into_iter().collect();
        let visible = Visible { filter: Some(&filter), deleted: Some(&deleted) };
        let words = visible_words(&visible, 300);
        for row in 0..300u32 {
            let seen = words[row as usize / 32] >> (row % 32) & 1 == 1;
            assert_eq!(seen, visible.contains(row), "{row}");
        }
        let visible = Visible { filter: None, deleted: Some(&deleted) };
        assert_eq!(visible_words(&visible, 65), [!(1 << 5), !0, !1, !0]);
    }
}
