//! `label_drift(reference, current, label => …)`: how often each label occurs, then and now.
//!
//! A row per label; score is the psi of all of them, p_value the chi-square test that the two sides
//! have the same shares. NULL is a label too: rows that have not been labelled yet.

use super::arguments::Arguments;
use crate::error::Result;

pub(super) const ARGUMENTS: &[&str] = &["reference", "current", "label", "threshold"];

/// The query.
pub(super) fn query(arguments: &Arguments) -> Result<String> {
    let label = arguments.required("label")?;
    let threshold = arguments.constant("threshold", "0.25")?;
    let side = |name: &'static str, is_current: bool| -> Result<String> {
        let table = arguments.relation(name)?;
        Ok(format!("SELECT {is_current} AS is_current, ({label})::text AS label FROM {table}"))
    };
    Ok(format!(
        "SELECT label, n_ref, n_cur, n_ref / nullif(r['n_reference'], 0)::float8 AS share_ref, \
         n_cur / nullif(r['n_current'], 0)::float8 AS share_cur, \
         n_cur / nullif(r['n_current'], 0)::float8 - n_ref / nullif(r['n_reference'], 0)::float8 \
         AS diff, r['value'] AS score, r['threshold'] AS threshold, t['p_value'] AS p_value, \
         r['drifted'] AS drifted, r['status'] AS status \
         FROM (SELECT unnest(labels) AS label, unnest(refs) AS n_ref, unnest(curs) AS n_cur, r, t \
         FROM (SELECT labels, refs, curs, psi(refs, curs, threshold => {threshold}) AS r, \
         chi2_test(refs, curs) AS t FROM (SELECT array_agg(label ORDER BY label) AS labels, \
         array_agg(n_ref ORDER BY label) AS refs, array_agg(n_cur ORDER BY label) AS curs \
         FROM (SELECT label, count(*) FILTER (WHERE NOT is_current) AS n_ref, \
         count(*) FILTER (WHERE is_current) AS n_cur FROM ({reference} UNION ALL {current}) AS u \
         GROUP BY label) AS g) AS a GROUP BY labels, refs, curs) AS s) AS l",
        reference = side("reference", false)?,
        current = side("current", true)?,
    ))
}
