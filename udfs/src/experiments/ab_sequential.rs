//! `ab_sequential(y, variant, …)`: a test that may be looked at as often as one likes.

use datafusion::arrow::array::ArrayRef;
use datafusion::error::Result as EngineResult;
use kernels::statistics::comparison::Options;
use kernels::statistics::means::welch;
use kernels::statistics::moments::Moments;
use kernels::statistics::sequential::Mixture;

use super::columns::Numbers;
use crate::Error;
use crate::arguments::{Call, Doc, Given, Kind, option, required};
use crate::output::{Output, Shape};
use crate::two_sample::{
    Pair, TwoSample, arm_arguments, comparison_shape, options, states, test_arguments, write,
};

/// The aggregate.
#[derive(Debug, Clone, Default)]
pub struct AlwaysValid;

#[derive(Debug, Clone, Copy)]
enum Method {
    Acs,
    Msprt,
}

impl TwoSample for AlwaysValid {
    type Side = Moments<1>;
    type Options = Options;
    type Batch<'a> = Numbers<'a, 1>;
    const ARM: usize = 1;

    fn call() -> Call {
        let mut arguments = vec![
            required("y", Kind::NumberOrState, "the metric, one row per unit; or control's state"),
            required("variant", Kind::ArmOrState, "the arm of the unit; or treatment's state"),
        ];
        arguments.extend(arm_arguments());
        arguments.extend(test_arguments());
        arguments.push(option("method", Kind::Text, "'acs' (default) or 'msprt'"));
        arguments.push(option(
            "tau",
            Kind::Number,
            "for msprt: standard deviation of effects, in units of the metric",
        ));
        Call { name: "ab_sequential", arguments, doc: DOC }
    }

    fn shape() -> Shape {
        comparison_shape()
    }

    fn options(given: &Given) -> EngineResult<Options> {
        let method = given.choice("method", &[("acs", Method::Acs), ("msprt", Method::Msprt)])?;
        let options = options(given)?;
        Ok(match method {
            Method::Acs => options,
            Method::Msprt => {
                let hint = "Give the standard deviation of plausible effects: tau => 0.1.";
                let missing = Error::MissingArgument { function: "msprt", name: "tau", hint };
                let tau = given.number("tau")?.ok_or(missing)?;
                let tau = given.between("tau", 0.0, f64::INFINITY, tau)?;
                Options { mixture: Mixture::Effect(tau), ..options }
            }
        })
    }

    fn batch<'a>(columns: &'a [ArrayRef], _: &Options) -> EngineResult<Numbers<'a, 1>> {
        Ok(Numbers::of(columns, [0]))
    }

    fn push(side: &mut Moments<1>, batch: &Numbers<'_, 1>, rows: &[u32]) -> u64 {
        batch.push(side, rows)
    }

    fn summed(column: &ArrayRef, _: &Options) -> EngineResult<Vec<Moments<1>>> {
        states(column)
    }

    fn finish(pair: &Pair<'_, Self>, options: &Options, output: &mut Output) {
        let row = welch(pair.control, pair.treatment, options);
        let not_finite = pair.control.not_finite() + pair.treatment.not_finite();
        write(&row, pair.nulls, not_finite, pair.ambiguous, output);
    }
}

const DOC: Doc = Doc {
    summary: "Always-valid p-value and interval (p_sequential, ci_seq_*): asymptotic confidence \
              sequences (arXiv 2103.06476) tightest at tuning_n units, or mSPRT (Johari et al. \
              2022) with effects of standard deviation tau. Stopping at any look keeps the error \
              rate. NULL and NaN as in ab_ttest.",
    example: (
        "SELECT round((ab_sequential(y, arm)).p_sequential, 3) FROM (VALUES (1, 'control'), \
         (2, 'control'), (3, 'treatment'), (5, 'treatment')) t(y, arm)",
        "0.987",
    ),
};
