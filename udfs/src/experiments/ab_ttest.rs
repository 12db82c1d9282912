//! `ab_ttest(y, variant, …)`: Welch's t-test of treatment against control.

use datafusion::arrow::array::ArrayRef;
use datafusion::error::Result as EngineResult;
use kernels::statistics::comparison::Options;
use kernels::statistics::means::welch;
use kernels::statistics::moments::Moments;

use super::columns::Numbers;
use crate::arguments::{Call, Doc, Given, Kind, required};
use crate::output::{Output, Shape};
use crate::two_sample::{
    Pair, TwoSample, arm_arguments, comparison_shape, options, states, test_arguments, write,
};

/// The aggregate.
#[derive(Debug, Clone, Default)]
pub struct Welch;

impl TwoSample for Welch {
    type Side = Moments<1>;
    type Options = Options;
    type Batch<'a> = Numbers<'a, 1>;
    const ARM: usize = 1;
    const EACH: &'static str = "ab_ttest_each";

    fn call() -> Call {
        let mut arguments = vec![
            required("y", Kind::NumberOrState, "the metric, one row per unit; or control's state"),
            required("variant", Kind::ArmOrState, "the arm of the unit; or treatment's state"),
        ];
        arguments.extend(arm_arguments());
        arguments.extend(test_arguments());
        Call { name: "ab_ttest", arguments, doc: DOC }
    }

    fn shape() -> Shape {
        comparison_shape()
    }

    fn options(given: &Given) -> EngineResult<Options> {
        options(given)
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
    summary: "Welch's t-test (Welch 1947) of the mean of y in treatment against control, with lift \
              and an always-valid p-value. Rows with a NULL are counted in n_null and left out; \
              NaN or an infinity makes the status non_finite. Given two states of ab_moments, it \
              adds up each side's and tests them.",
    example: (
        "SELECT round((ab_ttest(y, arm)).statistic, 3) FROM (VALUES (1, 'control'), (2, 'control'), \
         (3, 'treatment'), (5, 'treatment')) t(y, arm)",
        "2.236",
    ),
};
