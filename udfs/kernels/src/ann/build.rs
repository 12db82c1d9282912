//! From vectors to a segment, chunk by chunk; and from segments of one model to one.
//!
//! A builder holds a row's codes and second numbers, not its vector: memory is that of the segment.
//! Lists come out with ascending row numbers, whatever the order of chunks and threads.

use std::sync::Arc;

use super::calibrate::Calibration;
use super::clusters::Assigner;
use super::list::{self, Encoded};
use super::model::{self, Model, Refine};
use super::parallel::{Phase, Work};
use super::segment::{Entry, Head, Segment};
use super::{Error, format};
use crate::vectors::{self, Bitmap, Rows, narrow};

/// Codes that point elsewhere than the residual are not lengthened beyond this.
const LEAST_COSINE: f32 = 0.1;
/// Rows of a piece of work.
const PIECE: usize = 1024;

/// Encodes rows under a model.
pub struct Builder {
    model: Arc<Model>,
    assigner: Assigner,
    parts: Vec<Part>,
    strays: Vec<u32>,
}

/// Rows of a piece, encoded, in the order in which they came.
#[derive(Debug, Default)]
struct Part {
    lists: Vec<u32>,
    numbers: Vec<u32>,
    factors: Vec<f32>,
    biases: Vec<f32>,
    scales: Vec<f32>,
    /// Squared lengths of residuals.
    squares: Vec<f32>,
    codes: Vec<u8>,
    refine: Vec<u8>,
}

impl Part {
    fn row(&self, row: usize) -> Encoded<'_> {
        let count = self.numbers.len();
        let (codes, refine) = (self.codes.len() / count, self.refine.len() / count);
        Encoded {
            number: self.numbers[row],
            factor: self.factors[row],
            bias: self.biases[row],
            scale: self.scales[row],
            codes: &self.codes[row * codes..][..codes],
            refine: &self.refine[row * refine..][..refine],
        }
    }
}

impl Builder {
    pub fn new(model: Arc<Model>) -> Self {
        let assigner = Assigner::new(&model.clusters);
        Self { model, assigner, parts: Vec::new(), strays: Vec::new() }
    }

    /// Rows so far.
    pub fn rows(&self) -> usize {
        self.parts.iter().map(|part| part.numbers.len()).sum::<usize>() + self.strays.len()
    }

    /// Adds rows under numbers of their own; a number must come once.
    ///
    /// # Errors
    /// `Rows`, `Vector` for another dimension or for NaN, `Cancelled`.
    pub fn push(&mut self, rows: Rows<'_>, numbers: &[u32], work: &Work<'_>) -> Result<(), Error> {
        let dimension = self.model.options.dimension;
        if rows.dimension() != dimension {
            let found = rows.dimension();
            return Err(vectors::Error::Dimension { expected: dimension, found }.into());
        }
        if rows.len() != numbers.len() {
            return Err(Error::Rows { numbers: numbers.len(), rows: rows.len() });
        }
        let parts = work.map(Phase::Encode, rows.len().div_ceil(PIECE), |piece| {
            let range = piece * PIECE..rows.len().min((piece + 1) * PIECE);
            self.encode(rows.slice(range.clone()), &numbers[range], work)
        })?;
        for part in parts {
            let (part, strays) = part?;
            self.strays.extend(strays);
            if !part.numbers.is_empty() {
                self.parts.push(part);
            }
        }
        Ok(())
    }

    fn encode(
        &self,
        rows: Rows<'_>,
        numbers: &[u32],
        work: &Work<'_>,
    ) -> Result<(Part, Vec<u32>), Error> {
        let model = &*self.model;
        let mut plain = Vec::new();
        rows.copy_to(&mut plain);
        model::finite(&plain, rows.dimension())?;
        let zeros = model.frame.prepare(&mut plain);
        let strays: Vec<u32> = zeros.iter().map(|place| numbers[*place]).collect();
        let kept = numbers.iter().enumerate().filter(|(place, _)| !zeros.contains(place));
        let numbers = kept.map(|(_, number)| *number).collect();
        let mut turned = model.frame.turn(work, &plain);
        let lists = self.assigner.piece(work, &turned);
        let mut part = Part { numbers, ..Part::default() };
        let padded = model.frame.padded();
        let mut codes = vec![0; model.book.groups() / 2];
        let (mut unit, mut direction) = (Vec::new(), Vec::new());
        for (row, list) in turned.chunks_exact_mut(padded).zip(&lists) {
            let centre = model.clusters.centre(*list as usize);
            normalise(row, &mut direction);
            row.iter_mut().zip(centre).for_each(|(x, c)| *x -= c);
            let length = normalise(row, &mut unit);
            model.book.encode(work, &unit, &mut codes);
            if !model.has_bias() {
                model.book.lean(work, &unit, &direction, &mut codes);
            }
            // The estimate of a residual along itself is then its length.
            let along = model.book.dot(&codes, &unit).max(LEAST_COSINE);
            let factor = length / along;
            part.squares.push(length * length);
            part.codes.extend_from_slice(&codes);
            part.factors.push(factor);
            part.biases.push(match model.has_bias() {
                true => -factor * model.book.dot(&codes, centre) - length * length / 2.0,
                false => 0.0,
            });
            part.scales.push(second_numbers(model, row, &mut part.refine));
        }
        part.lists = lists;
        Ok((part, strays))
    }

    /// The segment of all rows, not yet calibrated.
    pub fn finish(self) -> Segment {
        let Self { model, parts, mut strays, .. } = self;
        let mut lists: Vec<Vec<(u32, u32, u32)>> = vec![Vec::new(); model.lists()];
        for (number, part) in parts.iter().enumerate() {
            for (row, list) in part.lists.iter().enumerate() {
                let place = (part.numbers[row], number as u32, row as u32);
                lists[*list as usize].push(place);
            }
        }
        let (mut entries, mut bytes) = (Vec::with_capacity(lists.len()), Vec::new());
        for (list, mut places) in lists.into_iter().enumerate() {
            places.sort_unstable();
            let squares = places
                .iter()
                .map(|(_, part, row)| f64::from(parts[*part as usize].squares[*row as usize]));
            let rows = places.iter().map(|(_, part, row)| parts[*part as usize].row(*row as usize));
            entries.push(entry(&model, bytes.len(), rows.clone(), squares.sum()));
            list::write(&model, list as u32, rows, &mut bytes);
        }
        strays.sort_unstable();
        Segment::new(Head::new(model, entries, strays, Calibration::default()), bytes)
    }
}

/// Writes a vector of unit length over `out`, zeros for one without any; returns the length.
fn normalise(row: &[f32], out: &mut Vec<f32>) -> f32 {
    let length = row.iter().map(|x| x * x).sum::<f32>().sqrt();
    let factor = if length > 0.0 { 1.0 / length } else { 0.0 };
    out.clear();
    out.extend(row.iter().map(|x| x * factor));
    length
}

fn entry<'a>(
    model: &Model,
    offset: usize,
    encoded: impl ExactSizeIterator<Item = Encoded<'a>>,
    squares: f64,
) -> Entry {
    let rows = encoded.len();
    let mean = squares / rows.max(1) as f64;
    let trained = f64::from(model.residual).max(f64::MIN_POSITIVE);
    let (mut factor, mut bias) = (0.0f32, f32::NEG_INFINITY);
    for row in encoded {
        (factor, bias) = (factor.max(row.factor), bias.max(row.bias));
    }
    let spread = (mean / trained).sqrt() as f32;
    Entry { offset: offset as u64, rows: rows as u32, spread, factor, bias }
}

/// Appends what the second look reads of a residual; returns the row's unit.
fn second_numbers(model: &Model, residual: &[f32], out: &mut Vec<u8>) -> f32 {
    if model.options.refine == Refine::Half {
        out.extend(residual.iter().flat_map(|x| narrow(*x).to_le_bytes()));
        return 1.0;
    }
    let in_units =
        residual.iter().zip(&model.units).map(|(x, unit)| if *unit > 0.0 { x / unit } else { 0.0 });
    let greatest = in_units.clone().fold(0.0f32, |a, x| a.max(x.abs()));
    let scale = greatest / 127.0;
    let factor = if scale > 0.0 { 1.0 / scale } else { 0.0 };
    out.extend(in_units.map(|x| ((x * factor).round() as i8).cast_unsigned()));
    scale
}

/// One segment of several under the same model, without their deleted rows. `renumber` gives a row
/// its new number from the segment's place and its old one; numbers stay different. The first
/// segment's calibration stays.
///
/// # Errors
/// `OtherModel`, `NoSample` for no segments.
pub fn merge(
    segments: &[(&Segment, Option<&Bitmap>)],
    renumber: impl Fn(usize, u32) -> u32,
) -> Result<Segment, Error> {
    let (first, _) = segments.first().ok_or(Error::NoSample)?;
    let model = Arc::clone(first.head().model());
    let is_same = |other: &Arc<Model>| {
        Arc::ptr_eq(&model, other) || format::model_bytes(&model) == format::model_bytes(other)
    };
    if !segments.iter().all(|(segment, _)| is_same(segment.head().model())) {
        return Err(Error::OtherModel);
    }
    let is_kept = |deleted: &Option<&Bitmap>, number: u32| {
        !deleted.is_some_and(|deleted| deleted.contains(number))
    };
    let stretches = model.book.groups() / 2;
    let (mut entries, mut bytes) = (Vec::new(), Vec::new());
    for list in 0..model.lists() {
        let mut places = Vec::new();
        let mut squares = 0.0;
        let opened: Vec<_> = segments.iter().map(|(segment, _)| segment.open_list(list)).collect();
        for (part, ((segment, deleted), open)) in segments.iter().zip(&opened).enumerate() {
            let Some(open) = open else { continue };
            let before = places.len();
            let kept = (0..open.len()).filter(|row| is_kept(deleted, open.number(*row)));
            places.extend(kept.map(|row| (renumber(part, open.number(row)), part, row)));
            let spread = f64::from(segment.head().entries[list].spread);
            let kept = (places.len() - before) as f64;
            squares += spread * spread * kept * f64::from(model.residual);
        }
        places.sort_unstable();
        let mut codes = Vec::with_capacity(places.len() * stretches);
        for (_, part, row) in &places {
            if let Some(open) = &opened[*part] {
                open.codes_of(*row, stretches, &mut codes);
            }
        }
        let rows: Vec<Encoded<'_>> = places
            .iter()
            .zip(codes.chunks_exact(stretches.max(1)))
            .filter_map(|((number, part, row), codes)| {
                let open = opened[*part].as_ref()?;
                Some(Encoded {
                    number: *number,
                    factor: open.factor(*row),
                    bias: open.bias(*row),
                    scale: open.scale(*row),
                    codes,
                    refine: open.refine(*row),
                })
            })
            .collect();
        entries.push(entry(&model, bytes.len(), rows.iter().copied(), squares));
        list::write(&model, list as u32, rows.into_iter(), &mut bytes);
    }
    let mut strays = Vec::new();
    for (part, (segment, deleted)) in segments.iter().enumerate() {
        let kept = segment.head().strays.iter().filter(|number| is_kept(deleted, **number));
        strays.extend(kept.map(|number| renumber(part, *number)));
    }
    strays.sort_unstable();
    let calibration = first.head().calibration.clone();
    Ok(Segment::new(Head::new(model, entries, strays, calibration), bytes))
}
