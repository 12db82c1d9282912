//! Blocks of rows against one row at a time, on every level of vector units.

use super::reference::{columns, model, names};
use kernels::models::link::Link;
use kernels::models::trees::{Forest, Leaf, Missing, Node, Scorer, Test, Tree};
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

/// Steps: leaf i holds what is over i - 1 and at most i, whatever the number of words of bits.
#[test]
fn trees_of_any_size_are_scored() {
    for leaves in [1usize, 2, 63, 64, 65, 128, 129, 255, 256, 257, 300] {
        let mut tree = Tree::default();
        for number in 0..leaves {
            tree.leaves.push(Leaf { value: number as f64, cover: 1.0 });
            if number + 1 < leaves {
                let on = if number + 2 < leaves { number as i32 + 1 } else { !(leaves as i32 - 1) };
                tree.nodes.push(Node {
                    feature: 0,
                    test: Test::AtMost(number as f64),
                    missing: Missing::Nan,
                    default_left: number == 40,
                    left: !(number as i32),
                    right: on,
                    gain: 0.0,
                    cover: 1.0,
                });
            }
        }
        let forest = Forest {
            features: vec!["x".to_owned()],
            trees: vec![tree],
            base: vec![0.0],
            average: false,
            link: Link::Identity,
            single: false,
        };
        let values: Vec<f64> = (0..400).map(f64::from).chain([f64::NAN]).collect();
        let mut out = vec![0.0; values.len()];
        Scorer::new(forest).unwrap().scores(&[&values], &mut out).unwrap();
        let last = (leaves - 1) as f64;
        for (value, score) in values.iter().zip(out) {
            let expected = if value.is_nan() && leaves > 41 { 40.0 } else { value.min(last) };
            assert_eq!(score, expected, "{leaves} {value}");
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
