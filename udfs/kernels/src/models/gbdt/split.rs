//! The best split of a leaf by one feature.
//!
//! ```text
//!   gain = S(left) + S(right) - S(leaf),   S(G, H) = T(G)² / (H + λ2)
//!   T(G) = sign(G) max(|G| - λ1, 0);       a leaf's value: -T(G) / (H + λ2)
//! ```
//!
//! Missing values are tried on both sides. Equal gains: the lower feature, then the lower bin.

use super::Parameters;
use super::bins::Bins;
use super::categorical;
use super::quantised::{Cell, Sums, Units, add, subtract};

/// How rows are told apart, in bins.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Question {
    /// Bins up to this go left; missing ones where it says.
    AtMost { bin: u8, missing_left: bool },
    /// These bins go left.
    In { bins: Vec<u8> },
}

/// A split that lessens the loss.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Split {
    pub(super) feature: usize,
    pub(super) question: Question,
    pub(super) gain: f64,
    pub(super) left: Cell,
    /// λ2 of the new leaves.
    pub(super) l2: f64,
}

/// What a leaf holds, and how splits are judged.
#[derive(Clone, Copy)]
pub(super) struct Judge<'a> {
    pub(super) parameters: &'a Parameters,
    pub(super) units: Units,
    pub(super) total: Cell,
    /// Hessian that a side must have: that of `min_data_in_leaf` mean rows of the leaf. LightGBM
    /// counts rows so; it keeps a few rows that the model is sure of, whose hessians are next to
    /// nothing, from getting a huge value.
    pub(super) least: f64,
}

impl Judge<'_> {
    /// T(G)² / (H + λ2); 0 where nothing can be gained.
    #[inline]
    pub(super) fn score(&self, sums: Sums, l2: f64) -> f64 {
        let cut = (sums.gradient.abs() - self.parameters.lambda_l1).max(0.0);
        let below = sums.hessian + l2;
        if below > 0.0 { cut * cut / below } else { 0.0 }
    }

    /// Whether a leaf may hold so much.
    #[inline]
    pub(super) fn enough(&self, sums: Sums) -> bool {
        sums.rows >= self.parameters.min_data_in_leaf.max(1)
            && sums.hessian >= self.parameters.min_sum_hessian_in_leaf.max(self.least)
    }

    pub(super) fn right(&self, left: Cell) -> Sums {
        self.units.sums(subtract(self.total, left))
    }

    /// What both sides must reach together.
    pub(super) fn bar(&self) -> f64 {
        let whole = self.score(self.units.sums(self.total), self.parameters.lambda_l2);
        whole + self.parameters.min_gain_to_split
    }

    /// The best split by a feature, if any lessens the loss.
    pub(super) fn best(&self, feature: usize, bins: &Bins, cells: &[Cell; 256]) -> Option<Split> {
        let cells = &cells[..bins.count()];
        match bins {
            _ if cells.len() < 2 => None,
            Bins::Numeric { missing, .. } => self.numeric(feature, cells, *missing),
            Bins::Categorical { .. } => categorical::best(self, feature, cells),
        }
    }

    fn numeric(&self, feature: usize, cells: &[Cell], missing: bool) -> Option<Split> {
        let bar = self.bar();
        let values = cells.len() - usize::from(missing);
        let lost = if missing { cells[values] } else { [0; 2] };
        // Without missing rows here both sides are the same, and the larger part takes them.
        let any_missing = self.units.sums(lost).rows > 0;
        let mut best: Option<(f64, usize, bool, Cell)> = None;
        for missing_left in [false, true] {
            if missing_left && !any_missing {
                break;
            }
            let mut left = if missing_left { lost } else { [0; 2] };
            // The last value bin leaves only the missing ones for the right.
            let last = values - usize::from(missing_left || !any_missing);
            for (bin, cell) in cells[..last].iter().enumerate() {
                add(&mut left, *cell);
                let (sums, right) = (self.units.sums(left), self.right(left));
                if right.rows < self.parameters.min_data_in_leaf.max(1) {
                    break;
                }
                if !self.enough(sums) || !self.enough(right) {
                    continue;
                }
                let l2 = self.parameters.lambda_l2;
                let both = self.score(sums, l2) + self.score(right, l2);
                if both > best.as_ref().map_or(bar, |best| best.0) {
                    let default = if any_missing { missing_left } else { sums.rows > right.rows };
                    best = Some((both, bin, default, left));
                }
            }
        }
        let (both, bin, missing_left, left) = best?;
        let question = Question::AtMost { bin: bin as u8, missing_left };
        let l2 = self.parameters.lambda_l2;
        Some(Split { feature, question, gain: both - bar, left, l2 })
    }
}
