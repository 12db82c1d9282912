//! Searching a segment: the plan for a query, probing with its stop, and the answer.
//!
//! A list is probed if its centre's score, lifted by `reach` deviations of its residuals, reaches
//! the k-th best estimate so far; probing ends when `PATIENCE` lists in a row did not. A filter
//! thins the candidates, the k-th best falls, and more lists are probed by itself. While fewer than
//! k are found every list qualifies, so an answer has min(k, visible rows) rows.

use super::list::{List, ListSource};
use super::model::draw;
use super::parallel::{Phase, Work};
use super::probe::{Probe, turn};
use super::segment::Head;
use super::{Error, model};
use crate::simd::level::Level;
use crate::vectors::{self, Metric, Neighbour, Rows, Top, Visible};

/// Lists in a row that cannot help before the rest is left.
const PATIENCE: usize = 24;
/// With so many visible rows, and four for each that is wanted, looking at each is the quickest.
const FEW: usize = 2048;
/// A share of all rows from which on k is served by looking at each row.
const MANY: usize = 16;
/// Missing lists that are told at once.
const WAVE: usize = 256;

/// How hard to look.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Effort {
    /// Until the calibrated recall, over 0 and at most 1.
    Recall(f32),
    /// The two numbers behind it, see the module.
    Knobs { reach: f32, margin: f32 },
    /// At the second numbers of every visible row.
    Exhaustive,
}

/// What is wanted.
#[derive(Debug, Clone, Copy)]
pub struct Query<'a> {
    pub vector: &'a [f32],
    pub k: usize,
    pub effort: Effort,
    pub visible: Visible<'a>,
    /// The vectors themselves by row number, where at hand: the last order and the distances are
    /// then exact, else they are those of the second numbers.
    pub vectors: Option<Rows<'a>>,
}

/// The nearest rows, and what it took.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Found {
    /// Keys are row numbers.
    pub neighbours: Vec<Neighbour>,
    pub report: Report,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Report {
    /// Lists that were read.
    pub lists: usize,
    /// Rows whose codes were met.
    pub scanned: usize,
    /// Rows that had a second look.
    pub refined: usize,
}

/// Buffers of one thread's searches, kept from one to the next.
#[derive(Debug, Clone, Default)]
pub struct Scratch {
    probe: Probe,
    batch: Vec<u32>,
    chosen: Vec<u32>,
    missing: Vec<u32>,
    vector: Vec<f32>,
}

impl Head {
    /// The numbers behind a recall for this k.
    ///
    /// # Errors
    /// `Recall`.
    pub fn knobs(&self, effort: Effort, k: usize) -> Result<(f32, f32), Error> {
        match effort {
            Effort::Recall(recall) if recall > 0.0 && recall <= 1.0 => {
                Ok(self.calibration.knobs(recall, k))
            }
            Effort::Recall(_) => Err(Error::Recall),
            Effort::Knobs { reach, margin } => Ok((reach, margin)),
            Effort::Exhaustive => Ok((f32::INFINITY, f32::INFINITY)),
        }
    }

    /// Lists that a query will probably read: what to fetch before a first search.
    ///
    /// # Errors
    /// As `search`.
    pub fn first_wave(&self, level: Level, query: &Query<'_>) -> Result<Vec<u32>, Error> {
        let mut scratch = Scratch::default();
        let (reach, _) = self.knobs(query.effort, query.k)?;
        let Some(turned) = prepared(self, level, query, &mut scratch)? else {
            return Ok(Vec::new());
        };
        let wanted = self.calibration.lists(reach, query.k).min(self.entries.len());
        let order = &mut scratch.probe.order;
        self.coarse.start(level, &turned, order);
        let mut wave = Vec::new();
        while wave.len() < wanted {
            order.batch(&mut scratch.batch);
            if scratch.batch.is_empty() {
                break;
            }
            wave.extend_from_slice(&scratch.batch);
        }
        wave.truncate(wanted);
        Ok(wave)
    }
}

/// The nearest rows of a segment.
///
/// # Errors
/// `Vector` (`NoLimit` for a k of zero, `Dimension`, `NotFinite`), `Recall`, and `Missing` when the
/// source lacks lists.
pub fn search(
    head: &Head,
    source: &dyn ListSource,
    level: Level,
    query: &Query<'_>,
    scratch: &mut Scratch,
) -> Result<Found, Error> {
    let turned = prepared(head, level, query, scratch)?;
    search_turned((head, source, level), query, turned.as_deref(), scratch)
}

/// `search` once the query is turned; `None` for one without a direction.
pub(super) fn search_turned(
    (head, source, level): (&Head, &dyn ListSource, Level),
    query: &Query<'_>,
    turned: Option<&[f32]>,
    scratch: &mut Scratch,
) -> Result<Found, Error> {
    let knobs = head.knobs(query.effort, query.k)?;
    scratch.missing.clear();
    let k = query.k.min(head.rows()).max(1);
    let spare = if query.vectors.is_some() { k / 8 + 8 } else { 0 };
    let run = Run { head, source, level, query, knobs, k };
    let mut report = Report::default();
    let mut top = Top::new(k + spare);
    match turned {
        Some(turned) => {
            scratch.probe.start(&head.model, turned);
            match plan(head, source, query) {
                Plan::Probe => run.probe(scratch, turned, &mut top, &mut report),
                Plan::Each => run.each(scratch, &mut top, &mut report),
                Plan::All => run.all(scratch, &mut top, &mut report),
            }
        }
        None => run.directionless(scratch, &mut top),
    }
    if !scratch.missing.is_empty() {
        return Err(Error::Missing { lists: std::mem::take(&mut scratch.missing) });
    }
    Ok(Found { neighbours: answer(head, level, query, top.finish(), k)?, report })
}

enum Plan {
    Probe,
    /// Of few visible rows, each.
    Each,
    All,
}

fn plan(head: &Head, source: &dyn ListSource, query: &Query<'_>) -> Plan {
    let visible = query.visible.at_most(head.listed());
    if query.visible.filter.is_some()
        && visible <= FEW.saturating_add(query.k.saturating_mul(4))
        && source.places().is_some()
    {
        Plan::Each
    } else if query.effort == Effort::Exhaustive
        || query.effort == Effort::Recall(1.0)
        || query.k >= head.listed() / MANY
    {
        Plan::All
    } else {
        Plan::Probe
    }
}

/// The turned query; `None` for one without a direction under cosine.
fn prepared(
    head: &Head,
    level: Level,
    query: &Query<'_>,
    scratch: &mut Scratch,
) -> Result<Option<Vec<f32>>, Error> {
    let dimension = head.model.options.dimension;
    if query.k == 0 {
        return Err(vectors::Error::NoLimit.into());
    }
    if query.vector.len() != dimension {
        let found = query.vector.len();
        return Err(vectors::Error::Dimension { expected: dimension, found }.into());
    }
    model::finite(query.vector, dimension)?;
    scratch.vector.clear();
    scratch.vector.extend_from_slice(query.vector);
    let zeros = head.model.frame.prepare(&mut scratch.vector);
    Ok(zeros.is_empty().then(|| turn(&head.model, level, &scratch.vector)))
}

/// One search on its way.
struct Run<'a> {
    head: &'a Head,
    source: &'a dyn ListSource,
    level: Level,
    query: &'a Query<'a>,
    knobs: (f32, f32),
    k: usize,
}

impl<'a> Run<'a> {
    fn open(&self, list: u32) -> Option<List<'a>> {
        let rows = self.head.entries.get(list as usize)?.rows as usize;
        List::open(&self.head.model, rows, self.source.list(list)?)
    }

    fn probe(&self, scratch: &mut Scratch, turned: &[f32], top: &mut Top, report: &mut Report) {
        let Scratch { probe, batch, missing, .. } = scratch;
        let (model, (reach, margin)) = (&*self.head.model, self.knobs);
        self.head.coarse.start(self.level, turned, &mut probe.order);
        probe.candidates.start(self.k);
        let is_l2 = model.options.metric == Metric::L2;
        let mut idle = 0;
        while idle < PATIENCE && missing.len() < WAVE {
            probe.order.batch(batch);
            if batch.is_empty() {
                break;
            }
            for (i, list) in batch.iter().enumerate() {
                let outlook = probe.outlook(model, self.level, *list as usize);
                let spread = self.head.entries[*list as usize].spread;
                let fall = if is_l2 { spread * spread * model.residual / 2.0 } else { 0.0 };
                let best = outlook.base + reach * spread * outlook.deviation - fall;
                if best < probe.candidates.limit() {
                    idle += 1;
                    if idle == PATIENCE {
                        break;
                    }
                    continue;
                }
                idle = 0;
                let Some(open) = self.open(*list) else {
                    missing.push(*list);
                    continue;
                };
                let next = batch.get(i + 1).and_then(|next| self.open(*next));
                let ahead = next.map_or(&[][..], |next| next.codes);
                // A margin without end, or none that is a number, keeps everything.
                let slack = (margin * spread * outlook.error).min(f32::MAX);
                let bounds = (outlook.base, slack);
                report.lists += 1;
                report.scanned +=
                    probe.scan(self.level, (&open, *list), ahead, bounds, self.query.visible);
            }
        }
        self.look_again(scratch, top, report);
    }

    /// The second look at candidates that are still good enough.
    fn look_again(&self, scratch: &mut Scratch, top: &mut Top, report: &mut Report) {
        let Scratch { probe, chosen, .. } = scratch;
        let runs = std::mem::take(&mut probe.candidates.runs);
        let limit = probe.candidates.limit();
        let ends = runs.iter().skip(1).map(|run| run.start as usize);
        let ends = ends.chain([probe.candidates.scores.len()]);
        for (run, end) in runs.iter().zip(ends) {
            let range = run.start as usize..end;
            let scores = &probe.candidates.scores[range.clone()];
            let rows = scores.iter().zip(&probe.candidates.rows[range]);
            let good = rows.filter(|(score, _)| **score >= limit - run.slack);
            chosen.clear();
            chosen.extend(good.map(|(_, row)| *row));
            let Some(list) = self.open(run.list).filter(|_| !chosen.is_empty()) else { continue };
            self.refine(probe, run.list, &list, chosen, top);
            report.refined += chosen.len();
        }
        probe.candidates.runs = runs;
    }

    fn refine(&self, probe: &mut Probe, number: u32, list: &List<'_>, rows: &[u32], top: &mut Top) {
        let model = &self.head.model;
        let outlook = probe.outlook(model, self.level, number as usize);
        probe.refine(model, self.level, list, outlook.base, rows, top);
    }

    /// Looks at each visible row, by where it is.
    fn each(&self, scratch: &mut Scratch, top: &mut Top, report: &mut Report) {
        let (Some(filter), Some(by_number)) = (self.query.visible.filter, self.source.places())
        else {
            return self.all(scratch, top, report);
        };
        let visible = filter.iter().filter(|number| self.query.visible.contains(*number));
        let places = visible.filter_map(|number| by_number.get(number as usize).copied());
        let mut places: Vec<u32> = places.filter(|place| *place != u32::MAX).collect();
        places.sort_unstable();
        let starts = &self.head.places;
        let mut rest = &places[..];
        while let Some(place) = rest.first() {
            let list = starts.partition_point(|start| start <= place) - 1;
            let (start, end) = (starts[list], starts[list + 1]);
            let (here, after) = rest.split_at(rest.partition_point(|place| *place < end));
            rest = after;
            scratch.chosen.clear();
            scratch.chosen.extend(here.iter().map(|place| place - start));
            self.take(scratch, list as u32, top, report);
        }
    }

    /// Looks at every visible row of every list.
    fn all(&self, scratch: &mut Scratch, top: &mut Top, report: &mut Report) {
        for list in 0..self.head.entries.len() as u32 {
            self.visible_of(list, scratch);
            self.take(scratch, list, top, report);
        }
    }

    fn visible_of(&self, list: u32, scratch: &mut Scratch) {
        scratch.chosen.clear();
        match self.open(list) {
            Some(open) => {
                let rows = 0..open.len() as u32;
                let seen =
                    rows.filter(|row| self.query.visible.contains(open.number(*row as usize)));
                scratch.chosen.extend(seen);
            }
            None => scratch.missing.push(list),
        }
    }

    /// The second look at the chosen rows of a list.
    fn take(&self, scratch: &mut Scratch, list: u32, top: &mut Top, report: &mut Report) {
        if scratch.chosen.is_empty() {
            return;
        }
        let Some(open) = self.open(list) else {
            scratch.missing.push(list);
            return;
        };
        report.lists += 1;
        report.refined += scratch.chosen.len();
        self.refine(&mut scratch.probe, list, &open, &scratch.chosen, top);
    }

    /// Every row is as far as any: the least numbers.
    fn directionless(&self, scratch: &mut Scratch, top: &mut Top) {
        for list in 0..self.head.entries.len() as u32 {
            self.visible_of(list, scratch);
            let Some(open) = self.open(list) else { continue };
            for row in &scratch.chosen {
                top.offer(f32::NAN, u64::from(open.number(*row as usize)));
            }
        }
    }
}

/// Distances from scores, exact ones where vectors are at hand, and rows without a direction.
fn answer(
    head: &Head,
    level: Level,
    query: &Query<'_>,
    found: Vec<Neighbour>,
    k: usize,
) -> Result<Vec<Neighbour>, Error> {
    let metric = head.model.options.metric;
    let distance = |negative: f32| match metric {
        Metric::L2 => (negative * 2.0).max(0.0).sqrt(),
        Metric::Cosine => (1.0 + negative).clamp(0.0, 2.0),
        Metric::InnerProduct | Metric::L1 => negative,
    };
    let mut neighbours = found;
    match query.vectors {
        Some(vectors) => {
            let row = |n: &Neighbour| usize::try_from(n.key).unwrap_or(usize::MAX - 1);
            neighbours.iter().for_each(|n| vectors.prefetch(row(n)));
            for neighbour in &mut neighbours {
                let row = row(neighbour);
                let row = vectors.slice(row..row + 1);
                let mut exact = [distance(neighbour.distance)];
                vectors::distances(level, metric, query.vector, row, &mut exact)?;
                neighbour.distance = exact[0];
            }
            neighbours.sort_unstable_by(Neighbour::order);
        }
        None => neighbours.iter_mut().for_each(|n| n.distance = distance(n.distance)),
    }
    let strays = head.strays.iter().filter(|number| query.visible.contains(**number));
    let strays = strays.map(|number| Neighbour { distance: f32::NAN, key: u64::from(*number) });
    if neighbours.len() < k || neighbours.iter().any(|n| n.distance.is_nan()) {
        neighbours.extend(strays);
        neighbours.sort_unstable_by(Neighbour::order);
    }
    neighbours.truncate(k);
    Ok(neighbours)
}

/// Searches for many vectors, on the threads of `work`. Queries with the same nearest list go one
/// after the other, so that lists are still in the processor's memory. Answers come in the order of
/// the vectors.
///
/// # Errors
/// As `search`, and `Cancelled`.
pub fn search_batch(
    head: &Head,
    source: &(dyn ListSource + Sync),
    work: &Work<'_>,
    queries: &[Query<'_>],
) -> Result<Vec<Found>, Error> {
    const PIECE: usize = 64;
    let mut scratch = Scratch::default();
    let mut order = Vec::with_capacity(queries.len());
    for (place, query) in queries.iter().enumerate() {
        let nearest = match prepared(head, work.level, query, &mut scratch)? {
            Some(turned) => {
                head.coarse.start(work.level, &turned, &mut scratch.probe.order);
                scratch.probe.order.batch(&mut scratch.batch);
                scratch.batch.first().copied().unwrap_or(0)
            }
            None => 0,
        };
        order.push((nearest, place));
    }
    order.sort_unstable();
    let parts = work.map(Phase::Encode, order.len().div_ceil(PIECE), |piece| {
        let mut scratch = Scratch::default();
        let places = &order[piece * PIECE..order.len().min((piece + 1) * PIECE)];
        let one = |(_, place): &(u32, usize)| {
            let found = search(head, source, work.level, &queries[*place], &mut scratch);
            found.map(|found| (*place, found))
        };
        places.iter().map(one).collect::<Result<Vec<_>, _>>()
    })?;
    let mut found = vec![Found::default(); queries.len()];
    for part in parts {
        for (place, one) in part? {
            found[place] = one;
        }
    }
    Ok(found)
}

/// The part of its centre that a row loses to become an unusual query.
const SHARE: f32 = 0.75;
/// Kinds of stand-ins.
pub(super) const KINDS: usize = 3;

/// Vectors to calibrate with when no queries are known, in turns of three kinds: rows of the
/// segment as they are; between two of them; and rows less a part of their centre, which point
/// where rows differ as short and unusual queries do. Queries of another kind than the rows tend to
/// lie between these.
pub(super) fn stand_ins(head: &Head, segment: &super::Segment, count: usize) -> Vec<f32> {
    let padded = head.model.frame.padded();
    let drawn = draw(head.listed(), count * 2, head.model.options.seed);
    let mut vectors = Vec::with_capacity(count * padded);
    for (i, pair) in drawn.chunks_exact(2).enumerate() {
        let (row, list) = segment.turned_row(pair[0]);
        let (other, weight) = match i % KINDS {
            0 => (row.clone(), 0.0),
            1 => (segment.turned_row(pair[1]).0, 0.5),
            _ => (head.model.clusters.centre(list).to_vec(), -SHARE),
        };
        let row_weight = if weight > 0.0 { 1.0 - weight } else { 1.0 };
        vectors.extend(row.iter().zip(&other).map(|(a, b)| a * row_weight + b * weight));
    }
    vectors
}
