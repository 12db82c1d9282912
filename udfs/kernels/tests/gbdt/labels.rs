//! The labels of `reference/trees.py`.

/// A sum of shapes that trees can learn: lines, sizes, products, missing values, categories.
pub fn labels(columns: &[Vec<f64>]) -> Vec<f64> {
    let label = |row: usize| {
        let known = |column: usize| {
            let value = columns[column][row];
            if value.is_nan() { 0.0 } else { value }
        };
        let missing = f64::from(u8::from(columns[4][row].is_nan()));
        let positive = f64::from(u8::from(known(3) > 0.0));
        known(0) * 0.3 + known(1).abs() - known(2) * positive
            + (known(6) % 7.0) * 2.0
            + missing * 5.0
            + (known(7) % 3.0) * known(5) * 0.2
    };
    (0..columns[0].len()).map(label).collect()
}
