//! Models of retrieval on held-out pairs: the whole catalogue ranked for each user.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use catalog::{Transaction, apart};
use datafusion::arrow::array::{ArrayRef, RecordBatch};
use datafusion::sql::sqlparser::ast;
use kernels::simd::level::Level;
use kernels::vectors::{Panels, Rows, Top};

use super::Version;
use super::data;
use super::evaluate::{Asked, Found, mean_of, slices, source};
use super::interactions::keys;
use super::library::{Engine, Opened, Retrieval};
use super::measure::Measure;
use super::vectors::of_user;
use crate::error::{Error, Result};
use crate::functions::identifier;
use crate::parse;
use crate::plan::{Environment, Lakes};

/// Who should get what, and who had what: keys by user.
pub(super) type Pairs = BTreeMap<u64, HashSet<u64>>;

/// The lists of users that are measured together.
struct Lists {
    /// The best items of each user, best first, with scores.
    lists: HashMap<u64, Vec<(u64, f32)>>,
    relevant: Vec<(Option<String>, Pairs)>,
}

pub(super) async fn evaluate(
    environment: &Environment,
    lakes: &Lakes,
    asked: &Asked,
    version: &Version,
    opened: &Arc<Opened>,
) -> Result<Vec<Found>> {
    let Engine::Retrieval { user, item, .. } = &opened.engine else { return Ok(Vec::new()) };
    let measures = Measure::of_lists(&asked.metrics, &["recall@20", "ndcg@20"])?;
    let (user, item) = (user.key.clone(), item.key.clone());
    let mut columns = vec![identifier(&user), identifier(&item)];
    columns.extend(asked.slice_by.iter().map(|name| format!("({})::text", identifier(name))));
    let text = format!("SELECT {} FROM {}", columns.join(", "), asked.source());
    let named = parse::parse_query(&text)?;
    let held_rows = pairs_of(environment, lakes, named).await?;
    let held = &held_rows.batch;
    let seen = seen(environment, lakes, (asked, version), &columns[..2].join(", ")).await?;
    let seen = pairs(&seen.batch, (&user, &item), None)?;
    let sliced: Vec<(String, ArrayRef)> = asked
        .slice_by
        .iter()
        .enumerate()
        .map(|(index, name)| (name.clone(), held.column(2 + index).clone()))
        .collect();
    let mut relevant = Vec::new();
    for (slice, rows) in slices(held.num_rows(), &sliced)? {
        relevant.push((slice, pairs(held, (&user, &item), Some(&rows))?));
    }
    let (opened, samples) = (Arc::clone(opened), asked.samples);
    let found = apart(move |stopped| {
        let Engine::Retrieval { model, .. } = &opened.engine else { return Some(Vec::new()) };
        ranked(model, relevant, &seen, (&measures, samples), stopped)
    });
    found.await?.ok_or_else(|| Error::new("57014", "canceling statement due to user request"))
}

/// Measures of what users of each slice should get, with intervals of so many samples; None:
/// nobody waits any more.
pub(super) fn ranked(
    model: &Retrieval,
    relevant: Vec<(Option<String>, Pairs)>,
    seen: &Pairs,
    (measures, samples): (&[Measure], usize),
    stopped: &AtomicBool,
) -> Option<Vec<Found>> {
    let longest = measures.iter().filter_map(|measure| measure.k).max().unwrap_or(1);
    let longest =
        if measures.iter().any(|measure| measure.k.is_none()) { usize::MAX } else { longest };
    let users = relevant.iter().flat_map(|(_, pairs)| pairs.keys().copied());
    let users: Vec<u64> = users.collect::<BTreeSet<_>>().into_iter().collect();
    let lists = best(model, &users, seen, longest, &|| !stopped.load(Ordering::Relaxed))?;
    Some(measured(&Lists { lists, relevant }, measures, seen, samples))
}

/// Who had what: as the call says, or else the rows of the training, which are read as they were.
async fn seen(
    environment: &Environment,
    lakes: &Lakes,
    (asked, version): (&Asked, &Version),
    columns: &str,
) -> Result<data::Rows> {
    if let Some(seen) = &asked.seen {
        let query = format!("SELECT {columns} FROM {}", source(seen));
        return pairs_of(environment, lakes, parse::parse_query(&query)?).await;
    }
    let query = format!("SELECT {columns} FROM {}", source(&version.query));
    let search_path = version.search_path.clone();
    let environment = Environment { search_path, ..environment.clone() };
    let state = environment.lake.at_snapshot(version.snapshot_id).await.map_err(|error| {
        let snapshot = version.snapshot_id;
        Error::new("55000", format!("the training's rows of snapshot {snapshot} are gone: {error}"))
            .with_hint("seen => 'query' says which items each user had.")
    })?;
    let main = Transaction::begin(Arc::clone(&environment.lake), state);
    let then = Lakes { main, temp: None };
    pairs_of(&environment, &then, parse::parse_query(&query)?).await
}

async fn pairs_of(
    environment: &Environment,
    lakes: &Lakes,
    query: ast::Query,
) -> Result<data::Rows> {
    data::collect(environment, lakes, query, None).await
}

/// Pairs of the first two columns, in all rows or some.
fn pairs(batch: &RecordBatch, (user, item): (&str, &str), rows: Option<&[usize]>) -> Result<Pairs> {
    let users = keys(user, batch.column(0))?;
    let items = keys(item, batch.column(1))?;
    let mut found = Pairs::new();
    let mut add = |row: usize| {
        if let (Some(user), Some(item)) = (users[row], items[row]) {
            found.entry(user).or_default().insert(item);
        }
    };
    match rows {
        Some(rows) => rows.iter().for_each(|row| add(*row)),
        None => (0..users.len()).for_each(add),
    }
    Ok(found)
}

/// The best items of users, less those seen; none for a user that the model does not know.
fn best(
    model: &Retrieval,
    users: &[u64],
    seen: &Pairs,
    longest: usize,
    go_on: &dyn Fn() -> bool,
) -> Option<HashMap<u64, Vec<(u64, f32)>>> {
    let level = Level::best();
    let (items, vectors) = catalogue(model);
    let panels = Rows::single(&vectors, model.dim()).map(Panels::new).unwrap_or_default();
    let mut scores = vec![0.0; panels.stride().max(1)];
    let mut found = HashMap::with_capacity(users.len());
    let none = HashSet::new();
    for user in users {
        if !go_on() {
            return None;
        }
        let Ok(Some(vector)) = of_user(model, *user) else { continue };
        panels.dots(level, &vector, &mut scores);
        let seen = seen.get(user).unwrap_or(&none);
        let mut top = Top::new(longest.min(items.len()));
        for (place, score) in scores[..panels.len()].iter().enumerate() {
            let near = top.is_open() || -score < top.limit();
            if near && !seen.contains(&items[place]) {
                top.offer(-score, place as u64);
            }
        }
        let list = top.finish().into_iter();
        found.insert(*user, list.map(|near| (items[near.key as usize], -near.distance)).collect());
    }
    Some(found)
}

fn catalogue(model: &Retrieval) -> (Vec<u64>, Vec<f32>) {
    match model {
        Retrieval::TwoTower(model) => {
            (model.items().to_vec(), model.item_vectors(Level::best(), 1))
        }
        Retrieval::Als(model) => (model.items().to_vec(), model.item_vectors().to_vec()),
    }
}

/// Each measure of each slice. What a user had before is not asked for again; a user without a
/// vector gets nothing, and finds nothing.
fn measured(lists: &Lists, measures: &[Measure], seen: &Pairs, samples: usize) -> Vec<Found> {
    let mut found = Vec::new();
    let none = HashSet::new();
    for (slice, relevant) in &lists.relevant {
        for measure in measures {
            let of = |(user, wanted): (&u64, &HashSet<u64>)| {
                let had = seen.get(user).unwrap_or(&none);
                let wanted: HashSet<u64> = wanted.difference(had).copied().collect();
                let list = lists.lists.get(user).map_or(&[][..], Vec::as_slice);
                let hits = list.iter().map(|(item, _)| f64::from(wanted.contains(item)));
                let mut relevances: Vec<f64> = hits.collect();
                let scores = (0..relevances.len()).map(|place| -(place as f64));
                let mut scores: Vec<f64> = scores.collect();
                // What was not listed is behind all that was.
                let missed = wanted.len() - relevances.iter().sum::<f64>() as usize;
                let behind = measure.k.unwrap_or(0).max(scores.len());
                scores.extend((scores.len()..behind).map(|place| -(place as f64)));
                relevances.resize(behind, 0.0);
                scores.extend((0..missed).map(|place| -((behind + place) as f64)));
                relevances.resize(behind + missed, 1.0);
                measure.list(&relevances, &scores)
            };
            let values: Vec<f64> = relevant.iter().filter_map(of).collect();
            found.push(mean_of(measure, slice.clone(), &values, samples));
        }
    }
    found
}
