//! Coefficients against scikit-learn's.

use super::reference::{columns, expected, fit, scores, weights};
use kernels::models::linear::{Family, Options};

/// Asserts agreement to `tolerance` times a coefficient's share of the score.
fn check(name: &str, weighted: bool, tolerance: f64, options: Options) {
    let label = |score: f64| match options.family {
        Family::Regression => score * 2.0 + 1.0,
        Family::Binary => f64::from(u8::from(score > 0.7)),
        Family::Multinomial { .. } => f64::from(u8::from(score >= 0.0) + u8::from(score >= 1.5)),
    };
    let labels: Vec<f64> = scores().into_iter().map(label).collect();
    let weights = weights();
    let weights = weighted.then_some(&weights[..]);
    let options = Options { tolerance: 1e-9, ..options };
    let columns = columns();
    let fitted = fit(&options, &columns, &labels, weights, 1).unwrap();
    assert!(fitted.report.converged, "{name}: {:?}", fitted.report);
    let (model, mut expected) = (fitted.model, expected(name));
    // Intercepts of classes are told but for a sum.
    let outputs = model.outputs() as f64;
    if outputs > 1.0 {
        let mean = |all: &mut dyn Iterator<Item = f64>| all.sum::<f64>() / outputs;
        let shift = mean(&mut expected.iter().copied().step_by(6))
            - mean(&mut model.intercepts.iter().copied());
        expected.iter_mut().step_by(6).for_each(|intercept| *intercept -= shift);
    }
    for (output, expected) in expected.chunks_exact(6).enumerate() {
        let off = (model.intercepts[output] - expected[0]).abs();
        assert!(off <= tolerance, "{name}: intercept {output} off by {off:e}");
        for (feature, column) in columns.iter().enumerate() {
            let actual = model.coefficients[output * 5 + feature];
            let greatest = column.iter().fold(0.0, |most: f64, x| most.max(x.abs()));
            let off = (actual - expected[feature + 1]).abs() * greatest;
            assert!(off <= tolerance, "{name}: {output}, {feature} off by {off:e}");
        }
    }
}

#[test]
fn least_squares_agree() {
    let options = Options::new(Family::Regression);
    check("squares", true, 1e-10, options);
    check("squares_origin", false, 1e-10, Options { intercept: false, ..options });
    check("ridge", true, 1e-10, Options { l2: 0.3, ..options });
    let own = Options { standardise: false, ..options };
    check("ridge_own_units", true, 1e-10, Options { l2: 0.3, ..own });
    check("elastic", true, 1e-7, Options { l1: 0.1, l2: 0.1, ..options });
    check("lasso_own_units", false, 1e-7, Options { l1: 0.2, ..own });
}

#[test]
fn logistic_regression_agrees() {
    let options = Options::new(Family::Binary);
    check("logistic", true, 1e-6, Options { l2: 0.01, ..options });
    check("logistic_plain", false, 1e-6, Options { standardise: false, ..options });
    check("logistic_l1", true, 1e-6, Options { l1: 0.02, ..options });
    let options = Options::new(Family::Multinomial { num_class: 3 });
    check("softmax", true, 1e-6, Options { l2: 0.01, ..options });
    check("softmax_elastic", true, 1e-6, Options { l1: 0.02, l2: 0.02, ..options });
}
