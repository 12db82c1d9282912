//! `ab_decision(table, experiment => 'e')` or `ab_decision(table, variant => …, metrics => …)`:
//! whether to ship an arm, hold it or roll it back, and why.
//!
//! A row per treatment arm and metric. Every test is one-sided and always valid, so that it may be
//! looked at as often as one likes; m is the maximal regression, and 0 where there is none:
//!
//!   p_worse    against "it is at most m worse than control"
//!   p_better   against "it is at least m worse than control"
//!
//! ```text
//!   guardrail   breach  p_worse < alpha / guardrails       pass    p_better < alpha
//!   others      worse   p_worse < alpha / 2                better  p_better < alpha / 2
//!   an arm      roll back   a guardrail is breached, or a primary metric is worse
//!               hold        units are not split as planned (p < 0.001), or something is unclear
//!               ship        every guardrail passes and every primary metric is better
//! ```
//! A breach is Bonferroni's over the guardrails: an arm that harms nothing is rolled back by them
//! with probability alpha at most, however many there are and however often one looks. To ship, all
//! must pass, which needs no correction. Where neither arm has any spread, nothing can be tested;
//! with a hundred units of each, a difference beyond m then is a breach all the same.

use super::arguments::{Arguments, quoted};
use super::units::{compared, units};
use crate::error::{Error, Result};
use crate::functions::literal;
use crate::parse::{self, Arm, Metric, MetricRole};

pub(super) const ARGUMENTS: &[&str] = &[
    "table",
    "unit",
    "variant",
    "control",
    "metrics",
    "arms",
    "alpha",
    "tuning_n",
    "experiment",
    "covariate",
    "cluster",
];

/// Fields of a row, as the aggregates give them.
const FIELDS: &[&str] =
    &["n_control", "n_treatment", "mean_control", "mean_treatment", "diff", "lift", "status"];

/// The query.
pub(super) fn query(arguments: &Arguments) -> Result<String> {
    let metrics = metrics(arguments)?;
    let units = units(arguments, &metrics, &[])?;
    let sides = |worse: bool| -> Result<Vec<String>> {
        (0..metrics.len()).map(|i| call(arguments, i, &metrics[i], worse)).collect()
    };
    let (better, worse) = (sides(false)?.join(", "), sides(true)?.join(", "));
    let fields: Vec<String> =
        FIELDS.iter().map(|field| format!("b['{field}'] AS {field}")).collect();
    let srm = match arms(arguments)? {
        None => "NULL::float8".to_owned(),
        Some(arms) => {
            let weights: Vec<String> = arms.iter().map(|arm| format!("{:?}", arm.weight)).collect();
            let names: Vec<String> = arms.iter().map(|arm| literal(&arm.name)).collect();
            let (weights, names) = (weights.join(", "), names.join(", "));
            format!(
                "(ab_srm(variant::text, weights => ARRAY[{weights}]::float8[], \
                 arms => ARRAY[{names}]))['p_value']"
            )
        }
    };
    let rows = format!(
        "SELECT place, metric, role, allowed, srm_p_value, b['treatment'] AS treatment, {fields}, \
         b['p_sequential'] AS p_better_tested, w['p_sequential'] AS p_worse_tested, \
         sign * b['diff'] AS worse_by, \
         most * CASE WHEN relative THEN abs(b['mean_control']) ELSE 1 END AS limit_of_it \
         FROM (SELECT place, metric, role, allowed, sign, most, relative, srm_p_value, \
         unnest(bs) AS b, unnest(ws) AS w \
         FROM (SELECT srm_p_value, {lists}, unnest(ARRAY[{better}]) AS bs, \
         unnest(ARRAY[{worse}]) AS ws \
         FROM (SELECT {srm} AS srm_p_value, {calls} FROM ({units}) AS u) AS g) AS m) AS a",
        fields = fields.join(", "),
        lists = lists(&metrics),
        better = names("b", metrics.len()),
        worse = names("w", metrics.len()),
        calls = [better, worse].join(", "),
    );
    decided(arguments, &metrics, &rows)
}

/// So many units of each arm without any spread leave no doubt: all of one, none of the other.
const CERTAIN: u32 = 100;

/// The rows with verdicts, and what follows for each arm.
fn decided(arguments: &Arguments, metrics: &[Metric], rows: &str) -> Result<String> {
    let alpha = arguments.constant("alpha", "0.05")?;
    let is_guardrail = |metric: &&Metric| metric.role == MetricRole::Guardrail;
    let guardrails = metrics.iter().filter(is_guardrail).count().max(1);
    let certain = format!(
        "status = 'zero_variance' AND least(n_control, n_treatment) >= {CERTAIN} \
         AND worse_by > limit_of_it"
    );
    let rows = format!(
        "SELECT *, CASE WHEN {certain} THEN 0 ELSE p_worse_tested END AS p_worse, \
         CASE WHEN {certain} THEN 1 ELSE p_better_tested END AS p_better FROM ({rows}) AS t"
    );
    let verdict = format!(
        "CASE WHEN role = 'guardrail' AND p_worse < {alpha} / {guardrails}.0 THEN 'breach' \
         WHEN role = 'guardrail' AND p_better < {alpha} THEN 'pass' \
         WHEN role = 'guardrail' THEN 'unclear' WHEN p_worse < {alpha} / 2 THEN 'worse' \
         WHEN p_better < {alpha} / 2 THEN 'better' ELSE 'unclear' END"
    );
    let bad = format!(
        "CASE WHEN verdict = 'breach' THEN 'guardrail ' || metric || ' is worse by more than ' \
         || allowed || {p} WHEN verdict = 'worse' AND role = 'primary' \
         THEN 'primary ' || metric || ' is worse' || {p} END",
        p = shown("p_worse"),
    );
    let open = "CASE WHEN verdict <> 'unclear' OR role = 'secondary' THEN NULL \
         WHEN status <> 'ok' THEN role || ' ' || metric || ' cannot be tested: ' || status \
         WHEN role = 'guardrail' THEN 'guardrail ' || metric || ' may be worse by more than ' \
         || allowed ELSE 'primary ' || metric || ' is not known to be better' END";
    Ok(format!(
        "SELECT treatment, metric, role, verdict, {fields}, max_regression, p_better, p_worse, \
         srm_p_value, CASE WHEN harm IS NOT NULL THEN 'roll back' \
         WHEN srm_p_value < 0.001 OR doubt IS NOT NULL THEN 'hold' ELSE 'ship' END AS decision, \
         CASE WHEN harm IS NOT NULL THEN harm WHEN srm_p_value < 0.001 \
         THEN 'units are not split as planned' || {srm} \
         ELSE coalesce(doubt, {ship}) END AS reason, breached \
         FROM (SELECT *, allowed AS max_regression, string_agg({bad}, '; ') OVER a AS harm, \
         string_agg({open}, '; ') OVER a AS doubt, bool_or(verdict = 'breach') OVER a AS breached \
         FROM (SELECT *, {verdict} AS verdict FROM ({rows}) AS r) AS v \
         WINDOW a AS (PARTITION BY treatment ORDER BY place \
         ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING)) AS s",
        fields = FIELDS.join(", "),
        ship = literal(shipped(metrics)),
        srm = shown("srm_p_value"),
    ))
}

/// A p-value for people.
fn shown(p: &str) -> String {
    format!(
        "CASE WHEN {p} < 0.000001 THEN ' (p < 0.000001)' \
         ELSE ' (p = ' || round({p}::numeric, 6) || ')' END"
    )
}

fn shipped(metrics: &[Metric]) -> &'static str {
    let has = |role| metrics.iter().any(|metric| metric.role == role);
    match (has(MetricRole::Primary), has(MetricRole::Guardrail)) {
        (true, true) => "every primary metric is better and every guardrail passes",
        (true, false) => "every primary metric is better",
        (false, _) => "every guardrail passes",
    }
}

/// The experiment's metrics, or those of the text, which is written as in CREATE EXPERIMENT.
fn metrics(arguments: &Arguments) -> Result<Vec<Metric>> {
    let metrics = match (arguments.text("metrics")?, arguments.experiment()) {
        (Some(text), _) => parse::metrics(&text)?,
        (None, Some(experiment)) => experiment.metrics.clone(),
        (None, None) => Vec::new(),
    };
    match metrics.iter().any(|metric| metric.role != MetricRole::Secondary) {
        true => Ok(metrics),
        false => Err(Error::new("22023", "ab_decision needs a primary metric or a guardrail")
            .with_hint("Write metrics => 'PRIMARY revenue, GUARDRAIL errors MAX REGRESSION 0.1'.")),
    }
}

/// The planned split, if there is one.
fn arms(arguments: &Arguments) -> Result<Option<Vec<Arm>>> {
    match (arguments.text("arms")?, arguments.experiment()) {
        (Some(text), _) => parse::arms(&text).map(Some),
        (None, Some(experiment)) => Ok(Some(experiment.arms.clone())),
        (None, None) => Ok(None),
    }
}

/// Place, name, role and allowance of each metric, and which way it is harmed.
fn lists(metrics: &[Metric]) -> String {
    let list = |name: &str, of: &dyn Fn(usize, &Metric) -> String| {
        let items: Vec<String> = metrics.iter().enumerate().map(|(i, m)| of(i, m)).collect();
        format!("unnest(ARRAY[{}]) AS {name}", items.join(", "))
    };
    [
        list("place", &|place, _| place.to_string()),
        list("metric", &|_, metric| literal(&metric.name)),
        list("role", &|_, metric| literal(metric.role.name())),
        list("allowed", &|_, metric| allowed(metric)),
        list("sign", &|_, metric| if metric.lower_is_better { "1.0" } else { "-1.0" }.to_owned()),
        list("most", &|_, metric| format!("{:?}", metric.max_regression)),
        list("relative", &|_, metric| metric.relative.to_string()),
    ]
    .join(", ")
}

fn allowed(metric: &Metric) -> String {
    match (metric.role, metric.relative) {
        (MetricRole::Guardrail, true) => {
            literal(&format!("{} percent", (metric.max_regression * 1e8).round() / 1e6))
        }
        (MetricRole::Guardrail, false) => literal(&metric.max_regression.to_string()),
        (MetricRole::Primary | MetricRole::Secondary, _) => "NULL::text".to_owned(),
    }
}

fn names(side: &str, count: usize) -> String {
    (0..count).map(|place| format!("{side}{place}")).collect::<Vec<_>>().join(", ")
}

/// One side's test of a metric against every treatment arm.
fn call(arguments: &Arguments, place: usize, metric: &Metric, worse: bool) -> Result<String> {
    let values = compared(arguments, place, metric.divisor.is_some())?;
    let upwards = worse == metric.lower_is_better;
    let margin = metric.max_regression * if metric.lower_is_better { 1.0 } else { -1.0 };
    Ok(format!(
        "{values}, control => {}, alternative => '{}', margin => {margin:?}, relative => {}, \
         alpha => {}, tuning_n => {}) AS {}{place}",
        quoted(arguments.text("control")?.as_ref()),
        if upwards { "greater" } else { "less" },
        metric.relative,
        arguments.constant("alpha", "0.05")?,
        arguments.constant("tuning_n", "5000")?,
        if worse { "w" } else { "b" },
    ))
}
