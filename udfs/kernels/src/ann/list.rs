//! A list's bytes: made once, read in place, one range of a segment.
//!
//! ```text
//!   check u32 | list u32 | rows u32 | 0 u32 | 48 zeros        check: CRC-32 of all that follows it
//!   numbers   rows × u32, ascending                          each part padded to 64 bytes
//!   factors   rows × f32                                     what estimates of residuals are times
//!   biases    rows × f32                                     L2 only
//!   codes     ⌈rows/32⌉ blocks of groups/2 × 32 bytes        idle rows of the last block: zeros
//!   scales    rows × f32                                     8-bit numbers only
//!   numbers   rows × (axes × i8 | axes × f16)                the second look
//! ```
//!
//! All little-endian. Nothing is converted when a list is opened.

use super::Error;
use super::model::{Model, Refine};
use crate::simd::nibbles::BLOCK;

const HEADER: usize = 64;

/// Who holds the lists of a segment: memory, or a cache of what was fetched.
pub trait ListSource {
    /// The bytes of a list whose check was made, or `None` when they are not at hand. There may be
    /// more bytes than the list has.
    fn list(&self, list: u32) -> Option<&[u8]>;

    /// The place of each row number when all lists are put one after the other, `u32::MAX` for
    /// none; it serves filters that few rows pass.
    fn places(&self) -> Option<&[u32]> {
        None
    }
}

/// Where the parts of a list lie.
#[derive(Debug, Clone, Copy)]
pub(super) struct Layout {
    rows: usize,
    factors: usize,
    biases: usize,
    codes: usize,
    scales: usize,
    refine: usize,
    refine_bytes: usize,
    pub bytes: usize,
}

fn part(bytes: usize) -> usize {
    bytes.next_multiple_of(64)
}

impl Layout {
    pub fn new(model: &Model, rows: usize) -> Self {
        let factors = HEADER + part(rows * 4);
        let biases = factors + part(rows * 4);
        let codes = biases + if model.has_bias() { part(rows * 4) } else { 0 };
        let scales = codes + rows.div_ceil(BLOCK) * model.book.groups() / 2 * BLOCK;
        let has_scale = model.options.refine == Refine::Byte;
        let refine = scales + if has_scale { part(rows * 4) } else { 0 };
        let refine_bytes = model.refine_bytes();
        let bytes = refine + part(rows * refine_bytes);
        Self { rows, factors, biases, codes, scales, refine, refine_bytes, bytes }
    }
}

/// A row as a builder keeps it and a merge copies it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Encoded<'a> {
    pub number: u32,
    pub factor: f32,
    pub bias: f32,
    pub scale: f32,
    pub codes: &'a [u8],
    pub refine: &'a [u8],
}

/// Writes a list of rows whose numbers ascend.
pub(super) fn write<'a>(
    model: &Model,
    list: u32,
    rows: impl ExactSizeIterator<Item = Encoded<'a>>,
    out: &mut Vec<u8>,
) {
    let layout = Layout::new(model, rows.len());
    let start = out.len();
    out.resize(start + layout.bytes, 0);
    let bytes = &mut out[start..];
    bytes[4..8].copy_from_slice(&list.to_le_bytes());
    bytes[8..12].copy_from_slice(&(layout.rows as u32).to_le_bytes());
    let stretches = model.book.groups() / 2;
    for (row, encoded) in rows.enumerate() {
        let mut put = |at: usize, word: [u8; 4]| bytes[at..at + 4].copy_from_slice(&word);
        put(HEADER + row * 4, encoded.number.to_le_bytes());
        put(layout.factors + row * 4, encoded.factor.to_le_bytes());
        if layout.codes > layout.biases {
            put(layout.biases + row * 4, encoded.bias.to_le_bytes());
        }
        if layout.refine > layout.scales {
            put(layout.scales + row * 4, encoded.scale.to_le_bytes());
        }
        let block = layout.codes + row / BLOCK * stretches * BLOCK + row % BLOCK;
        for (stretch, code) in encoded.codes.iter().enumerate() {
            bytes[block + stretch * BLOCK] = *code;
        }
        let at = layout.refine + row * layout.refine_bytes;
        bytes[at..at + layout.refine_bytes].copy_from_slice(encoded.refine);
    }
    let check = crc32fast::hash(&bytes[4..]);
    bytes[..4].copy_from_slice(&check.to_le_bytes());
}

/// A list's parts, in place.
#[derive(Debug, Clone, Copy)]
pub(super) struct List<'a> {
    pub numbers: &'a [[u8; 4]],
    pub factors: &'a [[u8; 4]],
    /// Empty unless rows carry a number of their own.
    pub biases: &'a [[u8; 4]],
    pub codes: &'a [u8],
    scales: &'a [[u8; 4]],
    refine: &'a [u8],
    refine_bytes: usize,
}

impl<'a> List<'a> {
    /// The parts of a list of `rows` rows; `None` when there are fewer bytes than that.
    pub fn open(model: &Model, rows: usize, bytes: &'a [u8]) -> Option<Self> {
        let layout = Layout::new(model, rows);
        let bytes = bytes.get(..layout.bytes)?;
        let words = |at: usize, end: usize| bytes[at..end].as_chunks::<4>().0;
        let some = |at: usize, next: usize| if next > at { words(at, at + rows * 4) } else { &[] };
        Some(Self {
            numbers: words(HEADER, HEADER + rows * 4),
            factors: words(layout.factors, layout.factors + rows * 4),
            biases: some(layout.biases, layout.codes),
            codes: &bytes[layout.codes..layout.scales],
            scales: some(layout.scales, layout.refine),
            refine: &bytes[layout.refine..],
            refine_bytes: layout.refine_bytes,
        })
    }

    pub fn len(&self) -> usize {
        self.numbers.len()
    }

    #[inline]
    pub fn number(&self, row: usize) -> u32 {
        u32::from_le_bytes(self.numbers[row])
    }

    pub fn factor(&self, row: usize) -> f32 {
        self.factors.get(row).map_or(0.0, |bytes| f32::from_le_bytes(*bytes))
    }

    #[inline]
    pub fn bias(&self, row: usize) -> f32 {
        self.biases.get(row).map_or(0.0, |bytes| f32::from_le_bytes(*bytes))
    }

    /// The unit of the row's 8-bit numbers; 1 for half floats.
    #[inline]
    pub fn scale(&self, row: usize) -> f32 {
        self.scales.get(row).map_or(1.0, |bytes| f32::from_le_bytes(*bytes))
    }

    /// The bytes of the second look.
    #[inline]
    pub fn refine(&self, row: usize) -> &'a [u8] {
        &self.refine[row * self.refine_bytes..][..self.refine_bytes]
    }

    /// Gathers a row's codes from its block.
    pub fn codes_of(&self, row: usize, stretches: usize, out: &mut Vec<u8>) {
        let block = &self.codes[row / BLOCK * stretches * BLOCK..];
        out.extend((0..stretches).map(|stretch| block[stretch * BLOCK + row % BLOCK]));
    }
}

/// Checks a list as it comes from storage.
///
/// # Errors
/// `Corrupt` when a byte differs from what was written or it is another list.
pub(super) fn check(model: &Model, list: u32, rows: u32, bytes: &[u8]) -> Result<(), Error> {
    let corrupt = Error::Corrupt { part: "list" };
    if bytes.len() != Layout::new(model, rows as usize).bytes {
        return Err(corrupt);
    }
    let word = |at: usize| bytes.get(at..at + 4).and_then(|w| w.try_into().ok());
    let word = |at: usize| word(at).map_or(0, u32::from_le_bytes);
    if word(0) != crc32fast::hash(&bytes[4..]) || word(4) != list || word(8) != rows {
        return Err(corrupt);
    }
    Ok(())
}
