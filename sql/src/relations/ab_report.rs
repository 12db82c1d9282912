//! `ab_report(table, variant => …, metrics => …)`: every metric, slice and treatment arm of an
//! experiment.
//!
//! One scan: rows are summed per unit, units are grouped by every slice and by none (GROUPING
//! SETS), and each metric is one aggregate that answers with an array, one row per treatment arm.

use super::arguments::{Arguments, quoted};
use super::slices::grouped;
use super::units::{compared, units};
use crate::error::{Error, Result};
use crate::functions::literal;

pub(super) const ARGUMENTS: &[&str] = &[
    "table",
    "unit",
    "variant",
    "control",
    "metrics",
    "slices",
    "covariate",
    "cluster",
    "correction",
    "sequential",
    "alpha",
    "tuning_n",
    "experiment",
];

/// Fields of an arm's row, as the aggregates give them.
const FIELDS: &[&str] = &[
    "n_control",
    "n_treatment",
    "mean_control",
    "mean_treatment",
    "diff",
    "std_error",
    "ci_low",
    "ci_high",
    "lift",
    "lift_ci_low",
    "lift_ci_high",
    "statistic",
    "df",
    "p_value",
    "ln_p_value",
    "p_sequential",
    "ci_seq_low",
    "ci_seq_high",
    "n_null",
    "n_nan",
    "status",
    "theta",
    "variance_reduction",
    "covariate_imbalance_p",
    "n_clusters",
];

/// The query.
pub(super) fn query(arguments: &Arguments) -> Result<String> {
    let metrics = arguments.metrics()?;
    if metrics.is_empty() {
        return Err(Error::new("22023", "ab_report needs metrics")
            .with_hint("Write metrics => ARRAY['revenue', 'clicks/impressions']."));
    }
    let slices = arguments.texts("slices")?;
    let units = units(arguments, &metrics, &slices)?;
    let calls: Vec<String> = (0..metrics.len())
        .map(|place| call(arguments, place, metrics[place].divisor.is_some()))
        .collect::<Result<_>>()?;
    let (slice, value, grouping) = grouped(&slices);
    let names: Vec<String> = metrics.iter().map(|metric| literal(&metric.name)).collect();
    let p = if arguments.flag("sequential")? { "p_sequential" } else { "p_value" };
    let correction = arguments.text("correction")?.unwrap_or_else(|| "none".into());
    let fields: Vec<String> =
        FIELDS.iter().map(|field| format!("r['{field}'] AS {field}")).collect();
    Ok(format!(
        "SELECT metric, slice, slice_value, r['treatment'] AS treatment, {fields}, \
         p_adjust(r['{p}'], {correction}) OVER () AS p_adjusted \
         FROM (SELECT metric, slice, slice_value, unnest(arms) AS r \
         FROM (SELECT slice, slice_value, unnest(ARRAY[{names}]) AS metric, \
         unnest(ARRAY[{calls}]) AS arms FROM (SELECT {slice} AS slice, {value} AS slice_value, \
         {columns} FROM ({units}) AS u {grouping}) AS g) AS m) AS a",
        fields = fields.join(", "),
        correction = literal(&correction),
        names = names.join(", "),
        calls = (0..metrics.len()).map(|i| format!("r{i}")).collect::<Vec<_>>().join(", "),
        columns = calls.join(", "),
    ))
}

/// The aggregate of a metric.
fn call(arguments: &Arguments, place: usize, is_ratio: bool) -> Result<String> {
    let values = compared(arguments, place, is_ratio)?;
    Ok(format!(
        "{values}, control => {}, alpha => {}, tuning_n => {}) AS r{place}",
        quoted(arguments.text("control")?.as_ref()),
        arguments.constant("alpha", "0.05")?,
        arguments.constant("tuning_n", "5000")?,
    ))
}
