//! `ab_cuped(y, x, variant, …)`: Welch's test with the variance that a covariate explains removed.

use datafusion::arrow::array::{Array, ArrayRef};
use datafusion::error::Result as EngineResult;
use kernels::statistics::comparison::Options;
use kernels::statistics::cuped::{Strata, Theta, cuped};
use kernels::statistics::moments::Moments;

use super::columns::Numbers;
use crate::arguments::{Call, Doc, Given, Kind, option, required};
use crate::bytes::{put_slice, take_slice};
use crate::output::{Output, Shape, Type};
use crate::two_sample::{
    Pair, Side, TwoSample, arm_arguments, comparison_shape, options, test_arguments, write,
};

/// The aggregate.
#[derive(Debug, Clone, Default)]
pub struct Cuped;

/// How to test, and what to do without a covariate.
#[derive(Debug)]
pub struct CupedOptions {
    test: Options,
    theta: Theta,
    nulls: NullCovariate,
}

/// What a unit without a covariate is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum NullCovariate {
    /// One whose covariate is zero (a new user spent nothing before).
    Zero,
    /// One that takes no part.
    Drop,
    /// One of a stratum of its own, whose difference is that of the plain means.
    Stratum,
}

/// Metric and covariate, and what a NULL covariate is.
pub struct Covaried<'a> {
    both: Numbers<'a, 2>,
    nulls: NullCovariate,
}

impl TwoSample for Cuped {
    type Side = Strata;
    type Options = CupedOptions;
    type Batch<'a> = Covaried<'a>;
    const ARM: usize = 2;
    const EACH: &'static str = "ab_cuped_each";

    fn call() -> Call {
        let mut arguments = vec![
            required("y", Kind::Number, "the metric, one row per unit"),
            required("x", Kind::Number, "a covariate from before the experiment"),
            required("variant", Kind::Arm, "the arm of the unit"),
        ];
        arguments.extend(arm_arguments());
        arguments.extend(test_arguments());
        arguments.push(option("theta", Kind::Text, "'pooled' (default) or 'within'"));
        arguments.push(option(
            "null_covariate",
            Kind::Text,
            "'zero' (default), 'drop' or 'stratum'",
        ));
        Call { name: "ab_cuped", arguments, doc: DOC }
    }

    fn shape() -> Shape {
        let mut shape = comparison_shape();
        let more = ["theta", "variance_reduction", "covariate_imbalance_p"];
        shape.extend(more.map(|name| (name, Type::Number)));
        shape
    }

    fn options(given: &Given) -> EngineResult<CupedOptions> {
        let theta = given.choice("theta", &[("pooled", Theta::Pooled), ("within", Theta::Within)]);
        let policies = [
            ("zero", NullCovariate::Zero),
            ("drop", NullCovariate::Drop),
            ("stratum", NullCovariate::Stratum),
        ];
        let nulls = given.choice("null_covariate", &policies)?;
        Ok(CupedOptions { test: options(given)?, theta: theta?, nulls })
    }

    fn batch<'a>(columns: &'a [ArrayRef], options: &CupedOptions) -> EngineResult<Covaried<'a>> {
        Ok(Covaried { both: Numbers::of(columns, [0, 1]), nulls: options.nulls })
    }

    fn push(side: &mut Strata, batch: &Covaried<'_>, rows: &[u32]) -> u64 {
        let [y, x] = batch.both.0;
        if batch.nulls == NullCovariate::Drop || x.null_count() == 0 {
            return batch.both.push(&mut side.with, rows);
        }
        let mut nulls = 0;
        for row in rows.iter().map(|row| *row as usize) {
            let value = y.value(row);
            match (y.is_null(row), x.is_null(row), batch.nulls) {
                (true, _, _) => nulls += 1,
                (false, true, NullCovariate::Stratum) => side.without.push([value]),
                (false, true, _) => side.with.push([value, 0.0]),
                (false, false, _) => side.with.push([value, x.value(row)]),
            }
        }
        nulls
    }

    fn finish(pair: &Pair<'_, Self>, options: &CupedOptions, output: &mut Output) {
        let answer = cuped(pair.control, pair.treatment, options.theta, &options.test);
        let not_finite = pair.control.not_finite() + pair.treatment.not_finite();
        let nulls = pair.nulls + answer.left_out;
        write(&answer.comparison, nulls, not_finite, pair.ambiguous, output);
        output
            .number(answer.theta)
            .number(answer.variance_reduction)
            .number(answer.covariate_imbalance_p);
    }
}

impl Side for Strata {
    fn merge(&mut self, other: Self) {
        self.with.merge(&other.with);
        self.without.merge(&other.without);
    }

    fn encode(&self, bytes: &mut Vec<u8>) {
        put_slice(bytes, &self.with.to_bytes());
        put_slice(bytes, &self.without.to_bytes());
    }

    fn decode(mut bytes: &[u8]) -> Option<Self> {
        let with = Moments::from_bytes(take_slice(&mut bytes)?)?;
        let without = Moments::from_bytes(take_slice(&mut bytes)?)?;
        bytes.is_empty().then_some(Self { with, without })
    }
}

const DOC: Doc = Doc {
    summary: "CUPED (Deng, Xu, Kohavi & Walker 2013): Welch's test of y - theta (x - mean x), \
              theta by least squares over both arms. mean_* are the adjusted means, lift divides \
              by the plain mean of control. covariate_imbalance_p tests that the covariate is \
              alike in both arms, as it must be. A unit with a NULL covariate counts as one of \
              zero, or not at all, or (stratum) is compared with its like, the two strata \
              weighed by their shares of all units (Miratrix, Sekhon & Yu 2013; of a stratum with \
              less than two units of an arm they are left out). A NULL metric, and units that are \
              left out, are counted in n_null.",
    example: (
        "SELECT round((ab_cuped(y, x, arm)).theta, 3) FROM (VALUES (1, 1, 'control'), (3, 2, 'control'), \
         (4, 1, 'treatment'), (6, 2, 'treatment')) t(y, x, arm)",
        "2",
    ),
};
