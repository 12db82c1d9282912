//! Maps vectors from a file; `benches/peers/maps.py` makes them and asks the peer.
//!
//! ```text
//!   cargo run --release -p kernels --example maps -- ROWS DIMENSION METRIC THREADS OUT \
//!       [neighbours=15] [min_dist=0.1] [epochs=200] [seed=0]
//! ```
//!
//! ROWS are raw little-endian `f32`, and so are the places that are written to OUT. The output is
//! one JSON object.

use std::error::Error;
use std::fs;
use std::sync::Mutex;
use std::time::Instant;

use kernels::maps::{Nearness, Options, Phase, Work, map};

fn main() -> Result<(), Box<dyn Error>> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [rows, dimension, metric, threads, out, ..] = &words[..] else {
        return Err("ROWS DIMENSION METRIC THREADS OUT".into());
    };
    let nearness = match metric.as_str() {
        "l2" => Nearness::L2,
        "cosine" | "inner_product" => Nearness::Angle,
        other => return Err(format!("no metric {other}").into()),
    };
    let mut options = Options { nearness, ..Options::default() };
    for word in &words[5..] {
        match word.split_once('=') {
            Some(("neighbours", value)) => options.neighbours = value.parse()?,
            Some(("min_dist", value)) => options.min_dist = value.parse()?,
            Some(("epochs", value)) => options.epochs = Some(value.parse()?),
            Some(("seed", value)) => options.seed = value.parse()?,
            _ => return Err(format!("no option {word}").into()),
        }
    }
    let bytes = fs::read(rows)?;
    let rows: Vec<f32> = bytes.as_chunks().0.iter().map(|x| f32::from_le_bytes(*x)).collect();
    let start = Instant::now();
    let laid_out = Mutex::new(None);
    let go_on = |phase, _, _| {
        if phase == Phase::Layout
            && let Ok(mut first) = laid_out.lock()
        {
            first.get_or_insert_with(Instant::now);
        }
        true
    };
    let work = Work { threads: threads.parse()?, go_on: &go_on, ..Work::alone() };
    let places = map(&rows, dimension.parse()?, &options, &work)?;
    let all = start.elapsed().as_secs_f64();
    let first = laid_out.into_inner().ok().flatten().unwrap_or(start);
    let before = first.duration_since(start).as_secs_f64();
    let (count, layout) = (places.len(), all - before);
    fs::write(out, places.iter().flatten().flat_map(|x| x.to_le_bytes()).collect::<Vec<u8>>())?;
    println!(
        "{{\"rows\": {count}, \"seconds\": {all:.3}, \"before_layout\": {before:.3}, \
         \"layout\": {layout:.3}}}"
    );
    Ok(())
}
