//! One split against a search over all of them.

use kernels::models::gbdt::{Feature, Objective, Parameters, Part, train};
use kernels::models::trees::Scorer;
use proptest::prelude::*;

use super::runs::QUIET;

/// Σ (y - mean)² of the rows that a side holds.
fn spread(labels: impl Iterator<Item = f64> + Clone) -> f64 {
    let count = labels.clone().count() as f64;
    let mean = labels.clone().sum::<f64>() / count.max(1.0);
    labels.map(|y| (y - mean) * (y - mean)).sum()
}

/// The least Σ error² that any of the questions leaves; without one, what the mean leaves.
fn least(labels: &[f64], questions: impl Iterator<Item = Vec<bool>>) -> f64 {
    let rows = || labels.iter().copied();
    questions.fold(spread(rows()), |least, left| {
        let side = |wanted: bool| {
            let left = left.clone();
            rows().enumerate().filter(move |(row, _)| left[*row] == wanted).map(|(_, y)| y)
        };
        least.min(spread(side(true)) + spread(side(false)))
    })
}

/// Σ error² of one trained split.
fn trained(parameters: &Parameters, feature: Feature<'_>, labels: &[f64]) -> f64 {
    let part = Part { features: &[feature], labels, weights: None, groups: &[] };
    let trained = train(parameters, &part, None, &QUIET).unwrap();
    let mut out = vec![0.0; labels.len()];
    Scorer::new(trained.forest).unwrap().predict(&[feature.values()], &mut out).unwrap();
    out.iter().zip(labels).map(|(p, y)| (p - y) * (p - y)).sum()
}

/// One split, whatever it holds.
fn free() -> Parameters {
    let mut parameters = Parameters::new(Objective::Regression);
    (parameters.num_leaves, parameters.num_iterations) = (2, 1);
    (parameters.learning_rate, parameters.min_data_in_leaf) = (1.0, 1);
    (parameters.min_data_in_bin, parameters.min_data_per_group) = (1, 1);
    (parameters.cat_smooth, parameters.cat_l2) = (0.0, 0.0);
    parameters
}

fn rows(values: i32) -> impl Strategy<Value = Vec<(Option<i32>, i32)>> {
    prop::collection::vec((prop::option::weighted(0.8, 0..values), -20..20), 2..40)
}

fn columns(rows: &[(Option<i32>, i32)]) -> (Vec<f64>, Vec<f64>) {
    rows.iter().map(|(x, y)| (x.map_or(f64::NAN, f64::from), f64::from(*y))).unzip()
}

proptest! {
    #[test]
    fn numbers_are_split_where_it_is_best(rows in rows(30)) {
        let (values, labels) = columns(&rows);
        let questions = (-1..30).flat_map(|threshold| [false, true].map(|missing_left| {
            let at_most = |x: &f64| *x <= f64::from(threshold);
            let goes_left = |x: &f64| if x.is_nan() { missing_left } else { at_most(x) };
            values.iter().map(goes_left).collect()
        }));
        let least = least(&labels, questions);
        let trained = trained(&free(), Feature::Numeric(&values), &labels);
        prop_assert!((trained - least).abs() <= 1e-9 * (1.0 + least), "{trained} {least}");
    }

    /// For squares the best of all 2^6 sets is among those that the order gives.
    #[test]
    fn categories_are_split_into_the_best_sets(rows in rows(6)) {
        let known: Vec<_> = rows.into_iter().map(|(x, y)| (x.or(Some(0)), y)).collect();
        let (values, labels) = columns(&known);
        let questions = (0u32..64).map(|set| {
            values.iter().map(|x| set >> (*x as u32) & 1 == 1).collect()
        });
        let least = least(&labels, questions);
        let trained = trained(&free(), Feature::Categorical(&values), &labels);
        prop_assert!((trained - least).abs() <= 1e-9 * (1.0 + least), "{trained} {least}");
    }

    #[test]
    fn few_categories_are_split_one_from_the_rest(rows in rows(6)) {
        let (values, labels) = columns(&rows);
        let parameters = Parameters { max_cat_to_onehot: 8, ..free() };
        let questions = (0..6).map(|code| values.iter().map(|x| *x == f64::from(code)).collect());
        let least = least(&labels, questions);
        let trained = trained(&parameters, Feature::Categorical(&values), &labels);
        prop_assert!((trained - least).abs() <= 1e-9 * (1.0 + least), "{trained} {least}");
    }
}
