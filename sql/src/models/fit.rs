//! One training of a model of rows, on numbers.

use std::sync::Arc;

use catalog::apart;
use catalog::registry::{Told, Training};
use datafusion::execution::memory_pool::MemoryReservation;
use kernels::models::dcn;
use kernels::models::gbdt::{self, Objective, Parameters};
use kernels::models::linear;
use kernels::models::trees::{self, Scorer};
use kernels::simd::level::Level;

use super::features::Columns;
use super::library::Tabular;
use super::manifest::Form;
use super::target::Target;
use super::train::go_on;
use crate::error::{Error, Result};

/// What learns, and how.
#[derive(Debug, Clone)]
pub(super) enum Learner {
    Linear(linear::Options),
    Logistic(linear::Options),
    Trees { objective: Option<&'static str>, parameters: Box<Parameters> },
    Dcn { objective: Option<&'static str>, options: Box<dcn::Options> },
}

/// A part of the rows as numbers.
#[derive(Debug)]
pub(super) struct Part {
    pub columns: Columns,
    pub labels: Vec<f64>,
    pub weights: Option<Vec<f64>>,
    /// Rows of each group, if there are groups.
    pub groups: Vec<usize>,
}

/// What every training of a statement has.
pub(super) struct Fitting<'a> {
    pub target: &'a Target,
    /// Of the features.
    pub names: &'a [String],
    pub threads: usize,
    pub watched: &'a Arc<Training>,
    pub memory: &'a MemoryReservation,
}

/// What came of one.
pub(super) struct Fitted {
    pub form: Form,
    pub weights: Vec<u8>,
    pub model: Tabular,
    /// What is worth knowing of how it went.
    pub told: Option<String>,
}

impl Learner {
    /// Whether rows of a group are ranked among themselves.
    pub fn ranks(&self) -> bool {
        matches!(self, Self::Trees { objective: Some("lambdarank"), .. })
    }

    /// Whether rows held out stop it early.
    pub fn stops(&self) -> bool {
        match self {
            Self::Linear(_) | Self::Logistic(_) => false,
            Self::Trees { parameters, .. } => parameters.early_stopping_rounds > 0,
            Self::Dcn { options, .. } => options.early_stop,
        }
    }
}

impl Fitting<'_> {
    /// Learns from a part; rows of another may stop it early.
    ///
    /// # Errors
    /// 22023 for options, 22000 for rows that nothing can be learned from, 53200, 57014.
    pub async fn run(
        &self,
        learner: &Learner,
        training: &Arc<Part>,
        validation: &Arc<Part>,
    ) -> Result<Fitted> {
        let (rows, width) = (training.labels.len(), training.columns.values.len());
        match learner {
            Learner::Linear(options) | Learner::Logistic(options) => {
                let options = linear::Options { family: family(self.target), ..*options };
                let bytes = linear::memory_bytes(rows, width, &options);
                self.memory.try_grow(bytes)?;
                let fitted = self.linear(options, Arc::clone(training)).await;
                self.memory.shrink(bytes);
                fitted
            }
            Learner::Trees { objective, parameters } => {
                let objective = chosen(*objective, self.target);
                let parameters = Parameters { objective, ..parameters.as_ref().clone() };
                let held = validation.labels.len();
                let bytes = gbdt::memory_bytes(rows, held, width, self.threads, &parameters);
                self.memory.try_grow(bytes)?;
                let parts = (Arc::clone(training), Arc::clone(validation));
                let fitted = self.trees(parameters, parts).await;
                self.memory.shrink(bytes);
                fitted
            }
            Learner::Dcn { options, .. } => {
                let objective = match self.target {
                    Target::Number => dcn::Objective::Regression,
                    Target::Classes { .. } => dcn::Objective::Binary,
                };
                let options = dcn::Options { objective, ..options.as_ref().clone() };
                let held = validation.labels.len();
                let bytes = dcn::memory_bytes(&training.rows(&training.features()), held, &options);
                self.memory.try_grow(bytes)?;
                let parts = (Arc::clone(training), Arc::clone(validation));
                let fitted = self.dcn(options, parts).await;
                self.memory.shrink(bytes);
                fitted
            }
        }
    }

    async fn linear(&self, options: linear::Options, training: Arc<Part>) -> Result<Fitted> {
        let (threads, watched) = (self.threads, Arc::clone(self.watched));
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
        let fitted = fitted.await?.map_err(|error| refused(&error, self.names))?;
        let iterations = fitted.report.iterations;
        let told = (!fitted.report.converged)
            .then(|| format!("training has not converged in {iterations} iterations"));
        let weights = fitted.model.write().into_bytes();
        Ok(Fitted { form: Form::Linear, weights, model: Tabular::Linear(fitted.model), told })
    }

    async fn trees(
        &self,
        parameters: Parameters,
        (training, validation): (Arc<Part>, Arc<Part>),
    ) -> Result<Fitted> {
        let stops = parameters.early_stopping_rounds > 0;
        let (threads, watched) = (self.threads, Arc::clone(self.watched));
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
        let trained = trained.await?.map_err(|error| refused(&error, self.names))?;
        let best = trained.best_iteration;
        let told = stops.then(|| format!("the best of {best} iterations is kept"));
        let unsound = |error: trees::Error| Error::new("XX000", error.to_string());
        let weights = trees::write(&trained.forest).map_err(unsound)?.into_bytes();
        let scorer = Scorer::new(trained.forest).map_err(unsound)?;
        Ok(Fitted { form: Form::Trees, weights, model: Tabular::Trees(scorer), told })
    }

    async fn dcn(
        &self,
        options: dcn::Options,
        (training, validation): (Arc<Part>, Arc<Part>),
    ) -> Result<Fitted> {
        let (threads, watched) = (self.threads, Arc::clone(self.watched));
        let trained = apart(move |stopped| {
            let watch = |at: dcn::Progress| {
                let (done, total, loss) = (at.epoch as u64, at.epochs as u64, at.loss);
                let loss = loss.map(f64::from);
                go_on(&watched, Told { phase: "training", done, total, loss }, stopped)
            };
            let work = dcn::Work { level: Level::best(), threads, watch: &watch };
            let features = [&training, &validation].map(|part| part.features());
            let held = (!validation.labels.is_empty()).then(|| validation.rows(&features[1]));
            dcn::train(&options, &training.rows(&features[0]), held.as_ref(), &work)
        });
        let trained = trained.await?.map_err(|error| refused(&error, self.names))?;
        let (best, all) = (trained.epochs, trained.losses.len());
        let stopped = !trained.held.is_empty();
        let told = stopped.then(|| format!("the weights of epoch {best} of {all} are kept"));
        let (weights, model) = (trained.model.to_bytes(), Tabular::Dcn(Box::new(trained.model)));
        Ok(Fitted { form: Form::Dcn, weights, model, told })
    }
}

impl Fitted {
    /// What the model gives for a part.
    pub fn predicted(&self, part: &Part, target: &Target) -> Result<Vec<f64>> {
        self.model.predict(&part.columns.slices(), target, part.labels.len())
    }
}

impl Part {
    fn rows<'a>(&'a self, features: &'a [dcn::Feature<'a>]) -> dcn::Rows<'a> {
        dcn::Rows { features, labels: &self.labels, weights: self.weights.as_deref() }
    }

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

/// A kernel's refusal in SQL's words.
pub(super) fn refused(error: &gbdt::Error, names: &[String]) -> Error {
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
