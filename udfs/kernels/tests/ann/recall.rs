//! Recall is a contract: never more than 0.01 below what was asked for.

use kernels::ann::{Effort, Query, Scratch, Segment, calibrate, search};
use kernels::ann::{Options, Work};
use kernels::simd::level::Level;
use kernels::vectors::{Bitmap, Metric, Neighbour, Rows, Scan, Visible, nearest};

use super::data::{Data, data, texts};

const METRICS: [Metric; 3] = [Metric::L2, Metric::InnerProduct, Metric::Cosine];

/// The share of the true neighbours that a search gives; a row as far as the k-th counts. Every
/// answer is complete, ordered and visible.
pub fn recall(
    data: &Data,
    segment: &Segment,
    metric: Metric,
    (k, effort): (usize, Effort),
    visible: Visible<'_>,
) -> f64 {
    let (level, rows) = (Level::best(), data.rows());
    let scan = Scan { level, metric, rows, visible, first_key: 0 };
    let mut scratch = Scratch::default();
    let (mut hits, mut total) = (0, 0);
    for vector in data.queries() {
        let truth = nearest(&scan, vector, k).unwrap();
        let query = Query { vector, k, effort, visible, vectors: Some(rows) };
        let found = search(segment.head(), segment, level, &query, &mut scratch).unwrap();
        let found = found.neighbours;
        assert_eq!(found.len(), truth.len());
        assert!(found.iter().all(|n| visible.contains(n.key as u32)));
        assert!(found.is_sorted_by(|a, b| a.order(b).is_lt()), "order, or a row twice");
        let worst = truth.last().map_or(0.0, |n| n.distance);
        let is_near = |n: &&Neighbour| n.distance <= worst || n.distance.is_nan();
        hits += found.iter().filter(is_near).count();
        total += truth.len();
    }
    if total == 0 { 1.0 } else { hits as f64 / total as f64 }
}

#[test]
fn recall_keeps_to_its_target() {
    for metric in METRICS {
        let data = data(12_000, 120, 24, 11);
        let segment = data.segment(metric);
        for target in [0.8f32, 0.95, 0.99] {
            for k in [10, 40, 100] {
                let asked = (k, Effort::Recall(target));
                let found = recall(&data, &segment, metric, asked, Visible::default());
                assert!(found >= f64::from(target) - 0.01, "{metric:?} {k} {target}: {found}");
            }
        }
    }
}

/// Queries that are far from the rows, and nothing to calibrate by but the rows.
#[test]
fn queries_of_few_words_keep_to_the_target() {
    let data = texts(16_000, 150, 48, 21);
    let segment = data.segment(Metric::Cosine);
    for target in [0.9f32, 0.95, 0.99] {
        for k in [10, 100] {
            let asked = (k, Effort::Recall(target));
            let found = recall(&data, &segment, Metric::Cosine, asked, Visible::default());
            assert!(found >= f64::from(target) - 0.01, "{k} {target}: {found}");
        }
    }
}

#[test]
fn filters_and_deletions_keep_recall() {
    for metric in METRICS {
        let data = data(12_000, 60, 24, 12);
        let segment = data.segment(metric);
        let deleted: Bitmap = (0..12_000).filter(|row| row % 7 == 3).collect();
        for one_in in [1u32, 2, 10, 100, 1000, 10_000] {
            let filter: Bitmap = (0..12_000).filter(|row| row * 7919 % one_in == 0).collect();
            let visible = Visible { filter: Some(&filter), deleted: Some(&deleted) };
            for target in [0.95f32, 0.99] {
                let found = recall(&data, &segment, metric, (20, Effort::Recall(target)), visible);
                assert!(found >= f64::from(target) - 0.01, "{metric:?} 1/{one_in}: {found}");
            }
        }
    }
}

/// Only rows far from the query may be returned: the first lists hold none of them.
#[test]
fn filters_against_the_query_keep_recall() {
    let data = data(12_000, 40, 24, 13);
    let segment = data.segment(Metric::L2);
    let (level, visible) = (Level::best(), Visible::default());
    for vector in data.queries() {
        let scan = Scan { level, metric: Metric::L2, rows: data.rows(), visible, first_key: 0 };
        let all = nearest(&scan, vector, 12_000).unwrap();
        let filter: Bitmap = all[6000..].iter().map(|n| n.key as u32).collect();
        let one = Data { queries: vector.to_vec(), rows: data.rows.clone(), dimension: 24 };
        let visible = Visible { filter: Some(&filter), deleted: None };
        let found = recall(&one, &segment, Metric::L2, (100, Effort::Recall(0.95)), visible);
        assert!(found >= 0.85, "{found}");
    }
}

/// With the queries' own kind to measure by, and on long vectors whose axes differ little.
#[test]
fn queries_can_be_shown() {
    let data = data(8000, 200, 130, 14);
    let mut segment = data.segment(Metric::InnerProduct);
    let shown = Rows::single(&data.queries, 130).unwrap();
    segment.set_calibration(calibrate(&segment, Some(shown), &Work::alone()).unwrap());
    let asked = (100, Effort::Recall(0.95));
    let found = recall(&data, &segment, Metric::InnerProduct, asked, Visible::default());
    assert!(found >= 0.94, "{found}");
}

#[test]
fn exhaustive_is_exact() {
    let data = data(3000, 30, 17, 15);
    for metric in METRICS {
        let segment = data.segment(metric);
        for effort in [Effort::Exhaustive, Effort::Recall(1.0)] {
            let found = recall(&data, &segment, metric, (15, effort), Visible::default());
            assert!(found >= 0.999, "{metric:?} {found}");
        }
    }
}

#[test]
fn options_by_size() {
    assert_eq!(Options::lists_for(1_000_000), 4096);
    assert_eq!(Options::lists_for(10_000_000), 16_384);
    assert_eq!(Options::lists_for(0), 1);
    assert_eq!(Options::new(Metric::L2, 3).sample_for(100), 100);
}
