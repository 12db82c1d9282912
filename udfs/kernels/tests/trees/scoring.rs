//! Blocks of rows against one row at a time, on every level of vector units.

use super::reference::{columns, model, names};
use kernels::models::trees::Scorer;
use kernels::simd::level::Level;

#[test]
fn blocks_agree_with_single_rows_bit_for_bit() {
    for name in names("") {
        let forest = model(&name).unwrap();
        let outputs = forest.outputs();
        for rows in [1, 63, 64, 200] {
            let columns = columns(rows);
            let columns: Vec<&[f64]> = columns.iter().map(Vec::as_slice).collect();
            let mut naive = vec![0.0; rows as usize * outputs];
            for (row, out) in naive.chunks_exact_mut(outputs).enumerate() {
                let value = |feature: usize| match forest.single {
                    true => f64::from(columns[feature][row] as f32),
                    false => columns[feature][row],
                };
                let start = if forest.average { 0.0 } else { 1.0 };
                out.iter_mut().zip(&forest.base).for_each(|(out, base)| *out = base * start);
                for tree in &forest.trees {
                    out[tree.output] += tree.leaves[tree.leaf(value)].value;
                }
                let trees = forest.trees.len() as f64 / outputs as f64;
                let weight = if forest.average { 1.0 / trees } else { 1.0 };
                out.iter_mut().for_each(|out| *out *= weight);
            }
            for level in Level::all() {
                let scorer = Scorer::new(forest.clone()).unwrap().at(level);
                let mut actual = vec![f64::NAN; naive.len()];
                scorer.scores(&columns, &mut actual).unwrap();
                assert_eq!(actual, naive, "{name} {rows} {}", level.name());
            }
        }
    }
}

#[test]
fn columns_that_do_not_fit_are_refused() {
    let scorer = Scorer::new(model("lgb_binary").unwrap()).unwrap();
    let columns = columns(5);
    let columns: Vec<&[f64]> = columns.iter().map(Vec::as_slice).collect();
    let mut out = [0.0; 5];
    assert_eq!(scorer.scores(&columns[..7], &mut out), None);
    assert_eq!(scorer.scores(&columns, &mut [0.0; 6]), None);
    assert_eq!(scorer.scores(&columns, &mut []), Some(()));
}
