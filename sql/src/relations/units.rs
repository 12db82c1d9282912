//! The units of an experiment: one row per unit and arm with the sums of its metrics.

use super::arguments::Arguments;
use crate::error::{Error, Result};
use crate::functions::metric::METRIC;
use crate::parse::Metric;

/// One row per unit and arm with its sums, or the rows themselves without a unit.
pub(super) fn units(
    arguments: &Arguments,
    metrics: &[Metric],
    slices: &[String],
) -> Result<String> {
    let unit = arguments.text("unit")?;
    let sum = |text: &str| match unit {
        Some(_) => summed(text),
        None => text.to_string(),
    };
    let mut columns = vec![format!("{} AS variant", arguments.required("variant")?)];
    columns.extend(slices.iter().enumerate().map(|(i, slice)| format!("{slice} AS s{i}")));
    let cluster = arguments.text("cluster")?;
    columns.extend(cluster.iter().map(|cluster| format!("{cluster} AS cluster")));
    let keys = columns.len();
    for (place, metric) in metrics.iter().enumerate() {
        columns.push(format!("{} AS m{place}", sum(&metric.value)));
        let divisor = metric.divisor.iter();
        columns.extend(divisor.map(|divisor| format!("{} AS d{place}", sum(divisor))));
    }
    let covariate = arguments.text("covariate")?;
    columns.extend(covariate.iter().map(|covariate| format!("{} AS x", sum(covariate))));
    let by: Vec<String> = unit.iter().cloned().chain((1..=keys).map(|i| i.to_string())).collect();
    let grouping = match unit {
        Some(_) => format!(" GROUP BY {}", by.join(", ")),
        None => String::new(),
    };
    let table = arguments.relation("table")?;
    Ok(format!("SELECT {} FROM {table}{grouping}", columns.join(", ")))
}

/// The sum of a metric, which may be a boolean.
pub(super) fn summed(metric: &str) -> String {
    format!("sum(\"{METRIC}\"({metric}))")
}

/// The start of the call that compares every arm with control in a metric.
pub(super) fn compared(arguments: &Arguments, place: usize, is_ratio: bool) -> Result<String> {
    let cluster = arguments.text("cluster")?.is_some();
    let covariate = arguments.text("covariate")?.is_some();
    Ok(match (is_ratio, cluster, covariate) {
        (true, false, _) => format!("ab_ratio_each(m{place}, d{place}, variant"),
        (false, true, false) => format!("ab_ttest_clustered_each(m{place}, variant, cluster"),
        (false, true, true) => {
            let message = "metrics of clusters are not adjusted for a covariate";
            return Err(Error::new("22023", message).with_hint("Leave out covariate or cluster."));
        }
        (false, false, true) => format!("ab_cuped_each(m{place}, x, variant"),
        (false, false, false) => format!("ab_ttest_each(m{place}, variant"),
        (true, true, _) => {
            let message = "a ratio metric has no clusters: the unit of a ratio is its cluster";
            return Err(Error::new("22023", message).with_hint("Write unit => 'the cluster'."));
        }
    })
}
