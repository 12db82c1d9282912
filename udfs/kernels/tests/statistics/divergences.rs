//! Distances of distributions against their definitions in mpmath (`reference/divergences.py`).

use super::reference::distance;
use kernels::statistics::divergence::*;
use kernels::statistics::histogram::{bin_of, counts_of, quantile_edges, uniform_edges};
use kernels::statistics::sample::Sample;
use proptest::prelude::*;

fn actual(name: &str, reference: &[u64], current: &[u64]) -> Option<f64> {
    let fill = |name: &str| match name {
        "half" => Fill::Half,
        "clamp" => Fill::Clamp,
        "add" => Fill::Add,
        "evidently" => Fill::Evidently,
        "none" => Fill::None,
        _ => panic!("no fill {name}"),
    };
    let of = |kind| divergence(kind, reference, current, Fill::None);
    match name {
        "js_divergence" => of(Divergence::JsDivergence),
        "js_distance" => of(Divergence::JsDistance),
        "hellinger" => of(Divergence::Hellinger),
        "tv" => of(Divergence::TotalVariation),
        "l_infinity" => of(Divergence::LInfinity),
        "psi_critical" => psi_critical(reference, current, 0.05),
        "chi_square" => {
            chi_square(ChiSquareKind::Contingency, reference, current).map(|t| t.statistic)
        }
        "chi_square_fit" => {
            chi_square(ChiSquareKind::GoodnessOfFit, reference, current).map(|t| t.statistic)
        }
        _ => {
            let (kind, name) = name.split_once('_')?;
            let kind = if kind == "psi" { Divergence::Psi } else { Divergence::Kl };
            divergence(kind, reference, current, fill(name))
        }
    }
}

#[test]
fn divergences_agree_with_their_definitions() {
    let counts = |word: &str| -> Vec<u64> { word.split(',').map(|n| n.parse().unwrap()).collect() };
    let mut wrong = Vec::new();
    for line in include_str!("../reference/divergences.txt").lines() {
        let words: Vec<&str> = line.split(' ').collect();
        let expected: f64 = words[3].parse().unwrap();
        let actual = actual(words[0], &counts(words[1]), &counts(words[2])).unwrap();
        let limit = if words[0] == "psi_critical" { 1e-10 } else { 1e-12 };
        let holds = distance(actual, expected) <= limit;
        if !holds {
            wrong.push(format!("{line}: {actual}"));
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn an_empty_side_has_no_distance() {
    assert_eq!(divergence(Divergence::Psi, &[0, 0], &[1, 2], Fill::Half), None);
    assert_eq!(chi_square(ChiSquareKind::Contingency, &[3], &[4]), None);
    assert_eq!(psi_critical(&[3, 0], &[4, 0], 0.05), None);
    assert_eq!(empty_bins(&[0, 1, 0], &[0, 0, 3]), 2);
}

/// By its definition: nothing shared is one, equal shares are zero.
#[test]
fn cramers_v_runs_from_zero_to_one() {
    let v = |a: &[u64], b: &[u64]| chi_square(ChiSquareKind::Contingency, a, b).unwrap().cramers_v;
    assert_eq!(v(&[10, 10], &[20, 20]), 0.0);
    assert!((v(&[10, 0], &[0, 10]) - 1.0).abs() < 1e-15);
}

fn sample(values: &[f64]) -> kernels::statistics::sample::Ranked {
    let mut sample = Sample::default();
    values.iter().for_each(|value| sample.push(*value));
    sample.ranked()
}

/// numpy 2.4: np.quantile(range(10), [0.25, 0.5, 0.75]) = 2.25, 4.5, 6.75.
#[test]
fn quantile_edges_merge_ties_and_bins_are_half_open() {
    let ten = sample(&[0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0]);
    let edges = quantile_edges(&ten, 4);
    assert_eq!(edges, [2.25, 4.5, 6.75]);
    assert_eq!(counts_of(&ten, &edges), [3, 2, 2, 3]);
    assert_eq!(bin_of(&edges, 4.5), 2);
    let zeros = sample(&[0.0, 0.0, -0.0, 0.0, 0.0, 0.0, 0.0, 1.0, 2.0, 3.0]);
    let edges_of_zeros = quantile_edges(&zeros, 10);
    let off = edges_of_zeros.iter().zip([0.3, 1.2, 2.1]).map(|(a, e)| (a - e).abs());
    assert!(edges_of_zeros.len() == 3 && off.fold(0.0, f64::max) < 1e-15);
    assert_eq!(quantile_edges(&sample(&[]), 10), [0.0; 0]);
    assert_eq!(quantile_edges(&sample(&[7.0, 7.0]), 10), [7.0, 7.0_f64.next_up()]);
    assert_eq!(uniform_edges(0.0, 10.0, 4), [2.5, 5.0, 7.5]);
    assert_eq!(bin_of(&edges, f64::NEG_INFINITY), 0);
    assert_eq!(bin_of(&edges, f64::INFINITY), 3);
}

/// What leaves a value that most rows have is seen, wherever that value is.
#[test]
fn a_value_of_many_bins_has_a_bin_of_its_own() {
    let of = |runs: &[(f64, usize)]| {
        let values = runs.iter().flat_map(|(value, count)| std::iter::repeat_n(*value, *count));
        sample(&values.collect::<Vec<_>>())
    };
    assert_eq!(quantile_edges(&of(&[(0.0, 95), (1.0, 5)]), 10), [1.0]);
    assert_eq!(quantile_edges(&of(&[(0.0, 5), (1.0, 95)]), 10), [1.0]);
    assert_eq!(quantile_edges(&of(&[(-1.0, 1), (0.0, 95), (1.0, 4)]), 10), [0.0, 1.0]);
    assert_eq!(quantile_edges(&of(&[(-1.0, 1), (-0.5, 2), (3.0, 97)]), 10), [3.0]);
    let (reference, current) = (of(&[(0.0, 95), (1.0, 5)]), of(&[(0.0, 40), (1.0, 60)]));
    let edges = quantile_edges(&reference, 10);
    let counts = [&reference, &current].map(|sample| counts_of(sample, &edges));
    assert_eq!(counts, [vec![95, 5], vec![40, 60]]);
    // A constant that becomes another, on either side.
    let edges = quantile_edges(&of(&[(1.0, 100)]), 10);
    assert_eq!(counts_of(&of(&[(0.5, 1), (1.0, 2), (5.0, 3)]), &edges), [1, 2, 3]);
}

proptest! {
    /// PSI, JS, Hellinger, total variation and L-infinity do not know which side is which; none is
    /// negative.
    #[test]
    fn symmetric_distances_are_symmetric(
        pairs in prop::collection::vec((0u64..1000, 0u64..1000), 2..20)
    ) {
        let (a, b): (Vec<u64>, Vec<u64>) = pairs.into_iter().unzip();
        for kind in [
            Divergence::Psi, Divergence::JsDivergence, Divergence::JsDistance,
            Divergence::Hellinger, Divergence::TotalVariation, Divergence::LInfinity,
        ] {
            let there = divergence(kind, &a, &b, Fill::Half);
            let back = divergence(kind, &b, &a, Fill::Half);
            match (there, back) {
                (Some(x), Some(y)) => {
                    prop_assert!(x >= 0.0 && (x - y).abs() <= 1e-13 * x, "{kind:?} {x} {y}");
                }
                (x, y) => prop_assert_eq!(x, y),
            }
        }
    }

    /// Few edges are compared one by one, many by halving: the same bin.
    #[test]
    fn both_searches_find_the_same_bin(value in -10.0f64..110.0, count in 1usize..80) {
        let edges: Vec<f64> = (0..count).map(|i| i as f64).collect();
        let naive = edges.iter().take_while(|edge| value >= **edge).count();
        prop_assert_eq!(bin_of(&edges, value), naive);
    }
}
