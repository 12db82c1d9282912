//! `ab_quantile_test(y, variant, q, …)`: difference of a quantile between the arms.

use datafusion::arrow::array::{ArrayRef, AsArray, Float64Array};
use datafusion::arrow::datatypes::Float64Type;
use datafusion::error::Result as EngineResult;
use kernels::statistics::comparison::{Options, Status};
use kernels::statistics::ranks::quantile_test;

use crate::Error;
use crate::arguments::{Call, Doc, Given, Kind, required};
use crate::output::{Output, Shape};
use crate::two_sample::{
    Pair, TwoSample, Values, arm_arguments, comparison_shape, options, push_values, test_arguments,
    write,
};

/// The aggregate.
#[derive(Debug, Clone, Default)]
pub struct QuantileTest;

/// How to test, and which quantile.
#[derive(Debug)]
pub struct QuantileOptions {
    test: Options,
    q: f64,
}

impl TwoSample for QuantileTest {
    type Side = Values;
    type Options = QuantileOptions;
    type Batch<'a> = &'a Float64Array;
    const ARM: usize = 1;

    fn call() -> Call {
        let mut arguments = vec![
            required("y", Kind::Number, "the metric, one row per unit"),
            required("variant", Kind::Arm, "the arm of the unit"),
            required("q", Kind::Number, "the quantile, between 0 and 1"),
        ];
        arguments.extend(arm_arguments());
        arguments.extend(test_arguments());
        Call { name: "ab_quantile_test", arguments, doc: DOC }
    }

    fn shape() -> Shape {
        comparison_shape()
    }

    fn options(given: &Given) -> EngineResult<QuantileOptions> {
        let hint = "Give a number between 0 and 1: ab_quantile_test(y, variant, 0.95).";
        let missing = Error::MissingArgument { function: "ab_quantile_test", name: "q", hint };
        let q = given.number("q")?.ok_or(missing)?;
        Ok(QuantileOptions { test: options(given)?, q: given.between("q", 0.0, 1.0, q)? })
    }

    fn batch<'a>(columns: &'a [ArrayRef], _: &QuantileOptions) -> EngineResult<&'a Float64Array> {
        Ok(columns[0].as_primitive::<Float64Type>())
    }

    fn push(side: &mut Values, batch: &&Float64Array, rows: &[u32]) -> u64 {
        push_values(side, batch, rows)
    }

    fn finish(pair: &Pair<'_, Self>, options: &QuantileOptions, output: &mut Output) {
        let nans = pair.control.nans + pair.treatment.nans;
        let (control, treatment) = (pair.control.sample.ranked(), pair.treatment.sample.ranked());
        let mut row = quantile_test(&control, &treatment, options.q, &options.test);
        if nans > 0 {
            row = kernels::statistics::comparison::Comparison::without(
                Status::NonFinite,
                row.control,
                row.treatment,
            );
        }
        write(&row, pair.nulls, nans, pair.ambiguous, output);
    }
}

const DOC: Doc = Doc {
    summary: "Test of the difference of a quantile (linear between order statistics), its error \
              from the order statistics around it (Price & Bonett 2002), against the normal \
              distribution. Needs about five rows beyond the quantile in each arm, else \
              insufficient_data. mean_* are the quantiles.",
    example: (
        "SELECT (ab_quantile_test(y, arm, 0.5)).diff FROM (SELECT i + CASE WHEN i % 2 = 0 THEN 10 ELSE 0 END, \
         CASE WHEN i % 2 = 0 THEN 'treatment' ELSE 'control' END FROM generate_series(0, 99) s(i)) t(y, arm)",
        "9",
    ),
};
