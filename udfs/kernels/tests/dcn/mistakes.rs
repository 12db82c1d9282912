//! Rows and options that cannot be trained on.

use kernels::models::dcn::{Error, Feature, Objective, Options, Rows, Work, train};
use kernels::simd::level::Level;
use proptest::prelude::*;

fn fails(objective: Objective, features: &[Feature<'_>], labels: &[f64]) -> Error {
    let rows = Rows { features, labels, weights: None };
    train(&Options::new(objective), &rows, None, &Work::alone()).map(|_| ()).unwrap_err()
}

#[test]
fn what_is_wrong_is_named() {
    let fails_binary =
        |features: &[Feature<'_>], labels: &[f64]| fails(Objective::Binary, features, labels);
    let number = Feature::Numeric(&[1.0, 2.0]);
    assert_eq!(fails_binary(&[number], &[]), Error::NoRows);
    assert_eq!(fails_binary(&[], &[0.0, 1.0]), Error::NoFeatures);
    assert_eq!(fails_binary(&[number], &[1.0, 1.0]), Error::OneClass);
    let must = "0 or 1";
    assert_eq!(fails_binary(&[number], &[0.0, 2.0]), Error::Label { row: 1, must });
    let must = "finite";
    let label = fails(Objective::Regression, &[number], &[0.0, f64::NAN]);
    assert_eq!(label, Error::Label { row: 1, must });
    let long = fails_binary(&[number], &[0.0, 1.0, 0.0]);
    assert_eq!(long, Error::Lengths { what: "a feature", found: 2, rows: 3 });
    let far = Feature::Numeric(&[1.0, f64::INFINITY]);
    assert_eq!(fails_binary(&[number, far], &[0.0, 1.0]), Error::Value { feature: 1, row: 1 });
    let (options, labels) = (Options::new(Objective::Binary), [0.0, 1.0]);
    let with = |weights: &[f64]| {
        let rows = Rows { features: &[number], labels: &labels, weights: Some(weights) };
        train(&options, &rows, None, &Work::alone()).map(|_| ()).unwrap_err()
    };
    assert_eq!(with(&[1.0, -1.0]), Error::Weight { row: 1 });
    assert_eq!(with(&[0.0, 0.0]), Error::NoRows);
    // Of one class are the rows that count.
    assert_eq!(with(&[0.0, 1.0]), Error::OneClass);
}

#[test]
fn options_out_of_range_are_named() {
    let base = Options::new(Objective::Binary);
    let wrong = [
        (Options { cross_layers: 9, ..base.clone() }, "cross_layers"),
        (Options { rank: 5000, ..base.clone() }, "rank"),
        (Options { layers: vec![3, 0], ..base.clone() }, "layers"),
        (Options { dim: 0, ..base.clone() }, "dim"),
        (Options { epochs: 0, ..base.clone() }, "epochs"),
        (Options { batch_size: 0, ..base.clone() }, "batch_size"),
        (Options { learning_rate: f32::NAN, ..base.clone() }, "learning_rate"),
        (Options { l2: -1.0, ..base.clone() }, "l2"),
        (Options { category_dropout: 1.0, ..base }, "category_dropout"),
    ];
    for (options, expected) in wrong {
        let error = options.check().unwrap_err();
        assert!(matches!(error, Error::Parameter { name, .. } if name == expected), "{error}");
    }
}

proptest! {
    /// Whatever the rows, there is a model whose answers are finite, or an error; never a panic.
    #[test]
    fn any_rows_train_or_are_refused(
        rows in prop::collection::vec((any::<f64>(), -1..4i32, any::<f32>(), 0..3u8), 1..30),
        (cross_layers, rank) in (0usize..3, 0usize..4),
        layers in prop::collection::vec(1usize..20, 0..3),
        (dim, batch_size) in (1usize..20, 1usize..9),
        binary: bool,
    ) {
        let numbers: Vec<f64> = rows.iter().map(|row| row.0).collect();
        let codes: Vec<f64> = rows.iter().map(|row| f64::from(row.1)).collect();
        let label = |row: &(f64, i32, f32, u8)| match binary {
            true => f64::from(row.1 & 1),
            false => f64::from(row.2),
        };
        let labels: Vec<f64> = rows.iter().map(label).collect();
        let weights: Vec<f64> = rows.iter().map(|row| f64::from(row.3)).collect();
        let features = [Feature::Numeric(&numbers), Feature::Categorical(&codes)];
        let part = Rows { features: &features, labels: &labels, weights: Some(&weights) };
        let objective = if binary { Objective::Binary } else { Objective::Regression };
        let options = Options {
            cross_layers, rank, layers, dim, batch_size, epochs: 2, ..Options::new(objective)
        };
        let work = Work { threads: 3, ..Work::alone() };
        match train(&options, &part, Some(&part), &work) {
            Ok(training) => {
                let mut out = vec![0.0; rows.len()];
                let columns = [&numbers[..], &codes[..]];
                training.model.predict(Level::best(), &columns, &mut out).unwrap();
                prop_assert!(out.iter().all(|x| x.is_finite()), "{:?}", out);
            }
            Err(Error::Value { .. }) => prop_assert!(numbers.iter().any(|x| x.is_infinite())),
            Err(Error::Label { .. }) => prop_assert!(labels.iter().any(|x| !x.is_finite())),
            Err(Error::OneClass) => prop_assert!(binary),
            Err(Error::NoRows) => prop_assert!(weights.iter().all(|x| *x == 0.0)),
            Err(other) => prop_assert!(false, "{}", other),
        }
    }
}
