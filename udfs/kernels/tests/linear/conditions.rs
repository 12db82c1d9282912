//! Conditions of the best answer, threads, text, and mistakes.

use std::ops::ControlFlow;

use super::reference::{columns, fit, scores};
use kernels::models::linear::{Error, Family, Linear, Options, Run, train};
use kernels::models::trees;
use proptest::prelude::*;

/// Enough rows for all parts to have some, of classes that follow from the columns.
fn labels(family: Family) -> Vec<f64> {
    let label = |score: f64| match family {
        Family::Regression => score,
        Family::Binary => f64::from(u8::from(score > 0.7)),
        Family::Multinomial { .. } => f64::from(u8::from(score >= 0.0) + u8::from(score >= 1.5)),
    };
    scores().into_iter().map(label).collect()
}

const FAMILIES: [Family; 3] =
    [Family::Regression, Family::Binary, Family::Multinomial { num_class: 3 }];

#[test]
fn threads_do_not_matter_and_text_reads_back() {
    for family in FAMILIES {
        let options = Options { l1: 0.01, l2: 0.01, ..Options::new(family) };
        let one = fit(&options, &columns(), &labels(family), None, 1).unwrap();
        assert_eq!(fit(&options, &columns(), &labels(family), None, 4).unwrap(), one);
        let mut model = one.model;
        model.features[2] = "a b=%".to_owned();
        let text = model.write();
        assert_eq!(Linear::read(&text), Ok(model.clone()));
        assert_eq!(Linear::read(&text).unwrap().write(), text);
        for place in (0..text.len()).step_by(7) {
            let mut bytes = text.clone().into_bytes();
            bytes[place] ^= 1;
            let changed = String::from_utf8(bytes).unwrap();
            assert_eq!(Linear::read(&changed), Err(trees::Error::Checksum));
        }
        let columns = columns();
        let columns: Vec<&[f64]> = columns.iter().map(Vec::as_slice).collect();
        let mut out = vec![0.0; 500 * model.outputs()];
        model.predict(&columns, &mut out).unwrap();
        for (row, out) in out.chunks_exact(model.outputs()).enumerate() {
            let score = |output: usize| {
                let terms = (0..5).map(|f| model.coefficients[output * 5 + f] * columns[f][row]);
                model.intercepts[output] + terms.sum::<f64>()
            };
            let mut expected: Vec<f64> = (0..model.outputs()).map(score).collect();
            model.link.apply(&mut expected);
            let off = out.iter().zip(expected).map(|(a, e)| (a - e).abs()).fold(0.0, f64::max);
            assert!(off < 1e-12, "{row} {off}");
        }
        assert_eq!(model.predict(&columns[..4], &mut out), None);
    }
}

#[test]
fn columns_that_say_nothing_get_nothing() {
    let mut columns = columns();
    columns.push(vec![7.0; 500]);
    columns.push(columns[0].iter().map(|x| 2.0 * x + 1.0).collect());
    for family in FAMILIES {
        let options = Options { max_iterations: 5000, ..Options::new(family) };
        let fitted = fit(&options, &columns, &labels(family), None, 1).unwrap();
        assert!(fitted.report.converged, "{family:?} {:?}", fitted.report);
        assert!(fitted.model.coefficients.iter().skip(5).step_by(7).all(|x| *x == 0.0));
    }
}

#[test]
fn mistakes_are_told() {
    let options = Options::new(Family::Binary);
    let fit = |options: &Options, columns: &[Vec<f64>], labels: &[f64]| {
        fit(options, columns, labels, None, 1).map(|fitted| fitted.report.converged)
    };
    assert_eq!(fit(&options, &[vec![]], &[]), Err(Error::NoRows));
    assert_eq!(fit(&options, &[], &[1.0]), Err(Error::NoFeatures));
    assert_eq!(fit(&options, &[vec![1.0, 2.0]], &[1.0, 1.0]), Err(Error::OneClass));
    assert!(matches!(fit(&options, &[vec![1.0]], &[3.0]), Err(Error::Label { row: 0, .. })));
    assert_eq!(
        fit(&options, &[vec![1.0, f64::NAN]], &[0.0, 1.0]),
        Err(Error::Value { feature: 0, row: 1 })
    );
    assert!(matches!(fit(&options, &[vec![1.0]], &[0.0, 1.0]), Err(Error::Lengths { .. })));
    let negative = Options { l2: -1.0, ..options };
    assert!(matches!(
        fit(&negative, &[vec![1.0]], &[0.0]),
        Err(Error::Parameter { name: "l2", .. })
    ));
    let run = Run { threads: 1, progress: &|_, _| ControlFlow::Break(()) };
    let stopped = train(&options, &[&[1.0, 2.0, 3.0]], &[0.0, 1.0, 0.0], None, &run);
    assert_eq!(stopped, Err(Error::Cancelled));
    let run = Run { threads: 1, progress: &|_, _| ControlFlow::Continue(()) };
    let nothing = train(&options, &[&[1.0, 2.0]], &[0.0, 1.0], Some(&[0.0, 0.0]), &run);
    assert_eq!(nothing, Err(Error::NoRows));
}

/// Mean loss with penalties, by the definition.
fn loss(options: &Options, columns: &[Vec<f64>], labels: &[f64], model: &[f64]) -> f64 {
    let score = |row: usize| {
        let terms = columns.iter().zip(&model[1..]).map(|(column, x)| column[row] * x);
        model[0] + terms.sum::<f64>()
    };
    let of = |row: usize| match options.family {
        Family::Regression => (labels[row] - score(row)).powi(2) / 2.0,
        _ => score(row).exp().ln_1p() - labels[row] * score(row),
    };
    let sizes: f64 =
        model[1..].iter().map(|x| options.l1 * x.abs() + options.l2 / 2.0 * x * x).sum();
    (0..labels.len()).map(of).sum::<f64>() / labels.len() as f64 + sizes
}

proptest! {
    /// No small change of a coefficient is better.
    #[test]
    fn nothing_near_is_better(
        rows in prop::collection::vec((-9..9i32, -9..9i32, -9..9i32), 8..40),
        l1 in 0.0..0.3f64,
        binary in any::<bool>(),
    ) {
        let column = |pick: fn(&(i32, i32, i32)) -> i32| -> Vec<f64> {
            rows.iter().map(|row| f64::from(pick(row))).collect()
        };
        let columns = vec![column(|row| row.0), column(|row| row.1)];
        let mut labels = column(|row| row.2);
        if binary {
            labels.iter_mut().for_each(|y| *y = f64::from(u8::from(*y > 0.0)));
            prop_assume!(labels.contains(&0.0) && labels.contains(&1.0));
        }
        let family = if binary { Family::Binary } else { Family::Regression };
        let options = Options { l1, l2: 0.05, standardise: false, ..Options::new(family) };
        let fitted = fit(&options, &columns, &labels, None, 1).unwrap();
        let model = fitted.model;
        let best = [model.intercepts[0], model.coefficients[0], model.coefficients[1]];
        let least = loss(&options, &columns, &labels, &best);
        prop_assert!((least - fitted.report.loss).abs() < 1e-9 * (1.0 + least), "{least} {}", fitted.report.loss);
        for place in 0..3 {
            for change in [-1e-3, 1e-3] {
                let mut other = best;
                other[place] += change;
                prop_assert!(loss(&options, &columns, &labels, &other) >= least - 1e-12);
            }
        }
    }
}
