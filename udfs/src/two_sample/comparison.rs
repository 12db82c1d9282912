//! The row that every comparison of means answers with, and the options that all tests share.

use datafusion::error::Result as EngineResult;
use kernels::statistics::comparison::{Alternative, Comparison, Options};
use kernels::statistics::sequential::Mixture;

use crate::arguments::{Argument, Given, Kind, option};
use crate::output::{Output, Shape, Type};

/// The common row.
pub fn comparison_shape() -> Shape {
    let numbers = [
        "mean_control",
        "mean_treatment",
        "diff",
        "std_error",
        "ci_low",
        "ci_high",
        "lift",
        "lift_ci_low",
        "lift_ci_high",
        "statistic",
        "df",
        "p_value",
        "ln_p_value",
        "p_sequential",
        "ci_seq_low",
        "ci_seq_high",
    ];
    let counts = ["n_control", "n_treatment"].map(|name| (name, Type::Count));
    let numbers = numbers.map(|name| (name, Type::Number));
    let rest = [("n_null", Type::Count), ("n_nan", Type::Count), ("status", Type::Text)];
    counts.into_iter().chain(numbers).chain(rest).collect()
}

/// Writes the common row.
pub fn write(row: &Comparison, nulls: u64, not_finite: u64, ambiguous: bool, output: &mut Output) {
    let mean = |arm: &kernels::statistics::comparison::Arm| {
        (arm.count > 0 && arm.mean.is_finite()).then_some(arm.mean)
    };
    let (low, high) = row.interval.unzip();
    let (lift_low, lift_high) = row.lift_interval.unzip();
    let (seq_low, seq_high) = row.sequential.map(|s| s.interval).unzip();
    output
        .count(row.control.count)
        .count(row.treatment.count)
        .number(mean(&row.control))
        .number(mean(&row.treatment))
        .number(row.diff)
        .number(row.std_error)
        .number(low)
        .number(high)
        .number(row.lift)
        .number(lift_low)
        .number(lift_high)
        .number(row.statistic)
        .number(row.df)
        .number(row.p_value())
        .number(row.ln_p_value)
        .number(row.sequential.map(|s| s.ln_p_value.exp()))
        .number(seq_low)
        .number(seq_high)
        .count(nulls)
        .count(not_finite)
        .text(if ambiguous { "ambiguous_arms" } else { row.status.name() });
}

/// The options of a test.
pub fn test_arguments() -> [Argument; 5] {
    [
        option("alternative", Kind::Text, "'two-sided' (default), 'greater' or 'less'"),
        option(
            "margin",
            Kind::Number,
            "difference under the hypothesis, in units of the metric (default 0)",
        ),
        option("alpha", Kind::Number, "one minus the confidence of the intervals (default 0.05)"),
        option(
            "tuning_n",
            Kind::Number,
            "units at which the always-valid interval is tightest (default 5000)",
        ),
        option("relative", Kind::Flag, "whether margin is a share of control's mean (default no)"),
    ]
}

/// Reads them.
pub fn options(given: &Given) -> EngineResult<Options> {
    let alternative = given.choice(
        "alternative",
        &[
            ("two-sided", Alternative::TwoSided),
            ("greater", Alternative::Greater),
            ("less", Alternative::Less),
        ],
    )?;
    Ok(Options {
        alternative,
        margin: given.between("margin", f64::NEG_INFINITY, f64::INFINITY, 0.0)?,
        relative: given.flag("relative", false)?,
        alpha: given.between("alpha", 0.0, 1.0, 0.05)?,
        mixture: Mixture::Tuned(given.between("tuning_n", 0.0, f64::INFINITY, 5000.0)?),
    })
}
