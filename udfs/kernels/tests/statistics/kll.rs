//! The sketch of ranks against the ranks themselves: the published error bound, merges, bytes.

use kernels::statistics::kll::{Kll, rank_error};
use kernels::statistics::sample::Ranked;
use proptest::prelude::*;

/// (i step) mod rows, which visits every number below `rows` once if they have no common divisor.
fn shuffled(rows: u64, step: u64) -> impl Iterator<Item = f64> {
    (0..rows).map(move |i| ((i * step) % rows) as f64)
}

/// Of the numbers 0 … rows - 1, whose ranks are themselves: how far the rank at a place in a
/// hundred is off, as a share of the rows.
fn off(sketch: &Ranked, rows: u64, place: u64) -> f64 {
    let value = (rows * place / 100) as f64;
    let below: u64 = sketch.runs().filter(|run| run.0 < value).map(|run| run.1).sum();
    (below as f64 - value).abs() / rows as f64
}

fn sketch(k: usize, values: impl Iterator<Item = f64>) -> Kll {
    let mut sketch = Kll::new(k);
    values.for_each(|value| sketch.push(value));
    sketch
}

/// 200 orders of 100,003 numbers (a prime): at each place at most one in a hundred is further off
/// than the bound; with three standard deviations of luck six of 200.
#[test]
fn ranks_keep_the_published_bound() {
    const ROWS: u64 = 100_003;
    for k in [64, 200] {
        let mut beyond = [0; 10];
        for order in 0..200u64 {
            let values = shuffled(ROWS, 1 + order * 499);
            let found = sketch(k, values);
            assert_eq!(found.count(), ROWS);
            assert!(found.to_bytes().len() < 8 * (4 * k + 100));
            let ranked = found.ranked();
            assert_eq!(ranked.count(), ROWS);
            assert_eq!(ranked.at([0, ROWS - 1]), [0.0, (ROWS - 1) as f64]);
            for (place, beyond) in beyond.iter_mut().enumerate() {
                *beyond += u32::from(off(&ranked, ROWS, 5 + 10 * place as u64) > rank_error(k));
            }
        }
        assert!(beyond.iter().all(|count| *count <= 6), "k = {k}: {beyond:?}");
    }
}

/// A thousand parts, put together one by one or in pairs of pairs, are as good as one.
#[test]
fn merged_sketches_keep_the_bound() {
    const ROWS: u64 = 100_003;
    for order in 0..20u64 {
        let values: Vec<f64> = shuffled(ROWS, 7919 + order).collect();
        let mut parts: Vec<Kll> =
            values.chunks(101).map(|part| sketch(200, part.iter().copied())).collect();
        let mut one = Kll::new(200);
        parts.iter().for_each(|part| one.merge(part));
        while parts.len() > 1 {
            let pairs = parts.chunks(2).map(|pair| {
                let mut both = pair[0].clone();
                pair.iter().skip(1).for_each(|other| both.merge(other));
                both
            });
            parts = pairs.collect();
        }
        for found in [&one, &parts[0]] {
            assert_eq!(found.count(), ROWS);
            let ranked = found.ranked();
            // Twice the bound of 99 %: for a normal error one in five million is further off.
            assert!((1..100).all(|place| off(&ranked, ROWS, place) < 2.0 * rank_error(200)));
        }
    }
}

proptest! {
    /// What fits is exact, whatever came in which order, and bytes bring it back.
    #[test]
    fn few_values_are_kept(mut values in prop::collection::vec(-1e9f64..1e9, 1..200)) {
        let found = sketch(200, values.iter().copied());
        prop_assert!(found.is_exact());
        values.sort_by(f64::total_cmp);
        let kept: Vec<f64> =
            found.ranked().runs().flat_map(|(v, n)| std::iter::repeat_n(v, n as usize)).collect();
        prop_assert_eq!(kept, values);
        prop_assert_eq!(Kll::from_bytes(&found.to_bytes()), Some(found));
    }

    /// Counts add up, ends stay, and a value with a count is that many values.
    #[test]
    fn counts_and_ends_are_exact(
        values in prop::collection::vec((-100i32..100, 1u64..5000), 1..300), k in 8usize..64
    ) {
        let mut found = Kll::new(k);
        values.iter().for_each(|(value, count)| found.push_many(f64::from(*value), *count));
        let count: u64 = values.iter().map(|value| value.1).sum();
        prop_assert_eq!((found.count(), found.ranked().count()), (count, count));
        let ends = [values.iter().map(|v| v.0).min(), values.iter().map(|v| v.0).max()];
        let ends = ends.map(|end| f64::from(end.unwrap()));
        prop_assert_eq!(found.ranked().at([0, count - 1]), ends);
        prop_assert_eq!(Kll::from_bytes(&found.to_bytes()), Some(found));
    }

    /// Bytes that nobody wrote are refused, not believed.
    #[test]
    fn other_bytes_are_no_sketch(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
        let made = sketch(8, (0..50).map(f64::from)).to_bytes();
        let cut = &made[..made.len() - 1 - bytes.len() % 8];
        prop_assert!(Kll::from_bytes(cut).is_none());
        let mixed = [&made[..bytes.len().min(made.len())], &bytes].concat();
        if let Some(found) = Kll::from_bytes(&mixed) {
            prop_assert_eq!(found.ranked().count() >= found.count(), true);
        }
    }
}
