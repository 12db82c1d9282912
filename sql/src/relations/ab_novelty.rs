//! `ab_novelty(table, metric => …, day => …)`: whether an effect fades or grows with the days.
//!
//! A row per treatment arm and day; with weights w = 1 / std_error², day number t = 0, 1, … and
//! effect d:
//!
//!   pooled_diff = Σ w d / Σ w        slope = weighted least squares of d on t, per day
//!   q = Σ w (d - pooled_diff)², chi-square with q_df degrees of freedom under one effect

use super::arguments::{Arguments, quoted};
use super::units::summed;
use crate::error::Result;

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
    let variant = arguments.required("variant")?;
    let table = arguments.relation("table")?;
    let units = match arguments.text("unit")? {
        None => format!("SELECT {day} AS day, {variant} AS variant, {metric} AS y FROM {table}"),
        Some(unit) => format!(
            "SELECT {day} AS day, {variant} AS variant, {sum} AS y FROM {table} \
             GROUP BY {unit}, 1, 2",
            sum = summed(&metric),
        ),
    };
    let fields: Vec<String> =
        FIELDS.iter().map(|field| format!("r['{field}'] AS {field}")).collect();
    Ok(format!(
        "SELECT day, treatment, {names}, swd / sw AS pooled_diff, \
         (sw * swtd - swt * swd) / nullif(sw * swtt - swt * swt, 0) AS slope, \
         swdd - swd * swd / sw AS q, days - 1 AS q_df FROM (SELECT *, \
         sum(w) OVER a AS sw, sum(w * diff) OVER a AS swd, sum(w * t) OVER a AS swt, \
         sum(w * t * t) OVER a AS swtt, sum(w * t * diff) OVER a AS swtd, \
         sum(w * diff * diff) OVER a AS swdd, count(w) OVER a AS days FROM (SELECT *, \
         1 / nullif(std_error * std_error, 0) AS w, \
         row_number() OVER (PARTITION BY treatment ORDER BY day) - 1 AS t FROM (SELECT day, \
         r['treatment'] AS treatment, {fields} FROM (SELECT day, unnest(arms) AS r FROM (SELECT \
         day, ab_ttest_each(y, variant, control => {control}, alpha => {alpha}) AS arms \
         FROM ({units}) AS u GROUP BY day) AS g) AS m) AS f) AS o \
         WINDOW a AS (PARTITION BY treatment)) AS s",
        names = FIELDS.join(", "),
        fields = fields.join(", "),
        control = quoted(arguments.text("control")?.as_ref()),
        alpha = arguments.constant("alpha", "0.05")?,
    ))
}
