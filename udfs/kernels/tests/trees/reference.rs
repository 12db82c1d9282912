//! The rows of `reference/trees.py`, and the files that it wrote.

use std::fs;
use std::path::PathBuf;

use kernels::models::trees::{Error, Forest, read_lightgbm, read_xgboost};

const FIRST_TEST: u64 = 1_000_000;

/// Column by column: numbers with missing values and zeros; the last two are codes.
pub fn columns(rows: u64) -> Vec<Vec<f64>> {
    let value = |row: u64, column: u64| {
        let mixed =
            row.wrapping_mul(2_654_435_761).wrapping_add(column * 668_265_263 + 374_761_393)
                & 0xffff_ffff;
        let mixed = mixed ^ (mixed >> 15);
        let mixed = mixed.wrapping_mul(2_246_822_519) & 0xffff_ffff;
        let mixed = mixed ^ (mixed >> 13);
        let (share, drawn) = (mixed % 100, mixed >> 8);
        match (share, column) {
            (..7, _) => f64::NAN,
            (7..10, 6..) => -1.0,
            (_, 6..) => (drawn % 45) as f64,
            (7..14, _) => 0.0,
            _ => ((drawn % 2001) as f64 - 1000.0) / if column % 2 == 0 { 64.0 } else { 100.0 },
        }
    };
    (0..8).map(|column| (0..rows).map(|row| value(FIRST_TEST + row, column)).collect()).collect()
}

/// A file of `reference/trees`.
pub fn file(name: &str) -> String {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/reference/trees");
    fs::read_to_string(folder.join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// The names of the models of a kind.
pub fn names(start: &str) -> Vec<String> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/reference/trees");
    let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name());
    let names = files.filter_map(|name| Some(name.to_str()?.strip_suffix(".expected")?.to_owned()));
    let mut names: Vec<String> = names.filter(|name| name.starts_with(start)).collect();
    names.sort();
    assert!(!names.is_empty());
    names
}

pub fn model(name: &str) -> Result<Forest, Error> {
    match name.starts_with("lgb") {
        true => read_lightgbm(&file(&format!("{name}.txt"))),
        false => read_xgboost(&file(&format!("{name}.json"))),
    }
}

/// Predictions, row-major.
pub fn expected(name: &str) -> Vec<f64> {
    let text = file(&format!("{name}.expected"));
    text.split_ascii_whitespace().map(|word| word.parse().unwrap()).collect()
}
