//! What a network learns of products that no weighted sum tells, and how a training goes.

use std::ops::ControlFlow;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::data::{Made, Rule, quick};
use kernels::models::dcn::{Error, Objective, Options, Progress, Work, train};
use kernels::models::linear::{self, Family};

/// The network without its layers of ReLU: what it learns is the cross layers' doing.
fn crossed(rank: usize) -> Options {
    Options { cross_layers: 1, layers: Vec::new(), rank, ..quick(Objective::Binary) }
}

fn logistic(training: &Made, test: &Made) -> f64 {
    let options = linear::Options { l2: 1e-4, ..linear::Options::new(Family::Binary) };
    let run = linear::Run { threads: 1, progress: &|_, _| ControlFlow::Continue(()) };
    let fitted = linear::train(&options, &training.slices(), &training.labels, None, &run);
    let mut predicted = vec![0.0; test.labels.len()];
    fitted.unwrap().model.predict(&test.slices(), &mut predicted).unwrap();
    test.auc(&predicted)
}

#[test]
fn products_that_a_linear_model_cannot_tell_are_learned() {
    for rule in [Rule::Sides, Rule::Codes] {
        let (training, test) = (Made::new(rule, 6000, 1), Made::new(rule, 4000, 2));
        let linear = logistic(&training, &test);
        assert!(linear < 0.55, "{linear}");
        let deep = Options { cross_layers: 0, ..quick(Objective::Binary) };
        let whole = quick(Objective::Binary);
        for options in [crossed(0), crossed(2), deep, whole] {
            let model = training.fit(&options, None, 1).model;
            let found = test.auc(&test.predicted(&model));
            // Nine of ten labels follow the rule: who knows it gets 0.9.
            assert!(found > 0.86, "{found}: {options:?}");
        }
    }
}

#[test]
fn without_cross_layers_and_layers_it_is_linear() {
    let (training, test) = (Made::new(Rule::Sides, 6000, 1), Made::new(Rule::Sides, 4000, 2));
    let options = Options { cross_layers: 0, ..crossed(0) };
    let found = test.auc(&test.predicted(&training.fit(&options, None, 1).model));
    assert!((0.45..0.55).contains(&found), "{found}");
}

#[test]
fn numbers_are_learned_in_their_own_unit() {
    let (training, test) = (Made::new(Rule::Product, 6000, 3), Made::new(Rule::Product, 4000, 4));
    let options = Options { objective: Objective::Regression, ..crossed(0) };
    for options in [options, quick(Objective::Regression)] {
        let model = training.fit(&options, None, 1).model;
        let found = test.square(&test.predicted(&model));
        // The labels' variance is 9 / 9 + 0.01 / 3.
        assert!(found < 0.03, "{found}");
    }
}

#[test]
fn bits_do_not_depend_on_threads_but_on_the_seed() {
    let made = Made::new(Rule::Codes, 700, 5);
    let options = Options { epochs: 3, ..quick(Objective::Binary) };
    for options in [options.clone(), Options { rank: 2, l2: 0.01, ..options.clone() }] {
        let one = made.fit(&options, Some(&Made::new(Rule::Codes, 2000, 6)), 1);
        for threads in [2, 3, 7] {
            let more = made.fit(&options, Some(&Made::new(Rule::Codes, 2000, 6)), threads);
            assert_eq!(more.model, one.model, "{threads} threads");
            assert_eq!((more.held, more.losses), (one.held.clone(), one.losses.clone()));
        }
    }
    let other = Options { seed: 43, ..options.clone() };
    assert_ne!(made.fit(&other, None, 1).model, made.fit(&options, None, 1).model);
}

#[test]
fn early_stopping_keeps_the_best_epoch() {
    let (training, held) = (Made::new(Rule::Sides, 300, 7), Made::new(Rule::Sides, 1000, 8));
    let options = Options { epochs: 60, ..quick(Objective::Binary) };
    let trained = training.fit(&options, Some(&held), 1);
    let least = trained.held.iter().copied().fold(f64::INFINITY, f64::min);
    assert_eq!(trained.held[trained.epochs - 1], least);
    assert_eq!(trained.held.len(), trained.epochs + 3);
    assert_eq!(trained.losses.len(), trained.held.len());
    let loss = |(p, label): (f64, &f64)| -(if *label == 1.0 { p } else { 1.0 - p }).ln();
    let predicted = held.predicted(&trained.model);
    let found = predicted.into_iter().zip(&held.labels).map(loss).sum::<f64>() / 1000.0;
    assert!((found - least).abs() < 1e-6, "{found} {least}");
    let never = Options { early_stop: false, epochs: 4, ..options };
    let trained = training.fit(&never, Some(&held), 1);
    assert_eq!((trained.epochs, trained.losses.len(), trained.held.len()), (4, 4, 0));
}

#[test]
fn rows_count_by_their_weights() {
    let made = Made::new(Rule::Codes, 600, 9);
    let options = Options { epochs: 2, ..quick(Objective::Binary) };
    let fit = |weights: Vec<f64>| {
        made.with(|rows| {
            let rows = kernels::models::dcn::Rows { weights: Some(&weights), ..*rows };
            train(&options, &rows, None, &Work::alone()).unwrap()
        })
    };
    // A power of two leaves every bit of the ratios.
    assert_eq!(fit(vec![4.0; 600]).model, made.fit(&options, None, 1).model);
    // Labels of rows without weight are not seen.
    let ones: Vec<f64> = made.columns[2].iter().map(|code| 1.0 - code).collect();
    let model = fit(ones).model;
    let found = made.predicted(&model);
    assert!(found.iter().all(|p| p.is_finite()));
}

#[test]
fn progress_is_told_and_a_break_ends_the_training() {
    let made = Made::new(Rule::Sides, 1000, 10);
    let told = AtomicUsize::new(0);
    let watch = |progress: Progress| {
        let count = told.fetch_add(1, Ordering::Relaxed) + 1;
        assert!(progress.examples <= progress.of && progress.epoch <= progress.epochs);
        assert!(progress.loss.unwrap().is_finite());
        if count == 11 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    let work = Work { watch: &watch, ..Work::alone() };
    let options = quick(Objective::Binary);
    let result = made.with(|rows| train(&options, rows, None, &work).map(|_| ()));
    assert_eq!((result, told.into_inner()), (Err(Error::Cancelled), 11));
}
