//! One search on its way: which lists are read, and when enough were.
//!
//! Lists are read best first. Where the nearest rows came from tells how much is left: if the lists
//! of the best estimates so far lie, in the mean, at place p of those read, reading goes on to
//! `reach · p`. A query whose neighbours sit in few lists stops early; one whose neighbours are
//! spread, as those of unusual queries and of filters are, reads on by itself. Measured on
//! synthetic and on text vectors, one reach gives queries of every kind nearly the same recall,
//! which a fixed number of lists or a bound on residuals does not.

use super::list::{List, ListSource};
use super::probe::Probe;
use super::search::{Query, Report, Scratch};
use super::segment::Head;
use crate::simd::level::{Level, prefetch};
use crate::vectors::Top;

/// Lists that are read at least.
const LEAST: usize = 8;
/// Estimates whose places count, at least: those of ten say too little.
const PLACES: usize = 100;
/// Of few visible rows, only one in so many has to be found before the walk may end.
const SHARE: usize = 32;
/// How many lists before its turn a list is asked for.
const AHEAD: usize = 2;
/// Missing lists that are told at once.
const WAVE: usize = 256;

/// How far a walk is.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Walk {
    /// Lists read.
    place: usize,
    /// The first of the batch of lists in order that is in no round yet.
    pub next: usize,
    /// Rows whose codes were met.
    scanned: usize,
}

/// One search on its way.
pub(super) struct Run<'a> {
    pub head: &'a Head,
    pub source: &'a dyn ListSource,
    pub level: Level,
    pub query: &'a Query<'a>,
    pub knobs: (f32, f32),
    pub k: usize,
}

impl<'a> Run<'a> {
    fn open(&self, list: u32) -> Option<List<'a>> {
        let rows = self.head.entries.get(list as usize)?.rows as usize;
        List::open(&self.head.model, rows, self.source.list(list)?)
    }

    /// The whole walk, and the second look at what it found.
    pub fn probe(&self, scratch: &mut Scratch, turned: &[f32], top: &mut Top, report: &mut Report) {
        self.begin(scratch, turned);
        while self.next_round(scratch) {
            for i in 0..scratch.round.len() {
                let next = scratch.coming(i + AHEAD);
                let ahead = next.map_or(&[][..], |next| self.codes(next));
                if let Some(next) = next {
                    prefetch(self.head.model.clusters.centre(next as usize));
                }
                self.visit(scratch, i, ahead);
            }
            if !self.end_round(scratch) {
                break;
            }
        }
        self.look_again(scratch, top, report);
    }

    pub fn begin(&self, scratch: &mut Scratch, turned: &[f32]) {
        self.head.coarse.start(self.level, turned, &mut scratch.probe.order);
        let visible = self.query.visible.at_most(self.head.listed());
        let k = self.k.max(PLACES.min(visible / SHARE));
        scratch.probe.candidates.start(k, self.knobs.1);
        scratch.walk = Walk::default();
        scratch.batch.clear();
        scratch.round.clear();
        scratch.trace.clear();
        scratch.read.clear();
    }

    /// Chooses the lists up to the next check; false when none are left. Nothing that a round finds
    /// changes what it takes, so its lists may be visited in any order.
    pub fn next_round(&self, scratch: &mut Scratch) -> bool {
        let Scratch { probe, batch, round, walk, .. } = scratch;
        let wanted = match walk.place {
            place if place < LEAST => (place * 2).max(1),
            place => place + place / 5,
        };
        round.clear();
        while walk.place + round.len() < wanted {
            if walk.next == batch.len() {
                probe.order.batch(batch);
                walk.next = 0;
                if batch.is_empty() {
                    break;
                }
            }
            let end = (walk.next + wanted - walk.place - round.len()).min(batch.len());
            round.extend_from_slice(&batch[walk.next..end]);
            walk.next = end;
        }
        !round.is_empty()
    }

    /// The codes of a list, where it is at hand.
    pub fn codes(&self, list: u32) -> &'a [u8] {
        self.open(list).map_or(&[], |list| list.codes)
    }

    /// Scans one of the round's lists.
    pub fn visit(&self, scratch: &mut Scratch, i: usize, ahead: &[u8]) {
        let Scratch { probe, round, walk, missing, .. } = scratch;
        let list = round[i];
        let Some(open) = self.open(list) else { return missing.push(list) };
        let outlook = probe.outlook(&self.head.model, self.level, list as usize);
        let entry = &self.head.entries[list as usize];
        let bounds = (outlook.base, entry.spread * outlook.error);
        probe.candidates.open_run(list, (walk.place + i) as u32, bounds.1);
        let visible = self.query.visible;
        walk.scanned += probe.scan(self.level, (&open, entry), ahead, bounds, visible);
    }

    /// Whether another round is to come.
    pub fn end_round(&self, scratch: &mut Scratch) -> bool {
        let Scratch { probe, round, walk, missing, trace, read, .. } = scratch;
        read.extend_from_slice(round);
        walk.place = read.len();
        probe.candidates.settle();
        if let Some(mean) = probe.candidates.thin()
            && walk.place >= LEAST
        {
            trace.push((walk.place, mean));
            if walk.place as f32 >= self.knobs.0 * mean {
                return false;
            }
        }
        missing.len() < WAVE
    }

    /// The second look at candidates that are still good enough.
    pub fn look_again(&self, scratch: &mut Scratch, top: &mut Top, report: &mut Report) {
        let Scratch { probe, chosen, walk, .. } = scratch;
        (report.lists, report.scanned) = (walk.place, walk.scanned);
        let limit = probe.candidates.kth(self.k);
        let runs = std::mem::take(&mut probe.candidates.runs);
        let ends = runs.iter().skip(1).map(|run| run.start as usize);
        let ends = ends.chain([probe.candidates.scores.len()]);
        for (run, end) in runs.iter().zip(ends) {
            let (range, slack) = (run.start as usize..end, probe.candidates.slack(run.unit));
            let scores = &probe.candidates.scores[range.clone()];
            let rows = scores.iter().zip(&probe.candidates.rows[range]);
            let good = rows.filter(|(score, _)| **score >= limit - slack);
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
    pub fn each(&self, scratch: &mut Scratch, top: &mut Top, report: &mut Report) {
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
    pub fn all(&self, scratch: &mut Scratch, top: &mut Top, report: &mut Report) {
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
    pub fn directionless(&self, scratch: &mut Scratch, top: &mut Top) {
        for list in 0..self.head.entries.len() as u32 {
            self.visible_of(list, scratch);
            let Some(open) = self.open(list) else { continue };
            for row in &scratch.chosen {
                top.offer(f32::NAN, u64::from(open.number(*row as usize)));
            }
        }
    }
}
