//! The rows of `reference/trees.py`, and files.

use std::fs;
use std::path::PathBuf;

/// From this row on, rows are tests.
pub const FIRST_TEST: u64 = 1_000_000;

/// Column by column: numbers with missing values and zeros; the last two are codes, up to those
/// that training knows or beyond.
pub fn columns_from(first: u64, rows: u64, known: bool) -> Vec<Vec<f64>> {
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
            (7..10, 6..) if !known => -1.0,
            (_, 6..) => (drawn % if known { 30 } else { 45 }) as f64,
            (7..14, _) => 0.0,
            _ => {
                ((drawn % 2001) as f64 - 1000.0)
                    / if column.is_multiple_of(2) { 64.0 } else { 100.0 }
            }
        }
    };
    (0..8).map(|column| (first..first + rows).map(|row| value(row, column)).collect()).collect()
}

/// A file of a folder of `reference`.
pub fn file(folder: &str, name: &str) -> String {
    let folder = PathBuf::from("tests/reference").join(folder);
    fs::read_to_string(folder.join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}
