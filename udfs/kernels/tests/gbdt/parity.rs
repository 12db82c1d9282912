//! The trees that LightGBM learns from the same rows (`reference/trees.py`): its gradients are
//! single precision, and its lambdas come from a table, so scores agree to that.

use super::labels::labels;
use crate::rows::{FIRST_TEST, columns_from, file};
use kernels::models::gbdt::{Feature, Objective, Parameters, Part, train};
use kernels::models::trees::Scorer;

use super::runs::QUIET;

const ROWS: u64 = 3000;

/// Few distinct values, so that each has its bin on both sides.
fn coarse(mut columns: Vec<Vec<f64>>) -> Vec<Vec<f64>> {
    let numbers = columns[..6].iter_mut().flatten();
    numbers.for_each(|value| *value = (*value / 3.0).floor());
    columns
}

/// The greatest distance of scores from LightGBM's.
fn distance(name: &str, objective: Objective, label: impl Fn(f64) -> f64) -> f64 {
    let raw = columns_from(0, ROWS, true);
    let labels: Vec<f64> = labels(&raw).into_iter().map(label).collect();
    let columns = coarse(raw);
    let categorical = matches!(name, "categorical" | "onehot");
    let features: Vec<Feature<'_>> = columns
        .iter()
        .enumerate()
        .map(|(number, values)| match categorical && number >= 6 {
            true => Feature::Categorical(values),
            false => Feature::Numeric(values),
        })
        .collect();
    let weights: Vec<f64> = (0..ROWS).map(|row| 1.0 + (row % 3) as f64).collect();
    let groups = vec![10; ROWS as usize / 10];
    let part = Part {
        features: &features,
        labels: &labels,
        weights: (name == "weighted").then_some(&weights[..]),
        groups: &groups,
    };
    let mut parameters = Parameters::new(objective);
    (parameters.num_leaves, parameters.learning_rate, parameters.num_iterations) = (7, 0.2, 5);
    match name {
        "regression" => (parameters.lambda_l1, parameters.lambda_l2) = (0.5, 2.0),
        "weighted" => (parameters.min_gain_to_split, parameters.max_depth) = (100.0, 3),
        "onehot" => parameters.max_cat_to_onehot = 40,
        _ => {}
    }
    let scorer = Scorer::new(train(&parameters, &part, None, &QUIET).unwrap().forest).unwrap();
    let text = file("trees", &format!("trained_{name}"));
    let expected: Vec<f64> =
        text.split_ascii_whitespace().map(|word| word.parse().unwrap()).collect();
    let rows = expected.len() / scorer.forest().outputs();
    let tests = coarse(columns_from(FIRST_TEST, rows as u64, false));
    let tests: Vec<&[f64]> = tests.iter().map(Vec::as_slice).collect();
    let mut scores = vec![0.0; expected.len()];
    scorer.scores(&tests, &mut scores).unwrap();
    scores.iter().zip(expected).map(|(a, e)| (a - e).abs()).fold(0.0, f64::max)
}

fn grade(y: f64) -> f64 {
    f64::from(u8::from(y >= 5.0) + u8::from(y >= 12.0))
}

fn over_eight(y: f64) -> f64 {
    f64::from(u8::from(y > 8.0))
}

#[test]
fn learns_what_lightgbm_learns() {
    let lambdarank = Objective::Lambdarank {
        label_gain: Vec::new(),
        truncation_level: 5,
        norm: true,
        eval_at: 10,
    };
    let off = [
        ("regression", distance("regression", Objective::Regression, |y| y)),
        ("weighted", distance("weighted", Objective::Regression, |y| y)),
        ("binary", distance("binary", Objective::Binary { scale_pos_weight: 2.0 }, over_eight)),
        ("multiclass", distance("multiclass", Objective::Multiclass { num_class: 3 }, grade)),
        ("lambdarank", distance("lambdarank", lambdarank, grade)),
        ("categorical", distance("categorical", Objective::Regression, |y| y)),
        ("onehot", distance("onehot", Objective::binary(), over_eight)),
    ];
    assert!(off.iter().all(|(_, off)| *off < 1e-5), "{off:?}");
}
