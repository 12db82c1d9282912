//! Solutions against a dense solve in NumPy, and the objective's minimum.

use proptest::prelude::*;

use super::*;
use crate::simd::level::Level;

/// A line of the reference: `tests/reference/retrieval.py` made it with NumPy.
fn reference(name: &str) -> Vec<f64> {
    let text = include_str!("../../../tests/reference/retrieval.txt");
    let mut lines = text.lines().filter_map(|line| line.split_once(' '));
    let (_, numbers) = lines.find(|(found, _)| *found == name).unwrap();
    numbers.split(' ').map(|x| x.parse().unwrap()).collect()
}

#[test]
fn a_row_is_that_of_a_dense_solve() {
    let wave = |at: usize| (2.0 + 7.0 * (at / 4) as f64 + (at % 4) as f64).sin() as f32;
    let vectors: Vec<f32> = (0..28).map(wave).collect();
    let options =
        Options { dim: 4, regularisation: 0.05, unobserved_weight: 0.3, ..Options::default() };
    let fixed = Fixed::new(&options, &Work::alone(), &vectors);
    let mut out = vec![0.0; 4];
    for level in Level::all() {
        Solver::new(4).solve(level, &fixed, &[(2, 1.0), (5, 2.0)], &mut out);
        for (found, expected) in out.iter().zip(reference("als_row")) {
            assert!((f64::from(*found) - expected).abs() < 1e-7, "{found} {expected}");
        }
    }
    Solver::new(4).solve(Level::best(), &fixed, &[], &mut out);
    assert_eq!(out, vec![0.0; 4]);
}

/// All terms of the objective in the header, pair by pair.
fn whole(options: &Options, taken: &Ragged<(u32, f32)>, users: &Side, items: &Side) -> f64 {
    let dim = options.dim;
    let row = |side: &Side, at: usize| side.vectors[at * dim..(at + 1) * dim].to_vec();
    let square = |v: &[f32]| v.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>();
    let (alpha, lambda) = (options.unobserved_weight, options.regularisation);
    let mut total = 0.0;
    let mut known = vec![0.0; items.keys.len()];
    for user in 0..users.keys.len() {
        let own = row(users, user);
        let mut sum = 0.0;
        for (item, known) in known.iter_mut().enumerate() {
            let other = row(items, item);
            let product: f64 =
                own.iter().zip(&other).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum();
            total += alpha * product * product;
            let weight = taken.row(user).iter().find(|pair| pair.0 == item as u32);
            let weight = weight.map_or(0.0, |pair| f64::from(pair.1));
            total += weight * (1.0 - product) * (1.0 - product);
            sum += weight;
            *known += weight;
        }
        total += lambda * (sum + alpha * items.keys.len() as f64) * square(&own);
    }
    for (item, known) in known.iter().enumerate() {
        total += lambda * (known + alpha * users.keys.len() as f64) * square(&row(items, item));
    }
    total
}

proptest! {
    /// The side solved last is at its minimum: no change of any number makes the whole smaller.
    #[test]
    fn rows_are_the_minimum_of_the_objective(
        pairs in prop::collection::vec((0u64..5, 0u64..6, 1u32..4), 1..25),
        dim in 1usize..5,
    ) {
        let users: Vec<u64> = pairs.iter().map(|pair| pair.0).collect();
        let items: Vec<u64> = pairs.iter().map(|pair| pair.1).collect();
        let weights: Vec<f32> = pairs.iter().map(|pair| pair.2 as f32 / 2.0).collect();
        let given = Interactions { users: &users, items: &items, weights: Some(&weights) };
        let options = Options { dim, sweeps: 2, ..Options::default() };
        let model = train(&given, &options, &Work::alone()).unwrap();
        let taken = sides(&given).unwrap().2;
        let least = whole(&options, &taken, &model.users, &model.items);
        for place in 0..model.items.vectors.len() {
            for change in [-0.01, 0.01] {
                let mut items = model.items.clone();
                items.vectors[place] += change;
                let other = whole(&options, &taken, &model.users, &items);
                prop_assert!(other >= least - 1e-6 * least.abs(), "{other} {least}");
            }
        }
    }
}
