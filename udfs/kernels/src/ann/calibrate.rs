//! What recall the two numbers of a search give, measured on the segment itself.
//!
//! The truth is the second look at every row. Each query walks once, as far and with as wide a
//! margin as any search would; where its true neighbours lie in the walk, and how far below the
//! limit their estimates are, gives the recall of every reach and of every margin at once. Losses
//! are small and nearly independent, so recall is taken as the product. A recall that is asked for
//! is split: a third of the loss is left to the margin, the rest to the reach.

use super::Error;
use super::list::ListSource;
use super::model::Model;
use super::parallel::{Phase, Work};
use super::search::{Effort, MANY, Query, Scratch, search_turned};
use super::segment::{Head, Segment};
use super::stand_ins::{KINDS, stand_ins};
use crate::vectors::{Metric, Panels, Rows, Top, Visible};

/// Queries that are measured when none are given.
const QUERIES: usize = 512;
/// The ks that are measured; others lie between, or take the nearest.
const KS: [usize; 2] = [10, 100];
const REACHES: [f32; 16] =
    [1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 6.0, 7.0, 8.5, 10.0, 12.0, 15.0, 20.0, 27.0, 36.0, 50.0];
const MARGINS: [f32; 9] = [0.0, 0.25, 0.5, 0.8, 1.2, 1.7, 2.4, 3.5, 5.0];
/// By how much losses are taken to be greater than those of stand-ins: queries to come may be
/// harder than any of them.
const CAUTION: f32 = 1.25;
/// What a search takes before there is a curve.
const GENEROUS: (f32, f32) = (15.0, 3.5);

/// The curve of one k.
#[derive(Debug, Clone, PartialEq)]
pub struct Curve {
    pub k: u32,
    /// Reach, recall, lists read in the mean; recall does not fall.
    pub reaches: Vec<[f32; 3]>,
    /// Margin, recall; recall does not fall.
    pub margins: Vec<[f32; 2]>,
}

/// Curves by ascending k; none before measuring, when searches are generous.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Calibration {
    pub curves: Vec<Curve>,
}

impl Calibration {
    /// The reach and the margin for a recall of the k nearest.
    pub fn knobs(&self, recall: f32, k: usize) -> (f32, f32) {
        let loss = 1.0 - recall;
        let (first, second, share) = self.between(k);
        let (Some(first), Some(second)) = (first, second) else { return GENEROUS };
        let one = |curve: &Curve| {
            let margin = lookup(curve.margins.iter().map(|[x, y]| (*x, *y)), 1.0 - loss / 3.0);
            let kept = curve.recall_of_margin(margin).max(recall);
            let reach = curve.reaches.iter().map(|[x, y, _]| (*x, *y));
            (lookup(reach, (recall / kept).min(1.0)), margin)
        };
        let ((a, b), (c, d)) = (one(first), one(second));
        (a + (c - a) * share, b + (d - b) * share)
    }

    /// How many lists a reach reads, with room for the unusual query.
    pub fn lists(&self, reach: f32, k: usize) -> usize {
        let (first, second, share) = self.between(k);
        let (Some(first), Some(second)) = (first, second) else { return 64 };
        let one = |curve: &Curve| {
            interpolate(curve.reaches.iter().map(|[x, _, lists]| (*x, *lists)), reach)
        };
        let lists = one(first) + (one(second) - one(first)) * share;
        (lists * 1.5) as usize + 8
    }

    /// The curves on both sides of k, and how far from the first it is on a scale of logarithms.
    fn between(&self, k: usize) -> (Option<&Curve>, Option<&Curve>, f32) {
        let next = self.curves.partition_point(|curve| (curve.k as usize) < k);
        let second = self.curves.get(next).or(self.curves.last());
        let first = if next == 0 { second } else { self.curves.get(next - 1) };
        let share = match (first, second) {
            (Some(a), Some(b)) if a.k < b.k => {
                (k as f32 / a.k as f32).ln() / (b.k as f32 / a.k as f32).ln()
            }
            _ => 0.0,
        };
        (first, second, share)
    }
}

impl Curve {
    fn recall_of_margin(&self, margin: f32) -> f32 {
        interpolate(self.margins.iter().map(|[x, y]| (*x, *y)), margin)
    }
}

/// The least x whose y is the wanted one, on the line between points; the last x when none is.
fn lookup(points: impl Iterator<Item = (f32, f32)>, wanted: f32) -> f32 {
    let mut before: Option<(f32, f32)> = None;
    for (x, y) in points {
        if y >= wanted {
            return match before {
                Some((x0, y0)) if y > y0 => x0 + (x - x0) * (wanted - y0) / (y - y0),
                _ => x,
            };
        }
        before = Some((x, y));
    }
    before.map_or(0.0, |(x, _)| x)
}

/// The y of an x, on the line between points, level outside.
fn interpolate(points: impl Iterator<Item = (f32, f32)>, wanted: f32) -> f32 {
    let mut before: Option<(f32, f32)> = None;
    for (x, y) in points {
        if x >= wanted {
            return match before {
                Some((x0, y0)) if x > x0 => y0 + (y - y0) * (wanted - x0) / (x - x0),
                _ => y,
            };
        }
        before = Some((x, y));
    }
    before.map_or(0.0, |(_, y)| y)
}

/// Measures a segment with queries like those to come, or, without any, with stand-ins of several
/// kinds; the curve is that of the worst kind.
///
/// # Errors
/// `Vector` for queries of another dimension or with NaN, `Cancelled`.
pub fn calibrate(
    segment: &Segment,
    queries: Option<Rows<'_>>,
    work: &Work<'_>,
) -> Result<Calibration, Error> {
    let head = segment.head();
    if head.listed() == 0 {
        return Ok(Calibration::default());
    }
    let (turned, kinds, caution) = match queries {
        Some(rows) => (turned(&head.model, rows, work)?, 1, 1.0),
        None => (stand_ins(head, segment, QUERIES.min(head.listed())), KINDS, CAUTION),
    };
    if turned.is_empty() {
        return Ok(Calibration::default());
    }
    let most = KS[KS.len() - 1].min(head.listed());
    let truths = truths(segment, &turned, most, work)?;
    let mut curves = Vec::new();
    // Greater ks are served without a walk.
    for k in KS.into_iter().filter(|k| *k <= most && *k < head.listed() / MANY) {
        let padded = head.model.frame.padded();
        let pieces = work.map(Phase::Calibrate, truths.len().div_ceil(16), |piece| {
            let mut scratch = Scratch::default();
            let range = piece * 16..((piece + 1) * 16).min(truths.len());
            let one = |i: usize| {
                let vector = &turned[i * padded..(i + 1) * padded];
                Walked::new((segment, work), vector, &truths[i][..k], &mut scratch)
            };
            range.map(one).collect::<Result<Vec<_>, Error>>()
        })?;
        let walked = pieces.into_iter().collect::<Result<Vec<_>, _>>()?.concat();
        curves.push(curve(k, &walked, (kinds, caution)));
    }
    Ok(Calibration { curves })
}

/// One query's widest walk.
#[derive(Debug, Clone)]
struct Walked {
    /// Lists read, and the mean place of the best then.
    trace: Vec<(usize, f32)>,
    /// For each true neighbour, where in the walk its list was read, and what margin its estimate
    /// needs; infinite for one that was not met.
    met: Vec<(usize, f32)>,
}

impl Walked {
    fn new(
        (segment, work): (&Segment, &Work<'_>),
        vector: &[f32],
        truth: &[u64],
        scratch: &mut Scratch,
    ) -> Result<Self, Error> {
        let (head, k) = (segment.head(), truth.len());
        let (reach, margin) = (REACHES[REACHES.len() - 1], MARGINS[MARGINS.len() - 1]);
        let effort = Effort::Knobs { reach, margin };
        let query = Query { vector, k, effort, visible: Visible::default(), vectors: None };
        let place = (head, segment as &dyn ListSource, work.level);
        search_turned(place, &query, Some(vector), scratch)?;
        let candidates = &mut scratch.probe.candidates;
        let limit = candidates.kth(k);
        let mut kept = Vec::with_capacity(candidates.rows.len());
        let mut ends = candidates.runs.iter().skip(1).map(|run| run.start as usize);
        for run in &candidates.runs {
            let end = ends.next().unwrap_or(candidates.rows.len());
            for i in run.start as usize..end {
                let row = head.places[run.list as usize] + candidates.rows[i];
                let below = (limit - candidates.scores[i]) / run.unit - candidates.crowding;
                kept.push((row, if below.is_finite() { below } else { 0.0 }));
            }
        }
        kept.sort_unstable_by_key(|(row, _)| *row);
        let met = truth.iter().map(|row| {
            let list = head.places.partition_point(|start| u64::from(*start) <= *row) - 1;
            let place = scratch.read.iter().position(|read| *read as usize == list);
            let found = kept.binary_search_by_key(row, |(row, _)| u64::from(*row));
            (place.unwrap_or(usize::MAX), found.map_or(f32::INFINITY, |i| kept[i].1))
        });
        Ok(Self { trace: scratch.trace.clone(), met: met.collect() })
    }

    /// Lists that a reach reads.
    fn lists(&self, reach: f32) -> usize {
        let stop = self.trace.iter().find(|(lists, mean)| *lists as f32 >= reach * mean);
        stop.map_or(usize::MAX - 1, |(lists, _)| *lists)
    }
}

/// The mean of a share over the queries of the kind where it is least.
fn worst(walked: &[Walked], (kinds, caution): (usize, f32), share: impl Fn(&Walked) -> f32) -> f32 {
    let mean = |kind: usize| {
        let shares = walked.iter().skip(kind).step_by(kinds).map(&share);
        let (sum, count) = shares.fold((0.0, 0.0f32), |(sum, n), share| (sum + share, n + 1.0));
        if count > 0.0 { sum / count } else { 1.0 }
    };
    let least = (0..kinds).map(mean).fold(1.0, f32::min);
    1.0 - caution * (1.0 - least)
}

fn curve(k: usize, walked: &[Walked], kinds: (usize, f32)) -> Curve {
    let all = walked.iter().map(|one| one.trace.last().map_or(0, |(lists, _)| *lists));
    let longest = all.max().unwrap_or(0);
    let reaches = REACHES.map(|reach| {
        let share = |one: &Walked| {
            let lists = one.lists(reach);
            let met = one.met.iter().filter(|(place, _)| *place < lists).count();
            met as f32 / k as f32
        };
        let lists = walked.iter().map(|one| one.lists(reach).min(longest) as f32).sum::<f32>();
        [reach, worst(walked, kinds, share), lists / walked.len().max(1) as f32]
    });
    let margins = MARGINS.map(|margin| {
        let share = |one: &Walked| {
            // What the walk did not reach is not the margin's.
            let read = one.met.iter().filter(|(place, _)| *place < usize::MAX);
            let within = read.clone().filter(|(_, needed)| *needed <= margin).count();
            within as f32 / read.count().max(1) as f32
        };
        [margin, worst(walked, kinds, share)]
    });
    Curve { k: k as u32, reaches: reaches.to_vec(), margins: margins.to_vec() }
}

fn turned(model: &Model, rows: Rows<'_>, work: &Work<'_>) -> Result<Vec<f32>, Error> {
    let dimension = model.options.dimension;
    if rows.dimension() != dimension {
        let found = rows.dimension();
        return Err(crate::vectors::Error::Dimension { expected: dimension, found }.into());
    }
    let mut plain = Vec::new();
    rows.copy_to(&mut plain);
    super::model::finite(&plain, dimension)?;
    model.frame.prepare(&mut plain);
    Ok(model.frame.turn(work, &plain))
}

/// The places of the nearest rows of each query, by the second numbers of all rows, in tiles.
fn truths(
    segment: &Segment,
    queries: &[f32],
    k: usize,
    work: &Work<'_>,
) -> Result<Vec<Vec<u64>>, Error> {
    const LISTS: usize = 64;
    let head = segment.head();
    let padded = head.model.frame.padded();
    let count = queries.len() / padded;
    let parts = work.map(Phase::Calibrate, head.entries.len().div_ceil(LISTS), |piece| {
        let mut tops = vec![Top::new(k); count];
        let lists = piece * LISTS..head.entries.len().min((piece + 1) * LISTS);
        lists.for_each(|list| offer_list(head, segment, (queries, work), list, &mut tops));
        tops.into_iter().map(Top::finish).collect::<Vec<_>>()
    })?;
    let mut tops = vec![Top::new(k); count];
    for part in parts {
        for (top, neighbours) in tops.iter_mut().zip(part) {
            neighbours.iter().for_each(|n| top.offer(n.distance, n.key));
        }
    }
    let keys = |top: Top| top.finish().iter().map(|n| n.key).collect();
    Ok(tops.into_iter().map(keys).collect())
}

fn offer_list(
    head: &Head,
    segment: &Segment,
    (queries, work): (&[f32], &Work<'_>),
    list: usize,
    tops: &mut [Top],
) {
    let padded = head.model.frame.padded();
    let Some(open) = segment.open_list(list).filter(|open| open.len() > 0) else { return };
    let mut rows = Vec::with_capacity(open.len() * padded);
    (0..open.len()).for_each(|row| segment.extend_turned(list, &open, row, &mut rows));
    let half = |row: &[f32]| row.iter().map(|x| x * x).sum::<f32>() / 2.0;
    let is_l2 = head.model.options.metric == Metric::L2;
    let bias: Vec<f32> =
        rows.chunks_exact(padded).map(|row| if is_l2 { half(row) } else { 0.0 }).collect();
    let Ok(rows) = Rows::single(&rows, padded) else { return };
    let panels = Panels::new(rows);
    let mut dots = vec![0.0; tops.len() * panels.stride()];
    panels.dots(work.level, queries, &mut dots);
    for (top, dots) in tops.iter_mut().zip(dots.chunks_exact(panels.stride())) {
        for (row, (dot, bias)) in dots.iter().zip(&bias).enumerate() {
            if bias - dot <= top.limit() {
                top.offer(bias - dot, u64::from(head.places[list]) + row as u64);
            }
        }
    }
}
