//! `ab_mde(baseline, n, …)`: the smallest effect that a test sees.

use datafusion::arrow::array::ArrayRef;
use datafusion::error::Result as EngineResult;

use super::planning::{number, plan, plan_arguments, within};
use crate::Function;
use crate::arguments::{Call, Doc, Given, Kind, option};
use crate::output::{Output, Type};
use crate::scalar::scalar;

/// The function.
pub fn function() -> Function {
    let mut arguments = vec![
        option("baseline", Kind::Number, "share of control; NULL with sd"),
        option("n", Kind::Number, "units of control"),
    ];
    arguments.extend(plan_arguments());
    arguments.push(option("sd", Kind::Number, "standard deviation: the effect on a mean instead"));
    scalar(Call { name: "ab_mde", arguments, doc: DOC }, vec![("", Type::Number)], answer)
}

fn answer(
    given: &Given,
    columns: &[ArrayRef],
    rows: usize,
    output: &mut Output,
) -> EngineResult<()> {
    let plan = plan(given)?;
    for row in 0..rows {
        let [baseline, units, deviation] = [0, 1, 5].map(|place| number(columns, place, row));
        let units = units.map(|units| within("n", units, 0.0, f64::INFINITY)).transpose()?;
        output.number(match (baseline, units, deviation) {
            (_, Some(units), Some(deviation)) => {
                Some(plan.effect_of_mean(within("sd", deviation, 0.0, f64::INFINITY)?, units))
            }
            (Some(baseline), Some(units), None) => {
                plan.effect_of_share(within("baseline", baseline, 0.0, 1.0)?, units)
            }
            (_, _, _) => None,
        });
    }
    Ok(())
}

const DOC: Doc = Doc {
    summary: "Smallest rise, absolute, that a two-sided z-test (pooled variance) with n units of \
              control sees with the given power. NULL for NULL, and if no rise below one is seen.",
    example: ("SELECT round(ab_mde(0.02, 80682), 5)", "0.002"),
};
