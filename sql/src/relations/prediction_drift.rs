//! `prediction_drift(reference, current, prediction => …)`: whether a model says something else
//! than it did.
//!
//! One row: psi over quantile bins of the reference, Kolmogorov-Smirnov and Wasserstein over the
//! same scores. NULL and NaN are scores that are missing, counted by psi.

use super::arguments::Arguments;
use crate::error::Result;

pub(super) const ARGUMENTS: &[&str] = &["reference", "current", "prediction", "bins", "threshold"];

/// The query.
pub(super) fn query(arguments: &Arguments) -> Result<String> {
    let prediction = arguments.required("prediction")?;
    let (bins, threshold) =
        (arguments.constant("bins", "10")?, arguments.constant("threshold", "0.25")?);
    let side = |name: &'static str, is_current: bool| -> Result<String> {
        let table = arguments.relation(name)?;
        Ok(format!("SELECT {is_current} AS is_current, ({prediction})::float8 AS x FROM {table}"))
    };
    Ok(format!(
        "SELECT p['n_reference'] AS n_ref, p['n_current'] AS n_cur, mean_ref, mean_cur, \
         p['value'] AS score, p['threshold'] AS threshold, k['value'] AS ks_statistic, \
         k['p_value'] AS ks_p_value, w['raw'] AS wasserstein, p['drifted'] AS drifted, \
         p['status'] AS status \
         FROM (SELECT psi(x, is_current, bins => {bins}, threshold => {threshold}) AS p, \
         ks_test(x, is_current) AS k, wasserstein(x, is_current) AS w, \
         avg(x) FILTER (WHERE NOT is_current AND x <> 'NaN') AS mean_ref, \
         avg(x) FILTER (WHERE is_current AND x <> 'NaN') AS mean_cur \
         FROM ({reference} UNION ALL {current}) AS u) AS s",
        reference = side("reference", false)?,
        current = side("current", true)?,
    ))
}
