//! Answers of kept models, and values that training has not seen.

use super::data::{Made, Rule, quick};
use kernels::models::dcn::{Feature, Model, Objective, Options, Rows, Work, memory_bytes, train};
use kernels::simd::level::Level;

fn answers(model: &Model, rows: &[[f64; 2]]) -> Vec<f64> {
    let columns = [0, 1].map(|place| rows.iter().map(|row| row[place]).collect::<Vec<f64>>());
    let mut out = vec![0.0; rows.len()];
    model.predict(Level::best(), &columns.each_ref().map(Vec::as_slice), &mut out).unwrap();
    out
}

/// A number with NULLs or without, and a category.
fn small(nulls: bool, dropout: f32) -> Model {
    let rows = 4000_u32;
    let number =
        |row: u32| if nulls && row.is_multiple_of(4) { f64::NAN } else { f64::from(row % 5) };
    let numbers: Vec<f64> = (0..rows).map(number).collect();
    let codes: Vec<f64> = (0..rows).map(|row| f64::from(row / 7 % 3)).collect();
    let label = |row: usize| u8::from(numbers[row].is_nan() || codes[row] == 1.0);
    let labels: Vec<f64> = (0..rows as usize).map(|row| f64::from(label(row))).collect();
    let features = [Feature::Numeric(&numbers), Feature::Categorical(&codes)];
    let rows = Rows { features: &features, labels: &labels, weights: None };
    let options = Options { category_dropout: dropout, ..quick(Objective::Binary) };
    train(&options, &rows, None, &Work::alone()).unwrap().model
}

#[test]
fn missing_values_say_what_training_saw_of_them() {
    let nan = f64::NAN;
    let found = answers(&small(true, 0.0), &[[nan, 0.0], [2.0, 0.0], [2.0, 1.0]]);
    assert!(found[0] > 0.9 && found[1] < 0.1 && found[2] > 0.9, "{found:?}");
    // None in training: as the mean, which is 2.
    let model = small(false, 0.0);
    assert_eq!(answers(&model, &[[nan, 0.0]]), answers(&model, &[[2.0, 0.0]]));
}

#[test]
fn unseen_codes_are_as_missing_ones_and_neither_of_the_others() {
    let model = small(false, 0.1);
    let others = [f64::NAN, 7.0, -1.0, 0.5, 1e300, f64::INFINITY].map(|code| [2.0, code]);
    let found = answers(&model, &others);
    assert!(found.iter().all(|p| p == &found[0]), "{found:?}");
    // One code of three is always 1: what is left out at random has a share of a third.
    assert!((0.15..0.6).contains(&found[0]), "{found:?}");
    let known = answers(&model, &[[2.0, 0.0], [2.0, 1.0]]);
    assert!(known[0] < 0.1 && known[1] > 0.9, "{known:?}");
}

#[test]
fn numbers_far_out_are_cut() {
    let model = small(false, 0.0);
    let found = answers(&model, &[[1e9, 0.0], [f64::INFINITY, 0.0], [f64::MAX, 0.0]]);
    assert!(found.iter().all(|p| p == &found[0] && p.is_finite()), "{found:?}");
}

#[test]
fn bytes_read_back_to_the_bit() {
    let made = Made::new(Rule::Product, 500, 1);
    let base = Options { epochs: 2, ..quick(Objective::Regression) };
    let variants = [
        Options { rank: 3, layers: vec![5], ..base.clone() },
        Options { layers: Vec::new(), dim: 17, ..base.clone() },
        Options { cross_layers: 0, dim: 1, ..base },
    ];
    for options in variants {
        let model = made.fit(&options, None, 1).model;
        let bytes = model.to_bytes();
        let again = Model::from_bytes(&bytes).unwrap();
        assert_eq!((&again, again.to_bytes()), (&model, bytes.clone()));
        let bits = |model: &Model| -> Vec<u64> {
            made.predicted(model).into_iter().map(f64::to_bits).collect()
        };
        assert_eq!(bits(&again), bits(&model));
        let estimate = made.with(|rows| memory_bytes(rows, 0, &options));
        assert!(estimate > 3 * bytes.len());
        for place in (0..bytes.len()).step_by(97) {
            let mut changed = bytes.clone();
            changed[place] ^= 4;
            assert!(Model::from_bytes(&changed).is_none(), "byte {place}");
        }
        assert!(Model::from_bytes(&bytes[..bytes.len() - 1]).is_none());
        assert!(Model::from_bytes(&[]).is_none());
    }
}

#[test]
fn an_answer_does_not_depend_on_its_neighbours() {
    let made = Made::new(Rule::Sides, 700, 2);
    let options = Options { epochs: 2, ..quick(Objective::Binary) };
    let model = made.fit(&options, None, 1).model;
    let all = made.predicted(&model);
    for row in [0, 255, 256, 699] {
        let columns = made.slices().map(|column| &column[row..=row]);
        let mut own = [0.0];
        model.predict(Level::best(), &columns, &mut own).unwrap();
        assert_eq!(own[0].to_bits(), all[row].to_bits());
    }
    let mut out = [0.0; 3];
    assert_eq!(model.predict(Level::best(), &made.slices()[..4], &mut out), None);
    let short = made.slices().map(|column| &column[..2]);
    assert_eq!(model.predict(Level::best(), &short, &mut out), None);
    assert_eq!(model.predict(Level::best(), &made.slices(), &mut []), Some(()));
}
