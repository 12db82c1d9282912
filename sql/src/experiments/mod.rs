//! Experiments: arms with weights, a unit, metrics, and a lifecycle that is audited.
//!
//! ```text
//!   CREATE ─▶ draft ─RAMP, START─▶ running ─STOP─▶ stopped ─SHIP─▶ shipped
//!   ab_assign('e', unit) ─▶ a function of this statement that holds the experiment's split
//! ```
//!
//! An experiment is a definition named by schema and experiment. Who is assigned is a function of
//! the unit alone (`kernels::assignment::Split`), so nothing is written when a unit is exposed, and
//! every server answers the same. Names are resolved when a statement is planned, as those of
//! models are: a change is seen by the next execution everywhere, and no statement mixes two.
//!
//! The events of an experiment that is dropped stay: they are the record of what was done.

mod assign;
mod layers;

use catalog::{State, Transaction};
use chrono::{DateTime, Utc};
use kernels::assignment::Split;
use serde::{Deserialize, Serialize};

use crate::access::{Object, Privileges};
use crate::error::{Error, Result, near_names};
use crate::parse::{Arm, Metric};
use crate::plan::{Environment, Place, SEPARATOR, key};

pub(crate) use assign::expand;
pub(crate) use layers::{MILLION, release, take};

/// Kind of the definitions that experiments are.
pub(crate) const EXPERIMENT: &str = "experiment";
/// Kind of what is left of those that were dropped, by uuid.
const PAST: &str = "experiment_past";

/// An experiment as the catalog keeps it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Experiment {
    pub uuid: String,
    /// The column that names units.
    pub unit: String,
    /// What its hashes begin with: another salt assigns anew.
    pub salt: String,
    pub arms: Vec<Arm>,
    pub layer: Option<Layer>,
    /// Share of units that see no experiment.
    pub holdout: f64,
    pub metrics: Vec<Metric>,
    /// RFC 3339; nobody is assigned before.
    pub start_at: Option<String>,
    /// Share of units that are exposed.
    pub ramp: f64,
    pub end: Option<End>,
    pub events: Vec<Event>,
    pub comment: Option<String>,
}

/// Its part of a layer: places from and before, in millionths.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Layer {
    pub name: String,
    pub ranges: Vec<(u32, u32)>,
}

/// How it ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum End {
    /// Nobody is assigned any more.
    Stopped,
    /// Everybody gets this arm.
    Shipped(String),
}

/// Something that was done with an experiment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Event {
    /// RFC 3339, by the server's clock.
    pub at: String,
    pub by: String,
    /// `create`, `start`, `ramp`, `stop`, `ship`, `drop`.
    pub event: String,
    /// The share of units exposed from then on.
    pub ramp: f64,
    /// What was shipped.
    pub arm: Option<String>,
    /// Why it was stopped.
    pub reason: Option<String>,
}

/// The events of an experiment that is gone.
#[derive(Debug, Serialize, Deserialize)]
struct Past {
    schema: String,
    name: String,
    events: Vec<Event>,
}

impl Experiment {
    /// The experiment at a place.
    pub fn of(state: &State, place: &Place) -> Option<Self> {
        let name = (EXPERIMENT.to_owned(), key(&place.schema, &place.name));
        serde_json::from_value(state.definitions.get(&name)?.body.clone()).ok()
    }

    /// Keeps it.
    pub fn keep(&self, transaction: &mut Transaction, place: &Place) -> Result<()> {
        let key = key(&place.schema, &place.name);
        Ok(transaction.define(EXPERIMENT, &key, json(self)?, true)?)
    }

    /// Keeps it under another name only.
    pub fn rename(&self, transaction: &mut Transaction, from: &Place, to: &Place) -> Result<()> {
        transaction.undefine(EXPERIMENT, &key(&from.schema, &from.name))?;
        self.keep(transaction, to)
    }

    /// Forgets it, but for its events and the one that ends them.
    pub fn forget(
        mut self,
        transaction: &mut Transaction,
        place: &Place,
        event: Event,
    ) -> Result<()> {
        release(transaction, &self)?;
        self.events.push(event);
        let (schema, name) = (place.schema.clone(), place.name.clone());
        let past = Past { schema, name, events: self.events };
        transaction.define(PAST, &self.uuid, json(&past)?, true)?;
        Ok(transaction.undefine(EXPERIMENT, &key(&place.schema, &place.name))?)
    }

    /// What rights are about.
    pub fn object(&self, place: &Place) -> Object {
        Object::experiment(&place.name, &self.uuid)
    }

    /// The arm that others are compared with: the one called control, or else the first.
    pub fn control(&self) -> &str {
        let named = self.arms.iter().find(|arm| arm.name.eq_ignore_ascii_case("control"));
        named.or(self.arms.first()).map_or("", |arm| &arm.name)
    }

    /// When it starts or started.
    pub fn start(&self) -> Option<DateTime<Utc>> {
        let start = DateTime::parse_from_rfc3339(self.start_at.as_deref()?).ok()?;
        Some(start.to_utc())
    }

    /// `draft`, `scheduled`, `running`, `stopped` or `shipped`.
    pub fn status(&self, now: DateTime<Utc>) -> &'static str {
        match (&self.end, self.start()) {
            (Some(End::Stopped), _) => "stopped",
            (Some(End::Shipped(_)), _) => "shipped",
            (None, None) => "draft",
            (None, Some(start)) if start > now => "scheduled",
            (None, Some(_)) => "running",
        }
    }

    /// Whom it assigns once it runs.
    fn split(&self) -> Split {
        let share = |millionths: u32| f64::from(millionths) / f64::from(MILLION);
        let ranges = |layer: &Layer| {
            let range = |(from, before): &(u32, u32)| (share(*from), share(*before));
            layer.ranges.iter().map(range).collect()
        };
        Split {
            salt: self.salt.clone(),
            weights: self.arms.iter().map(|arm| arm.weight).collect(),
            layer: self.layer.as_ref().map(|layer| (layer.name.clone(), ranges(layer))),
            holdout: self.holdout,
            ramp: self.ramp,
        }
    }
}

fn json(value: &impl Serialize) -> Result<serde_json::Value> {
    serde_json::to_value(value).map_err(|error| Error::new("XX000", format!("experiment: {error}")))
}

/// When the statement began.
pub(crate) fn now(environment: &Environment) -> DateTime<Utc> {
    environment.engine.execution_props().query_execution_start_time.unwrap_or_default()
}

/// Every experiment: schema, name, definition.
pub(crate) fn experiments(state: &State) -> Vec<(&str, &str, Experiment)> {
    let kept = state.definitions.iter().filter(|((kind, _), _)| kind == EXPERIMENT);
    kept.filter_map(|((_, key), definition)| {
        let (schema, name) = key.split_once(SEPARATOR)?;
        Some((schema, name, serde_json::from_value(definition.body.clone()).ok()?))
    })
    .collect()
}

/// Every event, those of experiments that are gone included: schema, name, what was done.
pub(crate) fn events(state: &State) -> Vec<(String, String, Event)> {
    let mut found = Vec::new();
    for (schema, name, experiment) in experiments(state) {
        let event = |event| (schema.to_owned(), name.to_owned(), event);
        found.extend(experiment.events.into_iter().map(event));
    }
    for ((kind, _), definition) in &state.definitions {
        if kind == PAST
            && let Ok(past) = serde_json::from_value::<Past>(definition.body.clone())
        {
            let event = |event| (past.schema.clone(), past.name.clone(), event);
            found.extend(past.events.into_iter().map(event));
        }
    }
    found.sort_by(|a, b| a.2.at.cmp(&b.2.at));
    found
}

/// The experiment that a name means.
pub(crate) fn find(
    environment: &Environment,
    state: &State,
    name: &[String],
) -> Result<Option<(Place, Experiment)>> {
    for place in environment.candidates(name)? {
        if place.temp || !environment.may_look_in(state, &place.schema) {
            continue;
        }
        if let Some(experiment) = Experiment::of(state, &place) {
            return Ok(Some((place, experiment)));
        }
    }
    Ok(None)
}

/// The experiment that a text in a call means.
///
/// # Errors
/// 22023 for what is no name, 42704 where there is none, 42501 without USAGE.
pub(crate) fn named(
    environment: &Environment,
    state: &State,
    text: &str,
) -> Result<(Place, Experiment)> {
    let Some(name) = crate::parse::name_parts(text) else {
        let message = format!("\"{text}\" is not the name of an experiment");
        return Err(Error::new("22023", message).with_hint("Write 'name' or 'schema.name'."));
    };
    let found = find(environment, state, &name)?;
    let (place, experiment) = found.ok_or_else(|| undefined(state, &name))?;
    environment.authority.require(state, &experiment.object(&place), Privileges::USAGE)?;
    Ok((place, experiment))
}

/// The error for an experiment that is not there.
pub(crate) fn undefined(state: &State, name: &[String]) -> Error {
    let last = name.last().map_or("", String::as_str);
    let error = Error::new("42704", format!("experiment \"{}\" does not exist", name.join(".")));
    let known = experiments(state);
    let near = near_names(last, known.iter().map(|(_, name, _)| *name));
    let all = || "List experiments: SELECT * FROM ml.experiments.".to_owned();
    error.with_hint(near.unwrap_or_else(all))
}
