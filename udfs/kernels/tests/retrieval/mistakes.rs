//! Training sets and options that cannot be trained on.

use kernels::models::two_tower::{Column, Error, Examples, Feature, Options, Work, train};
use proptest::prelude::*;

fn plain<'a>(users: &'a [u64], items: &'a [u64]) -> Examples<'a> {
    Examples {
        users,
        items,
        times: None,
        weights: None,
        history: None,
        user_features: &[],
        item_features: &[],
    }
}

fn fails(examples: &Examples<'_>, options: &Options) -> Error {
    train(examples, options, &Work::alone()).map(|_| ()).unwrap_err()
}

#[test]
fn what_is_wrong_is_named() {
    let options = Options::default();
    assert_eq!(fails(&plain(&[], &[]), &options), Error::NoExamples);
    let zero = Examples { weights: Some(&[0.0]), ..plain(&[1], &[1]) };
    assert_eq!(fails(&zero, &options), Error::NoExamples);
    let short = fails(&plain(&[1, 2], &[1]), &options);
    assert_eq!(short.to_string(), "column \"item\" has 1 rows, not 2");
    assert_eq!(short.sqlstate(), "42804");
    for weight in [-1.0, f32::NAN, f32::INFINITY] {
        let wrong = Examples { weights: Some(&[1.0, weight]), ..plain(&[1, 2], &[1, 2]) };
        let column = "weight".to_string();
        assert_eq!(fails(&wrong, &options), Error::NotFinite { column, row: 1 });
    }
    let column = Column::Number(&[0.5, f32::NEG_INFINITY]);
    let feature = Feature { name: "age", buckets: None, column };
    let wrong = Examples { user_features: &[feature], ..plain(&[1, 2], &[1, 2]) };
    let column = "age".to_string();
    assert_eq!(fails(&wrong, &options), Error::NotFinite { column, row: 1 });
}

#[test]
fn options_out_of_range_are_named() {
    let base = Options::default();
    let wrong = [
        (Options { dim: 0, ..base.clone() }, "dim"),
        (Options { temperature: f32::NAN, ..base.clone() }, "temperature"),
        (Options { epochs: 0, ..base.clone() }, "epochs"),
        (Options { batch_size: 1, ..base.clone() }, "batch_size"),
        (Options { learning_rate: -1.0, ..base.clone() }, "learning_rate"),
        (Options { layers: vec![0], ..base.clone() }, "layers"),
        (Options { test_fraction: 1.0, ..base.clone() }, "test_fraction"),
        (Options { history_dropout: 1.0, ..base.clone() }, "history_dropout"),
        (Options { id_dropout: f32::NAN, ..base }, "id_dropout"),
    ];
    for (options, expected) in wrong {
        let error = fails(&plain(&[1], &[1]), &options);
        assert!(matches!(error, Error::Option { name, .. } if name == expected), "{error}");
        assert_eq!(error.sqlstate(), "22023");
    }
}

/// A mean difference past the range of a float, and a column that never changes.
#[test]
fn the_greatest_numbers_are_standardised() {
    let greatest = Column::Number(&[f32::MAX, f32::MIN, f32::MAX, f32::NAN]);
    let constant = Column::Number(&[7.0; 4]);
    let feature = |name, column| Feature { name, buckets: None, column };
    let features = [feature("greatest", greatest), feature("constant", constant)];
    let examples = Examples {
        user_features: &features,
        item_features: &features,
        ..plain(&[1, 2, 3, 4], &[5, 6, 5, 6])
    };
    let work = Work::alone();
    let options = Options { epochs: 2, ..Options::default() };
    let model = train(&examples, &options, &work).unwrap().model;
    for user in 1..=4 {
        let vector = model.embed_user(work.level, Some(user), None, None).unwrap();
        let length: f32 = vector.iter().map(|x| x * x).sum();
        assert!((length - 1.0).abs() < 1e-5);
    }
}

proptest! {
    /// Whatever the rows, there is a model whose vectors are finite, or an error; never a panic.
    #[test]
    fn any_rows_train_or_are_refused(
        rows in prop::collection::vec(
            (0u64..4, 0u64..5, any::<f32>(), prop::option::of(0u64..3), any::<i64>()), 0..30),
        (batch_size, negatives, hard_negatives) in (2usize..9, 0usize..9, 0usize..3),
        hidden in prop::collection::vec(1usize..20, 0..3),
        dim in 1usize..20,
        early_stop: bool,
    ) {
        let users: Vec<u64> = rows.iter().map(|row| row.0).collect();
        let items: Vec<u64> = rows.iter().map(|row| row.1).collect();
        let numbers: Vec<f32> = rows.iter().map(|row| row.2).collect();
        let keys: Vec<Option<u64>> = rows.iter().map(|row| row.3).collect();
        let times: Vec<i64> = rows.iter().map(|row| row.4).collect();
        let number = Feature { name: "n", buckets: None, column: Column::Number(&numbers) };
        let hashed = Feature { name: "h", buckets: Some(0), column: Column::Category(&keys) };
        let examples = Examples {
            times: Some(&times),
            user_features: &[number],
            item_features: &[hashed, number],
            ..plain(&users, &items)
        };
        let options = Options {
            dim, batch_size, negatives, hard_negatives, layers: hidden, early_stop, epochs: 2,
            ..Options::default()
        };
        let work = Work { threads: 3, ..Work::alone() };
        match train(&examples, &options, &work) {
            Ok(training) => {
                let vectors = training.model.item_vectors(work.level, 2);
                prop_assert!(vectors.iter().all(|x| x.is_finite()));
                prop_assert_eq!(vectors.len(), training.model.items().len() * dim);
            }
            Err(error) => {
                let bad = rows.is_empty() || numbers.iter().any(|x| x.is_infinite());
                prop_assert!(bad, "{}", error);
            }
        }
    }
}
