//! `ab_ztest_prop(success, variant, …)`: z-test of two proportions.

use datafusion::arrow::array::{Array, ArrayRef, AsArray, Float64Array};
use datafusion::arrow::datatypes::Float64Type;
use datafusion::error::Result as EngineResult;
use kernels::statistics::comparison::{Arm, Comparison, Options, Status};
use kernels::statistics::proportions::{Interval, Proportion, proportions};

use crate::arguments::{Call, Doc, Given, Kind, option, required};
use crate::bytes::take_u64;
use crate::output::{Output, Shape};
use crate::two_sample::{
    Pair, Side, TwoSample, arm_arguments, comparison_shape, options, test_arguments, write,
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

/// Rows of an arm, and those that were NaN or infinite.
#[derive(Debug, Clone, Copy, Default)]
pub struct Trials {
    counted: Proportion,
    not_finite: u64,
}

impl Side for Trials {
    fn merge(&mut self, other: Self) {
        self.counted.successes += other.counted.successes;
        self.counted.trials += other.counted.trials;
        self.not_finite += other.not_finite;
    }

    fn encode(&self, bytes: &mut Vec<u8>) {
        let numbers = [self.counted.successes, self.counted.trials, self.not_finite];
        numbers.iter().for_each(|number| bytes.extend(number.to_le_bytes()));
    }

    fn decode(mut bytes: &[u8]) -> Option<Self> {
        let mut next = || take_u64(&mut bytes);
        let counted = Proportion { successes: next()?, trials: next()? };
        let not_finite = next()?;
        let is_one = bytes.is_empty() && counted.successes <= counted.trials;
        is_one.then_some(Self { counted, not_finite })
    }
}

impl TwoSample for ZTest {
    type Side = Trials;
    type Options = ZOptions;
    type Batch<'a> = &'a Float64Array;
    const ARM: usize = 1;

    fn call() -> Call {
        let mut arguments = vec![
            required("success", Kind::Number, "a boolean, or a number, a success unless 0"),
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

    fn push(side: &mut Trials, batch: &&Float64Array, rows: &[u32]) -> u64 {
        let rows = rows.iter().map(|row| *row as usize);
        let mut nulls = 0;
        for row in rows {
            match (batch.is_null(row), batch.value(row)) {
                (true, _) => nulls += 1,
                (false, value) if value.is_finite() => {
                    side.counted.successes += u64::from(value != 0.0);
                    side.counted.trials += 1;
                }
                (false, _) => side.not_finite += 1,
            }
        }
        nulls
    }

    fn finish(pair: &Pair<'_, Self>, options: &ZOptions, output: &mut Output) {
        let ZOptions { test, pooled, interval } = options;
        let (control, treatment) = (pair.control, pair.treatment);
        let not_finite = control.not_finite + treatment.not_finite;
        let row = match not_finite {
            0 => proportions(control.counted, treatment.counted, *pooled, *interval, test),
            _ => {
                let arm = |trials: &Trials| {
                    let (count, mean) = (trials.counted.trials, trials.counted.share());
                    Arm { count, mean, std_error: 0.0 }
                };
                Comparison::without(Status::NonFinite, arm(control), arm(treatment))
            }
        };
        write(&row, pair.nulls, not_finite, pair.ambiguous, output);
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
