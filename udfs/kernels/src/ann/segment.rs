//! Segments: a head with everything needed to choose lists, and the lists.
//!
//! ```text
//!   head | padding to 64 | list 0 | list 1 | …      offsets in the head count from the first list
//! ```
//!
//! Immutable: deletions are a bitmap beside it, new rows another segment.

use std::ops::Range;
use std::sync::Arc;

use super::calibrate::Calibration;
use super::coarse::Coarse;
use super::list::{self, Layout, ListSource};
use super::model::{Model, Refine};
use super::{Error, format};
use crate::vectors::widen;

/// A list as the head knows it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Entry {
    pub offset: u64,
    pub rows: u32,
    /// The mean length of residuals against training: the root of the mean square.
    pub spread: f32,
    /// The greatest factor of its rows, and their greatest bias: what no estimate is over.
    pub factor: f32,
    pub bias: f32,
}

/// What a search needs before it has any list.
#[derive(Debug, Clone)]
pub struct Head {
    pub(super) model: Arc<Model>,
    pub(super) entries: Vec<Entry>,
    /// Rows without a direction (cosine of a zero vector), ascending: they are last in any order.
    pub(super) strays: Vec<u32>,
    pub(super) calibration: Calibration,
    pub(super) coarse: Coarse,
    /// Where lists start in the object.
    pub(super) start: u64,
    /// The place of each list's first row when lists are put one after the other.
    pub(super) places: Vec<u32>,
}

impl Head {
    pub(super) fn new(
        model: Arc<Model>,
        entries: Vec<Entry>,
        strays: Vec<u32>,
        calibration: Calibration,
    ) -> Self {
        let coarse = Coarse::new(&model, entries.iter().map(|entry| entry.rows));
        let mut places = vec![0];
        for entry in &entries {
            places.push(places[places.len() - 1] + entry.rows);
        }
        Self { model, entries, strays, calibration, coarse, start: 0, places }
    }

    /// Reads a head from the beginning of a segment's bytes.
    ///
    /// # Errors
    /// `Corrupt` or `Version`.
    pub fn open(bytes: &[u8]) -> Result<Self, Error> {
        format::read(bytes)
    }

    /// How many bytes of a segment its head takes, from the first 32 of them; one request can get
    /// more than enough, or learn here what is missing.
    ///
    /// # Errors
    /// As `open`.
    pub fn bytes_from(start: &[u8]) -> Result<u64, Error> {
        format::head_bytes(start)
    }

    pub fn model(&self) -> &Arc<Model> {
        &self.model
    }

    pub fn calibration(&self) -> &Calibration {
        &self.calibration
    }

    /// Rows that a search can find.
    pub fn rows(&self) -> usize {
        self.listed() + self.strays.len()
    }

    pub(super) fn listed(&self) -> usize {
        self.places.last().map_or(0, |rows| *rows as usize)
    }

    /// The rows of each list.
    pub fn list_rows(&self) -> impl Iterator<Item = u32> + '_ {
        self.entries.iter().map(|entry| entry.rows)
    }

    /// Residuals against those of training, a ratio of mean squares: over 1.1 the centres no longer
    /// fit and training again pays.
    pub fn drift(&self) -> f64 {
        let rows = self.listed().max(1) as f64;
        let squares = self
            .entries
            .iter()
            .map(|entry| f64::from(entry.spread) * f64::from(entry.spread) * f64::from(entry.rows));
        squares.sum::<f64>() / rows
    }

    /// The bytes of a list within the object.
    pub fn list_range(&self, list: u32) -> Option<Range<u64>> {
        let entry = self.entries.get(list as usize)?;
        let start = self.start + entry.offset;
        Some(start..start + Layout::new(&self.model, entry.rows as usize).bytes as u64)
    }

    /// Checks a list that was fetched; hold it only when this is well.
    ///
    /// # Errors
    /// `Corrupt`.
    pub fn check_list(&self, list: u32, bytes: &[u8]) -> Result<(), Error> {
        let entry = self.entries.get(list as usize).ok_or(Error::Corrupt { part: "list" })?;
        list::check(&self.model, list, entry.rows, bytes)
    }
}

/// A segment in memory, whole and checked.
#[derive(Debug, Clone)]
pub struct Segment {
    head: Head,
    lists: Vec<u8>,
    /// The place of each row number; `u32::MAX` for none. Absent when numbers are far apart.
    by_number: Option<Vec<u32>>,
}

impl Segment {
    pub(super) fn new(head: Head, lists: Vec<u8>) -> Self {
        let mut segment = Self { head, lists, by_number: None };
        segment.by_number = segment.index();
        segment
    }

    /// Opens what `to_bytes` gave.
    ///
    /// # Errors
    /// `Corrupt` wherever a bit differs, `Version`.
    pub fn open(bytes: &[u8]) -> Result<Self, Error> {
        let mut head = Head::open(bytes)?;
        let start = usize::try_from(head.start).map_err(|_| Error::Corrupt { part: "head" })?;
        let lists = bytes.get(start..).ok_or(Error::Corrupt { part: "end" })?.to_vec();
        head.start = 0;
        let segment = Self::new_checked(head, lists)?;
        Ok(segment)
    }

    fn new_checked(head: Head, lists: Vec<u8>) -> Result<Self, Error> {
        let mut end = 0;
        for list in 0..head.entries.len() as u32 {
            let range = head.list_range(list).unwrap_or(0..0);
            let (from, to) = (range.start as usize, range.end as usize);
            let bytes = lists.get(from..to).ok_or(Error::Corrupt { part: "end" })?;
            head.check_list(list, bytes)?;
            end = end.max(to);
        }
        if end != lists.len() {
            return Err(Error::Corrupt { part: "end" });
        }
        Ok(Self::new(head, lists))
    }

    /// The immutable object: the head, then the lists.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = format::write(&self.head);
        bytes.extend_from_slice(&self.lists);
        bytes
    }

    pub fn head(&self) -> &Head {
        &self.head
    }

    /// Stores a curve: the segment's next bytes have it.
    pub fn set_calibration(&mut self, calibration: Calibration) {
        self.head.calibration = calibration;
    }

    /// Bytes in memory beside the model.
    pub fn bytes(&self) -> usize {
        self.lists.len() + self.by_number.as_ref().map_or(0, |places| places.len() * 4)
    }

    /// Where each row number is.
    fn index(&self) -> Option<Vec<u32>> {
        let rows = self.head.listed();
        let lists = || (0..self.head.entries.len()).filter_map(|list| self.open_list(list));
        let greatest = lists().filter_map(|list| list.numbers.last().copied());
        let greatest = greatest.map(u32::from_le_bytes).max()? as usize;
        if greatest > rows.saturating_mul(8) + 65_536 {
            return None;
        }
        let mut places = vec![u32::MAX; greatest + 1];
        let mut place = 0;
        for list in lists() {
            for row in 0..list.len() {
                if let Some(known) = places.get_mut(list.number(row) as usize) {
                    *known = place;
                }
                place += 1;
            }
        }
        Some(places)
    }

    pub(super) fn open_list(&self, list: usize) -> Option<list::List<'_>> {
        let rows = self.head.entries.get(list)?.rows as usize;
        list::List::open(&self.head.model, rows, self.list(list as u32)?)
    }
}

impl Segment {
    /// A row as the second look knows it, in turned space, and its list.
    pub(super) fn turned_row(&self, place: usize) -> (Vec<f32>, usize) {
        let list = self.head.places.partition_point(|start| *start as usize <= place) - 1;
        let mut out = Vec::new();
        if let Some(open) = self.open_list(list) {
            let row = place - self.head.places[list] as usize;
            self.extend_turned(list, &open, row, &mut out);
        }
        (out, list)
    }

    /// Appends such a row of an opened list.
    pub(super) fn extend_turned(
        &self,
        list: usize,
        open: &list::List<'_>,
        row: usize,
        out: &mut Vec<f32>,
    ) {
        let model = &self.head.model;
        let (centre, bytes) = (model.clusters.centre(list), open.refine(row));
        if model.options.refine == Refine::Half {
            let halves = bytes.as_chunks::<2>().0.iter().map(|b| widen(u16::from_le_bytes(*b)));
            return out.extend(centre.iter().zip(halves).map(|(c, x)| c + x));
        }
        let scale = open.scale(row);
        let units = model.units.iter().zip(bytes);
        let residual = units.map(|(unit, b)| f32::from(b.cast_signed()) * unit * scale);
        out.extend(centre.iter().zip(residual).map(|(c, x)| c + x));
    }
}

impl ListSource for Segment {
    #[inline]
    fn list(&self, list: u32) -> Option<&[u8]> {
        let entry = self.head.entries.get(list as usize)?;
        self.lists.get(entry.offset as usize..)
    }

    fn places(&self) -> Option<&[u32]> {
        self.by_number.as_deref()
    }
}
