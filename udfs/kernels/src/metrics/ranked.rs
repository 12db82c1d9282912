//! Measures of how scores tell two classes apart.
//!
//! ```text
//!   auc:     P(score of a positive > that of a negative) + ½ P(they are equal)
//!   pr_auc:  Σ over scores, falling: (recall - recall before) precision        (no interpolation)
//! ```

use super::ratio;
use crate::statistics::double::Double;
use crate::statistics::sample::{Sample, together};

/// Weights of positives and negatives of one score.
#[derive(Clone, Copy, Default)]
struct Tie {
    positive: Double,
    negative: Double,
}

/// The scores that there are, falling.
fn ties(labels: &[bool], scores: &[f64], weights: Option<&[f64]>) -> Option<Vec<Tie>> {
    let rows = labels.len();
    let fits = scores.len() == rows && weights.is_none_or(|weights| weights.len() == rows);
    if !fits || scores.iter().any(|score| score.is_nan()) {
        return None;
    }
    let weight = |row: usize| weights.map_or(1.0, |weights| weights[row]);
    // Adding zero makes one zero of both.
    let mut order: Vec<(f64, bool, f64)> =
        (0..rows).map(|row| (scores[row] + 0.0, labels[row], weight(row))).collect();
    order.sort_unstable_by(|a, b| b.0.total_cmp(&a.0));
    let tie = |same: &[(f64, bool, f64)]| {
        same.iter().fold(Tie::default(), |mut tie, (_, label, weight)| {
            let side = if *label { &mut tie.positive } else { &mut tie.negative };
            *side = *side + Double::from(*weight);
            tie
        })
    };
    Some(order.chunk_by(|a, b| a.0 == b.0).map(tie).collect())
}

/// Area under the curve of true against false positives; None for one class only.
pub fn auc(labels: &[bool], scores: &[f64], weights: Option<&[f64]>) -> Option<f64> {
    let (mut above, mut wins, mut negative) =
        (Double::default(), Double::default(), Double::default());
    for tie in ties(labels, scores, weights)? {
        wins = wins + tie.negative * (above + tie.positive * 0.5);
        above = above + tie.positive;
        negative = negative + tie.negative;
    }
    ratio(wins, above * negative)
}

/// Average precision; None without positives.
pub fn pr_auc(labels: &[bool], scores: &[f64], weights: Option<&[f64]>) -> Option<f64> {
    let (mut positive, mut all, mut sum) =
        (Double::default(), Double::default(), Double::default());
    for tie in ties(labels, scores, weights)? {
        positive = positive + tie.positive;
        all = all + tie.positive + tie.negative;
        if all.hi > 0.0 {
            sum = sum + (tie.positive * positive).divided(all);
        }
    }
    ratio(sum, positive)
}

/// Scores by label, each row of weight 1, as a mergeable state. A NaN is the caller's to find.
#[derive(Debug, Clone, Default)]
pub struct Scores {
    pub positive: Sample,
    pub negative: Sample,
}

impl Scores {
    pub fn push(&mut self, label: bool, score: f64) {
        let side = if label { &mut self.positive } else { &mut self.negative };
        side.push(score);
    }

    pub fn merge(&mut self, other: &Self) {
        self.positive.merge(&other.positive);
        self.negative.merge(&other.negative);
    }

    /// As `auc` of the rows.
    pub fn auc(&self) -> Option<f64> {
        let (positive, negative) = (self.positive.ranked(), self.negative.ranked());
        // Twice the wins are a whole number, so that nothing rounds before the division.
        let (mut below, mut twice) = (0, 0);
        together(&positive, &negative, |_, labelled, other| {
            twice += u128::from(labelled) * (2 * below + u128::from(other));
            below += u128::from(other);
        });
        let pairs = u128::from(positive.count()) * below;
        (pairs > 0).then(|| twice as f64 / (2 * pairs) as f64)
    }

    /// As `pr_auc` of the rows.
    pub fn pr_auc(&self) -> Option<f64> {
        let (positive, negative) = (self.positive.ranked(), self.negative.ranked());
        let positives = positive.count();
        // Scores come rising: what is at least as great is all but what went before.
        let (mut at_least, mut all) = (positives, positives + negative.count());
        let mut sum = Double::default();
        together(&positive, &negative, |_, labelled, other| {
            sum = sum + Double::product(labelled as f64, at_least as f64).over(all as f64);
            at_least -= labelled;
            all -= labelled + other;
        });
        ratio(sum, Double::from(positives as f64))
    }
}
