//! `drift_report(reference, current, features => …)`: drift of every feature and slice, with its
//! cause.
//!
//! One scan of each side: their rows are put together and each feature is one aggregate. A profile
//! as the reference (`profile => …` instead) is one row that holds all of them.

use super::arguments::Arguments;
use super::slices::grouped;
use crate::error::{Error, Result};
use crate::functions::literal;

pub(super) const ARGUMENTS: &[&str] =
    &["reference", "current", "features", "slices", "bins", "threshold", "profile"];

/// Fields of a feature's row, as the aggregate gives them.
const FIELDS: &[&str] = &[
    "type",
    "method",
    "score",
    "threshold",
    "critical_value",
    "p_value",
    "drifted",
    "n_ref",
    "n_cur",
    "null_rate_ref",
    "null_rate_cur",
    "new_values",
    "missing_values",
    "suspected_cause",
    "status",
];

/// The query.
pub(super) fn query(arguments: &Arguments) -> Result<String> {
    let features = arguments.texts("features")?;
    if features.is_empty() {
        return Err(Error::new("22023", "drift_report needs features")
            .with_hint("Write features => ARRAY['age', 'country']."));
    }
    let slices = arguments.texts("slices")?;
    let (slice, value, grouping) = grouped(&slices);
    let profile = arguments.text("profile")?;
    if profile.is_some() && !slices.is_empty() {
        return Err(Error::new("22023", "a profile has no slices")
            .with_hint("Make one of each slice, or give reference => instead of profile =>."));
    }
    let count = features.len();
    let rows = |name: &'static str, is_current: bool| -> Result<String> {
        let slices = slices.iter().enumerate().map(|(i, slice)| format!("{slice} AS s{i}"));
        let features = features.iter().enumerate().map(|(i, feature)| format!("{feature} AS f{i}"));
        let none = profile.iter().flat_map(|_| (0..count).map(|i| format!("NULL::bytea AS p{i}")));
        let columns: Vec<String> = slices.chain(features).chain(none).collect();
        let table = arguments.relation(name)?;
        Ok(format!("SELECT {is_current} AS is_current, {} FROM {table}", columns.join(", ")))
    };
    let reference = match &profile {
        None => rows("reference", false)?,
        Some(_) => of_profile(&arguments.relation("profile")?, &features),
    };
    let (bins, threshold) =
        (arguments.constant("bins", "10")?, arguments.constant("threshold", "0.25")?);
    let calls: Vec<String> = (0..features.len())
        .map(|i| {
            let profile =
                if profile.is_some() { format!(", profile => p{i}") } else { String::new() };
            format!(
                "drift_summary(f{i}, is_current, bins => {bins}, threshold => {threshold}{profile})"
            )
        })
        .collect();
    let names: Vec<String> = features.iter().map(|feature| literal(feature)).collect();
    let fields: Vec<String> =
        FIELDS.iter().map(|field| format!("r['{field}'] AS {field}")).collect();
    Ok(format!(
        "SELECT feature, slice, slice_value, {fields} FROM (SELECT slice, slice_value, \
         unnest(ARRAY[{names}]) AS feature, unnest(rows) AS r FROM (SELECT {slice} AS slice, \
         {value} AS slice_value, ARRAY[{calls}] AS rows \
         FROM ({reference} UNION ALL {current}) AS u {grouping}) AS g) AS m",
        fields = fields.join(", "),
        names = names.join(", "),
        calls = calls.join(", "),
        current = rows("current", true)?,
    ))
}

/// One row with the state of each feature; one that the profile lacks has seen nothing.
fn of_profile(profile: &str, features: &[String]) -> String {
    let values = (0..features.len()).map(|i| format!("NULL AS f{i}"));
    let states = features.iter().enumerate().map(|(i, feature)| {
        let of = literal(feature);
        format!("coalesce(max(state) FILTER (WHERE feature = {of}), '\\x'::bytea) AS p{i}")
    });
    let columns: Vec<String> = values.chain(states).collect();
    format!("SELECT false AS is_current, {} FROM {profile}", columns.join(", "))
}
