//! `psi(x, is_current, …)`: the population stability index.

use datafusion::error::Result as EngineResult;
use kernels::statistics::divergence::{Divergence, Fill, divergence};

use super::bins::{Binned, Distance, critical};
use super::fill::{fill, fill_argument, fill_name};
use crate::arguments::{Argument, Doc, Given};
use crate::output::{Output, Shape, Type};

/// The distance.
#[derive(Debug, Default, Clone)]
pub struct Psi;

impl Distance for Psi {
    type Options = Fill;
    const NAME: &'static str = "psi";
    const THRESHOLD: f64 = 0.25;

    fn arguments() -> Vec<Argument> {
        vec![fill_argument()]
    }

    fn options(given: &Given) -> EngineResult<Fill> {
        fill(given)
    }

    fn shape() -> Shape {
        vec![("critical_value", Type::Number), ("fill", Type::Text)]
    }

    fn value(fill: &Fill, reference: &[u64], current: &[u64]) -> Option<f64> {
        divergence(Divergence::Psi, reference, current, *fill)
    }

    fn drifted(value: f64, threshold: f64, binned: &Binned, _: &Fill) -> bool {
        value > threshold && critical(binned).is_some_and(|critical| value > critical)
    }

    fn finish(fill: &Fill, binned: &Binned, output: &mut Output) {
        output.number(critical(binned)).text(fill_name(*fill));
    }

    fn doc() -> Doc {
        Doc {
            summary: "Population stability index: sum of (q - p) ln(q / p) over bins, p reference \
                      and q current. Rules of thumb: 0.1 some, 0.25 much; critical_value is what \
                      chance alone exceeds in one of twenty cases at these sizes (Yurdakul 2018), \
                      and drifted needs both.",
            example: (
                "SELECT round((psi(x, c)).value, 4) FROM (VALUES ('a', false), ('b', false), ('a', true), \
                 ('a', true), ('a', true), ('b', true)) t(x, c)",
                "0.2747",
            ),
        }
    }
}
