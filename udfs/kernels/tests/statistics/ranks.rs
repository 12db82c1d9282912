//! Rank statistics against scipy 1.17.1 (`reference/experiments.py`).

use super::reference::{assert_near, expected, metric};
use kernels::statistics::comparison::{Alternative, Options, Status};
use kernels::statistics::ranks::*;
use kernels::statistics::sample::{Ranked, Sample, key, value};
use proptest::prelude::*;

fn ranked(values: &[f64]) -> Ranked {
    of(values).ranked()
}

fn of(values: &[f64]) -> Sample {
    let mut sample = Sample::default();
    values.iter().for_each(|value| sample.push(*value));
    sample
}

const SIDES: [(&str, Alternative); 3] = [
    ("two-sided", Alternative::TwoSided),
    ("greater", Alternative::Greater),
    ("less", Alternative::Less),
];

#[test]
fn mann_whitney_agrees() {
    let [control, treatment] = metric().map(|arm| ranked(&arm));
    let small = ranked(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 10.0]);
    let other = ranked(&[1.5, 2.5, 9.0, 11.0, 12.0, 13.5, 30.0]);
    for (name, side) in SIDES {
        for (word, continuity) in [("True", true), ("False", false)] {
            let answer = mann_whitney(&control, &treatment, Method::Auto, continuity, side);
            let actual = [answer.statistic, answer.ln_p_value.unwrap().exp()];
            let name = format!("mann_whitney_{name}_{word}");
            assert_near(&name, &actual, &expected(&name), 1e-10);
            assert!(!answer.exact);
        }
        let answer = mann_whitney(&small, &other, Method::Auto, true, side);
        let actual = [answer.statistic, answer.ln_p_value.unwrap().exp()];
        let name = format!("mann_whitney_exact_{name}");
        assert_near(&name, &actual, &expected(&name), 1e-12);
        assert!(answer.exact);
    }
}

#[test]
fn mann_whitney_is_exact_for_larger_samples_when_asked() {
    let control: Vec<f64> = (1..81).step_by(2).map(f64::from).collect();
    let treatment: Vec<f64> = (0..120).step_by(2).map(f64::from).collect();
    let (control, treatment) = (ranked(&control), ranked(&treatment));
    let answer = mann_whitney(&control, &treatment, Method::Exact, true, Alternative::TwoSided);
    let actual = [answer.statistic, answer.ln_p_value.unwrap().exp()];
    assert_near("exact", &actual, &expected("mann_whitney_exact_60_40"), 1e-11);
}

/// ClickHouse issue 79814: identical samples must answer U = n m / 2 and p = 1.
#[test]
fn mann_whitney_of_equal_values_says_nothing() {
    let same = ranked(&[4.0; 30]);
    let answer = mann_whitney(&same, &same, Method::Auto, true, Alternative::TwoSided);
    assert_eq!((answer.statistic, answer.ln_p_value), (450.0, Some(0.0)));
    let none = mann_whitney(&same, &ranked(&[]), Method::Auto, true, Alternative::TwoSided);
    assert_eq!((none.status, none.ln_p_value), (Status::MissingArm, None));
}

#[test]
fn kolmogorov_smirnov_and_wasserstein_agree() {
    let [a, b] = metric();
    let far: Vec<f64> = b[..45].iter().map(|y| y + 12.0).collect();
    for (name, a, b) in [("ks", &a[..50], &b[..41]), ("ks_far", &a[..60], &far[..])] {
        let (a, b) = (ranked(a), ranked(b));
        let exact = kolmogorov_smirnov(&a, &b, Method::Auto).unwrap();
        let limit = kolmogorov_smirnov(&a, &b, Method::Asymptotic).unwrap();
        let area = wasserstein(&a, &b).unwrap();
        let actual = [exact.statistic, exact.ln_p_value.exp(), limit.ln_p_value.exp(), area];
        assert_near(name, &actual, &expected(name), 1e-11);
    }
    let area = wasserstein(&ranked(&a), &ranked(&b)).unwrap();
    assert_near("wasserstein", &[area], &expected("wasserstein"), 1e-12);
    assert_eq!(wasserstein(&ranked(&[]), &ranked(&b)), None);
    assert_eq!(kolmogorov_smirnov(&ranked(&[]), &ranked(&b), Method::Auto), None);
}

#[test]
fn quantiles_are_numpys_and_their_test_covers_the_difference() {
    let [control, treatment] = metric().map(|arm| ranked(&arm));
    for q in [0.25, 0.5, 0.9] {
        let row = quantile_test(&control, &treatment, q, &Options::default());
        let name = format!("quantile_{q}");
        assert_near(&name, &[row.control.mean, row.treatment.mean], &expected(&name), 1e-14);
        let (low, high) = row.interval.unwrap();
        assert!(low < row.diff.unwrap() && row.diff.unwrap() < high);
    }
    let few = ranked(&[1.0, 2.0, 3.0]);
    let status = quantile_test(&few, &few, 0.5, &Options::default()).status;
    assert_eq!(status, Status::InsufficientData);
}

/// Values come back in order, whatever way they were held: counted, loose, or both.
#[test]
fn many_and_few_distinct_values_rank_alike() {
    for distinct in [10u64, 30_000, 5_000_000] {
        let values: Vec<f64> =
            (0..300_000u64).map(|i| (i * 7_919_317 % distinct) as f64 - 5.0).collect();
        let mut halves = of(&values[..123_456]);
        halves.merge(&of(&values[123_456..]));
        let mut sorted = values.clone();
        sorted.sort_by(f64::total_cmp);
        let flat = |ranked: Ranked| {
            ranked.runs().flat_map(|(v, n)| vec![v; n as usize]).collect::<Vec<_>>()
        };
        assert_eq!(flat(ranked(&values)), sorted);
        assert_eq!(flat(halves.ranked()), sorted);
        let (counted, loose) = halves.parts();
        let stored = Sample::of_parts(counted, loose);
        assert_eq!(flat(stored.ranked()), sorted);
        let places = [0, 1, 9_999, 250_000, 299_999, u64::MAX];
        let expected = places.map(|place| sorted[place.min(299_999) as usize]);
        assert_eq!(halves.ranked().at(places), expected);
        assert_eq!(halves.count(), 300_000);
    }
}

/// Counting keeps the memory of a sample with few distinct values small.
#[test]
fn few_distinct_values_take_little_memory() {
    let mut sample = Sample::default();
    (0..1_000_000).for_each(|i| sample.push(f64::from(i % 5)));
    assert!(sample.size() < 2_000_000, "{}", sample.size());
}

proptest! {
    #[test]
    fn keys_keep_the_order(a in any::<f64>(), b in any::<f64>()) {
        prop_assume!(!a.is_nan() && !b.is_nan());
        prop_assert_eq!(a.partial_cmp(&b), Some(key(a).cmp(&key(b))));
        prop_assert_eq!(value(key(a)), a);
    }

    /// U of treatment and U of control add to n m; the naive count of pairs agrees.
    #[test]
    fn mann_whitney_counts_pairs(
        a in prop::collection::vec(0i32..20, 1..40), b in prop::collection::vec(0i32..20, 1..40)
    ) {
        let a: Vec<f64> = a.into_iter().map(f64::from).collect();
        let b: Vec<f64> = b.into_iter().map(f64::from).collect();
        let pairs = a.iter().flat_map(|x| b.iter().map(move |y| {
            if y > x { 1.0 } else if y == x { 0.5 } else { 0.0 }
        }));
        let side = Alternative::TwoSided;
        let u = mann_whitney(&ranked(&a), &ranked(&b), Method::Auto, true, side).statistic;
        let other = mann_whitney(&ranked(&b), &ranked(&a), Method::Auto, true, side).statistic;
        prop_assert_eq!(u, pairs.sum::<f64>());
        prop_assert_eq!(u + other, (a.len() * b.len()) as f64);
    }
}
