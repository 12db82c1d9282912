//! Alternating least squares from outside.

use std::ops::ControlFlow;

use kernels::models::als::{Error, Interactions, Model, Options, Work, train};
use kernels::simd::level::Level;

use super::data::Planted;

fn fit(planted: &Planted, threads: usize) -> Model {
    let (users, items) = (&planted.users[..], &planted.items[..]);
    let options = Options { dim: 16, ..Options::default() };
    let work = Work { threads, ..Work::alone() };
    train(&Interactions { users, items, weights: None }, &options, &work).unwrap()
}

#[test]
fn groups_are_found() {
    let planted = Planted::new(400, 21);
    let model = fit(&planted, 2);
    let rows = planted.asked.iter().flat_map(|user| model.embed_user(user.0).unwrap());
    let users: Vec<f32> = rows.copied().collect();
    let found = planted.evaluate(&users, model.items(), model.item_vectors(), model.dim());
    let popular = planted.popularity(model.items());
    assert!(found.recall[0] > 2.0 * popular.recall[0], "{found:?} {popular:?}");
}

#[test]
fn threads_do_not_change_a_bit_and_bytes_give_the_same_model() {
    let planted = Planted::new(100, 22);
    let model = fit(&planted, 1);
    assert_eq!(model, fit(&planted, 2));
    assert_eq!(model, fit(&planted, 7));
    let bytes = model.to_bytes();
    assert_eq!(Model::from_bytes(&bytes).unwrap(), model);
    for place in (0..bytes.len()).step_by(101) {
        let mut damaged = bytes.clone();
        damaged[place] ^= 4;
        assert!(matches!(Model::from_bytes(&damaged), Err(Error::Corrupt { .. })));
    }
}

/// A user of the training, folded in again, is where one more half of a sweep would put it; with
/// what is learned settled, that is where it is.
#[test]
fn folding_in_a_known_history_gives_the_known_user() {
    let planted = Planted::new(100, 23);
    let (users, items) = (&planted.users[..], &planted.items[..]);
    let options = Options { dim: 8, sweeps: 200, ..Options::default() };
    let given = Interactions { users, items, weights: None };
    let model = train(&given, &options, &Work::alone()).unwrap();
    let (key, history, _) = &planted.asked[3];
    let folded = model.fold_in(Level::best(), history);
    for (a, b) in folded.iter().zip(model.embed_user(*key).unwrap()) {
        assert!((a - b).abs() < 1e-3, "{a} {b}");
    }
    let doubled: Vec<u64> = history.iter().chain(history).copied().chain([987_654]).collect();
    assert_eq!(model.fold_in(Level::best(), &doubled), folded);
    assert_eq!(model.fold_in(Level::best(), &[]), vec![0.0; 8]);
}

#[test]
fn mistakes_are_named() {
    let one = Interactions { users: &[1], items: &[2], weights: None };
    let options = Options::default();
    let fails = |given: Interactions<'_>, options: &Options| {
        train(&given, options, &Work::alone()).map(|_| ()).unwrap_err()
    };
    let none = Interactions { users: &[], items: &[], ..one };
    assert_eq!(fails(none, &options), Error::NoExamples);
    let short = Interactions { items: &[], ..one };
    assert_eq!(fails(short, &options).to_string(), "column \"item\" has 0 rows, not 1");
    let negative = Interactions { weights: Some(&[-1.0]), ..one };
    assert_eq!(fails(negative, &options).sqlstate(), "22000");
    let zero = Options { regularisation: 0.0, ..Options::default() };
    assert_eq!(
        fails(one, &zero).to_string(),
        "option \"regularisation\" must be over 0, at most 1e6"
    );
    let model = train(&one, &options, &Work::alone()).unwrap();
    assert_eq!(model.embed_user(5), Err(Error::Unknown { key: 5 }));
    assert_eq!(model.embed_item(5), Err(Error::Unknown { key: 5 }));
    let stop = |_| ControlFlow::Break(());
    let work = Work { watch: &stop, ..Work::alone() };
    assert_eq!(train(&one, &options, &work).map(|_| ()).unwrap_err(), Error::Cancelled);
}
