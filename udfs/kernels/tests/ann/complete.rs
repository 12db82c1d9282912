//! Always min(k, visible rows), whatever is inserted, deleted, filtered or asked for.

use kernels::ann::{Effort, Query, Scratch, Work, calibrate, merge, search, search_batch};
use kernels::simd::level::Level;
use kernels::vectors::{self, Bitmap, Metric, Neighbour, Scan, Visible, nearest};
use proptest::prelude::*;

use super::data::{build, data};

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    /// A table of inserts and deletes: part in one segment, part in another, part in none.
    #[test]
    fn segments_and_pending_rows_are_one_table(
        seed in 0u64..1000,
        cuts in (0usize..900, 0usize..900),
        k in prop_oneof![1usize..30, Just(5000)],
        deleted in proptest::collection::vec(0u32..1800, 0..600),
        one_in in prop_oneof![Just(1u32), 2u32..400],
        metric in prop_oneof![Just(Metric::L2), Just(Metric::InnerProduct), Just(Metric::Cosine)],
    ) {
        let data = data(1800, 3, 9, seed);
        let (level, rows) = (Level::best(), data.rows());
        let (first, second) = (900 - cuts.0.min(899), 900 + cuts.1);
        let model = data.model(metric);
        let a = build(model.clone(), rows.slice(0..first), 0);
        let b = build(model, rows.slice(first..second), first as u32);
        let deleted: Bitmap = deleted.into_iter().collect();
        let filter: Bitmap = (0..1800).filter(|row| row % one_in == 0).collect();
        let visible = Visible { filter: Some(&filter), deleted: Some(&deleted) };
        let merged = merge(&[(&a, Some(&deleted)), (&b, None)], |_, number| number).unwrap();
        for vector in data.queries() {
            let scan = Scan { level, metric, rows, visible, first_key: 0 };
            let truth = nearest(&scan, vector, k).unwrap();
            let effort = Effort::Exhaustive;
            let query = Query { vector, k, effort, visible, vectors: Some(rows) };
            let mut scratch = Scratch::default();
            let mut of = |segment: &kernels::ann::Segment| -> Vec<Neighbour> {
                let found = search(segment.head(), segment, level, &query, &mut scratch);
                found.unwrap().neighbours
            };
            // A scan's row numbers begin at its first row.
            let pending = |number: u32| number as usize >= second && visible.contains(number);
            let pending: Bitmap =
                (0..1800).filter(|n| pending(*n)).map(|n| n - second as u32).collect();
            let pending = Visible { filter: Some(&pending), deleted: None };
            let rest = rows.slice(second..1800);
            let first_key = second as u64;
            let scan = Scan { level, metric, rows: rest, visible: pending, first_key };
            let rest = nearest(&scan, vector, k).unwrap();
            let apart = vectors::merge(k, [of(&a), of(&b), rest.clone()]);
            let together = vectors::merge(k, [of(&merged), rest]);
            for found in [apart, together] {
                prop_assert_eq!(found.len(), truth.len());
                let worst = truth.last().map_or(0.0, |n| n.distance);
                let near = found.iter().filter(|n| n.distance <= worst + 1e-6).count();
                prop_assert!(near * 100 >= truth.len() * 97, "{} of {}", near, truth.len());
            }
        }
    }
}

#[test]
fn any_k_and_any_recall_are_complete() {
    let data = data(5000, 5, 16, 3);
    let segment = data.segment(Metric::L2);
    let filter: Bitmap = (0..5000).filter(|row| row % 50 == 1).collect();
    for vector in data.queries() {
        for k in [1, 7, 99, 101, 312, 313, 4999, 5000, 5001, usize::MAX] {
            for effort in [
                Effort::Recall(0.01),
                Effort::Recall(0.999),
                Effort::Knobs { reach: -1e30, margin: 0.0 },
                Effort::Knobs { reach: f32::INFINITY, margin: f32::INFINITY },
                Effort::Knobs { reach: f32::NAN, margin: f32::NAN },
                Effort::Exhaustive,
            ] {
                for filter in [None, Some(&filter)] {
                    let visible = Visible { filter, deleted: None };
                    let query = Query { vector, k, effort, visible, vectors: None };
                    let mut scratch = Scratch::default();
                    let level = Level::best();
                    let found = search(segment.head(), &segment, level, &query, &mut scratch);
                    let rows = filter.map_or(5000, Bitmap::ones);
                    assert_eq!(found.unwrap().neighbours.len(), k.min(rows), "{k} {effort:?}");
                }
            }
        }
    }
}

/// Cosine: zero vectors have no direction. They come last, and as queries find the least numbers.
#[test]
fn zero_vectors_are_last() {
    let mut data = data(1000, 2, 8, 4);
    data.rows[8 * 17..8 * 18].fill(0.0);
    data.rows[8 * 400..8 * 401].fill(0.0);
    let segment = data.segment(Metric::Cosine);
    let level = Level::best();
    let ask = |vector: &[f32], k: usize| {
        let (effort, visible) = (Effort::Recall(0.9), Visible::default());
        let query = Query { vector, k, effort, visible, vectors: None };
        let found = search(segment.head(), &segment, level, &query, &mut Scratch::default());
        found.unwrap().neighbours
    };
    let found = ask(&data.queries[..8], 1000);
    assert_eq!(found.len(), 1000);
    assert_eq!([found[998].key, found[999].key], [17, 400]);
    assert!(found[998].distance.is_nan() && !found[997].distance.is_nan());
    let found = ask(&[0.0; 8], 20);
    assert!(found.iter().map(|n| n.key).eq(0..20) && found[3].distance.is_nan());
}

#[test]
fn a_batch_is_its_queries_one_by_one() {
    let data = data(6000, 150, 20, 6);
    let segment = data.segment(Metric::InnerProduct);
    let (effort, visible) = (Effort::Recall(0.95), Visible::default());
    let one = |vector| Query { vector, k: 10, effort, visible, vectors: None };
    let queries: Vec<Query<'_>> = data.queries().map(one).collect();
    let work = Work { threads: 3, ..Work::alone() };
    let batch = search_batch(segment.head(), &segment, &work, &queries).unwrap();
    let mut scratch = Scratch::default();
    for (query, found) in queries.iter().zip(batch) {
        let alone = search(segment.head(), &segment, work.level, query, &mut scratch).unwrap();
        assert_eq!(alone, found);
    }
}

/// Numbers that are far apart leave no room for a table of places; filters work without one.
#[test]
fn numbers_may_be_far_apart() {
    let data = data(2000, 4, 12, 8);
    let mut builder = kernels::ann::Builder::new(data.model(Metric::L2));
    let numbers: Vec<u32> = (0..2000).map(|row| u32::MAX - row * 1_000_003).collect();
    builder.push(data.rows(), &numbers, &Work::alone()).unwrap();
    let mut segment = builder.finish();
    segment.set_calibration(calibrate(&segment, None, &Work::alone()).unwrap());
    let deleted: Bitmap = numbers[..1].iter().map(|n| n % 1000).collect();
    let visible = Visible { filter: None, deleted: Some(&deleted) };
    for (row, vector) in data.rows.chunks(12).take(3).enumerate() {
        let query = Query { vector, k: 1, effort: Effort::Recall(0.99), visible, vectors: None };
        let mut scratch = Scratch::default();
        let found = search(segment.head(), &segment, Level::best(), &query, &mut scratch).unwrap();
        assert_eq!(found.neighbours[0].key, u64::from(numbers[row]));
    }
}
