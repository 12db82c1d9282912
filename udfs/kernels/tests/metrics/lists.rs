//! Measures of ranked lists: scikit-learn's, and the mean over all orders of ties.

use super::reference::*;
use kernels::metrics::lists::{Gain, List};
use proptest::prelude::*;

fn lists(scores: &[f64], relevances: &[f64]) -> Vec<Option<List>> {
    let pairs = scores.chunks(20).zip(relevances.chunks(20));
    pairs.map(|(scores, relevances)| List::new(relevances, scores)).collect()
}

fn mean(values: impl Iterator<Item = Option<f64>>) -> Option<f64> {
    let values: Vec<f64> = values.collect::<Option<_>>()?;
    Some(values.iter().sum::<f64>() / values.len() as f64)
}

#[test]
fn lists_agree_with_scikit_learn() {
    let relevances = relevances();
    let tied = series(57, 2, 13);
    let tied: Vec<f64> = tied.iter().zip(&relevances).map(|(x, r)| x / 4.0 + r / 2.0).collect();
    let tied: Vec<List> = lists(&tied, &relevances).into_iter().flatten().collect();
    for k in [1, 5, 20, 30] {
        let by = |gain| mean(tied.iter().map(|list| list.ndcg(k, gain)));
        assert_near(&format!("ndcg_{k}"), by(Gain::Linear));
        assert_near(&format!("ndcg_exp2_{k}"), by(Gain::Exp2));
    }
    let relevant: Vec<f64> = relevances.iter().map(|r| f64::from(u8::from(*r > 2.0))).collect();
    let apart: Vec<f64> = series(7919, 0, 1009).into_iter().map(|x| x / 64.0).collect();
    let some: Vec<List> = lists(&apart, &relevant).into_iter().flatten().collect();
    let some: Vec<&List> = some.iter().filter(|list| list.mrr().is_some()).collect();
    assert_eq!(some.len() as f64, expected("lists"));
    assert_near("map", mean(some.iter().map(|list| list.map_at(20))));
    assert_near("mrr", mean(some.iter().map(|list| list.mrr())));
}

#[test]
fn degenerate_lists_have_none() {
    let nothing = List::new(&[0.0, 0.0], &[1.0, 2.0]).unwrap();
    assert_eq!(nothing.ndcg(5, Gain::Linear), None);
    assert_eq!((nothing.mrr(), nothing.map_at(5)), (None, None));
    assert_eq!((nothing.recall_at(5, false), nothing.hit_rate_at(5)), (None, None));
    assert_eq!(nothing.precision_at(5), Some(0.0));
    let empty = List::new(&[], &[]).unwrap();
    assert_eq!((empty.mrr(), empty.precision_at(0)), (None, None));
    let one = List::new(&[1.0], &[1.0]).unwrap();
    assert_eq!((one.map_at(0), one.recall_at(0, true)), (None, None));
    assert_eq!(one.ndcg(0, Gain::Linear), None);
    assert_eq!((one.hit_rate_at(0), one.recall_at(0, false)), (Some(0.0), Some(0.0)));
    assert!(List::new(&[1.0], &[f64::NAN]).is_none());
    assert!(List::new(&[-1.0], &[1.0]).is_none());
    assert!(List::new(&[1.0], &[]).is_none());
    assert_eq!(List::new(&[f64::INFINITY], &[1.0]).unwrap().ndcg(1, Gain::Linear), None);
}

/// All orders of a few items.
fn orders(items: usize) -> Vec<Vec<usize>> {
    if items == 0 {
        return vec![Vec::new()];
    }
    let mut all = Vec::new();
    for order in orders(items - 1) {
        for place in 0..items {
            let mut order = order.clone();
            order.insert(place, items - 1);
            all.push(order);
        }
    }
    all
}

/// Of relevances in order: recall, capped recall, hit rate, average precision, reciprocal place.
fn plain(ranked: &[f64], k: usize) -> [f64; 5] {
    let is = |place: &usize| ranked[*place] > 0.0;
    let relevant = (0..ranked.len()).filter(is).count();
    let top: Vec<usize> = (0..ranked.len().min(k)).filter(is).collect();
    let precisions = top.iter().enumerate().map(|(n, place)| (n + 1) as f64 / (place + 1) as f64);
    [
        top.len() as f64 / relevant as f64,
        top.len() as f64 / relevant.min(k) as f64,
        f64::from(u8::from(!top.is_empty())),
        precisions.sum::<f64>() / relevant.min(k) as f64,
        (0..ranked.len()).find(is).map_or(0.0, |place| 1.0 / (place + 1) as f64),
    ]
}

proptest! {
    #[test]
    fn ties_count_as_the_mean_of_their_orders(
        items in prop::collection::vec((0..3, 0..3), 1..7),
        k in 1usize..8,
    ) {
        let relevances: Vec<f64> = items.iter().map(|item| f64::from(item.0)).collect();
        let scores: Vec<f64> = items.iter().map(|item| f64::from(item.1)).collect();
        prop_assume!(relevances.iter().any(|r| *r > 0.0));
        let (mut sums, mut count) = ([0.0; 5], 0.0);
        for order in orders(items.len()) {
            if order.windows(2).all(|pair| scores[pair[0]] >= scores[pair[1]]) {
                let ranked: Vec<f64> = order.iter().map(|item| relevances[*item]).collect();
                sums.iter_mut().zip(plain(&ranked, k)).for_each(|(sum, value)| *sum += value);
                count += 1.0;
            }
        }
        let list = List::new(&relevances, &scores).unwrap();
        let actual = [
            list.recall_at(k, false),
            list.recall_at(k, true),
            list.hit_rate_at(k),
            list.map_at(k),
            list.mrr(),
        ];
        for (actual, sum) in actual.into_iter().zip(sums) {
            prop_assert!((actual.unwrap() - sum / count).abs() < 1e-12, "{actual:?} {sums:?} {count}");
        }
        let relevant = relevances.iter().filter(|r| **r > 0.0).count() as f64;
        let hits = list.recall_at(k, false).unwrap() * relevant;
        prop_assert!((list.precision_at(k).unwrap() - hits / k as f64).abs() < 1e-12);
    }
}
