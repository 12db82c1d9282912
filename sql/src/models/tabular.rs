//! Models of rows with a label: linear, logistic, boosted trees.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use catalog::apart;
use catalog::registry::{Told, Training};
use datafusion::arrow::array::{Array, ArrayRef, RecordBatch};
use datafusion::arrow::datatypes::Field;
use datafusion::execution::memory_pool::MemoryReservation;
use kernels::models::gbdt::{self, Objective, Parameters};
use kernels::models::linear;
use kernels::models::trees::{self, Scorer};

use super::data::{Rows, column, kept};
use super::features::{Columns, Encoder, Feature, Layout, numbers};
use super::library::Tabular;
use super::manifest::{Body, Form, Manifest};
use super::measure::metrics;
use super::options::Given;
use super::split::{By, Parts, split};
use super::statistics::statistics;
use super::target::{Target, labelled};
use super::train::{Trained, go_on};
use super::transform::{Draft, Transform};
use crate::error::{Error, Result};
use crate::parse::TransformItem;
use crate::plan::{Environment, Lakes};

const OBJECTIVES: [&str; 4] = ["regression", "binary", "multiclass", "lambdarank"];

/// What a training is told.
pub(super) struct Options {
    kind: &'static str,
    /// The column; `label` if none is named.
    label: Option<String>,
    weight: Option<String>,
    group: Option<String>,
    time: Option<String>,
    categorical: Vec<String>,
    test_fraction: f64,
    validation_fraction: f64,
    seed: u64,
    learner: Learner,
}

enum Learner {
    Linear(linear::Options),
    Logistic(linear::Options),
    Trees { objective: Option<&'static str>, parameters: Box<Parameters> },
}

impl Options {
    pub fn read(kind: &'static str, given: &mut Given) -> Result<Self> {
        let learner = match kind {
            "linear" => Learner::Linear(linear_options(linear::Family::Regression, given)?),
            "logistic" => Learner::Logistic(linear_options(linear::Family::Binary, given)?),
            _ => Learner::Trees {
                objective: given.one_of("objective", &OBJECTIVES)?,
                parameters: Box::new(parameters(given)?),
            },
        };
        let stops = matches!(&learner, Learner::Trees { parameters, .. }
            if parameters.early_stopping_rounds > 0);
        Ok(Self {
            kind,
            label: given.text("label")?,
            weight: given.text("weight")?,
            group: given.text("group")?,
            time: given.text("time")?,
            categorical: given.texts("categorical")?,
            test_fraction: given.share("test_fraction", 0.1)?,
            validation_fraction: match stops {
                true => given.share("validation_fraction", 0.1)?,
                false => 0.0,
            },
            seed: given.whole("seed", 0)? as u64,
            learner,
        })
    }

    /// Columns that are no features.
    fn others(&self, label: &str) -> Vec<String> {
        let named = [&self.weight, &self.group, &self.time].into_iter().flatten().cloned();
        named.chain([label.to_owned()]).collect()
    }
}

fn linear_options(family: linear::Family, given: &mut Given) -> Result<linear::Options> {
    let default = linear::Options::new(family);
    // Enough to decide between columns that say the same, too little to be seen; classes that can
    // be told apart would go on for ever.
    let l2 = if family == linear::Family::Regression { 1e-8 } else { 1e-4 };
    Ok(linear::Options {
        l1: given.number("l1", default.l1)?,
        l2: given.number("l2", l2)?,
        standardise: given.flag("standardise", default.standardise)?,
        intercept: given.flag("intercept", default.intercept)?,
        max_iterations: given.whole("max_iterations", default.max_iterations)?,
        tolerance: given.number("tolerance", default.tolerance)?,
        family,
    })
}

fn parameters(given: &mut Given) -> Result<Parameters> {
    let d = Parameters::new(Objective::Regression);
    Ok(Parameters {
        num_iterations: given.whole("num_iterations", d.num_iterations)?,
        learning_rate: given.number("learning_rate", d.learning_rate)?,
        num_leaves: given.whole("num_leaves", d.num_leaves)?,
        max_depth: given.whole("max_depth", d.max_depth)?,
        min_data_in_leaf: given.whole("min_data_in_leaf", d.min_data_in_leaf)?,
        min_sum_hessian_in_leaf: given
            .number("min_sum_hessian_in_leaf", d.min_sum_hessian_in_leaf)?,
        lambda_l1: given.number("lambda_l1", d.lambda_l1)?,
        lambda_l2: given.number("lambda_l2", d.lambda_l2)?,
        min_gain_to_split: given.number("min_gain_to_split", d.min_gain_to_split)?,
        max_bin: given.whole("max_bin", d.max_bin)?,
        min_data_in_bin: given.whole("min_data_in_bin", d.min_data_in_bin)?,
        feature_fraction: given.number("feature_fraction", d.feature_fraction)?,
        bagging_fraction: given.number("bagging_fraction", d.bagging_fraction)?,
        bagging_freq: given.whole("bagging_freq", d.bagging_freq)?,
        cat_smooth: given.number("cat_smooth", d.cat_smooth)?,
        cat_l2: given.number("cat_l2", d.cat_l2)?,
        max_cat_threshold: given.whole("max_cat_threshold", d.max_cat_threshold)?,
        min_data_per_group: given.whole("min_data_per_group", d.min_data_per_group)?,
        early_stopping_rounds: given.whole("early_stopping_rounds", d.early_stopping_rounds)?,
        seed: given.whole("seed", 0)? as u64,
        ..d
    })
}

/// A part of the rows as numbers.
struct Part {
    columns: Columns,
    labels: Vec<f64>,
    weights: Option<Vec<f64>>,
    groups: Vec<usize>,
}

/// Rows, their features, and what is to be learned of them.
struct Prepared {
    parts: Parts,
    transform: Transform,
    encoder: Encoder,
    features: RecordBatch,
    target: Target,
    label: usize,
    weight: Option<usize>,
    group: Option<usize>,
}

pub(super) async fn train(
    environment: &Environment,
    lakes: &Lakes,
    (items, options, watched): (Option<&[TransformItem]>, Options, Arc<Training>),
    rows: Rows,
) -> Result<Trained> {
    let Rows { batch, memory } = rows;
    let mut told = Vec::new();
    let prepared = prepare(environment, lakes, (items, &options), (batch, &memory), &mut told);
    let prepared = prepared.await?;
    let (count, width) = (prepared.parts.rows.num_rows(), prepared.encoder.width());
    memory.try_grow(count.saturating_mul(width + 2).saturating_mul(8))?;
    // Beside the runtime, which sees at once that nobody waits any more.
    let cut = move |_: &AtomicBool| -> Result<_> {
        let training = prepared.part(&prepared.parts.training)?;
        let validation = prepared.part(&prepared.parts.validation)?;
        Ok((prepared, training, validation))
    };
    let (prepared, training, validation) = apart(cut).await??;
    let threads = environment.engine.config().target_partitions();
    let ranks = matches!(&options.learner, Learner::Trees { objective: Some("lambdarank"), .. });
    let names = prepared.encoder.names();
    let (form, weights, model) = match options.learner {
        Learner::Linear(of) | Learner::Logistic(of) => {
            let family = family(&prepared.target);
            let of = linear::Options { family, ..of };
            let bytes = linear::memory_bytes(training.labels.len(), width, &of);
            memory.try_grow(bytes)?;
            fit_linear(of, training, (threads, watched), (&names, &mut told)).await?
        }
        Learner::Trees { objective, parameters } => {
            let objective = chosen(objective, &prepared.target);
            let parameters = Parameters { objective, ..*parameters };
            reserve(&memory, &training, &validation, threads, &parameters)?;
            fit_trees(parameters, (training, validation), (threads, watched), (&names, &mut told))
                .await?
        }
    };
    let mut test = prepared.part(&prepared.parts.test)?;
    if !ranks {
        test.groups.clear();
    }
    let predictions = predicted(&model, &test, &prepared.target)?;
    let metrics = match test.labels.is_empty() {
        true => Default::default(),
        false => metrics(&prepared.target, &test.labels, &predictions, &test.groups)?,
    };
    let (rows, test_rows) = (count - test.labels.len(), test.labels.len());
    if test_rows == 0 {
        told.push("no rows were left to test on: the version has no metrics".to_owned());
    }
    let statistics =
        statistics(&prepared.features, &prepared.parts.training, &prepared.encoder.features)?;
    let layout = prepared.encoder.layout();
    let Prepared { transform, encoder, target, .. } = prepared;
    let body = Body::Tabular { form, layout, features: encoder.features, target, ranks };
    let manifest = Manifest::new(transform.stored, body, &weights, statistics);
    let kind = options.kind;
    let (rows, test_rows) = (rows as u64, test_rows as u64);
    Ok(Trained { manifest, weights, kind, rows, test_rows, metrics, told })
}

async fn prepare(
    environment: &Environment,
    lakes: &Lakes,
    (items, options): (Option<&[TransformItem]>, &Options),
    (batch, memory): (RecordBatch, &MemoryReservation),
    told: &mut Vec<String>,
) -> Result<Prepared> {
    let name = options.label.clone().unwrap_or_else(|| "label".to_owned());
    let label = column(&batch, "label", &name)?;
    let keep = labelled(batch.column(label));
    let all = batch.num_rows();
    let batch = kept(&batch, &keep)?;
    if batch.num_rows() < all {
        let lacking = all - batch.num_rows();
        told.push(format!("{lacking} rows without a label were left out"));
    }
    if batch.num_rows() == 0 {
        return Err(Error::new("22000", "no rows to train on")
            .with_hint(format!("The query gives no row with a {name}.")));
    }
    let of = |option: &str, name: &Option<String>| {
        name.as_ref().map(|name| column(&batch, option, name)).transpose()
    };
    let (weight, group) = (of("weight", &options.weight)?, of("group", &options.group)?);
    let by = By {
        group,
        time: of("time", &options.time)?,
        test_fraction: options.test_fraction,
        validation_fraction: options.validation_fraction,
        seed: options.seed,
    };
    let schema = batch.schema();
    let field = schema.field(label);
    let target = target(&options.learner, field, batch.column(label), group.is_some())?;
    let parts = split(&batch, &by)?;
    let draft = Draft::new(items, &schema, &options.others(&name))?;
    let training = parts.rows.slice(parts.training.start, parts.training.len());
    if draft.is_empty() {
        return Err(Error::new("22000", "no features to train on")
            .with_hint("Every column of the query but the label and its like is one."));
    }
    let transform = draft.fit(environment, lakes, &training, memory).await?;
    let features = transform.apply(environment, lakes, &parts.rows, memory).await?;
    let layout = match options.learner {
        Learner::Trees { .. } => Layout::Codes,
        Learner::Linear(_) | Learner::Logistic(_) => Layout::Indicators,
    };
    let learned = features.schema();
    if let Some(other) = options.categorical.iter().find(|name| learned.index_of(name).is_err()) {
        return Err(Error::new("42703", format!("feature \"{other}\" does not exist"))
            .with_detail("Option \"categorical\" names features."));
    }
    let training = features.slice(parts.training.start, parts.training.len());
    let categorical = options.categorical.clone();
    let fit = move |_: &AtomicBool| -> Result<Encoder> {
        let fitted = learned
            .fields()
            .iter()
            .zip(training.columns())
            .map(|(field, rows)| Feature::fit(field, rows, categorical.contains(field.name())));
        Encoder::new(fitted.collect::<Result<_>>()?, layout)
    };
    let encoder = apart(fit).await??;
    Ok(Prepared { parts, transform, encoder, features, target, label, weight, group })
}

fn target(learner: &Learner, field: &Field, labels: &ArrayRef, grouped: bool) -> Result<Target> {
    let classes = || Target::classes(field, labels);
    match learner {
        Learner::Linear(_) => Ok(Target::Number),
        Learner::Logistic(_) => classes(),
        Learner::Trees { objective, .. } => match objective {
            Some("lambdarank") if !grouped => {
                Err(Error::new("22023", "objective lambdarank needs option \"group\"")
                    .with_hint("It names the column whose rows are ranked among themselves."))
            }
            Some("regression" | "lambdarank") => Ok(Target::Number),
            Some("binary") => match classes()? {
                Target::Classes { values, .. } if values.len() > 2 => {
                    let message = format!("label \"{}\" has {} values", field.name(), values.len());
                    Err(Error::new("22000", message)
                        .with_hint("objective = 'multiclass' tells apart more than two."))
                }
                two => Ok(two),
            },
            Some(_) => classes(),
            // Numbers are predicted as numbers, all else as classes.
            None if field.data_type().is_numeric() => Ok(Target::Number),
            None => classes(),
        },
    }
}

fn family(target: &Target) -> linear::Family {
    match target {
        Target::Number => linear::Family::Regression,
        Target::Classes { values, .. } if values.len() == 2 => linear::Family::Binary,
        Target::Classes { values, .. } => linear::Family::Multinomial { num_class: values.len() },
    }
}

fn chosen(objective: Option<&str>, target: &Target) -> Objective {
    match (objective, target) {
        (Some("lambdarank"), _) => Objective::lambdarank(),
        (_, Target::Number) => Objective::Regression,
        (_, Target::Classes { values, .. }) if values.len() == 2 => Objective::binary(),
        (_, Target::Classes { values, .. }) => Objective::Multiclass { num_class: values.len() },
    }
}

impl Prepared {
    fn part(&self, rows: &Range<usize>) -> Result<Part> {
        let slice = |array: &ArrayRef| array.slice(rows.start, rows.len());
        let arrays: Vec<ArrayRef> = self.features.columns().iter().map(slice).collect();
        let columns = self.encoder.columns(&arrays)?;
        let batch = &self.parts.rows;
        let schema = batch.schema();
        let labels =
            self.target.encode(schema.field(self.label), &slice(batch.column(self.label)))?;
        let weights = match self.weight {
            None => None,
            Some(column) => Some(numbers(&slice(batch.column(column)))?),
        };
        let groups = match self.group {
            None => Vec::new(),
            Some(column) => lengths(&slice(batch.column(column)))?,
        };
        Ok(Part { columns, labels, weights, groups })
    }
}

/// Rows of each group, which lie together.
fn lengths(groups: &ArrayRef) -> Result<Vec<usize>> {
    if groups.is_empty() {
        return Ok(Vec::new());
    }
    let parts = datafusion::arrow::compute::partition(&[groups.clone()]);
    let parts = parts.map_err(|error| Error::Engine(error.into()))?;
    Ok(parts.ranges().into_iter().map(|range| range.len()).collect())
}

type Fit = Result<(Form, Vec<u8>, Tabular)>;

async fn fit_linear(
    options: linear::Options,
    training: Part,
    (threads, watched): (usize, Arc<Training>),
    (names, told): (&[String], &mut Vec<String>),
) -> Fit {
    let fitted = apart(move |stopped| {
        let total = options.max_iterations as u64;
        let progress = |iteration: usize, loss: f64| {
            let (done, loss) = (iteration as u64, Some(loss));
            go_on(&watched, Told { phase: "training", done, total, loss }, stopped)
        };
        let run = linear::Run { threads, progress: &progress };
        let columns = training.columns.slices();
        linear::train(&options, &columns, &training.labels, training.weights.as_deref(), &run)
    });
    let fitted = fitted.await?.map_err(|error| refused(&error, names))?;
    if !fitted.report.converged {
        let iterations = fitted.report.iterations;
        told.push(format!("training has not converged in {iterations} iterations"));
    }
    let text = fitted.model.write();
    Ok((Form::Linear, text.into_bytes(), Tabular::Linear(fitted.model)))
}

async fn fit_trees(
    parameters: Parameters,
    (training, validation): (Part, Part),
    (threads, watched): (usize, Arc<Training>),
    (names, told): (&[String], &mut Vec<String>),
) -> Fit {
    let stops = parameters.early_stopping_rounds > 0;
    let trained = apart(move |stopped| {
        let progress = |at: gbdt::Progress| {
            let (done, total) = (at.iteration as u64, at.iterations as u64);
            let loss = at.validation;
            go_on(&watched, Told { phase: "training", done, total, loss }, stopped)
        };
        let run = gbdt::Run { threads, progress: &progress };
        let features = [&training, &validation].map(|part| part.features());
        let part = |part: usize| {
            let of = [&training, &validation][part];
            gbdt::Part {
                features: &features[part],
                labels: &of.labels,
                weights: of.weights.as_deref(),
                groups: &of.groups,
            }
        };
        let held = (!validation.labels.is_empty()).then(|| part(1));
        gbdt::train(&parameters, &part(0), held.as_ref(), &run)
    });
    let trained = trained.await?.map_err(|error| refused(&error, names))?;
    if stops {
        told.push(format!("the best of {} iterations is kept", trained.best_iteration));
    }
    let unsound = |error: trees::Error| Error::new("XX000", error.to_string());
    let text = trees::write(&trained.forest).map_err(unsound)?;
    let scorer = Scorer::new(trained.forest).map_err(unsound)?;
    Ok((Form::Trees, text.into_bytes(), Tabular::Trees(scorer)))
}

impl Part {
    fn features(&self) -> Vec<gbdt::Feature<'_>> {
        let columns = self.columns.values.iter().zip(&self.columns.categorical);
        columns
            .map(|(values, categorical)| match categorical {
                true => gbdt::Feature::Categorical(values),
                false => gbdt::Feature::Numeric(values),
            })
            .collect()
    }
}

fn reserve(
    memory: &MemoryReservation,
    training: &Part,
    validation: &Part,
    threads: usize,
    parameters: &Parameters,
) -> Result<()> {
    let bytes = gbdt::memory_bytes(
        training.labels.len(),
        validation.labels.len(),
        training.columns.values.len(),
        threads,
        parameters,
    );
    Ok(memory.try_grow(bytes)?)
}

fn predicted(model: &Tabular, part: &Part, target: &Target) -> Result<Vec<f64>> {
    let predicted = model.predict(&part.columns.slices(), target, part.labels.len());
    predicted.ok_or_else(|| Error::new("XX000", "the model takes other features"))
}

/// A kernel's refusal in SQL's words.
fn refused(error: &gbdt::Error, names: &[String]) -> Error {
    use gbdt::Error as Refused;
    let name = |feature: &usize| names.get(*feature).map_or("", String::as_str);
    match error {
        Refused::Parameter { name, must } => {
            Error::new("22023", format!("option \"{name}\" must be {must}"))
        }
        Refused::Value { feature, .. } => {
            let message = format!("feature \"{}\" has infinite values", name(feature));
            Error::new("22000", message)
                .with_hint("nullif(x, 'infinity') in TRANSFORM leaves them out.")
        }
        Refused::Label { must, .. } => Error::new("22000", format!("labels must be {must}")),
        Refused::Weight { .. } => Error::new("22000", "weights must be finite and at least 0"),
        Refused::TooManyRows => Error::new("54000", error.to_string()),
        Refused::Threads => Error::new("53000", error.to_string()),
        Refused::Cancelled => Error::new("57014", "canceling statement due to user request"),
        Refused::NoRows | Refused::NoFeatures | Refused::OneClass | Refused::Lengths { .. } => {
            Error::new("22000", error.to_string())
        }
    }
}
