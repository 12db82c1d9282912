//! The best split of a leaf by a categorical feature.
//!
//! Few categories: one against the rest. Many: categories ordered by gradient over hessian, of
//! which the first or the last some go left; for two leaves the best set is among these (Fisher,
//! "On grouping for maximum homogeneity", 1958). `cat_smooth`, `cat_l2`, `max_cat_threshold` and
//! `min_data_per_group` keep rare categories from being learnt by heart. Bin 0, what is missing or
//! rare, is never named and so goes right.

use super::quantised::{Cell, add};
use super::split::{Judge, Question, Split};

pub(super) fn best(judge: &Judge<'_>, feature: usize, cells: &[Cell]) -> Option<Split> {
    if cells.len() <= judge.parameters.max_cat_to_onehot {
        one_against_rest(judge, feature, cells)
    } else {
        many_against_many(judge, feature, cells)
    }
}

fn one_against_rest(judge: &Judge<'_>, feature: usize, cells: &[Cell]) -> Option<Split> {
    let (bar, l2) = (judge.bar(), judge.parameters.lambda_l2);
    let mut best: Option<Split> = None;
    for (bin, cell) in cells.iter().enumerate().skip(1) {
        let (left, right) = (judge.units.sums(*cell), judge.right(*cell));
        if !judge.enough(left) || !judge.enough(right) {
            continue;
        }
        let gain = judge.score(left, l2) + judge.score(right, l2) - bar;
        if gain > best.as_ref().map_or(0.0, |best| best.gain) {
            let question = Question::In { bins: vec![bin as u8] };
            best = Some(Split { feature, question, gain, left: *cell, l2 });
        }
    }
    best
}

fn many_against_many(judge: &Judge<'_>, feature: usize, cells: &[Cell]) -> Option<Split> {
    let parameters = judge.parameters;
    let (bar, l2) = (judge.bar(), parameters.lambda_l2 + parameters.cat_l2);
    let mut order: Vec<(f64, u8)> = Vec::new();
    for (bin, cell) in cells.iter().enumerate().skip(1) {
        let sums = judge.units.sums(*cell);
        if sums.rows > 0 && sums.rows as f64 >= parameters.cat_smooth {
            order.push((sums.gradient / (sums.hessian + parameters.cat_smooth), bin as u8));
        }
    }
    order.sort_by(|a, b| a.0.total_cmp(&b.0));
    let most = parameters.max_cat_threshold.min(order.len().div_ceil(2));
    let mut best: Option<(f64, bool, usize, Cell)> = None;
    for backward in [false, true] {
        let (mut left, mut group) = ([0; 2], 0);
        for taken in 0..most {
            let place = if backward { order.len() - 1 - taken } else { taken };
            let cell = cells[usize::from(order[place].1)];
            add(&mut left, cell);
            group += judge.units.sums(cell).rows;
            let (sums, right) = (judge.units.sums(left), judge.right(left));
            if !judge.enough(sums) {
                continue;
            }
            if !judge.enough(right) || right.rows < parameters.min_data_per_group {
                break;
            }
            if group < parameters.min_data_per_group {
                continue;
            }
            group = 0;
            let gain = judge.score(sums, l2) + judge.score(right, l2) - bar;
            if gain > best.as_ref().map_or(0.0, |best| best.0) {
                best = Some((gain, backward, taken + 1, left));
            }
        }
    }
    let (gain, backward, taken, left) = best?;
    let chosen = if backward { &order[order.len() - taken..] } else { &order[..taken] };
    let mut bins: Vec<u8> = chosen.iter().map(|(_, bin)| *bin).collect();
    bins.sort_unstable();
    Some(Split { feature, question: Question::In { bins }, gain, left, l2 })
}
