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
use crate::simd::level::Level;
use crate::vectors::Top;

/// Lists that are read at least.
const LEAST: usize = 8;
/// Estimates whose places count, at least: those of ten say too little.
const PLACES: usize = 100;
/// Of few visible rows, only one in so many has to be found before the walk may end.
const SHARE: usize = 32;
/// Missing lists that are told at once.
const WAVE: usize = 256;

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

    pub fn probe(&self, scratch: &mut Scratch, turned: &[f32], top: &mut Top, report: &mut Report) {
        let Scratch { probe, batch, missing, trace, read, .. } = scratch;
        let (model, (reach, margin)) = (&*self.head.model, self.knobs);
        self.head.coarse.start(self.level, turned, &mut probe.order);
        let visible = self.query.visible.at_most(self.head.listed());
        probe.candidates.start(self.k.max(PLACES.min(visible / SHARE)), margin);
        trace.clear();
        read.clear();
        let (mut place, mut check) = (0, LEAST);
        'read: while missing.len() < WAVE {
            probe.order.batch(batch);
            if batch.is_empty() {
                break;
            }
            for (i, list) in batch.iter().enumerate() {
                let Some(open) = self.open(*list) else {
                    missing.push(*list);
                    continue;
                };
                let next = batch.get(i + 1).and_then(|next| self.open(*next));
                let ahead = next.map_or(&[][..], |next| next.codes);
                let outlook = probe.outlook(model, self.level, *list as usize);
                let entry = &self.head.entries[*list as usize];
                let bounds = (outlook.base, entry.spread * outlook.error);
                probe.candidates.open_run(*list, place as u32, bounds.1);
                let visible = self.query.visible;
                report.scanned += probe.scan(self.level, (&open, entry), ahead, bounds, visible);
                read.push(*list);
                place += 1;
                if place < check {
                    continue;
                }
                check = (place + 2).max(place + place / 6);
                if let Some(mean) = probe.candidates.thin() {
                    trace.push((place, mean));
                    if place as f32 >= reach * mean {
                        break 'read;
                    }
                }
            }
        }
        report.lists += place;
        self.look_again(scratch, top, report);
    }

    /// The second look at candidates that are still good enough.
    fn look_again(&self, scratch: &mut Scratch, top: &mut Top, report: &mut Report) {
        let Scratch { probe, chosen, .. } = scratch;
        probe.candidates.thin();
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
