//! The models of `reference/trees.py`.

use std::fs;
use std::path::PathBuf;

pub use super::rows::file;
use super::rows::{FIRST_TEST, columns_from};
use kernels::models::trees::{Error, Forest, read_lightgbm, read_xgboost};

/// Rows that training did not see.
pub fn columns(rows: u64) -> Vec<Vec<f64>> {
    columns_from(FIRST_TEST, rows, false)
}

/// The names of the models of a kind.
pub fn names(start: &str) -> Vec<String> {
    let folder = PathBuf::from("tests/reference/trees");
    let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name());
    let names = files.filter_map(|name| Some(name.to_str()?.strip_suffix(".expected")?.to_owned()));
    let mut names: Vec<String> = names.filter(|name| name.starts_with(start)).collect();
    names.sort();
    assert!(!names.is_empty());
    names
}

pub fn model(name: &str) -> Result<Forest, Error> {
    match name.starts_with("lgb") {
        true => read_lightgbm(&file("trees", &format!("{name}.txt"))),
        false => read_xgboost(&file("trees", &format!("{name}.json"))),
    }
}

/// Predictions, row-major.
pub fn expected(name: &str) -> Vec<f64> {
    let text = file("trees", &format!("{name}.expected"));
    text.split_ascii_whitespace().map(|word| word.parse().unwrap()).collect()
}
