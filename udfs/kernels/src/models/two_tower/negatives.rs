//! What stands beside an example's own item: drawn evenly, or hard to tell from it.

use super::data::Data;
use super::loss::OUT;
use super::options::{LogQ, Options};
use crate::ann::Random;
use crate::models::parallel::{each, ranges};
use crate::models::ragged::Ragged;
use crate::simd::level::{LANES, Level};
use crate::vectors::{Panels, Rows, Top};

/// Items of the catalogue among which hard negatives are looked for in an epoch.
const POOL: usize = 4096;
/// Hard negatives that a user keeps for each one that an example takes.
const KEPT: usize = 8;

/// How often an item is expected among the columns of a batch of `examples` rows and `even` items
/// drawn evenly: the proposal of mixed negative sampling.
pub(super) fn expected(data: &Data, item: u32, examples: usize, even: usize) -> f32 {
    let share = f64::from(data.counts[item as usize]) / data.rows.len() as f64;
    (share * examples as f64 + even as f64 / data.items.len() as f64) as f32
}

/// The bias of each column, and of lanes without one: minus the logarithm of what is expected.
pub(super) fn biases(
    data: &Data,
    options: &Options,
    examples: usize,
    items: &[u32],
    out: &mut Vec<f32>,
) {
    let even = options.negatives.min(data.items.len());
    out.clear();
    out.extend(items.iter().map(|item| match options.logq {
        LogQ::Off => 0.0,
        // An even draw may bring an item that no example has.
        LogQ::Full | LogQ::Corrected => -expected(data, *item, examples, even).ln(),
    }));
    out.resize(items.len().next_multiple_of(LANES), OUT);
}

/// For each user, those of a sample of the catalogue that score best and that the user has not
/// taken. `users` and `items` are vectors of all of them.
pub(super) fn hardest(
    (level, threads): (Level, usize),
    data: &Data,
    options: &Options,
    (users, items, width): (&[f32], &[f32], usize),
    random: &mut Random,
) -> Ragged<u32> {
    let mut pool: Vec<u32> = (0..data.items.len() as u32).collect();
    for place in 0..pool.len().min(POOL) {
        let other = place + random.below(pool.len() - place);
        pool.swap(place, other);
    }
    pool.truncate(POOL);
    pool.sort_unstable();
    let vectors: Vec<f32> = pool
        .iter()
        .flat_map(|item| &items[*item as usize * width..(*item as usize + 1) * width])
        .copied()
        .collect();
    let panels = Rows::single(&vectors, width).map(Panels::new).unwrap_or_default();
    let count = options.hard_negatives * KEPT;
    let ranges = ranges(data.users.len(), threads);
    let mut found: Vec<Vec<Vec<u32>>> = vec![Vec::new(); ranges.len()];
    let parts = found.iter_mut().zip(ranges).collect();
    each(parts, |_, (found, range)| {
        let mut scores = vec![0.0; panels.stride()];
        for user in range {
            panels.dots(level, &users[user * width..(user + 1) * width], &mut scores);
            let taken = data.positives.row(user);
            let mut top = Top::new(count);
            for (item, score) in pool.iter().zip(&scores) {
                if -score < top.limit() && taken.binary_search(item).is_err() {
                    top.offer(-score, u64::from(*item));
                }
            }
            found.push(top.finish().into_iter().map(|near| near.key as u32).collect());
        }
    });
    let mut all = Ragged::default();
    found.into_iter().flatten().for_each(|row| all.push(row));
    all
}
