//! Measures over rows.

use super::reference::*;
use kernels::metrics::calibration::{Calibration, ece_equal_mass};
use kernels::metrics::classes::Confusion;
use kernels::metrics::errors::{Errors, Losses};
use kernels::metrics::ranked::{Scores, auc, pr_auc};
use proptest::prelude::*;

/// The states of rows in an order, merged from two parts.
fn states(order: &[usize], weights: &[f64]) -> (Errors, Losses, Confusion) {
    let (labels, targets) = (labels(), targets());
    let (probabilities, predictions) = (probabilities(), predictions());
    let mut parts = [(); 2].map(|()| (Errors::default(), Losses::default(), Confusion::default()));
    for (place, row) in order.iter().enumerate() {
        let (errors, losses, confusion) = &mut parts[usize::from(place % 3 == 0)];
        let weight = weights[*row];
        errors.push(targets[*row], predictions[*row], weight);
        losses.push(labels[*row], probabilities[*row], weight);
        confusion.push(labels[*row], probabilities[*row] > 0.5, weight);
    }
    let [(mut errors, mut losses, mut confusion), other] = parts;
    errors.merge(&other.0);
    losses.merge(&other.1);
    confusion.merge(&other.2);
    (errors, losses, confusion)
}

#[test]
fn rows_agree_with_scikit_learn() {
    let (labels, scores) = (labels(), scores());
    let order: Vec<usize> = (0..1000).collect();
    for (tail, weights) in [("", vec![1.0; 1000]), ("_weighted", weights())] {
        let name = |name: &str| format!("{name}{tail}");
        let given = (!tail.is_empty()).then_some(&weights[..]);
        assert_near(&name("auc"), auc(&labels, &scores, given));
        assert_near(&name("pr_auc"), pr_auc(&labels, &scores, given));
        let (errors, losses, confusion) = states(&order, &weights);
        assert_near(&name("log_loss"), losses.log_loss());
        assert_near(&name("brier"), losses.brier());
        assert_near(&name("rmse"), errors.rmse());
        assert_near(&name("mae"), errors.mae());
        assert_near(&name("r2"), errors.r2());
        assert_near(&name("accuracy"), confusion.accuracy());
        assert_near(&name("precision"), confusion.precision());
        assert_near(&name("recall"), confusion.recall());
        assert_near(&name("f1"), confusion.f1());
    }
    let mut calibration = Calibration::new(10);
    let mut other = Calibration::new(10);
    for (row, (label, p)) in labels.iter().zip(probabilities()).enumerate() {
        let part = if row % 2 == 0 { &mut calibration } else { &mut other };
        part.push(*label, p, 1.0);
    }
    calibration.merge(&other);
    assert_near("ece", calibration.ece());
    let mut both = [Scores::default(), Scores::default()];
    for row in 0..1000 {
        both[0].push(labels[row], scores[row]);
        both[1].push(labels[row], probabilities()[row]);
    }
    assert_near("auc", both[0].auc());
    assert_near("pr_auc", both[0].pr_auc());
    assert_near("ece_equal_mass", ece_equal_mass(&both[1], 10));
}

#[test]
fn without_an_answer_there_is_none() {
    assert_eq!(auc(&[true, true], &[1.0, 2.0], None), None);
    assert_eq!(auc(&[], &[], None), None);
    assert_eq!(auc(&[true, false], &[1.0, f64::NAN], None), None);
    assert_eq!(auc(&[true, false], &[1.0], None), None);
    assert_eq!(auc(&[true, false], &[0.0, -0.0], None), Some(0.5));
    assert_eq!(pr_auc(&[false], &[1.0], None), None);
    assert_eq!(Errors::default().rmse(), None);
    assert_eq!(Losses::default().log_loss(), None);
    let mut errors = Errors::default();
    errors.push(0.1, 0.3, 1.0);
    errors.push(0.1, 0.2, 1.0);
    assert_eq!(errors.r2(), None);
    errors.push(f64::NAN, 0.2, 1.0);
    assert_eq!((errors.mse(), errors.mae(), errors.r2()), (None, None, None));
    let mut losses = Losses::default();
    losses.push(true, 0.0, 1.0);
    losses.push(false, 1.0, 1.0);
    assert!((losses.log_loss().unwrap() - 1e-15f64.ln().abs()).abs() < 1e-12);
    losses.push(true, f64::NAN, 1.0);
    assert_eq!((losses.log_loss(), losses.brier()), (None, None));
    let mut confusion = Confusion::default();
    confusion.push(false, false, 1.0);
    assert_eq!(confusion.accuracy(), Some(1.0));
    assert_eq!((confusion.precision(), confusion.recall(), confusion.f1()), (None, None, None));
    assert_eq!(Calibration::new(0).ece(), None);
    assert_eq!(ece_equal_mass(&Scores::default(), 10), None);
    let mut one_class = Scores::default();
    one_class.push(false, 0.25);
    assert_eq!((one_class.auc(), one_class.pr_auc()), (None, None));
    assert_eq!(ece_equal_mass(&one_class, 3), Some(0.25));
}

proptest! {
    /// Pairs counted one by one: wins, and halves of ties.
    #[test]
    fn auc_counts_pairs(rows in prop::collection::vec((any::<bool>(), 0..6, 0..4), 0..40)) {
        let labels: Vec<bool> = rows.iter().map(|row| row.0).collect();
        let scores: Vec<f64> = rows.iter().map(|row| f64::from(row.1)).collect();
        let weights: Vec<f64> = rows.iter().map(|row| f64::from(row.2)).collect();
        let (mut wins, mut pairs) = (0.0, 0.0);
        for a in 0..rows.len() {
            for b in (0..rows.len()).filter(|b| labels[a] && !labels[*b]) {
                let weight = weights[a] * weights[b];
                pairs += weight;
                wins += weight * match scores[a].total_cmp(&scores[b]) {
                    std::cmp::Ordering::Greater => 1.0,
                    std::cmp::Ordering::Equal => 0.5,
                    std::cmp::Ordering::Less => 0.0,
                };
            }
        }
        let expected = (pairs > 0.0).then(|| wins / pairs);
        let actual = auc(&labels, &scores, Some(&weights));
        prop_assert_eq!(actual.is_some(), expected.is_some());
        prop_assert!((actual.unwrap_or(0.0) - expected.unwrap_or(0.0)).abs() < 1e-12);
    }

    #[test]
    fn the_order_of_rows_does_not_matter(seed in any::<u64>()) {
        let weights = weights();
        let mut order: Vec<usize> = (0..1000).collect();
        order.sort_by_key(|row| (*row as u64 + 1).wrapping_mul(seed | 1).rotate_left(17));
        let (a, b) = (states(&order, &weights), states(&(0..1000).collect::<Vec<_>>(), &weights));
        prop_assert_eq!(a.0.r2(), b.0.r2());
        prop_assert_eq!(a.0.mae(), b.0.mae());
        prop_assert_eq!(a.1.log_loss(), b.1.log_loss());
        prop_assert_eq!(a.1.brier(), b.1.brier());
        prop_assert_eq!(a.2.f1(), b.2.f1());
    }
}
