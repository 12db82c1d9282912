//! Trains and scores models of tables on columns from files; `benches/peers/gbdt.py` and `dcn.py`
//! make them, the first asks the peers.
//!
//! ```text
//!   cargo run --release -p kernels --example tabular -- MODEL VALUES LABELS KINDS TRAINING OUT \
//!       THREADS OBJECTIVE [name=value …]
//! ```
//!
//! MODEL is gbdt, dcn or linear. VALUES is columns one after the other, LABELS a column, both
//! `f64`, raw and little-endian; KINDS has a letter for each column, `n` or `c`; the first TRAINING
//! rows train, the others are scored into OUT. OBJECTIVE is regression or binary, of gbdt also
//! lambdarank or multiclass:N. Options are those of CREATE MODEL that `gbdt`, `dcn` and `linear`
//! below name; `groups=` is a file for training rows of gbdt, as `f64` too. A dcn holds the last
//! tenth of the training rows out to stop early; a linear model takes a column for each code, and
//! means for NaN. The output is one JSON object.

use std::error::Error;
use std::fs;
use std::ops::ControlFlow;
use std::time::Instant;

use kernels::models::dcn;
use kernels::models::gbdt::{Feature, Objective, Parameters, Part, Run, memory_bytes, train};
use kernels::models::linear::{self, Family};
use kernels::models::trees::Scorer;
use kernels::simd::level::Level;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

fn main() -> Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [model, values, labels, kinds, training, out, threads, objective, options @ ..] =
        &words[..]
    else {
        return Err("MODEL VALUES LABELS KINDS TRAINING OUT THREADS OBJECTIVE".into());
    };
    let (values, labels) = (floats(values)?, floats(labels)?);
    let columns: Vec<&[f64]> = values.chunks_exact(labels.len()).collect();
    let (training, threads) = (training.parse::<usize>()?, threads.parse()?);
    let input = Input { columns, kinds, labels: &labels, training, threads, objective };
    let options = options.iter().map(|option| option.split_once('=').ok_or("name=value"));
    let options = options.collect::<std::result::Result<Vec<_>, _>>()?;
    let (start, before) = (Instant::now(), processor_s());
    let trained = match model.as_str() {
        "gbdt" => gbdt(&input, &options)?,
        "dcn" => dcn(&input, &options)?,
        "linear" => linear(&input, &options)?,
        other => return Err(format!("no model {other}").into()),
    };
    let (train_s, train_cpu_s) = (start.elapsed().as_secs_f64(), processor_s() - before);
    let tests: Vec<&[f64]> = input.columns.iter().map(|column| &column[training..]).collect();
    let rows = tests.first().map_or(0, |column| column.len());
    let mut predictions = vec![0.0; rows * trained.outputs];
    let (start, before) = (Instant::now(), thread_s());
    // Again and again: the system counts a thread's time in ticks.
    let mut times = 0.0;
    while times == 0.0 || start.elapsed().as_secs_f64() < 0.5 {
        (trained.predict)(&tests, &mut predictions).ok_or("columns of unequal length")?;
        times += 1.0;
    }
    let score_cpu_s = (thread_s() - before) / times;
    fs::write(out, predictions.iter().flat_map(|x| x.to_le_bytes()).collect::<Vec<u8>>())?;
    println!(
        "{{\"train_s\": {train_s:.4}, \"train_cpu_s\": {train_cpu_s:.2}, \
         \"score_cpu_s\": {score_cpu_s:.6}, \"rows\": {rows}{}}}",
        trained.more
    );
    Ok(())
}

struct Input<'a> {
    columns: Vec<&'a [f64]>,
    kinds: &'a str,
    labels: &'a [f64],
    training: usize,
    threads: usize,
    objective: &'a str,
}

type Options<'a> = [(&'a str, &'a str)];
type Predict = dyn Fn(&[&[f64]], &mut [f64]) -> Option<()>;

struct Trained {
    predict: Box<Predict>,
    outputs: usize,
    /// More of the JSON object.
    more: String,
}

impl Input<'_> {
    /// Some of the rows as kernels take them.
    fn features(&self, rows: std::ops::Range<usize>) -> Vec<Feature<'_>> {
        let columns = self.columns.iter().zip(self.kinds.chars());
        columns
            .map(|(column, kind)| {
                let values = &column[rows.clone()];
                match kind {
                    'c' => Feature::Categorical(values),
                    _ => Feature::Numeric(values),
                }
            })
            .collect()
    }
}

fn gbdt(input: &Input<'_>, options: &Options<'_>) -> Result<Trained> {
    let mut parameters = Parameters::new(objective(input.objective)?);
    let mut groups = Vec::new();
    for (name, value) in options {
        match *name {
            "num_iterations" => parameters.num_iterations = value.parse()?,
            "num_leaves" => parameters.num_leaves = value.parse()?,
            "learning_rate" => parameters.learning_rate = value.parse()?,
            "min_data_in_leaf" => parameters.min_data_in_leaf = value.parse()?,
            "seed" => parameters.seed = value.parse()?,
            "groups" => groups = floats(value)?.into_iter().map(|rows| rows as usize).collect(),
            _ => return Err(format!("no option {name}").into()),
        }
    }
    let (training, threads) = (input.training, input.threads);
    let features = input.features(0..training);
    let labels = &input.labels[..training];
    let part = Part { features: &features, labels, weights: None, groups: &groups };
    let run = Run { threads, progress: &|_| ControlFlow::Continue(()) };
    let trained = train(&parameters, &part, None, &run)?;
    let trees = trained.forest.trees.len();
    let memory = memory_bytes(training, 0, features.len(), threads, &parameters);
    let scorer = Scorer::new(trained.forest)?;
    Ok(Trained {
        outputs: scorer.forest().outputs(),
        predict: Box::new(move |columns, out| scorer.predict(columns, out)),
        more: format!(", \"trees\": {trees}, \"memory_bytes\": {memory}"),
    })
}

fn dcn(input: &Input<'_>, options: &Options<'_>) -> Result<Trained> {
    let mut of = dcn::Options::new(match input.objective {
        "regression" => dcn::Objective::Regression,
        "binary" => dcn::Objective::Binary,
        other => return Err(format!("no objective {other}").into()),
    });
    for (name, value) in options {
        match *name {
            "cross_layers" => of.cross_layers = value.parse()?,
            "rank" => of.rank = value.parse()?,
            "layers" => {
                let widths = value.split(',').filter(|width| !width.is_empty());
                of.layers = widths.map(str::parse).collect::<std::result::Result<_, _>>()?;
            }
            "dim" => of.dim = value.parse()?,
            "epochs" => of.epochs = value.parse()?,
            "batch_size" => of.batch_size = value.parse()?,
            "learning_rate" => of.learning_rate = value.parse()?,
            "l2" => of.l2 = value.parse()?,
            "category_dropout" => of.category_dropout = value.parse()?,
            "early_stop" => of.early_stop = value.parse()?,
            "seed" => of.seed = value.parse()?,
            _ => return Err(format!("no option {name}").into()),
        }
    }
    let learned = input.training - if of.early_stop { input.training / 10 } else { 0 };
    let features = [input.features(0..learned), input.features(learned..input.training)];
    let rows = |place: usize, rows: std::ops::Range<usize>| dcn::Rows {
        features: &features[place],
        labels: &input.labels[rows],
        weights: None,
    };
    let (training, held) = (rows(0, 0..learned), rows(1, learned..input.training));
    let memory = dcn::memory_bytes(&training, input.training - learned, &of);
    let watch = |_| ControlFlow::Continue(());
    let work = dcn::Work { level: Level::best(), threads: input.threads, watch: &watch };
    let held = of.early_stop.then_some(&held);
    let dcn::Training { model, epochs, losses, held } = dcn::train(&of, &training, held, &work)?;
    let least = held.iter().copied().fold(f64::NAN, f64::min);
    Ok(Trained {
        outputs: 1,
        predict: Box::new(move |columns, out| model.predict(Level::best(), columns, out)),
        more: format!(
            ", \"epochs\": {epochs}, \"passes\": {}, \"held\": {least}, \
             \"memory_bytes\": {memory}",
            losses.len()
        ),
    })
}

fn linear(input: &Input<'_>, options: &Options<'_>) -> Result<Trained> {
    let family = match input.objective {
        "regression" => Family::Regression,
        "binary" => Family::Binary,
        other => return Err(format!("no objective {other}").into()),
    };
    let mut of = linear::Options::new(family);
    for (name, value) in options {
        match *name {
            "l1" => of.l1 = value.parse()?,
            "l2" => of.l2 = value.parse()?,
            _ => return Err(format!("no option {name}").into()),
        }
    }
    let training: Vec<&[f64]> =
        input.columns.iter().map(|column| &column[..input.training]).collect();
    // Of a number the mean, of a category how many codes there are.
    let learned = training.iter().zip(input.kinds.chars()).map(|(column, kind)| {
        let there = column.iter().filter(|value| !value.is_nan());
        match kind {
            'c' => (kind, there.copied().fold(-1.0, f64::max) + 1.0),
            _ => (kind, there.clone().sum::<f64>() / there.count().max(1) as f64),
        }
    });
    let learned: Vec<(char, f64)> = learned.collect();
    let design = move |columns: &[&[f64]]| -> Vec<Vec<f64>> {
        let mut all = Vec::new();
        for (column, (kind, of)) in columns.iter().zip(&learned) {
            if *kind == 'c' {
                let is = |code: usize| column.iter().map(move |x| f64::from(*x == code as f64));
                all.extend((0..*of as usize).map(|code| is(code).collect::<Vec<f64>>()));
                continue;
            }
            all.push(column.iter().map(|x| if x.is_nan() { *of } else { *x }).collect());
        }
        all
    };
    let columns = design(&training);
    let columns: Vec<&[f64]> = columns.iter().map(Vec::as_slice).collect();
    let run = linear::Run { threads: input.threads, progress: &|_, _| ControlFlow::Continue(()) };
    let labels = &input.labels[..input.training];
    let linear::Fitted { model, report } = linear::train(&of, &columns, labels, None, &run)?;
    Ok(Trained {
        outputs: 1,
        predict: Box::new(move |columns, out| {
            let columns = design(columns);
            model.predict(&columns.iter().map(Vec::as_slice).collect::<Vec<_>>(), out)
        }),
        more: format!(", \"iterations\": {}", report.iterations),
    })
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
