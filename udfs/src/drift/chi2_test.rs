//! `chi2_test(x, is_current, …)`: Pearson's chi-square test over bins.

use datafusion::error::Result as EngineResult;
use kernels::statistics::divergence::{ChiSquareKind, chi_square};

use super::bins::{Binned, CHANCE, Distance};
use crate::arguments::{Argument, Doc, Given, Kind, option};
use crate::output::{Output, Shape, Type};

/// The distance.
#[derive(Debug, Default, Clone)]
pub struct ChiSquareTest;

/// Which test, and when it counts as drift.
#[derive(Debug)]
pub struct TestOptions {
    kind: ChiSquareKind,
    alpha: f64,
}

impl Distance for ChiSquareTest {
    type Options = TestOptions;
    const NAME: &'static str = "chi2_test";
    const THRESHOLD: f64 = CHANCE;

    fn arguments() -> Vec<Argument> {
        vec![
            option(
                "kind",
                Kind::Text,
                "'contingency' (default: both are samples) or 'goodness_of_fit'",
            ),
            option("alpha", Kind::Number, "drifted below this p-value (default 0.05)"),
        ]
    }

    fn options(given: &Given) -> EngineResult<TestOptions> {
        let kinds = [
            ("contingency", ChiSquareKind::Contingency),
            ("goodness_of_fit", ChiSquareKind::GoodnessOfFit),
        ];
        Ok(TestOptions {
            kind: given.choice("kind", &kinds)?,
            alpha: given.between("alpha", 0.0, 1.0, CHANCE)?,
        })
    }

    fn shape() -> Shape {
        ["df", "p_value", "ln_p_value", "cramers_v"].map(|name| (name, Type::Number)).into()
    }

    fn value(options: &TestOptions, reference: &[u64], current: &[u64]) -> Option<f64> {
        chi_square(options.kind, reference, current).map(|test| test.statistic)
    }

    fn drifted(_: f64, _: f64, binned: &Binned, options: &TestOptions) -> bool {
        chi_square(options.kind, &binned.all[0], &binned.all[1])
            .is_some_and(|test| test.ln_p_value < options.alpha.ln())
    }

    fn finish(options: &TestOptions, binned: &Binned, output: &mut Output) {
        let test = chi_square(options.kind, &binned.all[0], &binned.all[1]);
        output
            .number(test.map(|t| t.df))
            .number(test.map(|t| t.ln_p_value.exp()))
            .number(test.map(|t| t.ln_p_value))
            .number(test.map(|t| t.cramers_v));
    }

    fn doc() -> Doc {
        Doc {
            summary: "Pearson's chi-square of the counts: both sides samples (2 x k table) or the \
                      reference taken as the truth (goodness of fit, infinite for a new category). \
                      value is the statistic, drifted says p_value < alpha; threshold is not used. \
                      Cramer's V is the size of the effect, 0 to 1.",
            example: (
                "SELECT round((chi2_test(x, c)).value, 4) FROM (VALUES ('a', false), ('b', false), ('a', true), \
                 ('a', true), ('a', true), ('b', true)) t(x, c)",
                "0.375",
            ),
        }
    }
}
