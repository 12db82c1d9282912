//! Each level against the definition in double precision.

use kernels::simd::level::Level;
use kernels::vectors::{
    Elements, Error, Metric, Panels, Rows, distance, distances, inner_product, narrow_all, norm,
    widen_all,
};
use proptest::prelude::*;

pub const METRICS: [Metric; 4] = [Metric::L2, Metric::InnerProduct, Metric::Cosine, Metric::L1];

fn defined(metric: Metric, a: &[f32], b: &[f32]) -> f64 {
    let pairs = || a.iter().zip(b).map(|(x, y)| (f64::from(*x), f64::from(*y)));
    let dot: f64 = pairs().map(|(x, y)| x * y).sum();
    match metric {
        Metric::L2 => pairs().map(|(x, y)| (x - y) * (x - y)).sum::<f64>().sqrt(),
        Metric::InnerProduct => -dot,
        Metric::L1 => pairs().map(|(x, y)| (x - y).abs()).sum(),
        Metric::Cosine => 1.0 - (dot / (norm(a) * norm(b))).clamp(-1.0, 1.0),
    }
}

fn vectors() -> impl Strategy<Value = (Vec<f32>, Vec<f32>)> {
    (1usize..300).prop_flat_map(|dimension| {
        let vector = || proptest::collection::vec(-10.0f32..10.0, dimension);
        (vector(), vector())
    })
}

proptest! {
    #[test]
    fn every_level_is_the_definition((a, b) in vectors()) {
        let mut halves = vec![0; b.len()];
        narrow_all(&b, &mut halves);
        let mut rounded = vec![0.0; b.len()];
        widen_all(&halves, &mut rounded);
        for metric in METRICS {
            let scale = 1e-6 * (1.0 + norm(&a) * norm(&b) + a.len() as f64 * 20.0);
            let scale = if metric == Metric::Cosine { 1e-6 } else { scale };
            for level in Level::all() {
                let found = f64::from(distance(level, metric, &a, &b).unwrap());
                let expected = defined(metric, &a, &b);
                prop_assert!((found - expected).abs() <= scale, "{metric:?} {found} {expected}");
                let rows = Rows::new(Elements::Half(&halves), b.len()).unwrap();
                let mut out = [0.0];
                distances(level, metric, &a, rows, &mut out).unwrap();
                let expected = defined(metric, &a, &rounded);
                prop_assert!((f64::from(out[0]) - expected).abs() <= scale);
            }
        }
    }

    #[test]
    fn tiles_are_dot_products(
        dimension in 1usize..70, queries in 1usize..20, rows in 1usize..40, seed: u32,
    ) {
        let number = |i: usize| ((i as u32).wrapping_mul(2_654_435_761) ^ seed) as f32 / 2e9 - 1.0;
        let q: Vec<f32> = (0..queries * dimension).map(number).collect();
        let r: Vec<f32> = (0..rows * dimension).map(|i| number(i + 7919)).collect();
        let panels = Panels::new(Rows::single(&r, dimension).unwrap());
        for level in Level::all() {
            let mut out = vec![f32::NAN; queries * panels.stride()];
            panels.dots(level, &q, &mut out);
            for (i, q) in q.chunks(dimension).enumerate() {
                for (j, r) in r.chunks(dimension).enumerate() {
                    let expected = inner_product(level, q, r).unwrap();
                    let found = out[i * panels.stride() + j];
                    prop_assert!((found - expected).abs() < 1e-4, "{found} {expected}");
                }
            }
        }
    }
}

/// Expected values: pgvector 0.8's own regression tests (test/expected/vector_type.out).
#[test]
fn values_are_pgvectors() {
    let level = Level::best();
    let at = |metric, a: &[f32], b: &[f32]| distance(level, metric, a, b).unwrap();
    assert_eq!(at(Metric::L2, &[0.0, 0.0], &[3.0, 4.0]), 5.0);
    assert_eq!(at(Metric::InnerProduct, &[1.0, 2.0], &[3.0, 4.0]), -11.0);
    assert_eq!(at(Metric::Cosine, &[1.0, 2.0], &[2.0, 4.0]), 0.0);
    assert!(at(Metric::Cosine, &[1.0, 2.0], &[0.0, 0.0]).is_nan());
    assert_eq!(at(Metric::Cosine, &[1.0, 1.0], &[-1.0, -1.0]), 2.0);
    assert_eq!(at(Metric::Cosine, &[1.0, 1.0], &[1.1, 1.1]), 0.0);
    assert_eq!(at(Metric::L1, &[0.0, 0.0], &[3.0, 4.0]), 7.0);
    assert_eq!(at(Metric::L2, &[3e38], &[-3e38]), f32::INFINITY);
    assert!(at(Metric::Cosine, &[3e38], &[3e38]).is_nan());
    assert_eq!(norm(&[3.0, 4.0]), 5.0);
    assert_eq!(norm(&[3e37, 4e37]) as f32, 5e37);
}

#[test]
fn lengths_must_agree() {
    let level = Level::best();
    let wrong = Error::Dimension { expected: 1, found: 2 };
    assert_eq!(distance(level, Metric::L2, &[1.0, 2.0], &[3.0]), Err(wrong));
    assert_eq!(distance(level, Metric::L2, &[], &[]), Err(Error::Empty));
    let ragged = Error::Ragged { elements: 3, dimension: 2 };
    assert_eq!(Rows::single(&[1.0, 2.0, 3.0], 2).unwrap_err(), ragged);
    assert_eq!(Rows::single(&[1.0], 0).unwrap_err(), Error::Empty);
}
