//! Models of rows with a label: linear, logistic, boosted trees, deep and cross networks.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use catalog::apart;
use catalog::registry::Training;
use datafusion::arrow::array::{Array, ArrayRef, RecordBatch};
use datafusion::arrow::datatypes::Field;
use datafusion::execution::memory_pool::MemoryReservation;
use kernels::models::dcn;
use kernels::models::gbdt::{Objective, Parameters};
use kernels::models::linear;

use super::data::{Rows, column, kept};
use super::features::{Encoder, Feature, Layout, numbers};
use super::fit::{Fitted, Fitting, Learner, Part, refused};
use super::manifest::{Body, Manifest};
use super::measure::metrics;
use super::options::Given;
use super::split::{By, Parts, split};
use super::statistics::statistics;
use super::target::{Target, labelled};
use super::train::Trained;
use super::transform::{Draft, Transform};
use super::trials::{self, LEAST_ROWS, Searched};
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

/// Options, and those of trials where some are searched for.
pub(super) struct Asked {
    options: Options,
    searched: Option<Searched<Learner>>,
}

impl Asked {
    /// # Errors
    /// 42704 and 22023 for options, those that a trial would draw too.
    pub fn read(kind: &'static str, given: &mut Given) -> Result<Self> {
        let read = |given: &mut Given, searches| Options::read(kind, given, searches);
        let (options, searched) = Searched::read(kind, given, read, |options| options.learner)?;
        Ok(Self { options, searched })
    }
}

impl Options {
    fn read(kind: &'static str, given: &mut Given, searches: bool) -> Result<Self> {
        let learner = match kind {
            "linear" => Learner::Linear(linear_options(linear::Family::Regression, given)?),
            "logistic" => Learner::Logistic(linear_options(linear::Family::Binary, given)?),
            "dcn" => Learner::Dcn {
                objective: given.one_of("objective", &OBJECTIVES[..2])?,
                options: Box::new(dcn_options(given)?),
            },
            _ => Learner::Trees {
                objective: given.one_of("objective", &OBJECTIVES)?,
                parameters: Box::new(parameters(given)?),
            },
        };
        Ok(Self {
            kind,
            label: given.text("label")?,
            weight: given.text("weight")?,
            group: given.text("group")?,
            time: given.text("time")?,
            categorical: given.texts("categorical")?,
            test_fraction: given.share("test_fraction", 0.1)?,
            validation_fraction: match searches || learner.stops() {
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

fn dcn_options(given: &mut Given) -> Result<dcn::Options> {
    // What it is for is known with the labels.
    let d = dcn::Options::new(dcn::Objective::Binary);
    let options = dcn::Options {
        cross_layers: given.whole("cross_layers", d.cross_layers)?,
        rank: given.whole("rank", d.rank)?,
        layers: given.widths("layers", &d.layers)?,
        dim: given.whole("dim", d.dim)?,
        epochs: given.whole("epochs", d.epochs)?,
        batch_size: given.whole("batch_size", d.batch_size)?,
        learning_rate: given.single("learning_rate", d.learning_rate)?,
        l2: given.single("l2", d.l2)?,
        category_dropout: given.single("category_dropout", d.category_dropout)?,
        early_stop: given.flag("early_stop", d.early_stop)?,
        seed: given.whole("seed", 0)? as u64,
        ..d
    };
    options.check().map_err(|error| refused(&error, &[]))?;
    Ok(options)
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

/// Rows, their features, and what is to be learned of them.
pub(super) struct Prepared {
    pub parts: Parts,
    transform: Transform,
    pub encoder: Encoder,
    features: RecordBatch,
    pub target: Target,
    label: usize,
    weight: Option<usize>,
    group: Option<usize>,
}

pub(super) async fn train(
    environment: &Environment,
    lakes: &Lakes,
    (items, asked, watched): (Option<&[TransformItem]>, Asked, Arc<Training>),
    rows: Rows,
) -> Result<Trained> {
    let Rows { batch, memory } = rows;
    let Asked { options, searched } = asked;
    let mut told = Vec::new();
    let prepared = prepare(environment, lakes, (items, &options), (batch, &memory), &mut told);
    let prepared = Arc::new(prepared.await?);
    let (count, width) = (prepared.parts.rows.num_rows(), prepared.encoder.width());
    memory.try_grow(count.saturating_mul(width + 2).saturating_mul(8))?;
    let names = prepared.encoder.names();
    let threads = environment.engine.config().target_partitions();
    let target = &prepared.target;
    let fitting = Fitting { target, names: &names, threads, watched: &watched, memory: &memory };
    let (learner, chosen, trials) = match searched {
        None => (options.learner, BTreeMap::new(), Vec::new()),
        Some(searched) => trials::best(searched, &prepared, &fitting, &mut told).await?,
    };
    let Parts { training, validation, test, .. } = &prepared.parts;
    // Only what stops early needs rows of its own for that; else they are learned from, too.
    let both = training.start.min(validation.start)..training.end.max(validation.end);
    let (training, validation) = match learner.stops() {
        true => (training.clone(), validation.clone()),
        false => (both, 0..0),
    };
    let (training, validation) = (prepared.cut(training).await?, prepared.cut(validation).await?);
    let fitted = fitting.run(&learner, &training, &validation).await?;
    let mut test = prepared.part(test)?;
    if !learner.ranks() {
        test.groups.clear();
    }
    let metrics = match test.labels.is_empty() {
        true => BTreeMap::new(),
        false => metrics(target, &test.labels, &fitted.predicted(&test, target)?, &test.groups)?,
    };
    let Fitted { form, weights, told: more, .. } = fitted;
    told.extend(more);
    let (rows, test_rows) = ((count - test.labels.len()) as u64, test.labels.len() as u64);
    if test_rows == 0 {
        told.push("no rows were left to test on: the version has no metrics".to_owned());
    }
    let Prepared { transform, encoder, features, parts, .. } = prepared.as_ref();
    let statistics = statistics(features, &parts.training, &encoder.features)?;
    let (layout, features) = (encoder.layout(), encoder.features.clone());
    let (target, ranks) = (target.clone(), learner.ranks());
    let body = Body::Tabular { form, layout, features, target, ranks };
    let manifest = Manifest::new(transform.stored.clone(), body, &weights, statistics);
    let kind = options.kind;
    Ok(Trained { manifest, weights, kind, rows, test_rows, metrics, told, chosen, trials })
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
        Learner::Trees { .. } | Learner::Dcn { .. } => Layout::Codes,
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
            Some("binary") => two_classes(
                field,
                classes()?,
                "objective = 'multiclass' tells apart more than two.",
            ),
            Some(_) => classes(),
            // Numbers are predicted as numbers, all else as classes.
            None if field.data_type().is_numeric() => Ok(Target::Number),
            None => classes(),
        },
        Learner::Dcn { objective, .. } => match objective {
            Some("regression") => Ok(Target::Number),
            None if field.data_type().is_numeric() => Ok(Target::Number),
            _ => two_classes(field, classes()?, "A gbdt or a logistic model tells apart more."),
        },
    }
}

fn two_classes(field: &Field, target: Target, hint: &str) -> Result<Target> {
    match &target {
        Target::Classes { values, .. } if values.len() > 2 => {
            let message = format!("label \"{}\" has {} values", field.name(), values.len());
            Err(Error::new("22000", message).with_hint(hint))
        }
        _ => Ok(target),
    }
}

impl Prepared {
    /// A part, cut beside the runtime, which sees at once that nobody waits any more.
    pub async fn cut(self: &Arc<Self>, rows: Range<usize>) -> Result<Arc<Part>> {
        let prepared = Arc::clone(self);
        let cut = move |_: &AtomicBool| prepared.part(&rows);
        apart(cut).await?.map(Arc::new)
    }

    /// A share of the training part: its last rows, of groups all.
    pub fn last_of_training(&self, share: f64) -> Result<Range<usize>> {
        let Range { start, end } = self.parts.training;
        let all = end - start;
        let wanted = ((all as f64 * share).ceil() as usize).max(LEAST_ROWS).min(all);
        let Some(group) = self.group else { return Ok(end - wanted..end) };
        let mut rows = 0;
        for length in lengths(&self.parts.rows.column(group).slice(start, all))?.iter().rev() {
            if rows >= wanted {
                break;
            }
            rows += length;
        }
        Ok(end - rows..end)
    }

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
