//! `evaluate('m@v', 'query', metrics => …, slice_by => …)`: measures of a
//! model on rows that it is asked about.
//!
//! ```text
//!   of rows         the query has the label and the model's columns
//!   of lists        … and the group that the model was trained to rank (lambdarank)
//!   of retrieval    the query has users and the items they should get: the whole catalogue is
//!                   ranked for each, less what `seen` says, or else the training query
//! ```
//! Intervals hold 95 of 100 bootstrap samples (Efron 1979, percentiles): of rows, or of whole lists
//! and users, which the means of lists are over. A slice is a column and a value of it.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use catalog::apart;
use datafusion::arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use datafusion::arrow::datatypes::Float64Type;
use datafusion::common::ScalarValue;
use datafusion::datasource::{MemTable, provider_as_source};
use datafusion::logical_expr::TableSource;
use twox_hash::XxHash64;

use super::features::{numbers, texts};
use super::library::{Engine, Opened, open};
use super::measure::Measure;
use super::reference::Reference;
use super::split::in_order;
use super::target::Target;
use super::{Version, catalogue, data};
use crate::error::{Error, Result};
use crate::features::Call;
use crate::functions::{identifier, literal};
use crate::parse;
use crate::plan::{self, Environment, Lakes, Place};
use crate::system::{Cell, Columns, batch};

pub(crate) const NAME: &str = "evaluate";
/// In order.
pub(crate) const ARGUMENTS: &[&str] =
    &["model", "query", "metrics", "slice_by", "seen", "bootstrap"];

const COLUMNS: Columns = &[
    ("metric", 't'),
    ("slice", 't'),
    ("value", 'd'),
    ("ci_low", 'd'),
    ("ci_high", 'd'),
    ("rows", 'l'),
];
/// Samples that intervals are of, and the most that may be asked for.
const SAMPLES: usize = 200;
const MOST_SAMPLES: i64 = 10_000;
/// The part of samples below an interval, and above.
const TAIL: f64 = 0.025;

/// What was asked.
pub(super) struct Asked {
    model: Reference,
    pub query: String,
    pub metrics: Vec<String>,
    pub slice_by: Vec<String>,
    pub seen: Option<String>,
    pub samples: usize,
}

/// A measure of some rows or lists.
pub(super) struct Found {
    pub metric: String,
    pub slice: Option<String>,
    pub value: Option<f64>,
    pub interval: Option<(f64, f64)>,
    pub rows: usize,
}

/// The rows that a call gives.
///
/// # Errors
/// Those of the query and of the model's name; 22023 for metrics that the model has not, 42703 for
/// columns that the query lacks.
pub(crate) async fn evaluate(
    environment: &Environment,
    lakes: &Lakes,
    call: &Call,
) -> Result<Arc<dyn TableSource>> {
    let asked = Asked::read(environment, call)?;
    let (place, version) = asked.model.resolve(environment, lakes)?;
    let opened = open(&environment.lake, &version).await?;
    let found = match &opened.engine {
        Engine::Tabular { .. } => {
            rows(environment, lakes, &asked, (&place, &version), &opened).await?
        }
        Engine::Retrieval { .. } => {
            catalogue::evaluate(environment, lakes, &asked, &version, &opened).await?
        }
    };
    let float = |value: Option<f64>| value.map_or(Cell::Null, Cell::Float);
    let row = |found: Found| {
        vec![
            found.metric.into(),
            found.slice.into(),
            float(found.value),
            float(found.interval.map(|ends| ends.0)),
            float(found.interval.map(|ends| ends.1)),
            Cell::Long(i64::try_from(found.rows).unwrap_or(i64::MAX)),
        ]
    };
    let rows = batch(COLUMNS, found.into_iter().map(row).collect())?;
    let table = MemTable::try_new(rows.schema(), vec![vec![rows]])?;
    Ok(provider_as_source(Arc::new(table)))
}

impl Asked {
    fn read(environment: &Environment, call: &Call) -> Result<Self> {
        let usage = || {
            Error::new("42883", format!("{NAME} takes a model, a query and named arguments"))
                .with_hint(format!("Its arguments are {}.", ARGUMENTS.join(", ")))
        };
        let mut given = BTreeMap::new();
        for (place, value) in call.arguments.iter().enumerate() {
            given.insert(*ARGUMENTS.get(place).ok_or_else(usage)?, value);
        }
        for (name, value) in &call.named {
            let known = ARGUMENTS.iter().find(|known| *known == name).ok_or_else(usage)?;
            given.insert(known, value);
        }
        let constant = |name: &str| {
            let value = given.get(name).copied().cloned();
            value.map(|value| plan::constant(&environment.engine, value)).transpose()
        };
        let text = |name: &str| match constant(name)? {
            None => Ok(None),
            Some(ScalarValue::Utf8(text) | ScalarValue::Utf8View(text)) => Ok(text),
            Some(_) => Err(Error::new("22023", format!("{name} of {NAME} must be text"))),
        };
        let list = |name: &str| -> Result<Vec<String>> {
            match constant(name)? {
                None => Ok(Vec::new()),
                Some(ScalarValue::List(list)) if list.is_valid(0) => {
                    let values = texts(&list.value(0))?;
                    Ok(values.as_string::<i32>().iter().flatten().map(str::to_owned).collect())
                }
                Some(ScalarValue::Utf8(text) | ScalarValue::Utf8View(text)) => {
                    Ok(text.into_iter().collect())
                }
                Some(value) if value.is_null() => Ok(Vec::new()),
                Some(_) => {
                    Err(Error::new("22023", format!("{name} of {NAME} must be an array of text")))
                }
            }
        };
        let integer = datafusion::arrow::datatypes::DataType::Int64;
        let samples = constant("bootstrap")?.map(|value| value.cast_to(&integer)).transpose()?;
        let samples = match samples {
            None | Some(ScalarValue::Int64(None)) => SAMPLES,
            Some(ScalarValue::Int64(Some(count))) if (0..=MOST_SAMPLES).contains(&count) => {
                count as usize
            }
            Some(_) => {
                let message = format!("bootstrap of {NAME} must be from 0 to {MOST_SAMPLES}");
                return Err(Error::new("22023", message));
            }
        };
        Ok(Self {
            model: Reference::parse(&text("model")?.ok_or_else(usage)?)?,
            query: text("query")?.ok_or_else(usage)?,
            metrics: list("metrics")?,
            slice_by: list("slice_by")?,
            seen: text("seen")?,
            samples,
        })
    }

    /// `query` as something to select from.
    pub fn source(&self) -> String {
        source(&self.query)
    }
}

/// A relation's name, or a query in parentheses.
pub(super) fn source(text: &str) -> String {
    match parse::name_parts(text) {
        Some(_) => text.to_owned(),
        // A comment may end it.
        None => format!("({}\n) AS q", text.trim().trim_end_matches(';')),
    }
}

/// The unit that a sample has in a place: the same one each time.
fn pick(sample: usize, unit: usize, units: usize) -> usize {
    let hash = XxHash64::oneshot(sample as u64, &(unit as u64).to_le_bytes());
    (hash % units.max(1) as u64) as usize
}

fn interval(mut samples: Vec<f64>) -> Option<(f64, f64)> {
    samples.sort_unstable_by(f64::total_cmp);
    let last = samples.len().checked_sub(1)?;
    let at = |share: f64| samples[(share * last as f64).round() as usize];
    Some((at(TAIL), at(1.0 - TAIL)))
}

/// Labels, predictions and slices of rows.
struct Scored {
    labels: Vec<f64>,
    predictions: Vec<f64>,
    /// Rows of each list, one after the other.
    groups: Vec<Range<usize>>,
    slices: Vec<(String, ArrayRef)>,
}

async fn rows(
    environment: &Environment,
    lakes: &Lakes,
    asked: &Asked,
    (place, version): (&Place, &Version),
    opened: &Opened,
) -> Result<Vec<Found>> {
    let Engine::Tabular { target, ranks, .. } = &opened.engine else { return Ok(Vec::new()) };
    let measures = match ranks {
        true => Measure::of_lists(&asked.metrics, &["ndcg@10", "map@10", "mrr"])?,
        false => Measure::of_rows(target, &asked.metrics)?,
    };
    let function = match target {
        _ if *ranks => "rank_score",
        Target::Number => "predict",
        Target::Classes { .. } => "predict_proba",
    };
    let option = |name: &str| version.options.get(name).map(String::as_str);
    let label = option("label").unwrap_or("label");
    let name =
        format!("{}.{}@{}", identifier(&place.schema), identifier(&place.name), version.number);
    let mut items = vec![
        format!("{} AS label", identifier(label)),
        format!("{function}({}, *) AS prediction", literal(&name)),
    ];
    let group = option("group").filter(|_| *ranks);
    items.extend(group.map(|group| format!("{} AS \"group\"", identifier(group))));
    for (index, column) in asked.slice_by.iter().enumerate() {
        items.push(format!("({})::text AS slice_{index}", identifier(column)));
    }
    let order = if group.is_some() { " ORDER BY \"group\"" } else { "" };
    let source = asked.source();
    let label = identifier(label);
    let text =
        format!("SELECT {} FROM {source} WHERE {label} IS NOT NULL{order}", items.join(", "));
    // Their memory is held until all is measured.
    let rows = data::collect(environment, lakes, parse::parse_query(&text)?, None).await?;
    // Samples are of places, so these must not depend on how the rows came.
    let batch = if group.is_some() { rows.batch.clone() } else { in_order(&rows.batch, 0)? };
    let scored = scored(asked, target, &batch, group.is_some())?;
    let (samples, target) = (asked.samples, target.clone());
    let metric = (measures, samples, *ranks);
    apart(move |stopped| measured(&scored, &target, &metric, stopped)).await?
}

fn scored(asked: &Asked, target: &Target, batch: &RecordBatch, grouped: bool) -> Result<Scored> {
    let schema = batch.schema();
    let labels = target.encode(schema.field(0), batch.column(0))?;
    let predictions = match batch.column(1).as_list_opt::<i32>() {
        Some(lists) => lists.values().as_primitive::<Float64Type>().values().to_vec(),
        None => numbers(batch.column(1))?,
    };
    let first = if grouped { 3 } else { 2 };
    let groups = match grouped && batch.num_rows() > 0 {
        true => {
            let parts = datafusion::arrow::compute::partition(&[batch.column(2).clone()]);
            parts.map_err(|error| Error::Engine(error.into()))?.ranges()
        }
        false => Vec::new(),
    };
    let slices = asked.slice_by.iter().enumerate();
    let slices = slices.map(|(index, name)| (name.clone(), batch.column(first + index).clone()));
    Ok(Scored { labels, predictions, groups, slices: slices.collect() })
}

/// Row numbers by slice: all of them first.
pub(super) fn slices(
    rows: usize,
    columns: &[(String, ArrayRef)],
) -> Result<Vec<(Option<String>, Vec<usize>)>> {
    let mut found = vec![(None, (0..rows).collect())];
    for (name, column) in columns {
        let values = texts(column)?;
        let mut of: BTreeMap<Option<&str>, Vec<usize>> = BTreeMap::new();
        for (row, value) in values.as_string::<i32>().iter().enumerate() {
            of.entry(value).or_default().push(row);
        }
        for (value, rows) in of {
            found.push((Some(format!("{name}={}", value.unwrap_or("NULL"))), rows));
        }
    }
    Ok(found)
}

fn measured(
    scored: &Scored,
    target: &Target,
    (measures, samples, ranks): &(Vec<Measure>, usize, bool),
    stopped: &AtomicBool,
) -> Result<Vec<Found>> {
    let outputs = target.outputs();
    let of = |measure: &Measure, rows: &mut dyn Iterator<Item = usize>| {
        let (mut labels, mut predictions) = (Vec::new(), Vec::new());
        for row in rows {
            labels.push(scored.labels[row]);
            predictions.extend_from_slice(&scored.predictions[row * outputs..(row + 1) * outputs]);
        }
        match ranks {
            true => measure.list(&labels, &predictions),
            false => measure.rows(target, &labels, &predictions),
        }
    };
    let mut found = Vec::new();
    for (slice, rows) in slices(scored.labels.len(), &scored.slices)? {
        for measure in measures {
            if stopped.load(Ordering::Relaxed) {
                return Err(Error::new("57014", "canceling statement due to user request"));
            }
            let (metric, slice) = (measure.shown(), slice.clone());
            if *ranks {
                let is_in = |row: &usize| rows.binary_search(row).is_ok();
                let list = |group: &Range<usize>| of(measure, &mut group.clone().filter(is_in));
                let values: Vec<f64> = scored.groups.iter().filter_map(list).collect();
                found.push(mean_of(measure, slice, &values, *samples));
                continue;
            }
            let value = of(measure, &mut rows.iter().copied());
            let sample = |sample: usize| {
                let picked = (0..rows.len()).map(|unit| rows[pick(sample, unit, rows.len())]);
                match stopped.load(Ordering::Relaxed) {
                    true => None,
                    false => of(measure, &mut picked.into_iter()),
                }
            };
            let interval = interval((0..*samples).filter_map(sample).collect());
            found.push(Found { metric, slice, value, interval, rows: rows.len() });
        }
    }
    Ok(found)
}

/// A mean over lists and its interval.
pub(super) fn mean_of(
    measure: &Measure,
    slice: Option<String>,
    values: &[f64],
    samples: usize,
) -> Found {
    let mean = |values: &mut dyn Iterator<Item = f64>| {
        let (mut sum, mut count) = (0.0, 0.0);
        values.for_each(|value| (sum, count) = (sum + value, count + 1.0));
        (count > 0.0).then(|| sum / count)
    };
    let sample = |sample: usize| {
        let picked = (0..values.len()).map(|unit| values[pick(sample, unit, values.len())]);
        mean(&mut picked.into_iter())
    };
    let interval = interval((0..samples).filter_map(sample).collect());
    let (metric, value) = (measure.shown(), mean(&mut values.iter().copied()));
    Found { metric, slice, value, interval, rows: values.len() }
}
