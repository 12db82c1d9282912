//! Many queries at once.

use super::Error;
use super::list::ListSource;
use super::parallel::{Phase, Work};
use super::search::{Found, Query, Scratch, prepared, search};
use super::segment::Head;

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
