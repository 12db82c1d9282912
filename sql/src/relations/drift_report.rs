//! `drift_report(reference, current [, features => …])`: drift of every feature and slice, with its
//! cause.
//!
//! One scan of each side: their rows are put together and each feature is one aggregate. A profile
//! as the reference (`profile => …` instead) is one row that holds all of them. Without a list
//! every column is a feature, and one that only one side has, or that has become another type, is a
//! row that says so. `window => 'date_trunc(''day'', ts)'` compares each window of the current data
//! with all of the reference, of which a profile is made first.

use super::arguments::Arguments;
use super::described::Described;
use super::slices::grouped;
use crate::error::{Error, Result};
use crate::functions::literal;

pub(super) const ARGUMENTS: &[&str] =
    &["reference", "current", "features", "slices", "bins", "threshold", "profile", "window"];

/// Fewer features may well drift together.
const SEVERAL: usize = 3;

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
    let (features, changes) = features(arguments)?;
    if features.is_empty() && changes.is_empty() {
        return Err(Error::new("22023", "drift_report needs features")
            .with_hint("Write features => ARRAY['age', 'country']."));
    }
    if features.is_empty() {
        return Ok(only(&changes));
    }
    let slices = arguments.texts("slices")?;
    let window = arguments.text("window")?;
    let profile = profile(arguments, &features, window.is_some())?;
    if profile.is_some() && !slices.is_empty() {
        return Err(Error::new("22023", "drift_report has slices of reference and current only")
            .with_hint("Leave profile => and window => out."));
    }
    let (slice, value, mut grouping) = grouped(&slices);
    let reference = match &profile {
        None => rows(arguments, "reference", (&features, &slices), (None, false))?,
        Some(profile) => of_profile(arguments, profile, &features, window.as_ref())?,
    };
    let current = (window.as_ref(), profile.is_some());
    let current = rows(arguments, "current", (&features, &slices), current)?;
    let period = match window {
        None => "NULL::text",
        Some(_) => {
            "GROUP BY w".clone_into(&mut grouping);
            "w"
        }
    };
    let calls = calls(arguments, features.len(), profile.is_some())?;
    let names: Vec<String> = features.iter().map(|feature| literal(&feature.name)).collect();
    let fields: Vec<String> =
        FIELDS.iter().map(|field| format!("r['{field}'] AS {field}")).collect();
    let report = format!(
        "SELECT feature, slice, slice_value, period, {fields} FROM (SELECT slice, slice_value, \
         period, unnest(ARRAY[{names}]) AS feature, unnest(rows) AS r FROM (SELECT {slice} AS \
         slice, {value} AS slice_value, {period} AS period, ARRAY[{calls}] AS rows \
         FROM ({reference} UNION ALL {current}) AS u {grouping}) AS g) AS m",
        fields = fields.join(", "),
        names = names.join(", "),
        calls = calls.join(", "),
    );
    let report = match period == "w" || !slices.is_empty() {
        true => with_broken_partition(&report),
        false => report,
    };
    let report = match arguments.has("profile") {
        true => with_changes_since(&report, &arguments.relation("profile")?, &features, arguments),
        false => report,
    };
    let changes = changes.iter().map(|change| format!(" UNION ALL {change}"));
    Ok(format!("{report}{}", changes.collect::<String>()))
}

/// A report of nothing but changes of the schema, with the types that a report has.
fn only(changes: &[String]) -> String {
    let of = |field: &str| match field {
        "n_ref" | "n_cur" => "bigint",
        "drifted" => "boolean",
        "type" | "method" | "suspected_cause" | "status" => "text",
        "new_values" | "missing_values" => "text[]",
        _ => "float8",
    };
    let fields: Vec<String> =
        FIELDS.iter().map(|field| format!("{field}::{} AS {field}", of(field))).collect();
    let names = [&["feature", "slice", "slice_value", "period"], FIELDS].concat();
    format!(
        "SELECT feature, slice::text AS slice, slice_value::text AS slice_value, period::text AS \
         period, {} FROM ({}) AS c ({})",
        fields.join(", "),
        changes.join(" UNION ALL "),
        names.join(", "),
    )
}

/// The report, in which features that a profile lacks, has as another type or alone has are changes
/// of the schema.
fn with_changes_since(
    report: &str,
    profile: &str,
    features: &[Described],
    arguments: &Arguments,
) -> String {
    let names: Vec<String> = features.iter().map(|feature| literal(&feature.name)).collect();
    let types = features.iter().map(|feature| match feature.class.is_feature() {
        true => literal(feature.class.name()),
        false => "NULL::text".to_owned(),
    });
    let (names, types) = (names.join(", "), types.collect::<Vec<_>>().join(", "));
    let (new, other) = ("k.feature IS NULL", "k.type <> n.type");
    let fields = FIELDS.iter().map(|field| match *field {
        "suspected_cause" => format!(
            "CASE WHEN {new} OR {other} THEN 'schema_change' ELSE suspected_cause END AS {field}"
        ),
        "status" => format!(
            "CASE WHEN {new} THEN 'new_column' WHEN {other} THEN 'type_changed' ELSE status END \
             AS {field}"
        ),
        "type" => "coalesce(n.type, k.type, r.type) AS type".to_owned(),
        field => field.to_owned(),
    });
    let gone = match arguments.has("features") {
        true => String::new(),
        false => {
            let gone = change("feature", "type", "missing_column");
            format!(" UNION ALL {gone} FROM {profile} WHERE feature NOT IN ({names})")
        }
    };
    format!(
        "SELECT r.feature, slice, slice_value, period, {} FROM ({report}) AS r \
         JOIN (SELECT unnest(ARRAY[{names}]) AS feature, unnest(ARRAY[{types}]) AS type) AS n \
         ON n.feature = r.feature \
         LEFT JOIN (SELECT feature, type FROM {profile}) AS k ON k.feature = r.feature{gone}",
        fields.collect::<Vec<_>>().join(", "),
    )
}

/// The report, in which drift of every feature in one slice or window alone is a broken partition:
/// the world seldom changes in all respects at once, and goes on to the next window if it does.
fn with_broken_partition(report: &str) -> String {
    let fields = FIELDS.iter().map(|field| match *field {
        "suspected_cause" => format!(
            "CASE WHEN suspected_cause = 'drift' AND everything AND features >= {SEVERAL} \
             AND (slice IS NOT NULL OR period IS NOT NULL) AND partitions > 1 AND broken = 1 \
             THEN 'one_partition' ELSE suspected_cause END AS suspected_cause"
        ),
        field => field.to_owned(),
    });
    let fields: Vec<String> = fields.collect();
    format!(
        "SELECT feature, slice, slice_value, period, {fields} FROM (SELECT *, \
         count(*) OVER (PARTITION BY slice) / features AS partitions, \
         sum(CASE WHEN everything THEN 1 ELSE 0 END) OVER (PARTITION BY slice) / features \
         AS broken FROM (SELECT *, \
         bool_and(coalesce(drifted, false)) OVER (PARTITION BY slice, slice_value, period) \
         AS everything, count(*) OVER (PARTITION BY slice, slice_value, period) AS features \
         FROM ({report}) AS r) AS p) AS b",
        fields = fields.join(", "),
    )
}

/// The profile that stands for the reference, if one does: windows compare with it again and again.
fn profile(arguments: &Arguments, features: &[Described], windows: bool) -> Result<Option<String>> {
    if arguments.has("profile") {
        return arguments.relation("profile").map(Some);
    }
    if !windows {
        return Ok(None);
    }
    let features: Vec<String> = features.iter().map(|feature| literal(&feature.name)).collect();
    let (reference, features) = (literal(&arguments.required("reference")?), features.join(", "));
    let profile = format!("drift_profile({reference}, features => ARRAY[{features}]) AS k");
    Ok(Some(profile))
}

/// The rows of a side.
fn rows(
    arguments: &Arguments,
    name: &'static str,
    (features, slices): (&[Described], &[String]),
    (window, profile): (Option<&String>, bool),
) -> Result<String> {
    let mut columns = vec![format!("{} AS is_current", name == "current")];
    columns.extend(window.iter().map(|window| format!("{window} AS w")));
    columns.extend(slices.iter().enumerate().map(|(i, slice)| format!("{slice} AS s{i}")));
    let features_of = features.iter().enumerate();
    columns.extend(features_of.map(|(i, feature)| format!("{} AS f{i}", feature.expression)));
    let states = if profile { features.len() } else { 0 };
    columns.extend((0..states).map(|i| format!("NULL::bytea AS p{i}")));
    Ok(format!("SELECT {} FROM {}", columns.join(", "), arguments.relation(name)?))
}

/// The aggregate of each feature.
fn calls(arguments: &Arguments, count: usize, profile: bool) -> Result<Vec<String>> {
    let (bins, threshold) =
        (arguments.constant("bins", "10")?, arguments.constant("threshold", "0.25")?);
    let call = |i: usize| {
        let profile = if profile { format!(", profile => p{i}") } else { String::new() };
        format!(
            "drift_summary(f{i}, is_current, bins => {bins}, threshold => {threshold}{profile})"
        )
    };
    Ok((0..count).map(call).collect())
}

/// A row with the state of each feature, for every window; a feature that the profile lacks has
/// seen nothing.
fn of_profile(
    arguments: &Arguments,
    profile: &str,
    features: &[Described],
    window: Option<&String>,
) -> Result<String> {
    let values = (0..features.len()).map(|i| format!("NULL AS f{i}"));
    let states = (0..features.len()).map(|i| format!("p{i}"));
    let (names, from) = match window {
        None => ("false AS is_current", String::new()),
        Some(window) => {
            let current = arguments.relation("current")?;
            let windows =
                format!("(SELECT DISTINCT {window} AS w FROM {current}) AS w CROSS JOIN ");
            ("false AS is_current, w", windows)
        }
    };
    let columns: Vec<String> = values.chain(states).collect();
    let kept = features.iter().enumerate().map(|(i, feature)| {
        let of = literal(&feature.name);
        format!("coalesce(max(state) FILTER (WHERE feature = {of}), '\\x'::bytea) AS p{i}")
    });
    let kept: Vec<String> = kept.collect();
    Ok(format!(
        "SELECT {names}, {} FROM {from}(SELECT {} FROM {profile}) AS p",
        columns.join(", "),
        kept.join(", "),
    ))
}

/// The features, and rows for columns that cannot be compared.
fn features(arguments: &Arguments) -> Result<(Vec<Described>, Vec<String>)> {
    let listed = arguments.texts("features")?;
    let current = arguments.described("current")?;
    let reference = match arguments.has("profile") {
        true => current,
        false => arguments.described("reference")?,
    };
    let find = |columns: &[Described], name: &str| {
        columns.iter().find(|column| column.name == name || column.expression == name).cloned()
    };
    let names: Vec<String> = match listed.is_empty() {
        false => listed,
        true => {
            let new = current.iter().filter(|column| find(reference, &column.name).is_none());
            reference.iter().chain(new).map(|column| column.name.clone()).collect()
        }
    };
    let (mut same, mut changes) = (Vec::new(), Vec::new());
    for name in &names {
        let changed = |of: &Described, status: &str| {
            change(&literal(&of.name), &literal(of.class.name()), status)
        };
        match (find(reference, name), find(current, name)) {
            (Some(was), Some(is)) if was.class != is.class => {
                changes.push(changed(&was, "type_changed"));
            }
            (Some(was), Some(_)) if was.class.is_feature() => same.push(was),
            // Times and the like are compared only if they are asked for.
            (Some(was), Some(_)) if arguments.has("features") => same.push(was),
            (Some(_), Some(_)) => {}
            (Some(was), None) => changes.push(changed(&was, "missing_column")),
            (None, Some(is)) => changes.push(changed(&is, "new_column")),
            (None, None) => same.push(Described::listed(name, &[])),
        }
    }
    Ok((same, changes))
}

/// A row of the report for a column that is another one than it was; name and type are expressions.
fn change(feature: &str, class: &str, status: &str) -> String {
    let fields = FIELDS.iter().map(|field| match *field {
        "type" => class.to_owned(),
        "suspected_cause" => "'schema_change'".to_owned(),
        "status" => literal(status),
        _ => "NULL".to_owned(),
    });
    let fields: Vec<String> = fields.collect();
    format!("SELECT {feature}, NULL, NULL, NULL, {}", fields.join(", "))
}
