//! Exact neighbours against a sort of all rows; joins against scans.

use kernels::simd::level::Level;
use kernels::vectors::{
    Bitmap, Error, Metric, Neighbour, Rows, Scan, Visible, distances, merge, nearest,
    nearest_to_each,
};
use proptest::prelude::*;

use super::distances::METRICS;

/// Small whole numbers, so that ties and zero vectors abound.
fn rows(dimension: usize) -> impl Strategy<Value = Vec<f32>> {
    proptest::collection::vec(-2i8..3, 0..700 * dimension)
        .prop_map(move |all| all.into_iter().map(f32::from).collect())
        .prop_map(move |mut all: Vec<f32>| {
            all.truncate(all.len() / dimension * dimension);
            all
        })
}

fn sorted(scan: &Scan<'_>, query: &[f32], k: usize) -> Vec<Neighbour> {
    let mut out = vec![0.0; scan.rows.len()];
    distances(scan.level, scan.metric, query, scan.rows, &mut out).unwrap();
    let seen = out.iter().enumerate().filter(|(row, _)| scan.visible.contains(*row as u32));
    let neighbour =
        |(row, d): (usize, &f32)| Neighbour { distance: *d, key: scan.first_key + row as u64 };
    let mut all: Vec<Neighbour> = seen.map(neighbour).collect();
    all.sort_by(Neighbour::order);
    all.truncate(k);
    all
}

fn same(a: &[Neighbour], b: &[Neighbour]) -> bool {
    let bits = |all: &[Neighbour]| -> Vec<(u32, u64)> {
        all.iter().map(|n| ((n.distance + 0.0).to_bits(), n.key)).collect()
    };
    bits(a) == bits(b)
}

proptest! {
    #[test]
    fn the_first_of_all_sorted(
        all in rows(3),
        query in proptest::collection::vec(-2i8..3, 9),
        k in prop_oneof![1usize..5, 1usize..800, Just(1_000_000_000)],
        deleted in proptest::collection::vec(0u32..700, 0..50),
        share in prop_oneof![Just(0u32), 1u32..100],
    ) {
        let deleted: Bitmap = deleted.into_iter().collect();
        let filter: Option<Bitmap> =
            (share > 0).then(|| (0..700).filter(|row| row % share == 0).collect());
        let visible = Visible { filter: filter.as_ref(), deleted: Some(&deleted) };
        let queries: Vec<f32> = query.into_iter().map(f32::from).collect();
        for metric in METRICS {
            for level in Level::all() {
                let rows = Rows::single(&all, 3).unwrap();
                let scan = Scan { level, metric, rows, visible, first_key: 1000 };
                let each = nearest_to_each(&scan, &queries, k).unwrap();
                for (query, found) in queries.chunks(3).zip(each) {
                    let expected = sorted(&scan, query, k);
                    prop_assert!(same(&nearest(&scan, query, k).unwrap(), &expected));
                    prop_assert!(same(&found, &expected), "{metric:?}");
                }
            }
        }
    }

    /// Parts scanned apart and merged give what one scan gives.
    #[test]
    fn parts_merge(all in rows(3), k in 1usize..50, cut in 0usize..700) {
        let rows = Rows::single(&all, 3).unwrap();
        let visible = Visible::default();
        let scan =
            Scan { level: Level::best(), metric: Metric::L2, rows, visible, first_key: 0 };
        let query = [1.0, 0.0, -1.0];
        let cut = cut.min(rows.len());
        let first = Scan { rows: rows.slice(0..cut), ..scan };
        let rest = Scan { rows: rows.slice(cut..rows.len()), first_key: cut as u64, ..scan };
        let parts = [first, rest].map(|scan| nearest(&scan, &query, k).unwrap());
        prop_assert!(same(&merge(k, parts), &nearest(&scan, &query, k).unwrap()));
    }
}

/// Long vectors of any numbers: the tiles' pruning must not lose a row to rounding.
#[test]
fn joins_give_the_rows_of_scans() {
    let dimension = 130;
    let number = |i: usize| ((i as u32).wrapping_mul(2_654_435_761) >> 8) as f32 / 1e7 - 0.8;
    let all: Vec<f32> = (0..900 * dimension).map(|i| number(i % 90_001)).collect();
    let queries: Vec<f32> = (0..11 * dimension).map(|i| number(i * 13 + 5)).collect();
    for metric in METRICS {
        let rows = Rows::single(&all, dimension).unwrap();
        let (level, visible) = (Level::best(), Visible::default());
        let scan = Scan { level, metric, rows, visible, first_key: 0 };
        let each = nearest_to_each(&scan, &queries, 20).unwrap();
        for (query, found) in queries.chunks(dimension).zip(each) {
            assert!(same(&found, &nearest(&scan, query, 20).unwrap()), "{metric:?}");
        }
    }
}

#[test]
fn mistakes_are_told() {
    let rows = Rows::single(&[1.0, 2.0, 3.0, 4.0], 2).unwrap();
    let (level, visible) = (Level::best(), Visible::default());
    let scan = Scan { level, metric: Metric::L2, rows, visible, first_key: 0 };
    assert_eq!(nearest(&scan, &[1.0, 2.0], 0), Err(Error::NoLimit));
    let wrong = Error::Dimension { expected: 2, found: 3 };
    assert_eq!(nearest(&scan, &[1.0; 3], 1), Err(wrong));
    assert_eq!(nearest_to_each(&scan, &[1.0; 3], 1), Err(wrong));
    assert_eq!(nearest(&scan, &[f32::NAN, 0.0], 1), Err(Error::NotFinite { row: 0 }));
    let second = [0.0, 0.0, 1.0, f32::INFINITY];
    assert_eq!(nearest_to_each(&scan, &second, 1), Err(Error::NotFinite { row: 1 }));
    assert_eq!(nearest_to_each(&scan, &[], 1), Ok(Vec::new()));
    assert_eq!(nearest(&scan, &[1.0, 2.0], usize::MAX).unwrap().len(), 2);
}
