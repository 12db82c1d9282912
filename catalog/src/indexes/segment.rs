//! A segment's object, opened: its head, the lists that have been fetched, vectors row by row; and
//! columns that the index includes, once a filter has asked them.
//!
//! ```text
//!   row 0 | row 1 | …  padding to 64 | head | lists        a row: dimension × f32, CRC-32
//! ```
//!
//! Opening takes the head; a first search fetches the lists that it will probably read in one wave
//! of requests, and those that it wants besides in another. Every part is checked as it comes.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use bytes::Bytes;
use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::DataType;
use kernels::ann::{self, Found, Head, ListSource, Query, Scratch};
use kernels::simd::level::Level;
use kernels::vectors::Bitmap;
use object_store::ObjectStore;
use object_store::path::Path;

use super::SegmentFile;
use crate::error::{Error, Result};
use crate::lake::Lake;
use crate::model::FileId;
use crate::storage;

/// Waves of requests that one search makes at most; after as many it wants nothing new.
const WAVES: usize = 64;

/// See the module.
#[derive(Debug)]
pub struct Segment {
    pub(super) file: SegmentFile,
    head: Head,
    lists: Vec<OnceLock<Bytes>>,
    columns: Mutex<HashMap<Columns, Arc<[RecordBatch]>>>,
    held: AtomicU64,
}

/// Columns, by id and as what they are read, of a file that a segment covers.
pub(crate) type Columns = (FileId, Vec<(i64, DataType)>);

impl Segment {
    pub(super) async fn open(lake: &Lake, file: &SegmentFile) -> Result<Self> {
        let range = file.start..file.start + file.head_bytes;
        let bytes = fetch(lake, &file.path, &[range]).await?;
        let bytes = bytes.into_iter().next().unwrap_or_default();
        let head = Head::open(&bytes).map_err(|error| failed(&file.path, &error))?;
        let lists = head.list_rows().map(|_| OnceLock::new()).collect();
        let held = AtomicU64::new(file.head_bytes);
        Ok(Self { file: file.clone(), head, lists, columns: Mutex::default(), held })
    }

    /// What it is in the catalog.
    pub fn file(&self) -> &SegmentFile {
        &self.file
    }

    /// Columns of a file that are in memory, row by row as in the file.
    pub(crate) fn held_columns(&self, of: &Columns) -> Option<Arc<[RecordBatch]>> {
        self.columns.lock().unwrap_or_else(PoisonError::into_inner).get(of).cloned()
    }

    /// Keeps them there.
    pub(crate) fn hold_columns(&self, of: Columns, rows: Arc<[RecordBatch]>) {
        let bytes: usize = rows.iter().map(RecordBatch::get_array_memory_size).sum();
        let mut held = self.columns.lock().unwrap_or_else(PoisonError::into_inner);
        if held.insert(of, rows).is_none() {
            self.held.fetch_add(bytes as u64, Ordering::Relaxed);
        }
    }

    /// What a search needs before it has any list.
    pub fn head(&self) -> &Head {
        &self.head
    }

    /// Bytes in memory.
    pub fn held(&self) -> u64 {
        self.held.load(Ordering::Relaxed)
    }

    /// The nearest rows, by second numbers; keys are row numbers.
    ///
    /// # Errors
    /// `Damaged` where a byte differs from what was written, `Object` when it cannot be read.
    pub async fn nearest(&self, lake: &Lake, query: &Query<'_>) -> Result<Found> {
        let level = Level::best();
        let wrong = |error: &ann::Error| failed(&self.file.path, error);
        let wave = self.head.first_wave(level, query).map_err(|error| wrong(&error))?;
        self.hold(lake, wave).await?;
        let mut scratch = Scratch::default();
        for _ in 0..WAVES {
            match ann::search(&self.head, self, level, query, &mut scratch) {
                Ok(found) => return Ok(found),
                Err(ann::Error::Missing { lists }) => self.hold(lake, lists).await?,
                Err(error) => return Err(wrong(&error)),
            }
        }
        self.hold_all(lake).await?;
        let found = ann::search(&self.head, self, level, query, &mut scratch);
        found.map_err(|error| wrong(&error))
    }

    /// Fetches every list; says how many bytes are held.
    pub async fn hold_all(&self, lake: &Lake) -> Result<u64> {
        self.hold(lake, (0..self.lists.len() as u32).collect()).await?;
        Ok(self.held())
    }

    async fn hold(&self, lake: &Lake, lists: Vec<u32>) -> Result<()> {
        let is_missing =
            |list: &u32| self.lists.get(*list as usize).is_some_and(|held| held.get().is_none());
        let start = self.file.start;
        let (mut wanted, mut ranges) = (Vec::new(), Vec::new());
        for list in lists.into_iter().filter(is_missing) {
            if let Some(range) = self.head.list_range(list) {
                wanted.push(list);
                ranges.push(start + range.start..start + range.end);
            }
        }
        if wanted.is_empty() {
            return Ok(());
        }
        let fetched = fetch(lake, &self.file.path, &ranges).await?;
        for (list, bytes) in wanted.into_iter().zip(fetched) {
            let checked = self.head.check_list(list, &bytes);
            checked.map_err(|error| failed(&self.file.path, &error))?;
            let length = bytes.len() as u64;
            if self.lists[list as usize].set(bytes).is_ok() {
                self.held.fetch_add(length, Ordering::Relaxed);
            }
        }
        Ok(())
    }

    /// The vectors of rows, one after the other in the order of `numbers`.
    ///
    /// # Errors
    /// As `nearest`.
    pub async fn vectors(&self, lake: &Lake, numbers: &[u32]) -> Result<Vec<f32>> {
        let row = row_bytes(self.head.model().options().dimension) as u64;
        let range = |number: &u32| {
            let start = u64::from(*number) * row;
            start..start + row
        };
        let ranges: Vec<Range<u64>> = numbers.iter().map(range).collect();
        let rows = fetch(lake, &self.file.path, &ranges).await?;
        let mut vectors = Vec::with_capacity(numbers.len() * row as usize / 4);
        for bytes in rows {
            if !read_row(&bytes, &mut vectors) {
                return Err(self.corrupt());
            }
        }
        Ok(vectors)
    }

    /// The vectors of a range of rows, and which of them have one; the others are zeros.
    ///
    /// # Errors
    /// As `nearest`.
    pub async fn rows(&self, lake: &Lake, rows: Range<u64>) -> Result<(Vec<f32>, Bitmap)> {
        let width = row_bytes(self.head.model().options().dimension);
        let range = rows.start * width as u64..rows.end * width as u64;
        let bytes = fetch(lake, &self.file.path, &[range]).await?;
        let bytes = bytes.into_iter().next().unwrap_or_default();
        let (mut vectors, mut there) = (Vec::new(), Bitmap::default());
        for (number, row) in bytes.chunks_exact(width).enumerate() {
            let is_there = row.iter().any(|byte| *byte != 0);
            if !read_row(row, &mut vectors) && is_there {
                return Err(self.corrupt());
            }
            if is_there {
                there.insert(number as u32);
            }
        }
        Ok((vectors, there))
    }

    fn corrupt(&self) -> Error {
        failed(&self.file.path, &ann::Error::Corrupt { part: "vectors" })
    }
}

impl ListSource for Segment {
    fn list(&self, list: u32) -> Option<&[u8]> {
        self.lists.get(list as usize)?.get().map(AsRef::as_ref)
    }
}

/// Bytes of a row's vector and its check.
pub(super) fn row_bytes(dimension: usize) -> usize {
    dimension * 4 + 4
}

/// Appends a row's vector and its check.
pub(super) fn write_row(vector: &[f32], out: &mut Vec<u8>) {
    let start = out.len();
    out.extend(vector.iter().flat_map(|x| x.to_le_bytes()));
    let check = crc32fast::hash(&out[start..]);
    out.extend_from_slice(&check.to_le_bytes());
}

/// Appends the vector of a row; false if the check is another. No vector's check is zero bytes
/// behind zeros, which stand for a row without one.
fn read_row(row: &[u8], out: &mut Vec<f32>) -> bool {
    let Some((elements, check)) = row.split_last_chunk::<4>() else { return false };
    out.extend(elements.as_chunks::<4>().0.iter().map(|x| f32::from_le_bytes(*x)));
    crc32fast::hash(elements) == u32::from_le_bytes(*check)
}

/// An error of a segment's bytes.
pub(super) fn failed(path: &str, error: &ann::Error) -> Error {
    Error::Damaged { path: path.to_owned(), reason: error.to_string() }
}

/// An error of vectors themselves.
pub(super) fn wrong(error: kernels::vectors::Error) -> Error {
    Error::InvalidParameter { message: error.to_string(), hint: None }
}

async fn fetch(lake: &Lake, path: &str, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
    let location = Path::parse(path).map_err(|e| storage::error(path, &e.into()))?;
    let fetched = lake.store().get_ranges(&location, ranges).await;
    fetched.map_err(|error| storage::error(path, &error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_without_a_vector_are_told_from_vectors_of_zeros() {
        for dimension in 1..=4096 {
            let mut row = Vec::new();
            write_row(&vec![0.0; dimension], &mut row);
            assert_eq!(row.len(), row_bytes(dimension));
            assert!(row.iter().any(|byte| *byte != 0), "{dimension}");
        }
    }

    #[test]
    fn a_row_that_differs_is_noticed() {
        let mut row = Vec::new();
        write_row(&[1.0, -2.5], &mut row);
        let mut read = Vec::new();
        assert!(read_row(&row, &mut read));
        assert_eq!(read, [1.0, -2.5]);
        for at in 0..row.len() {
            row[at] ^= 1;
            assert!(!read_row(&row, &mut Vec::new()), "{at}");
            row[at] ^= 1;
        }
    }
}
