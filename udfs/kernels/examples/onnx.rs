//! What a row of an ONNX file takes: `onnx FILE…`, rows of normal numbers, answered one by one and
//! as a table of them, on one thread. `benches/peers/onnx_rows.py` asks ONNX Runtime the same.

use std::error::Error;
use std::time::Instant;

use kernels::models::onnx::Model;

const ROWS: usize = 20_000;

fn main() -> Result<(), Box<dyn Error>> {
    println!("file,columns,us_a_row_alone,us_a_row_in_a_table");
    for path in std::env::args().skip(1) {
        let bytes = std::fs::read(&path)?;
        let model = Model::read(&bytes)?;
        let width = model.features().len();
        // Whole numbers below 30 are codes too.
        let value = |row: usize, column: usize| ((row * 7919 + column * 104_729) % 30) as f64;
        let columns: Vec<Vec<f64>> =
            (0..width).map(|column| (0..ROWS).map(|row| value(row, column)).collect()).collect();
        let slices: Vec<&[f64]> = columns.iter().map(Vec::as_slice).collect();
        let mut out = vec![0.0; ROWS * model.outputs()];
        let began = Instant::now();
        model.predict(&slices, &mut out)?;
        let together = began.elapsed();
        let began = Instant::now();
        for row in 0..ROWS {
            let one: Vec<&[f64]> = slices.iter().map(|column| &column[row..=row]).collect();
            let out = &mut out[row * model.outputs()..][..model.outputs()];
            model.predict(&one, out)?;
        }
        let alone = began.elapsed();
        let a_row = |time: std::time::Duration| time.as_secs_f64() * 1e6 / ROWS as f64;
        let name = path.rsplit('/').next().unwrap_or(&path);
        println!("{name},{width},{:.2},{:.2}", a_row(alone), a_row(together));
    }
    Ok(())
}
