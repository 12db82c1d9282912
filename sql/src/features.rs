//! Feature views and services as the catalog keeps them, beside the views that they are.
//!
//! A feature view is a view of the lake with a definition of its own. The definition is named by
//! schema and view and holds every version there was; it counts only while the view it was made
//! for has that name. So a view that is made anew and swapped in, as dbt does it, goes on counting
//! the versions of its name, and a name that another view has taken is no feature view.

mod equal_lengths;
mod get_features;
pub(crate) mod kept;
mod leaks;
mod lineage;
mod manifest;
mod online;
pub(crate) mod point_in_time;
mod serve;
mod status;
mod table;
mod training_set;
pub(crate) mod windows;

use std::collections::BTreeMap;
use std::sync::Arc;

use catalog::registry::MODEL;
use catalog::{Relation, Rewritten, SEQUENCE, State, TRAINING_SET, Transaction, View};
use datafusion::arrow::datatypes::IntervalMonthDayNanoType;
use datafusion::common::ScalarValue;
use datafusion::execution::SessionState;
use datafusion::sql::sqlparser::ast::{CastKind, DataType as SqlType, Expr};
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::experiments::EXPERIMENT;
use crate::plan::{self, Environment, Lakes, Place, SEPARATOR, key};

pub use get_features::FeatureRelations;
pub(crate) use get_features::load as get_features;
pub use kept::told;
pub use leaks::Leaks;
pub(crate) use lineage::sources;
pub(crate) use manifest::{Manifest, UsedView, manifests};
pub(crate) use online::{beside, is_taken, name_of as online_name, shown};
pub(crate) use table::{FeatureViewTable, Rows, rows};
pub(crate) use training_set::{Call, cutoff, plan as training_set, service_of};

/// The relations: name, arguments, what each is for.
pub(crate) const LISTED: [(&str, &[&str], &str); 2] = [
    (
        "get_features",
        &["service", "full_names"],
        "The features of a service now, for keys that are given by name.",
    ),
    (
        "training_set",
        &["labels", "service", "label_time", "known", "strict", "full_names"],
        "Every label with the features of a service as they were at its time.",
    ),
];

/// Kind of the definitions that feature views are.
const VIEW: &str = "feature_view";
/// Kind of the definitions that feature services are.
const SERVICE: &str = "feature_service";

/// A feature view and its history.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FeatureView {
    /// The uuid of the view that it is.
    pub view: String,
    /// Versions 1, 2, … in order; the last one is what the view is now.
    pub versions: Vec<Version>,
    pub metadata: Metadata,
    /// Brought here by a rename: goes when the view goes.
    #[serde(default)]
    pub moved: bool,
}

/// What a change of gives another version: the rows, and which of them a label gets.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Version {
    /// Query text; of the newest version the view's own, which follows renames, is meant.
    pub sql: String,
    /// The same as it was written: `sql` is written anew when what it reads gets another name.
    #[serde(default)]
    pub written: String,
    /// Schemas that unqualified names in `sql` are looked up in.
    pub search_path: Vec<String>,
    pub columns: Vec<Feature>,
    /// Columns that are equal in label and feature row; none: every row is for every label.
    pub key: Vec<String>,
    /// When a row's values hold from.
    pub timestamp: String,
    /// When a row became known.
    pub created: Option<String>,
    /// How long a row's values hold, microseconds; None: until there are others.
    pub ttl_us: Option<i64>,
    /// How long after its time a row can be known, microseconds.
    pub delay_us: i64,
    /// The snapshot that the version was made on.
    pub snapshot_id: i64,
}

/// A column of a feature view: its name and its type as Postgres spells it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Feature {
    pub name: String,
    pub data_type: String,
    /// What it is computed from, if that is windows at the label's time.
    #[serde(default)]
    pub window: Option<String>,
}

/// What a change of leaves the version as it is.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Metadata {
    /// How late the online store may be, microseconds; 0: as soon as it is pushed.
    pub freshness_us: Option<i64>,
    pub online: bool,
    /// `owner`, `tags` and whatever else is said of it.
    pub options: BTreeMap<String, String>,
}

impl FeatureView {
    /// The feature view that a view is.
    pub fn of(state: &State, schema: &str, view: &View) -> Option<Self> {
        Self::history(state, schema, &view.name).filter(|found| found.view == view.uuid)
    }

    /// What is kept under a name, whether or not there is such a feature view now.
    pub fn history(state: &State, schema: &str, name: &str) -> Option<Self> {
        let kept = state.definitions.get(&(VIEW.to_owned(), key(schema, name)))?;
        serde_json::from_value(kept.body.clone()).ok()
    }

    /// The newest version and its number.
    pub fn current(&self) -> Option<(u32, &Version)> {
        let last = self.versions.last()?;
        Some((self.versions.len() as u32, last))
    }

    /// A version by its number, counted from 1.
    pub fn version(&self, number: u32) -> Option<&Version> {
        self.versions.get(usize::try_from(number).ok()?.checked_sub(1)?)
    }

    /// Keeps it under a name.
    pub fn keep(&self, transaction: &mut Transaction, schema: &str, name: &str) -> Result<()> {
        let body = serde_json::to_value(self)
            .map_err(|error| Error::new("XX000", format!("feature view: {error}")))?;
        Ok(transaction.define(VIEW, &key(schema, name), body, true)?)
    }

    /// Keeps what is under one name under another too; the view was brought there by a rename.
    pub fn keep_moved(self, transaction: &mut Transaction, from: &Place, to: &Place) -> Result<()> {
        transaction.copies_definition(VIEW, &key(&from.schema, &from.name));
        Self { moved: true, ..self }.keep(transaction, &to.schema, &to.name)
    }

    /// The definition that keeps it under a name, with other texts in it.
    pub fn rewritten(&self, schema: &str, name: &str) -> Option<Rewritten> {
        let body = serde_json::to_value(self).ok()?;
        Some(Rewritten::Definition { kind: VIEW.to_owned(), name: key(schema, name), body })
    }

    /// Forgets all versions of a name.
    pub fn forget(transaction: &mut Transaction, schema: &str, name: &str) -> Result<()> {
        let (kind, key) = (VIEW.to_owned(), key(schema, name));
        match transaction.state().definitions.contains_key(&(kind.clone(), key.clone())) {
            true => Ok(transaction.undefine_dependent(&kind, &key)?),
            false => Ok(()),
        }
    }
}

impl Version {
    /// The columns that are features: neither key nor time.
    pub fn features(&self) -> impl Iterator<Item = &Feature> {
        self.columns.iter().filter(|column| {
            let name = &column.name;
            !self.key.contains(name)
                && *name != self.timestamp
                && self.created.as_ref() != Some(name)
        })
    }

    /// Whether a column is of a window at the label's time.
    pub fn has_windows(&self) -> bool {
        self.columns.iter().any(|column| column.window.is_some())
    }

    /// Whether rows and their choice are the same, by what the query says now or as it was written:
    /// tools build tables anew beside the old ones, and give them their names after that.
    pub fn same(&self, other: &Self) -> bool {
        let plain = |sql: &str| sql.trim().trim_end_matches(';').trim().to_owned();
        let without = |version: &Self| Self {
            sql: String::new(),
            written: String::new(),
            snapshot_id: 0,
            ..version.clone()
        };
        let is_written_so = plain(&self.written) == plain(&other.written);
        (plain(&self.sql) == plain(&other.sql) || is_written_so) && without(self) == without(other)
    }
}

/// Every feature view that there is now: schema, view, definition.
pub fn views(state: &State) -> Vec<(&str, &Arc<View>, FeatureView)> {
    let mut found = Vec::new();
    for (schema, held) in &state.schemas {
        for relation in held.relations.values() {
            if let Relation::View(view) = relation
                && let Some(feature_view) = FeatureView::of(state, schema, view)
            {
                found.push((schema.as_str(), view, feature_view));
            }
        }
    }
    found
}

/// A feature service: what one model reads.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FeatureService {
    pub views: Vec<ServiceView>,
    pub comment: Option<String>,
}

/// A view of a service.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ServiceView {
    pub schema: String,
    pub view: String,
    /// None: the newest.
    pub version: Option<u32>,
    /// The name that its features are told apart by.
    pub alias: String,
    /// Label columns for the view's keys, in their order.
    pub key: Vec<String>,
    /// Features and the names they get; None: all, under their own.
    pub features: Option<Vec<(String, String)>>,
}

impl FeatureService {
    /// The service of this name.
    pub fn of(state: &State, place: &Place) -> Option<Self> {
        let kept = state.definitions.get(&(SERVICE.to_owned(), key(&place.schema, &place.name)))?;
        serde_json::from_value(kept.body.clone()).ok()
    }

    /// Keeps it under a name.
    pub fn keep(&self, transaction: &mut Transaction, place: &Place) -> Result<()> {
        let body = serde_json::to_value(self)
            .map_err(|error| Error::new("XX000", format!("feature service: {error}")))?;
        Ok(transaction.define(SERVICE, &key(&place.schema, &place.name), body, true)?)
    }

    /// Forgets it.
    pub fn forget(transaction: &mut Transaction, place: &Place) -> Result<()> {
        Ok(transaction.undefine(SERVICE, &key(&place.schema, &place.name))?)
    }
}

/// The place of the service that a text names.
///
/// # Errors
/// 42704 if there is none.
pub(crate) fn service_at(environment: &Environment, lakes: &Lakes, name: &str) -> Result<Place> {
    training_set::service(environment, lakes, name).map(|(place, _)| place)
}

/// The names by which a service tells its views apart.
///
/// # Errors
/// As `service_at`.
pub(crate) fn aliases(environment: &Environment, lakes: &Lakes, name: &str) -> Result<Vec<String>> {
    let (_, service) = training_set::service(environment, lakes, name)?;
    Ok(service.views.into_iter().map(|view| view.alias).collect())
}

/// Every feature service: schema, name, definition.
pub fn services(state: &State) -> Vec<(&str, &str, FeatureService)> {
    let kept = state.definitions.iter().filter(|((kind, _), _)| kind == SERVICE);
    kept.filter_map(|((_, key), definition)| {
        let (schema, name) = key.split_once(SEPARATOR)?;
        Some((schema, name, serde_json::from_value(definition.body.clone()).ok()?))
    })
    .collect()
}

/// Names in a schema that is dropped are forgotten.
pub fn forget_schema(transaction: &mut Transaction, schema: &str) -> Result<()> {
    for (kind, key) in of_schema(transaction.state(), schema) {
        transaction.undefine(&kind, &key)?;
    }
    Ok(())
}

/// A schema has another name, and with it what is in it, for those who name it too.
pub fn rename_schema(transaction: &mut Transaction, from: &str, to: &str) -> Result<()> {
    for (kind, old) in of_schema(transaction.state(), from) {
        let name = old.split_once(SEPARATOR).map_or("", |(_, name)| name);
        let definition = transaction.state().definitions.get(&(kind.clone(), old.clone()));
        let Some(body) = definition.map(|kept| kept.body.clone()) else { continue };
        transaction.define(&kind, &key(to, name), body, true)?;
        transaction.undefine(&kind, &old)?;
    }
    let owned = |(schema, name, kept): (&str, &str, FeatureService)| {
        let place = Place { temp: false, schema: schema.to_owned(), name: name.to_owned() };
        (place, kept)
    };
    let kept: Vec<_> = services(transaction.state()).into_iter().map(owned).collect();
    for (place, mut service) in kept {
        let named: Vec<_> = service.views.iter_mut().filter(|of| of.schema == from).collect();
        if named.is_empty() {
            continue;
        }
        named.into_iter().for_each(|of| of.schema = to.to_owned());
        service.keep(transaction, &place)?;
    }
    Ok(())
}

fn of_schema(state: &State, schema: &str) -> Vec<(String, String)> {
    let prefix = key(schema, "");
    let found = state.definitions.keys().filter(|(kind, key)| {
        matches!(kind.as_str(), VIEW | SERVICE | TRAINING_SET | SEQUENCE | MODEL | EXPERIMENT)
            && key.starts_with(&prefix)
    });
    found.cloned().collect()
}

/// A length of time in microseconds; `what` says whose.
///
/// Errors: 22023 for a negative one and for one with months, which have no fixed length.
pub fn duration_us(engine: &SessionState, value: Expr, what: &str) -> Result<i64> {
    let value = Expr::Cast {
        kind: CastKind::Cast,
        expr: Box::new(value),
        data_type: SqlType::Interval { fields: None, precision: None },
        array: false,
        format: None,
    };
    let wrong = |sqlstate| {
        Error::new(sqlstate, format!("{what} must be an interval"))
            .with_hint(format!("Write {what} INTERVAL '1 day'."))
    };
    let value = plan::constant(engine, value).map_err(|_| wrong("22007"))?;
    let ScalarValue::IntervalMonthDayNano(Some(interval)) = value else {
        return Err(wrong("22023"));
    };
    let (months, days, nanoseconds) = IntervalMonthDayNanoType::to_parts(interval);
    if months != 0 {
        return Err(Error::new("22023", format!("{what} must not have months or years"))
            .with_hint("Say it in days: INTERVAL '30 days'."));
    }
    let us = i64::from(days) * 86_400_000_000 + nanoseconds / 1_000;
    match us < 0 {
        true => Err(Error::new("22023", format!("{what} must not be negative"))
            .with_hint(format!("Write {what} INTERVAL '1 day'."))),
        false => Ok(us),
    }
}

/// As Postgres shows an interval of days and time.
pub fn duration_text(us: i64) -> String {
    const DAY: i64 = 86_400_000_000;
    let (days, rest) = (us / DAY, us % DAY);
    let (seconds, fraction) = (rest / 1_000_000, rest % 1_000_000);
    let clock = format!("{:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60);
    let fraction = format!(".{fraction:06}");
    let fraction = fraction.trim_end_matches('0').trim_end_matches('.');
    match (days, rest) {
        (0, _) => format!("{clock}{fraction}"),
        (1, 0) => "1 day".to_owned(),
        (days, 0) => format!("{days} days"),
        (1, _) => format!("1 day {clock}{fraction}"),
        (days, _) => format!("{days} days {clock}{fraction}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // As PostgreSQL 15 shows them.
    #[test]
    fn durations_read_like_intervals() {
        for (us, text) in [
            (0, "00:00:00"),
            (90_000_000, "00:01:30"),
            (86_400_000_000, "1 day"),
            (172_800_000_000, "2 days"),
            (90_000_500_000, "1 day 01:00:00.5"),
        ] {
            assert_eq!(duration_text(us), text);
        }
    }
}
