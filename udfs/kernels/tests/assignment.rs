//! Assignment against the SDKs that it reproduces (`reference/assignment.py`), and its laws.
#![allow(clippy::unwrap_used)]

use kernels::assignment::{
    Algorithm, HOLDOUT, Split, Team, arm, holdout_place, interleave, layer_place, place, ramp_place,
};
use proptest::prelude::*;

#[test]
fn places_agree_with_the_sdks() {
    for line in include_str!("reference/assignment.txt").lines() {
        let words: Vec<&str> = line.split(' ').collect();
        let at = |algorithm, seed| place(algorithm, words[0], words[1], seed);
        let actual = [
            at(Algorithm::Murmur3, 0),
            at(Algorithm::Murmur3, 9),
            at(Algorithm::GrowthbookV2, 0),
            at(Algorithm::GrowthbookV1, 0),
            at(Algorithm::Planout, 0),
            at(Algorithm::Eppo, 0),
            at(Algorithm::Optimizely, 0),
        ];
        let expected: Vec<f64> = words[2..].iter().map(|word| word.parse().unwrap()).collect();
        assert_eq!(actual.to_vec(), expected, "{line}");
    }
}

#[test]
fn arms_take_their_share_of_the_weights() {
    let weights = [20.0, 0.0, 30.0, 50.0];
    let of = |place| arm(Algorithm::Murmur3, place, &weights);
    assert_eq!([0.0, 0.19, 0.2, 0.49, 0.5, 0.99].map(of), [0, 0, 2, 2, 3, 3].map(Some));
    assert_eq!(arm(Algorithm::Planout, 0.2, &weights), Some(0));
    assert_eq!(arm(Algorithm::Murmur3, 0.5, &[0.0]), None);
    let mut counts = [0; 4];
    for unit in 0..100_000 {
        let place = place(Algorithm::Murmur3, "split", &unit.to_string(), 0);
        counts[of(place).unwrap()] += 1;
    }
    // Five standard deviations: √(n p (1 - p)) is at most 158.
    for (count, weight) in counts.iter().zip(weights) {
        assert!((f64::from(*count) - weight * 1000.0).abs() < 790.0, "{counts:?}");
    }
}

/// One list with itself: every item once, in order, and the teams take turns in pairs.
#[test]
fn interleaving_a_list_with_itself_keeps_its_order() {
    let items: Vec<i64> = (0..20).collect();
    let merged = interleave(&items, &items, 7);
    assert_eq!(merged.iter().map(|pick| pick.0).collect::<Vec<_>>(), items);
    assert!(merged.chunks(2).all(|pair| pair[0].1 != pair[1].1));
}

proptest! {
    /// Every item of either list once, and no team ahead of the other while both have items.
    #[test]
    fn interleaving_is_a_fair_union(
        a in prop::collection::vec(0i64..30, 0..20), b in prop::collection::vec(0i64..30, 0..20),
        seed in any::<u64>()
    ) {
        let merged = interleave(&a, &b, seed);
        let mut items: Vec<i64> = merged.iter().map(|pick| pick.0).collect();
        items.sort_unstable();
        let mut expected: Vec<i64> = a.iter().chain(&b).copied().collect();
        expected.sort_unstable();
        expected.dedup();
        prop_assert_eq!(items, expected);
        prop_assert_eq!(merged.clone(), interleave(&a, &b, seed));
        let (mut ahead, mut taken) = (0i64, Vec::new());
        for (item, team) in merged {
            let left = |list: &[i64]| list.iter().any(|item| !taken.contains(item));
            let both = left(&a) && left(&b);
            let own = if team == Team::A { &a } else { &b };
            prop_assert!(own.contains(&item));
            ahead += if team == Team::A { 1 } else { -1 };
            prop_assert!(!both || ahead.abs() <= 1);
            taken.push(item);
        }
    }

    /// A split is its hashes one after the other, and a growing ramp changes nobody's arm.
    #[test]
    fn a_split_is_its_parts(
        unit in "[a-z0-9]{1,12}", holdout in 0.0f64..0.3, ramp in 0.0f64..=1.0, more in 0.0f64..=1.0
    ) {
        let split = Split {
            salt: "e".to_owned(),
            weights: vec![1.0, 2.0],
            layer: Some(("l".to_owned(), vec![(0.0, 0.25), (0.5, 1.0)])),
            holdout,
            ramp,
        };
        let at = layer_place("l", &unit);
        let is_in = holdout_place(HOLDOUT, &unit) >= holdout
            && !(0.25..0.5).contains(&at)
            && ramp_place("e", &unit) < ramp;
        let of_arms = arm(Algorithm::Murmur3, place(Algorithm::Murmur3, "e", &unit, 0), &[1.0, 2.0]);
        prop_assert_eq!(split.arm(&unit), of_arms.filter(|_| is_in));
        let grown = Split { ramp: ramp.max(more), ..split.clone() };
        prop_assert!(split.arm(&unit).is_none() || grown.arm(&unit) == split.arm(&unit));
    }

    /// Growing one arm's weight moves units into it only from the arms after it.
    #[test]
    fn a_growing_first_arm_loses_nobody(unit in "[a-z0-9]{1,12}", low in 1u32..99, more in 0u32..99) {
        let place = place(Algorithm::Murmur3, "ramp", &unit, 0);
        let high = (low + more).min(99);
        let first = |share: u32| {
            arm(Algorithm::Murmur3, place, &[f64::from(share), f64::from(100 - share)]) == Some(0)
        };
        prop_assert!(!first(low) || first(high));
    }
}
