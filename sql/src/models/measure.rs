//! How good a model is on rows that it has not learned from.

use std::collections::BTreeMap;

use kernels::metrics::calibration::Calibration;
use kernels::metrics::classes::Confusion;
use kernels::metrics::errors::{Errors, Losses};
use kernels::metrics::lists::{Gain, List};
use kernels::metrics::ranked;

use super::target::Target;

/// Places of a list that count.
const LIST: usize = 10;
/// Least probability that a logarithm is taken of, as scikit-learn clips.
const LEAST: f64 = 1e-15;
const BINS: u32 = 10;

/// Metrics by name; those that rows say nothing of are left out.
pub(super) fn metrics(
    target: &Target,
    labels: &[f64],
    predictions: &[f64],
    groups: &[usize],
) -> BTreeMap<String, f64> {
    let found: Vec<(&str, Option<f64>)> = match target {
        _ if !groups.is_empty() => vec![("ndcg@10", ndcg(labels, predictions, groups))],
        Target::Number => {
            let mut errors = Errors::default();
            labels.iter().zip(predictions).for_each(|(y, x)| errors.push(*y, *x, 1.0));
            vec![("rmse", errors.rmse()), ("mae", errors.mae()), ("r2", errors.r2())]
        }
        Target::Classes { values, .. } if values.len() == 2 => binary(labels, predictions),
        Target::Classes { values, .. } => several(labels, predictions, values.len()),
    };
    found.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect()
}

fn binary(labels: &[f64], predictions: &[f64]) -> Vec<(&'static str, Option<f64>)> {
    let (mut losses, mut confusion) = (Losses::default(), Confusion::default());
    let mut calibration = Calibration::new(BINS);
    let positive: Vec<bool> = labels.iter().map(|label| *label > 0.5).collect();
    for (label, probability) in positive.iter().zip(predictions) {
        losses.push(*label, *probability, 1.0);
        confusion.push(*label, *probability > 0.5, 1.0);
        calibration.push(*label, *probability, 1.0);
    }
    vec![
        ("auc", ranked::auc(&positive, predictions, None)),
        ("pr_auc", ranked::pr_auc(&positive, predictions, None)),
        ("log_loss", losses.log_loss()),
        ("brier", losses.brier()),
        ("accuracy", confusion.accuracy()),
        ("ece", calibration.ece()),
    ]
}

fn several(
    labels: &[f64],
    predictions: &[f64],
    classes: usize,
) -> Vec<(&'static str, Option<f64>)> {
    let (mut right, mut loss, mut rows) = (0.0, 0.0, 0.0);
    for (label, row) in labels.iter().zip(predictions.chunks_exact(classes)) {
        let Some(probability) = row.get(*label as usize).filter(|_| !label.is_nan()) else {
            continue;
        };
        rows += 1.0;
        let best = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let first = row.iter().position(|other| *other == best);
        right += f64::from(first == Some(*label as usize));
        loss -= probability.clamp(LEAST, 1.0 - LEAST).ln();
    }
    let share = |sum: f64| (rows > 0.0).then(|| sum / rows);
    vec![("accuracy", share(right)), ("log_loss", share(loss))]
}

/// Mean over the groups that have something relevant.
fn ndcg(labels: &[f64], scores: &[f64], groups: &[usize]) -> Option<f64> {
    let (mut sum, mut count, mut start) = (0.0, 0.0, 0);
    for length in groups {
        let rows = start..start + length;
        start += length;
        let list = List::new(labels.get(rows.clone())?, scores.get(rows)?);
        if let Some(value) = list.and_then(|list| list.ndcg(LIST, Gain::Exp2)) {
            sum += value;
            count += 1.0;
        }
    }
    (count > 0.0).then(|| sum / count)
}
