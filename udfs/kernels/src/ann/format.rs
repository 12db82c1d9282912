//! The bytes of a head: version, check, and fields in a fixed order, little-endian.
//!
//! ```text
//!   "SXTNIVF1" | version u32 | check u32 | head bytes u64 | model bytes u64 | model | table
//!   model: metric u8, grouping u8, refine u8, 0 u8, dimension u32, seed u64,
//!          lists u32 (0: by rows), residual f32, then arrays: mean, axes, tops' starts, tops,
//!          centres, groups' starts,
//!          words, units, variances, errors
//!   table: arrays: offsets, rows, spreads, factors, biases, strays;
//!          count of curves, of each k u32 and two arrays
//!   array: length u64, elements
//! ```
//!
//! The check is CRC-32 of all that follows it, the padding to 64 bytes at the end included.

use std::sync::Arc;

use super::Error;
use super::calibrate::{Calibration, Curve};
use super::clusters::Clusters;
use super::codes::{Codebook, Grouping};
use super::model::{Frame, Model, Options, Refine};
use super::segment::{Entry, Head};
use crate::vectors::Metric;

const MAGIC: &[u8; 8] = b"SXTNIVF1";
const VERSION: u32 = 1;
/// Up to the model.
const START: usize = 32;

const CORRUPT: Error = Error::Corrupt { part: "head" };

/// The head's bytes, a multiple of 64.
pub(super) fn write(head: &Head) -> Vec<u8> {
    let model = model_bytes(&head.model);
    let mut out = vec![0; START];
    out[..8].copy_from_slice(MAGIC);
    out[8..12].copy_from_slice(&VERSION.to_le_bytes());
    out[24..32].copy_from_slice(&(model.len() as u64).to_le_bytes());
    out.extend_from_slice(&model);
    array(&mut out, head.entries.iter().map(|entry| entry.offset.to_le_bytes()));
    array(&mut out, head.entries.iter().map(|entry| entry.rows.to_le_bytes()));
    array(&mut out, head.entries.iter().map(|entry| entry.spread.to_le_bytes()));
    array(&mut out, head.entries.iter().map(|entry| entry.factor.to_le_bytes()));
    array(&mut out, head.entries.iter().map(|entry| entry.bias.to_le_bytes()));
    array(&mut out, head.strays.iter().map(|number| number.to_le_bytes()));
    out.extend_from_slice(&(head.calibration.curves.len() as u32).to_le_bytes());
    for curve in &head.calibration.curves {
        out.extend_from_slice(&curve.k.to_le_bytes());
        array(&mut out, curve.reaches.as_flattened().iter().map(|x| x.to_le_bytes()));
        array(&mut out, curve.margins.as_flattened().iter().map(|x| x.to_le_bytes()));
    }
    out.resize(out.len().next_multiple_of(64), 0);
    let bytes = (out.len() as u64).to_le_bytes();
    out[16..24].copy_from_slice(&bytes);
    let check = crc32fast::hash(&out[16..]);
    out[12..16].copy_from_slice(&check.to_le_bytes());
    out
}

/// A model's bytes; equal only for equal models.
pub(super) fn model_bytes(model: &Model) -> Vec<u8> {
    let options = &model.options;
    let metric = match options.metric {
        Metric::L2 => 0,
        Metric::InnerProduct => 1,
        Metric::Cosine => 2,
        Metric::L1 => 3,
    };
    let grouping = match options.grouping {
        None => 0,
        Some(Grouping::ByVariance) => 1,
        Some(Grouping::Even) => 2,
    };
    let refine = match options.refine {
        Refine::Byte => 0,
        Refine::Half => 1,
    };
    let mut out = vec![metric, grouping, refine, 0];
    out.extend_from_slice(&(options.dimension as u32).to_le_bytes());
    out.extend_from_slice(&options.seed.to_le_bytes());
    out.extend_from_slice(&(options.lists.unwrap_or(0) as u32).to_le_bytes());
    out.extend_from_slice(&model.residual.to_le_bytes());
    let floats = |out: &mut Vec<u8>, all: &[f32]| array(out, all.iter().map(|x| x.to_le_bytes()));
    let whole = |out: &mut Vec<u8>, all: &[u32]| array(out, all.iter().map(|x| x.to_le_bytes()));
    let (mean, axes) = model.frame.parts();
    floats(&mut out, mean);
    floats(&mut out, axes);
    let (starts, tops, centres) = model.clusters.parts();
    whole(&mut out, starts);
    floats(&mut out, tops);
    floats(&mut out, centres);
    let (starts, words) = model.book.parts();
    whole(&mut out, starts);
    floats(&mut out, words.as_flattened());
    floats(&mut out, &model.units);
    floats(&mut out, &model.variances);
    floats(&mut out, &model.errors);
    out
}

fn array<const B: usize>(out: &mut Vec<u8>, all: impl ExactSizeIterator<Item = [u8; B]>) {
    out.extend_from_slice(&(all.len() as u64).to_le_bytes());
    all.for_each(|bytes| out.extend_from_slice(&bytes));
}

/// How long the head is, from its first 32 bytes.
pub(super) fn head_bytes(start: &[u8]) -> Result<u64, Error> {
    let start = start.get(..START).ok_or(CORRUPT)?;
    if &start[..8] != MAGIC {
        return Err(CORRUPT);
    }
    let mut reader = Reader(&start[8..]);
    match (reader.whole(), reader.whole(), reader.long()) {
        (Some(VERSION), Some(_), Some(bytes)) => Ok(bytes),
        (Some(found), _, _) if found > VERSION => Err(Error::Version { found }),
        _ => Err(CORRUPT),
    }
}

pub(super) fn read(bytes: &[u8]) -> Result<Head, Error> {
    let length = usize::try_from(head_bytes(bytes)?).map_err(|_| CORRUPT)?;
    let bytes = bytes.get(..length).filter(|bytes| bytes.len() >= START).ok_or(CORRUPT)?;
    let check = Reader(&bytes[12..]).whole();
    if check != Some(crc32fast::hash(&bytes[16..])) {
        return Err(CORRUPT);
    }
    let mut head = fields(&bytes[24..]).ok_or(CORRUPT)?;
    head.start = length as u64;
    Ok(head)
}

fn fields(bytes: &[u8]) -> Option<Head> {
    let mut reader = Reader(bytes);
    let length = usize::try_from(reader.long()?).ok()?;
    let model = model(reader.take(length)?)?;
    let offsets = reader.array(u64::from_le_bytes)?;
    let rows = reader.array(u32::from_le_bytes)?;
    let mut floats = || reader.array(f32::from_le_bytes);
    let (spreads, factors, biases) = (floats()?, floats()?, floats()?);
    let strays = reader.array(u32::from_le_bytes)?;
    let lists = model.lists();
    let lengths = [offsets.len(), rows.len(), spreads.len(), factors.len(), biases.len()];
    if lengths != [lists; 5] {
        return None;
    }
    rows.iter().try_fold(0u32, |sum, rows| sum.checked_add(*rows))?;
    let bounds = spreads.into_iter().zip(factors).zip(biases);
    let entries = offsets.into_iter().zip(rows).zip(bounds);
    let entry =
        |((offset, rows), ((spread, factor), bias))| Entry { offset, rows, spread, factor, bias };
    let entries = entries.map(entry).collect();
    let mut calibration = Calibration::default();
    for _ in 0..reader.whole()? {
        let k = reader.whole()?;
        let reaches = reader.array(f32::from_le_bytes)?;
        let margins = reader.array(f32::from_le_bytes)?;
        let (reaches, margins) = (reaches.as_chunks().0.to_vec(), margins.as_chunks().0.to_vec());
        calibration.curves.push(Curve { k, reaches, margins });
    }
    Some(Head::new(Arc::new(model), entries, strays, calibration))
}

fn model(bytes: &[u8]) -> Option<Model> {
    let mut reader = Reader(bytes);
    let [metric, grouping, refine, _] = reader.bytes::<4>()?;
    let metric = match metric {
        0 => Metric::L2,
        1 => Metric::InnerProduct,
        2 => Metric::Cosine,
        _ => return None,
    };
    let grouping = match grouping {
        0 => None,
        1 => Some(Grouping::ByVariance),
        2 => Some(Grouping::Even),
        _ => return None,
    };
    let refine = match refine {
        0 => Refine::Byte,
        1 => Refine::Half,
        _ => return None,
    };
    let dimension = reader.whole()? as usize;
    let seed = reader.long()?;
    let lists = Some(reader.whole()? as usize).filter(|lists| *lists > 0);
    let residual = f32::from_le_bytes(reader.bytes()?);
    let options = Options { metric, dimension, lists, grouping, refine, seed };
    let mut floats = || reader.array(f32::from_le_bytes);
    let frame = Frame::from_parts(metric, floats()?, floats()?)?;
    let padded = frame.padded();
    let starts = reader.array(u32::from_le_bytes)?;
    let (tops, centres) = (reader.array(f32::from_le_bytes)?, reader.array(f32::from_le_bytes)?);
    let clusters = Clusters::from_parts(padded, starts, tops, centres)?;
    let starts = reader.array(u32::from_le_bytes)?;
    let words = reader.array(f32::from_le_bytes)?.as_chunks().0.to_vec();
    let book = Codebook::from_parts(starts, words)?;
    let mut floats = || reader.array(f32::from_le_bytes).filter(|all| all.len() == padded);
    let (units, variances, errors) = (floats()?, floats()?, floats()?);
    let fits = book.parts().1.len() == dimension && frame.parts().0.len() == dimension;
    fits.then_some(Model { options, frame, clusters, book, units, variances, errors, residual })
}

/// Takes fields from the front.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    fn bytes<const B: usize>(&mut self) -> Option<[u8; B]> {
        self.take(B)?.try_into().ok()
    }

    fn whole(&mut self) -> Option<u32> {
        self.bytes().map(u32::from_le_bytes)
    }

    fn long(&mut self) -> Option<u64> {
        self.bytes().map(u64::from_le_bytes)
    }

    fn array<T, const B: usize>(&mut self, element: impl Fn([u8; B]) -> T) -> Option<Vec<T>> {
        let count = usize::try_from(self.long()?).ok()?;
        let bytes = self.take(count.checked_mul(B)?)?;
        Some(bytes.as_chunks::<B>().0.iter().map(|bytes| element(*bytes)).collect())
    }
}
