//! `ab_ztest_prop(success, variant, …)`: z-test of two proportions.

use datafusion::arrow::array::{Array, ArrayRef, AsArray, Float64Array};
use datafusion::arrow::datatypes::Float64Type;
use datafusion::error::Result as EngineResult;
use kernels::statistics::comparison::Options;
use kernels::statistics::proportions::{Interval, Proportion, proportions};

use crate::arguments::{Call, Doc, Given, Kind, option, required};
use crate::output::{Output, Shape};
use crate::two_sample::{
    Pair, TwoSample, arm_arguments, comparison_shape, options, test_arguments, write,
};

/// The aggregate.
#[derive(Debug, Clone, Default)]
pub struct ZTest;

/// How to test, and with which interval.
#[derive(Debug)]
pub struct ZOptions {
    test: Options,
    pooled: bool,
    interval: Interval,
}

impl TwoSample for ZTest {
    type Side = Proportion;
    type Options = ZOptions;
    type Batch<'a> = &'a Float64Array;
    const ARM: usize = 1;

    fn call() -> Call {
        let mut arguments = vec![
            required("success", Kind::Number, "a boolean, or a number that is a success unless 0"),
            required("variant", Kind::Arm, "the arm of the unit"),
        ];
        arguments.extend(arm_arguments());
        arguments.extend(test_arguments());
        arguments.push(option("pooled", Kind::Flag, "pool the variance (default true)"));
        arguments.push(option(
            "ci",
            Kind::Text,
            "'newcombe' (default), 'exact', 'wald' or 'agresti_caffo'",
        ));
        Call { name: "ab_ztest_prop", arguments, doc: DOC }
    }

    fn shape() -> Shape {
        comparison_shape()
    }

    fn options(given: &Given) -> EngineResult<ZOptions> {
        let interval = given.choice(
            "ci",
            &[
                ("newcombe", Interval::Newcombe),
                ("exact", Interval::Exact),
                ("wald", Interval::Wald),
                ("agresti_caffo", Interval::AgrestiCaffo),
            ],
        )?;
        Ok(ZOptions { test: options(given)?, pooled: given.flag("pooled", true)?, interval })
    }

    fn batch<'a>(columns: &'a [ArrayRef], _: &ZOptions) -> EngineResult<&'a Float64Array> {
        Ok(columns[0].as_primitive::<Float64Type>())
    }

    fn push(side: &mut Proportion, batch: &&Float64Array, rows: &[u32]) -> u64 {
        let valid = |row: &&u32| batch.is_valid(**row as usize);
        let known = rows.iter().filter(valid).count() as u64;
        let successes = rows.iter().filter(valid).filter(|row| batch.value(**row as usize) != 0.0);
        side.successes += successes.count() as u64;
        side.trials += known;
        rows.len() as u64 - known
    }

    fn finish(pair: &Pair<'_, Self>, options: &ZOptions, output: &mut Output) {
        let ZOptions { test, pooled, interval } = options;
        let row = proportions(*pair.control, *pair.treatment, *pooled, *interval, test);
        write(&row, pair.nulls, 0, pair.ambiguous, output);
    }
}

const DOC: Doc = Doc {
    summary: "z-test of the share of successes in treatment against control; pooled variance \
              unless there is a margin. The interval of the difference is Newcombe's (1998, method \
              10). df is NULL: the test is normal. Rows with a NULL are counted in n_null and left \
              out.",
    example: (
        "SELECT round((ab_ztest_prop(ok, arm)).statistic, 3) FROM (VALUES (false, 'control'), \
         (true, 'control'), (true, 'treatment'), (true, 'treatment')) t(ok, arm)",
        "1.155",
    ),
};
