//! Searching a segment: the plan for a query, and the answer.
//!
//! While fewer than k rows are found lists are read, so an answer has min(k, visible rows) rows.

use super::list::ListSource;
use super::probe::{Probe, turn};
use super::segment::Head;
use super::walk::{Run, Walk};
use super::{Error, model};
use crate::simd::level::Level;
use crate::vectors::{self, Metric, Neighbour, Rows, Top, Visible};

/// With so many visible rows, and four for each that is wanted, looking at each is surely quick.
const FEW: usize = 2048;
/// A share of all rows from which on k is served by looking at each row.
pub(super) const MANY: usize = 16;

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
    pub(super) probe: Probe,
    pub(super) walk: Walk,
    pub(super) batch: Vec<u32>,
    /// Lists of the round.
    pub(super) round: Vec<u32>,
    pub(super) chosen: Vec<u32>,
    pub(super) missing: Vec<u32>,
    /// Lists read, and the mean place of the best then, at each check of the walk.
    pub(super) trace: Vec<(usize, f32)>,
    /// The lists of the walk in the order in which they were read.
    pub(super) read: Vec<u32>,
    vector: Vec<f32>,
}

impl Scratch {
    /// The list that comes `i`-th in this round, or after it, as far as the order is known.
    pub(super) fn coming(&self, i: usize) -> Option<u32> {
        let later = || self.batch.get(self.walk.next + i - self.round.len());
        self.round.get(i).or_else(later).copied()
    }
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
    place: (&Head, &dyn ListSource, Level),
    query: &Query<'_>,
    turned: Option<&[f32]>,
    scratch: &mut Scratch,
) -> Result<Found, Error> {
    let run = begin(place, query, turned, scratch)?;
    let (mut top, mut report) = (run.top(), Report::default());
    match (turned, run.plan()) {
        (None, _) => run.directionless(scratch, &mut top),
        (Some(turned), Plan::Probe) => run.probe(scratch, turned, &mut top, &mut report),
        (Some(_), Plan::Each) => run.each(scratch, &mut top, &mut report),
        (Some(_), Plan::All) => run.all(scratch, &mut top, &mut report),
    }
    run.finish(scratch, top, report)
}

/// A search that has not yet read anything.
pub(super) fn begin<'a>(
    (head, source, level): (&'a Head, &'a dyn ListSource, Level),
    query: &'a Query<'a>,
    turned: Option<&[f32]>,
    scratch: &mut Scratch,
) -> Result<Run<'a>, Error> {
    let knobs = head.knobs(query.effort, query.k)?;
    scratch.missing.clear();
    if let Some(turned) = turned {
        scratch.probe.start(&head.model, turned);
    }
    let k = query.k.min(head.rows()).max(1);
    Ok(Run { head, source, level, query, knobs, k })
}

impl Run<'_> {
    /// Room for the nearest, and for some more where the last order is an exact one.
    pub fn top(&self) -> Top {
        let spare = if self.query.vectors.is_some() { self.k / 8 + 8 } else { 0 };
        Top::new(self.k + spare)
    }

    pub fn plan(&self) -> Plan {
        let (head, query) = (self.head, self.query);
        let visible = query.visible.at_most(head.listed());
        if query.visible.filter.is_some()
            && self.source.places().is_some()
            && (visible <= FEW.saturating_add(query.k.saturating_mul(4)) || self.is_dear(visible))
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

    /// Whether a walk costs more than a look at each of so many visible rows, both counted in
    /// codes scanned. As measured, a row costs as much as 53 codes and its list as 100; a list of a
    /// walk costs 266 beside its own; and where a share s of the rows is visible a walk takes
    /// s^-0.4 times as many.
    fn is_dear(&self, visible: usize) -> bool {
        let (head, reach) = (self.head, self.knobs.0);
        let rows = head.listed().max(1) as f32;
        let lists = head.entries.len() as f32;
        let each = visible as f32 * 53.0 + lists.min(visible as f32) * 100.0;
        let all = head.calibration.lists(reach, self.k) as f32;
        let read = (all * (visible as f32 / rows).powf(-0.4)).min(lists);
        each < read * (rows / lists + 266.0)
    }

    /// The answer.
    ///
    /// # Errors
    /// `Missing` when lists were not at hand.
    pub fn finish(&self, scratch: &mut Scratch, top: Top, report: Report) -> Result<Found, Error> {
        if !scratch.missing.is_empty() {
            return Err(Error::Missing { lists: std::mem::take(&mut scratch.missing) });
        }
        let neighbours = answer(self.head, self.level, self.query, top.finish(), self.k)?;
        Ok(Found { neighbours, report })
    }
}

/// How a query is served.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Plan {
    Probe,
    /// Of few visible rows, each.
    Each,
    All,
}

/// The turned query; `None` for one without a direction under cosine.
pub(super) fn prepared(
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
