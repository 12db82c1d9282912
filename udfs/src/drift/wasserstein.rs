//! `wasserstein(x, is_current, …)`: the area between two distribution functions.

use datafusion::arrow::array::{ArrayRef, AsArray, Float64Array};
use datafusion::arrow::datatypes::Float64Type;
use datafusion::error::Result as EngineResult;
use kernels::statistics::moments::Moments;
use kernels::statistics::ranks::wasserstein;

use crate::arguments::{Call, Doc, Given, Kind, option, required};
use crate::output::{Output, Shape, Type};
use crate::two_sample::{Pair, TwoSample, Values, push_values};

/// The aggregate.
#[derive(Debug, Clone, Default)]
pub struct Wasserstein;

/// In what units, and when it counts as drift.
#[derive(Debug)]
pub struct Units {
    deviations: bool,
    threshold: f64,
}

impl TwoSample for Wasserstein {
    type Side = Values;
    type Options = Units;
    type Batch<'a> = &'a Float64Array;
    const ARM: usize = 1;

    fn fixed_arms() -> Option<[&'static str; 2]> {
        Some(["false", "true"])
    }

    fn call() -> Call {
        let arguments = vec![
            required("x", Kind::Number, "a number"),
            required("is_current", Kind::Flag, "false: reference, true: current, NULL: neither"),
            option(
                "scale",
                Kind::Text,
                "'sd' (default): in standard deviations of the reference, or 'raw'",
            ),
            option("threshold", Kind::Number, "drifted above this (default 0.1)"),
        ];
        Call { name: "wasserstein", arguments, doc: DOC }
    }

    fn shape() -> Shape {
        vec![
            ("value", Type::Number),
            ("n_reference", Type::Count),
            ("n_current", Type::Count),
            ("raw", Type::Number),
            ("sd_reference", Type::Number),
            ("threshold", Type::Number),
            ("drifted", Type::Flag),
            ("n_null", Type::Count),
            ("n_nan", Type::Count),
            ("status", Type::Text),
        ]
    }

    fn options(given: &Given) -> EngineResult<Units> {
        Ok(Units {
            deviations: given.choice("scale", &[("sd", true), ("raw", false)])?,
            threshold: given.between("threshold", 0.0, f64::INFINITY, 0.1)?,
        })
    }

    fn batch<'a>(columns: &'a [ArrayRef], _: &Units) -> EngineResult<&'a Float64Array> {
        Ok(columns[0].as_primitive::<Float64Type>())
    }

    fn push(side: &mut Values, batch: &&Float64Array, rows: &[u32]) -> u64 {
        push_values(side, batch, rows)
    }

    fn finish(pair: &Pair<'_, Self>, options: &Units, output: &mut Output) {
        let (reference, current) = (pair.control.sample.ranked(), pair.treatment.sample.ranked());
        let raw = wasserstein(&reference, &current).filter(|area| area.is_finite());
        let mut moments = Moments::<1>::default();
        for (value, count) in reference.runs() {
            moments.push_times([value], count);
        }
        let deviation = moments.summary(0).deviation;
        let value = match options.deviations {
            true => raw.filter(|_| deviation > 0.0).map(|area| area / deviation),
            false => raw,
        };
        let status = match (reference.count().min(current.count()), raw, value) {
            (0, _, _) => "missing_arm",
            (_, None, _) => "non_finite",
            (_, Some(_), None) => "zero_variance",
            (_, Some(_), Some(_)) => "ok",
        };
        output
            .number(value)
            .count(reference.count())
            .count(current.count())
            .number(raw)
            .number((reference.count() > 1).then_some(deviation))
            .number(options.threshold)
            .flag(value.map(|value| value > options.threshold))
            .count(pair.nulls)
            .count(pair.control.nans + pair.treatment.nans)
            .text(status);
    }
}

const DOC: Doc = Doc {
    summary: "Wasserstein distance of order one, the area between the distribution functions: raw \
              in units of x, value over the reference's standard deviation unless scale => 'raw'. \
              A constant reference has no such scale: zero_variance. NULL and NaN are counted and \
              left out; an infinity makes it non_finite.",
    example: (
        "SELECT (wasserstein(x, c, scale => 'raw')).value FROM (VALUES (1, false), (2, false), (3, true), \
         (4, true)) t(x, c)",
        "2",
    ),
};
