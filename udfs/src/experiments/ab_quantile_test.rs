//! `ab_quantile_test(y, variant, q, …)`: difference of a quantile between the arms.

use datafusion::arrow::array::{Array, ArrayRef, AsArray, Float64Array};
use datafusion::arrow::datatypes::Float64Type;
use datafusion::error::Result as EngineResult;
use kernels::statistics::comparison::{Options, Status};
use kernels::statistics::kll::Kll;
use kernels::statistics::ranks::{quantile_test, sketched_quantile_test};

use crate::Error;
use crate::arguments::{Call, Doc, Given, Kind, option, required};
use crate::bytes::{put_slice, take_slice};
use crate::output::{Output, Shape};
use crate::two_sample::{
    Pair, Side, TwoSample, Values, arm_arguments, comparison_shape, options, push_values,
    test_arguments, write,
};

/// The aggregate.
#[derive(Debug, Clone, Default)]
pub struct QuantileTest;

/// How to test, and which quantile.
#[derive(Debug)]
pub struct QuantileOptions {
    test: Options,
    q: f64,
    approximate: bool,
}

/// The sketch's k: ranks are off by at most 0.07 percent with 99 % probability.
const SKETCH: usize = 4096;

/// An arm: its values, or a sketch of them.
#[derive(Debug, Clone, Default)]
pub struct Quantiles {
    /// The values, or only how many are NaN.
    values: Values,
    sketch: Option<Kll>,
}

impl Quantiles {
    fn sketch(&self) -> Kll {
        self.sketch.clone().unwrap_or_else(|| Kll::new(SKETCH))
    }
}

impl Side for Quantiles {
    fn merge(&mut self, other: Self) {
        self.values.merge(other.values);
        match (&mut self.sketch, other.sketch) {
            (Some(sketch), Some(other)) => sketch.merge(&other),
            (sketch @ None, other) => *sketch = other,
            (Some(_), None) => {}
        }
    }

    fn encode(&self, bytes: &mut Vec<u8>) {
        put_slice(bytes, &self.sketch.as_ref().map(Kll::to_bytes).unwrap_or_default());
        self.values.encode(bytes);
    }

    fn decode(mut bytes: &[u8]) -> Option<Self> {
        let sketch = take_slice(&mut bytes)?;
        let sketch = match sketch.is_empty() {
            true => None,
            false => Some(Kll::from_bytes(sketch)?),
        };
        Some(Self { values: Values::decode(bytes)?, sketch })
    }

    fn heap(&self) -> usize {
        self.values.heap() + self.sketch.as_ref().map_or(0, Kll::size)
    }
}

impl TwoSample for QuantileTest {
    type Side = Quantiles;
    type Options = QuantileOptions;
    type Batch<'a> = (&'a Float64Array, bool);
    const ARM: usize = 1;

    fn call() -> Call {
        let mut arguments = vec![
            required("y", Kind::Number, "the metric, one row per unit"),
            required("variant", Kind::Arm, "the arm of the unit"),
            required("q", Kind::Number, "the quantile, between 0 and 1"),
        ];
        arguments.extend(arm_arguments());
        arguments.extend(test_arguments());
        arguments.push(option(
            "method",
            Kind::Text,
            "'exact' (default), or 'approximate': from a sketch of ranks, in little memory",
        ));
        Call { name: "ab_quantile_test", arguments, doc: DOC }
    }

    fn shape() -> Shape {
        comparison_shape()
    }

    fn options(given: &Given) -> EngineResult<QuantileOptions> {
        let hint = "Give a number between 0 and 1: ab_quantile_test(y, variant, 0.95).";
        let missing = Error::MissingArgument { function: "ab_quantile_test", name: "q", hint };
        let q = given.number("q")?.ok_or(missing)?;
        let q = given.between("q", 0.0, 1.0, q)?;
        let methods = [("exact", false), ("approximate", true)];
        let approximate = given.choice("method", &methods)?;
        Ok(QuantileOptions { test: options(given)?, q, approximate })
    }

    fn batch<'a>(
        columns: &'a [ArrayRef],
        options: &QuantileOptions,
    ) -> EngineResult<(&'a Float64Array, bool)> {
        Ok((columns[0].as_primitive::<Float64Type>(), options.approximate))
    }

    fn push(side: &mut Quantiles, (values, sketched): &Self::Batch<'_>, rows: &[u32]) -> u64 {
        if !sketched {
            return push_values(&mut side.values, values, rows);
        }
        let sketch = side.sketch.get_or_insert_with(|| Kll::new(SKETCH));
        let mut nulls = 0;
        for row in rows.iter().map(|row| *row as usize) {
            match (values.is_null(row), values.value(row)) {
                (true, _) => nulls += 1,
                (false, value) if value.is_nan() => side.values.nans += 1,
                (false, value) => sketch.push(value),
            }
        }
        nulls
    }

    fn finish(pair: &Pair<'_, Self>, options: &QuantileOptions, output: &mut Output) {
        let [control, treatment] = [pair.control, pair.treatment];
        let nans = control.values.nans + treatment.values.nans;
        let mut row = match options.approximate {
            true => {
                let [control, treatment] = [control, treatment].map(Quantiles::sketch);
                sketched_quantile_test(&control, &treatment, options.q, &options.test)
            }
            false => {
                let [control, treatment] = [control, treatment].map(|s| s.values.sample.ranked());
                quantile_test(&control, &treatment, options.q, &options.test)
            }
        };
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
              insufficient_data. mean_* are the quantiles. Approximate: ranks from a KLL sketch, \
              off by at most 0.07 percent of the rows with 99 % probability, which the error takes \
              into account; the answer then depends on how the rows came.",
    example: (
        "SELECT (ab_quantile_test(y, arm, 0.5)).diff FROM (SELECT i + CASE WHEN i % 2 = 0 THEN 10 ELSE 0 END, \
         CASE WHEN i % 2 = 0 THEN 'treatment' ELSE 'control' END FROM generate_series(0, 99) s(i)) t(y, arm)",
        "9",
    ),
};
