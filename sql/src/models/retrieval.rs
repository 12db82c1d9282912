//! Models of retrieval: two towers, and implicit matrix factorisation.

use std::collections::BTreeMap;
use std::sync::Arc;

use catalog::apart;
use catalog::registry::{Told, Training};
use datafusion::arrow::array::RecordBatch;
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryReservation};
use kernels::models::held_out::Split;
use kernels::models::{als, two_tower};
use kernels::simd::level::Level;

use super::data::Rows;
use super::expand::HISTORY;
use super::interactions::{Columns, Named, Values, usable};
use super::library::Retrieval;
use super::manifest::{Body, Form, Manifest, Side};
use super::options::Given;
use super::retrieval_trials::{self as trials, Best, HeldOut};
use super::train::{Trained, go_on};
use super::transform::{Draft, Transform};
use super::trials::Searched;
use super::user_service::UserService;
use crate::error::{Error, Result};
use crate::parse::TransformItem;
use crate::plan::{Environment, Lakes};

/// What a training is told.
struct Options {
    named: Named,
    learner: Learner,
    user_service: Option<String>,
    /// Of a search; without one only early stopping holds rows out.
    held_out: HeldOut,
}

/// Options, and those of trials where some are searched for.
pub(super) struct Asked {
    options: Options,
    searched: Option<Searched<Learner>>,
}

#[derive(Debug, Clone)]
pub(super) enum Learner {
    TwoTower(Box<two_tower::Options>),
    Als(als::Options),
}

impl Learner {
    fn kind(&self) -> &'static str {
        match self {
            Self::TwoTower(_) => "two_tower",
            Self::Als(_) => "als",
        }
    }
}

impl Asked {
    /// # Errors
    /// 42704 and 22023 for options, those that a trial would draw too.
    pub fn read(kind: &'static str, given: &mut Given) -> Result<Self> {
        let read = |given: &mut Given, searches| Options::read(kind, given, searches);
        let (options, searched) = Searched::read(kind, given, read, |options| options.learner)?;
        if let Some(searched) = &searched {
            trials::yardstick(&searched.search)?;
        }
        Ok(Self { options, searched })
    }
}

impl Options {
    fn read(kind: &str, given: &mut Given, searches: bool) -> Result<Self> {
        let mut key = |name: &'static str| {
            given.text(name)?.ok_or_else(|| {
                Error::new("22023", format!("option \"{name}\" is missing"))
                    .with_hint("It names the column that says who took what.")
            })
        };
        let (user_key, item_key) = (key("user_key")?, key("item_key")?);
        let two_tower = kind == "two_tower";
        let learner = match two_tower {
            true => Learner::TwoTower(Box::new(two_tower_options(given)?)),
            false => Learner::Als(als_options(given)?),
        };
        let mut named = Named {
            user_key,
            item_key,
            label: given.text("label")?,
            weight: given.text("weight")?,
            time: None,
            history: None,
            user_features: Vec::new(),
            item_features: Vec::new(),
        };
        if two_tower || searches {
            named.time = given.text("time")?;
        }
        if two_tower {
            named.history = given.text("history")?;
            named.user_features = given.texts("user_features")?;
            named.item_features = given.texts("item_features")?;
        }
        let user_service = if two_tower { given.text("user_service")? } else { None };
        let mut held_out = HeldOut::default();
        if searches {
            held_out.split = split(given)?;
            held_out.test = given.share("test_fraction", held_out.test)?;
            held_out.validation = given.share("validation_fraction", held_out.validation)?;
            held_out.seed = given.whole("seed", SEED)? as u64;
        }
        Ok(Self { named, learner, user_service, held_out })
    }
}

/// Where none is given.
const SEED: usize = 42;

fn split(given: &mut Given) -> Result<Split> {
    Ok(match given.one_of("split", &["last", "random"])? {
        Some("random") => Split::Random,
        _ => Split::Last,
    })
}

fn two_tower_options(given: &mut Given) -> Result<two_tower::Options> {
    let d = two_tower::Options::default();
    let logq = match given.flag("logq", true)? {
        true => d.logq,
        false => two_tower::LogQ::Off,
    };
    let layers = given.numbers("layers")?.into_iter().map(|width| width.max(0.0) as usize);
    let options = two_tower::Options {
        dim: given.whole("dim", d.dim)?,
        temperature: given.number("temperature", 0.2)? as f32,
        logq,
        epochs: given.whole("epochs", d.epochs)?,
        batch_size: given.whole("batch_size", d.batch_size)?,
        learning_rate: given.number("learning_rate", 0.003)? as f32,
        layers: layers.collect(),
        negatives: given.whole("negatives", d.negatives)?,
        hard_negatives: given.whole("hard_negatives", d.hard_negatives)?,
        split: split(given)?,
        test_fraction: given.share("test_fraction", d.test_fraction)?,
        early_stop: given.flag("early_stop", d.early_stop)?,
        history_limit: given.whole("history_limit", d.history_limit)?,
        history_dropout: given.number("history_dropout", 0.2)? as f32,
        id_dropout: given.number("id_dropout", 0.02)? as f32,
        seed: given.whole("seed", SEED)? as u64,
    };
    options.check().map_err(|error| refused(&error))?;
    Ok(options)
}

fn als_options(given: &mut Given) -> Result<als::Options> {
    let d = als::Options::default();
    let options = als::Options {
        dim: given.whole("dim", d.dim)?,
        regularisation: given.number("regularisation", d.regularisation)?,
        unobserved_weight: given.number("unobserved_weight", d.unobserved_weight)?,
        sweeps: given.whole("sweeps", d.sweeps)?,
        seed: given.whole("seed", SEED)? as u64,
    };
    options.check().map_err(|error| refused(&error))?;
    Ok(options)
}

/// A kernel's refusal in SQL's words.
pub(super) fn refused(error: &two_tower::Error) -> Error {
    Error::new(error.sqlstate(), error.to_string())
}

pub(super) async fn train(
    environment: &Environment,
    lakes: &Lakes,
    (items, asked, watched): (Option<&[TransformItem]>, Asked, Arc<Training>),
    (rows, ordered): (Rows, bool),
) -> Result<Trained> {
    // The rows' memory is held until all is done.
    let Rows { batch, memory: _held } = rows;
    let Asked { options, searched } = asked;
    let Options { named, learner, user_service, held_out } = options;
    let mut told = Vec::new();
    let batch = usable(&named, (&batch, ordered), &mut told)?;
    let draft = Draft::new(items, &batch.schema(), &named.others())?.only(&named.features())?;
    let user_service = match &user_service {
        None => None,
        Some(name) => Some(service(environment, lakes, name, (&draft, &named, &batch)).await?),
    };
    let teaching = Teaching { environment, lakes, draft, named: &named, watched };
    let best = match searched {
        None => Best::from(learner),
        Some(searched) => trials::best(&teaching, &batch, &held_out, searched, &mut told).await?,
    };
    let lesson = teaching.lesson(&batch).await?;
    let columns = &lesson.columns;
    let side = |key: &String, features: &[(String, Values)]| Side {
        key: key.clone(),
        key_type: key_type(&batch, key),
        features: features.iter().map(|(name, values)| (name.clone(), values.taken())).collect(),
    };
    let user = side(&named.user_key, &columns.user);
    let item = side(&named.item_key, &columns.item);
    let rows = columns.picks.users.len() as u64;
    let Learned { model, metrics, epochs } = teaching.learn(&best.learner, &lesson).await?;
    told.extend(epochs.map(|epochs| format!("trained for {epochs} epochs")));
    let Best { learner, chosen, trials, tested } = best;
    let (test_rows, metrics) = tested.unwrap_or((0, metrics));
    let (form, weights) = match model {
        Retrieval::TwoTower(model) => (Form::TwoTower, model.to_bytes()),
        Retrieval::Als(model) => (Form::Als, model.to_bytes()),
    };
    let history = named.history.clone();
    let body = Body::Retrieval { form, user, item, history, user_service };
    let manifest = Manifest::new(lesson.transform.stored, body, &weights, Vec::new());
    let kind = learner.kind();
    Ok(Trained { manifest, weights, kind, rows, test_rows, metrics, told, chosen, trials })
}

/// The service that is to say what is known of a user.
async fn service(
    environment: &Environment,
    lakes: &Lakes,
    name: &str,
    (draft, named, batch): (&Draft, &Named, &RecordBatch),
) -> Result<UserService> {
    let inputs = draft.clone().only(&named.user_features)?.inputs(&batch.schema())?;
    let inputs: Vec<String> = inputs.into_iter().map(|input| input.name).collect();
    let key_type = key_type(batch, &named.user_key);
    let history = named.history.as_deref().unwrap_or(HISTORY);
    let user = (named.user_key.as_str(), key_type.as_str());
    UserService::checked(environment, lakes, name, user, (&inputs, history)).await
}

fn key_type(batch: &RecordBatch, key: &str) -> String {
    match batch.column_by_name(key).map(|column| column.data_type()) {
        Some(of) if of.is_integer() => "bigint".to_owned(),
        _ => "text".to_owned(),
    }
}

/// What every training of a statement has.
pub(super) struct Teaching<'a> {
    environment: &'a Environment,
    lakes: &'a Lakes,
    draft: Draft,
    pub named: &'a Named,
    pub watched: Arc<Training>,
}

/// Rows to learn from. Their transform has learned from them and no others.
pub(super) struct Lesson {
    transform: Transform,
    columns: Arc<Columns>,
    memory: MemoryReservation,
}

/// What came of a training.
pub(super) struct Learned {
    pub model: Retrieval,
    /// On what early stopping has held out, before the last training on all rows.
    metrics: BTreeMap<String, f64>,
    epochs: Option<usize>,
}

impl Teaching<'_> {
    /// Memory for what is dropped before the training ends.
    pub fn memory(&self) -> MemoryReservation {
        let pool = &self.environment.engine.runtime_env().memory_pool;
        MemoryConsumer::new("CreateModel").register(pool)
    }

    pub async fn lesson(&self, rows: &RecordBatch) -> Result<Lesson> {
        let (environment, lakes, memory) = (self.environment, self.lakes, self.memory());
        memory.try_grow(rows.get_array_memory_size())?;
        let transform = self.draft.clone().fit(environment, lakes, rows, &memory).await?;
        let features = match transform.names().is_empty() {
            true => None,
            false => Some(transform.apply(environment, lakes, rows, &memory).await?),
        };
        let columns = Arc::new(Columns::read(self.named, rows, features.as_ref())?);
        Ok(Lesson { transform, columns, memory })
    }

    pub async fn learn(&self, learner: &Learner, lesson: &Lesson) -> Result<Learned> {
        let threads = self.environment.engine.config().target_partitions();
        let columns = &lesson.columns;
        let bytes = match learner {
            Learner::TwoTower(of) => columns.with(|rows| two_tower::memory_bytes(rows, of)),
            Learner::Als(of) => columns.interactions(|rows| als::memory_bytes(rows, of, threads)),
        };
        lesson.memory.try_grow(bytes)?;
        let (watched, columns) = (Arc::clone(&self.watched), Arc::clone(columns));
        let learner = learner.clone();
        let learned = apart(move |stopped| -> Result<Learned, two_tower::Error> {
            let watch = |progress| go_on(&watched, told(progress), stopped);
            let level = Level::best();
            match &learner {
                Learner::TwoTower(of) => {
                    let work = two_tower::Work { level, threads, watch: &watch };
                    let trained = columns.with(|rows| two_tower::train(rows, of, &work))?;
                    Ok(Learned::towers(trained))
                }
                Learner::Als(of) => {
                    let work = als::Work { level, threads, watch: &watch };
                    let model = columns.interactions(|rows| als::train(rows, of, &work))?;
                    let (model, metrics) = (Retrieval::Als(model), BTreeMap::new());
                    Ok(Learned { model, metrics, epochs: None })
                }
            }
        });
        let learned = learned.await;
        lesson.memory.shrink(bytes);
        learned?.map_err(|error| refused(&error))
    }
}

impl Learned {
    fn towers(trained: two_tower::Training) -> Self {
        let best = trained.epochs.checked_sub(1).and_then(|at| trained.held.get(at));
        let of = |best: &two_tower::Held| {
            [("recall@100", best.recall_at_100), ("ndcg@100", best.ndcg_at_100)]
        };
        let metrics = best.map(of).into_iter().flatten();
        let metrics = metrics.map(|(name, value)| (name.to_owned(), value)).collect();
        let model = Retrieval::TwoTower(Box::new(trained.model));
        Self { model, metrics, epochs: Some(trained.epochs) }
    }
}

fn told(progress: two_tower::Progress) -> Told {
    Told {
        phase: if progress.held_out { "training, rows held out" } else { "training" },
        done: progress.epoch as u64,
        total: progress.epochs as u64,
        loss: progress.loss.map(f64::from),
    }
}
