//! Input that cannot be learnt from is told, and odd input never panics.

use kernels::models::gbdt::{Error, Feature, Objective, Parameters, Part, train};
use kernels::models::trees::{Scorer, read_own, write};
use proptest::prelude::*;

use super::runs::QUIET;

fn attempt(objective: Objective, values: &[f64], labels: &[f64]) -> Result<usize, Error> {
    let part = Part {
        features: &[Feature::Numeric(values)],
        labels,
        weights: None,
        groups: &[labels.len()],
    };
    train(&Parameters::new(objective), &part, None, &QUIET)
        .map(|trained| trained.forest.trees.len())
}

#[test]
fn bad_rows_are_told() {
    let binary = Objective::binary;
    assert_eq!(attempt(binary(), &[], &[]), Err(Error::NoRows));
    assert_eq!(attempt(binary(), &[1.0, 2.0], &[1.0, 1.0]), Err(Error::OneClass));
    assert!(matches!(attempt(binary(), &[1.0], &[2.0]), Err(Error::Label { row: 0, .. })));
    assert!(matches!(attempt(binary(), &[1.0], &[f64::NAN]), Err(Error::Label { .. })));
    assert!(matches!(
        attempt(Objective::Regression, &[1.0, 2.0], &[0.0, f64::INFINITY]),
        Err(Error::Label { row: 1, .. })
    ));
    assert!(matches!(attempt(binary(), &[1.0], &[0.0, 1.0]), Err(Error::Lengths { found: 1, .. })));
    let classes = Objective::Multiclass { num_class: 3 };
    assert!(matches!(attempt(classes, &[1.0, 2.0], &[0.5, 1.0]), Err(Error::Label { .. })));
    assert!(matches!(
        attempt(Objective::lambdarank(), &[1.0, 2.0], &[1.0, 31.0]),
        Err(Error::Label { row: 1, .. })
    ));
    let part = Part { features: &[], labels: &[0.0, 1.0], weights: None, groups: &[] };
    let parameters = Parameters::new(binary());
    assert_eq!(train(&parameters, &part, None, &QUIET), Err(Error::NoFeatures));
    let features = [Feature::Numeric(&[1.0, 2.0])];
    let part = Part { features: &features, weights: Some(&[1.0, -1.0]), ..part };
    assert_eq!(train(&parameters, &part, None, &QUIET), Err(Error::Weight { row: 1 }));
    let ranking = Parameters::new(Objective::lambdarank());
    let part = Part { weights: None, groups: &[1], ..part };
    assert!(matches!(
        train(&ranking, &part, None, &QUIET),
        Err(Error::Lengths { what: "groups", .. })
    ));
}

#[test]
fn parameters_out_of_range_are_named() {
    let good = || Parameters::new(Objective::binary());
    let name = |parameters: Parameters| match parameters.check() {
        Err(Error::Parameter { name, .. }) => name,
        other => panic!("{other:?}"),
    };
    assert_eq!(good().check(), Ok(()));
    assert_eq!(name(Parameters { num_leaves: 1, ..good() }), "num_leaves");
    assert_eq!(name(Parameters { max_bin: 256, ..good() }), "max_bin");
    assert_eq!(name(Parameters { learning_rate: f64::NAN, ..good() }), "learning_rate");
    assert_eq!(name(Parameters { bagging_fraction: 0.0, ..good() }), "bagging_fraction");
    assert_eq!(name(Parameters::new(Objective::Multiclass { num_class: 1 })), "num_class");
}

fn odd() -> impl Strategy<Value = f64> {
    prop_oneof![
        Just(f64::NAN),
        Just(f64::INFINITY),
        Just(f64::NEG_INFINITY),
        Just(f64::MAX),
        Just(-0.0),
        Just(f64::MIN_POSITIVE),
        any::<f64>(),
        (0..5).prop_map(f64::from),
    ]
}

proptest! {
    /// Any values: rows score as they did in training, after a round trip through text too.
    #[test]
    fn odd_values_are_values(
        rows in prop::collection::vec((odd(), odd(), -1e300..1e300f64, 0.0..1e9f64), 1..60),
        leaves in 2usize..9,
    ) {
        let column = |pick: fn(&(f64, f64, f64, f64)) -> f64| -> Vec<f64> {
            rows.iter().map(pick).collect()
        };
        let (a, b, labels, weights) =
            (column(|row| row.0), column(|row| row.1), column(|row| row.2), column(|row| row.3));
        let features = [Feature::Numeric(&a), Feature::Categorical(&b)];
        let (labels, weights) = (&labels[..], Some(&weights[..]));
        let part = Part { features: &features, labels, weights, groups: &[] };
        let parameters = Parameters {
            num_iterations: 3,
            num_leaves: leaves,
            min_data_in_leaf: 1,
            min_data_in_bin: 1,
            min_sum_hessian_in_leaf: 0.0,
            ..Parameters::new(Objective::Regression)
        };
        let trained = train(&parameters, &part, Some(&part), &QUIET).unwrap();
        let text = write(&trained.forest).unwrap();
        prop_assert_eq!(read_own(&text).map(|read| write(&read)), Ok(Ok(text)));
        let mut out = vec![0.0; rows.len()];
        Scorer::new(trained.forest).unwrap().predict(&[&a, &b], &mut out).unwrap();
    }
}
