//! `drift_report(reference, current, features => …)`: drift of every feature and slice, with its
//! cause.
//!
//! One scan of each side: their rows are put together and each feature is one aggregate.

use super::arguments::Arguments;
use super::slices::grouped;
use crate::error::{Error, Result};
use crate::functions::literal;

pub(super) const ARGUMENTS: &[&str] =
    &["reference", "current", "features", "slices", "bins", "threshold"];

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
    let side = |name: &'static str, is_current: bool| -> Result<String> {
        let slices = slices.iter().enumerate().map(|(i, slice)| format!("{slice} AS s{i}"));
        let features = features.iter().enumerate().map(|(i, feature)| format!("{feature} AS f{i}"));
        let columns: Vec<String> = slices.chain(features).collect();
        let table = arguments.relation(name)?;
        Ok(format!("SELECT {is_current} AS is_current, {} FROM {table}", columns.join(", ")))
    };
    let (bins, threshold) =
        (arguments.constant("bins", "10")?, arguments.constant("threshold", "0.25")?);
    let calls: Vec<String> = (0..features.len())
        .map(|i| {
            format!("drift_summary(f{i}, is_current, bins => {bins}, threshold => {threshold})")
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
        reference = side("reference", false)?,
        current = side("current", true)?,
    ))
}
