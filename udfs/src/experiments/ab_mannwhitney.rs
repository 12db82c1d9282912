//! `ab_mannwhitney(y, variant, …)`: whether treatment tends to be greater than control, by ranks.

use datafusion::arrow::array::{ArrayRef, AsArray, Float64Array};
use datafusion::arrow::datatypes::Float64Type;
use datafusion::error::Result as EngineResult;
use kernels::statistics::comparison::{Alternative, Status};
use kernels::statistics::ranks::{Method, mann_whitney};

use crate::arguments::{Call, Doc, Given, Kind, option, required};
use crate::output::{Output, Shape, Type};
use crate::two_sample::{
    Pair, TwoSample, Values, arm_arguments, options, push_values, test_arguments,
};

/// The aggregate.
#[derive(Debug, Clone, Default)]
pub struct MannWhitney;

/// How to test.
#[derive(Debug)]
pub struct RankOptions {
    alternative: Alternative,
    method: Method,
    continuity: bool,
}

impl TwoSample for MannWhitney {
    type Side = Values;
    type Options = RankOptions;
    type Batch<'a> = &'a Float64Array;
    const ARM: usize = 1;

    fn call() -> Call {
        let mut arguments = vec![
            required("y", Kind::Number, "the metric, one row per unit"),
            required("variant", Kind::Arm, "the arm of the unit"),
        ];
        arguments.extend(arm_arguments());
        let [alternative, ..] = test_arguments();
        arguments.push(alternative);
        arguments.push(option("method", Kind::Text, "'auto' (default), 'exact' or 'asymptotic'"));
        arguments.push(option("continuity", Kind::Flag, "correct by a half (default true)"));
        Call { name: "ab_mannwhitney", arguments, doc: DOC }
    }

    fn shape() -> Shape {
        vec![
            ("n_control", Type::Count),
            ("n_treatment", Type::Count),
            ("statistic", Type::Number),
            ("prob_superiority", Type::Number),
            ("p_value", Type::Number),
            ("ln_p_value", Type::Number),
            ("method", Type::Text),
            ("n_null", Type::Count),
            ("n_nan", Type::Count),
            ("status", Type::Text),
        ]
    }

    fn options(given: &Given) -> EngineResult<RankOptions> {
        let methods =
            [("auto", Method::Auto), ("exact", Method::Exact), ("asymptotic", Method::Asymptotic)];
        Ok(RankOptions {
            alternative: options(given)?.alternative,
            method: given.choice("method", &methods)?,
            continuity: given.flag("continuity", true)?,
        })
    }

    fn batch<'a>(columns: &'a [ArrayRef], _: &RankOptions) -> EngineResult<&'a Float64Array> {
        Ok(columns[0].as_primitive::<Float64Type>())
    }

    fn push(side: &mut Values, batch: &&Float64Array, rows: &[u32]) -> u64 {
        push_values(side, batch, rows)
    }

    fn finish(pair: &Pair<'_, Self>, options: &RankOptions, output: &mut Output) {
        let nans = pair.control.nans + pair.treatment.nans;
        let (control, treatment) = (pair.control.sample.ranked(), pair.treatment.sample.ranked());
        let RankOptions { alternative, method, continuity } = options;
        let answer = mann_whitney(&control, &treatment, *method, *continuity, *alternative);
        let known = answer.status == Status::Ok && nans == 0;
        let method = if answer.exact { "exact" } else { "asymptotic" };
        output
            .count(answer.count[0])
            .count(answer.count[1])
            .number(known.then_some(answer.statistic))
            .number(answer.prob_superiority.filter(|_| known))
            .number(answer.ln_p_value.filter(|_| known).map(f64::exp))
            .number(answer.ln_p_value.filter(|_| known))
            .text(known.then_some(method))
            .count(pair.nulls)
            .count(nans)
            .text(match (pair.ambiguous, nans) {
                (true, _) => "ambiguous_arms",
                (false, 0) => answer.status.name(),
                (false, _) => Status::NonFinite.name(),
            });
    }
}

const DOC: Doc = Doc {
    summary: "Mann-Whitney U test (Mann & Whitney 1947) with mid-ranks for ties; statistic is U of \
              treatment, prob_superiority U / (n m). Exact when the smaller arm has at most 8 rows \
              and nothing is tied. Infinities have their rank; rows with a NULL are counted in \
              n_null and left out.",
    example: (
        "SELECT (ab_mannwhitney(y, arm)).statistic FROM (VALUES (1, 'control'), (4, 'control'), \
         (3, 'treatment'), (5, 'treatment')) t(y, arm)",
        "3",
    ),
};
