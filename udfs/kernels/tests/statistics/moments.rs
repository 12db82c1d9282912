//! Moments against exact arithmetic, and their laws: merging is one pass, order and partition do
//! not show.

use super::reference::distance;
use kernels::statistics::moments::Moments;
use proptest::prelude::*;

fn of(values: &[f64]) -> Moments<1> {
    let mut state = Moments::default();
    state.extend([values]);
    state
}

fn by_row(values: &[f64]) -> Moments<1> {
    let mut state = Moments::default();
    values.iter().for_each(|value| state.push([*value]));
    state
}

/// Means and deviations of NIST's StRD sets NumAcc1 to NumAcc4 (whose values are constructed as
/// here), for the `f64` values that the decimals become: by Python's fractions.Fraction.
#[test]
fn nist_numerical_accuracy_sets() {
    let alternating = |centre: f64, low: f64, high: f64| {
        let mut values = vec![centre];
        (0..500).for_each(|_| values.extend([low, high]));
        values
    };
    let sets = [
        (vec![10_000_001.0, 10_000_003.0, 10_000_002.0], NUM_ACC[0]),
        (alternating(1.2, 1.1, 1.3), NUM_ACC[1]),
        (alternating(1_000_000.2, 1_000_000.1, 1_000_000.3), NUM_ACC[2]),
        (alternating(10_000_000.2, 10_000_000.1, 10_000_000.3), NUM_ACC[3]),
    ];
    for (values, (mean, deviation)) in sets {
        for state in [of(&values), by_row(&values)] {
            let summary = state.summary(0);
            assert!(distance(summary.mean.value(), mean) < 2e-16);
            assert!(distance(summary.deviation, deviation) < 3e-16, "{}", summary.deviation);
        }
    }
}

const NUM_ACC: [(f64, f64); 4] = [
    (10000002.0, 1.0),
    (1.2, 0.09999999999999998),
    (1000000.2, 0.1000000000349246),
    (10000000.2, 0.10000000055879354),
];

/// Two columns whose covariance is known: y = 3 x exactly.
#[test]
fn slope_and_linear_combination_are_exact() {
    let x: Vec<f64> = (0..1000).map(|i| f64::from(i * i % 97)).collect();
    let y: Vec<f64> = x.iter().map(|x| 3.0 * x).collect();
    let mut state = Moments::<2>::default();
    state.extend([&y, &x]);
    assert_eq!(Moments::slope(&[state], 0, 1), Some(3.0));
    assert_eq!(state.linear([1.0, -3.0]).deviation, 0.0);
    assert_eq!(state.linear([1.0, 0.0]), state.summary(0));
}

/// A covariate at 1e200 beside a metric at 1e-200: theta is 1e-400 scaled, nothing leaves the
/// range.
#[test]
fn columns_of_different_scale_combine() {
    let (large, small) = (2f64.powi(600), 2f64.powi(-600));
    let x: Vec<f64> = (0..100).map(|i| f64::from(i % 17) * large).collect();
    let y: Vec<f64> = (0..100).map(|i| f64::from(i % 17 + i % 3) * small).collect();
    let mut state = Moments::<2>::default();
    state.extend([&y, &x]);
    let plain: Vec<f64> = (0..100).map(|i| f64::from(i % 3) * small).collect();
    let weight = small / large;
    assert_eq!(weight, 0.0);
    assert!(distance(state.summary(0).deviation, of(&y).summary(0).deviation) < 1e-15);
    let mut middle = Moments::<2>::default();
    let half: Vec<f64> = x.iter().map(|x| x * 2f64.powi(-600)).collect();
    middle.extend([&y, &half]);
    let rest = middle.linear([1.0, -small]);
    assert!(distance(rest.deviation, of(&plain).summary(0).deviation) < 1e-14);
}

#[test]
fn constant_data_has_no_spread_at_all() {
    for value in [0.0, 0.1, -1e300, 1e-300, 1e15 + 0.125] {
        let state = of(&[value; 1000]);
        assert_eq!(state.summary(0).deviation, 0.0);
        assert_eq!(state.mean(0).value(), value);
    }
}

#[test]
fn extremes_do_not_overflow() {
    let state = of(&[f64::MAX, -f64::MAX, f64::MAX, -f64::MAX]);
    assert_eq!(state.mean(0).value(), 0.0);
    // √(4/3) f64::MAX is out of range: the deviation is rightly infinite.
    assert_eq!(state.summary(0).deviation, f64::INFINITY);
    let state = of(&[f64::MAX, f64::MAX / 2.0]);
    assert!(distance(state.summary(0).deviation, f64::MAX / 8f64.sqrt()) < 1e-15);
    let least = of(&[f64::from_bits(1), f64::from_bits(3)]);
    assert_eq!(least.mean(0).value(), f64::from_bits(2));
}

#[test]
fn values_that_are_not_finite_are_counted_apart() {
    let state = of(&[1.0, f64::NAN, 3.0, f64::INFINITY, f64::NEG_INFINITY]);
    assert_eq!((state.count(), state.not_finite()), (2, 3));
    assert_eq!(state.mean(0).value(), 2.0);
}

#[test]
fn foreign_bytes_are_refused() {
    let mut state = Moments::<2>::default();
    state.push([1.5, 2.5]);
    let bytes = state.to_bytes();
    assert_eq!(Moments::<2>::from_bytes(&bytes), Some(state));
    assert_eq!(Moments::<1>::from_bytes(&bytes), None);
    assert_eq!(Moments::<2>::from_bytes(&bytes[1..]), None);
    assert_eq!(Moments::<2>::from_bytes(&bytes[..bytes.len() - 1]), None);
    let mut newer = bytes.clone();
    newer[0] += 1;
    assert_eq!(Moments::<2>::from_bytes(&newer), None);
}

/// Numbers of any size, many of them near each other.
fn value() -> impl Strategy<Value = f64> {
    prop_oneof![
        -1e3f64..1e3,
        (0u32..1000).prop_map(|i| 1e15 + f64::from(i) / 8.0),
        (-1f64..1.0, -300i32..300).prop_map(|(x, e)| x * 10f64.powi(e)),
        Just(0.0),
    ]
}

proptest! {
    /// Batches, single rows, any cut and any order give the same mean and deviation to the last
    /// digit.
    #[test]
    fn merging_is_one_pass(
        values in prop::collection::vec(value(), 2..300), cut in 0usize..300, turn in 0usize..300
    ) {
        let whole = of(&values);
        let (first, second) = values.split_at(cut.min(values.len()));
        let mut merged = of(first);
        merged.merge(&by_row(second));
        let mut back = of(second);
        back.merge(&of(first));
        let mut turned = values.clone();
        turned.rotate_left(turn % values.len());
        turned.reverse();
        for state in [by_row(&values), merged, back, by_row(&turned), of(&turned)] {
            prop_assert_eq!(state.count(), whole.count());
            prop_assert_eq!(state.mean(0).value(), whole.mean(0).value());
            prop_assert_eq!(state.summary(0).deviation, whole.summary(0).deviation);
        }
    }

    #[test]
    fn a_row_many_times_is_many_rows(first in value(), second in value(), times in 0u64..200) {
        let mut state = of(&[first]);
        state.push_times([second], times);
        let mut values = vec![first];
        values.resize(times as usize + 1, second);
        let expected = by_row(&values);
        prop_assert_eq!(state.count(), expected.count());
        prop_assert_eq!(state.mean(0).value(), expected.mean(0).value());
        prop_assert_eq!(state.summary(0).deviation, expected.summary(0).deviation);
    }

    #[test]
    fn bytes_keep_everything(values in prop::collection::vec((value(), value()), 0..20)) {
        let mut state = Moments::<2>::default();
        values.into_iter().for_each(|(y, x)| state.push([y, x]));
        prop_assert_eq!(Moments::<2>::from_bytes(&state.to_bytes()), Some(state));
    }
}
