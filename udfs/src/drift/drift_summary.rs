//! `drift_summary(x, is_current, …)`: one feature's row of `drift_report`.

use std::collections::{BTreeMap, HashMap};

use datafusion::arrow::array::{ArrayRef, AsArray};
use datafusion::error::Result as EngineResult;
use kernels::statistics::divergence::{
    ChiSquareKind, Divergence, Fill, chi_square, divergence, psi_critical,
};

use super::bins::{CHANCE, Rule};
use super::cause::{Side, suspected_cause};
use super::profile::Profile;
use super::sampled::{Column, Sampled};
use crate::Error;
use crate::arguments::{Call, Doc, Given, Kind, option, required};
use crate::output::{Output, Shape, Type};
use crate::two_sample::{Pair, Side as _, TwoSample};

/// A column, and the rows of it that stand for a whole profile.
pub struct Rows<'a> {
    column: Column<'a>,
    profiles: HashMap<u32, Sampled>,
}

/// The aggregate.
#[derive(Debug, Clone, Default)]
pub struct Summary;

impl TwoSample for Summary {
    type Side = Sampled;
    type Options = Rule<()>;
    type Batch<'a> = Rows<'a>;
    const ARM: usize = 1;

    fn fixed_arms() -> Option<[&'static str; 2]> {
        Some(["false", "true"])
    }

    fn call() -> Call {
        let arguments = vec![
            required("x", Kind::Value, "a number or a category"),
            required("is_current", Kind::Flag, "false: reference, true: current, NULL: neither"),
            option("bins", Kind::Integer, "quantile bins of the reference (default 10)"),
            option("threshold", Kind::Number, "drifted above this psi (default 0.25)"),
            option("profile", Kind::State, "of drift_profile_of: the row stands for all of its"),
        ];
        Call { name: "drift_summary", arguments, doc: DOC }
    }

    fn shape() -> Shape {
        vec![
            ("type", Type::Text),
            ("method", Type::Text),
            ("score", Type::Number),
            ("threshold", Type::Number),
            ("critical_value", Type::Number),
            ("p_value", Type::Number),
            ("drifted", Type::Flag),
            ("n_ref", Type::Count),
            ("n_cur", Type::Count),
            ("null_rate_ref", Type::Number),
            ("null_rate_cur", Type::Number),
            ("new_values", Type::Count),
            ("missing_values", Type::Count),
            ("suspected_cause", Type::Text),
            ("status", Type::Text),
        ]
    }

    fn options(given: &Given) -> EngineResult<Rule<()>> {
        Rule::quantiles(given)
    }

    fn batch<'a>(columns: &'a [ArrayRef], _: &Rule<()>) -> EngineResult<Rows<'a>> {
        let states = columns.get(PROFILE).and_then(|column| column.as_binary_opt::<i32>());
        let states = states.into_iter().flat_map(|states| states.iter().zip(0..));
        let profile = |(state, row): (Option<&[u8]>, u32)| {
            let invalid = Error::InvalidState { function: "drift_profile" };
            state.map(|state| Ok((row, Profile::decode(state).ok_or(invalid)?.sampled())))
        };
        let profiles = states.filter_map(profile).collect::<Result<_, Error>>()?;
        Ok(Rows { column: Column::of(&columns[0], None), profiles })
    }

    fn push(side: &mut Sampled, batch: &Rows<'_>, rows: &[u32]) -> u64 {
        if batch.profiles.is_empty() {
            batch.column.push(side, rows);
            return 0;
        }
        for row in rows {
            match batch.profiles.get(row) {
                Some(profile) => side.merge(profile.clone()),
                None => batch.column.push(side, &[*row]),
            }
        }
        0
    }

    fn finish(pair: &Pair<'_, Self>, rule: &Rule<()>, output: &mut Output) {
        let sides = [pair.control, pair.treatment];
        let binned = rule.bin(sides);
        let [reference, current] = &binned.all;
        let score = divergence(Divergence::Psi, reference, current, Fill::Half);
        let critical = psi_critical(reference, current, CHANCE);
        let test = chi_square(ChiSquareKind::Contingency, reference, current);
        let beyond = |score: f64| {
            score > rule.threshold && critical.is_some_and(|critical| score > critical)
        };
        let drifted = score.map(beyond);
        let [before, after] = sides.map(side);
        let unseen = |of: &Side, by: &Side| {
            of.categories.keys().filter(|name| !by.categories.contains_key(*name)).count() as u64
        };
        let rows = sides.map(Sampled::rows);
        let rate = |place: usize| {
            (rows[place] > 0).then(|| sides[place].nulls() as f64 / rows[place] as f64)
        };
        let text = binned.categories.is_some();
        output
            .text(if text { "category" } else { "number" })
            .text("psi")
            .number(score)
            .number(rule.threshold)
            .number(critical)
            .number(test.map(|test| test.ln_p_value.exp()))
            .flag(drifted)
            .count(rows[0])
            .count(rows[1])
            .number(rate(0))
            .number(rate(1))
            .count(text.then(|| unseen(&after, &before)))
            .count(text.then(|| unseen(&before, &after)))
            .text(drifted.and_then(|drifted| suspected_cause(&before, &after, drifted)))
            .text(if score.is_some() { "ok" } else { "missing_arm" });
    }
}

fn side(sampled: &Sampled) -> Side {
    let rows = sampled.rows();
    let categories: BTreeMap<String, u64> =
        sampled.categories().map(|(name, count)| (name.into(), count)).collect();
    Side {
        numbers: sampled.values.sample.ranked(),
        categories,
        null_rate: if rows == 0 { 0.0 } else { sampled.nulls() as f64 / rows as f64 },
    }
}

/// Which argument it is.
const PROFILE: usize = 4;

const DOC: Doc = Doc {
    summary: "Drift of one feature with its suspected cause: psi over quantile bins of the \
              reference (categories: a bin each) with bins for NULL and NaN. The first of these \
              that holds: null_rate, constant, sentinel, unit_change, case_or_spaces, \
              fewer_distinct (a broken pipeline), else drift if drifted.",
    example: (
        "SELECT (drift_summary(x, c)).suspected_cause FROM (SELECT CASE WHEN i < 100 THEN i ELSE 1000 * \
         (i - 100) END, i >= 100 FROM generate_series(1, 200) s(i)) t(x, c)",
        "unit_change",
    ),
};
