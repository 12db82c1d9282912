//! Many queries at once: each list is scanned for all that want it while it is in the processor's
//! memory.
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
    let mut scratch = Scratch::default();
    let mut order = Vec::with_capacity(queries.len());
    for (place, query) in queries.iter().enumerate() {
        let turned = prepared(head, work.level, query, &mut scratch)?;
        // Queries near the same centre want the same lists.
        let nearest = turned.as_ref().map_or(0, |turned| {
            head.coarse.start(work.level, turned, &mut scratch.probe.order);
            scratch.probe.order.best()
        });
        order.push((nearest, place, turned));
    }
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

fn walk(walkers: &mut [Walker<'_>]) {
    let mut active: Vec<usize> = (0..walkers.len()).collect();
    let mut visits: Vec<(u32, u32, u32)> = Vec::new();
    while !active.is_empty() {
        visits.clear();
        active.retain(|walker| {
            let Walker { run, scratch, .. } = &mut walkers[*walker];
            let goes_on = run.next_round(scratch);
            let lists = scratch.round.iter().enumerate();
            visits.extend(lists.map(|(i, list)| (*list, *walker as u32, i as u32)));
            goes_on
        });
        visits.sort_unstable();
        let mut from = 0;
        while let Some((list, walker, _)) = visits.get(from).copied() {
            let to = from + visits[from..].partition_point(|visit| visit.0 == list);
            let next =
                visits.get(to).map_or(&[][..], |next| walkers[walker as usize].run.codes(next.0));
            for (_, walker, i) in &visits[from..to] {
                let Walker { run, scratch, .. } = &mut walkers[*walker as usize];
                let is_first = *i == visits[from].2 && *walker == visits[from].1;
                run.visit(scratch, *i as usize, if is_first { next } else { &[] });
            }
            from = to;
        }
        active.retain(|walker| {
            let Walker { run, scratch, .. } = &mut walkers[*walker];
            run.end_round(scratch)
        });
    }
}
