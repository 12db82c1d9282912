//! Models of retrieval: two towers, and implicit matrix factorisation.
//!
//! Keys are integers or text. In the towers text, booleans and whole numbers are categories, other
//! numbers are numbers, arrays are lists of categories.

use std::collections::BTreeMap;
use std::sync::Arc;

use catalog::apart;
use catalog::registry::{Told, Training};
use datafusion::arrow::array::{Array, ArrayRef, AsArray, RecordBatch, UInt64Array};
use datafusion::arrow::compute::{cast, take_record_batch};
use datafusion::arrow::datatypes::{DataType, Int64Type, TimeUnit};
use datafusion::execution::memory_pool::MemoryReservation;
use kernels::models::{als, two_tower};
use kernels::simd::level::Level;
use twox_hash::XxHash64;

use super::data::{Rows, column, kept};
use super::features::{numbers, texts};
use super::manifest::{Body, Form, Manifest, Side, Taken};
use super::options::Given;
use super::split::in_order;
use super::train::{Trained, go_on};
use super::transform::Draft;
use crate::error::{Error, Result};
use crate::parse::TransformItem;
use crate::plan::{Environment, Lakes};

/// What a training is told.
pub(super) struct Options {
    user_key: String,
    item_key: String,
    label: Option<String>,
    weight: Option<String>,
    time: Option<String>,
    history: Option<String>,
    user_features: Vec<String>,
    item_features: Vec<String>,
    learner: Learner,
}

enum Learner {
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

impl Options {
    pub fn read(kind: &str, given: &mut Given) -> Result<Self> {
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
        let mut options = Self {
            user_key,
            item_key,
            label: given.text("label")?,
            weight: given.text("weight")?,
            time: None,
            history: None,
            user_features: Vec::new(),
            item_features: Vec::new(),
            learner,
        };
        if two_tower {
            options.time = given.text("time")?;
            options.history = given.text("history")?;
            options.user_features = given.texts("user_features")?;
            options.item_features = given.texts("item_features")?;
        }
        Ok(options)
    }

    /// Columns that are no features.
    fn others(&self) -> Vec<String> {
        let named = [&self.label, &self.weight, &self.time, &self.history];
        let keys = [self.user_key.clone(), self.item_key.clone()];
        named.into_iter().flatten().cloned().chain(keys).collect()
    }
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
        split: match given.one_of("split", &["last", "random"])? {
            Some("random") => two_tower::Split::Random,
            _ => two_tower::Split::Last,
        },
        test_fraction: given.share("test_fraction", d.test_fraction)?,
        early_stop: given.flag("early_stop", d.early_stop)?,
        history_limit: given.whole("history_limit", d.history_limit)?,
        history_dropout: given.number("history_dropout", 0.2)? as f32,
        id_dropout: given.number("id_dropout", 0.02)? as f32,
        seed: given.whole("seed", 42)? as u64,
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
        seed: given.whole("seed", 42)? as u64,
    };
    options.check().map_err(|error| refused(&error))?;
    Ok(options)
}

/// A kernel's refusal in SQL's words.
pub(super) fn refused(error: &two_tower::Error) -> Error {
    Error::new(error.sqlstate(), error.to_string())
}

/// A column as a tower takes it.
enum Values {
    Category(Vec<Option<u64>>),
    Number(Vec<f32>),
    List { ends: Vec<usize>, keys: Vec<u64> },
}

/// All columns of a training, in the order of the rows.
struct Columns {
    users: Vec<u64>,
    items: Vec<u64>,
    times: Option<Vec<i64>>,
    weights: Option<Vec<f32>>,
    history: Option<Values>,
    user: Vec<(String, Values)>,
    item: Vec<(String, Values)>,
}

pub(super) async fn train(
    environment: &Environment,
    lakes: &Lakes,
    (items, options, training): (Option<&[TransformItem]>, Options, Arc<Training>),
    (rows, ordered): (Rows, bool),
) -> Result<Trained> {
    let Rows { batch, memory } = rows;
    let mut told = Vec::new();
    let batch = usable(&options, (&batch, ordered), &mut told)?;
    let draft = Draft::new(items, &batch.schema(), &options.others())?;
    let draft = draft.only(&[&options.user_features[..], &options.item_features[..]].concat())?;
    let transform = draft.fit(environment, lakes, &batch, &memory).await?;
    let features = match transform.names().is_empty() {
        true => None,
        false => Some(transform.apply(environment, lakes, &batch, &memory).await?),
    };
    let columns = Columns::read(&options, &batch, features.as_ref())?;
    let key_type = |key: &str| match batch.column_by_name(key).map(|column| column.data_type()) {
        Some(of) if of.is_integer() => "bigint".to_owned(),
        _ => "text".to_owned(),
    };
    let side = |key: &str, named: &[(String, Values)]| Side {
        key: key.to_owned(),
        key_type: key_type(key),
        features: named.iter().map(|(name, values)| (name.clone(), values.taken())).collect(),
    };
    let user = side(&options.user_key, &columns.user);
    let item = side(&options.item_key, &columns.item);
    let rows = columns.users.len() as u64;
    let threads = environment.engine.config().target_partitions();
    let kind = options.learner.kind();
    let Learned { form, weights, metrics, epochs } =
        learn(options.learner, columns, threads, (&memory, training)).await?;
    told.extend(epochs.map(|epochs| format!("trained for {epochs} epochs")));
    let body = Body::Retrieval { form, user, item, history: options.history };
    let manifest = Manifest::new(transform.stored, body, &weights, Vec::new());
    let (chosen, trials) = (BTreeMap::new(), Vec::new());
    Ok(Trained { manifest, weights, kind, rows, test_rows: 0, metrics, told, chosen, trials })
}

/// What came of a training.
struct Learned {
    form: Form,
    weights: Vec<u8>,
    metrics: BTreeMap<String, f64>,
    epochs: Option<usize>,
}

async fn learn(
    learner: Learner,
    columns: Columns,
    threads: usize,
    (memory, training): (&MemoryReservation, Arc<Training>),
) -> Result<Learned> {
    let told = |progress: two_tower::Progress| Told {
        phase: if progress.held_out { "training, rows held out" } else { "training" },
        done: progress.epoch as u64,
        total: progress.epochs as u64,
        loss: progress.loss.map(f64::from),
    };
    match learner {
        Learner::TwoTower(of) => {
            memory.try_grow(columns.with(|examples| two_tower::memory_bytes(examples, &of)))?;
            let trained = apart(move |stopped| {
                let watch = |progress| go_on(&training, told(progress), stopped);
                let work = two_tower::Work { level: Level::best(), threads, watch: &watch };
                columns.with(|examples| two_tower::train(examples, &of, &work))
            });
            let trained = trained.await?.map_err(|error| refused(&error))?;
            // Of the last of each user, before the last training on all rows.
            let best = trained.epochs.checked_sub(1).and_then(|at| trained.held.get(at));
            let of = |best: &two_tower::Held| {
                [("recall@100", best.recall_at_100), ("ndcg@100", best.ndcg_at_100)]
            };
            let metrics = best.map(of).into_iter().flatten();
            let metrics = metrics.map(|(name, value)| (name.to_owned(), value)).collect();
            let (epochs, weights) = (Some(trained.epochs), trained.model.to_bytes());
            Ok(Learned { form: Form::TwoTower, weights, metrics, epochs })
        }
        Learner::Als(of) => {
            let bytes = columns.interactions(|rows| als::memory_bytes(rows, &of, threads));
            memory.try_grow(bytes)?;
            let trained = apart(move |stopped| {
                let watch = |progress| go_on(&training, told(progress), stopped);
                let work = als::Work { level: Level::best(), threads, watch: &watch };
                columns.interactions(|rows| als::train(rows, &of, &work))
            });
            let model = trained.await?.map_err(|error| refused(&error))?;
            let (weights, metrics) = (model.to_bytes(), BTreeMap::new());
            Ok(Learned { form: Form::Als, weights, metrics, epochs: None })
        }
    }
}

/// Rows with both keys, by time; in the query's order if there is one, or else in their own.
fn usable(
    options: &Options,
    (batch, ordered): (&RecordBatch, bool),
    told: &mut Vec<String>,
) -> Result<RecordBatch> {
    let user = column(batch, "user_key", &options.user_key)?;
    let item = column(batch, "item_key", &options.item_key)?;
    let has = |row: usize| batch.column(user).is_valid(row) && batch.column(item).is_valid(row);
    let keep: Vec<bool> = (0..batch.num_rows()).map(has).collect();
    let lacking = keep.iter().filter(|keep| !**keep).count();
    if lacking > 0 {
        told.push(format!("{lacking} rows without a key were left out"));
    }
    let batch = kept(batch, &keep)?;
    let batch = if ordered { batch } else { in_order(&batch, 0)? };
    let Some(time) = &options.time else { return Ok(batch) };
    let times = times(batch.column(column(&batch, "time", time)?))?;
    let mut order: Vec<usize> = (0..times.len()).collect();
    // Equal times stay as they are.
    order.sort_by_key(|row| times[*row]);
    let order = UInt64Array::from_iter_values(order.into_iter().map(|row| row as u64));
    take_record_batch(&batch, &order).map_err(|error| Error::Engine(error.into()))
}

impl Columns {
    fn read(
        options: &Options,
        batch: &RecordBatch,
        features: Option<&RecordBatch>,
    ) -> Result<Self> {
        let key = |option: &str, name: &str| -> Result<Vec<u64>> {
            let column = column(batch, option, name)?;
            let keys = keys(name, batch.column(column))?;
            Ok(keys.into_iter().map(Option::unwrap_or_default).collect())
        };
        let named = |option: &str, name: &Option<String>| -> Result<Option<&ArrayRef>> {
            let Some(name) = name else { return Ok(None) };
            Ok(Some(batch.column(column(batch, option, name)?)))
        };
        let side = |names: &[String]| -> Result<Vec<(String, Values)>> {
            let of = |name: &String| {
                let found = features.and_then(|features| features.column_by_name(name));
                let found = found.ok_or_else(|| {
                    Error::new("42703", format!("feature \"{name}\" does not exist"))
                })?;
                Ok((name.clone(), values(name, found)?))
            };
            names.iter().map(of).collect()
        };
        let history = match (&options.history, named("history", &options.history)?) {
            (Some(name), Some(column)) => match values(name, column)? {
                list @ Values::List { .. } => Some(list),
                _ => {
                    let message = format!("history \"{name}\" is no array of keys");
                    return Err(Error::new("42804", message));
                }
            },
            _ => None,
        };
        Ok(Self {
            users: key("user_key", &options.user_key)?,
            items: key("item_key", &options.item_key)?,
            times: named("time", &options.time)?.map(times).transpose()?,
            weights: weights(named("label", &options.label)?, named("weight", &options.weight)?)?,
            history,
            user: side(&options.user_features)?,
            item: side(&options.item_features)?,
        })
    }

    fn with<T>(&self, ask: impl FnOnce(&two_tower::Examples<'_>) -> T) -> T {
        let (user, item) = (listed(&self.user), listed(&self.item));
        ask(&two_tower::Examples {
            users: &self.users,
            items: &self.items,
            times: self.times.as_deref(),
            weights: self.weights.as_deref(),
            history: self.history.as_ref().and_then(Values::lists),
            user_features: &user,
            item_features: &item,
        })
    }

    fn interactions<T>(&self, ask: impl FnOnce(&als::Interactions<'_>) -> T) -> T {
        let (users, items, weights) = (&self.users, &self.items, self.weights.as_deref());
        ask(&als::Interactions { users, items, weights })
    }
}

fn listed(side: &[(String, Values)]) -> Vec<two_tower::Feature<'_>> {
    side.iter()
        .map(|(name, values)| two_tower::Feature { name, buckets: None, column: values.column() })
        .collect()
}

impl Values {
    fn taken(&self) -> Taken {
        match self {
            Self::Category(_) => Taken::Category,
            Self::Number(_) => Taken::Number,
            Self::List { .. } => Taken::List,
        }
    }

    fn lists(&self) -> Option<two_tower::Lists<'_>> {
        match self {
            Self::List { ends, keys } => Some(two_tower::Lists { ends, keys }),
            Self::Category(_) | Self::Number(_) => None,
        }
    }

    fn column(&self) -> two_tower::Column<'_> {
        match self {
            Self::Category(keys) => two_tower::Column::Category(keys),
            Self::Number(values) => two_tower::Column::Number(values),
            Self::List { ends, keys } => two_tower::Column::List(two_tower::Lists { ends, keys }),
        }
    }
}

/// Keys: whole numbers as they are, text by its hash.
///
/// # Errors
/// 42804 for other types.
pub(super) fn keys(name: &str, column: &ArrayRef) -> Result<Vec<Option<u64>>> {
    let engine = |error| Error::Engine(datafusion::error::DataFusionError::from(error));
    match column.data_type() {
        of if of.is_integer() || *of == DataType::Boolean => {
            let whole = cast(column, &DataType::Int64).map_err(engine)?;
            let whole = whole.as_primitive::<Int64Type>().iter();
            Ok(whole.map(|key| key.map(|key| key as u64)).collect())
        }
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View | DataType::Null => {
            let texts = texts(column)?;
            let hash = |text: &str| XxHash64::oneshot(0, text.as_bytes());
            Ok(texts.as_string::<i32>().iter().map(|text| text.map(hash)).collect())
        }
        _ => {
            let message = format!("\"{name}\" is no key: keys are integers or text");
            Err(Error::new("42804", message))
        }
    }
}

/// Numbers of a tower, NaN where NULL.
pub(super) fn floats(column: &ArrayRef) -> Result<Vec<f32>> {
    Ok(numbers(column)?.into_iter().map(|value| value as f32).collect())
}

/// Lists of keys, one after the other; NULL is an empty list, a NULL in a list is left out.
pub(super) fn lists(name: &str, column: &ArrayRef) -> Result<(Vec<usize>, Vec<u64>)> {
    let list = match column.data_type() {
        DataType::List(_) => column.as_list::<i32>().clone(),
        _ => return Err(Error::new("42804", format!("\"{name}\" is no array of keys"))),
    };
    let (mut ends, mut all) = (Vec::with_capacity(list.len()), Vec::new());
    for row in 0..list.len() {
        if list.is_valid(row) {
            all.extend(keys(name, &list.value(row))?.into_iter().flatten());
        }
        ends.push(all.len());
    }
    Ok((ends, all))
}

fn values(name: &str, column: &ArrayRef) -> Result<Values> {
    match column.data_type() {
        of if of.is_floating() || of.is_decimal() => Ok(Values::Number(floats(column)?)),
        DataType::List(_) => {
            let (ends, keys) = lists(name, column)?;
            Ok(Values::List { ends, keys })
        }
        _ => Ok(Values::Category(keys(name, column)?)),
    }
}

/// Microseconds, or the numbers themselves; NULL comes first.
fn times(column: &ArrayRef) -> Result<Vec<i64>> {
    let engine = |error| Error::Engine(datafusion::error::DataFusionError::from(error));
    let whole = match column.data_type() {
        DataType::Date32 => cast(column, &DataType::Timestamp(TimeUnit::Microsecond, None)),
        _ => Ok(column.clone()),
    };
    let whole = whole.and_then(|column| cast(&column, &DataType::Int64)).map_err(engine)?;
    Ok(whole.as_primitive::<Int64Type>().iter().map(|time| time.unwrap_or(i64::MIN)).collect())
}

/// What rows count for: a label that does not hold makes a row one that was shown and not taken.
fn weights(label: Option<&ArrayRef>, weight: Option<&ArrayRef>) -> Result<Option<Vec<f32>>> {
    let positive = label.map(|label| {
        Ok::<_, Error>(numbers(label)?.into_iter().map(|label| f32::from(label > 0.0)))
    });
    match (positive.transpose()?, weight) {
        (None, None) => Ok(None),
        (Some(positive), None) => Ok(Some(positive.collect())),
        (None, Some(weight)) => Ok(Some(floats(weight)?)),
        (Some(positive), Some(weight)) => {
            let both = positive.zip(floats(weight)?);
            Ok(Some(both.map(|(positive, weight)| positive * weight).collect()))
        }
    }
}
