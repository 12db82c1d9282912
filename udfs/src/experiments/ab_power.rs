//! `ab_power(baseline, mde, n, …)`: the probability that a test sees an effect.

use datafusion::arrow::array::ArrayRef;
use datafusion::error::Result as EngineResult;

use super::planning::{effect, number, plan, plan_arguments, within};
use crate::Function;
use crate::arguments::{Call, Doc, Given, Kind, option, required};
use crate::output::{Output, Type};
use crate::scalar::scalar;

/// The function.
pub fn function() -> Function {
    let [alpha, _, ratio] = plan_arguments();
    let arguments = vec![
        required("baseline", Kind::Number, "share of control; NULL with sd"),
        required("mde", Kind::Number, "the effect, absolute"),
        required("n", Kind::Number, "units of control"),
        alpha,
        ratio,
        option("sd", Kind::Number, "standard deviation: the power for a mean instead"),
    ];
    scalar(Call { name: "ab_power", arguments, doc: DOC }, vec![("", Type::Number)], answer)
}

fn answer(
    given: &Given,
    columns: &[ArrayRef],
    rows: usize,
    output: &mut Output,
) -> EngineResult<()> {
    let plan = plan(given)?;
    for row in 0..rows {
        let [baseline, mde, units, deviation] =
            [0, 1, 2, 5].map(|place| number(columns, place, row));
        let units = units.map(|units| within("n", units, 0.0, f64::INFINITY)).transpose()?;
        output.number(match (baseline, mde, units, deviation) {
            (_, Some(mde), Some(units), Some(deviation)) => {
                let deviation = within("sd", deviation, 0.0, f64::INFINITY)?;
                Some(plan.power_of_mean(deviation, effect(None, mde)?, units))
            }
            (Some(baseline), Some(mde), Some(units), None) => {
                let baseline = within("baseline", baseline, 0.0, 1.0)?;
                Some(plan.power_of_share(baseline, effect(Some(baseline), mde)?, units))
            }
            (_, _, _, _) => None,
        });
    }
    Ok(())
}

const DOC: Doc = Doc {
    summary: "Probability that a two-sided z-test (pooled variance) with n units of control sees \
              an effect of mde; as R's power.prop.test, the other tail is left out. NULL for NULL.",
    example: ("SELECT round(ab_power(0.02, 0.002, 80682), 4)", "0.8"),
};
