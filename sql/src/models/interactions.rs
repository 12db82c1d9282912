//! Who took what, and what is known of both: rows of a query as models of retrieval take them.
//!
//! Keys are integers or text. In the towers text, booleans and whole numbers are categories, other
//! numbers are numbers, arrays are lists of categories.

use datafusion::arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, Int64Type, TimeUnit};
use kernels::models::{als, two_tower};
use twox_hash::XxHash64;

use super::data::{column, kept, taken};
use super::features::{numbers, texts};
use super::manifest::Taken;
use super::split::in_order;
use crate::error::{Error, Result};

/// The columns that options name.
#[derive(Debug, Clone)]
pub(super) struct Named {
    pub user_key: String,
    pub item_key: String,
    pub label: Option<String>,
    pub weight: Option<String>,
    pub time: Option<String>,
    pub history: Option<String>,
    pub user_features: Vec<String>,
    pub item_features: Vec<String>,
}

impl Named {
    /// Columns that are no features.
    pub fn others(&self) -> Vec<String> {
        let named = [&self.label, &self.weight, &self.time, &self.history];
        let keys = [self.user_key.clone(), self.item_key.clone()];
        named.into_iter().flatten().cloned().chain(keys).collect()
    }

    pub fn features(&self) -> Vec<String> {
        [&self.user_features[..], &self.item_features[..]].concat()
    }
}

/// A column as a tower takes it.
pub(super) enum Values {
    Category(Vec<Option<u64>>),
    Number(Vec<f32>),
    List { ends: Vec<usize>, keys: Vec<u64> },
}

/// All columns of a training, in the order of the rows.
pub(super) struct Columns {
    pub picks: Picks,
    times: Option<Vec<i64>>,
    history: Option<Values>,
    pub user: Vec<(String, Values)>,
    pub item: Vec<(String, Values)>,
}

/// Rows with both keys, by time; in the query's order if there is one, or else in their own.
pub(super) fn usable(
    named: &Named,
    (batch, ordered): (&RecordBatch, bool),
    told: &mut Vec<String>,
) -> Result<RecordBatch> {
    let user = column(batch, "user_key", &named.user_key)?;
    let item = column(batch, "item_key", &named.item_key)?;
    let has = |row: usize| batch.column(user).is_valid(row) && batch.column(item).is_valid(row);
    let keep: Vec<bool> = (0..batch.num_rows()).map(has).collect();
    let lacking = keep.iter().filter(|keep| !**keep).count();
    if lacking > 0 {
        told.push(format!("{lacking} rows without a key were left out"));
    }
    let batch = kept(batch, &keep)?;
    let batch = if ordered { batch } else { in_order(&batch, 0)? };
    let Some(time) = &named.time else { return Ok(batch) };
    let times = times(batch.column(column(&batch, "time", time)?))?;
    let mut order: Vec<usize> = (0..times.len()).collect();
    // Equal times stay as they are.
    order.sort_by_key(|row| times[*row]);
    taken(&batch, order.into_iter().map(|row| row as u64))
}

/// Keys of users and items, and whether rows say that the one took the other.
pub(super) struct Picks {
    pub users: Vec<u64>,
    pub items: Vec<u64>,
    weights: Option<Vec<f32>>,
}

impl Picks {
    pub fn read(named: &Named, batch: &RecordBatch) -> Result<Self> {
        let key = |option: &str, name: &str| -> Result<Vec<u64>> {
            let keys = keys(name, batch.column(column(batch, option, name)?))?;
            Ok(keys.into_iter().map(Option::unwrap_or_default).collect())
        };
        let number = |option: &str, name: &Option<String>| -> Result<Option<&ArrayRef>> {
            let Some(name) = name else { return Ok(None) };
            Ok(Some(batch.column(column(batch, option, name)?)))
        };
        let (label, weight) = (number("label", &named.label)?, number("weight", &named.weight)?);
        Ok(Self {
            users: key("user_key", &named.user_key)?,
            items: key("item_key", &named.item_key)?,
            weights: weights(label, weight)?,
        })
    }

    /// Whether the user took the item.
    pub fn counts(&self, row: usize) -> bool {
        self.weights.as_ref().is_none_or(|weights| weights[row] > 0.0)
    }
}

impl Columns {
    pub fn read(
        named: &Named,
        batch: &RecordBatch,
        features: Option<&RecordBatch>,
    ) -> Result<Self> {
        let found = |option: &str, name: &Option<String>| -> Result<Option<&ArrayRef>> {
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
        let history = match (&named.history, found("history", &named.history)?) {
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
            times: found("time", &named.time)?.map(times).transpose()?,
            picks: Picks::read(named, batch)?,
            history,
            user: side(&named.user_features)?,
            item: side(&named.item_features)?,
        })
    }

    pub fn with<T>(&self, ask: impl FnOnce(&two_tower::Examples<'_>) -> T) -> T {
        let (user, item) = (listed(&self.user), listed(&self.item));
        ask(&two_tower::Examples {
            users: &self.picks.users,
            items: &self.picks.items,
            times: self.times.as_deref(),
            weights: self.picks.weights.as_deref(),
            history: self.history.as_ref().and_then(Values::lists),
            user_features: &user,
            item_features: &item,
        })
    }

    pub fn interactions<T>(&self, ask: impl FnOnce(&als::Interactions<'_>) -> T) -> T {
        let Picks { users, items, weights } = &self.picks;
        ask(&als::Interactions { users, items, weights: weights.as_deref() })
    }
}

fn listed(side: &[(String, Values)]) -> Vec<two_tower::Feature<'_>> {
    side.iter()
        .map(|(name, values)| two_tower::Feature { name, buckets: None, column: values.column() })
        .collect()
}

impl Values {
    pub fn taken(&self) -> Taken {
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
