//! Columns that are on the device, by segment: uploaded once, the longest unused given up first.

use crate::parallel;
use crate::simd::level::Level;
use crate::vectors::Rows;

use super::bounds::{LEAST, MOST};
use super::halves::{UNIT, pack, units};
use super::job::{Size, bytes};
use super::machine::{Machine, Unavailable};

/// Rows of a column that are packed at once by all threads, and by one.
const STRETCH: usize = 64 * 1024;
const PIECE: usize = 4 * 1024;
/// Rows are numbered in 32 bits, with room for a step past the last.
const MOST_ROWS: usize = 1 << 31;
/// Rows that the host scores for every query; with more of them the device is no help.
const MOST_APART: usize = 4096;

/// Bytes that so many rows take on a device.
pub fn column_bytes(rows: usize, dimension: usize) -> usize {
    rows.saturating_mul(row_bytes(dimension) + size_of::<Size>())
}

/// Bytes of a row's half floats.
fn row_bytes(dimension: usize) -> usize {
    units(dimension) * UNIT * size_of::<u16>()
}

/// A column on the device.
#[derive(Debug)]
pub struct Resident {
    segment: u64,
    pub rows: u64,
    pub sizes: u64,
    pub count: usize,
    pub dimension: usize,
    /// Rows that the device leaves out: too long, or no numbers at all.
    pub apart: Vec<u32>,
    /// Rows that it leaves out of cosines: too short.
    pub short: Vec<u32>,
    bytes: usize,
    used: u64,
}

/// The cache.
#[derive(Debug)]
pub struct Residents {
    most_bytes: usize,
    all: Vec<Resident>,
    clock: u64,
}

impl Residents {
    pub fn new(most_bytes: usize) -> Self {
        Self { most_bytes, all: Vec::new(), clock: 0 }
    }

    pub fn bytes(&self) -> usize {
        self.all.iter().map(|resident| resident.bytes).sum()
    }

    pub fn release(&mut self, machine: &mut dyn Machine, segment: u64) {
        while let Some(place) = self.all.iter().position(|r| r.segment == segment) {
            self.drop_at(machine, place);
        }
    }

    fn drop_at(&mut self, machine: &mut dyn Machine, place: usize) {
        let gone = self.all.swap_remove(place);
        machine.free(gone.rows);
        machine.free(gone.sizes);
    }

    /// Gives up the longest unused but for one segment; false if there is none.
    fn drop_oldest(&mut self, machine: &mut dyn Machine, keep: u64) -> bool {
        let others = self.all.iter().enumerate().filter(|(_, r)| r.segment != keep);
        let oldest = others.min_by_key(|(_, resident)| resident.used);
        let Some(place) = oldest.map(|(place, _)| place) else { return false };
        self.drop_at(machine, place);
        true
    }

    /// The column of a segment, uploaded if it is not there or was another one.
    ///
    /// # Errors
    /// When it is over the limit, the device is full, or fails.
    pub fn get(
        &mut self,
        machine: &mut dyn Machine,
        (segment, chunks): (u64, &[Rows<'_>]),
        (level, threads): (Level, usize),
    ) -> Result<&Resident, Unavailable> {
        let dimension = chunks.first().map_or(0, Rows::dimension);
        let count = chunks.iter().map(Rows::len).sum::<usize>();
        let same =
            |r: &Resident| r.segment == segment && (r.count, r.dimension) == (count, dimension);
        if !self.all.iter().any(same) {
            self.release(machine, segment);
            self.upload(machine, (segment, chunks), (level, threads))?;
        }
        self.clock += 1;
        let found = self.all.iter_mut().find(|r| r.segment == segment);
        let found = found.ok_or_else(|| Unavailable::new("the column is not on the device"))?;
        found.used = self.clock;
        Ok(found)
    }

    fn upload(
        &mut self,
        machine: &mut dyn Machine,
        (segment, chunks): (u64, &[Rows<'_>]),
        work: (Level, usize),
    ) -> Result<(), Unavailable> {
        let dimension = chunks.first().map_or(0, Rows::dimension);
        let count = chunks.iter().map(Rows::len).sum::<usize>();
        if count >= MOST_ROWS {
            return Err(Unavailable::new(format!("{count} rows are too many for the device")));
        }
        let total = column_bytes(count, dimension);
        if total > self.most_bytes {
            let (needed, most) = (total.div_ceil(1 << 20), self.most_bytes >> 20);
            let reason = format!("{needed} MB of vectors are over the device's limit of {most} MB");
            return Err(Unavailable::new(reason));
        }
        while self.bytes() + total > self.most_bytes && self.drop_oldest(machine, segment) {}
        let rows = self.allocate(machine, count * row_bytes(dimension), segment)?;
        let sizes = match self.allocate(machine, count * size_of::<Size>(), segment) {
            Ok(sizes) => sizes,
            Err(error) => {
                machine.free(rows);
                return Err(error);
            }
        };
        // In the cache before it is filled, so that it is freed with it whatever happens.
        let (apart, short) = (Vec::new(), Vec::new());
        let used = self.clock;
        let resident =
            Resident { segment, rows, sizes, count, dimension, apart, short, bytes: total, used };
        self.all.push(resident);
        let filled = match self.all.last_mut() {
            Some(resident) => resident.fill(machine, chunks, work),
            None => Ok(()),
        };
        if filled.is_err() {
            self.release(machine, segment);
        }
        filled
    }

    /// Memory, for which columns of other segments are given up if it must be.
    ///
    /// # Errors
    /// When the device is full all the same.
    pub fn allocate(
        &mut self,
        machine: &mut dyn Machine,
        bytes: usize,
        keep: u64,
    ) -> Result<u64, Unavailable> {
        loop {
            match machine.allocate(bytes.max(16)) {
                Err(error) if error.is_memory && self.drop_oldest(machine, keep) => {}
                other => return other,
            }
        }
    }
}

impl Resident {
    /// Rows that the host scores.
    ///
    /// # Errors
    /// When they are too many.
    pub fn left_out(&self, is_cosine: bool) -> Result<impl Iterator<Item = u32>, Unavailable> {
        let short: &[u32] = if is_cosine { &self.short } else { &[] };
        if self.apart.len() + short.len() > MOST_APART {
            let reason = "too many vectors are zero or of extreme lengths";
            return Err(Unavailable::new(reason));
        }
        Ok(self.apart.iter().chain(short).copied())
    }

    fn fill(
        &mut self,
        machine: &mut dyn Machine,
        chunks: &[Rows<'_>],
        (level, threads): (Level, usize),
    ) -> Result<(), Unavailable> {
        let row_bytes = row_bytes(self.dimension) as u64;
        let mut first = 0u64;
        for chunk in chunks {
            for start in (0..chunk.len()).step_by(STRETCH) {
                let stretch = chunk.slice(start..start + STRETCH);
                let piece = |i: usize| Some(pack(level, stretch.slice(i * PIECE..(i + 1) * PIECE)));
                let packed = parallel::map(threads, stretch.len().div_ceil(PIECE), piece);
                for packed in packed.into_iter().flatten() {
                    machine.write(self.rows + first * row_bytes, bytes(&packed.halves))?;
                    let place = self.sizes + first * size_of::<Size>() as u64;
                    machine.write(place, bytes(&packed.sizes))?;
                    self.note(first as u32, &packed.sizes);
                    first += packed.sizes.len() as u64;
                }
            }
        }
        Ok(())
    }

    /// Which rows the device leaves out, as `offer` in `device.cu` does; no more than matter.
    fn note(&mut self, first: u32, sizes: &[Size]) {
        for (row, size) in (first..).zip(sizes) {
            let of = match size.length {
                length if length < LEAST => &mut self.short,
                length if length <= MOST => continue,
                _ => &mut self.apart,
            };
            if of.len() <= MOST_APART {
                of.push(row);
            }
        }
    }
}
