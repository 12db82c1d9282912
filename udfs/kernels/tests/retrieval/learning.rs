//! What two towers learn of planted groups.

use std::ops::ControlFlow;
use std::sync::atomic::{AtomicUsize, Ordering};

use kernels::models::ranking_eval::Metrics;
use kernels::models::two_tower::{
    Error, Examples, LogQ, Model, Options, Progress, Split, Work, memory_bytes, train,
};
use kernels::simd::level::Level;

use super::data::{GROUPS, ITEMS, Planted, group};

fn quick() -> Options {
    Options { dim: 16, epochs: 8, batch_size: 256, learning_rate: 0.01, ..Options::default() }
}

fn fit(planted: &Planted, options: &Options) -> Model {
    planted.with(|examples| train(&examples, options, &Work::alone()).unwrap().model)
}

fn metrics(planted: &Planted, model: &Model) -> Metrics {
    let level = Level::best();
    let one = |key: u64| model.embed_user(level, Some(key), None, None).unwrap();
    let users: Vec<f32> = planted.asked.iter().flat_map(|user| one(user.0)).collect();
    let items = model.item_vectors(level, 2);
    planted.evaluate(&users, model.items(), &items, model.dim())
}

#[test]
fn groups_are_found_with_every_option() {
    let planted = Planted::new(400, 1);
    let base = quick();
    let options = [
        base.clone(),
        Options { logq: LogQ::Corrected, negatives: 64, ..base.clone() },
        Options { hard_negatives: 2, split: Split::Random, ..base.clone() },
        Options { layers: vec![24, 12], dim: 10, ..base.clone() },
        Options { early_stop: false, history_limit: 4, ..base },
    ];
    for options in options {
        let model = fit(&planted, &options);
        let popular = planted.popularity(model.items()).recall[0];
        let found = metrics(&planted, &model).recall[0];
        assert!(found > 2.0 * popular, "{found} {popular} {options:?}");
    }
}

/// Without the correction popular items are punished for being popular.
#[test]
fn logq_is_what_keeps_popular_items() {
    let planted = Planted::new(400, 2);
    let with = metrics(&planted, &fit(&planted, &quick())).ndcg[1];
    let off = Options { logq: LogQ::Off, ..quick() };
    let without = metrics(&planted, &fit(&planted, &off)).ndcg[1];
    assert!(with > 1.25 * without, "{with} {without}");
}

#[test]
fn threads_do_not_change_a_bit() {
    let planted = Planted::new(120, 3);
    let layers = vec![20];
    let options = Options { layers, negatives: 9, hard_negatives: 1, epochs: 3, ..quick() };
    let bytes = |threads| {
        planted.with(|examples| {
            let work = Work { threads, ..Work::alone() };
            train(&examples, &options, &work).unwrap().model.to_bytes()
        })
    };
    let one = bytes(1);
    assert!(one == bytes(2) && one == bytes(5));
    let other = Options { seed: 43, ..options.clone() };
    assert!(fit(&planted, &other).to_bytes() != one);
}

#[test]
fn weights_count_by_their_ratio_and_zero_is_no_positive() {
    let planted = Planted::new(60, 4);
    let options = Options { epochs: 2, ..quick() };
    let with = |weights: Vec<f32>| {
        planted.with(|examples| {
            let examples = Examples { weights: Some(&weights), ..examples };
            train(&examples, &options, &Work::alone()).unwrap().model
        })
    };
    let count = planted.users.len();
    // A power of two leaves every bit of the ratios.
    assert_eq!(with(vec![1.0; count]), with(vec![4.0; count]));
    assert_eq!(with(vec![1.0; count]), fit(&planted, &options));
    let some: Vec<f32> = (0..count).map(|row| (row % 3) as f32).collect();
    let model = with(some.clone());
    let kept: Vec<u64> =
        (0..9).filter(|row| some[*row] > 0.0).map(|row| planted.items[row]).collect();
    let newest: Vec<u64> = kept.into_iter().rev().collect();
    let (level, user) = (Level::best(), Some(planted.users[0]));
    let own = model.embed_user(level, user, None, None).unwrap();
    assert_eq!(own, model.embed_user(level, user, None, Some(&newest)).unwrap());
}

/// An item that training has not seen ranks by its genre.
#[test]
fn cold_items_are_near_the_users_of_their_genre() {
    let planted = Planted::new(400, 5);
    let model = fit(&planted, &quick());
    let level = Level::best();
    let items = model.item_vectors(level, 1);
    for genre in 0..GROUPS as u64 {
        let values = Planted::item_values(&genre);
        let cold = model.embed_item(level, Some(999_999), Some(&values)).unwrap();
        assert!(cold.iter().all(|x| x.is_finite()));
        let (mut places, mut users) = (0, 0);
        for (user, taken, _) in &planted.asked {
            let own = taken.iter().filter(|item| group(**item) == genre).count();
            if own < 6 {
                continue;
            }
            let user = model.embed_user(level, Some(*user), None, None).unwrap();
            let score = |item: &[f32]| user.iter().zip(item).map(|(a, b)| a * b).sum::<f32>();
            let better = items.chunks_exact(model.dim()).filter(|item| score(item) > score(&cold));
            places += better.count();
            users += 1;
        }
        let mean = places as f64 / f64::from(users);
        assert!(mean < (GROUPS * ITEMS) as f64 / 3.0, "genre {genre}: place {mean}");
    }
}

#[test]
fn progress_is_told_and_a_break_ends_the_training() {
    let planted = Planted::new(60, 6);
    let told = AtomicUsize::new(0);
    let watch = |progress: Progress| {
        let count = told.fetch_add(1, Ordering::Relaxed) + 1;
        assert!(progress.examples <= progress.of && progress.epoch <= progress.epochs);
        assert!(progress.loss.unwrap().is_finite());
        if count == 3 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    let work = Work { watch: &watch, ..Work::alone() };
    let result = planted.with(|examples| train(&examples, &quick(), &work).map(|_| ()));
    assert_eq!((result, told.into_inner()), (Err(Error::Cancelled), 3));
}

#[test]
fn early_stopping_trains_again_for_the_best_number_of_epochs() {
    let planted = Planted::new(100, 7);
    let options = Options { epochs: 6, ..quick() };
    planted.with(|examples| {
        let training = train(&examples, &options, &Work::alone()).unwrap();
        let best = training.held.iter().map(|held| held.ndcg_at_100).fold(0.0, f64::max);
        assert_eq!(training.held[training.epochs - 1].ndcg_at_100, best);
        assert_eq!(training.losses.len(), training.epochs);
        let again = Options { early_stop: false, epochs: training.epochs, ..options.clone() };
        let whole = train(&examples, &again, &Work::alone()).unwrap();
        assert_eq!(whole.model, training.model);
        assert!(whole.held.is_empty());
        let estimate = memory_bytes(&examples, &options);
        assert!(estimate > 3 * training.model.to_bytes().len());
    });
}

#[test]
fn held_out_items_that_users_had_taken_before_do_not_stop_the_training() {
    // Three users take the same two items again and again.
    let users: Vec<u64> = (0..60).map(|row| row % 3).collect();
    let items: Vec<u64> = (0..60).map(|row| row % 3 * 2 + row / 3 % 2).collect();
    let examples = Examples {
        users: &users,
        items: &items,
        times: None,
        weights: None,
        history: None,
        user_features: &[],
        item_features: &[],
    };
    let training = train(&examples, &quick(), &Work::alone()).unwrap();
    assert_eq!((training.epochs, training.held.len()), (quick().epochs, 0));
    let never = Options { early_stop: false, ..quick() };
    let without = train(&examples, &never, &Work::alone()).unwrap();
    assert_eq!(training.model.to_bytes(), without.model.to_bytes());
}
