//! What is near in the map is near among the rows.

use kernels::maps::{Nearness, Options, Work, map};

use super::data::clusters;

/// Venna and Kaski's trustworthiness, from all pairs: one less what rows that are near in the map
/// and not among the `k` nearest cost, by how far behind these they are.
fn trustworthiness(rows: &[f32], dimension: usize, places: &[[f32; 2]], k: usize) -> f64 {
    let square =
        |a: &[f32], b: &[f32]| -> f32 { a.iter().zip(b).map(|(a, b)| (a - b).powi(2)).sum() };
    let order = |row: usize, distance: &dyn Fn(usize) -> f32| {
        let mut others: Vec<usize> = (0..places.len()).filter(|other| *other != row).collect();
        others.sort_by(|a, b| distance(*a).total_cmp(&distance(*b)));
        others
    };
    let mut cost = 0;
    for row in 0..places.len() {
        let own = &rows[row * dimension..][..dimension];
        let truth = order(row, &|other| square(own, &rows[other * dimension..][..dimension]));
        let mut ranks = vec![0; places.len()];
        truth.iter().enumerate().for_each(|(rank, other)| ranks[*other] = rank + 1);
        let near = order(row, &|other| square(&places[row], &places[other]));
        cost += near[..k].iter().map(|other| ranks[*other].saturating_sub(k)).sum::<usize>();
    }
    let (n, k) = (places.len() as f64, k as f64);
    1.0 - 2.0 * cost as f64 / (n * k * (2.0 * n - 3.0 * k - 1.0))
}

#[test]
fn neighbours_stay_neighbours() {
    let rows = clusters(900, 16, 9, 5);
    let places = map(&rows, 16, &Options::default(), &Work::alone()).unwrap();
    let trust = trustworthiness(&rows, 16, &places, 15);
    assert!(trust > 0.985, "{trust}");
}

/// Clusters that are far apart are apart in the map, with nothing between them.
#[test]
fn far_clusters_do_not_mix() {
    let mut rows = clusters(600, 8, 1, 2);
    for (row, values) in rows.chunks_mut(8).enumerate() {
        values[row % 3] += 1000.0;
    }
    for nearness in [Nearness::L2, Nearness::Angle] {
        let options = Options { nearness, ..Options::default() };
        let places = map(&rows, 8, &options, &Work::alone()).unwrap();
        let square = |a: usize, b: usize| {
            (places[a][0] - places[b][0]).powi(2) + (places[a][1] - places[b][1]).powi(2)
        };
        for row in 0..600 {
            let others = (0..600).filter(|other| *other != row);
            let nearest = others.min_by(|a, b| square(row, *a).total_cmp(&square(row, *b)));
            assert_eq!(nearest.unwrap() % 3, row % 3, "{nearness:?} {row}");
        }
    }
}
