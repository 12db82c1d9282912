//! `drift_profile(table [, features => …])`: what later data are compared with, computed once.
//!
//! A row per feature, for a table of one's own: `CREATE TABLE p AS SELECT * FROM drift_profile(…)`,
//! and then `drift_report(profile => 'p', current => …)` any number of times.

use super::arguments::Arguments;
use super::described::Described;
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
    let (listed, all) = (arguments.texts("features")?, arguments.described("table")?);
    let features: Vec<Described> = match listed.is_empty() {
        true => all.iter().filter(|column| column.class.is_feature()).cloned().collect(),
        false => listed.iter().map(|text| Described::listed(text, all)).collect(),
    };
    if features.is_empty() {
        return Err(Error::new("22023", "drift_profile needs features")
            .with_hint("Write features => ARRAY['age', 'country']."));
    }
    let bins = arguments.constant("bins", "10")?;
    let call =
        |feature: &Described| format!("drift_profile_of({}, bins => {bins})", feature.expression);
    let calls: Vec<String> = features.iter().map(call).collect();
    let names: Vec<String> = features.iter().map(|feature| literal(&feature.name)).collect();
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
