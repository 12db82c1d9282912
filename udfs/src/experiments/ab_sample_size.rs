//! `ab_sample_size(baseline, mde, …)`: units of control that a test needs.

use datafusion::arrow::array::ArrayRef;
use datafusion::error::Result as EngineResult;
use kernels::statistics::power::Formula;

use super::planning::{effect, number, plan, plan_arguments, within};
use crate::Function;
use crate::arguments::{Call, Doc, Given, Kind, option, required};
use crate::output::{Output, Type};
use crate::scalar::scalar;

/// The function.
pub fn function() -> Function {
    let mut arguments = vec![
        required("baseline", Kind::Number, "share of control; NULL with sd"),
        required("mde", Kind::Number, "smallest effect to see, absolute"),
    ];
    arguments.extend(plan_arguments());
    arguments.push(option(
        "formula",
        Kind::Text,
        "'pooled' (default), 'unpooled', 'continuity', 'arcsine', 'evan_miller', \
         'baseline_variance' or 'rule_of_16'",
    ));
    arguments.push(option("sd", Kind::Number, "standard deviation: plan for a mean instead"));
    let call = Call { name: "ab_sample_size", arguments, doc: DOC };
    scalar(call, vec![("", Type::Count)], answer)
}

const FORMULAS: [(&str, Formula); 7] = [
    ("pooled", Formula::Pooled),
    ("unpooled", Formula::Unpooled),
    ("continuity", Formula::Continuity),
    ("arcsine", Formula::Arcsine),
    ("evan_miller", Formula::EvanMiller),
    ("baseline_variance", Formula::BaselineVariance),
    ("rule_of_16", Formula::RuleOf16),
];

fn answer(
    given: &Given,
    columns: &[ArrayRef],
    rows: usize,
    output: &mut Output,
) -> EngineResult<()> {
    let plan = plan(given)?;
    let formula = given.choice("formula", &FORMULAS)?;
    for row in 0..rows {
        let [baseline, mde, deviation] = [0, 1, 6].map(|place| number(columns, place, row));
        let units = match (baseline, mde, deviation) {
            (_, Some(mde), Some(deviation)) => {
                let deviation = within("sd", deviation, 0.0, f64::INFINITY)?;
                Some(plan.units_of_mean(deviation, effect(None, mde)?))
            }
            (Some(baseline), Some(mde), None) => {
                let baseline = within("baseline", baseline, 0.0, 1.0)?;
                Some(plan.units_of_share(baseline, effect(Some(baseline), mde)?, formula))
            }
            (_, _, _) => None,
        };
        // More than can be counted is not known.
        let units = units.map(f64::ceil).filter(|units| *units < i64::MAX as f64);
        output.count(units.map(|units| units as u64));
    }
    Ok(())
}

const DOC: Doc = Doc {
    summary: "Units of control that a two-sided z-test needs to see an effect of mde with the \
              given power, rounded up; treatment needs ratio times as many. Formulas: pooled \
              (Fleiss 1981; R, ClickHouse), unpooled, continuity (Fleiss, Tytun & Ury 1980), \
              arcsine (Cohen 1988), evan_miller, baseline_variance, rule_of_16 (Lehr). NULL for \
              NULL, and for more units than a bigint counts.",
    example: ("SELECT ab_sample_size(0.02, 0.002)", "80682"),
};
