//! `ks_test(x, is_current, …)`: the two-sample Kolmogorov-Smirnov test.

use datafusion::arrow::array::{ArrayRef, AsArray, Float64Array};
use datafusion::arrow::datatypes::Float64Type;
use datafusion::error::Result as EngineResult;
use kernels::statistics::ranks::{Method, kolmogorov_smirnov};

use crate::arguments::{Call, Doc, Given, Kind, option, required};
use crate::output::{Output, Shape, Type};
use crate::two_sample::{Pair, TwoSample, Values, push_values};

/// The aggregate.
#[derive(Debug, Clone, Default)]
pub struct KsTest;

/// How to test.
#[derive(Debug)]
pub struct KsOptions {
    method: Method,
    alpha: f64,
}

impl TwoSample for KsTest {
    type Side = Values;
    type Options = KsOptions;
    type Batch<'a> = &'a Float64Array;
    const ARM: usize = 1;

    fn fixed_arms() -> Option<[&'static str; 2]> {
        Some(["false", "true"])
    }

    fn call() -> Call {
        let arguments = vec![
            required("x", Kind::Number, "a number"),
            required("is_current", Kind::Flag, "false: reference, true: current, NULL: neither"),
            option("method", Kind::Text, "'auto' (default), 'exact' or 'asymptotic'"),
            option("alpha", Kind::Number, "drifted below this p-value (default 0.05)"),
        ];
        Call { name: "ks_test", arguments, doc: DOC }
    }

    fn shape() -> Shape {
        vec![
            ("value", Type::Number),
            ("n_reference", Type::Count),
            ("n_current", Type::Count),
            ("p_value", Type::Number),
            ("ln_p_value", Type::Number),
            ("method", Type::Text),
            ("drifted", Type::Flag),
            ("n_null", Type::Count),
            ("n_nan", Type::Count),
            ("status", Type::Text),
        ]
    }

    fn options(given: &Given) -> EngineResult<KsOptions> {
        let methods =
            [("auto", Method::Auto), ("exact", Method::Exact), ("asymptotic", Method::Asymptotic)];
        Ok(KsOptions {
            method: given.choice("method", &methods)?,
            alpha: given.between("alpha", 0.0, 1.0, 0.05)?,
        })
    }

    fn batch<'a>(columns: &'a [ArrayRef], _: &KsOptions) -> EngineResult<&'a Float64Array> {
        Ok(columns[0].as_primitive::<Float64Type>())
    }

    fn push(side: &mut Values, batch: &&Float64Array, rows: &[u32]) -> u64 {
        push_values(side, batch, rows)
    }

    fn finish(pair: &Pair<'_, Self>, options: &KsOptions, output: &mut Output) {
        let (reference, current) = (&pair.control.sample, &pair.treatment.sample);
        let test = kolmogorov_smirnov(&reference.ranked(), &current.ranked(), options.method);
        let method = |exact| if exact { "exact" } else { "asymptotic" };
        output
            .number(test.map(|t| t.statistic))
            .count(reference.count())
            .count(current.count())
            .number(test.map(|t| t.ln_p_value.exp()))
            .number(test.map(|t| t.ln_p_value))
            .text(test.map(|t| method(t.exact)))
            .flag(test.map(|t| t.ln_p_value < options.alpha.ln()))
            .count(pair.nulls)
            .count(pair.control.nans + pair.treatment.nans)
            .text(if test.is_some() { "ok" } else { "missing_arm" });
    }
}

const DOC: Doc = Doc {
    summary: "Largest distance of the distribution functions, two-sided. Exact (Hodges 1958) while \
              that takes at most 2e7 steps (4,472 rows a side; more if p is not tiny or one side \
              is small), else Kolmogorov's limit; ties make both conservative. NULL and NaN are counted and left out, infinities rank as they are.",
    example: (
        "SELECT (ks_test(x, c)).value FROM (VALUES (1, false), (2, false), (3, true), (4, true)) t(x, c)",
        "1",
    ),
};
