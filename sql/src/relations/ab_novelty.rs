//! `ab_novelty(table, metric => …, day => …)`: whether an effect fades or grows with the days.
//!
//! A row per treatment arm and day; with weights w = 1 / std_error², the day's distance t from the
//! first in days, and effect d:
//!
//!   pooled_diff = Σ w d / Σ w        slope = weighted least squares of d on t, per day
//!   q = Σ w (d - pooled_diff)², chi-square with q_df degrees of freedom under one effect
//!
//! Sums are of distances from the means, so that large effects keep their digits.

use super::arguments::{Arguments, quoted};
use super::units::summed;
use crate::error::Result;
use crate::functions::days::DAYS;
use crate::parse::Metric;

pub(super) const ARGUMENTS: &[&str] =
    &["table", "unit", "variant", "control", "metric", "day", "alpha"];

/// Fields of a day, as the aggregate gives them.
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
    "p_value",
    "status",
];

/// The query.
pub(super) fn query(arguments: &Arguments) -> Result<String> {
    let (metric, day) = (arguments.required("metric")?, arguments.required("day")?);
    let metric = Metric::read(&metric)?;
    let variant = arguments.required("variant")?;
    let table = arguments.relation("table")?;
    let unit = arguments.text("unit")?;
    let sum = |text: &str| match unit {
        Some(_) => summed(text),
        None => text.to_owned(),
    };
    let divisor = metric.divisor.iter().map(|divisor| format!(", {} AS d", sum(divisor)));
    let values = format!("{} AS y{}", sum(&metric.value), divisor.collect::<String>());
    let grouping = unit.iter().map(|unit| format!(" GROUP BY {unit}, 1, 2")).collect::<String>();
    let units =
        format!("SELECT {day} AS day, {variant} AS variant, {values} FROM {table}{grouping}");
    let compared = match metric.divisor {
        Some(_) => "ab_ratio_each(y, d, variant",
        None => "ab_ttest_each(y, variant",
    };
    let fields: Vec<String> =
        FIELDS.iter().map(|field| format!("r['{field}'] AS {field}")).collect();
    Ok(format!(
        "SELECT day, treatment, {names}, pooled_diff, \
         sum(w * (t - middle) * (diff - pooled_diff)) OVER a \
         / nullif(sum(w * (t - middle) * (t - middle)) OVER a, 0) AS slope, \
         sum(w * (diff - pooled_diff) * (diff - pooled_diff)) OVER a AS q, \
         nullif(count(w) OVER a, 0) - 1 AS q_df FROM (SELECT *, \
         sum(w * diff) OVER a / sum(w) OVER a AS pooled_diff, \
         sum(w * t) OVER a / sum(w) OVER a AS middle FROM (SELECT *, \
         1 / nullif(std_error * std_error, 0) AS w, \
         \"{DAYS}\"(day) - min(\"{DAYS}\"(day)) OVER a AS t FROM (SELECT day, \
         r['treatment'] AS treatment, {fields} FROM (SELECT day, unnest(arms) AS r FROM (SELECT \
         day, {compared}, control => {control}, alpha => {alpha}) AS arms \
         FROM ({units}) AS u GROUP BY day) AS g) AS m) AS f \
         WINDOW a AS (PARTITION BY treatment)) AS o WINDOW a AS (PARTITION BY treatment)) AS s \
         WINDOW a AS (PARTITION BY treatment)",
        names = FIELDS.join(", "),
        fields = fields.join(", "),
        control = quoted(arguments.text("control")?.as_ref()),
        alpha = arguments.constant("alpha", "0.05")?,
    ))
}
