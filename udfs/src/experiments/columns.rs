//! Columns of numbers as moments take them.

use datafusion::arrow::array::{Array, ArrayRef, AsArray, Float64Array};
use datafusion::arrow::datatypes::Float64Type;
use kernels::statistics::moments::Moments;

/// `D` columns of numbers.
pub struct Numbers<'a, const D: usize>(pub [&'a Float64Array; D]);

impl<'a, const D: usize> Numbers<'a, D> {
    /// The columns at the given places.
    pub fn of(columns: &'a [ArrayRef], places: [usize; D]) -> Self {
        Self(places.map(|place| columns[place].as_primitive::<Float64Type>()))
    }

    /// Adds rows to moments; answers how many had a NULL.
    pub fn push(&self, moments: &mut Moments<D>, rows: &[u32]) -> u64 {
        let valid = |row: &u32| self.0.iter().all(|column| column.is_valid(*row as usize));
        if let [row] = rows {
            let row = *row as usize;
            if valid(&(row as u32)) {
                moments.push(self.0.map(|column| column.value(row)));
                return 0;
            }
            return 1;
        }
        let kept: Vec<u32> = match self.0.iter().all(|column| column.null_count() == 0) {
            true => rows.to_vec(),
            false => rows.iter().copied().filter(valid).collect(),
        };
        let values = self.0.map(|column| {
            let values = column.values();
            kept.iter().map(|row| values[*row as usize]).collect::<Vec<f64>>()
        });
        moments.extend(std::array::from_fn(|column| values[column].as_slice()));
        (rows.len() - kept.len()) as u64
    }
}
