//! ONNX files against ONNX Runtime; `reference/onnx_files.py` holds what asked it.

#![allow(clippy::unwrap_used, clippy::panic)]

#[path = "trees/rows.rs"]
mod rows;

use std::fs;

use kernels::models::onnx::{Classes, Error, Model};
use rows::{FIRST_TEST, columns_from, file};

const FOLDER: &str = "onnx_files";

fn bytes(name: &str) -> Vec<u8> {
    fs::read(format!("tests/reference/{FOLDER}/{name}.onnx")).unwrap()
}

fn model(name: &str) -> Model {
    Model::read(&bytes(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

fn names(start: &str, end: &str) -> Vec<String> {
    let files = fs::read_dir(format!("tests/reference/{FOLDER}")).unwrap();
    let names = files.filter_map(|entry| entry.unwrap().file_name().into_string().ok());
    let mut names: Vec<String> = names
        .filter(|name| name.starts_with(start))
        .filter_map(|name| name.strip_suffix(end).map(str::to_owned))
        .collect();
    names.sort();
    names
}

/// The rows that the reference asked of a file.
fn columns(name: &str, rows: u64) -> Vec<Vec<f64>> {
    let all = columns_from(FIRST_TEST, rows, false);
    let known = |x: &f64| if x.is_nan() { 0.0 } else { *x };
    match name {
        "network" => vec![
            all[0].iter().map(known).collect(),
            all[6].iter().map(|x| known(&x.abs())).collect(),
        ],
        "sides" => all[..3].to_vec(),
        "saturated" => vec![(0..rows).map(|row| row as f64 - 100.0).collect()],
        _ => all,
    }
}

fn predicted(model: &Model, columns: &[Vec<f64>]) -> Vec<f64> {
    let columns: Vec<&[f64]> = columns.iter().map(Vec::as_slice).collect();
    let mut out = vec![0.0; columns[0].len() * model.outputs()];
    model.predict(&columns, &mut out).unwrap();
    out
}

/// The greatest distance of a file's answers, relative to those over one.
fn distance(name: &str) -> f64 {
    let expected: Vec<f64> = file(FOLDER, &format!("{name}.expected"))
        .split_ascii_whitespace()
        .map(|word| word.parse().unwrap())
        .collect();
    let model = model(name);
    let rows = expected.len() / model.outputs();
    assert!(rows >= 100, "{name}");
    let actual = predicted(&model, &columns(name, rows as u64));
    let pairs = actual.iter().zip(&expected);
    pairs.map(|(a, e)| (a - e).abs() / e.abs().max(1.0)).fold(0.0, f64::max)
}

#[test]
fn onnx_runtime_is_met_to_five_digits() {
    let off: Vec<_> =
        names("", ".expected").into_iter().map(|name| (distance(&name), name)).collect();
    assert!(off.len() >= 14, "{off:?}");
    assert!(off.iter().all(|(off, _)| *off <= 1e-5), "{off:?}");
}

#[test]
fn classes_are_those_of_the_file() {
    let texts = |names: [&str; 3]| Classes::Text(names.map(str::to_owned).to_vec());
    let sorted = || texts(["high", "low", "middle"]);
    for (name, expected) in [
        ("logistic", Classes::Whole(vec![0, 1])),
        ("words", sorted()),
        ("ridge", Classes::None),
        ("forest", sorted()),
        ("boosted_of_three", Classes::Whole(vec![0, 1, 2])),
        ("boosted_regressor", Classes::None),
        ("perceptron", sorted()),
        ("perceptron_of_two", Classes::Whole(vec![0, 1])),
        ("network", Classes::Whole(vec![0, 1])),
    ] {
        assert_eq!(*model(name).classes(), expected, "{name}");
    }
}

#[test]
fn columns_have_the_names_of_inputs_or_numbers() {
    assert_eq!(model("network").features(), ["age", "code"]);
    assert_eq!(model("sides").features(), ["f0", "f1", "f2"]);
}

/// A row's answer does not depend, to the bit, on the rows beside it.
#[test]
fn batches_do_not_matter() {
    for name in names("", ".expected") {
        let name = name.as_str();
        let model = model(name);
        let columns = columns(name, 150);
        let together = predicted(&model, &columns);
        for first in [0, 1, 63, 64, 149] {
            for rows in [1, 2, 3, 100].map(|rows| rows.min(150 - first)) {
                let some: Vec<Vec<f64>> =
                    columns.iter().map(|column| column[first..first + rows].to_vec()).collect();
                let expected = &together[first * model.outputs()..][..rows * model.outputs()];
                let some = predicted(&model, &some);
                let same = |(a, b): (&f64, &f64)| a.to_bits() == b.to_bits();
                assert!(some.iter().zip(expected).all(same), "{name} {first} {rows}");
            }
        }
    }
}

#[test]
fn what_has_no_place_for_missing_values_has_no_answer() {
    let (age, code) = (vec![1.0, f64::NAN, 1.0], vec![f64::NAN, 3.0, 3.0]);
    let answers = predicted(&model("network"), &[age, code]);
    assert!(answers[0].is_nan() && answers[1].is_nan() && answers[2] > 0.0, "{answers:?}");
}

/// The least shares have digits of their own, which many an approximation has not.
#[test]
fn shares_have_no_floor() {
    let answers = predicted(&model("saturated"), &[vec![-30.0, -80.0]]);
    for (answer, z) in answers.iter().zip([-30.0f64, -80.0]) {
        let expected = 1.0 / (1.0 + (-z).exp());
        assert!((answer / expected - 1.0).abs() < 1e-5, "{answer} {expected}");
    }
}

#[test]
fn lengths_must_fit() {
    let model = model("network");
    assert!(model.predict(&[&[1.0]], &mut [0.0]).is_err());
    assert!(model.predict(&[&[1.0], &[1.0, 2.0]], &mut [0.0]).is_err());
    assert_eq!(model.predict(&[&[], &[]], &mut []), Ok(()));
    // The table of codes has 50 rows.
    assert!(model.predict(&[&[1.0], &[50.0]], &mut [0.0]).is_err());
}

#[test]
fn what_is_not_supported_is_named() {
    let refused = |name: &str| match Model::read(&bytes(name)) {
        Err(Error::Unsupported { what }) => what,
        other => panic!("{name}: {other:?}"),
    };
    assert_eq!(refused("refused_svm"), "operator \"SVMClassifier\"");
    assert_eq!(refused("refused_outputs"), "several outputs of numbers (out, other)");
    assert_eq!(refused("refused_text"), "input \"word\" of text");
    assert_eq!(refused("refused_equal"), "trees with BRANCH_EQ");
    assert_eq!(refused("refused_elsewhere"), "weights in another file");
    assert_eq!(refused("refused_margins"), "LinearClassifier of margins, not of probabilities");
    assert_eq!(refused("refused_domain"), "operator \"Relu\" of \"my.ops\"");
    assert_eq!(refused("refused_circle"), "no inputs");
    assert_eq!(refused("refused_rows"), "input \"age\" of 4 rows at once");
    assert_eq!(refused("refused_columns"), "trees over 2147483649 columns");
}

/// Cut anywhere, or with a byte changed, a file is read or refused: never a crash, and what is read
/// can be asked.
#[test]
fn broken_files_are_refused() {
    for name in ["network", "sides", "perceptron", "boosted"] {
        let whole = bytes(name);
        let columns = columns(name, 3);
        let mut refused = 0;
        for place in (0..whole.len()).step_by(whole.len() / 60) {
            let mut changed = whole.clone();
            changed[place] ^= 0x55;
            for broken in [&whole[..place], &changed] {
                match Model::read(broken) {
                    Ok(model) if model.features().len() == columns.len() => {
                        let columns: Vec<&[f64]> = columns.iter().map(Vec::as_slice).collect();
                        let _ = model.predict(&columns, &mut vec![0.0; 3 * model.outputs()]);
                    }
                    Ok(_) => {}
                    Err(_) => refused += 1,
                }
            }
        }
        assert!(refused > 50, "{name}: {refused}");
    }
}
