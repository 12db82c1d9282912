//! Many queries at once: a list is scanned for all that want it while it is in the processor's
//! caches.
//!
//! Queries walk in rounds, as they do alone. Nothing that a round finds changes what it takes, so
//! the lists of one round of many queries may be visited list by list, and the answers are those of
//! the queries one by one.

use super::Error;
use super::list::ListSource;
use super::parallel::{Phase, Work};
use super::search::{Found, Plan, Query, Report, Scratch, begin, prepared, search_turned};
use super::segment::Head;
use super::walk::Run;

/// Queries that walk together at most; each has some 50 kB of buffers.
const GROUP: usize = 256;

/// Searches for many vectors, on the threads of `work`. Answers come in the order of the vectors.
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
    let parts = work.map(Phase::Search, queries.len().div_ceil(PIECE), |piece| {
        let mut scratch = Scratch::default();
        let range = piece * PIECE..queries.len().min((piece + 1) * PIECE);
        let one = |place: usize| {
            let turned = prepared(head, work.level, &queries[place], &mut scratch)?;
            // Queries near the same centre want the same lists.
            let nearest = turned.as_ref().map_or(0, |turned| {
                head.coarse.start(work.level, turned, &mut scratch.probe.order);
                scratch.probe.order.best()
            });
            Ok((nearest, place, turned))
        };
        range.map(one).collect::<Result<Vec<_>, Error>>()
    })?;
    let mut order = parts.into_iter().collect::<Result<Vec<_>, _>>()?.concat();
    order.sort_unstable_by_key(|(nearest, place, _)| (*nearest, *place));
    let group = queries.len().div_ceil(work.threads.max(1)).clamp(1, GROUP);
    let parts = work.map(Phase::Search, order.len().div_ceil(group), |piece| {
        let some = &order[piece * group..order.len().min((piece + 1) * group)];
        together((head, source, work), queries, some)
    })?;
    let mut found = vec![Found::default(); queries.len()];
    for ((_, place, _), one) in order.iter().zip(parts.into_iter().flatten()) {
        found[*place] = one?;
    }
    Ok(found)
}

/// Lists that are visited together.
const TILE: u32 = 16;
/// How many visits before its turn a list is asked for.
const AHEAD: usize = 2;

/// What a round has to do, in the order in which it is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Visit {
    tile: u32,
    walker: u32,
    list: u32,
    /// Its place in the walker's round.
    i: u32,
}

/// A query on its walk.
struct Walker<'a> {
    run: Run<'a>,
    scratch: Scratch,
    /// Its place among the answers.
    place: usize,
}

fn together(
    (head, source, work): (&Head, &(dyn ListSource + Sync), &Work<'_>),
    queries: &[Query<'_>],
    some: &[(u32, usize, Option<Vec<f32>>)],
) -> Vec<Result<Found, Error>> {
    let at = (head, source as &dyn ListSource, work.level);
    let mut found: Vec<Result<Found, Error>> = Vec::with_capacity(some.len());
    let (mut walkers, mut alone) = (Vec::new(), Scratch::default());
    for (_, place, turned) in some {
        let (query, turned) = (&queries[*place], turned.as_deref());
        let mut scratch = Scratch::default();
        match (begin(at, query, turned, &mut scratch), turned) {
            (Ok(run), Some(turned)) if run.plan() == Plan::Probe => {
                run.begin(&mut scratch, turned);
                walkers.push(Walker { run, scratch, place: found.len() });
                found.push(Ok(Found::default()));
            }
            _ => found.push(search_turned(at, query, turned, &mut alone)),
        }
    }
    walk(&mut walkers);
    for Walker { run, mut scratch, place } in walkers {
        let (mut top, mut report) = (run.top(), Report::default());
        run.look_again(&mut scratch, &mut top, &mut report);
        found[place] = run.finish(&mut scratch, top, report);
    }
    found
}

/// Walks all to their ends. Lists of near numbers are near in space: a query that wants one wants
/// others of its tile, and meets them while the tile is in the second cache and its own tables in
/// the first.
fn walk(walkers: &mut [Walker<'_>]) {
    let mut active: Vec<usize> = (0..walkers.len()).collect();
    let mut visits: Vec<Visit> = Vec::new();
    while !active.is_empty() {
        visits.clear();
        active.retain(|walker| {
            let Walker { run, scratch, .. } = &mut walkers[*walker];
            let goes_on = run.next_round(scratch);
            let visit = |(i, list): (usize, &u32)| Visit {
                tile: *list / TILE,
                walker: *walker as u32,
                list: *list,
                i: i as u32,
            };
            visits.extend(scratch.round.iter().enumerate().map(visit));
            goes_on
        });
        visits.sort_unstable();
        let (mut tile, mut asked) = (u32::MAX, 0u32);
        for (place, visit) in visits.iter().enumerate() {
            let run = &walkers[visit.walker as usize].run;
            let ahead = visits.get(place + AHEAD).map_or(&[][..], |next| {
                if next.tile != tile {
                    (tile, asked) = (next.tile, 0);
                }
                let bit = 1 << (next.list % TILE);
                let is_new = asked & bit == 0;
                asked |= bit;
                if is_new { run.codes(next.list) } else { &[] }
            });
            let Walker { run, scratch, .. } = &mut walkers[visit.walker as usize];
            run.visit(scratch, visit.i as usize, ahead);
        }
        active.retain(|walker| {
            let Walker { run, scratch, .. } = &mut walkers[*walker];
            run.end_round(scratch)
        });
    }
}
