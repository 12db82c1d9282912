//! Trains and scores boosted trees on columns from files; `benches/peers/gbdt.py` makes them and
//! asks the peers.
//!
//! ```text
//!   cargo run --release -p kernels --example gbdt -- VALUES LABELS KINDS TRAINING OUT THREADS \
//!       OBJECTIVE [num_iterations=100] [num_leaves=31] [learning_rate=0.1] [min_data_in_leaf=20] \
//!       [seed=0] [groups=FILE]
//! ```
//!
//! VALUES is columns one after the other, LABELS a column, both `f64`, raw and little-endian;
//! KINDS has a letter for each column, `n` or `c`; the first TRAINING rows train, the others are
//! scored into OUT. OBJECTIVE is regression, binary, lambdarank, or multiclass:N. `groups=` is
//! for training rows, as `f64` too. The output is one JSON object.

use std::error::Error;
use std::fs;
use std::ops::ControlFlow;
use std::time::Instant;

use kernels::models::gbdt::{Feature, Objective, Parameters, Part, Run, memory_bytes, train};
use kernels::models::trees::Scorer;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

fn main() -> Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [values, labels, kinds, training, out, threads, objective, options @ ..] = &words[..]
    else {
        return Err("VALUES LABELS KINDS TRAINING OUT THREADS OBJECTIVE".into());
    };
    let (values, labels) = (floats(values)?, floats(labels)?);
    let (training, threads) = (training.parse::<usize>()?, threads.parse()?);
    let mut parameters = Parameters::new(self::objective(objective)?);
    let mut groups = Vec::new();
    for option in options {
        let (name, value) = option.split_once('=').ok_or("name=value")?;
        match name {
            "num_iterations" => parameters.num_iterations = value.parse()?,
            "num_leaves" => parameters.num_leaves = value.parse()?,
            "learning_rate" => parameters.learning_rate = value.parse()?,
            "min_data_in_leaf" => parameters.min_data_in_leaf = value.parse()?,
            "seed" => parameters.seed = value.parse()?,
            "groups" => groups = floats(value)?.into_iter().map(|rows| rows as usize).collect(),
            _ => return Err(format!("no option {name}").into()),
        }
    }
    let columns: Vec<&[f64]> = values.chunks_exact(labels.len()).collect();
    let mut features = Vec::new();
    for (column, kind) in columns.iter().zip(kinds.chars()) {
        let values = &column[..training];
        let categorical = kind == 'c';
        features.push(if categorical {
            Feature::Categorical(values)
        } else {
            Feature::Numeric(values)
        });
    }
    let labels = &labels[..training];
    let part = Part { features: &features, labels, weights: None, groups: &groups };
    let (start, before) = (Instant::now(), processor_s());
    let run = Run { threads, progress: &|_| ControlFlow::Continue(()) };
    let trained = train(&parameters, &part, None, &run)?;
    let (train_s, train_cpu_s) = (start.elapsed().as_secs_f64(), processor_s() - before);
    let trees = trained.forest.trees.len();
    let scorer = Scorer::new(trained.forest)?;
    let tests: Vec<&[f64]> = columns.iter().map(|column| &column[training..]).collect();
    let rows = tests.first().map_or(0, |column| column.len());
    let mut predictions = vec![0.0; rows * scorer.forest().outputs()];
    let (start, before) = (Instant::now(), thread_s());
    // Again and again: the system counts a thread's time in ticks.
    let mut times = 0.0;
    while times == 0.0 || start.elapsed().as_secs_f64() < 0.5 {
        scorer.predict(&tests, &mut predictions).ok_or("columns of unequal length")?;
        times += 1.0;
    }
    let score_cpu_s = (thread_s() - before) / times;
    fs::write(out, predictions.iter().flat_map(|x| x.to_le_bytes()).collect::<Vec<u8>>())?;
    println!(
        "{{\"train_s\": {train_s:.4}, \"train_cpu_s\": {train_cpu_s:.2}, \
         \"score_cpu_s\": {score_cpu_s:.6}, \"rows\": {rows}, \
         \"trees\": {trees}, \"memory_bytes\": {}}}",
        memory_bytes(training, 0, columns.len(), threads, &parameters)
    );
    Ok(())
}

/// Seconds that this thread had a processor; zero where the system does not tell.
fn thread_s() -> f64 {
    let told = fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    told.split(' ').next().and_then(|ns| ns.parse::<f64>().ok()).unwrap_or(0.0) / 1e9
}

/// Seconds that all threads of this process had a processor, to a hundredth, which other work on
/// the machine does not add to; zero where the system does not tell.
fn processor_s() -> f64 {
    let told = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // After the name in brackets: the twelfth and thirteenth are ticks of user and of system.
    let fields = told.rsplit(')').next().unwrap_or_default().split_ascii_whitespace();
    fields.skip(11).take(2).filter_map(|ticks| ticks.parse::<f64>().ok()).sum::<f64>() / 100.0
}

fn objective(name: &str) -> Result<Objective> {
    Ok(match name.split_once(':') {
        Some(("multiclass", classes)) => Objective::Multiclass { num_class: classes.parse()? },
        _ => match name {
            "regression" => Objective::Regression,
            "binary" => Objective::binary(),
            "lambdarank" => Objective::lambdarank(),
            _ => return Err(format!("no objective {name}").into()),
        },
    })
}

fn floats(path: &str) -> Result<Vec<f64>> {
    let bytes = fs::read(path)?;
    Ok(bytes.as_chunks::<8>().0.iter().map(|bytes| f64::from_le_bytes(*bytes)).collect())
}
