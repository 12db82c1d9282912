//! Rankings of a catalogue against NumPy and a naive sort.

use kernels::models::ranking_eval::{Metrics, Ranking, evaluate};
use kernels::simd::level::Level;
use proptest::prelude::*;

fn reference(name: &str) -> f64 {
    let text = include_str!("../reference/retrieval.txt");
    let mut lines = text.lines().filter_map(|line| line.split_once(' '));
    lines.find(|(found, _)| *found == name).unwrap().1.parse().unwrap()
}

fn wave(rows: usize, columns: usize, start: f64) -> Vec<f32> {
    let value =
        |at: usize| (start + 7.0 * (at / columns) as f64 + (at % columns) as f64).sin() as f32;
    (0..rows * columns).map(value).collect()
}

#[test]
fn metrics_are_those_of_numpy() {
    let (users, items) = (wave(3, 3, 0.5), wave(8, 3, 0.1));
    let relevant = [vec![0, 3], vec![1, 2, 4, 7], vec![]];
    let seen = [vec![1], vec![0, 5], vec![2]];
    let ranking =
        Ranking { users: &users, items: &items, dimension: 3, relevant: &relevant, seen: &seen };
    let ks = [1, 2, 4, 100];
    let found = evaluate(Level::best(), 1, &ranking, &ks);
    for (place, k) in ks.iter().enumerate() {
        assert!((found.recall[place] - reference(&format!("recall@{k}"))).abs() < 1e-9);
        assert!((found.ndcg[place] - reference(&format!("ndcg@{k}"))).abs() < 1e-9);
    }
    assert_eq!(found.users, 2);
}

#[test]
fn nothing_to_rank_is_zero() {
    let ranking = Ranking { users: &[], items: &[], dimension: 4, relevant: &[vec![0]], seen: &[] };
    let zero = Metrics { recall: vec![0.0], ndcg: vec![0.0], users: 0 };
    assert_eq!(evaluate(Level::best(), 2, &ranking, &[5]), zero);
    let empty = Ranking { users: &[1.0], dimension: 1, ..ranking };
    assert_eq!(evaluate(Level::best(), 2, &empty, &[5]), Metrics { users: 1, ..zero });
    assert_eq!(evaluate(Level::best(), 2, &empty, &[]).recall, Vec::<f64>::new());
}

/// Recall, NDCG and the number of users with something relevant, by sorting all items.
fn naive(
    users: &[f32],
    items: &[f32],
    relevant: &[Vec<u32>],
    seen: &[Vec<u32>],
    k: usize,
) -> [f64; 3] {
    let mut sums = [0.0; 3];
    for (user, vector) in users.chunks_exact(2).enumerate() {
        if relevant[user].is_empty() {
            continue;
        }
        // Zeros of both signs are equal.
        let score = |i: usize| 0.0 + vector[0] * items[i * 2] + vector[1] * items[i * 2 + 1];
        let shown = (0..items.len() / 2).filter(|i| !seen[user].contains(&(*i as u32)));
        let mut order: Vec<usize> = shown.collect();
        order.sort_by(|a, b| score(*b).total_cmp(&score(*a)).then(a.cmp(b)));
        let hits = order.iter().take(k).map(|i| relevant[user].contains(&(*i as u32)));
        let gain = |place: usize| 1.0 / (place as f64 + 2.0).log2();
        let gains = hits.clone().enumerate().filter(|hit| hit.1).map(|hit| gain(hit.0));
        let best: f64 = (0..k.min(relevant[user].len())).map(gain).sum();
        sums[0] += hits.filter(|hit| *hit).count() as f64 / relevant[user].len() as f64;
        sums[1] += if best > 0.0 { gains.sum::<f64>() / best } else { 0.0 };
        sums[2] += 1.0;
    }
    [sums[0] / sums[2].max(1.0), sums[1] / sums[2].max(1.0), sums[2]]
}

proptest! {
    /// Whole numbers as vectors make many ties, which go to the lower item.
    #[test]
    fn lists_are_those_of_a_sort(
        users in prop::collection::vec(-2i8..3, 0..160),
        items in prop::collection::vec(-2i8..3, 0..60),
        picks in prop::collection::vec((0usize..80, 0u32..30, any::<bool>()), 0..200),
        k in 0usize..40,
        threads in 1usize..4,
    ) {
        let floats = |all: &[i8]| all[..all.len() / 2 * 2].iter().map(|x| f32::from(*x)).collect();
        let (users, items): (Vec<f32>, Vec<f32>) = (floats(&users), floats(&items));
        let list = |seen: bool, user: usize| -> Vec<u32> {
            let own = picks.iter().filter(|pick| pick.0 == user && pick.2 == seen);
            let mut own: Vec<u32> = own.map(|pick| pick.1).collect();
            own.sort_unstable();
            own.dedup();
            own
        };
        let relevant: Vec<Vec<u32>> = (0..users.len() / 2).map(|user| list(false, user)).collect();
        let seen: Vec<Vec<u32>> = (0..users.len() / 2).map(|user| list(true, user)).collect();
        let [recall, ndcg, count] = naive(&users, &items, &relevant, &seen, k);
        let (relevant, seen) = (&relevant[..], &seen[..]);
        let ranking = Ranking { users: &users, items: &items, dimension: 2, relevant, seen };
        let found = evaluate(Level::best(), threads, &ranking, &[k]);
        prop_assert_eq!(found.users as f64, count);
        prop_assert!((found.recall[0] - recall).abs() < 1e-12);
        prop_assert!((found.ndcg[0] - ndcg).abs() < 1e-12);
    }
}
