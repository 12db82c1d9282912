//! What recall the two numbers of a search give, measured on the segment itself.
//!
//! The truth is the second look at every row. First the margin is varied with a reach that misses
//! next to nothing, then the reach with the widest margin; losses are small and nearly independent,
//! so recall is taken as the product. A recall that is asked for is split: a third of the loss is
//! left to the margin, the rest to the reach.

use super::Error;
use super::list::ListSource;
use super::model::Model;
use super::parallel::{Phase, Work};
use super::search::{Effort, KINDS, Query, Scratch, search_turned, stand_ins};
use super::segment::{Head, Segment};
use crate::vectors::{Metric, Panels, Rows, Top, Visible};

/// Queries that are measured when none are given.
const QUERIES: usize = 512;
/// The ks that are measured; others lie between, or take the nearest.
const KS: [usize; 2] = [10, 100];
const REACHES: [f32; 12] = [0.0, 1.0, 1.5, 2.0, 2.5, 3.0, 3.5, 4.0, 5.0, 6.0, 7.5, 10.0];
const MARGINS: [f32; 8] = [0.0, 0.25, 0.5, 0.8, 1.2, 1.7, 2.4, 3.5];

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
        let (Some(first), Some(second)) = (first, second) else { return (6.0, 3.5) };
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

/// Measures a segment with queries like those to come, or, without any, with rows and what is
/// between rows. The curve is the worse of the two kinds.
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
    let padded = head.model.frame.padded();
    let (turned, kinds) = match queries {
        Some(rows) => (turned(&head.model, rows, work)?, 1),
        None => (stand_ins(head, segment, QUERIES.min(head.listed())), KINDS),
    };
    if turned.is_empty() {
        return Ok(Calibration::default());
    }
    let most = KS[KS.len() - 1].min(head.listed());
    let truths = truths(segment, &turned, most, work)?;
    let measure = |k: usize, reach: f32, margin: f32| -> Result<(f32, f32), Error> {
        let effort = Effort::Knobs { reach, margin };
        let pieces = work.map(Phase::Calibrate, turned.len() / padded / 16 + 1, |piece| {
            let mut scratch = Scratch::default();
            let range = piece * 16..((piece + 1) * 16).min(turned.len() / padded);
            range
                .map(|i| {
                    let vector = &turned[i * padded..(i + 1) * padded];
                    let query =
                        Query { vector, k, effort, visible: Visible::default(), vectors: None };
                    let place = (head, segment as &dyn ListSource, work.level);
                    let found = search_turned(place, &query, Some(vector), &mut scratch)?;
                    let truth = &truths[i][..k];
                    let hits = found.neighbours.iter().filter(|n| truth.contains(&n.key)).count();
                    Ok((i, hits as f32 / k as f32, found.report.lists))
                })
                .collect::<Result<Vec<_>, Error>>()
        })?;
        let mut sums = vec![(0.0f32, 0.0f32); kinds];
        let mut lists = 0.0;
        for (i, recall, read) in pieces.into_iter().collect::<Result<Vec<_>, _>>()?.concat() {
            sums[i % kinds].0 += recall;
            sums[i % kinds].1 += 1.0;
            lists += read as f32;
        }
        let means = sums.iter().filter(|sum| sum.1 > 0.0).map(|sum| sum.0 / sum.1);
        Ok((means.fold(1.0, f32::min), lists / (turned.len() / padded) as f32))
    };
    let mut curves = Vec::new();
    for k in KS.into_iter().filter(|k| *k <= most) {
        curves.push(curve(k, &measure)?);
    }
    Ok(Calibration { curves })
}

fn curve(
    k: usize,
    measure: &dyn Fn(usize, f32, f32) -> Result<(f32, f32), Error>,
) -> Result<Curve, Error> {
    let (mut reaches, mut margins) = (Vec::new(), Vec::new());
    let (widest, mut greatest) = (MARGINS[MARGINS.len() - 1], 0.0f32);
    for reach in REACHES {
        let (recall, lists) = measure(k, reach, widest)?;
        greatest = greatest.max(recall);
        reaches.push([reach, greatest, lists]);
        if recall > 0.9995 {
            break;
        }
    }
    let last = reaches[reaches.len() - 1];
    let mut greatest = 0.0f32;
    for margin in MARGINS {
        let (recall, _) = measure(k, last[0], margin)?;
        // What the reach missed is not the margin's.
        greatest = greatest.max((recall / last[1].max(0.01)).min(1.0));
        margins.push([margin, greatest]);
        if greatest > 0.9998 {
            break;
        }
    }
    Ok(Curve { k: k as u32, reaches, margins })
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

/// The nearest row numbers of each query, by the second numbers of all rows, in tiles.
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
                top.offer(bias - dot, u64::from(open.number(row)));
            }
        }
    }
}
