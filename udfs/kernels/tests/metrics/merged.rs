//! States of parts, merged, are the state of all rows.

use kernels::metrics::calibration::{Calibration, ece_equal_mass};
use kernels::metrics::classes::Confusion;
use kernels::metrics::errors::{Errors, Losses};
use kernels::metrics::ranked::{Scores, auc, pr_auc};
use proptest::prelude::*;

/// Label, probability, number, and the part that the row is in.
type Row = (bool, f64, f64, usize);

/// Few probabilities, so that there are ties and bins of several rows; numbers of many sizes.
fn rows() -> impl Strategy<Value = Vec<Row>> {
    let probability = (0..=40i32).prop_map(|step| f64::from(step) / 40.0);
    let number = (-1e6..1e6f64, -8..8i32).prop_map(|(x, power)| x * 10f64.powi(power));
    prop::collection::vec((any::<bool>(), probability, number, 0..3usize), 0..80)
}

/// All states of some rows.
#[derive(Clone)]
struct States {
    errors: Errors,
    losses: Losses,
    confusion: Confusion,
    calibration: Calibration,
    scores: Scores,
}

impl States {
    fn of<'a>(rows: impl Iterator<Item = &'a Row>) -> Self {
        let calibration = Calibration::new(7);
        let (errors, losses, confusion) = Default::default();
        let mut states = Self { errors, losses, confusion, calibration, scores: Scores::default() };
        for (label, probability, number, _) in rows {
            states.errors.push(*number, number * probability, 1.0);
            states.losses.push(*label, *probability, 1.0);
            states.confusion.push(*label, *probability > 0.5, 1.0);
            states.calibration.push(*label, *probability, 1.0);
            states.scores.push(*label, *probability);
        }
        states
    }

    fn merge(&mut self, other: &Self) {
        self.errors.merge(&other.errors);
        self.losses.merge(&other.losses);
        self.confusion.merge(&other.confusion);
        self.calibration.merge(&other.calibration);
        self.scores.merge(&other.scores);
    }

    fn stored(&self) -> Self {
        Self {
            errors: Errors::of_sums(self.errors.sums()),
            losses: Losses::of_sums(self.losses.sums()),
            confusion: Confusion::of_sums(self.confusion.sums()),
            calibration: Calibration::of_sums(self.calibration.last(), self.calibration.sums()),
            scores: self.scores.clone(),
        }
    }

    fn answers(&self) -> [Option<f64>; 13] {
        [
            self.errors.rmse(),
            self.errors.mae(),
            self.errors.r2(),
            self.losses.log_loss(),
            self.losses.brier(),
            self.confusion.accuracy(),
            self.confusion.precision(),
            self.confusion.recall(),
            self.confusion.f1(),
            self.calibration.ece(),
            self.scores.auc(),
            self.scores.pr_auc(),
            ece_equal_mass(&self.scores, 7),
        ]
    }
}

/// Sorted rows, NumPy's linear quantiles as bounds, and the sums of each bin one by one.
fn naive_equal_mass(rows: &[Row], bins: u32) -> f64 {
    let mut sorted: Vec<f64> = rows.iter().map(|row| row.1).collect();
    sorted.sort_by(f64::total_cmp);
    let bound = |number: u32| {
        let place = (sorted.len() - 1) as f64 * f64::from(number) / f64::from(bins);
        let (low, high) = (sorted[place.floor() as usize], sorted[place.ceil() as usize]);
        low + (high - low) * place.fract()
    };
    let bounds: Vec<f64> = (1..bins).map(bound).collect();
    let apart = (0..bins).map(|bin| {
        let is_in =
            |row: &&Row| bounds.iter().filter(|bound| **bound < row.1).count() == bin as usize;
        let errors = rows.iter().filter(is_in).map(|row| f64::from(u8::from(row.0)) - row.1);
        errors.sum::<f64>().abs()
    });
    apart.sum::<f64>() / rows.len() as f64
}

proptest! {
    #[test]
    fn merge_is_one_pass(rows in rows()) {
        let whole = States::of(rows.iter()).answers();
        for order in [[0, 1, 2], [2, 0, 1], [1, 2, 0]] {
            let mut merged = States::of([].iter());
            for part in order {
                let part = States::of(rows.iter().filter(|row| row.3 == part));
                merged.merge(&part.stored());
            }
            prop_assert_eq!(merged.answers(), whole);
        }
    }

    #[test]
    fn scores_agree_with_slices(rows in rows()) {
        let labels: Vec<bool> = rows.iter().map(|row| row.0).collect();
        let numbers: Vec<f64> = rows.iter().map(|row| row.1).collect();
        let states = States::of(rows.iter());
        let near = |a: Option<f64>, b: Option<f64>| match (a, b) {
            (Some(a), Some(b)) => (a - b).abs() < 1e-14,
            (a, b) => a == b,
        };
        prop_assert!(near(states.scores.auc(), auc(&labels, &numbers, None)));
        prop_assert!(near(states.scores.pr_auc(), pr_auc(&labels, &numbers, None)));
        let expected = (!rows.is_empty()).then(|| naive_equal_mass(&rows, 7));
        prop_assert!(near(ece_equal_mass(&states.scores, 7), expected));
    }
}

/// So many rows that scores are counted: a few distinct ones, and more than are counted.
#[test]
fn many_scores_agree_with_slices() {
    for distinct in [50u64, 1 << 40] {
        let score = |i: u64| (i.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 11) % distinct;
        let label = |i: u64| score(i) % 3 == 0 || i % 5 == 0;
        let rows = 0..200_000u64;
        let labels: Vec<bool> = rows.clone().map(label).collect();
        let numbers: Vec<f64> = rows.clone().map(|i| score(i) as f64).collect();
        let mut parts = [Scores::default(), Scores::default()];
        rows.for_each(|i| parts[usize::from(i % 3 == 0)].push(label(i), score(i) as f64));
        let [mut scores, other] = parts;
        scores.merge(&other);
        let near = |a: Option<f64>, b: Option<f64>| (a.unwrap() - b.unwrap()).abs() < 1e-14;
        assert!(near(scores.auc(), auc(&labels, &numbers, None)));
        assert!(near(scores.pr_auc(), pr_auc(&labels, &numbers, None)));
    }
}
