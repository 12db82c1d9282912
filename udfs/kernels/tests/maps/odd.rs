//! Few rows, equal rows, rows without a direction: coordinates are finite and centred.

use kernels::maps::{Nearness, Options, Work, map};
use proptest::prelude::*;

fn check(rows: &[f32], dimension: usize, options: &Options) -> Vec<[f32; 2]> {
    let places = map(rows, dimension, options, &Work::alone()).unwrap();
    assert_eq!(places.len(), rows.len() / dimension);
    for axis in 0..2 {
        let along: Vec<f64> = places.iter().map(|place| f64::from(place[axis])).collect();
        let farthest = along.iter().fold(0.0f64, |most, x| most.max(x.abs()));
        let mean = along.iter().sum::<f64>() / along.len().max(1) as f64;
        assert!(farthest.is_finite() && farthest < 1e4, "{farthest}");
        assert!(mean.abs() <= 1e-5 * farthest, "{mean} {farthest}");
    }
    places
}

fn both(rows: &[f32], dimension: usize) {
    for nearness in [Nearness::L2, Nearness::Angle] {
        check(rows, dimension, &Options { nearness, ..Options::default() });
    }
}

#[test]
fn few_rows_have_places() {
    assert_eq!(map(&[], 3, &Options::default(), &Work::alone()), Ok(Vec::new()));
    assert_eq!(check(&[1.0, 2.0, 3.0], 3, &Options::default()), [[0.0, 0.0]]);
    both(&[1.0, 2.0, 3.0], 3);
    let two = check(&[1.0, 2.0, 3.0, 3.0, 2.0, 1.0], 3, &Options::default());
    assert!(two[0] != two[1], "{two:?}");
    both(&[1.0, 2.0, 3.0, 3.0, 2.0, 1.0], 3);
    both(&[1.0, 2.0, 3.0], 1);
}

#[test]
fn equal_rows_have_places_of_their_own() {
    for count in [2, 14, 15, 16, 300] {
        let rows = vec![2.5; count * 4];
        both(&rows, 4);
        let mut places: Vec<[u32; 2]> = check(&rows, 4, &Options::default())
            .iter()
            .map(|place| place.map(f32::to_bits))
            .collect();
        places.sort_unstable();
        places.dedup();
        assert_eq!(places.len(), count);
    }
    // Duplicates of some rows, more of each than neighbours.
    let rows: Vec<f32> = (0..400).flat_map(|row| [row as f32 % 10.0, 1.0]).collect();
    both(&rows, 2);
}

/// Zero vectors are near each other and off all others, as umap-learn has them.
#[test]
fn zero_vectors_are_a_cluster_by_angle() {
    let row = |row: usize| match row % 2 {
        0 => [0.0; 3],
        _ => [1.0, (row % 20) as f32 / 20.0, (row % 6) as f32 / 6.0],
    };
    let rows: Vec<f32> = (0..200).flat_map(row).collect();
    let options = Options { nearness: Nearness::Angle, ..Options::default() };
    let places = check(&rows, 3, &options);
    let mean = |which: usize, axis: usize| {
        places.iter().skip(which).step_by(2).map(|place| place[axis]).sum::<f32>() / 100.0
    };
    let apart = (mean(0, 0) - mean(1, 0)).hypot(mean(0, 1) - mean(1, 1));
    let spread = places.iter().step_by(2);
    let spread = spread.map(|[x, y]| (x - mean(0, 0)).hypot(y - mean(0, 1))).sum::<f32>() / 100.0;
    assert!(apart > 2.0 * spread, "{apart} {spread}");
    both(&[0.0; 60], 3);
}

/// As far as the squares of lengths are floats.
#[test]
fn great_and_small_values_have_places() {
    for scale in [1e-30, 1e-20, 1e15, 5e18] {
        let rows: Vec<f32> = (0..300).map(|x| (x * 37 % 101) as f32 / 101.0 * scale).collect();
        both(&rows, 3);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn all_rows_have_places(
        values in prop::collection::vec(-3i8..3, 0..240),
        dimension in 1usize..6,
        neighbours in 2usize..40,
        min_dist in 0.0f64..=1.0,
        epochs in 1usize..30,
        by_angle in any::<bool>(),
        seed in any::<u64>(),
    ) {
        let nearness = if by_angle { Nearness::Angle } else { Nearness::L2 };
        let count = values.len() / dimension * dimension;
        let rows: Vec<f32> = values[..count].iter().map(|x| f32::from(*x)).collect();
        let options = Options { nearness, neighbours, min_dist, epochs: Some(epochs), seed };
        check(&rows, dimension, &options);
    }
}
