//! LambdaMART's gradients (Burges, MSR-TR-2010-82), as LightGBM weighs them.
//!
//! ```text
//!   each pair of a group whose grades differ, the better one i, the worse one j, one of them
//!   ranked above the truncation level:
//!     Δ = |gain_i - gain_j| |1/log2(2 + place_i) - 1/log2(2 + place_j)| / ideal DCG
//!     ρ = 1 / (1 + e^(s_i - s_j));   g_i -= ρ Δ, g_j += ρ Δ;   h_i, h_j += ρ (1 - ρ) Δ
//!   normed: Δ /= 0.01 + |s_i - s_j|, and all of a group times log2(1 + Σ 2ρΔ) / Σ 2ρΔ
//! ```

use rayon::prelude::*;

use super::{Objective, Part};

/// What lambdarank was told.
#[derive(Clone, Copy)]
pub(super) struct Lambda<'a> {
    label_gain: &'a [f64],
    truncation_level: usize,
    norm: bool,
    eval_at: usize,
}

impl<'a> Lambda<'a> {
    pub(super) fn of(objective: &'a Objective) -> Option<Self> {
        match objective {
            Objective::Lambdarank { label_gain, truncation_level, norm, eval_at } => {
                let (truncation_level, norm, eval_at) = (*truncation_level, *norm, *eval_at);
                Some(Self { label_gain, truncation_level, norm, eval_at })
            }
            Objective::Regression | Objective::Binary { .. } | Objective::Multiclass { .. } => None,
        }
    }

    fn gain(&self, label: f64) -> f64 {
        match self.label_gain.is_empty() {
            true => libm::exp2(label) - 1.0,
            false => self.label_gain.get(label as usize).copied().unwrap_or(0.0),
        }
    }

    /// The DCG of labels in order, cut at a place.
    fn dcg(&self, labels: impl Iterator<Item = f64>, places: usize) -> f64 {
        let terms = labels.take(places).enumerate();
        terms.map(|(place, label)| self.gain(label) * discount(place)).sum()
    }

    fn ideal(&self, labels: &[f64], places: usize) -> f64 {
        let mut sorted = labels.to_vec();
        sorted.sort_unstable_by(|a, b| b.total_cmp(a));
        self.dcg(sorted.into_iter(), places)
    }

    /// Gradients and hessians of all groups.
    pub(super) fn gradients(&self, part: &Part<'_>, scores: &[f64], out: &mut [[f64; 2]]) {
        let (mut groups, mut rest, mut first) = (Vec::new(), out, 0);
        for rows in part.groups {
            let (group, others) = rest.split_at_mut((*rows).min(rest.len()));
            groups.push((first, group));
            first += rows;
            rest = others;
        }
        let longest = part.groups.iter().copied().max().unwrap_or(0);
        let discounts: Vec<f64> = (0..longest).map(discount).collect();
        groups.into_par_iter().for_each(|(first, out)| {
            let rows = first..first + out.len();
            let (labels, scores) = (&part.labels[rows.clone()], &scores[rows.clone()]);
            self.group(labels, scores, &discounts, out);
            if let Some(weights) = part.weights {
                for (out, weight) in out.iter_mut().zip(&weights[rows]) {
                    *out = out.map(|x| x * weight);
                }
            }
        });
    }

    fn group(&self, labels: &[f64], scores: &[f64], discounts: &[f64], out: &mut [[f64; 2]]) {
        out.fill([0.0; 2]);
        let ideal = self.ideal(labels, self.truncation_level);
        if ideal <= 0.0 {
            return;
        }
        let order = ranking(scores);
        let (Some(best), Some(worst)) = (order.first(), order.last()) else { return };
        let norm = self.norm && scores[*best] != scores[*worst];
        let gains: Vec<f64> = labels.iter().map(|label| self.gain(*label)).collect();
        let mut sum = 0.0;
        for (place, a) in order.iter().enumerate().take(self.truncation_level) {
            for (below, b) in order.iter().enumerate().skip(place + 1) {
                if labels[*a] == labels[*b] {
                    continue;
                }
                let (high, low) = if labels[*a] > labels[*b] { (*a, *b) } else { (*b, *a) };
                let apart = scores[high] - scores[low];
                let gain = gains[high] - gains[low];
                let mut delta = gain * (discounts[place] - discounts[below]) / ideal;
                if norm {
                    delta /= 0.01 + apart.abs();
                }
                let p = 1.0 / (1.0 + libm::exp(apart));
                let (lambda, hessian) = (p * delta, p * (1.0 - p) * delta);
                out[high] = [out[high][0] - lambda, out[high][1] + hessian];
                out[low] = [out[low][0] + lambda, out[low][1] + hessian];
                sum += 2.0 * lambda;
            }
        }
        if self.norm && sum > 0.0 {
            let factor = libm::log2(1.0 + sum) / sum;
            out.iter_mut().for_each(|cell| *cell = cell.map(|x| x * factor));
        }
    }

    /// 1 less the mean NDCG of the groups that have a gain; 0 if none has.
    pub(super) fn loss(&self, part: &Part<'_>, scores: &[f64]) -> f64 {
        let (mut sum, mut groups, mut first) = (0.0, 0.0, 0);
        for rows in part.groups {
            let rows = first..first + rows;
            first = rows.end;
            let (labels, scores) = (&part.labels[rows.clone()], &scores[rows]);
            let ideal = self.ideal(labels, self.eval_at);
            if ideal > 0.0 {
                let ranked = ranking(scores).into_iter().map(|row| labels[row]);
                sum += self.dcg(ranked, self.eval_at) / ideal;
                groups += 1.0;
            }
        }
        if groups > 0.0 { 1.0 - sum / groups } else { 0.0 }
    }
}

fn discount(place: usize) -> f64 {
    1.0 / libm::log2(2.0 + place as f64)
}

/// Rows by falling score; the earlier row of equal ones first.
fn ranking(scores: &[f64]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..scores.len()).collect();
    order.sort_by(|a, b| scores[*b].total_cmp(&scores[*a]));
    order
}
