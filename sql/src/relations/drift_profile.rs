//! `drift_profile(table [, features => …])`: what later data are compared with, computed once.
//!
//! A row per feature, for a table of one's own: `CREATE TABLE p AS SELECT * FROM drift_profile(…)`,
//! and then `drift_report(profile => 'p', current => …)` any number of times.

use super::arguments::Arguments;
use crate::error::{Error, Result};
use crate::functions::literal;

pub(super) const ARGUMENTS: &[&str] = &["table", "features", "bins"];

/// Fields of a feature's row, as the aggregate gives them.
const FIELDS: &[&str] = &[
    "type",
    "n",
    "null_count",
    "nan_count",
    "min",
    "max",
    "edges",
    "categories",
    "counts",
    "exact",
    "state",
];

/// The query.
pub(super) fn query(arguments: &Arguments) -> Result<String> {
    let mut features = arguments.texts("features")?;
    if features.is_empty() {
        features.extend(arguments.described("table")?.iter().map(|column| column.0.clone()));
    }
    if features.is_empty() {
        return Err(Error::new("22023", "drift_profile needs features")
            .with_hint("Write features => ARRAY['age', 'country']."));
    }
    let bins = arguments.constant("bins", "10")?;
    let call = |feature: &String| format!("drift_profile_of({feature}, bins => {bins})");
    let calls: Vec<String> = features.iter().map(call).collect();
    let names: Vec<String> = features.iter().map(|feature| literal(feature)).collect();
    let field = |field: &&str| format!("r['{field}'] AS {field}");
    let fields: Vec<String> = FIELDS.iter().map(field).collect();
    Ok(format!(
        "SELECT feature, {fields} FROM (SELECT unnest(ARRAY[{names}]) AS feature, \
         unnest(rows) AS r FROM (SELECT ARRAY[{calls}] AS rows FROM {table}) AS g) AS m",
        fields = fields.join(", "),
        names = names.join(", "),
        calls = calls.join(", "),
        table = arguments.relation("table")?,
    ))
}
