//! Whole trainings: threads, seeds, validation, early stopping, cancel.

use std::ops::ControlFlow;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::labels::labels;
use crate::rows::columns_from;
use kernels::metrics::errors::Losses;
use kernels::models::gbdt::{
    Error, Feature, Objective, Parameters, Part, Progress, Run, memory_bytes, train,
};
use kernels::models::trees::{Scorer, read_own, write};

pub const QUIET: Run<'static> = Run { threads: 1, progress: &|_| ControlFlow::Continue(()) };

/// Columns, labels of two classes, and groups of ten.
struct Rows {
    columns: Vec<Vec<f64>>,
    labels: Vec<f64>,
    groups: Vec<usize>,
}

impl Rows {
    fn new(first: u64, rows: u64) -> Self {
        let columns = columns_from(first, rows, true);
        let labels = labels(&columns).into_iter().map(|y| f64::from(u8::from(y > 8.0))).collect();
        Self { columns, labels, groups: vec![10; rows as usize / 10] }
    }

    fn features(&self) -> Vec<Feature<'_>> {
        let numbers = self.columns[..6].iter().map(|values| Feature::Numeric(values));
        let codes = self.columns[6..].iter().map(|values| Feature::Categorical(values));
        numbers.chain(codes).collect()
    }

    fn part<'a>(&'a self, features: &'a [Feature<'a>]) -> Part<'a> {
        Part { features, labels: &self.labels, weights: None, groups: &self.groups }
    }
}

fn objectives() -> Vec<Objective> {
    vec![
        Objective::Regression,
        Objective::binary(),
        Objective::Multiclass { num_class: 2 },
        Objective::lambdarank(),
    ]
}

/// Enough rows for several threads to share a histogram and a partition.
#[test]
fn threads_do_not_matter() {
    let rows = Rows::new(0, 40_000);
    let features = rows.features();
    for objective in objectives() {
        let mut parameters = Parameters::new(objective);
        (parameters.num_iterations, parameters.seed) = (3, 7);
        (parameters.bagging_fraction, parameters.bagging_freq) = (0.7, 2);
        parameters.feature_fraction = 0.6;
        let text = |threads: usize| {
            let run = Run { threads, ..QUIET };
            write(&train(&parameters, &rows.part(&features), None, &run).unwrap().forest).unwrap()
        };
        let one = text(1);
        assert_eq!(text(2), one);
        assert_eq!(text(5), one);
        let read = read_own(&one).unwrap();
        assert_eq!(write(&read).unwrap(), one);
        parameters.seed = 8;
        let run = train(&parameters, &rows.part(&features), None, &QUIET).unwrap();
        assert_ne!(write(&run.forest).unwrap(), one);
    }
}

#[test]
fn validation_is_what_the_forest_predicts() {
    let (rows, held) = (Rows::new(0, 4000), Rows::new(500_000, 1000));
    let (features, held_features) = (rows.features(), held.features());
    let mut parameters = Parameters::new(Objective::binary());
    parameters.num_iterations = 12;
    let validation = held.part(&held_features);
    let trained = train(&parameters, &rows.part(&features), Some(&validation), &QUIET).unwrap();
    assert_eq!(trained.rounds.len(), 12);
    let mut predictions = vec![0.0; 1000];
    let columns: Vec<&[f64]> = held.columns.iter().map(Vec::as_slice).collect();
    Scorer::new(trained.forest).unwrap().predict(&columns, &mut predictions).unwrap();
    let mut losses = Losses::default();
    for (label, p) in held.labels.iter().zip(&predictions) {
        losses.push(*label > 0.0, *p, 1.0);
    }
    let told = trained.rounds[11].validation;
    assert!((told - losses.log_loss().unwrap()).abs() < 1e-12);
    assert!(told < trained.rounds[0].validation);
}

#[test]
fn stops_early_and_keeps_the_best() {
    let (rows, mut held) = (Rows::new(0, 2000), Rows::new(500_000, 500));
    // Labels that nothing tells about: the sooner it stops the better.
    held.labels.iter_mut().enumerate().for_each(|(row, y)| *y = f64::from(row as u8 % 2));
    let (features, held_features) = (rows.features(), held.features());
    for objective in objectives() {
        let mut parameters = Parameters::new(objective);
        (parameters.num_iterations, parameters.early_stopping_rounds) = (60, 5);
        let validation = held.part(&held_features);
        let trained = train(&parameters, &rows.part(&features), Some(&validation), &QUIET).unwrap();
        let losses: Vec<f64> = trained.rounds.iter().map(|round| round.validation).collect();
        let least = losses.iter().copied().fold(f64::INFINITY, f64::min);
        let best = losses.iter().position(|loss| *loss == least).unwrap() + 1;
        assert_eq!(trained.best_iteration, best);
        assert_eq!(trained.forest.trees.len(), best * trained.forest.outputs());
        assert!(losses.len() == best + 5 || losses.len() == 60);
    }
}

#[test]
fn every_objective_lessens_its_loss() {
    let rows = Rows::new(0, 2000);
    let features = rows.features();
    for objective in objectives() {
        let parameters = Parameters { num_iterations: 20, ..Parameters::new(objective) };
        let part = rows.part(&features);
        let rounds = train(&parameters, &part, Some(&part), &QUIET).unwrap().rounds;
        // Training loss: it falls to well under its start.
        assert!(rounds[19].validation < 0.7 * rounds[0].validation, "{rounds:?}");
    }
}

#[test]
fn importance_counts_splits_and_gains() {
    let rows = Rows::new(0, 2000);
    let features = rows.features();
    let parameters = Parameters { num_iterations: 5, ..Parameters::new(Objective::binary()) };
    let forest = train(&parameters, &rows.part(&features), None, &QUIET).unwrap().forest;
    let importance = forest.importance();
    let splits: u64 = importance.iter().map(|(splits, _)| splits).sum();
    assert_eq!(splits, 5 * 30);
    // Column 1 tells most about the label by construction, column 5 next to nothing.
    assert!(importance[1].1 > 3.0 * importance[5].1);
}

#[test]
fn cancel_is_heard_within_a_tree() {
    let rows = Rows::new(0, 2000);
    let features = rows.features();
    let asked = AtomicUsize::new(0);
    let progress = |at: Progress| {
        asked.fetch_add(usize::from(at.leaves > 0), Ordering::Relaxed);
        if at.leaves == 9 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    let run = Run { threads: 1, progress: &progress };
    let parameters = Parameters::new(Objective::binary());
    assert_eq!(train(&parameters, &rows.part(&features), None, &run), Err(Error::Cancelled));
    assert_eq!(asked.into_inner(), 9);
    // While values become bins too.
    let run = Run { threads: 1, progress: &|_| ControlFlow::Break(()) };
    assert_eq!(train(&parameters, &rows.part(&features), None, &run), Err(Error::Cancelled));
}

#[test]
fn memory_grows_with_rows_and_features() {
    let parameters = Parameters::new(Objective::binary());
    let small = memory_bytes(1000, 0, 8, 2, &parameters);
    assert!(memory_bytes(1_000_000, 0, 8, 2, &parameters) >= small + 999_000 * (8 + 24 + 32 + 12));
    assert!(memory_bytes(1000, 0, 800, 2, &parameters) >= small + 792 * 256 * 16 * 32);
}
