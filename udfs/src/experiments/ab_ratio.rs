//! `ab_ratio(num, den, variant, …)`: a ratio of sums by the delta method.

use datafusion::arrow::array::ArrayRef;
use datafusion::error::Result as EngineResult;
use kernels::statistics::comparison::Options;
use kernels::statistics::means::ratio;
use kernels::statistics::moments::Moments;

use super::columns::Numbers;
use crate::arguments::{Call, Doc, Given, Kind, required};
use crate::output::{Output, Shape};
use crate::two_sample::{
    Pair, TwoSample, arm_arguments, comparison_shape, options, test_arguments, write,
};

/// The aggregate.
#[derive(Debug, Clone, Default)]
pub struct Ratio;

impl TwoSample for Ratio {
    type Side = Moments<2>;
    type Options = Options;
    type Batch<'a> = Numbers<'a, 2>;
    const ARM: usize = 2;
    const EACH: &'static str = "ab_ratio_each";

    fn call() -> Call {
        let mut arguments = vec![
            required("num", Kind::Number, "numerator, one row per unit of randomisation"),
            required("den", Kind::Number, "denominator of the same unit"),
            required("variant", Kind::Arm, "the arm of the unit"),
        ];
        arguments.extend(arm_arguments());
        arguments.extend(test_arguments());
        Call { name: "ab_ratio", arguments, doc: DOC }
    }

    fn shape() -> Shape {
        comparison_shape()
    }

    fn options(given: &Given) -> EngineResult<Options> {
        options(given)
    }

    fn batch<'a>(columns: &'a [ArrayRef], _: &Options) -> EngineResult<Numbers<'a, 2>> {
        Ok(Numbers::of(columns, [0, 1]))
    }

    fn push(side: &mut Moments<2>, batch: &Numbers<'_, 2>, rows: &[u32]) -> u64 {
        batch.push(side, rows)
    }

    fn finish(pair: &Pair<'_, Self>, options: &Options, output: &mut Output) {
        let row = ratio(pair.control, pair.treatment, options);
        let not_finite = pair.control.not_finite() + pair.treatment.not_finite();
        write(&row, pair.nulls, not_finite, pair.ambiguous, output);
    }
}

const DOC: Doc = Doc {
    summary: "Test of sum(num) / sum(den) in treatment against control, such as clicks per \
              impression with users randomised: delta method (Deng, Knoblich & Lu 2018), Welch's \
              degrees of freedom. mean_* are the ratios. A unit with a NULL on either side is \
              counted in n_null and left out.",
    example: (
        "SELECT (ab_ratio(clicks, views, arm)).diff FROM (VALUES (1, 4, 'control'), (1, 4, 'control'), \
         (1, 2, 'treatment'), (3, 6, 'treatment')) t(clicks, views, arm)",
        "0.25",
    ),
};
